/* The helper's own web server, nginx or Apache: its directory, its configuration, its master process. Nothing here
 * blocks: a call answers at once (0 already so, -1 refused) or says "pending" (1), and `done` follows from edge_tick or
 * edge_reaped with the same seq. One instance per process; no allocation. All calls from the helper's one thread.
 *
 * What is kept below edge_dir (0755, the helper's; root's when root):
 *   nginx.conf common.conf server.conf generation.conf   rendered at start and at each reload (Apache: apache.conf …)
 *   platform.conf   the platform's own host, rendered anew with its certificate
 *   plain.conf secure.conf strict.conf   one listener alone, with HTTPS
 *   certs/self/  02750 root:web group   _ HOST NAME.localhost  0640  key and chain, which sign themselves; made by slipway-cert
 *   certs/  0711  NAME.pem  0600  an installed key and chain (edge_vhost.c)  _host.pem _wildcard.pem  the platform's (edge_own.c)
 *   vhosts/NAME.conf    installed (Apache: apache/NAME.conf; what the other server had is forgotten)
 *                         undo/NAME.conf  what it replaced, until its reload has taken effect
 *   sites/NAME/ staged/ whole/ certbot/ certs/sites/   of nginx-site projects (edge_sites.c)
 *   test/               the skeleton in which a vhost is tested alone     pages/  plain pages
 *   log/  0751 root  access.log error.log  0640 web user:log_gid (Apache: root:log_gid; at 64 MB renamed to .1)     tmp/
 *   edge.G.sock         only generation G's configuration listens on it: a reload has taken effect when the old one refuses
 *                       (Apache, which listens on no such socket: a port of 127.0.0.1, which is kept from others meanwhile)
 * In run_dir: `p` -> projects_dir, so that socket paths stay below 108 bytes; and, when not root and edge_dir is long or not
 * plain, `e` -> edge_dir. Nothing else: run_dir is the daemon's, and nginx's master, which is root, must find neither its
 * configuration nor its sockets (which it chmods by name) where the daemon could put a link. For the same reason edge_dir
 * and all above it must be root's, or sticky, when root. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "render/vhost.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct edge;

/* A pending request has come to its end; e is NULL on success. May be called from edge_tick, edge_reaped and edge_stop,
 * never from inside the call that returned 1. */
typedef void edge_done_fn(void *ctx, uint64_t seq, const struct err *e);

enum edge_kind { EDGE_NGINX, EDGE_APACHE, EDGE_KIND_COUNT };

struct edge_options { /* strings are borrowed for the life of the process */
	enum edge_kind kind;
	const char *nginx;	  /* NULL: /usr/sbin/nginx */
	const char *apache;	  /* NULL: /usr/sbin/apache2 */
	const char *edge_dir, *run_dir, *projects_dir; /* absolute; run_dir at most 40 bytes of [A-Za-z0-9._/-] */
	const char *address;	  /* "127.0.0.1" or "0.0.0.0"; IPv6 is added where the machine has it */
	uint16_t http_port, https_port; /* https_port 0: no HTTPS */
	enum render_preset preset;
	const char *cert;	     /* slipway-cert; needed for HTTPS */
	const char *trusted_proxies; /* comma list of addresses and CIDRs; "" or NULL: none */
	const char *platform_host;   /* NULL: "slipway.localhost" */
	const char *api_socket;	     /* the daemon's HTTP socket for the edge; NULL: run_dir/edge-api.sock */
	const char *web_user;	     /* whom the workers run as; only when root, else NULL */
	uid_t web_uid;
	gid_t web_gid, log_gid;	     /* log_gid may read the logs: the daemon's group; only when root */
	unsigned workers;	     /* 0: one per processor, at most 8 */
	bool units;		     /* the server is a unit of systemd's, which outlives the helper; edge_dir is /var/lib/slipway/edge */
	const char *net;	     /* units: a folder like /proc/PID/net (edge_net.h) of the network that the server is in */
	edge_done_fn *done;
	void *ctx;
};

/* Remembers the options (one instance; a second call replaces them while nothing runs). Touches nothing yet. */
struct edge *edge_open(const struct edge_options *o);

/* PRIV_EDGE_CHECK: 0 it runs; 1 it is being started, and `done` comes when it answers, or with ERR_CONFLICT when the port
 * (or https's) stays taken for 8 s, or ERR_FAILED with what the server said; -1: it is not installed (ERR_UNAVAILABLE, hint), a path
 * or setting cannot be used (ERR_SETTINGS), or the directory cannot be made. Once it ran it is started again, with a
 * growing pause, whenever it ends by itself. A vhost that keeps it from starting is set aside. A unit of systemd's that runs
 * already goes on, and reads all of its configuration again. */
