/* What comes to a hook: its proof, what it says, and on to the intake. On the loop; what is large, or compared with
 * globs of a hook's, is looked at beside it. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "github/ranges.h"
#include "hooks/answer.h"
#include "hooks/figures.h"
#include "hooks/hooks_parts.h"
#include "hooks/pace.h"

#include <stdio.h>

#define ASIDE_BYTES (256u << 10)

/* What a delivery says, and whether something follows. Made of copies of a hook's settings, or of itself while it cannot change. */
struct reading {
	const struct sender *sender;
	struct actions actions;
	struct str branch;
	bool own_branch, paused;
	const struct policy *policy;
	struct sender_event first;
	const struct sender_event *ev; /* of those that it speaks of */
	const char *why;	       /* nothing follows; NULL: something does */
	int rc;
	struct err e;
};

/* A request that is being looked at; `verdict` is of its proof. */
struct reception {
	struct hooks *h;
	struct http_call *c;
	struct http_request *r;
	struct str name;
	struct hook *hook; /* NULL: there is none of that name */
	struct cidr_address address;
	const struct cidr_address *from; /* NULL: not known */
	enum answer_manner manner;
	enum sender_verdict verdict;
	struct reading *read; /* NULL: it was not yet read */
	const uint8_t *hash;  /* of recent_hash; NULL: not yet known */
	struct figures_span span;
};

/* A delivery on its way; lives in the request's arena. */
struct delivery {
	struct intake_ask ask;
	struct http_call *c;
	struct store *store;
	struct answer_about about;
	struct figures_span span;
};

/* On any thread, the loop included: it is durable now, and the call gone once it is answered. */
static void delivery_done(struct intake_ask *ask, int rc, const struct err *e)
{
	struct delivery *d = ask->ctx;
	if (rc == 0 && ask->got.repeated) /* before the answer: the key goes with it */
		recent_keep(d->store, ask->d.key, ask->d.received_ms);
	if (rc != 0)
		answer_refused(d->c, d->about.manner, &d->span, SENDER_FITS, e, 0);
	else
		answer_accepted(d->c, &d->about, &d->span, &ask->got);
}

static void note_refusal(const struct reception *x, const struct err *e)
{
	refusals_note(x->h->refusals, x->name, x->from, x->r->id, e);
}

static void refuse(const struct reception *x, const struct err *e)
{
	note_refusal(x, e);
	answer_refused(x->c, x->manner, &x->span, x->verdict, e, 0);
}

static void refuse_for(const struct reception *x, struct err *e, int64_t wait_ms)
{
	err_hint(e, "come again in %lld s", (long long)(wait_ms + 999) / 1000);
	answer_refused(x->c, x->manner, &x->span, x->verdict, e, wait_ms);
}

/* Where a request comes from, or NULL: over the API's own socket. The edge says whom it has at its
 * other end, or behind proxies that it trusts, and takes that from nobody else. */
static const struct cidr_address *source_of(const struct http_request *r, struct cidr_address *ret)
{
	struct str text =
	    r->peer_address[0] ? str_c(r->peer_address) : http_header_get(r, "X-Forwarded-For");
	return !r->unix_peer && cidr_address_parse(text, ret) ? ret : NULL;
}

/* Who fails too often hears nothing but that, and has no line of the log each time. Who proves himself is never asked:
 * others may have failed from the same address. */
static void refuse_stranger(const struct reception *x, struct err *e)
{
	int64_t wait_ms = x->from ? refusals_too_many(x->h->refusals, x->from) : 0;
	if (wait_ms > 0) {
		err_set(e, ERR_RATE, "too many requests from this address were refused");
		refuse_for(x, e, wait_ms);
		return;
	}
	refuse(x, e);
}

static int check_content(const struct sender *s, const struct http_request *r, struct err *e)
{
	struct str type = http_content_type(r);
	if (str_eq_nocase(type, STR("application/json")) ||
	    (s->forms && str_eq_nocase(type, STR("application/x-www-form-urlencoded"))))
		return 0;
	err_set(e, ERR_UNSUPPORTED, "the body's type is not application/json%s",
	    s->forms ? " or a form" : "");
	return err_hint(e, "choose content type %s at the sender", s->content_type_hint);
}

static const char *why_ignored(
    const struct reading *g, const struct sender_event *ev, size_t *steps, struct arena *a)
{
	if (g->paused)
		return "the hook is paused";
	const char *why =
	    actions_leave_out(&g->actions, g->sender, g->branch, g->own_branch, ev, a);
	return why ? why : policy_leaves_out(g->policy, g->sender, ev, steps, a);
}

/* Of the branches that a delivery speaks of, the first that something follows for; else the first, and
 * why not. */
static void event_choose(struct reading *g, struct arena *a)
{
	size_t steps = 0;
	g->ev = &g->first;
	for (const struct sender_event *ev = g->ev; ev; ev = ev->next) {
		const char *why = why_ignored(g, ev, &steps, a);
		if (ev == g->ev || !why)
			g->why = why;
		if (!why) {
			g->ev = ev;
			return;
		}
	}
}

