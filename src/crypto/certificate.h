/* X.509 certificates for TLS servers (RFC 5280) in PEM (RFC 7468): one that signs itself, made at
 * once; and a chain with its key, judged before a web server is given it. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"

#define CERTIFICATE_NAMES_MAX 100u
#define CERTIFICATE_PEM_MAX (64u << 10) /* chain and key, each; and what comes out */
#define CERTIFICATE_CHAIN_MAX 8u

struct certificate {
	struct buf names; /* host names that it is for, one blank between; "*." may begin one */
	struct buf pem;	  /* the key (PKCS #8), then the chain, leaf first, written anew */
	char issuer[128]; /* common name, else organisation; printable ASCII */
	char serial[48];  /* hex */
	int64_t not_before_ms, not_after_ms; /* wall clock */
};

void certificate_init(struct certificate *c);
void certificate_fini(struct certificate *c); /* wipes the key */

/* A new ECDSA P-256 key, and a certificate for these names (at least one, CERTIFICATE_NAMES_MAX)
 * that it signs itself, good for ten years from yesterday. Some 0.1 ms. */
int certificate_self_signed(const struct str *names, size_t n, int64_t now_ms,
    struct certificate *ret, struct err *e) WARN_UNUSED;
/* Judges and rewrites: PEM that holds nothing else, at most CERTIFICATE_CHAIN_MAX certificates each
 * signed by the next, the key (RSA of 2,048 to 8,192 bits or P-256, P-384, P-521; no passphrase)
 * that of the first, now between its dates, at least one host name. ERR_INVALID with /chain or
 * /key. Both are borrowed. */
int certificate_pair(struct str chain, struct str key, int64_t now_ms, struct certificate *ret,
    struct err *e) WARN_UNUSED;
/* The same without a key: what a chain says. `pem` holds the chain. */
int certificate_read(
    struct str chain, int64_t now_ms, struct certificate *ret, struct err *e) WARN_UNUSED;
