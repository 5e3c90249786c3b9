/* One row per kind of sender: how a delivery is verified, what it says, and how that sender would
 * sign. Rows are data; adding a sender is a row in a file and its line in sender.c. */
/* clang-format off */
/*
 * | name             | proof                                                    | delivery id         |
 * |------------------|----------------------------------------------------------|---------------------|
 * | github           | X-Hub-Signature-256: sha256=HEX over the body            | X-GitHub-Delivery   |
 * | gitea            | X-Gitea-Signature: HEX                                   | X-Gitea-Delivery    |
 * | forgejo          | X-Forgejo-Signature: HEX                                 | X-Forgejo-Delivery  |
 * | gogs             | X-Gogs-Signature: HEX                                    | X-Gogs-Delivery     |
 * | gitlab           | X-Gitlab-Token; with a secret "whsec_…" only             | Idempotency-Key, or |
 * |                  | webhook-signature over id.time.body                      | X-Gitlab-Event-UUID |
 * | bitbucket        | X-Hub-Signature: sha256=HEX                              | X-Request-UUID      |
 * | bitbucket-server | X-Hub-Signature: sha256=HEX, or Basic with the password  | X-Request-Id        |
 * | particle         | Authorization: Bearer, or Basic with the password        | none                |
 * | standard         | webhook-signature: v1,BASE64 … over id.time.body; with a | webhook-id          |
 * |                  | public key "whpk_…" only v1a,BASE64 …, Ed25519           |                     |
 * | stripe           | Stripe-Signature: t=TIME,v1=HEX,… over time.body         | the body's "id"     |
 * | generic          | X-Slipway-Signature-256: sha256=HEX                      | X-Slipway-Delivery  |
 * | bearer           | Authorization: Bearer                                    | X-Slipway-Delivery  |
 * | huggingface      | X-Webhook-Secret                                         | none                |
 * | alertmanager     | Authorization: Bearer                                    | none                |
 *
 * HEX and BASE64 are HMAC-SHA-256. Times must be within 5 minutes. Who sends no id has the key of
 * hooks/recent.h. */
/* clang-format on */
#pragma once

#include "crypto/hmac.h"
#include "crypto/signature.h"
#include "http/http.h"

/* One secret of a hook, ready for use; of the secret itself only keys are kept. */
struct sender_credential {
	struct hmac_key *key;
	uint8_t token[HMAC_SHA256_BYTES]; /* of the secret as entered, under the key: what a secret
					     that is sent in clear is compared with */
	bool signs;			  /* entered as "whsec_…" */
	bool foreign; /* entered as "whpk_…": a public key, which proves nothing by itself: neither
			 `key` nor `token` may be compared with */
	uint8_t public_key[SIGNATURE_KEY_BYTES];
	int64_t until_ms; /* 0: for good */
};
struct sender_proof {
	const struct sender_credential *v;
	size_t n;
	int64_t now_ms;
};

enum sender_verdict {
	SENDER_FITS,
	SENDER_MISSING,	  /* no signature, token or time was sent */
	SENDER_MALFORMED, /* it is none */
	SENDER_STALE,	  /* its time is more than 5 minutes off */
	SENDER_WRONG,	  /* it fits no secret */
	SENDER_VERDICT_COUNT
};
#define SENDER_TOLERANCE_MS 300000

/* What a delivery says, once it is verified. Strings live in the request's arena or the request
 * itself. */
struct sender_event {
	struct str key;	 /* delivery id; empty: none was sent, the caller makes one from the body */
	struct str kind; /* "push", "ping", … as the sender calls it */
	struct str ref;	 /* branch without refs/heads/; empty: none */
	struct str before, after; /* commits; empty: not said */
	struct str json;	  /* the body as JSON, whatever form it came in */
	bool push;		  /* looks at a branch */
	bool ping;		  /* only wants to know whether somebody is there */
	bool pull;     /* a pull request that has something new to check; ref is its head's
			  whole name, `base` the branch that it is for */
	bool stranger; /* …from another repository */
	struct str base;
	const char *ignored;	   /* why nothing follows; NULL: something does */
	struct sender_event *next; /* the same delivery speaks of another branch, too */
};

struct sender {
	const char *name, *title;
	const char *content_type_hint; /* what to choose in the sender's form */
	const char *steps;	       /* what a person does at the sender */
	const char *ping;	       /* the body that `sign` is given for a ping */
	const char *signature_header;
	const char *head_at;	/* where a push says the repository's own branch: a JSON pointer, or
				   the branch itself when it always is the same; NULL: nowhere */
	const char *commits_at; /* where it lists commits with the files added, modified, removed: a
				   JSON pointer; NULL: it does not */
	bool pushes;		/* of branches */
	bool forms;		/* takes forms besides JSON */
	bool whsec;		/* its secrets are "whsec_" and base64, or a public key "whpk_" */
	bool signs_whsec;	/* a secret of that form is a key, any other a token */
	/* Tries every credential that is still good, over the raw bytes, in constant time whatever
	 * fits. Anything but SENDER_FITS with ERR_UNAUTHORIZED. */
	enum sender_verdict (*verify)(
	    const struct http_request *r, const struct sender_proof *p, struct err *e);
	/* Only after verify; may use the body up. ERR_INVALID when it is not what the sender sends.
	 */
	int (*read)(struct http_request *r, struct sender_event *ret, struct err *e);
	/* The header lines with which this sender would send `body` as a ping named `id`. */
	void (*sign)(
	    struct str secret, struct str id, struct str body, int64_t now_ms, struct buf *headers);
};

/* The event once more, from what was stored of it: `json` is its body, or empty when that is lost. A
 * pull request is a stranger's then. */
void sender_read_stored(
    struct str kind, struct str ref, struct str json, struct arena *a, struct sender_event *ret);
/* The branch that the repository's HEAD names, as the push says; STR_NONE when it does not. */
struct str sender_head(const struct sender *s, const struct sender_event *ev, struct arena *a);

/* NULL when there is no such sender. */
const struct sender *sender_find(struct str name);
/* The n-th, or NULL behind the last. */
const struct sender *sender_at(size_t n);
/* "github, gitlab, …", for messages. */
const char *sender_names(void);

/* A secret that a person chose: ERR_INVALID when this sender could not sign with it. */
int sender_check_secret(const struct sender *s, struct str secret, struct err *e) WARN_UNUSED;
/* Whether it is the public half of a key that the sender alone has: nobody here can sign with it. */
bool sender_secret_is_public(struct str secret);
/* A new one in the sender's own form. */
#define SENDER_SECRET_SIZE 64
void sender_make_secret(const struct sender *s, char out[SENDER_SECRET_SIZE]);
int sender_credential_init(struct sender_credential *c, const struct sender *s, struct str secret,
    int64_t until_ms, struct err *e) WARN_UNUSED;
/* For another thread; `c` is used by one at a time. */
struct sender_credential sender_credential_copy(const struct sender_credential *c);
void sender_credential_fini(struct sender_credential *c);
