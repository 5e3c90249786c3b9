/* The OpenAPI 3.1 document, made from the table of routes and the schemas. */
#include "api/call.h"
#include "api/schema.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void ref_put(struct json_out *w, const char *key, const char *schema)
{
	char ref[128];
	snprintf(ref, sizeof(ref), "#/components/schemas/%s", schema);
	json_open_object(w, key);
	json_put_str(w, "$ref", str_c(ref));
	json_close_object(w);
}

static void of_put(struct json_out *w, const char *key, const char *of)
{
	if (strcmp(of, "string") != 0 && strcmp(of, "any") != 0) {
		ref_put(w, key, of);
		return;
	}
	json_open_object(w, key);
	if (strcmp(of, "string") == 0)
		json_put_str(w, "type", STR("string"));
	json_close_object(w);
}

static const char *type_name(enum api_type t)
{
	static const char *const names[API_TYPE_COUNT] = {[API_STRING] = "string",
	    [API_INTEGER] = "integer",
	    [API_BOOLEAN] = "boolean",
	    [API_TIME] = "string",
	    [API_OBJECT] = "object",
	    [API_LIST] = "array",
	    [API_MAP] = "object"};
	return names[t];
}

static void type_put(struct json_out *w, const struct api_field *f)
{
	if (f->type == API_ANY)
		return;
	if (!(f->flags & API_NULL)) {
		json_put_str(w, "type", str_c(type_name(f->type)));
		return;
	}
	json_open_array(w, "type");
	json_put_str(w, NULL, str_c(type_name(f->type)));
	json_put_str(w, NULL, STR("null"));
	json_close_array(w);
}

static void bounds_put(struct json_out *w, const struct api_field *f)
{
	if (f->type == API_STRING && f->max)
		json_put_i64(w, "maxLength", f->max);
	if (f->type == API_STRING && f->min)
		json_put_i64(w, "minLength", f->min);
	if (f->type == API_INTEGER && (f->min || f->max)) {
		json_put_i64(w, "minimum", f->min);
		json_put_i64(w, "maximum", f->max);
	}
	if (f->type == API_LIST && f->max)
		json_put_i64(w, "maxItems", f->max);
	if (f->type == API_TIME)
		json_put_str(w, "format", STR("date-time"));
}

static void field_put(struct json_out *w, const struct api_field *f)
{
	json_open_object(w, f->name);
	if (f->type == API_OBJECT) {
		json_open_array(w, "anyOf");
		ref_put(w, NULL, f->of);
		if (f->flags & API_NULL) {
			json_open_object(w, NULL);
			json_put_str(w, "type", STR("null"));
			json_close_object(w);
		}
		json_close_array(w);
	} else {
		type_put(w, f);
		bounds_put(w, f);
		if (f->type == API_LIST)
			of_put(w, "items", f->of);
		if (f->type == API_MAP)
			of_put(w, "additionalProperties", f->of);
	}
	if (f->about && f->about[0])
		json_put_str(w, "description", str_c(f->about));
	json_close_object(w);
}

static void required_put(struct json_out *w, const struct api_schema *s)
{
	bool open = false;
	for (size_t i = 0; i < s->field_count; i++) {
		if (!(s->fields[i].flags & API_REQUIRED))
			continue;
		if (!open)
			json_open_array(w, "required");
		open = true;
		json_put_str(w, NULL, str_c(s->fields[i].name));
	}
	if (open)
		json_close_array(w);
}

static void schema_put(struct json_out *w, const struct api_schema *s)
{
	json_open_object(w, s->name);
	json_put_str(w, "type", STR("object"));
	json_put_str(w, "description", str_c(s->about));
	if (s->map) {
		of_put(w, "additionalProperties", s->fields[0].of);
	} else {
		json_open_object(w, "properties");
		for (size_t i = 0; i < s->field_count; i++)
			field_put(w, &s->fields[i]);
		json_close_object(w);
		required_put(w, s);
		json_put_bool(w, "additionalProperties", false);
	}
	json_close_object(w);
}

static void parameter_put(
    struct json_out *w, struct str name, const char *in, bool required, const char *about)
{
	json_open_object(w, NULL);
	json_put_str(w, "name", name);
	json_put_str(w, "in", str_c(in));
	json_put_bool(w, "required", required);
	if (about)
		json_put_str(w, "description", str_c(about));
	json_open_object(w, "schema");
	json_put_str(w, "type", STR("string"));
	json_close_object(w);
	json_close_object(w);
}

static void parameters_put(struct json_out *w, const struct api_route *r)
{
	struct str rest = str_c(r->pattern), piece;
	json_open_array(w, "parameters");
	while (str_next(&rest, '/', &piece) == 1)
		if (piece.n > 2 && piece.p[0] == '{')
			parameter_put(w, str_slice(piece, 1, piece.n - 2), "path", true, NULL);
	rest = str_c(r->query);
	while (r->query && str_next(&rest, ' ', &piece) == 1)
		parameter_put(w, piece, "query", false, NULL);
	if (r->method == HTTP_POST)
		parameter_put(w, STR("Idempotency-Key"), "header", false,
		    "the answer is kept for 24 hours and given again to a repeat");
	if (r->method == HTTP_PATCH ||
	    (r->method == HTTP_PUT && str_ends(str_c(r->pattern), STR("/env"))))
		parameter_put(w, STR("If-Match"), "header", false, "the ETag that was read");
	json_close_array(w);
}

