/* Configuration text for nginx and for Apache httpd 2.4 from typed fields of fixed size. No allocation, no I/O: the text goes into the caller's
 * buffer. Every field is validated here again, and the writer itself refuses each byte of a value that is not one of
 * [A-Za-z0-9._~:/@[]-]; so nothing can end a directive (line break, blank, ; { } % quote backslash $ #) and the result
 * has exactly the directives of the template.
 *
 * Used by the helper only; the daemon fills the struct. Paths are not in it: the helper knows its own roots. */
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "base/name.h"

#include <stdint.h>

#define RENDER_VHOST_VERSION 1u
#define RENDER_HOST_NAME "_host" /* the platform's own certificates: no project is called so */
#define RENDER_WILDCARD_NAME "_wildcard"
#define RENDER_VHOST_TEXT_MAX (192u << 10) /* enough for every field at its limit with roots of 100 bytes */
#define RENDER_MAIN_TEXT_MAX (64u << 10)
#define RENDER_SOCKET_PATH_MAX 107u	  /* sun_path without its NUL */
#define RENDER_EDGE_PATH_MAX 86u	  /* of roots.edge, where edge.4294967295.sock lies */
#define RENDER_BODY_MAX_BYTES (1ull << 40)
#define RENDER_TIMEOUT_MAX_S 86400u

struct render_static {
	char url[201];	     /* "/static"; "/" for a static site */
	uint8_t data;	     /* 1: below data/ instead of public/ (symlinks off) */
	char data_path[256]; /* name_subpath of [A-Za-z0-9._~@:-] components, for data; else empty */
	uint8_t reserved[6];
};

/* What every answer of a project says, its program's own value first. */
enum render_headers {
	RENDER_HEADERS_BASIC,  /* nosniff, a referrer policy */
	RENDER_HEADERS_STRICT, /* the webhook service's: also no frames, a content policy, HSTS for names below */
	RENDER_HEADERS_COUNT
};

struct render_vhost {
	uint32_t version;
	char project[NAME_PROJECT_MAX + 3];
	uint16_t domain_count, static_count; /* at least one domain */
	char domains[LIMIT_DOMAINS][NAME_DOMAIN_MAX + 3];
	struct render_static statics[LIMIT_STATICS];
	uint16_t web_instances; /* 0: static only; at most LIMIT_INSTANCES */
	uint8_t maintenance;	/* stopped on purpose: 503 page */
	uint8_t headers;	/* enum render_headers */
	uint8_t reserved[4];
	uint64_t body_max_bytes;    /* 1 .. RENDER_BODY_MAX_BYTES */
	uint32_t request_timeout_s; /* 1 .. RENDER_TIMEOUT_MAX_S: silence of the program, not the whole answer */
	uint32_t reserved2;
};

struct render_roots { /* absolute, from the helper's own start: [A-Za-z0-9._/-] only */
	const char *projects; /* embedded: RUN/.p, a link to the projects, so that socket paths stay short */
	/* RUN/.acme/.well-known/acme-challenge/: what an authority asks for (RFC 8555, 8.3), for every name */
	const char *run, *edge; /* RUN, …/edge (at most RENDER_EDGE_PATH_MAX) */
};

/* What the helper knows of a project's certificate, certs/NAME.pem beside the configuration that names it, key and chain in
 * one. Other domains have one that signs itself, certs/self/FIRST with FIRST the first name of their server block: the
 * default server names it for all (a server block with a certificate of its own costs nginx 1 ms at each reload and 26 KB). */
struct render_tls {
	uint16_t https_port;		/* where browsers reach it: for the way from http to https */
	uint8_t installed;		/* NAME.pem is there */
	uint8_t trusted;		/* by browsers, so that http leads to https */
	uint8_t wildcard_trusted;	/* the same of _wildcard.pem, the platform's for all names below its own */
	uint8_t covered[LIMIT_DOMAINS]; /* enum render_cover; never of the first */
};
enum render_cover {
	RENDER_SELF,	 /* one that signs itself */
	RENDER_OWN,	 /* NAME.pem is for this domain */
	RENDER_WILDCARD, /* _wildcard.pem is, and NAME.pem is not */
	RENDER_COVER_COUNT
};

/* Every field but what depends on roots and certificates; all that follows begin with it. ERR_INVALID with the field's pointer. */
int render_vhost_check(const struct render_vhost *v, struct err *e) WARN_UNUSED;

/* Whether a root may stand in a configuration: absolute, plain bytes, no "." or "..". ERR_SETTINGS. */
int render_path_check(const char *what, const char *path, struct err *e) WARN_UNUSED;

