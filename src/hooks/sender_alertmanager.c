/* Prometheus' Alertmanager: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, bodies of version 4. No signature and no
 * id: a secret that its configuration sends as `Authorization: Bearer`. What such an event says to people is hooks/alert.h's. */
#include "hooks/sender_parts.h"
#include "hooks/sender_rows.h"

static int alertmanager_read(struct http_request *r, struct sender_event *ret, struct err *e)
{
	struct skim_member status = {.key = "status"};
	ret->json = r->body;
	if (skim_object(ret->json, &status, 1, r->arena, e) != 0)
		return -1;
	if (str_eq_c(status.value, "firing"))
		ret->kind = STR("alert.firing");
	else if (str_eq_c(status.value, "resolved"))
		ret->kind = STR("alert.resolved");
	else if (str_eq_c(status.value, "ping"))
		ret->kind = STR("ping");
	else
		return err_set(e, ERR_INVALID, "the body's status is neither firing nor resolved");
	ret->ping = str_eq_c(ret->kind, "ping");
	ret->ignored = "not a push";
	return 0;
}

const struct sender sender_alertmanager = {
    .name = "alertmanager",
    .title = "Prometheus' Alertmanager",
    .content_type_hint = "application/json",
    .steps = "alertmanager.yml, of a receiver: webhook_configs: [{url: URL, http_config: {authorization: {credentials: SECRET}}}]; "
	     "the hook's action is notify",
    .ping = "{\"version\":\"4\",\"status\":\"ping\",\"alerts\":[]}",
    .signature_header = "Authorization",
    .verify = sender_verify_bearer,
    .read = alertmanager_read,
    .sign = sender_sign_bearer,
};
