/* A virtual host as typed fields of fixed size, and its text for nginx. No allocation, no I/O: the text goes into the
 * caller's buffer. Every field is validated here again; a value that could end a directive (line break, ; { } % quote
 * backslash $ #) is refused, so the result has exactly the directives of the template.
 *
 * Used by the helper only; the daemon fills the struct. Paths are not in it: the helper knows its own roots. */
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "base/name.h"

#include <stdint.h>

#define RENDER_VHOST_VERSION 1u

struct render_static {
	char url[201];	   /* "/static"; "/" for a static site */
	uint8_t data;	   /* 1: below data/ instead of public/ (symlinks off) */
	char data_path[256]; /* name_subpath, for data */
	uint8_t reserved[6];
};

struct render_vhost {
	uint32_t version;
	char project[NAME_PROJECT_MAX + 3];
	uint16_t domain_count, static_count;
	char domains[LIMIT_DOMAINS][NAME_DOMAIN_MAX + 3];
	struct render_static statics[LIMIT_STATICS];
	uint16_t web_instances; /* 0: static only */
	uint8_t maintenance;	/* stopped on purpose: 503 page */
	uint8_t reserved[5];
	uint64_t body_max_bytes;
	uint32_t request_timeout_s;
	uint32_t reserved2;
};

struct render_roots { /* absolute, from the helper's own start: [A-Za-z0-9._/-] only */
	const char *projects, *run, *edge; /* …/projects, /run/slipway, …/edge */
};

/* Writes the server block(s) and a final NUL; returns the length, or -1. */
long render_nginx_vhost(const struct render_vhost *v, const struct render_roots *r, char *out, size_t size, struct err *e) WARN_UNUSED;

struct render_edge {
	const struct render_roots *roots;
	uint16_t http_port;
	const char *address;	  /* "127.0.0.1" embedded */
	uint8_t ipv6;		  /* also listen on [::1] / [::] */
	const char *user;	  /* "www-data", NULL when not root */
	unsigned workers;
	const char *trusted_proxies; /* comma list of CIDRs, may be empty */
	const char *api_socket;	  /* for the platform's own host */
};
/* nginx.conf of the embedded edge: maps, the default server (404), include of vhosts/NAME.conf. */
long render_nginx_main(const struct render_edge *v, char *out, size_t size, struct err *e) WARN_UNUSED;
