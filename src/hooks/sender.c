#include "hooks/sender.h"

#include "base/ct.h"
#include "base/hex.h"
#include "base/name.h"
#include "text/skim.h"

static const struct sender *const senders[] = {&sender_github, &sender_generic};

const struct sender *sender_find(struct str name)
{
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++)
		if (str_eq_c(name, senders[i]->name))
			return senders[i];
	return NULL;
}

const char *sender_names(void)
{
	return "github, generic";
}

int sender_check_sha256(
    const struct http_request *r, const char *header, struct hmac_key *key, struct err *e)
{
	uint8_t want[HMAC_SHA256_BYTES], got[HMAC_SHA256_BYTES];
	struct str sent = http_header_get(r, header);
	hmac_sha256(
	    key, r->body, want); /* always, so that a missing header takes as long as a wrong one */
	if (!sent.p) {
		err_set(e, ERR_UNAUTHORIZED, "the request has no %s header", header);
		return err_hint(e, "set the hook's secret at the sender");
	}
	if (!str_starts(sent, STR("sha256=")) || !hex_decode(str_from(sent, 7), got, sizeof(got)))
		return err_set(e, ERR_UNAUTHORIZED,
		    "the %s header is not sha256= and 64 hexadecimal digits", header);
	if (!ct_eq((struct str){(const char *)want, sizeof(want)},
		(struct str){(const char *)got, sizeof(got)})) {
		err_set(e, ERR_UNAUTHORIZED, "the signature does not fit the body");
		return err_hint(e, "the secret at the sender is not the hook's");
	}
	return 0;
}

int sender_read_key(
    const struct http_request *r, const char *header, struct str *ret, struct err *e)
{
	*ret = http_header_get(r, header);
	if (!ret->p)
		return 0;
	bool ok = ret->n >= 1 && ret->n <= 128;
	for (size_t i = 0; ok && i < ret->n; i++)
		ok = ret->p[i] > ' ' && ret->p[i] < 127;
	return ok ? 1
		  : err_set(e, ERR_INVALID, "the %s header is not 1 to 128 printable characters",
			header);
}

static bool commit_is_zero(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '0')
			return false;
	return s.n > 0;
}

static int push_commits(const struct skim_member *before, const struct skim_member *after,
    struct sender_event *ret, struct err *e)
{
	const struct skim_member *from[] = {before, after};
	struct str *to[] = {&ret->before, &ret->after};
	for (int i = 0; i < 2; i++) {
		if (from[i]->type == SKIM_ABSENT || from[i]->type == SKIM_NULL)
			continue;
		if (from[i]->type != SKIM_STRING || name_commit(from[i]->value, NULL) != 0) {
			err_set(e, ERR_INVALID, "'%s' is not a commit", from[i]->key);
			return err_at(e, "/%s", from[i]->key);
		}
		*to[i] = from[i]->value;
	}
	return 0;
}

int sender_read_push(const struct http_request *r, struct sender_event *ret, struct err *e)
{
	enum { REF, BEFORE, AFTER, DELETED, MEMBERS };
	struct skim_member m[MEMBERS] = {
	    {.key = "ref"}, {.key = "before"}, {.key = "after"}, {.key = "deleted"}};
	if (skim_object(r->body, m, MEMBERS, r->arena, e) != 0)
		return -1;
	if (m[REF].type != SKIM_STRING) {
		err_set(e, ERR_INVALID, "the push does not say its 'ref'");
		return err_at(e, "/ref");
	}
	if (push_commits(&m[BEFORE], &m[AFTER], ret, e) != 0)
		return -1;
	ret->push = true;
	if (!str_starts(m[REF].value, STR("refs/heads/"))) {
		ret->ignored = "not a branch";
		return 0;
	}
	ret->ref = str_from(m[REF].value, 11);
	if (name_ref(ret->ref, e) != 0)
		return err_at(e, "/ref");
	if (m[DELETED].type == SKIM_TRUE || commit_is_zero(ret->after))
		ret->ignored = "the branch was deleted";
	return 0;
}
