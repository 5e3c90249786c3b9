/* What the daemon and slipway-outbound say to each other, over one stream socket: frames of fields.
 *
 *   frame   offset  size  field
 *                0     4  length of all that follows, little endian, at most OUTBOUND_FRAME_MAX
 *                4     1  kind: enum outbound_kind
 *                5     8  id of the request, little endian; the answer carries the same
 *               13     n  fields
 *
 *   field   offset  size
 *                0     1  enum outbound_field
 *                1     4  length, little endian
 *                5     n  bytes
 *
 * Both ends are one build. What slipway-outbound says is not believed: it talks to strangers. A
 * frame that is too long, has an unknown kind or field, a field twice that comes once, or bytes
 * left over, ends the connection. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#include <stdint.h>

#define OUTBOUND_FRAME_MAX (2u << 20)
#define OUTBOUND_HEADERS_MAX 32u
#define OUTBOUND_RECIPIENTS_MAX 32u
#define OUTBOUND_TEXT_MAX 512u	      /* of an error's words */
#define OUTBOUND_BODY_MAX (1u << 20) /* of an answer that is kept */
#define OUTBOUND_HEADERS_KEPT_MAX 4096u

enum outbound_kind { OUTBOUND_HTTP = 1, OUTBOUND_MAIL, OUTBOUND_ANSWER, OUTBOUND_KIND_COUNT };

enum outbound_method {
	OUTBOUND_GET,
	OUTBOUND_POST,
	OUTBOUND_PUT,
	OUTBOUND_PATCH,
	OUTBOUND_DELETE,
	OUTBOUND_METHOD_COUNT
};

/* How a mail server's connection is protected. */
enum outbound_tls {
	OUTBOUND_TLS_STARTTLS,
	OUTBOUND_TLS_IMPLICIT,
	OUTBOUND_TLS_NONE,
	OUTBOUND_TLS_COUNT
};

struct outbound_request {
	enum outbound_kind kind; /* OUTBOUND_HTTP or OUTBOUND_MAIL */
	uint32_t timeout_ms;	 /* of the whole, 1..300000 */
	struct str url;	 /* http or https; of a mail server "smtp://HOST:PORT", whatever its tls */
	struct str body; /* of HTTP; or the whole message, RFC 5322 */
	/* HTTP */
	enum outbound_method method;
	struct str headers[OUTBOUND_HEADERS_MAX]; /* "Name: value" */
	uint32_t header_count;
	uint32_t body_max; /* of the answer's, kept; at most OUTBOUND_BODY_MAX */
	/* mail */
	enum outbound_tls tls;
	struct str from, user, password; /* user empty: no authentication */
	struct str to[OUTBOUND_RECIPIENTS_MAX];
	uint32_t to_count;
};

enum outbound_outcome {
	OUTBOUND_ANSWERED,    /* status says what */
	OUTBOUND_BLOCKED,     /* an address that may not be asked */
	OUTBOUND_REFUSED,     /* the address is no such, or the request cannot be made of it: never
				 succeeds as it is */
	OUTBOUND_UNREACHABLE, /* no such name, no answer, a broken connection */
	OUTBOUND_UNTRUSTED,   /* its certificate does not fit */
	OUTBOUND_TIMED_OUT,
	OUTBOUND_OUTCOME_COUNT
};

struct outbound_answer {
	enum outbound_outcome outcome;
	uint32_t status;	/* HTTP's, or the mail server's last reply code; 0 none */
	uint32_t retry_after_s; /* what Retry-After said; 0 nothing */
	uint32_t ms;
	struct str text;    /* what went wrong, for people; empty when answered */
	struct str address; /* of who answered, or was blocked; may be empty */
	struct str body;
	struct str link;    /* the Link header, for paging; may be empty */
	struct str headers; /* ETag, Cache-Control, X-RateLimit-Remaining and X-RateLimit-Reset, as
			       lines "name: value\n" with names in lower case; may be empty */
};
/* The value of a kept header, by its name in lower case; empty when it was not there. */
struct str outbound_header(const struct outbound_answer *a, const char *name);

/* Appends a whole frame. False when it would be too long or has too many headers or recipients:
 * nothing is appended. */
bool frame_pack_request(struct buf *b, uint64_t id, const struct outbound_request *r) WARN_UNUSED;
bool frame_pack_answer(struct buf *b, uint64_t id, const struct outbound_answer *a) WARN_UNUSED;

struct frame {
	enum outbound_kind kind;
	uint64_t id;
	struct outbound_request request; /* kind HTTP or MAIL */
	struct outbound_answer answer;	 /* kind ANSWER */
};
/* The first frame of `bytes`: 1 and how many bytes it took, 0: more are needed, -1 with
 * ERR_INVALID. Strings point into `bytes`. */
int frame_next(struct str bytes, struct frame *ret, size_t *ret_used, struct err *e) WARN_UNUSED;
