/* A signed ping to one of our own hooks, by the way that senders take. */
#include "api/hook_host.h"
#include "api/routes.h"
#include "api/wait.h"

#include "base/cidr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rand.h"
#include "hooks/sender.h"
#include "http/client.h"
#include "loop/loop.h"
#include "model/hook.h"
#include "model/place.h"
#include "outbound/outbound.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum { PING_MS = 10000, TRUST_MS = 4000, HEADERS_MAX = 4096, SECRET_MAX = 4096 };

static bool name_is_private(struct str name)
{
	static const char *const endings[] = {
	    "localhost", ".localhost", ".local", ".internal", ".lan"};
	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
		if (str_ends(name, str_c(endings[i])))
			return true;
	return str_find(name, '.', 0) == SIZE_MAX;
}

struct api_host api_public_host(const struct api_context *cx)
{
	struct api_host h = {0};
	struct cidr_address address;
	struct str url = str_c(cx->public_url ? cx->public_url : "");
	uint64_t port;
	h.tls = str_starts(url, STR("https://"));
	url = str_from(url, h.tls ? 8 : str_starts(url, STR("http://")) ? 7 : url.n);
	url = str_slice(url, 0, str_find(url, '/', 0));
	if (!str_copy(url, h.text, sizeof(h.text)))
		return h;
	size_t colon = str_find(url, ':', url.n && url.p[0] == '[' ? str_find(url, ']', 0) : 0);
	h.name = str_slice(url, 0, colon);
	if (colon != SIZE_MAX && num_u64(str_from(url, colon + 1), 1, 65535, &port))
		h.port = (uint16_t)port;
	struct str bare =
	    h.name.n > 2 && h.name.p[0] == '[' ? str_slice(h.name, 1, h.name.n - 2) : h.name;
	if (!cidr_address_parse(bare, &address)) {
		h.is_private = name_is_private(bare);
		return h;
	}
	h.is_private = cidr_not_public(&address) != NULL;
	h.is_here = address.size == 4 && address.bytes[0] == 127 && h.port;
	return h;
}

/* A look at our own certificate. */
struct trust {
	struct api_wait wait;
	struct outbound *outbound;
	char url[300];
	bool untrusted;
};

static void trust_answered(void *ctx, const struct outbound_answer *a)
{
	struct trust *t = ctx;
	t->untrusted = a->outcome == OUTBOUND_UNTRUSTED;
	api_wait_answer(&t->wait);
}

static void trust_ask(void *ctx)
{
	struct trust *t = ctx;
	struct err e;
	const struct outbound_request r = {.kind = OUTBOUND_HTTP,
	    .method = OUTBOUND_GET,
	    .timeout_ms = TRUST_MS,
	    .url = str_c(t->url)};
	const struct outbound_answer none = {.outcome = OUTBOUND_UNREACHABLE};
	if (outbound_ask(t->outbound, &r, trust_answered, t, &e) != 0)
		trust_answered(t, &none);
}

bool api_public_untrusted(const struct api_context *cx)
{
	struct api_host host = api_public_host(cx);
	if (!host.tls || host.is_private || !cx->outbound)
		return false;
	struct trust *t = mem_alloc(sizeof(*t));
	t->outbound = cx->outbound;
	(void)snprintf(t->url, sizeof(t->url), "https://%s/health", host.text);
	api_wait_init(&t->wait);
	loop_post(cx->loop, trust_ask, t);
	bool untrusted = api_wait_for(&t->wait, 2 * TRUST_MS) && t->untrusted;
	api_wait_release(&t->wait);
	return untrusted;
}

/* The ping on its way: the loop asks, the call's thread waits. */
struct ping {
	struct loop *loop;
	struct http_probe_options o;
	int status;
	struct err why;
	sem_t answered;
};

static void ping_answered(void *ctx, int status, const struct err *e)
{
	struct ping *p = ctx;
	p->status = status;
	if (e)
		p->why = *e;
	sem_post(&p->answered);
}

static void ping_start(void *ctx)
{
	struct ping *p = ctx;
	http_probe_start(p->loop, &p->o, ping_answered, p);
}

/* The deadline is the probe's: it always answers. */
static int ping_send(struct ping *p, struct err *e)
{
	sem_init(&p->answered, 0, 0);
	loop_post(p->loop, ping_start, p);
	while (sem_wait(&p->answered) != 0)
		;
	sem_destroy(&p->answered);
	if (p->status)
		return 0;
	*e = p->why;
	err_prefix(e, "the ping found nobody at %s", p->o.host);
	return err_hint(
	    e, "is the edge up, and does it know this host name? slipwayd --public-url");
}

static int ping_sign(struct api_call *c, const struct model_hook *h, const struct sender *s,
    struct buf *headers, struct err *e)
{
	char place[MODEL_PLACE_SIZE], id[RAND_TOKEN_SIZE];
	CLEANUP_BUF struct buf secret;
	buf_init(&secret, SECRET_MAX);
	if (seal_open(c->cx->seal, model_place_hook(h->name, place), h->secret, &secret, e) != 0)
		return err_prefix(e, "the secret of hook '%.*s'", STR_ARG(h->name));
	if (sender_secret_is_public(buf_view(&secret))) {
		(void)err_set(e, ERR_CONFLICT, "hook '%.*s' has only the sender's public key",
		    STR_ARG(h->name));
		return err_hint(e, "have the sender send a test: nobody else can sign one");
	}
	rand_token(id);
	buf_str(headers, STR("Content-Type: application/json\r\n"));
	s->sign(buf_view(&secret), str_c(id), str_c(s->ping), clock_wall_ms(), headers);
	buf_wipe(&secret);
	return headers->full ? err_set(e, ERR_TOO_LARGE, "the ping is too large") : 0;
}

static int hook_read(struct api_call *c, struct model_hook *h, struct err *e)
{
	struct str name = http_param(c->http, "hook");
	struct store_db *db = api_reading(c, e);
	int found = db ? model_hook_find(db, c->r->arena, name, h, e) : -1;
	if (found < 0)
		return -1;
	return found && h->project_id == c->who->project_id ? 0 : api_absent("hook", name, e);
}

int api_hook_test(struct api_call *c, struct err *e)
{
	struct model_hook h;
	char path[128];
	struct api_host host = api_public_host(c->cx);
	CLEANUP_BUF struct buf headers;
	buf_init(&headers, HEADERS_MAX);
	if (hook_read(c, &h, e) < 0)
		return -1;
	const struct sender *s = sender_find(h.sender);
	if (!s)
		return err_set(e, ERR_CONFLICT, "this version does not know the hook's sender");
	if (ping_sign(c, &h, s, &headers, e) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/hooks/%.*s", STR_ARG(h.name));
	struct ping p = {.loop = c->cx->loop,
	    .o = {.port = host.is_here ? host.port : c->cx->edge_port,
		.path = path,
		.host = host.text,
		.proto = host.tls ? "https" : "http",
		.headers = headers.p,
		.body = str_c(s->ping),
		.deadline_ms = clock_mono_ms() + PING_MS}};
	int rc = ping_send(&p, e);
	buf_wipe(&headers);
	if (rc != 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "status", p.status);
	json_put_bool(&c->w, "arrived", p.status == 200 || p.status == 202);
	json_put_str(&c->w, "by_way_of", str_c(host.text));
	json_put_bool(&c->w, "untrusted", api_public_untrusted(c->cx));
	json_close_object(&c->w);
	return 0;
}
