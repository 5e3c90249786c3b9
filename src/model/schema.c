/* The tables, migration by migration. Never edit one that was released: add the next.
 *
 * Booleans are 0 or 1, times milliseconds since 1970 UTC with 0 for never, texts empty rather than
 * NULL unless absence means something, states their names. */
#include "model/schema.h"

#include <stdint.h>

static const char schema_1[] =
    "CREATE TABLE project("
    " id @id, name TEXT NOT NULL, kind TEXT NOT NULL,"
    " source_type TEXT NOT NULL CHECK (source_type IN ('git', 'path', 'archive')),"
    " source_url TEXT NOT NULL, source_ref TEXT NOT NULL, root TEXT NOT NULL,"
    " user_no @i64 NOT NULL, desired_running @i64 NOT NULL,"
    " limits TEXT NOT NULL, settings TEXT NOT NULL,"
    " https_token @blob, deploy_key TEXT NOT NULL DEFAULT '', deploy_key_sealed @blob,"
    " known_hosts TEXT NOT NULL, env_version @i64 NOT NULL DEFAULT 0,"
    " version @i64 NOT NULL DEFAULT 1, created_ms @i64 NOT NULL, removed_ms @i64 NOT NULL DEFAULT "
    "0) @strict;\n"
    "CREATE UNIQUE INDEX project_name ON project(name) WHERE removed_ms = 0;\n"
    "CREATE INDEX project_removed ON project(removed_ms) WHERE removed_ms > 0;\n"

    /* Block n is the ten ports from 20000 + 10 n; its number is the key. */
    "CREATE TABLE port_block(block @id, project_id @i64 NOT NULL UNIQUE REFERENCES project(id)) "
    "@strict;\n"

    "CREATE TABLE domain("
    " host TEXT PRIMARY KEY, project_id @i64 NOT NULL REFERENCES project(id), created_ms @i64 NOT "
    "NULL) @strict;\n"
    "CREATE INDEX domain_project ON domain(project_id);\n"

    "CREATE TABLE env("
    " project_id @i64 NOT NULL REFERENCES project(id), key TEXT NOT NULL, version @i64 NOT NULL,"
    " sealed @blob, secret @i64 NOT NULL, build @i64 NOT NULL, deleted @i64 NOT NULL, set_ms @i64 "
    "NOT NULL,"
    " PRIMARY KEY (project_id, key, version)) @strict;\n"

    "CREATE TABLE release("
    " project_id @i64 NOT NULL REFERENCES project(id), number @i64 NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('building', 'sealed', 'failed', 'pruned')),"
    " commit_id TEXT NOT NULL, ref TEXT NOT NULL, subject TEXT NOT NULL, author TEXT NOT NULL,"
    " env_version @i64 NOT NULL, plan TEXT NOT NULL DEFAULT '{}', migrated @i64 NOT NULL DEFAULT 0,"
    " size_bytes @i64 NOT NULL DEFAULT 0, created_ms @i64 NOT NULL, sealed_ms @i64 NOT NULL "
    "DEFAULT 0,"
    " task_id @i64 NOT NULL, attempt @i64 NOT NULL,"
    " PRIMARY KEY (project_id, number)) @strict;\n"
    "CREATE INDEX release_task ON release(task_id);\n"

    "CREATE TABLE live("
    " project_id @i64 PRIMARY KEY REFERENCES project(id), number @i64 NOT NULL, previous @i64 NOT "
    "NULL,"
    " at_ms @i64 NOT NULL) @strict;\n"

    "CREATE TABLE scale("
    " project_id @i64 NOT NULL REFERENCES project(id), process TEXT NOT NULL, count @i64 NOT NULL,"
    " PRIMARY KEY (project_id, process)) @strict;\n"

    "CREATE TABLE hook("
    " id @id, name TEXT NOT NULL UNIQUE, project_id @i64 NOT NULL REFERENCES project(id), sender "
    "TEXT NOT NULL,"
    " secret @blob, branch TEXT NOT NULL, created_ms @i64 NOT NULL, paused @i64 NOT NULL DEFAULT "
    "0) @strict;\n"
    "CREATE INDEX hook_project ON hook(project_id);\n"

    "CREATE TABLE event("
    " id @id, hook_id @i64 NOT NULL REFERENCES hook(id), project_id @i64 NOT NULL, delivery_key "
    "TEXT NOT NULL,"
    " received_ms @i64 NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, before_commit TEXT NOT "
    "NULL,"
    " after_commit TEXT NOT NULL, task_id @i64,"
    " outcome TEXT NOT NULL CHECK (outcome IN"
    " ('waiting', 'served', 'uptodate', 'ignored', 'superseded', 'failed')),"
    " attempt @i64 NOT NULL DEFAULT 1, body @blob,"
    " UNIQUE (hook_id, delivery_key)) @strict;\n"
    "CREATE INDEX event_project ON event(project_id, id);\n"
    "CREATE INDEX event_task ON event(task_id) WHERE task_id IS NOT NULL;\n"
    "CREATE INDEX event_waiting ON event(project_id) WHERE outcome = 'waiting';\n"
    "CREATE INDEX event_received ON event(received_ms);\n"

    "CREATE TABLE task("
    " id @id, project_id @i64 NOT NULL REFERENCES project(id),"
    " kind TEXT NOT NULL CHECK (kind IN"
    " ('deploy', 'rollback', 'stop', 'start', 'restart', 'scale', 'destroy', 'run')),"
    " state TEXT NOT NULL CHECK (state IN"
    " ('waiting', 'running', 'done', 'failed', 'cancelled', 'superseded', 'dead')),"
    " ref TEXT NOT NULL, head_commit TEXT NOT NULL, before_commit TEXT NOT NULL, from_push @i64 "
    "NOT NULL,"
    " priority @i64 NOT NULL, attempt @i64 NOT NULL DEFAULT 0, attempts_max @i64 NOT NULL, due_ms "
    "@i64 NOT NULL,"
    " lease_owner TEXT NOT NULL DEFAULT '', lease_counter @i64 NOT NULL DEFAULT 0,"
    " lease_beat @i64 NOT NULL DEFAULT 0, cancel_requested @i64 NOT NULL DEFAULT 0,"
    " current_step TEXT NOT NULL DEFAULT '', created_ms @i64 NOT NULL, started_ms @i64 NOT NULL "
    "DEFAULT 0,"
    " finished_ms @i64 NOT NULL DEFAULT 0, requested_by TEXT NOT NULL,"
    " input TEXT NOT NULL, progress TEXT NOT NULL DEFAULT '', result TEXT NOT NULL DEFAULT '',"
    " error TEXT NOT NULL DEFAULT '') @strict;\n"
    "CREATE UNIQUE INDEX task_one_running ON task(project_id) WHERE state = 'running';\n"
    "CREATE INDEX task_next ON task(priority DESC, id) WHERE state = 'waiting';\n"
    "CREATE INDEX task_fold ON task(project_id, ref) WHERE state = 'waiting';\n"
    "CREATE INDEX task_due ON task(due_ms) WHERE state = 'waiting';\n"
    "CREATE INDEX task_project ON task(project_id, id);\n"
    "CREATE INDEX task_state ON task(state, id);\n"
    "CREATE INDEX task_finished ON task(finished_ms) WHERE finished_ms > 0;\n"

    "CREATE TABLE step("
    " task_id @i64 NOT NULL REFERENCES task(id) ON DELETE CASCADE, attempt @i64 NOT NULL, seq @i64 "
    "NOT NULL,"
    " name TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled', 'skipped')),"
    " started_ms @i64 NOT NULL, finished_ms @i64 NOT NULL DEFAULT 0, detail TEXT NOT NULL DEFAULT "
    "'',"
    " PRIMARY KEY (task_id, attempt, seq)) @strict;\n"

    "CREATE TABLE branch_head("
    " project_id @i64 NOT NULL REFERENCES project(id), ref TEXT NOT NULL, commit_id TEXT NOT NULL,"
    " ok @i64 NOT NULL, task_id @i64 NOT NULL, PRIMARY KEY (project_id, ref)) @strict;\n"

    /* role: 0 none, 1 viewer, 2 deployer, 3 admin, 4 owner */
    "CREATE TABLE operator("
    " id @id, name TEXT NOT NULL UNIQUE, role @i64 NOT NULL CHECK (role BETWEEN 0 AND 4), "
    "password_hash TEXT,"
    " disabled @i64 NOT NULL DEFAULT 0, created_ms @i64 NOT NULL) @strict;\n"

    "CREATE TABLE token("
    " id @id, operator_id @i64 NOT NULL REFERENCES operator(id), hash @blob NOT NULL UNIQUE, label "
    "TEXT NOT NULL,"
    " created_ms @i64 NOT NULL, expires_ms @i64 NOT NULL, last_used_ms @i64 NOT NULL DEFAULT 0,"
    " revoked @i64 NOT NULL DEFAULT 0) @strict;\n"
    "CREATE INDEX token_operator ON token(operator_id);\n"

    "CREATE TABLE grant_role("
    " operator_id @i64 NOT NULL REFERENCES operator(id), project_id @i64 NOT NULL REFERENCES "
    "project(id),"
    " role @i64 NOT NULL CHECK (role BETWEEN 1 AND 4), PRIMARY KEY (operator_id, project_id)) "
    "@strict;\n"
    "CREATE INDEX grant_project ON grant_role(project_id);\n"

    "CREATE TABLE audit("
    " id @id, at_ms @i64 NOT NULL, project_id @i64, operator TEXT NOT NULL, action TEXT NOT NULL,"
    " target TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL, chain @blob NOT NULL) "
    "@strict;\n"
    "CREATE INDEX audit_project ON audit(project_id, id) WHERE project_id IS NOT NULL;\n"

    "CREATE TABLE idempotency("
    " operator_id @i64 NOT NULL, key TEXT NOT NULL, route TEXT NOT NULL, request_hash @blob NOT "
    "NULL,"
    " status @i64 NOT NULL DEFAULT 0, body @blob, at_ms @i64 NOT NULL,"
    " PRIMARY KEY (operator_id, key)) @strict;\n"
    "CREATE INDEX idempotency_at ON idempotency(at_ms);\n";

