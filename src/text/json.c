#include "text/json.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64
#define SUGGEST_BYTES_MAX 40

/* jansson's own bound on nesting is 2,048; ours is checked before it allocates anything. */
static bool too_deep(struct str s)
{
	size_t depth = 0;
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > DEPTH_MAX)
				return true;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

/* jansson takes a string for which there was no memory for a wrong one, so its allocator remembers.
 */
static _Thread_local bool no_memory;

static void *noting_malloc(size_t n)
{
	void *p = malloc(n);
	no_memory |= p == NULL;
	return p;
}

static void set_allocator(void)
{
	json_set_alloc_funcs(noting_malloc, free);
}

json_t *json_read(struct str s, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	if (s.n > LIMIT_HOOK_BODY_BYTES) {
		(void)err_set(e, ERR_TOO_LARGE, "the JSON text is larger than %u bytes",
		    LIMIT_HOOK_BODY_BYTES);
		return NULL;
	}
	if (too_deep(s)) {
		(void)err_set(
		    e, ERR_INVALID, "the JSON text is nested deeper than %d levels", DEPTH_MAX);
		return NULL;
	}
	if (s.n > 0 && memchr(s.p, 0, s.n) != NULL) { /* jansson passes over one behind a number */
		(void)err_set(e, ERR_INVALID, "the JSON text holds a NUL byte");
		return NULL;
	}
	json_error_t fault;
	(void)pthread_once(&once, set_allocator);
	no_memory = false;
	json_t *j = json_loadb(
	    s.p != NULL ? s.p : "", s.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
	if (no_memory) {
		json_decref(j); /* what it made of a part */
		(void)err_set(e, ERR_UNAVAILABLE, "could not read the JSON text: no memory");
		return NULL;
	}
	if (j == NULL)
		(void)err_set(e, ERR_INVALID, "line %d, column %d is not JSON: %s", fault.line,
		    fault.column, fault.text);
	return j;
}

void json_release_ptr(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

/* The member, or NULL when it is absent or null. */
static const json_t *member(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return v == NULL || json_is_null(v) ? NULL : v;
}

static int wrong(struct err *e, const char *key, const char *want)
{
	(void)err_set(e, ERR_INVALID, "'%s' must be %s", key, want);
	return err_at(e, "/%s", key);
}

int json_get_str(const json_t *o, const char *key, struct str *ret, struct err *e)
{
	const json_t *v = member(o, key);
	if (v == NULL)
		return 0;
	if (!json_is_string(v))
		return wrong(e, key, "a string");
	*ret = (struct str){json_string_value(v), json_string_length(v)};
	return 1;
}

int json_get_i64(
    const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret, struct err *e)
{
	const json_t *v = member(o, key);
	if (v == NULL)
		return 0;
	if (!json_is_integer(v))
		return wrong(e, key, "a whole number");
	int64_t n = json_integer_value(v);
	if (n < min || n > max) {
		(void)err_set(e, ERR_INVALID, "'%s' must be from %lld to %lld", key, (long long)min,
		    (long long)max);
		return err_at(e, "/%s", key);
	}
	*ret = n;
	return 1;
}

int json_get_bool(const json_t *o, const char *key, bool *ret, struct err *e)
{
	const json_t *v = member(o, key);
	if (v == NULL)
		return 0;
	if (!json_is_boolean(v))
		return wrong(e, key, "true or false");
	*ret = json_is_true(v);
	return 1;
}

/* Levenshtein's distance, for short words; a long one is far from everything. */
static size_t distance(const char *a, const char *b)
{
	size_t an = strlen(a), bn = strlen(b), row[SUGGEST_BYTES_MAX + 1];
	if (an > SUGGEST_BYTES_MAX || bn > SUGGEST_BYTES_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= bn; j++)
		row[j] = j;
	for (size_t i = 1; i <= an; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= bn; j++) {
			size_t swap = diagonal + (a[i - 1] != b[j - 1]);
			size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			diagonal = row[j];
			row[j] = swap < step ? swap : step;
		}
	}
	return row[bn];
}

static int unknown_key(const char *key, const char *const *keys, struct err *e)
{
	const char *nearest = NULL;
	size_t best = strlen(key) / 2 + 1;
	for (size_t i = 0; keys[i] != NULL; i++) {
		size_t d = distance(key, keys[i]);
		if (d < best) {
			best = d;
			nearest = keys[i];
		}
	}
	char shown[80];
	(void)log_escape(str_c(key), shown, sizeof(shown));
	(void)err_set(e, ERR_INVALID, "'%s' is not known here", shown);
	if (nearest != NULL)
		(void)err_hint(e, "did you mean '%s'?", nearest);
	return err_at(e, "/%s", key);
}

static bool listed(const char *key, const char *const *keys)
{
	for (size_t i = 0; keys[i] != NULL; i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

int json_known_keys(const json_t *o, const char *const *keys, struct err *e)
{
	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "the JSON text must be an object");
	/* jansson's iteration takes a pointer without const, but changes nothing. */
	json_t *object = (json_t *)(uintptr_t)o;
	for (void *at = json_object_iter(object); at != NULL;
	     at = json_object_iter_next(object, at))
		if (!listed(json_object_iter_key(at), keys))
			return unknown_key(json_object_iter_key(at), keys, e);
	return 0;
}

/* Writing. */

void json_out_init(struct json_out *w, struct buf *b)
{
	*w = (struct json_out){.b = b};
}

static void put_control(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = "btn_fr"; /* from \b, 0x08 */
	if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
		char two[2] = {'\\', letters[c - 0x08]};
		buf_put(b, two, 2);
		return;
	}
	char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
	buf_put(b, six, 6);
}

/* How many bytes from the front can be copied as they are. */
static size_t plain_run(struct str s)
{
	size_t i = 0;
	while (i < s.n) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x80) {
			if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
				break;
			i++;
			continue;
		}
		uint32_t point;
		size_t step = str_utf8_next(str_from(s, i), &point);
		if (step == 0)
			break;
		i += step;
	}
	return i;
}

