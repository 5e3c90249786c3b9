#include "notify/message.h"

#include "base/clock.h"

#include <string.h>

/* clang-format off */
static const struct message_event events[] = {
	{"deploy.started", "info", "{project}: deploying[ {ref}][ {short}]", "[{subject}][ by {author}]", "a deploy has found what to build"},
	{"deploy.succeeded", "info", "{project}: release {release} is live", "[from {ref} {short}][ \"{subject}\"][ by {author}][\n{warning}]", "a new release serves"},
	{"deploy.failed", "error", "{project}: the deploy failed[ at {step}]", "{message}[\n{hint}][\n\nthe program's last lines:\n{lines}][\n\nrelease {serving} is still serving]", "a deploy ended without a new release"},
	{"deploy.cancelled", "warning", "{project}: the deploy was cancelled", "[{ref} {short}]", "a deploy was stopped by somebody, or by a rollback, stop or destroy"},
	{"rollback.succeeded", "warning", "{project}: went back to release {release}", "[{subject}][\n{warning}]", "an earlier release serves again"},
	{"rollback.failed", "error", "{project}: could not go back[ at {step}]", "{message}[\n{hint}]", "a rollback failed"},
	{"check.started", "info", "{project}: checking[ {ref}][ {short}]", "[{subject}][ by {author}]", "the checks of a branch or pull request begin"},
	{"check.succeeded", "info", "{project}: the checks passed[ for {ref}][ {short}]", "[\"{subject}\"][ by {author}]", "a hook's checks ended well"},
	{"check.failed", "error", "{project}: the checks failed[ for {ref}][ {short}]", "{message}[\n{hint}][\n\nthe program's last lines:\n{lines}]", "a hook's checks failed"},
	{"check.cancelled", "warning", "{project}: the checks were cancelled[ for {ref}][ {short}]", "", "a hook's checks were stopped by somebody, or by a rollback, stop or destroy"},
	{"run.failed", "error", "{project}: the command of a hook failed", "{message}[\n{hint}][\n\nthe program's last lines:\n{lines}]", "the command of a hook's action failed"},
	{"hook.received", "info", "{project}: {kind} at the hook {hook}", "[{ref} {short}][\n\n{body}]", "a hook whose actions say notify took an event"},
	{"alert.firing", "error", "{project}: {alert}[ ({severity})] fires", "{summary}[ {more}][\n{description}][\nsince {since}]", "an alert of Alertmanager, by a hook of that sender whose actions say notify"},
	{"alert.resolved", "info", "{project}: {alert}[ ({severity})] is over", "{summary}[ {more}][\n{description}][\nsince {since}]", "the end of one"},
	{"hook.forwarded", "info", "{project}: {kind} at the hook {hook}", "", "a hook hands an event on; told to the channel that its action names only"},
	{"certificate.installed", "info", "{project}: a certificate for {names} is live", "[from {issuer}][, good until {until}]", "an authority's, or an imported, certificate serves"},
	{"certificate.failed", "error", "{project}: no certificate could be had", "{message}[\n{hint}][\n\nthe last lines:\n{lines}][\n\nthe one from {issuer} serves until {until}][\nnext try: {next}]", "a certificate could not be issued, renewed or installed; the old one stays"},
	{"certificate.expiring", "warning", "{project}: its certificate ends on {until}", "for {names}[, from {issuer}][\nthe last try failed: {message}][\nnext try: {next}]", "less than a quarter of a certificate's life, or two weeks, is left; told once a day"},
	{"project.destroyed", "warning", "{project} was destroyed", "[by {by}]", "a project was taken away; told to the platform's channels"},
	{"channel.disabled", "warning", "channel {channel} was switched off", "{message}", "a receiver said that it is gone; told to the other channels"},
	{"server.critical", "error", "the server's audit found something critical", "{message}[\n\nthe whole report: {report}]", "slipway audit --tell found something CRITICAL; told to the platform's channels"},
	{"test", "info", "a test of channel {channel}", "If you read this, it works.", "slipway notify test"},
};
/* clang-format on */

const struct message_event *message_events(size_t *ret_count)
{
	*ret_count = sizeof(events) / sizeof(*events);
	return events;
}

const struct message_event *message_event_find(struct str name)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (str_eq_c(name, events[i].name))
			return &events[i];
	return NULL;
}

struct fields {
	const struct message_field *v;
	size_t n;
};

static struct str field(const struct fields *f, struct str name)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq_c(name, f->v[i].name))
			return f->v[i].value;
	return STR("");
}

