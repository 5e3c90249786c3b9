/* slipway.yaml: what a project says about itself. Loaded through one schema table over libyaml; unknown keys are errors
 * with line, column and the nearest known key. Everything is optional. Values are checked here for form (names,
 * ranges, units); whether they are allowed is the operator's business (kinds/, deploy/). */
#pragma once

#include "base/args.h"
#include "base/arena.h"
#include "base/device.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum manifest_kind {
	MANIFEST_KIND_AUTO,
	MANIFEST_KIND_STATIC,
	MANIFEST_KIND_COMMAND,
	MANIFEST_KIND_WSGI,
	MANIFEST_KIND_ASGI,
	MANIFEST_KIND_DJANGO,
	MANIFEST_KIND_NODE,
	MANIFEST_KIND_MAKE,
	MANIFEST_KIND_NGINX_SITE,
	MANIFEST_KIND_COUNT
};
const char *manifest_kind_name(enum manifest_kind k); /* "auto", "static", … */
int manifest_kind_parse(struct str s, enum manifest_kind *ret, struct err *e) WARN_UNUSED;

enum manifest_listen { MANIFEST_LISTEN_UNSET, MANIFEST_LISTEN_NONE, MANIFEST_LISTEN_SOCKET, MANIFEST_LISTEN_PORT };

enum manifest_headers { MANIFEST_HEADERS_BASIC, MANIFEST_HEADERS_STRICT, MANIFEST_HEADERS_COUNT };

struct manifest_pair {
	struct str key, value;
};

/* One command: its own leading assignments (Procfile's A=b), then argv. An argv element may hold $VAR and
 * ${VAR:-x} only when `expand` is set (it came from a Procfile line); expansion happens in slipway-exec. */
struct manifest_command {
	struct args argv;
	struct manifest_pair *env;
	size_t env_count;
	bool expand;
};

struct manifest_process {
	struct str name;
	struct manifest_command run; /* no argv when wsgi is set */
	struct str wsgi;	     /* "shop.wsgi" or "shop.wsgi:app", for Apache's mod_wsgi */
	bool mod_wsgi;		     /* `server: mod_wsgi`, which wsgi needs and nothing else has */
	enum manifest_listen listen;
	int64_t stop_timeout_ms; /* 0: unset (10 s) */
	bool notify;		 /* it runs once it says so, as sd_notify(3) has it */
	int64_t watchdog_ms;	 /* how often it says that it is alive; 0: never */
};

struct manifest_check {
	struct str name;
	struct args run;
	int64_t timeout_ms; /* 0: unset (5 m) */
};

struct manifest_static {
	struct str url;	 /* "/static" */
	struct str path; /* below the release's root, or below data/ */
	bool data;
};

struct manifest_health {
	struct str path;	  /* empty: unset */
	uint16_t status;	  /* 0: 200–399 with a path, below 500 without */
	int64_t timeout_ms;	  /* 0: 60 s */
	int64_t interval_ms;	  /* 0: 1 s */
};

/* Which sites of a repository are served here: the last rule that speaks of a site decides. */
struct manifest_site_rule {
	bool include;	   /* else: exclude */
	struct args names; /* "*" among them: every site */
};
struct manifest_sites {
	struct str folder; /* empty: production */
	bool has_rules;	   /* without any: every site; with a list: those that it includes */
	struct manifest_site_rule *rules;
	bool has_certificates, no_certificates; /* certificates: false: none is ordered by itself */
	size_t rule_count;
};

struct manifest_limits { /* 0: unset */
	uint64_t memory_bytes, disk_bytes, build_memory_bytes;
	uint32_t cpu_milli, tasks, files;
	int64_t build_time_ms;
};

struct manifest_service {
	struct str name, type; /* "postgres" or "rabbitmq" */
};

struct manifest {
	enum manifest_kind kind;
	struct str root; /* empty: the top */
	struct str python_version, node_version;
	struct str python_from; /* python: {from: FILE}: which of several files is installed */
	bool system_packages; /* python: {system: true} */
	bool submodules;
	struct args *build;
	size_t build_count;
	struct manifest_check *checks;
	size_t check_count;
	struct manifest_process *processes;
	size_t process_count;
	struct manifest_health health;
	struct manifest_static *statics;
	size_t static_count;
	struct args domains;
	struct manifest_sites sites; /* kind nginx-site */
	struct manifest_pair *env;
	size_t env_count;
	struct manifest_service *services;
	size_t service_count;
	struct manifest_limits limits;
	uint32_t devices; /* base/device.h */
	struct args release; /* the once-per-release command; empty: none */
	int64_t release_timeout_ms;
	int64_t drain_ms; /* 0: 120 s */
	int64_t sleep_ms;
	uint32_t keep_releases; /* 0: 5 */
	uint64_t body_max_bytes; /* 0: 100 MB */
	int64_t request_timeout_ms; /* 0: 60 s */
	enum manifest_headers headers; /* of every answer, the program's own first */
};

/* `file` names the text in messages ("slipway.yaml:3:7: …"). Strings live in the arena. */
int manifest_read(struct str text, const char *file, struct arena *a, struct manifest *ret, struct err *e) WARN_UNUSED;
