#include "http/problem.h"

#include "base/log.h"
#include "text/json.h"

#include <stdio.h>

static bool given(const char *s)
{
	return s != NULL && s[0] != '\0';
}

/* Words may quote what a stranger sent: whoever prints them prints nothing that steers a terminal.
 */
static void put_words(struct json_out *w, const char *key, const char *words)
{
	char shown[2048];
	size_t n = log_escape_text(str_c(words), shown, sizeof shown);
	json_put_str(w, key, (struct str){shown, n});
}

void http_problem_write(struct buf *b, const struct http_problem *p)
{
	char type[96], id[24];
	(void)snprintf(type, sizeof type, "urn:slipway:problem:%s", p->type);
	(void)snprintf(id, sizeof id, "%llu", (unsigned long long)p->request_id);
	struct json_out w;
	json_out_init(&w, b);
	json_open_object(&w, NULL);
	json_put_str(&w, "type", str_c(type));
	json_put_str(&w, "title", str_c(p->title));
	json_put_i64(&w, "status", p->status);
	put_words(&w, "detail", p->detail);
	if (given(p->hint))
		put_words(&w, "hint", p->hint);
	json_put_str(&w, "request_id", str_c(id));
	if (given(p->pointer)) {
		json_open_array(&w, "errors");
		json_open_object(&w, NULL);
		json_put_str(&w, "pointer", str_c(p->pointer));
		put_words(&w, "detail", p->detail);
		json_close_object(&w);
		json_close_array(&w);
	}
	json_close_object(&w);
}
