/* The web server that faces the world, from the daemon's side: which project answers where, and which release is live. */
#pragma once

#include "base/err.h"
#include "render/vhost.h"
#include "run/run.h"

struct edge;
struct edge_options {
	struct run *run;
	struct loop *loop;
	const char *projects_dir, *run_dir;
};
struct edge *edge_new(const struct edge_options *o);
void edge_free(struct edge *g);

/* Makes the vhost be these fields: nothing when they are what was applied last (compared by hash kept by the helper),
 * else rendered, tested alone, installed, reloaded (coalesced). done with e when nginx refused; then the old one stays. */
void edge_vhost_set(struct edge *g, const struct render_vhost *v, run_done_fn *fn, void *ctx);
/* The same with a certificate from outside, PEM both: judged, tested, installed, reloaded together; else what was before
 * stays. `trusted`: browsers believe it. And without it again. */
void edge_certificate_set(struct edge *g, const struct render_vhost *v, bool trusted, struct str chain, struct str key,
    run_done_fn *fn, void *ctx);
void edge_certificate_remove(struct edge *g, const struct render_vhost *v, run_done_fn *fn, void *ctx);
/* Sites of an nginx-site project: `packed` is render/sites.h's, of a sealed release. Tested with everything else that is
 * served, then in the place of those before, all at once. value: helper/sites.h's changes; 0: it was so already, and nothing
 * was reloaded. edge_vhost_remove takes them away. */
void edge_sites_set(struct edge *g, struct str project, uint32_t release, struct str packed, run_done_fn *fn, void *ctx);
/* The same of one site's certificate, in the place of that before. */
void edge_site_certificate_set(struct edge *g, struct str project, struct str site, bool trusted, struct str chain, struct str key,
    run_done_fn *fn, void *ctx);
/* The same of the platform's own: of its host, or of all names right below it. After the second, vhosts of
 * projects are to be set anew where its names or its trust are others. */
enum edge_own { EDGE_OWN_HOST, EDGE_OWN_WILDCARD, EDGE_OWN_COUNT };
void edge_own_certificate_set(struct edge *g, enum edge_own which, bool trusted, struct str chain, struct str key,
    run_done_fn *fn, void *ctx);
void edge_own_certificate_remove(struct edge *g, enum edge_own which, run_done_fn *fn, void *ctx);
void edge_vhost_remove(struct edge *g, struct str project, run_done_fn *fn, void *ctx);

/* projects/NAME/live -> RUN/NAME/N by one rename(2), directory synced; `previous` first set to the release before, when
 * > 0. Back to what `previous` names is one exchange of the two links. A repeat after a crash is harmless. A file that
 * both releases, or the live one before or after, hold is served throughout; so RUN/NAME/PREVIOUS/public must stay
 * for as long as `previous` names it. Blocks for at most two directory fsyncs. */
int edge_switch(struct edge *g, struct str project, uint32_t release, uint32_t previous, struct err *e) WARN_UNUSED;
/* Which release the link names: 1 and the number, 0 no link, -1. */
int edge_live(struct edge *g, struct str project, uint32_t *ret_release, struct err *e) WARN_UNUSED;