static void content_put(struct json_out *w, const char *schema)
{
	bool text = strcmp(schema, "text") == 0, events = strcmp(schema, "events") == 0,
	     bytes = strcmp(schema, "bytes") == 0;
	json_open_object(w, "content");
	json_open_object(w, text     ? "text/plain"
			    : events ? "text/event-stream"
			    : bytes  ? "application/octet-stream"
				     : "application/json");
	if (text || events || bytes || strcmp(schema, "any") == 0)
		of_put(w, "schema", text || events || bytes ? "string" : "any");
	else
		ref_put(w, "schema", schema);
	json_close_object(w);
	json_close_object(w);
}

static void request_put(struct json_out *w, const struct api_route *r)
{
	if (!r->request && !r->body_to_file)
		return;
	json_open_object(w, "requestBody");
	if (r->request) {
		content_put(w, r->request);
	} else {
		json_open_object(w, "content");
		json_open_object(w, "application/octet-stream");
		json_close_object(w);
		json_close_object(w);
	}
	json_close_object(w);
}

static void answers_put(struct json_out *w, const struct api_route *r)
{
	char status[8];
	snprintf(status, sizeof(status), "%d", r->status);
	json_open_object(w, "responses");
	json_open_object(w, status);
	json_put_str(w, "description", r->status == 101 ? STR("Switching protocols") : STR("Done"));
	if (r->status != 101)
		content_put(w, r->answer);
	json_close_object(w);
	json_open_object(w, "default");
	json_put_str(w, "description", STR("What went wrong"));
	json_open_object(w, "content");
	json_open_object(w, "application/problem+json");
	ref_put(w, "schema", "Problem");
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
}

static void operation_put(struct json_out *w, const struct api_route *r)
{
	static const char *const methods[HTTP_METHOD_COUNT] = {
	    "get", "head", "post", "put", "patch", "delete"};
	json_open_object(w, methods[r->method]);
	json_open_array(w, "tags");
	json_put_str(w, NULL, str_c(r->tag));
	json_close_array(w);
	json_put_str(w, "summary", str_c(r->summary));
	json_put_str(w, "x-access", str_c(access_need_name(r->access.need)));
	if (r->access.action)
		json_put_str(w, "x-audit", str_c(r->access.action));
	json_open_array(w, "security");
	if (r->access.need != ACCESS_PUBLIC) {
		json_open_object(w, NULL);
		json_open_array(w, "token");
		json_close_array(w);
		json_close_object(w);
	}
	json_close_array(w);
	parameters_put(w, r);
	request_put(w, r);
	answers_put(w, r);
	json_close_object(w);
}

/* A path stands once, with all its methods, where it comes first in the table. */
static void paths_put(struct json_out *w)
{
	size_t count;
	const struct api_route *t = api_route_table(&count);
	json_open_object(w, "paths");
	for (size_t i = 0; i < count; i++) {
		bool seen = false;
		for (size_t j = 0; j < i; j++)
			seen |= strcmp(t[j].pattern, t[i].pattern) == 0;
		if (seen)
			continue;
		json_open_object(w, t[i].pattern);
		for (size_t j = i; j < count; j++)
			if (strcmp(t[j].pattern, t[i].pattern) == 0)
				operation_put(w, &t[j]);
		json_close_object(w);
	}
	json_close_object(w);
}

static void components_put(struct json_out *w)
{
	const struct api_schema *s;
	json_open_object(w, "components");
	json_open_object(w, "securitySchemes");
	json_open_object(w, "token");
	json_put_str(w, "type", STR("http"));
	json_put_str(w, "scheme", STR("bearer"));
	json_close_object(w);
	json_close_object(w);
	json_open_object(w, "schemas");
	for (size_t i = 0; (s = api_schema_at(i)); i++)
		schema_put(w, s);
	json_close_object(w);
	json_close_object(w);
}

/* The same for everybody as long as the program runs, and asked for without a token: it is made
 * once, so that whoever asks for it again and again costs a copy. */
static struct buf document;

static void document_make(void)
{
	struct json_out w;
	buf_init(&document, 1u << 20);
	json_out_init(&w, &document);
	json_open_object(&w, NULL);
	json_put_str(&w, "openapi", STR("3.1.0"));
	json_open_object(&w, "info");
	json_put_str(&w, "title", STR("Slipway"));
	json_put_str(&w, "version", STR(SLIPWAY_VERSION));
	json_close_object(&w);
	paths_put(&w);
	components_put(&w);
	json_close_object(&w);
}

void api_openapi_write(struct buf *b)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, document_make);
	buf_str(b, buf_view(&document));
}
