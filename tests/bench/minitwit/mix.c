#include "mix.h"

#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TRIES 16 /* persons looked at before something is read instead */

static const char credential[] = "Authorization: Basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh\r\n";
static int64_t started_us;
static uint64_t begun, registered, audited;

/* --- writing --- */

struct out {
	char *p;
	size_t n, max;
};

static __attribute__((format(printf, 2, 3))) void put(struct out *b, const char *text, ...)
{
	va_list v;
	va_start(v, text);
	int n = vsnprintf(b->p + b->n, b->max - b->n, text, v);
	va_end(v);
	if (n < 0 || (size_t)n >= b->max - b->n)
		die("a request is too long");
	b->n += (size_t)n;
}

static void put_path(struct out *b, const char *name)
{
	for (const char *c = name; *c; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || strchr("-_.~", *c);
		if (plain)
			b->p[b->n++] = *c;
		else
			put(b, "%%%02X", (unsigned char)*c);
	}
}

/* As Python's json.dumps: everything beyond ASCII is \uXXXX, beyond the first plane two of them. */
static void put_json(struct out *b, const char *text, size_t n)
{
	const unsigned char *c = (const unsigned char *)text, *end = c + n;
	put(b, "\"");
	while (c < end) {
		unsigned bytes = *c < 0x80 ? 1 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : 4;
		uint32_t u = bytes == 1 ? *c : *c & (0xffu >> (bytes + 1));
		for (unsigned i = 1; i < bytes; i++)
			u = u << 6 | (c[i] & 63u);
		c += bytes;
		if (u >= 0x10000)
			put(b, "\\u%04x\\u%04x", 0xd800 + ((u - 0x10000) >> 10),
			    0xdc00 + ((u - 0x10000) & 0x3ff));
		else if (u < 0x20 || u >= 0x7f)
			put(b, u == '\n' ? "\\n" : u == '\t' ? "\\t" : "\\u%04x", u);
		else if (u == '"' || u == '\\')
			put(b, "\\%c", (char)u);
		else
			b->p[b->n++] = (char)u;
	}
	put(b, "\"");
}

static void put_name(struct out *b, const struct person *p)
{
	put_json(b, p->name, p->name_n);
}

static void body_of(struct out *b, const struct request *r)
{
	const struct person *p = &m.persons[r->person];
	char text[SAY_TEXT_SIZE];
	if (r->kind == KIND_REGISTER || (r->kind == KIND_REFUSED && r->refusal == REFUSE_TAKEN)) {
		put(b, "{\"username\": ");
		put_name(b, p);
		put(b, ", \"email\": \"person%u@minitwit.example\", \"pwd\": \"secret%u\"}",
		    r->person, r->person);
	} else if (r->kind == KIND_POST) {
		size_t n = say_text((struct say){r->person, r->nth, p->said[r->nth].number}, text);
		put(b, "{\"content\": ");
		put_json(b, text, n);
		put(b, "}");
	} else if (r->kind == KIND_FOLLOW || r->kind == KIND_UNFOLLOW) {
		put(b, r->kind == KIND_FOLLOW ? "{\"follow\": " : "{\"unfollow\": ");
		put_name(b, &m.persons[r->whom]);
		put(b, "}");
	} else if (r->kind == KIND_REFUSED && r->refusal == REFUSE_POST) {
		put(b, "{\"content\": \"nobody says this\"}");
	} else if (r->kind == KIND_REFUSED && r->refusal == REFUSE_FOLLOW) {
		put(b, "{\"follow\": \"nobody at all\"}");
	}
}

static void path_of(struct out *b, const struct request *r)
{
	bool nobody =
	    r->kind == KIND_REFUSED && (r->refusal == REFUSE_NOBODY || r->refusal == REFUSE_POST);
	switch (r->kind) {
	case KIND_POST:
	case KIND_USER:
		put(b, "/msgs/");
		break;
	case KIND_FOLLOW:
	case KIND_UNFOLLOW:
	case KIND_FOLLOWS:
		put(b, "/fllws/");
		break;
	case KIND_REFUSED:
		put(b, "%s",
		    r->refusal == REFUSE_TAKEN	  ? "/register"
		    : r->refusal == REFUSE_FOLLOW ? "/fllws/"
						  : "/msgs/");
		break;
	case KIND_PUBLIC:
		put(b, "/msgs");
		break;
	case KIND_REGISTER:
		put(b, "/register");
		break;
	case KIND_LATEST:
	case KIND_COUNT:
	default:
		put(b, "/latest");
	}
	if (nobody)
		put(b, "nobody%%20at%%20all");
	else if (b->p[b->n - 1] == '/')
		put_path(b, m.persons[r->person].name);
}