static void reading_begin(struct reading *g, const struct hook *hook, struct str branch)
{
	*g = (struct reading){.sender = hook->sender,
	    .actions = hook->actions,
	    .branch = branch,
	    .own_branch = hook->own_branch,
	    .paused = hook->paused,
	    .policy = &hook->policy->p};
}

static void read_it(struct reading *g, struct http_request *r)
{
	g->rc = check_content(g->sender, r, &g->e);
	if (g->rc == 0)
		g->rc = g->sender->read(r, &g->first, &g->e);
	if (g->rc == 0)
		event_choose(g, r->arena);
}

static void hash_of(
    const struct http_request *r, const struct sender *sender, uint8_t ret[HASH_SHA256_BYTES])
{
	recent_hash(str_c(sender->name), r->path, r->body, ret);
}

/* The id that the sender gave it, or what takes its place. */
static struct str key_of(const struct reception *x, const struct sender_event *ev, int64_t now_ms)
{
	uint8_t hash[HASH_SHA256_BYTES];
	if (ev->key.n)
		return ev->key;
	if (!x->hash)
		hash_of(x->r, x->hook->sender, hash);
	return recent_key(x->h->recent, x->hash ? x->hash : hash, now_ms, x->r->arena);
}

static void hook_store(const struct reception *x, const struct reading *g)
{
	struct err e;
	struct http_request *r = x->r;
	const struct hook *hook = x->hook;
	const struct sender_event *ev = g->ev;
	struct delivery *d = arena_alloc(r->arena, sizeof(*d));
	if (!d) {
		err_set(&e, ERR_TOO_LARGE, "the delivery is too large");
		refuse(x, &e);
		return;
	}
	int64_t now = clock_wall_ms();
	d->c = x->c;
	d->store = x->h->o.store;
	d->span = x->span;
	d->about = (struct answer_about){x->manner, g->why, ev->ref, ev->kind};
	d->ask.done = delivery_done;
	d->ask.ctx = d;
	d->ask.d = (struct queue_delivery){
	    .hook_id = hook->id,
	    .project_id = hook->project_id,
	    .key = key_of(x, ev, now),
	    .kind = ev->kind,
	    .ref = ev->pull && !hook->actions.own ? STR("") : ev->ref,
	    .before = ev->before,
	    .after = ev->after,
	    .body = ev->json,
	    .received_ms = now,
	    .triggers = !d->about.note,
	    .acts = hook->actions.own,
	    .pull = ev->pull,
	    .stranger = ev->stranger,
	};
	if (intake_accept(x->h->o.intake, &d->ask, r->arena, &e) != 0)
		refuse(x, &e);
}

/* -1: nobody looks further at what comes from there. */
static int admit(struct reception *x, struct err *e)
{
	const struct ranges *known = x->h->o.github;
	if (!x->hook ||
	    policy_admits(&x->hook->policy->p, known ? ranges_list(known) : NULL, x->from))
		return 0;
	figures_failed(&x->span, FIGURES_ADDRESS);
	return err_set(e, ERR_FORBIDDEN, "the hook takes nothing from this address");
}

/* What it is verified against; unknown names take as long. */
static struct sender_proof proof_of(const struct reception *x, const struct sender **ret_sender)
{
	const struct hook *hook = x->hook;
	*ret_sender = hook ? hook->sender : sender_at(0);
	return (struct sender_proof){.v = hook ? hook->secrets : &x->h->nobody,
	    .n = hook ? hook->secret_count : 1,
	    .now_ms = clock_wall_ms()};
}

/* 0, or -1: it was not believed, for the reason that e holds already where there is a hook. */
static int believe(struct reception *x, enum sender_verdict verdict, struct err *e)
{
	if (!x->hook) {
		figures_failed(&x->span, FIGURES_UNKNOWN);
		return err_set(e, ERR_NOT_FOUND, "there is no such hook");
	}
	x->verdict = verdict;
	if (verdict == SENDER_FITS)
		return 0;
	figures_failed(&x->span, (enum figures_failure)verdict);
	return -1;
}

static void proven(struct reception *x, enum sender_verdict verdict, const struct err *why)
{
	struct err e = *why;
	struct reading here, *g = x->read;
	if (believe(x, verdict, &e) != 0) {
		refuse_stranger(x, &e);
		return;
	}
	struct hook *hook = x->hook;
	const struct pace *limit = &hook->policy->p.limit;
	int64_t wait_ms = pace_take(limit, &hook->paced, clock_mono_ms());
	if (wait_ms > 0) {
		err_set(&e, ERR_RATE, "the hook takes %lld deliveries a minute",
		    (long long)limit->per_minute);
		note_refusal(x, &e);
		refuse_for(x, &e, wait_ms);
		return;
	}
	if (!g) {
		g = &here;
		reading_begin(g, hook, str_c(hook->branch));
		read_it(g, x->r);
	}
	if (g->rc != 0)
		refuse(x, &g->e);
	else
		hook_store(x, g);
}

