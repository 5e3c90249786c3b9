/* rooms: base text */
/* covers: text/json.c */
/* json_read takes anything; what it took, written again, is read as the same value; json_put_str
 * makes JSON of anything. */
#include "text/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool b)
{
	if (!b)
		abort();
}

static void write_value(struct json_out *w, const char *key, json_t *v);

static void write_inside(struct json_out *w, json_t *v)
{
	const char *name;
	json_t *inner;
	size_t i;
	if (json_is_object(v))
		json_object_foreach(v, name, inner) write_value(w, name, inner);
	else
		json_array_foreach(v, i, inner) write_value(w, NULL, inner);
}

static void write_value(struct json_out *w, const char *key, json_t *v)
{
	if (json_is_object(v)) {
		json_open_object(w, key);
		write_inside(w, v);
		json_close_object(w);
	} else if (json_is_array(v)) {
		json_open_array(w, key);
		write_inside(w, v);
		json_close_array(w);
	} else if (json_is_string(v)) {
		json_put_str(w, key, (struct str){json_string_value(v), json_string_length(v)});
	} else if (json_is_integer(v)) {
		json_put_i64(w, key, json_integer_value(v));
	} else if (json_is_boolean(v)) {
		json_put_bool(w, key, json_is_true(v));
	} else if (json_is_null(v)) {
		json_put_null(w, key);
	} else {
		char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
		must(text != NULL);
		json_put_raw(w, key, str_c(text));
		free(text);
	}
}

static void check_round_trip(json_t *j, size_t size)
{
	CLEANUP_BUF struct buf b;
	struct json_out w;
	struct err e;
	buf_init(&b, 32 * size + 64);
	json_out_init(&w, &b);
	write_value(&w, NULL, j);
	must(!b.full);
	CLEANUP_JSON json_t *back = json_read(buf_view(&b), &e);
	must(back != NULL && json_equal(back, j));
}

/* What handlers do with a body. */
static void check_members(const json_t *j)
{
	static const char *const keys[] = {"a", "name", NULL};
	struct err e = {.code = ERR_NONE};
	struct str s;
	int64_t n;
	bool b;
	if (json_get_str(j, "a", &s, &e) == 1)
		must(str_utf8_ok(s));
	if (json_get_i64(j, "a", -5, 5, &n, &e) == 1)
		must(n >= -5 && n <= 5);
	(void)!json_get_bool(j, "a", &b, &e);
	if (json_known_keys(j, keys, &e) != 0)
		must(e.code == ERR_INVALID && str_utf8_ok(str_c(e.msg)));
}

/* Any bytes as a string, and their first eight as a time. */
static void check_any(struct str in)
{
	CLEANUP_BUF struct buf b;
	struct json_out w;
	int64_t at = 0;
	memcpy(&at, in.p, in.n < sizeof at ? in.n : sizeof at);
	buf_init(&b, 8 * in.n + 128);
	json_out_init(&w, &b);
	json_open_array(&w, NULL);
	json_put_str(&w, NULL, in);
	json_put_str(&w, NULL, STR_NONE);
	json_put_time(&w, NULL, at % 253402300800000);
	json_close_array(&w);
	must(!b.full && str_utf8_ok(buf_view(&b)));
	CLEANUP_JSON json_t *back = json_loadb(b.p, b.n, JSON_ALLOW_NUL, NULL);
	must(json_array_size(back) == 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	struct err e = {.code = ERR_NONE};
	CLEANUP_JSON json_t *j = json_read(in, &e);
	must((j == NULL) == (e.code != ERR_NONE));
	if (j != NULL) {
		check_members(j);
		check_round_trip(j, size);
	}
	if (size > 0)
		check_any(in);
	return 0;
}
