/* What senders share: schemes of proof, and reading. For files sender_*.c only. */
#pragma once

#include "hooks/sender.h"
#include "text/skim.h"

/* Schemes. Each says in *e what is wrong with which header. */

/* `prefix` and 64 hexadecimal digits: HMAC-SHA-256 of the body. */
enum sender_verdict sender_verify_hex(const struct http_request *r, const struct sender_proof *p,
    const char *header, const char *prefix, struct err *e);
/* A secret sent as it is. `sent` STR_NONE: it was not. */
enum sender_verdict sender_verify_token(
    struct str sent, const struct sender_proof *p, const char *header, struct err *e);
/* What stands behind "Bearer " in Authorization (RFC 6750), or behind "Basic " after the first
 * colon (RFC 7617); STR_NONE when absent or of another scheme. */
struct str sender_bearer_token(const struct http_request *r);
struct str sender_basic_password(const struct http_request *r);
/* A secret that is sent as a bearer's, and how such a sender sends it. */
enum sender_verdict sender_verify_bearer(
    const struct http_request *r, const struct sender_proof *p, struct err *e);
void sender_sign_bearer(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out);
/* webhook-id, webhook-timestamp and webhook-signature of Standard Webhooks 1.0.0. */
enum sender_verdict sender_verify_standard(
    const struct http_request *r, const struct sender_proof *p, struct err *e);
void sender_sign_hex(
    struct str secret, struct str body, const char *header, const char *prefix, struct buf *out);
void sender_sign_standard(
    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *out);

/* 0 when the time, in seconds, is within 5 minutes; else the verdict. */
enum sender_verdict sender_check_time(
    struct str seconds, int64_t now_ms, const char *header, struct err *e);
/* Does one of the MACs in `got` fit prefix + message under a credential that is still good? */
bool sender_fits(const struct sender_proof *p, struct str prefix, struct str message,
    const uint8_t (*got)[HMAC_SHA256_BYTES], size_t got_count);
enum sender_verdict sender_refuse(
    struct err *e, enum sender_verdict v, const char *header, const char *what);

/* Reading. */

/* The body as JSON into ret->json: itself, or a form's field `payload`. Checks all of it and fills
 * the members asked for. */
int sender_read_json(struct http_request *r, struct skim_member *members, size_t count,
    struct sender_event *ret, struct err *e);
/* An identifier sent in a header: 1 to 128 printable ASCII characters. 1 there, 0 absent, -1
 * malformed. */
int sender_read_key(
    const struct http_request *r, const char *header, struct str *ret, struct err *e);
/* The same for a text that stood elsewhere. */
bool sender_is_key(struct str s);
/* Both must be there. */
int sender_read_keys(const struct http_request *r, const char *id_header, const char *kind_header,
    struct sender_event *ret, struct err *e);
/* GitHub and those who speak as it does: a push has ref, before, after, deleted; else a ping or
 * another kind. ret->kind is there already. */
int sender_read_hub(struct http_request *r, struct sender_event *ret, struct err *e);
/* A move of one ref, its name with refs/…: fills ref, before, after, ignored. */
int sender_read_ref(
    struct str ref, struct str before, struct str after, struct sender_event *ret, struct err *e);
/* One more branch of the same delivery: a copy of `first` to be filled, appended. */
struct sender_event *sender_more(
    struct sender_event *first, size_t *count, struct arena *a, struct err *e);
/* A commit of zeros: none. */
bool sender_is_zero(struct str commit);
/* A member of JSON that skim has accepted, as a string; STR_NONE when it is none. */
struct str sender_text(struct str json, const char *pointer, struct arena *a);
