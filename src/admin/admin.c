#include "admin/admin.h"

#include "base/clock.h"
#include "base/str.h"
#include "launch/tool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOOL_MS 60000
#define LOG_SIZE (4u << 20)

int admin_begin(struct err *e)
{
	if (geteuid() != 0) {
		err_set(e, ERR_FORBIDDEN, "only root can do that");
		return err_hint(e, "sudo slipway admin …");
	}
	if (access("/etc/slipway/server.conf", F_OK) == 0)
		return 0;
	err_set(e, ERR_NOT_FOUND, "no server was made of this machine");
	return err_hint(e, "slipway setup makes one");
}

/* ---- the helper's line per operation: "… helper performed op=start project=shop …" ---- */

static void count_use(struct admin_uses *u, struct str name)
{
	for (size_t i = 0; i < u->count; i++)
		if (str_eq_c(name, u->v[i].name)) {
			u->v[i].count++;
			return;
		}
	if (u->count < ADMIN_USES_MAX && str_copy(name, u->v[u->count].name, sizeof(u->v[0].name)))
		u->v[u->count++].count = 1;
}

static void note_refusal(struct admin_uses *u, struct str line)
{
	size_t max = sizeof(u->refusals) / sizeof(*u->refusals);
	if (u->refusal_count == max) {
		memmove(u->refusals[0], u->refusals[1], (max - 1) * sizeof(*u->refusals));
		u->refusal_count--;
	}
	if (str_copy(str_slice(line, 0, sizeof(*u->refusals) - 1), u->refusals[u->refusal_count],
		sizeof(*u->refusals)))
		u->refusal_count++;
}

static void read_use(struct admin_uses *u, struct str line)
{
	struct str words = line, word, op = STR_NONE;
	bool helper = false, performed = false, refused = false;
	while (str_next(&words, ' ', &word) && !op.n) {
		helper = helper || str_eq_c(word, "helper");
		performed = performed || (helper && str_eq_c(word, "performed"));
		refused = refused || (helper && str_eq_c(word, "refused"));
		if (str_starts(word, STR("op=")))
			op = str_from(word, 3);
	}
	if (!op.n || performed == refused)
		return;
	count_use(u, op);
	u->performed += performed;
	u->refused += refused;
	if (refused)
		note_refusal(u, line);
}

static int by_count(const void *a, const void *b)
{
	const struct admin_use *x = a, *y = b;
	return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->name, y->name);
}

int admin_count_uses(struct admin_uses *ret, struct err *e)
{
	static const char *const journal[] = {"/usr/bin/journalctl", "-q", "--no-pager", "-o",
	    "cat", "-u", "slipway-helper.service", "--since", "-24h", NULL};
	static char text[LOG_SIZE];
	int status;
	struct str line;
	memset(ret, 0, sizeof(*ret));
	if (launch_tool_lines(journal, clock_mono_ms() + TOOL_MS, &status, text, sizeof(text), e) !=
	    0)
		return -1;
	if (status != 0)
		return err_set(e, ERR_FAILED, "the journal could not be read");
	for (struct str rest = str_c(text); str_next(&rest, '\n', &line);)
		read_use(ret, line);
	qsort(ret->v, ret->count, sizeof(*ret->v), by_count);
	return 0;
}
