/* Particle: https://docs.particle.io/reference/cloud-apis/webhooks/. No signature and no id: a
 * secret that the integration sends as a header `Authorization: Bearer`, or as the password of HTTP
 * basic authentication with any user name. The body is a form (event, data, coreid, published_at)
 * unless the integration says JSON. */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

#include "text/json.h"

enum { FIELDS_MAX = 64, FORM_BYTES_MAX = 1 << 20 };

static enum sender_verdict particle_verify(
    const struct http_request *r, const struct sender_proof *p, struct err *e)
{
	struct str sent = sender_bearer_token(r);
	if (!sent.p)
		sent = sender_basic_password(r);
	return sender_verify_token(sent, p, "Authorization", e);
}

/* The form as a JSON object of strings, so that filters and programs see one shape. */
static int form_to_json(struct http_request *r, struct str *ret, struct err *e)
{
	CLEANUP_BUF struct buf b;
	struct json_out w;
	struct str name, value;
	size_t at = 0, count = 0;
	int more = 0;
	if (r->body.n > FORM_BYTES_MAX)
		return err_set(e, ERR_TOO_LARGE, "the form is larger than 1 MiB");
	buf_init(&b, 6 * FORM_BYTES_MAX);
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	while (count < FIELDS_MAX && (more = http_form_each(r, &at, &name, &value)) > 0) {
		char *key = arena_cstr(r->arena, name);
		if (!key || !str_utf8_ok(name) || !str_utf8_ok(value))
			return err_set(e, ERR_INVALID, "the form is not UTF-8");
		json_put_str(&w, key, value);
		count++;
	}
	json_close_object(&w);
	if (more < 0)
		return err_set(e, ERR_INVALID, "the form is malformed");
	*ret = b.full ? STR_NONE : arena_str(r->arena, buf_view(&b));
	return ret->p ? 0 : err_set(e, ERR_TOO_LARGE, "the form is too large");
}

static int particle_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	struct skim_member event = {.key = "event"};
	ret->json = r->body;
	if (!str_eq_nocase(http_content_type(r), STR("application/json")) &&
	    form_to_json(r, &ret->json, e) != 0)
		return -1;
	if (skim_object(ret->json, &event, 1, r->arena, e) != 0)
		return -1;
	ret->kind = sender_is_key(event.value) ? event.value : STR("event");
	ret->ignored = "not a push";
	return 0;
}

const struct sender sender_particle = {
    .name = "particle",
    .title = "Particle",
    .content_type_hint = "a form or application/json",
    .steps = "Integrations > Add new integration > Webhook: URL, Request Type POST; HTTP headers: "
	     "Authorization, Bearer and the secret",
    .ping = "{\"event\":\"ping\",\"data\":\"\"}",
    .signature_header = "Authorization",
    .forms = true,
    .verify = particle_verify,
    .read = particle_read,
    .sign = sender_sign_bearer,
};
