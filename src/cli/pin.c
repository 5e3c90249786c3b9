/* Fingerprints, over OpenSSL. */
#include "cli/pin.h"

#include "base/hex.h"

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

int pin_of_certificate(
    const char *pem, char fingerprint[NET_FINGERPRINT_SIZE], char pin[NET_PIN_SIZE], struct err *e)
{
	unsigned char digest[SHA256_DIGEST_LENGTH], *der = NULL;
	unsigned n = 0;
	CLEANUP_BUF struct buf text;
	buf_init(&text, NET_PIN_SIZE - 1);
	BIO *in = BIO_new_mem_buf(pem, -1);
	X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	int rc = -1;
	if (!cert || X509_digest(cert, EVP_sha256(), digest, &n) != 1) {
		err_set(e, ERR_INVALID, "the server's certificate cannot be read");
		goto out;
	}
	for (unsigned i = 0; i < n; i++)
		snprintf(fingerprint + 3 * (size_t)i, 4, "%02X%s", digest[i], i + 1 < n ? ":" : "");
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (length <= 0) {
		err_set(e, ERR_INVALID, "the key of the server's certificate cannot be read");
		goto out;
	}
	(void)SHA256(der, (size_t)length, digest);
	buf_c(&text, "sha256//");
	base64_encode(digest, sizeof(digest), &text);
	rc = str_copy(buf_view(&text), pin, NET_PIN_SIZE)
		 ? 0
		 : err_set(e, ERR_INTERNAL, "a pin has %zu bytes", text.n);
out:
	OPENSSL_free(der);
	X509_free(cert);
	BIO_free(in);
	return rc;
}