static void write_request(struct request *r)
{
	char body[4096];
	struct out b = {r->bytes, 0, sizeof(r->bytes)}, content = {body, 0, sizeof(body)};
	bool stranger = r->kind == KIND_LATEST || r->kind == KIND_REGISTER ||
			(r->kind == KIND_REFUSED && r->refusal == REFUSE_STRANGER);
	body_of(&content, r);
	put(&b, content.n ? "POST " : "GET ");
	path_of(&b, r);
	if (r->count)
		put(&b, "?no=%lld", (long long)r->count);
	if (r->number)
		put(&b, "%clatest=%llu", r->count ? '&' : '?', (unsigned long long)r->number);
	put(&b,
	    " HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\nConnection: %s\r\nContent-Type: "
	    "application/json\r\n%s",
	    o.host, o.keep ? "keep-alive" : "close", stranger ? "" : credential);
	if (content.n)
		put(&b, "Content-Length: %zu\r\n", content.n);
	put(&b, "\r\n");
	if (b.n + content.n > b.max)
		die("a request is too long");
	memcpy(b.p + b.n, body, content.n);
	r->bytes_n = b.n + content.n;
}

/* --- choosing --- */

static uint32_t anybody(void)
{
	return m.known[rand_below(m.known_count)];
}

static bool fits(enum kind kind, const struct person *p)
{
	if (kind == KIND_POST)
		return !p->posting;
	if (kind == KIND_FOLLOW)
		return !p->moving && p->reading == 0 && p->follow_count < FOLLOWS_MAX;
	if (kind == KIND_UNFOLLOW)
		return !p->moving && p->reading == 0 && p->follow_count > 0;
	return kind != KIND_FOLLOWS || !p->moving;
}

static bool choose_whom(struct request *r)
{
	const struct person *p = &m.persons[r->person];
	if (r->kind == KIND_UNFOLLOW) {
		r->whom = p->follows[rand_below(p->follow_count)];
		return true;
	}
	r->whom = anybody();
	for (uint32_t i = 0; i < p->follow_count; i++)
		if (p->follows[i] == r->whom)
			return false;
	return r->whom != r->person;
}

static void choose_person(struct request *r)
{
	for (int i = 0; i < TRIES; i++) {
		r->person = anybody();
		if (!fits(r->kind, &m.persons[r->person]))
			continue;
		if ((r->kind != KIND_FOLLOW && r->kind != KIND_UNFOLLOW) || choose_whom(r))
			return;
	}
	r->kind = KIND_USER;
}

static enum kind choose_kind(void)
{
	static const struct {
		enum kind kind;
		unsigned of;
	} mix[] = {{KIND_POST, 3000}, {KIND_FOLLOW, 1000}, {KIND_UNFOLLOW, 500}, {KIND_USER, 2400},
	    {KIND_PUBLIC, 1950}, {KIND_FOLLOWS, 1000}, {KIND_LATEST, 100}, {KIND_REFUSED, 50}};
	uint32_t at = rand_below(10000);
	unsigned i = 0;
	if (rand_below(10000) < o.registrations && m.person_count < PERSONS_MAX)
		return KIND_REGISTER;
	for (; at >= mix[i].of; i++)
		at -= mix[i].of;
	return mix[i].kind;
}

static void finish(struct request *r)
{
	static const int refused[REFUSALS] = {403, 404, 400, 404, 404};
	bool reads = r->kind == KIND_USER || r->kind == KIND_FOLLOWS || r->kind == KIND_PUBLIC ||
		     r->kind == KIND_LATEST;
	r->status = r->kind == KIND_REFUSED ? refused[r->refusal] : reads ? 200 : 204;
	model_begin(r);
	write_request(r);
	begun++;
}

int mix_setup(struct request *r)
{
	if (registered >= o.persons || ending)
		return -1;
	*r = (struct request){.kind = KIND_REGISTER, .person = model_person_new(), .number = 1};
	registered++;
	finish(r);
	return 1;
}

void mix_start(void)
{
	started_us = now_us();
	begun = 0;
}

uint64_t mix_begun(void)
{
	return begun;
}

int mix_simulator(struct request *r)
{
	if (ending || m.known_count < 2 ||
	    (o.count ? begun >= o.count : (double)(now_us() - started_us) >= o.seconds * 1e6))
		return -1;
	r->kind = choose_kind();
	r->count = 0;
	r->number = r->kind != KIND_LATEST;
	r->refusal = r->kind == KIND_REFUSED ? rand_below(REFUSALS) : 0;
	r->person = 0;
	if (r->kind == KIND_REGISTER)
		r->person = model_person_new();
	else
		choose_person(r);
	if (r->kind == KIND_USER || r->kind == KIND_FOLLOWS)
		r->count = 100;
	else if (r->kind == KIND_PUBLIC)
		r->count = rand_below(4) == 0 ? 100 : 30;
	finish(r);
	return 1;
}

int mix_audit(struct request *r)
{
	uint64_t person = audited / 2;
	if (person >= m.known_count || ending > 1)
		return -1;
	*r = (struct request){
	    .kind = audited % 2 ? KIND_FOLLOWS : KIND_USER, .person = m.known[person], .count = -1};
	audited++;
	finish(r);
	return 1;
}