/* Bodies in a table of their own: what happens to an event does not write its body again. */
static const char schema_2[] =
    "CREATE TABLE event_body("
    " event_id @i64 PRIMARY KEY REFERENCES event(id) ON DELETE CASCADE, body @blob) @strict;\n"
    "INSERT INTO event_body(event_id, body) SELECT id, body FROM event;\n"
    "ALTER TABLE event DROP COLUMN body;\n";

/* Events that come through the journal: where their bodies are, and how far it was drained. */
static const char schema_3[] =
    "ALTER TABLE event ADD COLUMN body_segment @i64 NOT NULL DEFAULT 0;\n"
    "ALTER TABLE event ADD COLUMN body_at @i64 NOT NULL DEFAULT 0;\n"
    "CREATE INDEX task_decisive ON task(project_id, created_ms)"
    " WHERE kind IN ('rollback', 'stop', 'destroy');\n"
    "CREATE INDEX event_orphan ON event(id) WHERE outcome = 'waiting' AND task_id IS NULL;\n"
    "CREATE TABLE journal("
    " one @i64 PRIMARY KEY CHECK (one = 1), segment @i64 NOT NULL, at_bytes @i64 NOT NULL,"
    " sequence @i64 NOT NULL, oldest @i64 NOT NULL) @strict;\n";

