#include "github/list.h"

#include "text/skim.h"

enum { ARENA_BYTES = 64 << 10 };

#define V4(a, b, c, d, n)                                                                          \
	{                                                                                          \
		.base = {.bytes = {a, b, c, d}, .size = 4}, .bits = (n)                            \
	}
#define V6(a, b, c, d, n)                                                                          \
	{                                                                                          \
		.base = {.bytes = {a, b, c, d}, .size = 16}, .bits = (n)                           \
	}
const struct github_list github_list_built_in = {
    {V4(192, 30, 252, 0, 22), V4(185, 199, 108, 0, 22), V4(140, 82, 112, 0, 20),
	V4(143, 55, 64, 0, 20), V6(0x2a, 0x0a, 0xa4, 0x40, 29), V6(0x26, 0x06, 0x50, 0xc0, 32)},
    6};

static int add(struct str text, struct github_list *l, struct err *e)
{
	struct cidr c;
	if (l->n == GITHUB_LIST_MAX)
		return err_set(
		    e, ERR_INVALID, "GitHub's list has more than %u ranges", GITHUB_LIST_MAX);
	if (cidr_parse(text, &c, e) != 0)
		return err_prefix(e, "GitHub's list of addresses");
	if (c.bits < (c.base.size == 4 ? GITHUB_LIST_BITS_MIN : GITHUB_LIST_BITS6_MIN) ||
	    cidr_not_public(&c.base))
		return err_set(e, ERR_INVALID,
		    "GitHub's list has a range that cannot be GitHub's: '%.*s'", STR_ARG(text));
	l->v[l->n++] = c;
	return 0;
}

static int check(const struct github_list *l, struct err *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].base.size == 4)
			return 0;
	return err_set(e, ERR_INVALID, "GitHub's list has no IPv4 range");
}

int github_list_read(struct str json, struct github_list *ret, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	/* the whole text is checked, so that a cut answer is none */
	struct skim_member hooks = {.key = "hooks"};
	struct str rest, one;
	arena_init(&a, ARENA_BYTES);
	*ret = (struct github_list){0};
	if (skim_object(json, &hooks, 1, &a, e) != 0)
		return err_prefix(e, "GitHub's answer");
	if (skim_at(json, STR("/hooks"), &a, &hooks, e) != 0 || hooks.type != SKIM_OTHER)
		return err_set(e, ERR_INVALID, "GitHub's answer has no list of hooks' addresses");
	for (rest = hooks.value; skim_each(&rest, &one);) {
		struct skim_member text;
		if (skim_at(one, STR(""), &a, &text, e) != 0 || text.type != SKIM_STRING)
			return err_set(e, ERR_INVALID, "GitHub's list holds something else");
		if (add(text.value, ret, e) != 0)
			return -1;
	}
	return check(ret, e);
}

int github_list_parse(struct str text, struct github_list *ret, struct err *e)
{
	struct str one;
	*ret = (struct github_list){0};
	while (str_next(&text, ' ', &one))
		if (add(one, ret, e) != 0)
			return -1;
	return check(ret, e);
}

void github_list_write(const struct github_list *l, struct buf *out)
{
	for (size_t i = 0; i < l->n; i++) {
		char text[CIDR_TEXT_SIZE];
		cidr_text(&l->v[i], text);
		buf_printf(out, "%s%s", i ? " " : "", text);
	}
}

bool github_list_holds(const struct github_list *l, const struct cidr_address *a)
{
	const struct github_list *known = l ? l : &github_list_built_in;
	return cidr_any_holds(known->v, known->n, a);
}
