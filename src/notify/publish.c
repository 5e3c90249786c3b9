/* News into deliveries, inside the unit of what caused them; and the schedule's text. */
#include "notify/notify.h"

#include "base/num.h"
#include "model/channel.h"
#include "model/delivery.h"
#include "notify/deployment.h"
#include "notify/shape.h"

#include <stdio.h>
#include <string.h>

const struct notify_schedule notify_schedule_default = {
    {0, 5000, 300000, 1800000, 7200000, 18000000, 36000000, 50400000, 72000000, 86400000}, 10};

int notify_schedule_parse(struct str s, struct notify_schedule *ret, struct err *e)
{
	struct str one;
	*ret = (struct notify_schedule){0};
	while (str_next(&s, ',', &one) == 1)
		if (ret->n == NOTIFY_TRIES_MAX ||
		    !num_duration(one, 7LL * 86400000, &ret->wait_ms[ret->n++])) {
			err_set(e, ERR_SETTINGS, "the schedule of tries is malformed");
			return err_hint(e, "write up to %u waits of at most 7d: 0s,5s,5m,30m",
			    NOTIFY_TRIES_MAX);
		}
	return 0;
}

static bool hears(const struct notify_news *n, const struct model_channel *c)
{
	if (n->only_channel)
		return c->id == n->only_channel;
	return c->id != n->not_channel && message_wanted(c->events, n->event);
}

static int add_one(struct store_db *db, const struct notify_news *n, const struct model_channel *c,
    struct str recipient, struct str key, struct str series, struct str message, struct err *e)
{
	int64_t id = 0;
	const struct model_delivery d = {.channel_id = c->id,
	    .key = key,
	    .recipient = recipient,
	    .event = n->event,
	    .series = series,
	    .message = message,
	    .due_ms = n->now_ms,
	    .created_ms = n->now_ms};
	return model_delivery_add(db, &d, &id, e) < 0 ? -1 : 0;
}

/* Each of a mail channel's addresses by itself. */
static int add(struct store_db *db, const struct notify_news *n, const struct model_channel *c,
    struct str key, struct str series, struct str message, struct err *e)
{
	struct str to = c->target, one;
	if (c->type != MODEL_CHANNEL_MAIL)
		return add_one(db, n, c, STR(""), key, series, message, e);
	while (str_next(&to, ' ', &one) == 1)
		if (add_one(db, n, c, one, key, series, message, e) < 0)
			return -1;
	return 0;
}

/* Beside the commit's status, with a series of its own: the news of one task. */
static int add_deployment(struct store_db *db, const struct notify_news *n,
    const struct model_channel *c, struct str message, struct err *e)
{
	char key[128];
	if (c->type != MODEL_CHANNEL_GITHUB || !c->deployments || !deployment_tells(n->event))
		return 0;
	(void)snprintf(key, sizeof(key), DEPLOYMENT_KEY "%.*s", STR_ARG(n->key));
	const char *end = strrchr(key, '/');
	return add(db, n, c, str_c(key), (struct str){key, (size_t)(end - key)}, message, e);
}

static int publish(struct store_db *db, struct arena *a, const struct notify_news *n, struct err *e)
{
	struct model_channels list;
	struct buf message CLEANUP_BUF;
	buf_init(&message, 4 * MESSAGE_TEXT_MAX);
	if (model_channel_listening(db, a, n->project_id, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		if (!hears(n, &list.v[i]))
			continue;
		if (!message.n &&
		    message_write(n->event, n->fields, n->field_count, n->now_ms, &message, e) < 0)
			return -1;
		const struct model_channel *c = &list.v[i];
		struct str series = c->type == MODEL_CHANNEL_GITHUB ? n->series : STR("");
		if ((n->only_channel || shape_tells(c->type, n->event)) &&
		    add(db, n, c, n->key, series, buf_view(&message), e) < 0)
			return -1;
		if (!n->only_channel && add_deployment(db, n, c, buf_view(&message), e) < 0)
			return -1;
	}
	return 0;
}

int notify_unit_publish(struct store_db *db, const struct notify_news *n, struct err *e)
{
	struct arena a;
	arena_init(&a, 4u << 20);
	int rc = publish(db, &a, n, e);
	arena_fini(&a);
	return rc;
}