/* Hooks: what they take, as JSON (hooks/policy.h), and the secret before while it is still good. */
static const char schema_4[] =
    "ALTER TABLE hook ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';\n"
    "ALTER TABLE hook ADD COLUMN old_secret @blob;\n"
    "ALTER TABLE hook ADD COLUMN old_until_ms @i64 NOT NULL DEFAULT 0;\n";

/* Whom to tell, what they were told, and each try of it. A project's go with it. */
static const char schema_5[] =
    "CREATE TABLE channel("
    " id @id, project_id @i64 REFERENCES project(id) ON DELETE CASCADE, name TEXT NOT NULL,"
    " type TEXT NOT NULL CHECK (type IN ('mail', 'webhook', 'slack', 'discord', 'matrix', "
    "'github')),"
    " target TEXT NOT NULL, secret @blob, events TEXT NOT NULL, paused @i64 NOT NULL DEFAULT 0,"
    " disabled TEXT NOT NULL DEFAULT '', created_ms @i64 NOT NULL) @strict;\n"
    "CREATE UNIQUE INDEX channel_name ON channel(coalesce(project_id, 0), name);\n"
    "CREATE INDEX channel_project ON channel(project_id);\n"
    "CREATE TABLE delivery("
    " id @id, channel_id @i64 NOT NULL REFERENCES channel(id) ON DELETE CASCADE, key TEXT NOT NULL,"
    " event TEXT NOT NULL, series TEXT NOT NULL, message TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'superseded')),"
    " attempts @i64 NOT NULL DEFAULT 0, due_ms @i64 NOT NULL, created_ms @i64 NOT NULL,"
    " ended_ms @i64 NOT NULL DEFAULT 0, last_status @i64 NOT NULL DEFAULT 0,"
    " last_error TEXT NOT NULL DEFAULT '') @strict;\n"
    "CREATE UNIQUE INDEX delivery_key ON delivery(channel_id, key);\n"
    "CREATE INDEX delivery_due ON delivery(channel_id, due_ms) WHERE state = 'waiting';\n"
    "CREATE INDEX delivery_series ON delivery(channel_id, series) WHERE series <> '';\n"
    "CREATE INDEX delivery_ended ON delivery(ended_ms) WHERE ended_ms > 0;\n"
    "CREATE TABLE delivery_try("
    " id @id, delivery_id @i64 NOT NULL REFERENCES delivery(id) ON DELETE CASCADE, at_ms @i64 NOT "
    "NULL, ms @i64 NOT NULL, status @i64 NOT NULL, error TEXT NOT NULL) @strict;\n"
    "CREATE INDEX delivery_try_of ON delivery_try(delivery_id);\n"
    "CREATE TABLE mail_server("
    " id @id, host TEXT NOT NULL, port @i64 NOT NULL, tls TEXT NOT NULL CHECK (tls IN ('starttls', "
    "'tls', 'none')), sender TEXT NOT NULL, user_name TEXT NOT NULL, password @blob) @strict;\n";

