/* What `slipway audit` found, told to the platform's channels. The daemon does not look itself: it
 * has not the rights. */
#include "api/routes.h"

#include "base/clock.h"
#include "base/rand.h"
#include "notify/notify.h"

#include <stdio.h>

static int tell_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	char key[64], token[RAND_TOKEN_SIZE];
	struct str report = api_str(c->body, "report");
	rand_token(token);
	(void)snprintf(key, sizeof(key), "server-audit/%s", token);
	const struct message_field fields[] = {
	    {"message", api_str(c->body, "message")}, {"report", report.p ? report : STR("")}};
	const struct notify_news n = {.event = STR("server.critical"),
	    .key = str_c(key),
	    .fields = fields,
	    .field_count = 2,
	    .now_ms = clock_wall_ms()};
	if (notify_unit_publish(db, &n, e) < 0 || api_audit(c, db, STR("server"), STR_NONE, e) < 0)
		return -1;
	c->kick_notify = true;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "accepted", true);
	json_close_object(&c->w);
	return 0;
}

int api_server_audit_create(struct api_call *c, struct err *e)
{
	return api_write(c, tell_unit, NULL, e);
}
