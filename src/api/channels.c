/* Channels: whom a project, or the platform, tells of what happens; what they were told; the mail
 * server.
 *
 * The same functions serve /projects/{project}/channels and /channels: without a project the
 * subject's is 0. */
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/rand.h"
#include "base/name.h"
#include "model/channel.h"
#include "model/delivery.h"
#include "model/place.h"
#include "notify/shape.h"
#include "outbound/guard.h"

#include <inttypes.h>
#include <stdio.h>

enum { CHANNELS_MAX = 32, MAIL_PORT = 587 };

static void channel_json(struct api_call *c, const struct model_channel *h, struct str secret)
{
	struct json_out *w = &c->w;
	json_open_object(w, NULL);
	json_put_str(w, "name", h->name);
	api_put_text(w, "project", c->who->project);
	json_put_str(w, "type", str_c(model_channel_type_name(h->type)));
	api_put_text(w, "target", h->target);
	json_put_str(w, "events", h->events);
	json_put_bool(w, "deployments", h->deployments);
	json_put_bool(w, "paused", h->paused);
	api_put_text(w, "disabled", h->disabled);
	json_put_time(w, "created_at", h->created_ms);
	if (secret.n)
		json_put_str(w, "secret", secret);
	json_close_object(w);
}

int api_channel_list(struct api_call *c, struct err *e)
{
	struct model_page page;
	struct model_channels list;
	struct store_db *db = api_reading(c, e);
	if (!db || api_page(c, &page, e) < 0 ||
	    model_channel_list(db, c->r->arena, c->who->project_id, page, api_viewer(c), &list, e) <
		0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++)
		channel_json(c, &list.v[i], STR_NONE);
	api_list_close_id(c, list.more, list.n ? list.v[list.n - 1].id : 0);
	return 0;
}

static int channel_find(
    struct api_call *c, struct store_db *db, struct model_channel *ret, struct err *e)
{
	struct str name = http_param(c->http, "channel");
	int found =
	    model_channel_get(db, c->r->arena, c->who->project_id, name, api_viewer(c), ret, e);
	return found < 0 ? -1 : found == 0 ? api_absent("channel", name, e) : 0;
}

int api_channel_get(struct api_call *c, struct err *e)
{
	struct model_channel h;
	struct store_db *db = api_reading(c, e);
	if (!db || channel_find(c, db, &h, e) < 0)
		return -1;
	channel_json(c, &h, STR_NONE);
	return 0;
}

struct channel_new {
	struct model_channel row;
	struct str secret;
	bool made;
	char text[SHAPE_SECRET_SIZE];
};

static int seal_secret(
    struct api_call *c, struct str name, struct str clear, struct str *ret, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	return api_seal(c, model_place_channel(c->who->project_id, name, place), clear, ret, e);
}

static int create_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct channel_new *n = ctx;
	struct model_channels there;
	struct model_page page = {.limit = CHANNELS_MAX};
	if (model_channel_list(
		db, c->r->arena, c->who->project_id, page, api_viewer(c), &there, e) < 0)
		return -1;
	if (there.n >= CHANNELS_MAX)
		return err_set(e, ERR_CONFLICT, "there are %d channels already, the most allowed",
		    CHANNELS_MAX);
	n->row.project_id = c->who->project_id;
	n->row.created_ms = clock_wall_ms();
	if (n->secret.n && seal_secret(c, n->row.name, n->secret, &n->row.secret, e) < 0)
		return -1;
	if (model_channel_add(db, &n->row, &n->row.id, e) < 0) {
		if (e->code == ERR_CONFLICT)
			err_at(e, "/name");
		return -1;
	}
	if (api_audit(c, db, n->row.name, str_c(model_channel_type_name(n->row.type)), e) < 0)
		return -1;
	channel_json(c, &n->row, n->made ? n->secret : STR_NONE);
	return 0;
}

static int events_read(const struct api_call *c, struct str *ret, struct err *e)
{
	*ret = api_str(c->body, "events");
	return ret->p && message_patterns_check(*ret, e) < 0 ? err_at(e, "/events") : 0;
}

static int deployments_check(const struct api_call *c, enum model_channel_type type, struct err *e)
{
	if (!api_bool(c->body, "deployments", false) || type == MODEL_CHANNEL_GITHUB)
		return 0;
	(void)err_set(e, ERR_INVALID, "only GitHub hears of deployments");
	return err_at(e, "/deployments");
}

