#include "hooks/sender_rows.h"

#include "base/ct.h"
#include "base/hex.h"
#include "base/rand.h"

#include <stdio.h>

static const struct sender *const senders[] = {&sender_github, &sender_gitlab, &sender_gitea,
    &sender_forgejo, &sender_gogs, &sender_bitbucket, &sender_bitbucket_server, &sender_particle,
    &sender_standard, &sender_stripe, &sender_generic, &sender_bearer, &sender_huggingface,
    &sender_alertmanager};
enum { SENDERS = sizeof(senders) / sizeof(senders[0]), KEY_MIN = 16, KEY_MAX = 512 };

const struct sender *sender_at(size_t n)
{
	return n < SENDERS ? senders[n] : NULL;
}

const struct sender *sender_find(struct str name)
{
	for (size_t i = 0; i < SENDERS; i++)
		if (str_eq_c(name, senders[i]->name))
			return senders[i];
	return NULL;
}

const char *sender_names(void)
{
	return "github, gitlab, gitea, forgejo, gogs, bitbucket, bitbucket-server, particle, "
	       "standard, stripe, generic, bearer, huggingface, alertmanager";
}

static bool is_whsec(struct str secret)
{
	return str_starts(secret, STR("whsec_"));
}

/* The key that "whsec_" stands before: base64, with its padding or without. */
static bool whsec_key(struct str secret, struct buf *ret)
{
	char padded[KEY_MAX * 2];
	struct str text = str_from(secret, 6);
	int n = snprintf(padded, sizeof(padded), "%.*s%.*s", STR_ARG(text),
	    str_find(text, '=', 0) == SIZE_MAX ? (int)((4 - text.n % 4) % 4) : 0, "===");
	return text.n <= KEY_MAX && n > 0 && base64_decode(str_c(padded), ret) && ret->n >= KEY_MIN;
}

bool sender_secret_is_public(struct str secret)
{
	return str_starts(secret, STR("whpk_"));
}

/* Standard Webhooks, "Asymmetric signatures": base64 of 32 bytes. */
static bool public_key(struct str secret, uint8_t ret[SIGNATURE_KEY_BYTES])
{
	CLEANUP_BUF struct buf key;
	buf_init(&key, SIGNATURE_KEY_BYTES + 3);
	if (!sender_secret_is_public(secret) || !base64_decode(str_from(secret, 5), &key) ||
	    key.n != SIGNATURE_KEY_BYTES)
		return false;
	for (size_t i = 0; i < SIGNATURE_KEY_BYTES; i++)
		ret[i] = (uint8_t)key.p[i];
	return signature_key_ok(ret);
}

static bool wants_key(const struct sender *s, struct str secret)
{
	return s->whsec || (s->signs_whsec && is_whsec(secret));
}

int sender_check_secret(const struct sender *s, struct str secret, struct err *e)
{
	CLEANUP_BUF struct buf key;
	uint8_t ignored[SIGNATURE_KEY_BYTES];
	buf_init(&key, KEY_MAX);
	for (size_t i = 0; i < secret.n; i++)
		if (secret.p[i] < ' ' || secret.p[i] > '~') {
			err_set(
			    e, ERR_INVALID, "the secret holds something else than printable ASCII");
			return err_hint(e, "leave it out to have one made");
		}
	bool ok = secret.n > 0 &&
		  (!wants_key(s, secret) || (is_whsec(secret) && whsec_key(secret, &key)) ||
		      (s->whsec && public_key(secret, ignored)));
	buf_wipe(&key);
	if (ok)
		return 0;
	err_set(e, ERR_INVALID, "the secret is not whsec_ and base64 of at least %d bytes%s",
	    KEY_MIN, s->whsec ? ", nor a public key, whpk_ and base64" : "");
	return err_hint(e, "copy it whole from the sender");
}

void sender_make_secret(const struct sender *s, char out[SENDER_SECRET_SIZE])
{
	uint8_t key[32];
	CLEANUP_BUF struct buf text;
	buf_init(&text, SENDER_SECRET_SIZE);
	if (!s->whsec) {
		rand_token(out);
		return;
	}
	rand_bytes(key, sizeof(key));
	base64_encode(key, sizeof(key), &text);
	(void)snprintf(out, SENDER_SECRET_SIZE, "whsec_%s", text.p);
	ct_wipe(key, sizeof(key));
	buf_wipe(&text);
}

int sender_credential_init(struct sender_credential *c, const struct sender *s, struct str secret,
    int64_t until_ms, struct err *e)
{
	CLEANUP_BUF struct buf key;
	buf_init(&key, KEY_MAX);
	if (sender_check_secret(s, secret, e) != 0)
		return -1;
	bool signs = wants_key(s, secret) && whsec_key(secret, &key);
	*c = (struct sender_credential){
	    .key = hmac_key_new(signs ? buf_view(&key) : secret),
	    .signs = signs,
	    .until_ms = until_ms,
	};
	c->foreign = s->whsec && public_key(secret, c->public_key);
	hmac_sha256(c->key, secret, c->token);
	buf_wipe(&key);
	return 0;
}

struct sender_credential sender_credential_copy(const struct sender_credential *c)
{
	struct sender_credential copy = *c;
	copy.key = hmac_key_copy(c->key);
	return copy;
}

void sender_credential_fini(struct sender_credential *c)
{
	hmac_key_free(c->key);
	ct_wipe(c, sizeof(*c));
}
