/* Which bodies there is room for: all that are being received share one budget of bytes. Large ones leave an eighth of it to the small, so that a
 * push of 8 KB is taken whatever others hold; and where there is none left, who holds much and sends slowly gives way to who comes. Large answers are
 * of the same budget until they are written. */
#include "http/server.h"

#include "base/fs.h"

#define SMALL_BYTES (64u << 10)
#define ANSWER_FREE_BYTES (1u << 20)
#define SLOW_BYTES_PER_S (64u << 10)
#define SPOOLED_BYTES_MAX (4 * LIMIT_ARCHIVE_BYTES)

int http_room_none(struct err *e)
{
	(void)err_set(
	    e, ERR_UNAVAILABLE, "too many request bodies are being received at this moment");
	return err_hint(e, "try again in a second");
}

static bool fits(const struct http_call *call, size_t more)
{
	const struct http_server *s = call->server;
	size_t all = s->o.limits.bodies_bytes;
	size_t most = call->body_bytes + more > SMALL_BYTES ? all - all / 8 : all;
	return s->bodies_bytes <= most && more <= most - s->bodies_bytes;
}

static bool is_slow(const struct http_conn *c)
{
	uint64_t enough = (uint64_t)SLOW_BYTES_PER_S * (uint64_t)c->server->tick_ms / 1000;
	return c->state == CONN_BODY && c->body_ticks >= 2 && c->lately_bytes < enough;
}

static struct http_conn *who_gives_way(const struct http_call *to)
{
	struct http_conn *found = NULL;
	size_t held = 0;
	for (struct http_conn *c = to->server->conns; c != NULL; c = c->next)
		if (c != to->conn && is_slow(c) && c->call->charged_bytes > held) {
			held = c->call->charged_bytes;
			found = c;
		}
	return found;
}

static int make_fit(const struct http_call *call, size_t more, struct err *e)
{
	while (!fits(call, more)) {
		struct http_conn *slow = who_gives_way(call);
		if (slow == NULL)
			return http_room_none(e);
		http_conn_give_way(slow);
	}
	return 0;
}

int http_room_announced(const struct http_call *call, size_t bytes, struct err *e)
{
	if (call->match.route->body_to_file)
		return call->server->spooled_bytes + bytes > SPOOLED_BYTES_MAX ? http_room_none(e)
									       : 0;
	return make_fit(call, bytes, e);
}

int http_room_take(struct http_call *call, size_t bytes, struct err *e)
{
	struct http_server *s = call->server;
	if (call->body_fd >= 0) {
		if (s->spooled_bytes + bytes > SPOOLED_BYTES_MAX)
			return http_room_none(e);
		s->spooled_bytes += bytes;
		return 0;
	}
	if (make_fit(call, bytes, e) != 0)
		return -1;
	s->bodies_bytes += bytes;
	call->charged_bytes += bytes;
	return 0;
}

/* All together at most half of the budget, so that who reads none of them keeps no body out; but one alone always. */
int http_room_answer(struct http_call *call, struct err *e)
{
	struct http_server *s = call->server;
	size_t bytes = call->out.cap, all = s->o.limits.bodies_bytes;
	if (call->out.n <= ANSWER_FREE_BYTES)
		return 0;
	http_room_give_back(call);
	buf_fini(&call->body);
	if (s->bodies_bytes > 0 &&
	    (s->bodies_bytes + bytes > all || s->answers_bytes + bytes > all / 2)) {
		(void)err_set(
		    e, ERR_UNAVAILABLE, "too many large answers are being read at this moment");
		return err_hint(e, "try again in a second");
	}
	s->bodies_bytes += bytes;
	s->answers_bytes += bytes;
	call->answer_bytes = bytes;
	return 0;
}

void http_room_answer_gone(struct http_call *call)
{
	call->server->bodies_bytes -= call->answer_bytes;
	call->server->answers_bytes -= call->answer_bytes;
	call->answer_bytes = 0;
}

void http_room_give_back(struct http_call *call)
{
	struct http_server *s = call->server;
	if (call->body_fd >= 0)
		s->spooled_bytes -= call->body_bytes;
	fs_close_fd(&call->body_fd);
	s->bodies_bytes -= call->charged_bytes;
	call->charged_bytes = 0;
}
