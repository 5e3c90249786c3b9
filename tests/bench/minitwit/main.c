/* minitwit-load: the course's simulator in C, and a judge: people register, write, follow, unfollow
 * and read, each request with the simulator's exact headers and its number as `latest`; every
 * answer is compared with what must be there.
 *
 *   minitwit-load --port P [--host NAME] [--seconds S | --count N] [--connections 32] [--persons
 * 200]
 *     --rate R            open loop: R requests a second are begun, whatever the answers do; else
 * closed
 *     --registrations N   of 10,000 requests (0)
 *     --late MS           an answer that takes longer is late (300)
 *     --keep              connections are kept, as no simulator does
 *     --no-audit          does not read everything once more at the end
 *     --plant F:N         F drop, stale, order: a fault that the judge must find, see plant.h
 *     --seed N  --json FILE  --progress (standard error: a line a second, and when the
 *         simulation has begun and ended)
 *
 * SIGINT or SIGTERM ends the simulation and begins the audit; twice ends both. 0: nothing was
 * wrong, failed or late; 1: something was; 2: it could not run. */
#include "check.h"
#include "mix.h"
#include "model.h"
#include "plant.h"
#include "report.h"
#include "rows.h"
#include "say.h"
#include "wire.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct options o = {.host = "localhost",
    .connections = 32,
    .persons = 200,
    .seconds = 5,
    .late_ms = 300,
    .audit = true};
volatile int ending;
static uint64_t state;

int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

_Noreturn void die(const char *what)
{
	fprintf(stderr, "minitwit-load: %s%s%s\n", what, errno ? ": " : "",
	    errno ? strerror(errno) : "");
	exit(2);
}

uint64_t rand_next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint32_t rand_below(uint32_t n)
{
	return (uint32_t)(((rand_next() >> 32) * n) >> 32);
}

static void on_signal(int s)
{
	(void)s;
	ending++;
}

static const struct option long_options[] = {{"port", 1, 0, 'p'}, {"host", 1, 0, 'H'},
    {"seconds", 1, 0, 's'}, {"count", 1, 0, 'n'}, {"connections", 1, 0, 'c'},
    {"persons", 1, 0, 'u'}, {"rate", 1, 0, 'r'}, {"registrations", 1, 0, 'R'}, {"late", 1, 0, 'l'},
    {"seed", 1, 0, 'S'}, {"json", 1, 0, 'j'}, {"plant", 1, 0, 'P'}, {"keep", 0, 0, 'k'},
    {"no-audit", 0, 0, 'a'}, {"progress", 0, 0, 'v'}, {0}};

static void number_option(int id, const char *v)
{
	unsigned long long n = strtoull(v, NULL, 10);
	switch (id) {
	case 'p':
		o.port = (uint16_t)n;
		break;
	case 'n':
		o.count = n;
		break;
	case 'c':
		o.connections = (unsigned)n;
		break;
	case 'u':
		o.persons = (unsigned)n;
		break;
	case 'R':
		o.registrations = (unsigned)n;
		break;
	case 'l':
		o.late_ms = (unsigned)n;
		break;
	default:
		o.seed = n;
	}
}

static void parse(int argc, char **argv)
{
	for (int id; (id = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		if (id == 'H')
			o.host = optarg;
		else if (id == 's')
			o.seconds = strtod(optarg, NULL);
		else if (id == 'r')
			o.rate = strtod(optarg, NULL);
		else if (id == 'j')
			o.json = optarg;
		else if (id == 'k')
			o.keep = true;
		else if (id == 'a')
			o.audit = false;
		else if (id == 'v')
			o.progress = true;
		else if (id == '?' || (id == 'P' && !plant_parse(optarg)))
			exit(2);
		else if (id != 'P')
			number_option(id, optarg);
	}
	errno = 0;
	if (!o.port || !o.connections || o.connections > 4096 || o.persons < 2 ||
	    o.persons > PERSONS_MAX / 2)
		die("--port, 1 to 4096 --connections and 2 to 65536 --persons are needed");
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	while (o.seed == 0)
		if (getrandom(&o.seed, sizeof(o.seed), 0) != sizeof(o.seed))
			die("getrandom");
	state = o.seed;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	say_begin(o.seed);
	model_open();
	rows_open();
	wire_open();
	wire_run(mix_setup, 0);
	if (m.known_count < o.persons && !ending)
		fprintf(stderr, "only %u of %u could register: %s\n", m.known_count, o.persons,
		    wrong_examples[0]);
	report_clear();
	report_mark("begun");
	mix_start();
	int64_t begun_us = now_us();
	wire_run(mix_simulator, o.rate);
	report_phase_end((double)(now_us() - begun_us) / 1e6);
	report_mark("ended");
	begun_us = now_us();
	if (o.audit)
		wire_run(mix_audit, 0);
	bool good = report_end((double)(now_us() - begun_us) / 1e6);
	return good && m.known_count >= o.persons ? 0 : 1;
}
