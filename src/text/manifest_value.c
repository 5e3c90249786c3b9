#include "text/manifest_value.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/name.h"
#include "base/num.h"
#include "text/procfile.h"

#include <stdio.h>
#include <string.h>

int manifest_value_fault(struct manifest_reader *r, const struct yaml_node *n, const char *fmt, ...)
{
	char what[400];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_INVALID, "%s:%u:%u: %s", r->file, n->line, n->column, what);
}

int manifest_value_no_room(struct manifest_reader *r)
{
	return err_set(r->e, ERR_TOO_LARGE, "%s is too large to be read", r->file);
}

int manifest_value_is(struct manifest_reader *r, const char *key, const struct yaml_node *n,
    enum yaml_type type, const char *example)
{
	if (n->type == type)
		return 0;
	struct yaml_node wanted = {.type = type};
	manifest_value_fault(
	    r, n, "'%s' is %s where %s belongs", key, yaml_type_name(n), yaml_type_name(&wanted));
	return example ? err_hint(r->e, "write %s", example) : -1;
}

/* Edits (insert, delete, replace, swap neighbours) from a to b; both short. */
static unsigned distance(struct str a, const char *b)
{
	enum { MAX = 32 };
	size_t bn = strlen(b);
	if (a.n >= MAX || bn >= MAX)
		return MAX;
	unsigned d[MAX + 1][MAX + 1];
	for (size_t i = 0; i <= a.n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= bn; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++)
		for (size_t j = 1; j <= bn; j++) {
			unsigned best = d[i - 1][j - 1] + (a.p[i - 1] != b[j - 1]);
			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a.p[i - 1] == b[j - 2] && a.p[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[a.n][bn];
}

static const char *nearest(const struct manifest_field *table, struct str key)
{
	const char *best = table->key;
	unsigned least = 1000;
	for (const struct manifest_field *f = table; f->key; f++) {
		unsigned d = distance(key, f->key);
		if (d < least) {
			least = d;
			best = f->key;
		}
	}
	return best;
}

static int unknown_key(struct manifest_reader *r, const struct manifest_field *table,
    const char *what, const struct yaml_node *n)
{
	char shown[80];
	log_escape(n->key, shown, sizeof(shown));
	err_set(r->e, ERR_INVALID, "%s:%u:%u: unknown key '%s'%s%s", r->file, n->key_line,
	    n->key_column, shown, *what ? " in " : "", what);
	return err_hint(r->e, "the nearest known key is '%s'", nearest(table, n->key));
}

int manifest_value_table(struct manifest_reader *r, const struct manifest_field *table,
    const char *what, const struct yaml_node *n, void *base)
{
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		const struct manifest_field *f = table;
		while (f->key && !str_eq_c(c->key, f->key))
			f++;
		if (!f->key)
			return unknown_key(r, table, what, c);
		if (!yaml_is_null(c) && f->read(r, f, c, (char *)base + f->offset))
			return -1;
	}
	return 0;
}

int manifest_value_map(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (manifest_value_is(r, f->key, n, YAML_MAP, NULL))
		return -1;
	return manifest_value_table(r, f->sub, f->key, n, (char *)at - f->offset);
}

int manifest_value_array(struct manifest_reader *r, const char *key, const struct yaml_node *n,
    size_t max, size_t size, void **ret, size_t *ret_count)
{
	if (n->count > max) {
		(void)manifest_value_fault(
		    r, n, "'%s' has %zu entries, more than %zu", key, n->count, max);
		return -1;
	}
	*ret = arena_array(r->a, n->count, size);
	*ret_count = n->count;
	return *ret ? 0 : manifest_value_no_room(r);
}

int manifest_value_named(struct manifest_reader *r, const struct yaml_node *n, struct str value,
    bool at_key, int (*check)(struct str, struct err *))
{
	if (!check(value, r->e))
		return 0;
	return err_prefix(r->e, "%s:%u:%u", r->file, at_key ? n->key_line : n->line,
	    at_key ? n->key_column : n->column);
}

static int scalar(struct manifest_reader *r, const struct manifest_field *f,
    const struct yaml_node *n, const char *example)
{
	if (n->type == YAML_SCALAR)
		return 0;
	manifest_value_fault(
	    r, n, "'%s' is %s where a single value belongs", f->key, yaml_type_name(n));
	return example ? err_hint(r->e, "write %s: %s", f->key, example) : -1;
}

static int bad_value(struct manifest_reader *r, const struct manifest_field *f,
    const struct yaml_node *n, const char *wanted)
{
	char shown[80];
	log_escape(n->text, shown, sizeof(shown));
	return manifest_value_fault(r, n, "'%s' is '%s', which is not %s", f->key, shown, wanted);
}

int manifest_value_bool(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (scalar(r, f, n, "true"))
		return -1;
	bool yes = str_eq_c(n->text, "true");
	if (!yes && !str_eq_c(n->text, "false"))
		return bad_value(r, f, n, "true or false");
	*(bool *)at = yes;
	return 0;
}

int manifest_value_duration(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (scalar(r, f, n, "30s"))
		return -1;
	int64_t ms;
	if (!num_duration(n->text, f->max, &ms)) {
		char longest[32];
		num_duration_text(f->max, longest);
		bad_value(r, f, n, "a duration within its limit");
		return err_hint(
		    r->e, "a number with ms, s, m, h or d, such as 30s; at most %s", longest);
	}
	if (ms < f->min)
		return bad_value(r, f, n, "long enough");
	*(int64_t *)at = ms;
	return 0;
}

int manifest_value_size(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (scalar(r, f, n, "512M"))
		return -1;
	uint64_t bytes;
	if (!num_size(n->text, (uint64_t)f->max, &bytes) || bytes < (uint64_t)f->min) {
		char least[32], most[32];
		num_size_text((uint64_t)f->min, least);
		num_size_text((uint64_t)f->max, most);
		bad_value(r, f, n, "a size within its limits");
		return err_hint(r->e,
		    "a number with K, M, G or T (binary), such as 512M; from %s to %s", least,
		    most);
	}
	*(uint64_t *)at = bytes;
	return 0;
}

static int number(struct manifest_reader *r, const struct manifest_field *f,
    const struct yaml_node *n, int64_t *ret)
{
	if (scalar(r, f, n, NULL))
		return -1;
	if (num_i64(n->text, f->min, f->max, ret))
		return 0;
	char wanted[80];
	snprintf(wanted, sizeof(wanted), "a number from %lld to %lld", (long long)f->min,
	    (long long)f->max);
	return bad_value(r, f, n, wanted);
}

int manifest_value_u32(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	int64_t v;
	if (number(r, f, n, &v))
		return -1;
	*(uint32_t *)at = (uint32_t)v;
	return 0;
}

int manifest_value_u16(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	int64_t v;
	if (number(r, f, n, &v))
		return -1;
	*(uint16_t *)at = (uint16_t)v;
	return 0;
}

int manifest_value_milli(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (scalar(r, f, n, "1.0"))
		return -1;
	int64_t milli;
	if (!num_milli(n->text, f->max, &milli) || milli < f->min)
		return bad_value(r, f, n, "a number of processors such as 0.5 or 2");
	*(uint32_t *)at = (uint32_t)milli;
	return 0;
}

static bool printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && str_utf8_ok(s);
}