/* How often a project's branch is looked at (0: never by itself), and when it is next. */
static const char schema_6[] =
    "ALTER TABLE project ADD COLUMN poll_ms @i64 NOT NULL DEFAULT 0;\n"
    "ALTER TABLE project ADD COLUMN look_due_ms @i64 NOT NULL DEFAULT 0;\n"
    "CREATE INDEX project_look ON project(look_due_ms) WHERE look_due_ms > 0;\n";

/* What follows from events beyond a deploy. A task that only checks is stored as of kind run: the
 * list of kinds in schema_1 cannot grow. (checks_only 2: a task about a certificate, 3: a backup, 4: a restore.) */
static const char schema_7[] =
    "ALTER TABLE hook ADD COLUMN actions TEXT NOT NULL DEFAULT '';\n"
    "ALTER TABLE task ADD COLUMN checks_only @i64 NOT NULL DEFAULT 0;\n"
    "CREATE TABLE event_action("
    " event_id @i64 NOT NULL REFERENCES event(id) ON DELETE CASCADE, position @i64 NOT NULL,"
    " kind TEXT NOT NULL CHECK (kind IN ('deploy', 'check', 'notify', 'forward', 'run')),"
    " spec TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN"
    " ('later', 'waiting', 'running', 'done', 'failed', 'skipped')),"
    " task_id @i64, attempt @i64 NOT NULL, detail TEXT NOT NULL DEFAULT '',"
    " PRIMARY KEY (event_id, position)) @strict;\n"
    "CREATE INDEX event_action_waiting ON event_action(event_id) WHERE state = 'waiting';\n"
    "CREATE INDEX event_action_running ON event_action(task_id) WHERE state = 'running';\n"
    "CREATE INDEX delivery_by_key ON delivery(key);\n";