int api_channel_create(struct api_call *c, struct err *e)
{
	struct channel_new n = {
	    .row = {.name = api_str(c->body, "name"), .target = api_str(c->body, "target")},
	    .secret = api_str(c->body, "secret")};
	if (name_hook(n.row.name, e) < 0)
		return err_at(e, "/name");
	if (model_channel_type_parse(api_str(c->body, "type"), &n.row.type, e) < 0)
		return err_at(e, "/type");
	n.row.deployments = api_bool(c->body, "deployments", false);
	if (events_read(c, &n.row.events, e) < 0 || deployments_check(c, n.row.type, e) < 0 ||
	    shape_check(n.row.type, n.row.target, n.secret, e) < 0)
		return -1;
	if (!n.row.events.p)
		n.row.events =
		    n.row.type == MODEL_CHANNEL_GITHUB ? STR("deploy.* rollback.*") : STR("*");
	n.made = n.row.type == MODEL_CHANNEL_WEBHOOK && !n.secret.n;
	if (n.made) {
		shape_secret_make(n.text);
		n.secret = str_c(n.text);
	}
	if (api_write(c, create_unit, &n, e) < 0)
		return -1;
	if (c->who->project_id)
		api_location(c, "/api/v1/projects/%.*s/channels/%.*s", STR_ARG(c->who->project),
		    STR_ARG(n.row.name));
	else
		api_location(c, "/api/v1/channels/%.*s", STR_ARG(n.row.name));
	return 0;
}

/* A secret that nobody can read again is not sent to an address that it was not given for. */
static int new_server_check(
    const struct model_channel *h, struct str target, struct str secret, struct err *e)
{
	if (!target.p || secret.p || !shape_bears_secret(h->type) ||
	    guard_same_server(target, h->target))
		return 0;
	(void)err_set(
	    e, ERR_INVALID, "the target is another server, which would be sent the secret");
	err_hint(e, "say the secret again for a new address");
	return err_at(e, "/secret");
}

/* What the change leaves as it was is not checked again, but for a target without its new secret.
 */
static int update_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_channel h, opened;
	struct str target = api_str(c->body, "target"), secret = api_str(c->body, "secret"), events,
		   sealed = STR_NONE;
	char place[MODEL_PLACE_SIZE];
	struct buf clear CLEANUP_BUF;
	buf_init(&clear, 8u << 10);
	if (channel_find(c, db, &h, e) < 0 || events_read(c, &events, e) < 0 ||
	    new_server_check(&h, target, secret, e) < 0 ||
	    model_channel_open(db, c->r->arena, h.id, &opened, e) <= 0)
		return -1;
	if (!secret.p && opened.secret.n &&
	    seal_open(c->cx->seal, model_place_channel(c->who->project_id, h.name, place),
		opened.secret, &clear, e) < 0)
		return -1;
	int rc = 0;
	if (target.p || secret.p)
		rc = shape_check(
		    h.type, target.p ? target : h.target, secret.p ? secret : buf_view(&clear), e);
	buf_wipe(&clear);
	if (rc < 0 || (secret.p && seal_secret(c, h.name, secret, &sealed, e) < 0) ||
	    model_channel_update(db, h.id, target, sealed, events, e) < 0 ||
	    api_audit(c, db, h.name, STR_NONE, e) < 0)
		return -1;
	if (api_has(c->body, "paused") &&
	    model_channel_set_paused(db, h.id, api_bool(c->body, "paused", false), e) < 0)
		return -1;
	if (api_has(c->body, "deployments") &&
	    (deployments_check(c, h.type, e) < 0 ||
		model_channel_set_deployments(
		    db, h.id, api_bool(c->body, "deployments", false), e) < 0))
		return -1;
	c->kick_notify = true;
	if (channel_find(c, db, &h, e) < 0)
		return -1;
	channel_json(c, &h, STR_NONE);
	return 0;
}

int api_channel_update(struct api_call *c, struct err *e)
{
	return api_write(c, update_unit, NULL, e);
}