/* Writes upstream and server blocks and a final NUL; returns the length, or -1: ERR_INVALID with the field's pointer
 * (as in the API: /domains/3), ERR_TOO_LARGE when the text does not fit. It names neither address nor port to listen
 * on: `include server.conf` beside the main file does, so that the same bytes are tested and installed. tls NULL: the
 * edge has no HTTPS. Else domains that a trusted certificate covers are served over HTTPS only, http leads there; all
 * others over both. */
long render_nginx_vhost(const struct render_vhost *v, const struct render_tls *tls, const struct render_roots *r, char *out, size_t size,
    struct err *e) WARN_UNUSED;

enum render_preset {
	RENDER_PRESET_INTERMEDIATE, /* TLS 1.2 and 1.3, X25519 and P-256 first */
	RENDER_PRESET_STRICT,	    /* the webhook service's: four suites, P-521 and P-384, unknown names refused */
	RENDER_PRESET_COUNT
};

struct render_edge {
	const struct render_roots *roots;
	uint16_t http_port, https_port; /* https_port 0: none */
	enum render_preset preset;
	const char *address;	     /* "127.0.0.1" embedded */
	uint8_t ipv6;		     /* also listen on [::1] / [::] */
	const char *user;	     /* "www-data", NULL when not root */
	unsigned workers;	     /* 1 .. 64 */
	const char *trusted_proxies; /* comma list of addresses and CIDRs, may be empty */
	const char *platform_host;   /* "slipway.localhost" */
	uint8_t host_installed;	     /* certs/_host.pem is there, for platform_host; else one that signs itself serves */
	uint8_t host_trusted;	     /* by browsers, so that http leads to https */
	const char *api_socket;	     /* the daemon's HTTP socket for the edge, for the platform's own host */
};
/* nginx.conf: workers, temp paths, logs, common.conf, generation.conf, the default server (404), platform.conf,
 * vhosts/NAME.conf. */
long render_nginx_main(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* The same in whole/: with sites that are to be tested in the place of those that are served, and no socket of a generation. */
long render_nginx_whole(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* platform.conf: the platform's own host, where API, hooks and health are. With a certificate that browsers trust http leads
 * to https there, but for what senders of hooks ask: they follow nobody. */
long render_nginx_platform(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* challenge.conf: what a site's server block answers an authority with (RFC 8555, 8.3). */
long render_nginx_challenge(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* common.conf: the http-level directives and maps that every vhost relies on; the same in the skeleton. */
long render_nginx_common(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* server.conf: what every server block includes: where it listens, the plain pages. */
long render_nginx_server(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* plain.conf and secure.conf: the same with one of both listeners alone, secure.conf with what tells browsers to stay
 * with HTTPS. They are there when https_port is set. */
long render_nginx_plain(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
long render_nginx_secure(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* strict.conf: secure.conf for RENDER_HEADERS_STRICT: what it tells browsers is for the names below, too; the other headers
 * are the vhost's. */
long render_nginx_strict(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* pages.conf: the plain pages alone, for the default server. */
long render_nginx_pages(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* test/nginx.conf and test/server.conf (also plain.conf, secure.conf and strict.conf): a server of nothing but candidate.conf, on EDGE/test/test.sock. */
long render_nginx_skeleton(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
long render_nginx_skeleton_server(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* generation.conf: EDGE/edge.G.sock, which no other generation listens on; every request is closed unanswered. */
long render_nginx_generation(const struct render_edge *v, uint32_t generation, char *out, size_t size, struct err *e) WARN_UNUSED;

/* The same for Apache (2.4.47 and later; its modules are those of apache2-bin). Two things are told by variables that
 * apache.conf and the skeleton define: SLIPWAY_HTTP and SLIPWAY_HTTPS, the ports. Limits, errors and the two roots are as
 * above; `run` is also where the releases' static files are reached, RUN/NAME/N/public, N from PROJECTS/NAME/live/number. */
long render_apache_vhost(const struct render_vhost *v, const struct render_tls *tls, const struct render_roots *r, char *out, size_t size,
    struct err *e) WARN_UNUSED;
/* apache.conf: modules, workers, logs, the default server (404), platform.conf, apache/NAME.conf, generation.conf. */
long render_apache_main(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* platform.conf, as of nginx. */
long render_apache_platform(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* common.conf: what every vhost inherits; the same in the skeleton. */
long render_apache_common(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* server.conf, of every vhost: the plain pages, what an authority asks for. */
long render_apache_server(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* tls.conf, secure.conf and strict.conf, of every vhost with HTTPS; the second tells browsers to stay with it, the third for the
 * names below, too. */
long render_apache_tls(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
long render_apache_secure(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
long render_apache_strict(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* test/apache.conf: candidate.conf alone. */
long render_apache_skeleton(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
/* generation.conf: a port of the loopback address, which no other generation listens on; every request there is refused. */
long render_apache_generation(const struct render_edge *v, uint16_t port, char *out, size_t size, struct err *e) WARN_UNUSED;