/* A project's certificate: what is installed, when it is tried again; and one that was given and
 * waits to be installed, its key sealed. */
static const char schema_8[] =
    "CREATE TABLE certificate("
    " project_id @i64 PRIMARY KEY REFERENCES project(id) ON DELETE CASCADE,"
    " origin TEXT NOT NULL CHECK (origin IN ('none', 'acme', 'staging', 'import')),"
    " names TEXT NOT NULL, issuer TEXT NOT NULL, serial TEXT NOT NULL, not_before_ms @i64 NOT NULL,"
    " not_after_ms @i64 NOT NULL, installed_ms @i64 NOT NULL, renew_ms @i64 NOT NULL,"
    " failures @i64 NOT NULL, error TEXT NOT NULL, limited_ms @i64 NOT NULL, told_ms @i64 NOT NULL,"
    " given_chain TEXT NOT NULL DEFAULT '', given_key @blob) @strict;\n"
    "CREATE INDEX certificate_due ON certificate(renew_ms) WHERE renew_ms > 0;\n";

/* What a hook's sender could not deliver: where that is asked, how far it was, and which deliveries
 * were asked for again. */
static const char schema_9[] =
    "CREATE TABLE catch_up("
    " hook_id @i64 PRIMARY KEY REFERENCES hook(id) ON DELETE CASCADE, api TEXT NOT NULL,"
    " repository TEXT NOT NULL, remote_id @i64 NOT NULL, token @blob, gap @i64 NOT NULL DEFAULT 1,"
    " due_ms @i64 NOT NULL, tries @i64 NOT NULL DEFAULT 0, since_ms @i64 NOT NULL,"
    " refused @i64 NOT NULL DEFAULT 0, ended_ms @i64 NOT NULL DEFAULT 0,"
    " found @i64 NOT NULL DEFAULT 0, asked @i64 NOT NULL DEFAULT 0,"
    " error TEXT NOT NULL DEFAULT '') @strict;\n"
    "CREATE INDEX catch_up_due ON catch_up(due_ms) WHERE due_ms > 0;\n"
    "CREATE TABLE catch_up_asked("
    " hook_id @i64 NOT NULL REFERENCES hook(id) ON DELETE CASCADE, guid TEXT NOT NULL,"
    " gap @i64 NOT NULL, at_ms @i64 NOT NULL, PRIMARY KEY (hook_id, guid)) @strict;\n";

/* Which sites of an nginx-site project are served here, as JSON; empty: as its manifest says. */
static const char schema_10[] = "ALTER TABLE project ADD COLUMN sites TEXT NOT NULL DEFAULT '';\n";

/* Deploys told to GitHub as its deployments: whether a channel wants that, and the number that GitHub
 * gave. */
static const char schema_11[] =
    "ALTER TABLE channel ADD COLUMN deployments @i64 NOT NULL DEFAULT 0;\n"
    "ALTER TABLE delivery ADD COLUMN remote_id @i64 NOT NULL DEFAULT 0;\n";

/* GitHub's published list of addresses, as it was last seen. */
static const char schema_12[] =
    "CREATE TABLE github_list("
    " one @i64 PRIMARY KEY CHECK (one = 1), etag TEXT NOT NULL, ranges TEXT NOT NULL,"
    " fetched_ms @i64 NOT NULL, due_ms @i64 NOT NULL, error TEXT NOT NULL) @strict;\n";