int edge_start(struct edge *g, uint64_t seq, struct err *e) WARN_UNUSED;

/* PRIV_EDGE_RELOAD: 1 pending: all that is installed is read anew, as with a vhost's reload. -1: as edge_vhost_set. */
int edge_reload(struct edge *g, uint64_t seq, struct err *e) WARN_UNUSED;

/* PRIV_VHOST_SET: 0 it is already so; 1 pending: given a certificate that signs itself for its domains (with HTTPS, and
 * unless it has one for just these), tested alone, installed, reloaded (at most 5 reloads a second), and
 * `done` when no worker serves the old configuration to new connections any more. -1 refused at once: a field
 * (ERR_INVALID), the edge not running (ERR_UNAVAILABLE), EDGE_JOBS_MAX waiting (ERR_UNAVAILABLE). When nginx refuses,
 * the vhost installed before stays. */
int edge_vhost_set(struct edge *g, uint64_t seq, const struct render_vhost *v, struct err *e) WARN_UNUSED;
/* PRIV_VHOST_REMOVE, likewise, with its certificates; absent is 0. */
int edge_vhost_remove(struct edge *g, uint64_t seq, struct str project, struct err *e) WARN_UNUSED;

/* PRIV_CERT_SET: the vhost with a certificate from outside. fds are sealed memory files: the struct render_vhost, the chain,
 * its key; taken (set to -1) when it answers 1. Always pending: slipway-cert judges the pair, which must be for at least one of
 * the domains, then both are tested, installed, reloaded; when nginx refuses, both of before stay. `trusted`: browsers
 * believe it, so the domains that it covers are served over HTTPS alone, and http leads there. */
int edge_certificate_set(struct edge *g, uint64_t seq, const struct render_vhost *v, bool trusted, int fds[3],
    struct err *e) WARN_UNUSED;
/* PRIV_CERT_REMOVE: the vhost without it; 0 when there is none. */
int edge_certificate_remove(struct edge *g, uint64_t seq, const struct render_vhost *v, struct err *e) WARN_UNUSED;

/* The platform's own: of its host, or of all names right below it. */
enum edge_own { EDGE_OWN_HOST, EDGE_OWN_WILDCARD, EDGE_OWN_COUNT };
/* PRIV_OWN_CERT_SET, PRIV_OWN_CERT_REMOVE: the same of one of those; fds are chain and key. Vhosts that another wildcard
 * covers now are to be set anew. */
int edge_own_set(struct edge *g, uint64_t seq, unsigned which, bool trusted, int fds[2], struct err *e) WARN_UNUSED;
int edge_own_remove(struct edge *g, uint64_t seq, unsigned which, struct err *e) WARN_UNUSED;

/* PRIV_SITES_SET, once helper/sites.h has staged them: always pending. The whole configuration is tested with what waits in
 * staged/PROJECT, which then takes the place of sites/PROJECT, and is reloaded; when nginx refuses, what was served stays, and
 * `done` says what it said of which file and line. */
int edge_sites_set(struct edge *g, uint64_t seq, struct str project, struct err *e) WARN_UNUSED;
/* PRIV_SITE_CERT_SET, once helper/sites.h has it judged: it takes the place of that before, and all is reloaded; when
 * nginx refuses, that before stays. */
int edge_site_cert_set(struct edge *g, uint64_t seq, struct str project, struct str site, struct err *e) WARN_UNUSED;
/* What was staged is not wanted: it goes, with certificates of sites that are not served; when it failed, with those alone that
 * were made for it: a site that was set aside comes back to its own. */
void edge_sites_drop(struct edge *g, const char *project, bool failed);
/* Whether what is staged for this project is still in use: then nothing may be staged anew. */
bool edge_sites_wait(const struct edge *g, const char *project);

#define EDGE_JOBS_MAX 256u

/* Does what is due; returns the monotonic ms at which it wants to be called again (DEADLINE_NEVER: only after an event).
 * Calling it more often is harmless. */
int64_t edge_tick(struct edge *g, int64_t now_ms);
/* A child of the helper was reaped: true when it was one of the edge's. */
bool edge_reaped(struct edge *g, pid_t pid, int wait_status);
/* Ends the server: gracefully (open requests complete) or at once; a unit of systemd's is let go, and serves on. It has ended
 * when edge_running says false. */
void edge_stop(struct edge *g, bool graceful);
bool edge_running(const struct edge *g);
