/* slipway-cert: what the helper needs to know of X.509, in a process of its own, so that root
 * parses nobody's certificates. Started as a user without rights, it closes to itself what it does
 * not need, reads descriptors, writes one answer and ends.
 *
 *   slipway-cert self   standard input: host names, one blank between -> a certificate that signs itself
 *   slipway-cert pair   descriptor 3: a chain, descriptor 4: its key -> both, judged, written anew
 *
 * The answer on standard output: "# NAMES" (one blank between), then PEM: the key, the chain. With
 * exit status 65: what is wrong, and what to do, a line each. */
#include "base/clock.h"
#include "base/fs.h"
#include "crypto/certificate.h"
#include "launch/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/crypto.h>

enum { FD_CHAIN = 3, FD_KEY = 4, EXIT_USAGE = 64, EXIT_BAD = 65, EXIT_SOFTWARE = 70, CPU_S = 5 };

static const char usage[] =
    "usage: slipway-cert self | pair\nStarted by slipway-helper; not meant to be run by hand.\n";

static int close_in(struct err *e)
{
	const struct sandbox_paths none = {0};
	const struct rlimit seconds = {CPU_S, CPU_S};
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CPU, &seconds) != 0)
		return err_sys(
		    e, ERR_INTERNAL, errno, "could not hide its memory, or bound its time");
	return sandbox_files(GUEST_RUN, &none, e) != 0 ? -1 : sandbox_calls(e);
}

/* Memory files: read from their start, whoever read them before. */
static int read_all(int fd, struct buf *b, const char *what, struct err *e)
{
	for (;;) {
		char *room = buf_reserve(b, 4096);
		ssize_t n = room ? pread(fd, room, 4096, (off_t)b->n) : 0;
		if (!room)
			return err_set(e, ERR_TOO_LARGE, "the %s is too long", what);
		if (n < 0)
			return err_sys(e, ERR_IO, errno, "could not read the %s", what);
		if (n == 0)
			return 0;
		buf_commit(b, (size_t)n);
	}
}

static int make_self(struct certificate *ret, struct err *e)
{
	CLEANUP_BUF struct buf b;
	struct str names[CERTIFICATE_NAMES_MAX], rest, name;
	size_t n = 0;
	buf_init(&b, CERTIFICATE_PEM_MAX);
	if (read_all(STDIN_FILENO, &b, "list of names", e) != 0)
		return -1;
	rest = buf_view(&b);
	while (rest.n > 0 && str_next(&rest, ' ', &name)) {
		if (n == CERTIFICATE_NAMES_MAX)
			return err_set(
			    e, ERR_TOO_LARGE, "more than %u names", CERTIFICATE_NAMES_MAX);
		names[n++] = name;
	}
	return certificate_self_signed(names, n, clock_wall_ms(), ret, e);
}

static int judge_pair(struct certificate *ret, struct err *e)
{
	struct buf chain, key;
	buf_init(&chain, CERTIFICATE_PEM_MAX + 4096);
	buf_init(&key, CERTIFICATE_PEM_MAX + 4096);
	int rc =
	    read_all(FD_CHAIN, &chain, "chain", e) == 0 && read_all(FD_KEY, &key, "key", e) == 0
		? certificate_pair(buf_view(&chain), buf_view(&key), clock_wall_ms(), ret, e)
		: -1;
	buf_fini(&chain);
	buf_wipe(&key);
	return rc;
}

static int answer(const struct certificate *c, struct err *e)
{
	if (fs_write_all(STDOUT_FILENO, "# ", 2, e) != 0 ||
	    fs_write_all(STDOUT_FILENO, c->names.p, c->names.n, e) != 0 ||
	    fs_write_all(STDOUT_FILENO, "\n", 1, e) != 0)
		return -1;
	return fs_write_all(STDOUT_FILENO, c->pem.p, c->pem.n, e);
}

#if defined(__SANITIZE_ADDRESS__)
/* What we close to ourselves is what looking for leaks needs. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
	struct certificate c;
	struct err e;
	bool self = argc == 2 && strcmp(argv[1], "self") == 0;
	if (!self && !(argc == 2 && strcmp(argv[1], "pair") == 0)) {
		(void)fputs(usage, stderr);
		return EXIT_USAGE;
	}
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	certificate_init(&c);
	int rc = close_in(&e);
	int code = rc == 0 ? EXIT_BAD : EXIT_SOFTWARE;
	if (rc == 0)
		rc = self ? make_self(&c, &e) : judge_pair(&c, &e);
	if (rc == 0)
		rc = answer(&c, &e);
	certificate_fini(&c);
	if (rc == 0)
		return 0;
	(void)printf("%s\n%s\n", e.msg, e.hint);
	return code;
}
