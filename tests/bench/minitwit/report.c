#include "report.h"

#include "check.h"
#include "model.h"

#include <stdio.h>
#include <string.h>

enum { BUCKETS = 4096, REIGNS_MAX = 64, VERSION_SIZE = 48, LATE_EXAMPLES = 20 };

const char *const kind_names[KIND_COUNT] = {
    "register", "post", "follow", "unfollow", "messages", "follows", "public", "latest", "refused"};
static const char *const failure_names[FAIL_COUNT] = {"connect", "closed", "cut", "timeout"};

struct kind_figures {
	uint64_t answers, late;
	int64_t worst_us;
	uint64_t buckets[BUCKETS];
};

struct reign {
	char version[VERSION_SIZE];
	uint64_t answers, since; /* tick of its first answer */
	uint64_t first_number;
};

struct figures {
	uint64_t right, failures[FAIL_COUNT];
	struct kind_figures kinds[KIND_COUNT];
	double seconds;
};

static struct figures now, phase;
static struct reign reigns[REIGNS_MAX];
static unsigned reign_count;
static struct {
	enum kind kind;
	int64_t us, at_us; /* how long it took, when it came */
} late_examples[LATE_EXAMPLES];
static uint64_t late_count;
static int64_t cleared_us;

/* About 1.5 % wide: 64 per power of two. */
static unsigned bucket_of(int64_t us)
{
	uint64_t v = us < 1 ? 1 : (uint64_t)us;
	unsigned log = 63u - (unsigned)__builtin_clzll(v);
	unsigned sub =
	    log >= 6 ? (unsigned)(v >> (log - 6)) & 63u : (unsigned)(v << (6 - log)) & 63u;
	return log * 64 + sub;
}

static double bucket_ms(unsigned b)
{
	return (double)(1ull << (b / 64)) * (1.0 + (double)(b % 64) / 64.0) / 1000;
}

void report_answer(enum kind kind, int64_t us, bool right)
{
	struct kind_figures *k = &now.kinds[kind];
	k->answers++;
	k->buckets[bucket_of(us)]++;
	if (us > (int64_t)o.late_ms * 1000) {
		k->late++;
		if (late_count < LATE_EXAMPLES && phase.seconds == 0) {
			late_examples[late_count].kind = kind;
			late_examples[late_count].us = us;
			late_examples[late_count++].at_us = now_us() - cleared_us;
		}
	}
	if (us > k->worst_us)
		k->worst_us = us;
	now.right += right;
}

void report_failure(enum failure f)
{
	now.failures[f]++;
}

void report_version(const struct request *r, const char *version, size_t n)
{
	struct reign *last = reign_count ? &reigns[reign_count - 1] : NULL;
	n = n < VERSION_SIZE ? n : VERSION_SIZE - 1;
	for (struct reign *x = last; x && x > last - 2 && x >= reigns; x--) {
		bool same = strlen(x->version) == n && memcmp(x->version, version, n) == 0;
		if (same && (x == last || r->begun <= last->since)) {
			x->answers++;
			return;
		}
	}
	if (reign_count == REIGNS_MAX)
		return;
	last = &reigns[reign_count++];
	*last = (struct reign){.answers = 1, .since = m.tick, .first_number = r->number};
	memcpy(last->version, version, n);
}

void report_clear(void)
{
	memset(&now, 0, sizeof(now));
	late_count = 0;
	cleared_us = now_us();
}

void report_phase_end(double seconds)
{
	phase = now;
	phase.seconds = seconds;
	memset(&now, 0, sizeof(now));
}

static void sum(const struct figures *f, struct kind_figures *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < KIND_COUNT; i++) {
		ret->answers += f->kinds[i].answers;
		ret->late += f->kinds[i].late;
		if (f->kinds[i].worst_us > ret->worst_us)
			ret->worst_us = f->kinds[i].worst_us;
		for (int b = 0; b < BUCKETS; b++)
			ret->buckets[b] += f->kinds[i].buckets[b];
	}
}

static uint64_t failed(const struct figures *f)
{
	uint64_t all = 0;
	for (int i = 0; i < FAIL_COUNT; i++)
		all += f->failures[i];
	return all;
}

static double percentile(const struct kind_figures *k, double p)
{
	uint64_t seen = 0, want = (uint64_t)((double)k->answers * p);
	for (unsigned b = 0; b < BUCKETS; b++) {
		seen += k->buckets[b];
		if (seen > want)
			return bucket_ms(b);
	}
	return 0;
}

void report_progress(void)
{
	static struct kind_figures all;
	static uint64_t before;
	sum(&now, &all);
	fprintf(stderr,
	    "%llu requests, %llu/s, %llu wrong, %llu failed, %llu late, slowest %.0f ms\n",
	    (unsigned long long)all.answers, (unsigned long long)(all.answers - before),
	    (unsigned long long)wrong_all(), (unsigned long long)failed(&now),
	    (unsigned long long)all.late, (double)all.worst_us / 1000);
	before = all.answers;
}

void report_mark(const char *what)
{
	if (o.progress)
		fprintf(stderr, "%s\n", what);
}

