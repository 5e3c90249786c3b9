/* A plan: everything about one release that was decided before building it; the whole truth later steps use.
 * Packed as JSON it is stored with the release, so a rollback brings all of it back.
 *
 * Commands run in releases/N/ROOT. A command whose argv[0] is "slipway-tree" is our own program (PRIV_PROGRAM_TREE) with the rest as
 * its arguments; it too runs in the build sandbox as the tenant. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/site.h"
#include "text/manifest.h"

struct plan_command {
	struct str label;	 /* "install dependencies", "collectstatic" */
	struct args argv;
	struct manifest_pair *env;
	size_t env_count;
	bool expand;
	int64_t timeout_ms;
	struct str cache_key; /* not empty: skip when cache/KEY/.complete exists; argv sees it as $SLIPWAY_CACHE_KEY */
};

struct plan_process {
	struct str name;
	struct plan_command run; /* label empty */
	enum manifest_listen listen;
	int64_t stop_timeout_ms;
	bool notify;
	int64_t watchdog_ms;
};

/* A site or snippet of kind nginx-site: its text as it was read, by what must be put into it. */
struct plan_site {
	struct str name; /* "example.org"; of a snippet its file's */
	struct str file; /* "[example.org].nginxconf" */
	struct args domains; /* what its certificate is for; snippets have none */
	bool certified;	     /* it names a certificate */
	uint32_t bytes, crc32c;
	struct site_edit *edits;
	size_t edit_count;
};

struct plan {
	enum manifest_kind kind;
	struct str reason;  /* "manage.py, shop/settings.py" */
	struct str root;    /* working directory inside the release */
	struct plan_command *build;
	size_t build_count;
	struct plan_command *checks;
	size_t check_count;
	struct plan_command release; /* argv empty: none */
	struct plan_process *processes;
	size_t process_count; /* a process named web answers the edge; none: static only */
	struct manifest_health health;
	struct manifest_static *statics; /* for kind static: one with url "/". Paths are from the release's top (`root` is in
					    front already; empty: all of it), or from data/ */
	size_t static_count;
	struct args domains;
	struct str sites_folder, snippets_folder; /* kind nginx-site: of the release */
	struct plan_site *sites, *snippets;
	size_t site_count, snippet_count;
	bool certificates; /* sites that name one have it ordered by themselves */
	struct manifest_pair *env; /* for processes and, before a command's own, for commands. PATH is slipway-exec's business:
				      it puts .venv/bin and node_modules/.bin of the working directory first */
	size_t env_count;
	struct manifest_service *services; /* what it needs made for it */
	size_t service_count;
	struct manifest_limits limits;
	uint32_t devices; /* base/device.h: that its programs use */
	int64_t drain_ms;
	int64_t sleep_ms; /* without a request for so long: it sleeps; 0: never */
	uint32_t keep_releases;
	uint64_t body_max_bytes;
	int64_t request_timeout_ms;
	enum manifest_headers headers;
	struct args notes; /* sentences for `slipway plan`: what was found, what was assumed */
};

int plan_pack(const struct plan *p, struct buf *json, struct err *e) WARN_UNUSED;
int plan_unpack(struct str json, struct arena *a, struct plan *ret, struct err *e) WARN_UNUSED;
