/* Reading what a verified delivery says. */
#include "hooks/sender_parts.h"

#include "base/name.h"
#include "base/num.h"

enum { CHANGES_MAX = 64 }; /* of one delivery that are looked at */

bool sender_is_key(struct str s)
{
	bool ok = s.n >= 1 && s.n <= 128;
	for (size_t i = 0; ok && i < s.n; i++)
		ok = s.p[i] > ' ' && s.p[i] < 127;
	return ok;
}

int sender_read_key(
    const struct http_request *r, const char *header, struct str *ret, struct err *e)
{
	*ret = http_header_get(r, header);
	if (!ret->p)
		return 0;
	if (sender_is_key(*ret))
		return 1;
	return err_set(
	    e, ERR_INVALID, "the %s header is not 1 to 128 printable characters", header);
}

int sender_read_keys(const struct http_request *r, const char *id_header, const char *kind_header,
    struct sender_event *ret, struct err *e)
{
	int found = sender_read_key(r, id_header, &ret->key, e);
	if (found == 0)
		err_set(e, ERR_INVALID, "the request has no %s header", id_header);
	if (found <= 0)
		return -1;
	found = sender_read_key(r, kind_header, &ret->kind, e);
	if (found == 0)
		err_set(e, ERR_INVALID, "the request has no %s header", kind_header);
	return found > 0 ? 0 : -1;
}

int sender_read_json(struct http_request *r, struct skim_member *members, size_t count,
    struct sender_event *ret, struct err *e)
{
	ret->json = r->body;
	if (!str_eq_nocase(http_content_type(r), STR("application/json")))
		ret->json = http_form_take(r, "payload");
	if (!ret->json.p)
		return err_set(e, ERR_INVALID, "the form has no field 'payload'");
	return skim_object(ret->json, members, count, r->arena, e);
}

struct str sender_text(struct str json, const char *pointer, struct arena *a)
{
	struct skim_member m;
	struct err ignored;
	if (skim_at(json, str_c(pointer), a, &m, &ignored) != 0 || m.type != SKIM_STRING)
		return STR_NONE;
	return m.value;
}

struct str sender_head(const struct sender *s, const struct sender_event *ev, struct arena *a)
{
	if (!s->head_at)
		return STR_NONE;
	return s->head_at[0] == '/' ? sender_text(ev->json, s->head_at, a) : str_c(s->head_at);
}

bool sender_is_zero(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '0')
			return false;
	return s.n > 0;
}

int sender_read_ref(
    struct str ref, struct str before, struct str after, struct sender_event *ret, struct err *e)
{
	const struct str commits[] = {before, after};
	if (!ref.n) {
		err_set(e, ERR_INVALID, "the push does not say its 'ref'");
		return err_at(e, "/ref");
	}
	for (size_t i = 0; i < 2; i++)
		if (commits[i].n && name_commit(commits[i], NULL) != 0) {
			err_set(e, ERR_INVALID, "'%s' is not a commit", i ? "after" : "before");
			return err_at(e, "/%s", i ? "after" : "before");
		}
	ret->before = before;
	ret->after = after;
	ret->push = true;
	ret->ignored = NULL;
	ret->ref = STR_NONE;
	if (!str_starts(ref, STR("refs/heads/"))) {
		ret->ignored = "not a branch";
		return 0;
	}
	ret->ref = str_from(ref, 11);
	if (name_ref(ret->ref, e) != 0)
		return err_at(e, "/ref");
	if (sender_is_zero(ret->after))
		ret->ignored = "the branch was deleted";
	return 0;
}

/* A string, null or nothing; anything else is none of a push. */
static int text_or_null(const struct skim_member *m, struct str *ret, struct err *e)
{
	*ret = m->type == SKIM_STRING ? m->value : STR_NONE;
	if (m->type == SKIM_ABSENT || m->type == SKIM_NULL ||
	    (m->type == SKIM_STRING && ret->n > 0))
		return 0;
	err_set(e, ERR_INVALID, "'%s' is not a commit", m->key);
	return err_at(e, "/%s", m->key);
}

