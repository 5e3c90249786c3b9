/* A line at a time: fields gather until an empty line sends the event. */
#include "cli/sse.h"

#include <string.h>

void sse_init(struct sse *s, sse_fn *fn, void *ctx)
{
	*s = (struct sse){.fn = fn, .ctx = ctx};
	buf_init(&s->line, SSE_EVENT_BYTES_MAX);
	buf_init(&s->data, SSE_EVENT_BYTES_MAX);
}

void sse_fini(struct sse *s)
{
	buf_fini(&s->line);
	buf_fini(&s->data);
}

void sse_reset(struct sse *s)
{
	buf_clear(&s->line);
	buf_clear(&s->data);
	s->event[0] = '\0';
	s->skip_lf = s->begun = false;
}

static int dispatch(struct sse *s)
{
	int rc = 0;
	if (s->data.n > 0) {
		struct str data = buf_view(&s->data);
		data.n--; /* the last line's end */
		rc = s->fn(
		    s->ctx, str_c(s->id), s->event[0] ? str_c(s->event) : STR("message"), data);
	}
	buf_clear(&s->data);
	s->event[0] = '\0';
	return rc;
}

static int take_line(struct sse *s, struct str line)
{
	if (!s->begun && str_starts(line, STR("\xef\xbb\xbf")))
		line = str_from(line, 3);
	s->begun = true;
	if (line.n == 0)
		return dispatch(s);
	size_t colon = str_find(line, ':', 0);
	struct str field = str_slice(line, 0, colon), value = STR("");
	if (colon != SIZE_MAX) {
		value = str_from(line, colon + 1);
		if (str_starts(value, STR(" ")))
			value = str_from(value, 1);
	}
	if (str_eq_c(field, "data")) {
		buf_str(&s->data, value);
		buf_char(&s->data, '\n');
	} else if (str_eq_c(field, "event")) {
		if (!str_copy(value, s->event, sizeof(s->event)))
			s->event[0] = '\0';
	} else if (str_eq_c(field, "id")) {
		char id[SSE_ID_SIZE];
		if (str_copy(value, id, sizeof(id)))
			memcpy(s->id, id, sizeof(id));
	}
	return 0;
}

int sse_feed(struct sse *s, struct str bytes, struct err *e)
{
	for (size_t i = 0; i < bytes.n; i++) {
		char c = bytes.p[i];
		bool second = c == '\n' && s->skip_lf;
		s->skip_lf = c == '\r';
		if (second)
			continue;
		if (c != '\n' && c != '\r') {
			buf_char(&s->line, c);
			continue;
		}
		if (buf_check(&s->line, "a line of the stream", e) < 0)
			return -1;
		int rc = take_line(s, buf_view(&s->line));
		buf_clear(&s->line);
		if (rc)
			return 1;
		if (buf_check(&s->data, "an event of the stream", e) < 0)
			return -1;
	}
	return buf_check(&s->line, "a line of the stream", e);
}
