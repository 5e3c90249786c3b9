/* rooms: base text */
/* json_read takes anything; json_put_str makes JSON of anything, which json_read then takes (but
 * for NUL). */
#include "text/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {"a", "name", NULL};
	struct str in = {(const char *)data, size};
	struct err e = {.code = ERR_NONE};
	struct str s;
	int64_t n;
	CLEANUP_JSON json_t *j = json_read(in, &e);
	if ((j == NULL) != (e.code != ERR_NONE))
		abort();
	if (json_get_str(j, "a", &s, &e) == 1 && !str_utf8_ok(s))
		abort();
	(void)!json_get_i64(j, "a", -5, 5, &n, &e);
	(void)!json_known_keys(j, keys, &e);
	CLEANUP_BUF struct buf b;
	struct json_out w;
	buf_init(&b, 8 * size + 64);
	json_out_init(&w, &b);
	json_open_array(&w, NULL);
	json_put_str(&w, NULL, in);
	json_close_array(&w);
	if (b.full || !str_utf8_ok(buf_view(&b)))
		abort();
	json_t *back = json_loadb(b.p, b.n, JSON_ALLOW_NUL, NULL);
	if (back == NULL)
		abort();
	json_decref(back);
	return 0;
}
