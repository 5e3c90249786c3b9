/* What both web servers are told of TLS, in OpenSSL's words. Private to this folder. */
#pragma once

#define TLS_GROUPS_INTERMEDIATE "X25519:prime256v1:secp384r1"
#define TLS_CIPHERS_INTERMEDIATE                                                                   \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

#define TLS_GROUPS_STRICT "secp521r1:secp384r1"
#define TLS_CIPHERS_STRICT                                                                         \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
