#include "plant.h"

#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fault { NONE, DROP, STALE, ORDER };
static enum fault fault;
static uint64_t at, seen;

bool plant_parse(const char *text)
{
	static const char *const names[] = {"drop:", "stale:", "order:"};
	for (int i = 0; i < 3; i++) {
		size_t n = strlen(names[i]);
		if (strncmp(text, names[i], n) != 0)
			continue;
		fault = (enum fault)(i + 1);
		at = strtoull(text + n, NULL, 10);
		return at > 0;
	}
	return false;
}

/* Unfollowing oneself is answered as a message is, and changes nothing. */
void plant_request(struct request *r)
{
	if (fault != DROP || r->kind != KIND_POST || ++seen != at)
		return;
	static char out[REQUEST_MAX];
	char *path = memmem(r->bytes, r->bytes_n, "/msgs/", 6),
	     *version = memmem(r->bytes, r->bytes_n, " HTTP/1.1", 9);
	const struct person *p = &m.persons[r->person];
	char body[256];
	if (!path || !version)
		return;
	int body_n = snprintf(body, sizeof(body), "{\"unfollow\": \"%s\"}", p->name);
	int n = snprintf(out, sizeof(out),
	    "POST /fllws/%.*s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\nContent-Type: "
	    "application/json\r\n"
	    "Authorization: Basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh\r\nContent-Length: %d\r\n\r\n%s",
	    (int)(version - path - 6), path + 6, o.host, o.keep ? "keep-alive" : "close", body_n,
	    body);
	memcpy(r->bytes, out, (size_t)n);
	r->bytes_n = (size_t)n;
}

/* Behind the object that begins at p, in text that is right. */
static char *object_end(char *p, const char *end)
{
	bool quoted = false;
	for (; p < end; p++) {
		if (quoted && *p == '\\')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == '}')
			return p + 1;
	}
	return NULL;
}

/* Whether the newest message there was acknowledged before it was asked for: one that was under way meanwhile may be missing. */
static bool newest_is_due(const struct request *r, char *body, const char *end)
{
	size_t n = 0;
	for (char *p = memchr(body, '{', (size_t)(end - body)); p; n++) {
		char *behind = object_end(p, end);
		p = behind ? memchr(behind, '{', (size_t)(end - behind)) : NULL;
	}
	return n <= r->acked;
}

size_t plant_answer(const struct request *r, int status, char *body, size_t n)
{
	if ((fault != STALE && fault != ORDER) || r->kind != KIND_USER || status != 200 ||
	    ++seen < at || r->acked < 2 || r->acked >= 100)
		return n;
	char *end = body + n, *a = memchr(body, '{', n), *a_end = a ? object_end(a, end) : NULL;
	char *b = a_end ? memchr(a_end, '{', (size_t)(end - a_end)) : NULL,
	     *b_end = b ? object_end(b, end) : NULL;
	if (!b_end || !newest_is_due(r, body, end))
		return n;
	enum fault which = fault;
	fault = NONE;
	if (which == STALE) {
		memmove(a, b, (size_t)(end - b));
		return n - (size_t)(b - a);
	}
	size_t a_n = (size_t)(a_end - a), gap = (size_t)(b - a_end), b_n = (size_t)(b_end - b);
	char *copy = malloc(a_n + gap + b_n);
	if (!copy)
		die("memory");
	memcpy(copy, b, b_n);
	memcpy(copy + b_n, a_end, gap);
	memcpy(copy + b_n + gap, a, a_n);
	memcpy(a, copy, a_n + gap + b_n);
	free(copy);
	return n;
}
