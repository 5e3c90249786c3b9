/* compare-time: how many instructions verifying takes, counted one by one (ptrace(2)), for proofs of
 * the same form that differ from the right one at their n-th digit. Lines "WHAT N COUNT"; `early` is a
 * comparison as one would write it, the control: it ends at the first difference. 77: this machine
 * lets nobody count. */
#include "base/hex.h"
#include "hooks/sender.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77, WARM = 2, STRIDE = 3, STEPS_MAX = 50000000 };
#define SECRET "It's a Secret to Everybody"
#define BODY "{\"zen\":\"Keep it logically awesome.\"}"

struct kind {
	const char *name, *sender, *header, *before;
	size_t digits; /* of the proof, behind `before` */
};

static bool early(struct str a, struct str b)
{
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != b.p[i])
			return false;
	return true;
}

static volatile bool result;

/* One proof, looked at between two signals that the counter waits for. */
static void look(
    const struct kind *k, const struct sender_credential *c, char *proof, struct str right)
{
	struct arena a;
	struct err e;
	arena_init(&a, 1 << 16);
	struct http_header h = {str_c(k->header), str_c(proof)};
	struct http_request r = {.headers = &h, .header_count = 1, .body = STR(BODY), .arena = &a};
	const struct sender_proof p = {.v = c, .n = 1, .now_ms = 1};
	const struct sender *s = k->sender ? sender_find(str_c(k->sender)) : NULL;
	(void)raise(SIGUSR1);
	result = s ? s->verify(&r, &p, &e) == SENDER_FITS : early(str_c(proof), right);
	(void)raise(SIGUSR1);
	arena_fini(&a);
}

/* Another digit of the same kind, so that reading it takes as long. */
static char other(char c)
{
	return c == '9'		     ? '8'
	       : c >= '0' && c < '9' ? (char)(c + 1)
	       : c == 'f'	     ? 'e'
				     : (char)(c + 1);
}

/* The first rounds are for what is only done once. */
static size_t place(size_t round)
{
	return round < WARM ? 0 : (round - WARM) * STRIDE;
}

static size_t rounds(const struct kind *k)
{
	return WARM + (k->digits + STRIDE - 1) / STRIDE;
}

static void looks(const struct kind *k)
{
	char proof[128], right[128];
	uint8_t mac[HMAC_SHA256_BYTES];
	struct sender_credential c;
	struct err e;
	if (sender_credential_init(
		&c, sender_find(str_c(k->sender ? k->sender : "github")), STR(SECRET), 0, &e) != 0)
		exit(1);
	hmac_sha256(c.key, STR(BODY), mac);
	char hex[2 * HMAC_SHA256_BYTES + 1];
	hex_encode(mac, sizeof(mac), hex);
	(void)snprintf(
	    right, sizeof(right), "%s%s", k->before, k->digits == sizeof(hex) - 1 ? hex : SECRET);
	size_t start = strlen(k->before);
	for (size_t i = 0; i < rounds(k); i++) {
		memcpy(proof, right, sizeof(proof));
		size_t at = start + place(i);
		proof[at] = other(proof[at]);
		look(k, &c, proof, str_c(right));
	}
	sender_credential_fini(&c);
}

static const struct kind kinds[] = {
    {"github", "github", "X-Hub-Signature-256", "sha256=", 2 * HMAC_SHA256_BYTES},
    {"gitea", "gitea", "X-Gitea-Signature", "", 2 * HMAC_SHA256_BYTES},
    {"bearer", "bearer", "Authorization", "Bearer ", sizeof(SECRET) - 1},
    {"gitlab", "gitlab", "X-Gitlab-Token", "", sizeof(SECRET) - 1},
    {"early", NULL, "X", "sha256=", 2 * HMAC_SHA256_BYTES},
};

static void child(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(SKIPPED);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		looks(&kinds[i]);
	_exit(0);
}

/* Runs until the child's next signal, step by step when `count`. -1: it ended. */
static long until_signal(pid_t pid, bool count, int *ret_status)
{
	for (long steps = 0; steps < STEPS_MAX; steps++) {
		if (ptrace(count ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, NULL, NULL) != 0 ||
		    waitpid(pid, ret_status, 0) != pid || !WIFSTOPPED(*ret_status))
			return -1;
		if (WSTOPSIG(*ret_status) == SIGUSR1)
			return steps;
	}
	return -1;
}

int main(void)
{
	pid_t pid = fork();
	int status = 0;
	if (pid == 0)
		child();
	/* the first signal stops it: nothing to continue before */
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return SKIPPED;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (size_t n = 0; n < rounds(&kinds[i]); n++) {
			long steps = until_signal(pid, true, &status);
			if (steps < 0)
				return SKIPPED;
			if (n >= WARM)
				(void)printf("%s %zu %ld\n", kinds[i].name, place(n), steps);
			(void)until_signal(pid, false, &status);
		}
	return WIFEXITED(status) ? 0 : 1;
}
