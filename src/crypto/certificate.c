#include "crypto/certificate.h"

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define DAY_S 86400
#define SELF_SIGNED_DAYS 3650
#define NAMES_BYTES_MAX (CERTIFICATE_NAMES_MAX * (NAME_DOMAIN_MAX + 3))

void certificate_init(struct certificate *c)
{
	*c = (struct certificate){0};
	buf_init(&c->names, NAMES_BYTES_MAX);
	buf_init(&c->pem, 2 * CERTIFICATE_PEM_MAX);
}

void certificate_fini(struct certificate *c)
{
	buf_fini(&c->names);
	buf_wipe(&c->pem);
}

/* The library's own words are for programmers; the queue is emptied so that none is taken for
 * another's. */
static int broken(struct err *e, const char *what)
{
	ERR_clear_error();
	return err_set(e, ERR_INTERNAL, "could not %s", what);
}

/* ---- reading ---- */

static int no_passphrase(char *out, int size, int writing, void *ctx)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)ctx = true;
	return -1;
}

static BIO *reading(struct str s)
{
	return s.n > 0 && s.n <= CERTIFICATE_PEM_MAX ? BIO_new_mem_buf(s.p, (int)s.n) : NULL;
}

static EVP_PKEY *read_key(struct str text, struct err *e)
{
	bool locked = false;
	BIO *in = reading(text);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &locked) : NULL;
	BIO_free(in);
	ERR_clear_error();
	if (key)
		return key;
	if (locked) {
		err_set(e, ERR_INVALID, "the key is protected by a passphrase");
		err_hint(e, "take it away first: openssl pkey -in key.pem -out open.pem");
	} else {
		err_set(e, ERR_INVALID, "the key is not a private key in PEM");
		err_hint(e, "it begins with '-----BEGIN PRIVATE KEY-----'");
	}
	err_at(e, "/key");
	return NULL;
}

static int check_key(EVP_PKEY *key, struct err *e)
{
	char group[32] = "";
	int bits = EVP_PKEY_get_bits(key);
	bool ok = false;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		ok = bits >= 2048 && bits <= 8192;
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		 EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
		ok = strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0 ||
		     strcmp(group, "secp521r1") == 0;
	ERR_clear_error();
	if (ok)
		return 0;
	err_set(e, ERR_INVALID, "the key is of a kind that browsers do not take");
	err_hint(e, "use RSA of 2,048 to 8,192 bits, or ECDSA on P-256, P-384 or P-521");
	return err_at(e, "/key");
}

struct chain {
	X509 *v[CERTIFICATE_CHAIN_MAX];
	size_t n;
};

static void chain_fini(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		X509_free(c->v[i]);
	c->n = 0;
}

static int chain_bad(struct err *e, const char *why)
{
	ERR_clear_error();
	err_set(e, ERR_INVALID, "the chain %s", why);
	return err_at(e, "/chain");
}