static void put_quoted(struct buf *b, struct str s)
{
	buf_char(b, '"');
	for (;;) {
		size_t run = plain_run(s);
		buf_put(b, s.p, run);
		s = str_from(s, run);
		if (s.n == 0)
			break;
		unsigned char c = (unsigned char)s.p[0];
		if (c >= 0x80) {
			buf_c(b, "\xef\xbf\xbd");
		} else if (c == '"' || c == '\\') {
			char two[2] = {'\\', (char)c};
			buf_put(b, two, 2);
		} else {
			put_control(b, c);
		}
		s = str_from(s, 1);
	}
	buf_char(b, '"');
}

static void begin(struct json_out *w, const char *key)
{
	if (w->comma)
		buf_char(w->b, ',');
	w->comma = true;
	if (key == NULL)
		return;
	put_quoted(w->b, str_c(key));
	buf_char(w->b, ':');
}

static void open_with(struct json_out *w, const char *key, char c)
{
	begin(w, key);
	buf_char(w->b, c);
	w->comma = false;
}

static void close_with(struct json_out *w, char c)
{
	buf_char(w->b, c);
	w->comma = true;
}

void json_open_object(struct json_out *w, const char *key)
{
	open_with(w, key, '{');
}

void json_close_object(struct json_out *w)
{
	close_with(w, '}');
}

void json_open_array(struct json_out *w, const char *key)
{
	open_with(w, key, '[');
}

void json_close_array(struct json_out *w)
{
	close_with(w, ']');
}

void json_put_raw(struct json_out *w, const char *key, struct str json)
{
	begin(w, key);
	buf_str(w->b, json);
}

void json_put_str(struct json_out *w, const char *key, struct str v)
{
	begin(w, key);
	if (v.p == NULL)
		buf_c(w->b, "null");
	else
		put_quoted(w->b, v);
}

void json_put_i64(struct json_out *w, const char *key, int64_t v)
{
	begin(w, key);
	buf_printf(w->b, "%lld", (long long)v);
}

void json_put_bool(struct json_out *w, const char *key, bool v)
{
	json_put_raw(w, key, v ? STR("true") : STR("false"));
}

void json_put_null(struct json_out *w, const char *key)
{
	json_put_raw(w, key, STR("null"));
}

void json_put_time(struct json_out *w, const char *key, int64_t wall_ms)
{
	char text[32];
	if (wall_ms <= 0) {
		json_put_null(w, key);
		return;
	}
	clock_format(wall_ms, text);
	json_put_str(w, key, str_c(text));
}
