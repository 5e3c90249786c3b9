/* One row per kind of sender: how a delivery is verified and what it says. Rows are data; adding a
 * sender is a file with a row, and its line in sender.c. */
#pragma once

#include "crypto/hmac.h"
#include "http/http.h"

/* What a delivery says, once it is verified. Strings live in the request's arena or the request
 * itself. */
struct sender_event {
	struct str key;	 /* delivery id; empty: none was sent, the caller makes one from the body */
	struct str kind; /* "push", "ping", … */
	struct str ref;	 /* branch without refs/heads/; empty: none */
	struct str before, after; /* commits; empty: not said */
	bool push;		  /* looks at a branch */
	const char *ignored;	  /* why nothing follows; NULL: something does */
};

struct sender {
	const char *name;
	const char *content_type_hint; /* what to choose in the sender's form */
	const char *signature_header;
	/* 0, or -1 with ERR_UNAUTHORIZED (missing, malformed or wrong signature) or ERR_INVALID.
	 * Over the raw bytes, in constant time. */
	int (*verify)(const struct http_request *r, struct hmac_key *key, struct err *e);
	/* Only after verify. ERR_INVALID when it is not what the sender sends. */
	int (*read)(const struct http_request *r, struct sender_event *ret, struct err *e);
};

extern const struct sender sender_github;
extern const struct sender sender_generic;

/* NULL when there is no such sender. */
const struct sender *sender_find(struct str name);
/* "github, generic", for messages. */
const char *sender_names(void);

/* "sha256=" and 64 hex digits against HMAC-SHA-256 of the body. `header` names where it was, for
 * the message. */
int sender_check_sha256(
    const struct http_request *r, const char *header, struct hmac_key *key, struct err *e);
/* The members of a push that GitHub, Gitea, Forgejo, Gogs and our generic sender share: ref,
 * before, after, deleted. */
int sender_read_push(const struct http_request *r, struct sender_event *ret, struct err *e);
/* An identifier sent in a header: 1 to 128 printable ASCII characters. 1 there, 0 absent, -1
 * malformed. */
int sender_read_key(
    const struct http_request *r, const char *header, struct str *ret, struct err *e);