static int read_chain(struct str text, struct chain *ret, struct err *e)
{
	BIO *in = reading(text);
	X509 *one = NULL;
	while (in && (one = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (ret->n == CERTIFICATE_CHAIN_MAX) {
			X509_free(one);
			BIO_free(in);
			return chain_bad(e, "holds more than 8 certificates");
		}
		ret->v[ret->n++] = one;
	}
	unsigned long last = ERR_peek_last_error();
	bool clean =
	    ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
	BIO_free(in);
	ERR_clear_error();
	if (ret->n == 0 || !clean) {
		chain_bad(e, "is not of certificates in PEM");
		return err_hint(e, "it begins with '-----BEGIN CERTIFICATE-----'");
	}
	return 0;
}

/* Each is signed by the next; the authority's own may be left out, or come last. */
static int check_chain(const struct chain *c, struct err *e)
{
	for (size_t i = 0; i + 1 < c->n; i++) {
		EVP_PKEY *by = X509_get0_pubkey(c->v[i + 1]);
		if (X509_check_issued(c->v[i + 1], c->v[i]) != X509_V_OK || !by ||
		    X509_verify(c->v[i], by) != 1) {
			chain_bad(e, "is out of order, or one of it is not signed by the next");
			return err_hint(e, "the server's own certificate comes first, then the one "
					   "that signed it");
		}
	}
	ERR_clear_error();
	return 0;
}

static int64_t time_ms(const ASN1_TIME *t)
{
	struct tm tm;
	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static int check_dates(X509 *leaf, int64_t now_ms, struct certificate *ret, struct err *e)
{
	ret->not_before_ms = time_ms(X509_get0_notBefore(leaf));
	ret->not_after_ms = time_ms(X509_get0_notAfter(leaf));
	if (ret->not_after_ms <= now_ms)
		return chain_bad(e, "has expired");
	if (ret->not_before_ms > now_ms)
		return chain_bad(e, "is not valid yet");
	return 0;
}

/* A host name, or one with a star for its first label. */
static bool is_host(struct str s)
{
	struct err ignored;
	return name_domain(str_starts(s, STR("*.")) ? str_from(s, 2) : s, &ignored) == 0;
}

static int read_names(X509 *leaf, struct certificate *ret, struct err *e)
{
	char lower[NAME_DOMAIN_MAX + 3];
	GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	size_t n = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(all) && n < CERTIFICATE_NAMES_MAX; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		if (g->type != GEN_DNS)
			continue;
		struct str s = {(const char *)ASN1_STRING_get0_data(g->d.dNSName),
		    (size_t)ASN1_STRING_length(g->d.dNSName)};
		if (!str_copy(s, lower, sizeof(lower)))
			continue;
		for (char *p = lower; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
		if (!is_host(str_c(lower)))
			continue;
		buf_c(&ret->names, n++ ? " " : "");
		buf_c(&ret->names, lower);
	}
	GENERAL_NAMES_free(all);
	ERR_clear_error();
	return n > 0 ? 0 : chain_bad(e, "is for no host name (subjectAltName)");
}

static void read_issuer(X509 *leaf, struct certificate *ret)
{
	const X509_NAME *name = X509_get_issuer_name(leaf);
	char text[sizeof(ret->issuer)] = "";
	if (X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof(text)) <= 0)
		(void)X509_NAME_get_text_by_NID(name, NID_organizationName, text, sizeof(text));
	for (size_t i = 0; text[i]; i++)
		ret->issuer[i] = (char)(text[i] >= ' ' && text[i] < 127 ? text[i] : '?');
	BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
	char *hex = serial ? BN_bn2hex(serial) : NULL;
	if (hex && !str_copy(str_c(hex), ret->serial, sizeof(ret->serial)))
		ret->serial[0] = '\0';
	OPENSSL_free(hex);
	BN_free(serial);
	ERR_clear_error();
}

/* ---- writing ---- */

static int put_pem(struct buf *out, EVP_PKEY *key, const struct chain *c, struct err *e)
{
	const char *p = NULL;
	BIO *to = BIO_new(BIO_s_secmem());
	bool ok =
	    to && (!key || PEM_write_bio_PKCS8PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) == 1);
	for (size_t i = 0; ok && i < c->n; i++)
		ok = PEM_write_bio_X509(to, c->v[i]) == 1;
	long n = ok ? BIO_get_mem_data(to, &p) : 0;
	/* Grown once, before the key is in it: no copies stay behind. */
	char *room = n > 0 ? buf_reserve(out, (size_t)n) : NULL;
	if (room) {
		memcpy(room, p, (size_t)n);
		buf_commit(out, (size_t)n);
	}
	BIO_free(to);
	return room ? 0 : broken(e, "write the certificate");
}

static int add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	int ok = ext ? X509_add_ext(x, ext, -1) : 0;
	X509_EXTENSION_free(ext);
	return ok;
}