static void put_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20)
			fprintf(f, "\\u%04x", (unsigned char)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

static void put_kind(FILE *f, const char *name, const struct kind_figures *k)
{
	fprintf(f,
	    "\"%s\": {\"answers\": %llu, \"late\": %llu, \"p50_ms\": %.3f, \"p90_ms\": %.3f, "
	    "\"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f}",
	    name, (unsigned long long)k->answers, (unsigned long long)k->late, percentile(k, .5),
	    percentile(k, .9), percentile(k, .99), percentile(k, .999), (double)k->worst_us / 1000);
}

static void put_json(
    FILE *f, const struct kind_figures *all, uint64_t audited, double audit_seconds)
{
	fprintf(f,
	    "{\"requests\": %llu, \"right\": %llu, \"failed\": %llu, \"wrong\": %llu, \"late\": "
	    "%llu, \"seconds\": %.3f, \"rate\": %.1f, ",
	    (unsigned long long)(all->answers + failed(&phase)), (unsigned long long)phase.right,
	    (unsigned long long)(failed(&phase) + failed(&now)), (unsigned long long)wrong_all(),
	    (unsigned long long)all->late, phase.seconds, (double)all->answers / phase.seconds);
	fprintf(f,
	    "\"persons\": %u, \"messages\": %llu, \"audited\": %llu, \"audit_seconds\": %.1f, ",
	    m.known_count, (unsigned long long)m.acked_all, (unsigned long long)audited,
	    audit_seconds);
	put_kind(f, "all", all);
	fputs(", \"kinds\": {", f);
	for (int i = 0; i < KIND_COUNT; i++) {
		fputs(i ? ", " : "", f);
		put_kind(f, kind_names[i], &phase.kinds[i]);
	}
	fputs("}", f);
	for (int i = 0; i < FAIL_COUNT; i++)
		fprintf(f, ", \"failed_%s\": %llu", failure_names[i],
		    (unsigned long long)(phase.failures[i] + now.failures[i]));
	for (int i = 0; i < WRONG_COUNT; i++)
		fprintf(f, ", \"wrong_%s\": %llu", wrong_names[i], (unsigned long long)wrongs[i]);
	fputs(", \"versions\": [", f);
	for (unsigned i = 0; i < reign_count; i++) {
		fputs(i ? ", {\"version\": " : "{\"version\": ", f);
		put_string(f, reigns[i].version);
		fprintf(f, ", \"answers\": %llu, \"from\": %llu}",
		    (unsigned long long)reigns[i].answers,
		    (unsigned long long)reigns[i].first_number);
	}
	fputs("], \"examples\": [", f);
	for (int i = 0; i < EXAMPLES_MAX && wrong_examples[i][0]; i++) {
		fputs(i ? ", " : "", f);
		put_string(f, wrong_examples[i]);
	}
	fputs("]}\n", f);
}

static void put_row(const char *name, const struct kind_figures *k)
{
	if (k->answers)
		printf("%-9s %10llu answers  p50 %7.2f  p90 %7.2f  p99 %7.2f  p99.9 %7.2f  slowest "
		       "%7.1f ms  %llu above %u ms\n",
		    name, (unsigned long long)k->answers, percentile(k, .5), percentile(k, .9),
		    percentile(k, .99), percentile(k, .999), (double)k->worst_us / 1000,
		    (unsigned long long)k->late, o.late_ms);
}

static void put_text(const struct kind_figures *all, uint64_t audited, double audit_seconds)
{
	put_row("all", all);
	for (int i = 0; i < KIND_COUNT; i++)
		put_row(kind_names[i], &phase.kinds[i]);
	printf(
	    "%.1f s, %.0f requests/s, %u persons, %llu messages; audit: %llu answers in %.1f s\n",
	    phase.seconds, (double)all->answers / phase.seconds, m.known_count,
	    (unsigned long long)m.acked_all, (unsigned long long)audited, audit_seconds);
	for (unsigned i = 0; i < reign_count; i++)
		printf("version %s: %llu answers from request %llu on\n", reigns[i].version,
		    (unsigned long long)reigns[i].answers,
		    (unsigned long long)reigns[i].first_number);
	printf("wrong %llu", (unsigned long long)wrong_all());
	for (int i = 0; i < WRONG_COUNT; i++)
		if (wrongs[i])
			printf(" %s %llu", wrong_names[i], (unsigned long long)wrongs[i]);
	printf("; failed %llu", (unsigned long long)(failed(&phase) + failed(&now)));
	for (int i = 0; i < FAIL_COUNT; i++)
		if (phase.failures[i] + now.failures[i])
			printf(" %s %llu", failure_names[i],
			    (unsigned long long)(phase.failures[i] + now.failures[i]));
	printf("; late %llu\n", (unsigned long long)all->late);
	for (int i = 0; i < EXAMPLES_MAX && wrong_examples[i][0]; i++)
		printf("  %s\n", wrong_examples[i]);
	for (uint64_t i = 0; i < LATE_EXAMPLES && i < late_count; i++)
		printf("  late: %s, %.0f ms, at %.1f s\n", kind_names[late_examples[i].kind],
		    (double)late_examples[i].us / 1000, (double)late_examples[i].at_us / 1e6);
}

bool report_end(double audit_seconds)
{
	static struct kind_figures all, audit;
	sum(&phase, &all);
	sum(&now, &audit);
	put_text(&all, audit.answers, audit_seconds);
	if (o.json) {
		FILE *f = fopen(o.json, "we");
		if (!f)
			die(o.json);
		put_json(f, &all, audit.answers, audit_seconds);
		if (fclose(f) != 0)
			die(o.json);
	}
	return wrong_all() + failed(&phase) + failed(&now) + all.late == 0 && all.answers > 0;
}
