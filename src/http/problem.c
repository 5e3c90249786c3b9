#include "http/problem.h"

#include "text/json.h"

#include <stdio.h>

static bool given(const char *s)
{
	return s != NULL && s[0] != '\0';
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
	json_put_str(&w, "detail", str_c(p->detail));
	if (given(p->hint))
		json_put_str(&w, "hint", str_c(p->hint));
	json_put_str(&w, "request_id", str_c(id));
	if (given(p->pointer)) {
		json_open_array(&w, "errors");
		json_open_object(&w, NULL);
		json_put_str(&w, "pointer", str_c(p->pointer));
		json_put_str(&w, "detail", str_c(p->detail));
		json_close_object(&w);
		json_close_array(&w);
	}
	json_close_object(&w);
}
