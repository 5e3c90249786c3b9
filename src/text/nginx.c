#include "text/nginx.h"

#include <string.h>

#define EDITS_ROOM 4096u

struct reader {
	struct str text;
	size_t at;
	unsigned depth;
	struct str first; /* word of the statement under way */
	size_t words;	  /* of it so far */
	struct nginx_file *ret;
	struct err *e;
	bool failed;
};

static void fail(struct reader *r, enum err_code code, const char *why)
{
	if (!r->failed)
		(void)err_set(r->e, code, "%s", why);
	r->failed = true;
}

static void add_edit(struct reader *r, size_t at, enum site_place what)
{
	if (r->ret->edit_count == EDITS_ROOM) {
		fail(r, ERR_TOO_LARGE, "the file has too many blocks and includes");
		return;
	}
	r->ret->edits[r->ret->edit_count++] =
	    (struct site_edit){.at = (uint32_t)at, .what = (uint32_t)what};
}

/* Which places a directive's words may be, in the order they are looked for. */
static const struct row {
	const char *directive;
	enum site_place place;
	bool whole; /* the place is all of the word */
} rows[] = {{"include", SITE_SNIPPETS_ETC, false}, {"include", SITE_SNIPPETS, false},
    {"include", SITE_OPTIONS, true}, {"ssl_certificate", SITE_LIVE_ETC, false},
    {"ssl_certificate", SITE_LIVE, false}, {"ssl_certificate_key", SITE_LIVE_ETC, false},
    {"ssl_certificate_key", SITE_LIVE, false}, {"ssl_trusted_certificate", SITE_LIVE_ETC, false},
    {"ssl_trusted_certificate", SITE_LIVE, false}, {"ssl_dhparam", SITE_DHPARAMS, true}};

static void look_place(struct reader *r, struct str word)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct str text = str_c(site_place_text(rows[i].place));
		bool is = rows[i].whole ? str_eq(word, text) : str_starts(word, text);
		if (!is || !str_eq_c(r->first, rows[i].directive))
			continue;
		bool live = rows[i].place == SITE_LIVE_ETC || rows[i].place == SITE_LIVE;
		r->ret->certified = r->ret->certified || live;
		add_edit(r, (size_t)(word.p - r->text.p), rows[i].place);
		return;
	}
}

static void look_name(struct reader *r, struct str word)
{
	if (r->ret->named || !str_eq_c(r->first, "server_name"))
		return;
	if (r->ret->name_count == SITE_DOMAINS_MAX)
		fail(r, ERR_TOO_LARGE, "its first server_name line has more than 64 names");
	else
		r->ret->names[r->ret->name_count++] = word;
}

static void end_word(struct reader *r, struct str word)
{
	if (r->words++ == 0) {
		r->first = word;
		return;
	}
	look_place(r, word);
	look_name(r, word);
}

static void end_statement(struct reader *r)
{
	if (r->words > 0 && str_eq_c(r->first, "server_name"))
		r->ret->named = true;
	r->words = 0;
	r->first = STR_NONE;
}

static void open_block(struct reader *r)
{
	if (r->depth == 0 && r->words == 1 && str_eq_c(r->first, "server"))
		add_edit(r, r->at, SITE_SERVER);
	r->depth++;
	end_statement(r);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* From behind the opening quote to behind the closing one. */
static void read_quoted(struct reader *r, char quote)
{
	size_t from = r->at;
	while (r->at < r->text.n && r->text.p[r->at] != quote)
		r->at += r->text.p[r->at] == '\\' ? 2 : 1;
	size_t end = r->at < r->text.n ? r->at : r->text.n;
	end_word(r, str_slice(r->text, from, end - from));
	r->at = end < r->text.n ? end + 1 : end;
}

/* A brace behind '$' belongs to a variable's name. */
static void read_bare(struct reader *r)
{
	size_t from = r->at;
	while (r->at < r->text.n) {
		char c = r->text.p[r->at];
		if (is_blank(c) || c == ';' || c == '{')
			break;
		bool pair =
		    c == '\\' || (c == '$' && r->at + 1 < r->text.n && r->text.p[r->at + 1] == '{');
		r->at += pair ? 2 : 1;
	}
	if (r->at > r->text.n)
		r->at = r->text.n;
	end_word(r, str_slice(r->text, from, r->at - from));
}

static void skip_line(struct reader *r)
{
	size_t end = str_find(r->text, '\n', r->at);
	r->at = end == SIZE_MAX ? r->text.n : end + 1;
}

static void read_one(struct reader *r)
{
	char c = r->text.p[r->at];
	if (c == '#') {
		skip_line(r);
		return;
	}
	if (!is_blank(c) && c != ';' && c != '{' && c != '}' && c != '"' && c != '\'') {
		read_bare(r);
		return;
	}
	r->at++;
	if (c == '"' || c == '\'')
		read_quoted(r, c);
	else if (c == '{')
		open_block(r);
	else if (c == ';')
		end_statement(r);
	else if (c == '}') {
		r->depth -= r->depth > 0;
		end_statement(r);
	}
}

static void *keep(struct arena *a, const void *list, size_t count, size_t size)
{
	void *p = arena_array(a, count + 1, size);
	if (p && count > 0)
		memcpy(p, list, count * size);
	return p;
}

int nginx_read(struct str text, struct arena *a, struct nginx_file *ret, struct err *e)
{
	static const struct nginx_file none;
	*ret = none;
	if (text.n > SITE_BYTES_MAX)
		return err_set(e, ERR_TOO_LARGE, "it has more than %u bytes", SITE_BYTES_MAX);
	if (text.n > 0 && memchr(text.p, '\0', text.n))
		return err_set(e, ERR_INVALID, "it holds a NUL byte");
	struct site_edit edits[EDITS_ROOM] = {{0}};
	struct str names[SITE_DOMAINS_MAX] = {{0}};
	ret->edits = edits;
	ret->names = names;
	struct reader r = {.text = text, .ret = ret, .e = e};
	while (r.at < text.n && !r.failed)
		read_one(&r);
	ret->edits = keep(a, edits, ret->edit_count, sizeof(*edits));
	ret->names = keep(a, names, ret->name_count, sizeof(*names));
	if (!r.failed && (!ret->edits || !ret->names))
		fail(&r, ERR_TOO_LARGE, "there is no memory left for it");
	return r.failed ? -1 : 0;
}