static int remove_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_channel h;
	if (channel_find(c, db, &h, e) < 0 || model_channel_remove(db, h.id, e) < 0 ||
	    api_audit(c, db, h.name, STR_NONE, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	json_close_object(&c->w);
	return 0;
}

int api_channel_remove(struct api_call *c, struct err *e)
{
	return api_write(c, remove_unit, NULL, e);
}

/* --- deliveries --- */

static void delivery_json(
    struct api_call *c, const struct model_delivery *d, const struct model_delivery_tries *tries)
{
	struct json_out *w = &c->w;
	json_open_object(w, NULL);
	json_put_i64(w, "id", d->id);
	json_put_str(w, "channel", d->channel);
	api_put_text(w, "recipient", d->recipient);
	json_put_str(w, "event", d->event);
	json_put_str(w, "state", str_c(model_delivery_state_name(d->state)));
	json_put_i64(w, "tries", d->attempts);
	json_put_time(w, "created_at", d->created_ms);
	json_put_time(w, "due_at", d->state == MODEL_DELIVERY_WAITING ? d->due_ms : 0);
	json_put_time(w, "ended_at", d->ended_ms);
	api_put_i64_or_null(w, "status", d->last_status);
	api_put_text(w, "error", d->last_error);
	if (tries) {
		api_put_stored(w, "message", d->message);
		json_open_array(w, "log");
		for (size_t i = 0; i < tries->n; i++) {
			json_open_object(w, NULL);
			json_put_time(w, "at", tries->v[i].at_ms);
			json_put_i64(w, "ms", tries->v[i].ms);
			api_put_i64_or_null(w, "status", tries->v[i].status);
			api_put_text(w, "error", tries->v[i].error);
			json_close_object(w);
		}
		json_close_array(w);
	}
	json_close_object(w);
}

int api_delivery_list(struct api_call *c, struct err *e)
{
	struct model_channel h;
	struct model_page page;
	struct model_deliveries list;
	struct store_db *db = api_reading(c, e);
	if (!db || channel_find(c, db, &h, e) < 0 || api_page(c, &page, e) < 0 ||
	    model_delivery_list(db, c->r->arena, h.id, page, &list, e) < 0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++)
		delivery_json(c, &list.v[i], NULL);
	api_list_close_id(c, list.more, list.n ? list.v[list.n - 1].id : 0);
	return 0;
}

static int delivery_find(
    struct api_call *c, struct store_db *db, struct model_delivery *ret, struct err *e)
{
	struct model_channel h;
	int64_t id = 0;
	if (channel_find(c, db, &h, e) < 0 || api_param_id(c, "delivery", "delivery", &id, e) < 0)
		return -1;
	int found = model_delivery_get(db, c->r->arena, h.id, id, ret, e);
	return found < 0    ? -1
	       : found == 0 ? api_absent("delivery", http_param(c->http, "delivery"), e)
			    : 0;
}

int api_delivery_get(struct api_call *c, struct err *e)
{
	struct model_delivery d;
	struct model_delivery_tries tries;
	struct store_db *db = api_reading(c, e);
	if (!db || delivery_find(c, db, &d, e) < 0 ||
	    model_delivery_try_list(db, c->r->arena, d.id, &tries, e) < 0)
		return -1;
	delivery_json(c, &d, &tries);
	return 0;
}

static int replay_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_delivery d;
	if (delivery_find(c, db, &d, e) < 0 ||
	    model_delivery_replay(db, d.id, clock_wall_ms(), e) < 0 ||
	    api_audit(c, db, d.channel, d.event, e) < 0 || delivery_find(c, db, &d, e) < 0)
		return -1;
	c->kick_notify = true;
	delivery_json(c, &d, NULL);
	return 0;
}

int api_delivery_replay(struct api_call *c, struct err *e)
{
	return api_write(c, replay_unit, NULL, e);
}

static int test_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_channel h;
	struct model_deliveries list;
	struct model_page page = {.limit = 1};
	char key[64];
	char token[RAND_TOKEN_SIZE];
	if (channel_find(c, db, &h, e) < 0)
		return -1;
	if (h.paused || h.disabled.n) {
		err_set(e, ERR_CONFLICT, "channel '%.*s' is %s", STR_ARG(h.name),
		    h.paused ? "paused" : "switched off");
		return err_hint(e, "slipway notify resume %.*s", STR_ARG(h.name));
	}
	int64_t now = clock_wall_ms();
	rand_token(token); /* two tests of one millisecond are two */
	(void)snprintf(key, sizeof(key), "test/%s", token);
	const struct message_field fields[] = {{"channel", h.name}, {"project", c->who->project}};
	const struct notify_news n = {.project_id = c->who->project_id,
	    .event = STR("test"),
	    .key = str_c(key),
	    .fields = fields,
	    .field_count = 2,
	    .now_ms = now,
	    .only_channel = h.id};
	if (notify_unit_publish(db, &n, e) < 0 ||
	    model_delivery_list(db, c->r->arena, h.id, page, &list, e) < 0 ||
	    api_audit(c, db, h.name, STR_NONE, e) < 0)
		return -1;
	c->kick_notify = true;
	delivery_json(c, &list.v[0], NULL);
	return 0;
}