static void look_at(struct reception *x);

/* One that is looked at beside the loop, with keys and settings of its own; in the request's arena. The hook may be another, or
 * none, when it comes back: then it begins again. */
struct aside {
	struct reception x;
	struct sender_credential keys[HOOK_SECRETS_MAX];
	struct sender_proof proof;
	const struct sender *sender;
	uint64_t of; /* the hook's reading from the store; 0: there was none */
	struct hook_policy *policy;
	enum sender_verdict verdict;
	struct reading read;
	uint8_t hash[HASH_SHA256_BYTES];
	struct err e;
};

static void aside_work(void *ctx)
{
	struct aside *s = ctx;
	s->verdict = s->sender->verify(s->x.r, &s->proof, &s->e);
	if (s->verdict != SENDER_FITS || !s->of)
		return;
	read_it(&s->read, s->x.r);
	s->x.read = &s->read;
	if (s->read.rc == 0 && !s->read.ev->key.n) {
		hash_of(s->x.r, s->sender, s->hash);
		s->x.hash = s->hash;
	}
}

static void aside_drop(struct aside *s)
{
	for (size_t i = 0; i < s->proof.n; i++)
		sender_credential_fini(&s->keys[i]);
	hook_policy_release(s->policy);
}

static void aside_again(struct aside *s)
{
	struct err e;
	struct reception *x = &s->x;
	bool used_up = x->read && x->read->rc == 0 && x->read->first.json.p != x->r->body.p;
	x->read = NULL;
	x->hash = NULL;
	if (!used_up) {
		look_at(x);
		return;
	}
	err_set(&e, ERR_UNAVAILABLE, "the hook was changed while this was looked at");
	refuse(x, &e);
}

static void aside_done(void *ctx)
{
	struct aside *s = ctx;
	struct reception *x = &s->x;
	aside_drop(s);
	x->hook = hook_find(x->h, x->name);
	if ((x->hook ? x->hook->reading : 0) == s->of)
		proven(x, s->verdict, &s->e);
	else
		aside_again(s);
}

static void set_aside(const struct reception *x)
{
	struct err e;
	struct aside *s = arena_alloc(x->r->arena, sizeof(*s));
	struct str name = arena_str(x->r->arena, x->name);
	struct str branch = arena_str(x->r->arena, x->hook ? str_c(x->hook->branch) : STR(""));
	if (!s || !name.p || !branch.p) {
		err_set(&e, ERR_TOO_LARGE, "the delivery is too large");
		refuse(x, &e);
		return;
	}
	*s = (struct aside){.x = *x, .of = x->hook ? x->hook->reading : 0};
	s->x.name = name;
	s->x.from = x->from ? &s->x.address : NULL;
	if (x->hook) {
		reading_begin(&s->read, x->hook, branch);
		s->policy = x->hook->policy;
		atomic_fetch_add(&s->policy->holders, 1);
	}
	s->proof = proof_of(x, &s->sender);
	for (size_t i = 0; i < s->proof.n; i++)
		s->keys[i] = sender_credential_copy(&s->proof.v[i]);
	s->proof.v = s->keys;
	if (loop_compute(x->h->o.loop, aside_work, aside_done, s, &e) == 0)
		return;
	aside_drop(s);
	refuse(x, &e);
}

/* A larger body would hold up everybody else for 0.2 ms; what is compared with it is its hook's to say, and may take longer. */
static bool is_long(const struct reception *x)
{
	return x->r->body.n > ASIDE_BYTES || (x->hook && policy_compares(&x->hook->policy->p));
}

static void look_at(struct reception *x)
{
	struct err e = {0};
	const struct sender *sender;
	if (admit(x, &e) != 0) {
		refuse_stranger(x, &e);
	} else if (is_long(x)) {
		set_aside(x);
	} else {
		struct sender_proof proof = proof_of(x, &sender);
		enum sender_verdict verdict = sender->verify(x->r, &proof, &e);
		proven(x, verdict, &e);
	}
}

static void receive(struct reception *x)
{
	x->hook = hook_find(x->h, x->name);
	x->from = source_of(x->r, &x->address);
	x->span = figures_begin(x->hook ? x->hook->sender : NULL, http_pattern(x->c));
	look_at(x);
}

void hooks_turned_away(const struct http_route *route, const struct err *e)
{
	counter_add(COUNTER_HOOK_REFUSED, 1);
	figures_turned_away(route->pattern, e);
}

void hooks_receive(struct hooks *h, struct http_call *c, struct http_request *r)
{
	struct reception x = {.h = h, .c = c, .r = r, .name = http_param(c, "hook")};
	receive(&x);
}

void hooks_receive_as(struct hooks *h, struct http_call *c, struct http_request *r, struct str name,
    enum answer_manner manner)
{
	struct reception x = {.h = h, .c = c, .r = r, .name = name, .manner = manner};
	receive(&x);
}
