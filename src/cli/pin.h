/* What a certificate is known by. */
#pragma once

#include "cli/net.h"

/* PEM text to SHA-256 of the certificate and the pin of its public key, as CURLOPT_PINNEDPUBLICKEY
 * takes it. */
int pin_of_certificate(const char *pem, char fingerprint[NET_FINGERPRINT_SIZE],
    char pin[NET_PIN_SIZE], struct err *e) WARN_UNUSED;
