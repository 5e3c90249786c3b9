/* What both servers say with a project's answers, the program's own value first. */
#pragma once

/* nginx: headers that a server block names replace those around it, so each names all. */
#define HEADERS_NGINX                                                                              \
	"add_header X-Content-Type-Options $slipway_nosniff always;\n"                             \
	"add_header Referrer-Policy $slipway_referrer always;\n"                                   \
	"add_header Retry-After $slipway_retry always;\n"

/* As the webhook service's document has them. */
#define HEADERS_FRAME "DENY"
#define HEADERS_XSS "1; mode=block"
#define HEADERS_CSP "default-src 'self'"
#define HEADERS_HSTS "max-age=31536000"
#define HEADERS_HSTS_BELOW HEADERS_HSTS "; includeSubDomains"