static struct str number_at(struct str json, const char *pointer, struct arena *a)
{
	struct skim_member m;
	struct err ignored;
	bool there = skim_at(json, str_c(pointer), a, &m, &ignored) == 0 && m.type == SKIM_NUMBER;
	return there ? m.value : STR_NONE;
}

/* Which branch a pull request is for, and whether it comes from another repository. */
static void read_pull_sides(struct arena *a, struct sender_event *ret)
{
	struct str head = number_at(ret->json, "/pull_request/head/repo/id", a),
		   base = number_at(ret->json, "/pull_request/base/repo/id", a);
	ret->base = sender_text(ret->json, "/pull_request/base/ref", a);
	ret->stranger = !head.n || !str_eq(head, base);
}

/* GitHub's "pull_request", Gitea's and its kin's: of its many actions those that bring commits. */
static int read_pull(struct arena *a, struct sender_event *ret, struct err *e)
{
	static const char *const fresh[] = {"opened", "reopened", "synchronize", "synchronized"};
	struct str json = ret->json, action = sender_text(json, "/action", a);
	uint64_t number;
	for (size_t i = 0; i < sizeof(fresh) / sizeof(*fresh); i++)
		ret->pull = ret->pull || str_eq_c(action, fresh[i]);
	if (!ret->pull)
		return 0;
	ret->after = sender_text(json, "/pull_request/head/sha", a);
	read_pull_sides(a, ret);
	if (name_commit(ret->after, NULL) != 0 || name_ref(ret->base, NULL) != 0 ||
	    !num_u64(number_at(json, "/number", a), 1, UINT32_MAX, &number)) {
		ret->pull = false;
		return 0;
	}
	ret->ref = str_c(arena_printf(a, "refs/pull/%llu/head", (unsigned long long)number));
	return ret->ref.n ? 0 : err_set(e, ERR_TOO_LARGE, "the delivery is too large");
}

void sender_read_stored(
    struct str kind, struct str ref, struct str json, struct arena *a, struct sender_event *ret)
{
	*ret = (struct sender_event){.kind = kind, .ref = ref, .json = json};
	ret->ping = str_eq_c(kind, "ping");
	ret->pull = str_starts(ref, STR("refs/"));
	ret->push = ref.n > 0 && !ret->pull;
	if (ret->pull)
		read_pull_sides(a, ret);
	if (!ret->push)
		ret->ignored = ret->ping ? "a ping" : "not a push";
}

int sender_read_hub(struct http_request *r, struct sender_event *ret, struct err *e)
{
	enum { REF, BEFORE, AFTER, DELETED, MEMBERS };
	struct skim_member m[MEMBERS] = {
	    {.key = "ref"}, {.key = "before"}, {.key = "after"}, {.key = "deleted"}};
	struct str before, after;
	bool push = str_eq_c(ret->kind, "push");
	if (sender_read_json(r, m, push ? MEMBERS : 0, ret, e) != 0)
		return -1;
	if (!push) {
		ret->ping = str_eq_c(ret->kind, "ping");
		ret->ignored = ret->ping ? "a ping" : "not a push";
		return str_eq_c(ret->kind, "pull_request") ? read_pull(r->arena, ret, e) : 0;
	}
	if (text_or_null(&m[BEFORE], &before, e) != 0 || text_or_null(&m[AFTER], &after, e) != 0 ||
	    sender_read_ref(m[REF].value, before, after, ret, e) != 0)
		return -1;
	if (m[DELETED].type == SKIM_TRUE && !ret->ignored)
		ret->ignored = "the branch was deleted";
	return 0;
}

struct sender_event *sender_more(
    struct sender_event *first, size_t *count, struct arena *a, struct err *e)
{
	struct sender_event *last = first;
	if ((*count)++ == 0)
		return first;
	struct sender_event *more = *count > CHANGES_MAX ? NULL : arena_alloc(a, sizeof(*more));
	if (!more) {
		err_set(e, ERR_TOO_LARGE, "the push moves more than %d refs", CHANGES_MAX);
		return NULL;
	}
	while (last->next)
		last = last->next;
	*more = *first;
	more->next = NULL;
	last->next = more;
	return more;
}