/* Fields of a run of template without brackets; false when one of them is empty. */
static bool fill_run(struct str run, const struct fields *f, struct buf *out)
{
	bool whole = true;
	while (run.n) {
		size_t open = str_find(run, '{', 0);
		buf_str(out, str_slice(run, 0, open == SIZE_MAX ? run.n : open));
		if (open == SIZE_MAX)
			break;
		size_t close = str_find(run, '}', open);
		struct str value = field(f, str_slice(run, open + 1, close - open - 1));
		buf_str(out, value);
		whole = whole && value.n > 0;
		run = str_from(run, close + 1);
	}
	return whole;
}

static void fill(const char *template, const struct fields *f, struct buf *out)
{
	struct str rest = str_c(template);
	while (rest.n) {
		size_t open = str_find(rest, '[', 0);
		(void)fill_run(str_slice(rest, 0, open == SIZE_MAX ? rest.n : open), f, out);
		if (open == SIZE_MAX)
			break;
		size_t close = str_find(rest, ']', open), before = out->n;
		if (!fill_run(str_slice(rest, open + 1, close - open - 1), f, out) && !out->full &&
		    out->p) {
			out->n = before;
			out->p[before] = '\0';
		}
		rest = str_from(rest, close + 1);
	}
}

/* One line without control characters. */
static void flatten(struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if ((uint8_t)b->p[i] < ' ' || b->p[i] == 0x7f)
			b->p[i] = ' ';
}

int message_write(struct str event, const struct message_field *fields, size_t count, int64_t at_ms,
    struct buf *out, struct err *e)
{
	const struct message_event *k = message_event_find(event);
	const struct fields f = {fields, count};
	CLEANUP_BUF struct buf title, text;
	struct json_out w;
	buf_init(&title, MESSAGE_TEXT_MAX);
	buf_init(&text, 4 * MESSAGE_TEXT_MAX);
	if (!k)
		return err_set(e, ERR_INTERNAL, "there is no event '%.*s'", STR_ARG(event));
	fill(k->title, &f, &title);
	fill(k->text, &f, &text);
	flatten(&title);
	json_out_init(&w, out);
	json_open_object(&w, NULL);
	json_put_str(&w, "event", event);
	json_put_str(&w, "level", str_c(k->level));
	json_put_time(&w, "at", at_ms);
	json_put_str(&w, "project", field(&f, STR("project")));
	json_put_str(&w, "title", str_slice(buf_view(&title), 0, 500));
	json_put_str(&w, "text", str_slice(buf_view(&text), 0, MESSAGE_TEXT_MAX));
	json_put_str(&w, "link", field(&f, STR("url")));
	json_open_object(&w, "data");
	for (size_t i = 0; i < count; i++)
		if (fields[i].value.n)
			json_put_str(&w, fields[i].name, fields[i].value);
	json_close_object(&w);
	json_close_object(&w);
	return buf_check(out, "a message", e);
}

int message_read(const json_t *o, struct message *ret, struct err *e)
{
	struct str at = STR("");
	*ret = (struct message){.data = json_object_get(o, "data")};
	if (json_get_str(o, "event", &ret->event, e) < 0 ||
	    json_get_str(o, "level", &ret->level, e) < 0 ||
	    json_get_str(o, "project", &ret->project, e) < 0 ||
	    json_get_str(o, "title", &ret->title, e) < 0 ||
	    json_get_str(o, "text", &ret->text, e) < 0 ||
	    json_get_str(o, "link", &ret->link, e) < 0 || json_get_str(o, "at", &at, e) < 0)
		return -1;
	if (!clock_parse(at, &ret->at_ms))
		return err_set(e, ERR_INVALID, "a stored message has no time");
	return 0;
}

struct str message_data(const struct message *m, const char *name)
{
	const json_t *v = json_object_get(m->data, name);
	return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
				 : STR("");
}

static bool fits(struct str pattern, struct str event)
{
	if (str_eq_c(pattern, "*") || str_eq(pattern, event))
		return true;
	return str_ends(pattern, STR(".*")) &&
	       str_starts(event, str_slice(pattern, 0, pattern.n - 1));
}

bool message_wanted(struct str patterns, struct str event)
{
	struct str one;
	while (str_next(&patterns, ' ', &one) == 1)
		if (fits(one, event))
			return true;
	return false;
}

int message_patterns_check(struct str patterns, struct err *e)
{
	struct str one;
	while (str_next(&patterns, ' ', &one) == 1) {
		bool any = false;
		for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
			any = any || fits(one, str_c(events[i].name));
		if (any)
			continue;
		err_set(e, ERR_INVALID, "no event fits '%.*s'", STR_ARG(str_slice(one, 0, 64)));
		return err_hint(e, "for instance deploy.failed, deploy.* or *; 'slipway notify "
				   "events' lists them");
	}
	return 0;
}