/* A certificate per site, beside those of projects. */
static const char schema_13[] =
    "CREATE TABLE site_certificate("
    " project_id @i64 NOT NULL REFERENCES project(id) ON DELETE CASCADE, site TEXT NOT NULL,"
    " origin TEXT NOT NULL CHECK (origin IN ('none', 'acme', 'staging')),"
    " names TEXT NOT NULL, issuer TEXT NOT NULL, serial TEXT NOT NULL, not_before_ms @i64 NOT NULL,"
    " not_after_ms @i64 NOT NULL, installed_ms @i64 NOT NULL, renew_ms @i64 NOT NULL,"
    " failures @i64 NOT NULL, error TEXT NOT NULL, limited_ms @i64 NOT NULL, told_ms @i64 NOT NULL,"
    " PRIMARY KEY (project_id, site)) @strict;\n"
    "CREATE INDEX site_certificate_due ON site_certificate(renew_ms) WHERE renew_ms > 0;\n";

/* What was provisioned for a project: its password sealed, the mark by which a database server tells
 * ours from another's, and where it is (made_ms 0: wanted, not there yet). */
static const char schema_14[] =
    "CREATE TABLE service("
    " project_id @i64 NOT NULL REFERENCES project(id) ON DELETE CASCADE, name TEXT NOT NULL,"
    " type TEXT NOT NULL CHECK (type IN ('postgres', 'rabbitmq')), sealed @blob NOT NULL,"
    " mark TEXT NOT NULL, host TEXT NOT NULL DEFAULT '', port @i64 NOT NULL DEFAULT 0,"
    " created_ms @i64 NOT NULL, made_ms @i64 NOT NULL DEFAULT 0,"
    " PRIMARY KEY (project_id, name)) @strict;\n";

/* The platform's own certificates, and what is wanted of them. */
static const char schema_15[] =
    "CREATE TABLE own_certificate("
    " which TEXT PRIMARY KEY CHECK (which IN ('host', 'wildcard')),"
    " wanted TEXT NOT NULL, staging @i64 NOT NULL, said TEXT NOT NULL,"
    " origin TEXT NOT NULL CHECK (origin IN ('none', 'acme', 'staging', 'import')),"
    " names TEXT NOT NULL, issuer TEXT NOT NULL, serial TEXT NOT NULL, not_before_ms @i64 NOT NULL,"
    " not_after_ms @i64 NOT NULL, installed_ms @i64 NOT NULL, renew_ms @i64 NOT NULL,"
    " failures @i64 NOT NULL, error TEXT NOT NULL, limited_ms @i64 NOT NULL, told_ms @i64 NOT NULL,"
    " given_chain TEXT NOT NULL DEFAULT '', given_key @blob) @strict;\n";

static const char schema_16[] =
    "CREATE TABLE device_grant("
    " project_id @i64 NOT NULL REFERENCES project(id), device TEXT NOT NULL, granted_by TEXT NOT NULL,"
    " granted_ms @i64 NOT NULL, PRIMARY KEY (project_id, device)) @strict;\n";

/* A mail channel's addresses have a delivery each: one that refuses says nothing about the others. */
static const char schema_17[] =
    "ALTER TABLE delivery ADD COLUMN recipient TEXT NOT NULL DEFAULT '';\n"
    "DROP INDEX delivery_key;\n"
    "CREATE UNIQUE INDEX delivery_key ON delivery(channel_id, key, recipient);\n";

/* Tasks that actions of events wait for, so that of those that ended the few are found which nobody
 * looked at yet. And what is claimed next, and when, is read off an index: those of before do not
 * begin with the state, so that SQLite took task_state instead and sorted all that wait. */
static const char schema_18[] =
    "ALTER TABLE task ADD COLUMN has_actions @i64 NOT NULL DEFAULT 0;\n"
    "CREATE INDEX task_actions ON task(id) WHERE has_actions = 1 AND state NOT IN ('waiting', 'running');\n"
    "DROP INDEX task_next;\n"
    "CREATE INDEX task_next ON task(state, priority DESC, id, project_id, due_ms)"
    " WHERE state = 'waiting';\n"
    "DROP INDEX task_due;\n"
    "CREATE INDEX task_due ON task(state, due_ms) WHERE state = 'waiting';\n";

