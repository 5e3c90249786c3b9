/* What an archive says beside the project's files.
 *
 * The header, in clear: {"project", "number", "kind", "created_ms", "reason": "manual" | "destroy",
 * "until_ms" (0: until it is deleted), "by", "release" (0: none), "commit", "files", "bytes", "databases",
 * "left_out"}.
 *
 * The settings, sealed: {"project": {kind, source, url, ref, root, limits, settings, sites, poll_ms, known_hosts,
 * https_token, deploy_key, deploy_key_public}, "running", "env": [{key, value, secret, build}], "release_env":
 * likewise, of the release when that is another, "domains": [], "scale": {PROCESS: N}, "hooks": [{name, sender,
 * branch, settings, actions, paused, secret}], "release": {number, commit, ref, subject, author, plan, migrated,
 * size, created_ms, sealed_ms} or null, "services": [{name, type}]; of databases the dumps are among the files}.
 *
 * Not in it: who may do what, channels, certificates, logs, tasks, events. */
#pragma once

#include "base/arena.h"
#include "base/name.h"
#include "crypto/seal.h"
#include "model/domain.h"
#include "model/env.h"
#include "model/hook.h"
#include "model/project.h"
#include "model/release.h"
#include "model/service.h"

struct backup_header {
	struct str project, kind, reason, by, commit;
	int64_t number, created_ms, until_ms, release;
	int64_t files, bytes, databases, left_out;
};
void backup_header_write(const struct backup_header *h, struct buf *out);
int backup_header_read(
    struct str json, struct arena *a, struct backup_header *ret, struct err *e) WARN_UNUSED;

/* All that belongs to the project, secrets in clear; the caller wipes `out`. In a unit or a read. */
int backup_settings_write(struct store_db *db, struct arena *a, const struct seal_key *seal,
    int64_t project_id, struct buf *out, struct err *e) WARN_UNUSED;

struct backup_env {
	struct model_env_change *v; /* `sealed` is in clear here */
	size_t n;
};
struct backup_hook {
	struct model_hook hook; /* its secret in clear */
};
struct backup_settings {
	struct model_project project;
	struct str https_token, deploy_key; /* in clear; p NULL: none */
	struct backup_env env, release_env; /* release_env.v NULL: the same */
	struct str *domains;
	size_t domain_count;
	struct model_scales scales;
	struct backup_hook *hooks;
	size_t hook_count;
	struct model_release release; /* number 0: none */
	struct model_services services; /* name and type */
};
int backup_settings_read(
    struct str json, struct arena *a, struct backup_settings *ret, struct err *e) WARN_UNUSED;

/* The environment as one version, or two when the release's was another. *ret_version: what the release is
 * to run with. In a unit. */
int backup_env_apply(struct store_db *db, struct arena *a, const struct seal_key *seal,
    int64_t project_id, const struct backup_settings *s, int64_t now_ms, int64_t *ret_version,
    struct err *e) WARN_UNUSED;
struct backup_into {
	const struct model_project *project; /* as it is now */
	struct name_platform platform;
	bool
	    admin; /* of the platform asks: only then limits and a source that only they set are others than now */
};
/* The rest: source and what fetches it, limits, scale, domains, hooks. What belongs to another by now, or is
 * the platform's own, is left out and said in `warning`. Hooks that are there stay as they are. In a unit. */
int backup_settings_apply(struct store_db *db, struct arena *a, const struct seal_key *seal,
    const struct backup_settings *s, const struct backup_into *to, int64_t now_ms,
    struct buf *warning, struct err *e) WARN_UNUSED;