int manifest_value_word(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (scalar(r, f, n, NULL))
		return -1;
	if (!printable(n->text) || n->text.n > 1024)
		return bad_value(r, f, n, "one line of text");
	*(struct str *)at = n->text;
	return 0;
}

int manifest_value_subpath(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (scalar(r, f, n, NULL))
		return -1;
	struct str path = n->text;
	if (str_starts(path, STR("./")))
		path = str_from(path, 2);
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	if (str_eq_c(path, ".") || str_eq_c(n->text, "./"))
		path.n = 0;
	else if (manifest_value_named(r, n, path, false, name_subpath))
		return -1;
	*(struct str *)at = path;
	return 0;
}

/* One word of the list form, quoted when YAML would read it otherwise. */
static void put_word(struct buf *b, struct str w)
{
	bool plain = w.n > 0;
	for (size_t i = 0; plain && i < w.n; i++) {
		char c = w.p[i];
		plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') ||
			(c != '\0' && strchr("./_+=-", c) && (i > 0 || c == '.' || c == '/'));
	}
	buf_c(b, plain ? "" : "'");
	for (size_t i = 0; i < w.n; i++)
		buf_c(b, w.p[i] == '\'' ? "''" : (char[]){w.p[i], '\0'});
	buf_c(b, plain ? "" : "'");
}

/* A string where a list belongs: show how the list would look. */
static int list_wanted(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n)
{
	struct buf form CLEANUP_BUF;
	buf_init_parser(&form, 300);
	struct manifest_command cmd;
	if (procfile_split(n->text, 1, r->a, &cmd, NULL) == 0 && !cmd.expand && !cmd.env_count) {
		for (size_t i = 0; i < cmd.argv.n; i++) {
			buf_c(&form, i ? ", " : "[");
			put_word(&form, cmd.argv.v[i]);
		}
		buf_char(&form, ']');
	}
	manifest_value_fault(r, n, "'%s' is a single value where a list of words belongs", f->key);
	if (form.n == 0 || form.full)
		return err_hint(r->e,
		    "write each word as one entry: [program, first, second]; no shell runs it");
	return err_hint(r->e, "write %.*s", STR_ARG(buf_view(&form)));
}

int manifest_value_argv(
    struct manifest_reader *r, const struct manifest_field *f, const struct yaml_node *n, void *at)
{
	if (n->type == YAML_SCALAR)
		return list_wanted(r, f, n);
	if (manifest_value_is(r, f->key, n, YAML_LIST, "[program, first, second]"))
		return -1;
	if (n->count == 0)
		return manifest_value_fault(
		    r, n, "'%s' is an empty list; it needs a program", f->key);
	struct args out = {0};
	void *v;
	if (manifest_value_array(r, f->key, n, LIMIT_ARGV_COUNT, sizeof(struct str), &v, &out.n))
		return -1;
	out.v = v;
	size_t bytes = 0, i = 0;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (c->type != YAML_SCALAR)
			return manifest_value_fault(
			    r, c, "a word of '%s' is %s", f->key, yaml_type_name(c));
		bytes += c->text.n + 1;
		out.v[i++] = c->text;
	}
	if (bytes > LIMIT_ARGV_BYTES)
		return manifest_value_fault(
		    r, n, "'%s' has %zu bytes, more than %u", f->key, bytes, LIMIT_ARGV_BYTES);
	if (out.v[0].n == 0)
		return manifest_value_fault(r, n->first, "'%s' begins with an empty word", f->key);
	*(struct args *)at = out;
	return 0;
}
