/* The way to the API: libcurl over a Unix socket or HTTPS. Everything blocks, within limits of
 * time: 10 s to connect, 60 s without a byte. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "cli/sse.h"

#include <stdint.h>

/* Which server; strings are borrowed. */
struct net_server {
	const char *socket; /* a Unix socket; then url is not used */
	const char *url;    /* "https://host:port", nothing behind */
	const char *token;  /* may be NULL */
	const char *pin; /* "sha256//…" of its public key: instead of authorities; may be NULL */
	bool insecure;	 /* plain http to another machine is fine */
};

struct net;
/* NULL with e: an address that is not one, or plain http to another machine. */
struct net *net_open(const struct net_server *s, struct err *e);
void net_close(struct net *n);
/* After a failure: the server could not be reached at all. */
bool net_unreachable(const struct net *n);
/* After a failure: its certificate could not be verified. */
bool net_untrusted(const struct net *n);
const char *net_name(const struct net *n); /* for messages: the socket or the URL */

struct net_request {
	const char *method, *path; /* the path with its query */
	struct str body;	   /* p NULL: none */
	const char *type;	   /* of the body */
	int body_fd;		   /* with body_bytes > 0: the body, from the descriptor's place */
	int64_t body_bytes;
	/* Now and then while a descriptor is sent; may be NULL. */
	void (*progress)(void *ctx, int64_t sent, int64_t total);
	void *ctx;
};
/* 0 with a 2xx answer in ret (at most ret->max). -1: the problem document's error, or why there was
 * no answer. A POST carries an Idempotency-Key and is sent once more, with the same key, when the
 * connection broke before the answer. */
int net_call(
    struct net *n, const struct net_request *q, struct buf *ret, struct err *e) WARN_UNUSED;

/* Follows a stream of events into s, from s->id on. 0: it ended or broke (net_broken_why says);
 * 1: the events' function said to stop; 2: stop_fd became readable; -1: refused. `tick` runs about
 * every `tick_ms`. */
struct net_stream {
	const char *path;
	struct sse *sse;
	int stop_fd; /* -1: none */
	int tick_ms;
	void (*tick)(void *ctx);
	void *ctx;
};
int net_follow(struct net *n, const struct net_stream *st, struct err *e) WARN_UNUSED;

/* A connection of one's own: connects and sends `request` (a head and perhaps a body); the curl
 * handle for curl_easy_send and curl_easy_recv and its socket. NULL with e. The caller gives it to
 * net_raw_close. */
void *net_raw_open(struct net *n, int *ret_fd, struct err *e);
void net_raw_close(void *curl);
/* "Host: …\r\n" and the credential's line for a head written by hand. */
void net_raw_headers(const struct net *n, struct buf *head);
/* An answer that is no success, as an error. */
int net_problem(int status, struct str body, struct err *e);

/* The certificate that the server shows, whoever signed it: SHA-256 of it as "AB:CD:…" and the pin
 * of its key. */
#define NET_FINGERPRINT_SIZE 96
#define NET_PIN_SIZE 64
int net_certificate(struct net *n, char fingerprint[NET_FINGERPRINT_SIZE], char pin[NET_PIN_SIZE],
    struct err *e) WARN_UNUSED;
