/* News into deliveries, inside the unit of what caused them; and the schedule's text. */
#include "notify/notify.h"

#include "base/num.h"
#include "model/channel.h"
#include "model/delivery.h"
#include "notify/shape.h"

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
	return c->id != n->not_channel && shape_tells(c->type, n->event) &&
	       message_wanted(c->events, n->event);
}

static int publish(struct store_db *db, struct arena *a, const struct notify_news *n, struct err *e)
{
	struct model_channels list;
	struct buf message CLEANUP_BUF;
	buf_init(&message, 4 * MESSAGE_TEXT_MAX);
	if (model_channel_listening(db, a, n->project_id, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		int64_t id = 0;
		if (!hears(n, &list.v[i]))
			continue;
		if (!message.n &&
		    message_write(n->event, n->fields, n->field_count, n->now_ms, &message, e) < 0)
			return -1;
		const struct model_delivery d = {.channel_id = list.v[i].id,
		    .key = n->key,
		    .event = n->event,
		    .series = list.v[i].type == MODEL_CHANNEL_GITHUB ? n->series : STR(""),
		    .message = buf_view(&message),
		    .due_ms = n->now_ms,
		    .created_ms = n->now_ms};
		if (model_delivery_add(db, &d, &id, e) < 0)
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
