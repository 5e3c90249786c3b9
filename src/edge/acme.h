/* Asking a certificate authority (ACME, RFC 8555) by way of certbot, as the daemon's own user, with
 * folders of its own: config/ (accounts, keys, certificates), work/, logs/ below `dir`. Its answers
 * to the authority's questions lie below `webroot`, which every vhost serves (HTTP-01); or a program
 * of the operator's puts them into the DNS (DNS-01), and certbot waits meanwhile as it would for a
 * person: it would start such a program with a shell. One at a time: certbot has one lock for its
 * folders.
 *
 * Everything on the loop thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

#include <stdint.h>

struct acme_options { /* borrowed */
	struct loop *loop;
	const char *certbot; /* absolute path */
	const char *dir;     /* made when it is missing, 0700 */
	const char
	    *webroot; /* made, with .well-known/acme-challenge below, for everybody to read */
	const char *server, *staging_server; /* addresses of directories */
	const char *mail;		     /* of the account; empty: none */
	const char *ca_file;		     /* of the authority's own HTTPS; NULL: the system's */
	const char *dns_hook; /* edge/dns_hook.h's program, for orders with `dns`; NULL: there are none */
};
struct acme;
struct acme *acme_new(const struct acme_options *o, struct err *e);
void acme_free(struct acme *a); /* ends what runs without a word; NULL is fine */

enum acme_what {
	ACME_ISSUE,  /* also renews: always asks for a new one, with a new key */
	ACME_REVOKE, /* and its files go */
	ACME_WHAT_COUNT
};
struct acme_order {
	enum acme_what what;
	struct str project;	 /* what the certificate is called; name_project, or ACME_… below */
	struct str site;	 /* of a site of its: PROJECT--SITE; else empty */
	const struct str *names; /* ISSUE: host names, the first is the certificate's own */
	size_t name_count;
	bool staging;
	bool dns; /* the one name is *.DOMAIN, shown to be ours by a record in the DNS */
};
#define ACME_HOST "_host" /* the platform's own certificates; no project is called so */
#define ACME_WILDCARD "_wildcard"
struct acme_callbacks {
	void (*line)(void *ctx, struct str line); /* what certbot says, and the DNS hook */
	/* Once, later than the call: e NULL on success. limited_ms: the authority takes nothing
	 * before; 0 no such word. */
	void (*ended)(void *ctx, int64_t limited_ms, const struct err *e);
	void *ctx;
};
struct acme_run;
/* NULL: another runs; try again in a moment. */
struct acme_run *acme_start(
    struct acme *a, const struct acme_order *o, const struct acme_callbacks *cb);
void acme_cancel(struct acme_run *r); /* kills; `ended` still comes */

/* Its keys and certificates go from certbot's folders, of the site alone, or without one of the
 * project and all its sites; absent is success. Not while one is ordered. */
int acme_forget(struct acme *a, struct str project, struct str site, struct err *e) WARN_UNUSED;
/* Those of the project's sites that are not kept. */
int acme_forget_sites(struct acme *a, struct str project, bool (*is_kept)(void *ctx, struct str site), void *ctx,
    struct err *e) WARN_UNUSED;
/* What was issued: chain and key, into buffers of at least 64 KiB; the key's is to be wiped. */
int acme_read(struct acme *a, struct str project, struct str site, struct buf *chain, struct buf *key,
    struct err *e) WARN_UNUSED;

/* A file that is served below every name, to see whether it is; and away again. `token` is
 * [A-Za-z0-9_-], also the content. */
int acme_token_put(struct acme *a, const char *token, struct err *e) WARN_UNUSED;
void acme_token_remove(struct acme *a, const char *token);

/* "… retry after 2026-11-27 10:00:00 UTC: see …" (also with a T, a fraction, a Z): the time, else
 * 0. */
int64_t acme_retry_after_ms(struct str line);