static int add_names(X509 *x, const struct str *names, size_t n)
{
	CLEANUP_BUF struct buf list;
	buf_init(&list, NAMES_BYTES_MAX + CERTIFICATE_NAMES_MAX * 5);
	for (size_t i = 0; i < n; i++)
		buf_printf(&list, "%sDNS:%.*s", i ? "," : "", STR_ARG(names[i]));
	return !list.full && add_extension(x, NID_subject_alt_name, list.p);
}

static int set_serial(X509 *x)
{
	uint8_t bytes[16];
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return 0;
	bytes[0] = (uint8_t)((bytes[0] & 0x3f) | 0x40); /* positive, of full length */
	BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	int ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok;
}

static X509 *sign_self(EVP_PKEY *key, const struct str *names, size_t n, int64_t now_ms)
{
	X509 *x = X509_new();
	time_t from = (time_t)(now_ms / 1000 - DAY_S), to = from + (time_t)SELF_SIGNED_DAYS * DAY_S;
	X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;
	const unsigned char *cn = (const unsigned char *)"Slipway (self-signed)";
	bool ok =
	    subject && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), from) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), to) &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, cn, -1, -1, 0) &&
	    X509_set_issuer_name(x, subject) && X509_set_pubkey(x, key) &&
	    add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(x, NID_ext_key_usage, "serverAuth") && add_names(x, names, n) &&
	    X509_sign(x, key, EVP_sha256()) > 0;
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

int certificate_self_signed(
    const struct str *names, size_t n, int64_t now_ms, struct certificate *ret, struct err *e)
{
	if (n == 0 || n > CERTIFICATE_NAMES_MAX)
		return err_set(
		    e, ERR_INVALID, "a certificate is for 1 to %u names", CERTIFICATE_NAMES_MAX);
	for (size_t i = 0; i < n; i++)
		if (name_domain(names[i], e) != 0)
			return -1;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct chain c = {.n = 1};
	c.v[0] = key ? sign_self(key, names, n, now_ms) : NULL;
	int rc = -1;
	if (!c.v[0]) {
		c.n = 0;
		(void)broken(e, "make a certificate");
	} else if (put_pem(&ret->pem, key, &c, e) == 0 && read_names(c.v[0], ret, e) == 0) {
		(void)check_dates(c.v[0], now_ms, ret, e);
		read_issuer(c.v[0], ret);
		rc = 0;
	}
	chain_fini(&c);
	EVP_PKEY_free(key);
	return rc;
}

static int judge(
    const struct chain *c, EVP_PKEY *key, int64_t now_ms, struct certificate *ret, struct err *e)
{
	X509 *leaf = c->v[0];
	if (key && X509_check_private_key(leaf, key) != 1) {
		ERR_clear_error();
		err_set(e, ERR_INVALID, "the key does not belong to the chain's first certificate");
		err_hint(e, "give the key that the certificate was asked for with");
		return err_at(e, "/key");
	}
	if (check_chain(c, e) != 0 || check_dates(leaf, now_ms, ret, e) != 0 ||
	    read_names(leaf, ret, e) != 0)
		return -1;
	read_issuer(leaf, ret);
	return put_pem(&ret->pem, key, c, e);
}

int certificate_pair(
    struct str chain, struct str key, int64_t now_ms, struct certificate *ret, struct err *e)
{
	struct chain c = {.n = 0};
	EVP_PKEY *k = read_key(key, e);
	int rc = k && check_key(k, e) == 0 && read_chain(chain, &c, e) == 0
		     ? judge(&c, k, now_ms, ret, e)
		     : -1;
	chain_fini(&c);
	EVP_PKEY_free(k);
	return rc;
}

int certificate_read(struct str chain, int64_t now_ms, struct certificate *ret, struct err *e)
{
	struct chain c = {.n = 0};
	int rc = read_chain(chain, &c, e) == 0 ? judge(&c, NULL, now_ms, ret, e) : -1;
	chain_fini(&c);
	return rc;
}