/* When a delivery whose key was made of its body last came again: of a repeat nothing else is kept. */
static const char schema_19[] =
    "CREATE TABLE body_seen(delivery_key TEXT PRIMARY KEY, seen_ms @i64 NOT NULL) @strict;\n"
    "CREATE INDEX body_seen_seen ON body_seen(seen_ms);\n";

/* Of all that wait, those that may begin although as many run as may; those of one project, not by
 * way of all others' since task_due begins with the state; of what has ended, the looks that found
 * nothing; and which versions of the environment releases have. */
static const char schema_20[] =
    "CREATE INDEX task_quick ON task(state, priority DESC, id, project_id, due_ms) WHERE state = 'waiting'"
    " AND kind IN ('rollback', 'stop', 'destroy', 'start', 'restart', 'scale');\n"
    "DROP INDEX task_fold;\n"
    "CREATE INDEX task_fold ON task(project_id, state, ref) WHERE state = 'waiting';\n"
    "CREATE INDEX task_looked ON task(project_id, state, kind)"
    " WHERE state = 'done' AND kind = 'deploy' AND head_commit = '';\n"
    "CREATE INDEX release_env ON release(project_id, env_version)"
    " WHERE state IN ('building', 'sealed');\n";

/* Minor version n is reached by running migrations[n - 1]. */
static const char *const migrations[] = {schema_1, schema_2, schema_3, schema_4, schema_5, schema_6,
    schema_7, schema_8, schema_9, schema_10, schema_11, schema_12, schema_13, schema_14,
    schema_15, schema_16, schema_17, schema_18, schema_19, schema_20};
#define MINOR_NOW ((int)(sizeof(migrations) / sizeof(migrations[0])))

static int meta_get(struct store_db *db, const char *key, int *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "SELECT value FROM meta WHERE key = $key", e);
	int rc;

	if (!q)
		return -1;
	store_bind_text(q, "$key", str_c(key));
	rc = store_step(q, e);
	*ret = rc > 0 ? (int)store_col_i64(q, 0) : 0;
	store_reset(q);
	return rc < 0 ? -1 : 0;
}

static int meta_set(struct store_db *db, const char *key, int value, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO meta(key, value) VALUES ($key, $value) ON CONFLICT (key) DO UPDATE SET "
	    "value = $value",
	    e);

	if (!q)
		return -1;
	store_bind_text(q, "$key", str_c(key));
	store_bind_i64(q, "$value", value);
	return store_exec(q, e);
}

int model_schema_version(struct store_db *db, int *ret_major, int *ret_minor, struct err *e)
{
	return meta_get(db, "schema_major", ret_major, e) < 0
		   ? -1
		   : meta_get(db, "schema_minor", ret_minor, e);
}

static int unit_meta(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db,
	    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value @i64 NOT NULL) @strict",
	    e);
}

/* One migration, or *ctx = true when there is none left. */
static int unit_migrate(void *ctx, struct store_db *db, struct err *e)
{
	bool *done = ctx;
	int major, minor;

	if (model_schema_version(db, &major, &minor, e) < 0)
		return -1;
	if (major > MODEL_SCHEMA_MAJOR) {
		err_set(e, ERR_SETTINGS,
		    "cannot use this database: its schema %d.%d is newer than this slipwayd's "
		    "%d.%d",
		    major, minor, MODEL_SCHEMA_MAJOR, MINOR_NOW);
		return err_hint(e, "install the newer version again, or restore the backup made "
				   "before the upgrade");
	}
	*done = minor >= MINOR_NOW;
	if (*done)
		return 0;
	if (store_script(db, migrations[minor], e) < 0 ||
	    meta_set(db, "schema_major", MODEL_SCHEMA_MAJOR, e) < 0)
		return err_prefix(e, "schema %d.%d", MODEL_SCHEMA_MAJOR, minor + 1);
	return meta_set(db, "schema_minor", minor + 1, e);
}

int model_migrate(struct store *s, struct err *e)
{
	bool done = false;

	if (store_write(s, unit_meta, NULL, e) < 0)
		return -1;
	while (!done)
		if (store_write(s, unit_migrate, &done, e) < 0)
			return -1;
	return 0;
}
