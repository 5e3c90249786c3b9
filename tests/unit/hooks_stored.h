/* What the tests of src/hooks ask the store for after a delivery, and one of a sender who need not give an id. */
#pragma once

#include "hooks_world.h"

/* Looking into the store. */

static struct found {
	size_t events, tasks;
	enum model_outcome outcome; /* of the newest event */
	int64_t attempt;
	char body[256], key[140];
} found;

UNIT(look)
{
	struct model_events ev;
	struct model_tasks t;
	struct model_page all = {.limit = MODEL_PAGE_MAX};
	struct str body;
	memset(&found, 0, sizeof found);
	CHECK(model_event_list(
		  db, a, (struct model_event_filter){0}, all, MODEL_EVERYTHING, &ev, e) == 0);
	CHECK(model_task_list(db, a, (struct model_task_filter){0}, all, MODEL_EVERYTHING, &t, e) ==
	      0);
	found.events = ev.n;
	found.tasks = t.n;
	if (ev.n == 0)
		return 0;
	found.outcome = ev.v[0].outcome;
	found.attempt = ev.v[0].attempt;
	CHECK(str_copy(ev.v[0].delivery_key, found.key, sizeof found.key));
	CHECK(model_event_body(db, a, ev.v[0].id, MODEL_EVERYTHING, &body, e) == 1 ||
	      intake_body(hw.intake, &ev.v[0], a, &body, e) == 1);
	if (body.n < sizeof found.body)
		CHECK(str_copy(body, found.body, sizeof found.body));
	return 0;
}

static void assert_stored(size_t events, size_t tasks)
{
	intake_settle(hw.intake, clock_mono_ms() + 30000);
	fixture_run(hw.store, look);
	assert_int_equal(found.events, events);
	assert_int_equal(found.tasks, tasks);
}

static struct said generic(const char *more_headers, const char *body)
{
	char headers[400];
	(void)snprintf(headers, sizeof headers,
	    "Content-Type: application/json\r\nX-Slipway-Signature-256: %s\r\n%s",
	    sign(SECRET, body), more_headers);
	return ask_raw("gen", headers, body);
}
