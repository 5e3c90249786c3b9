/* rooms: base loop text crypto store model launch outbound github */
/* covers: github/answer.c github/list.c */
/* Any bytes as what GitHub answers: as a body and as a Link header. What is taken over from them is
 * harmless, whatever they were. The first byte is the status' last digits. */
#include "github/answer.h"
#include "github/list.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("<>\"'\\", s.p[i]))
			abort();
}

static void lists(struct str body)
{
	struct arena a CLEANUP_ARENA;
	struct github_deliveries list;
	struct err e;
	int64_t id;
	arena_init(&a, 1 << 20);
	if (github_deliveries_read(body, &a, &list, &e) == 0)
		for (size_t i = 0; i < list.n; i++) {
			if (list.v[i].id < 1 || !list.v[i].guid.n ||
			    (github_delivery_missed(&list.v[i], false) &&
				!github_delivery_missed(&list.v[i], true)))
				abort();
		}
	if (github_hook_find(body, STR("https://a.example/hooks/a"), &id, &e) > 0 && id < 1)
		abort();
}

static void ranges(struct str body)
{
	struct github_list l, again;
	struct buf b CLEANUP_BUF;
	struct err e;
	buf_init(&b, GITHUB_LIST_MAX * CIDR_TEXT_SIZE);
	if (github_list_read(body, &l, &e) != 0)
		return;
	for (size_t i = 0; i < l.n; i++)
		if (cidr_not_public(&l.v[i].base) || !github_list_holds(&l, &l.v[i].base))
			abort();
	github_list_write(&l, &b);
	if (b.full || github_list_parse(buf_view(&b), &again, &e) != 0 || again.n != l.n)
		abort();
}

static void request(struct str s)
{
	struct arena a CLEANUP_ARENA;
	struct outbound_request q;
	struct err e;
	arena_init(&a, 1 << 20);
	if (!github_repository_refuses(s))
		printable(s);
	if (github_request(&a, STR("https://api.github.com"), "/meta", s, OUTBOUND_GET, &q, &e) ==
		0 &&
	    q.header_count < 3)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = {(const char *)data, size};
	struct err e;
	int64_t wait = -1;
	if (size == 0)
		return 0;
	struct str rest = str_from(s, 1);
	const struct outbound_answer a = {
	    .outcome = data[0] < 0xf8 ? OUTBOUND_ANSWERED
				      : (enum outbound_outcome)(data[0] % OUTBOUND_OUTCOME_COUNT),
	    .status = 200 + 2u * data[0],
	    .retry_after_s = data[0] % 3 * 1000000u,
	    .body = rest,
	    .headers = rest,
	    .text = STR("x")};
	lists(rest);
	ranges(rest);
	request(rest);
	printable(github_next_cursor(rest));
	enum github_verdict v = github_judge(&a, 1000, &wait, &e);
	if (v >= GITHUB_VERDICT_COUNT || wait < 0 || wait > GITHUB_WAIT_MAX_MS ||
	    (v != GITHUB_OK && !e.msg[0]))
		abort();
	for (const char *p = e.msg; v != GITHUB_OK && *p; p++)
		if (*p < ' ')
			abort();
	return 0;
}