int api_channel_test(struct api_call *c, struct err *e)
{
	return api_write(c, test_unit, NULL, e);
}

/* --- the mail server --- */

static void mail_json(struct api_call *c, const struct model_mail_server *m)
{
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "host", m->host);
	json_put_i64(&c->w, "port", m->port);
	json_put_str(&c->w, "tls", str_c(model_mail_tls_name(m->tls)));
	json_put_str(&c->w, "from", m->sender);
	api_put_text(&c->w, "user", m->user);
	json_put_bool(&c->w, "password", m->password.n > 0);
	json_close_object(&c->w);
}

int api_mail_get(struct api_call *c, struct err *e)
{
	struct model_mail_server m;
	struct store_db *db = api_reading(c, e);
	int found = db ? model_mail_server_get(db, c->r->arena, &m, e) : -1;
	if (found < 0)
		return -1;
	if (found == 0) {
		err_set(e, ERR_NOT_FOUND, "no mail server is set");
		return err_hint(e, "slipway mail set --host HOST --from ADDRESS");
	}
	mail_json(c, &m);
	return 0;
}

/* As for a channel: what only its giver has seen is not sent elsewhere. */
static int mail_password_check(
    const struct model_mail_server *before, const struct model_mail_server *m, struct err *e)
{
	if (!before->password.n || m->password.n ||
	    (str_eq_nocase(before->host, m->host) && before->port == m->port &&
		before->tls == m->tls))
		return 0;
	(void)err_set(e, ERR_INVALID, "that is another server, which would be sent the password");
	err_hint(e, "say the password again for a new address, or begin anew: slipway mail remove");
	return err_at(e, "/password");
}

static int mail_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct model_mail_server *m = ctx, now;
	int found = model_mail_server_get(db, c->r->arena, &now, e);
	if (found < 0 || (found > 0 && mail_password_check(&now, m, e) < 0) ||
	    model_mail_server_set(db, m, e) < 0 || api_audit(c, db, m->host, STR_NONE, e) < 0 ||
	    model_mail_server_get(db, c->r->arena, &now, e) < 0)
		return -1;
	mail_json(c, &now);
	return 0;
}

static int mail_host_check(struct str host, struct err *e)
{
	for (size_t i = 0; i < host.n; i++) {
		char ch = host.p[i];
		bool fine = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			    (ch >= '0' && ch <= '9') || ch == '.' || ch == '-' || ch == ':';
		if (!fine) {
			err_set(e, ERR_INVALID, "the host is no host name or address");
			return err_at(e, "/host");
		}
	}
	return 0;
}

int api_mail_put(struct api_call *c, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str password = api_str(c->body, "password"), tls = api_str(c->body, "tls"),
		   user = api_str(c->body, "user");
	struct model_mail_server m = {.host = api_str(c->body, "host"),
	    .port = api_int(c->body, "port", MAIL_PORT),
	    .sender = api_str(c->body, "from"),
	    .user = user.p ? user : STR("")};
	if (mail_host_check(m.host, e) < 0)
		return -1;
	if (tls.p && model_mail_tls_parse(tls, &m.tls, e) < 0)
		return err_at(e, "/tls");
	if (str_find(m.sender, ' ', 0) != SIZE_MAX) {
		err_set(e, ERR_INVALID, "the sender is one address, without blanks");
		return err_at(e, "/from");
	}
	if (shape_check(MODEL_CHANNEL_MAIL, m.sender, STR_NONE, e) < 0)
		return err_at(e, "/from");
	if (password.p && api_seal(c, model_place_mail(place), password, &m.password, e) < 0)
		return -1;
	return api_write(c, mail_unit, &m, e);
}

static int mail_remove_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	int rc = model_mail_server_remove(db, e);
	if (rc < 0 || api_audit(c, db, STR("mail-server"), STR_NONE, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", rc > 0);
	json_close_object(&c->w);
	return 0;
}

int api_mail_remove(struct api_call *c, struct err *e)
{
	return api_write(c, mail_remove_unit, NULL, e);
}

int api_news_list(struct api_call *c, struct err *e)
{
	(void)e;
	size_t n;
	const struct message_event *v = message_events(&n);
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < n; i++) {
		json_open_object(&c->w, NULL);
		json_put_str(&c->w, "event", str_c(v[i].name));
		json_put_str(&c->w, "level", str_c(v[i].level));
		json_put_str(&c->w, "about", str_c(v[i].about));
		json_close_object(&c->w);
	}
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}
