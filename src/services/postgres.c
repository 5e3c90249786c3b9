#include "services/postgres.h"

#include "base/num.h"
#include "services/sql.h"
#include "store/pq.h"

#include <stdio.h>
#include <string.h>

#define STATEMENT_MAX 4096u
#define MARK_SIZE 96
#define ADVICE                                                                                     \
	"as the administrator: sudo -u postgres createuser --createdb --createrole slipway; "      \
	"see slipwayd(8), --postgres"

struct link {
	const struct pq *pq;
	PGconn *pg;
};
#define CLEANUP_LINK __attribute__((cleanup(link_close)))

static void link_close(struct link *l)
{
	if (l->pg)
		l->pq->PQfinish(l->pg);
	l->pg = NULL;
}

static void ignore_notice(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

/* --- statements --- */

static bool is_right(const char *state)
{
	return state && (strncmp(state, "28", 2) == 0 || strcmp(state, "42501") == 0);
}

static int fail(struct link *l, const PGresult *r, const char *what, struct err *e)
{
	const char *state = r ? l->pq->PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL,
		   *text = r ? l->pq->PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	if (!text || !state) {
		text = l->pq->PQerrorMessage(l->pg);
		return err_set(e, ERR_UNAVAILABLE, "PostgreSQL could not %s: %.*s", what,
		    (int)strcspn(text, "\n"), text);
	}
	(void)err_set(e, is_right(state) ? ERR_SETTINGS : ERR_FAILED,
	    "PostgreSQL cannot %s: %.300s", what, text);
	return err_hint(e, "%s", is_right(state) ? ADVICE : "PostgreSQL's own log says more");
}

static bool went_well(const struct link *l, const PGresult *r)
{
	ExecStatusType s = l->pq->PQresultStatus(r);
	return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK;
}

/* `form` as sql_write has it. */
static int run(
    struct link *l, const char *what, struct err *e, const char *form, const struct str *v)
{
	struct buf text;
	buf_init(&text, STATEMENT_MAX);
	int rc = sql_write(&text, form, v, e);
	if (rc == 0) {
		PGresult *r = l->pq->PQexec(l->pg, text.p);
		rc = went_well(l, r) ? 0 : fail(l, r, what, e);
		l->pq->PQclear(r);
	}
	buf_wipe(&text);
	return rc;
}

#define RUN(l, what, e, form, ...)                                                                 \
	run(l, what, e, form, (const struct str[]){__VA_ARGS__, STR_NONE})

/* The one column of the one row that a question with parameters gives: 1, 0: no row, -1. NULL is empty. */
static int ask(struct link *l, const char *sql, const char *const *v, int count, char *ret,
    size_t size, struct err *e)
{
	PGresult *r = l->pq->PQexecParams(l->pg, sql, count, NULL, v, NULL, NULL, 0);
	int rc = went_well(l, r) ? l->pq->PQntuples(r) > 0 : fail(l, r, "answer", e);
	if (rc == 1)
		(void)snprintf(ret, size, "%s", l->pq->PQgetvalue(r, 0, 0));
	l->pq->PQclear(r);
	return rc;
}

/* --- connecting --- */

static int connect_to(
    struct link *l, const char *const *keys, const char *const *values, int expand, struct err *e)
{
	static const char *const always[] = {"SET client_min_messages = warning",
	    "SET statement_timeout = '30s'", "SET lock_timeout = '10s'"};
	l->pq = pq_load(e);
	if (!l->pq)
		return -1;
	l->pg = l->pq->PQconnectdbParams(keys, values, expand);
	if (l->pq->PQstatus(l->pg) != CONNECTION_OK) {
		const char *text = l->pq->PQerrorMessage(l->pg);
		return err_set(e, ERR_UNAVAILABLE, "could not connect to PostgreSQL: %.*s",
		    (int)strcspn(text, "\n"), text);
	}
	(void)l->pq->PQsetNoticeProcessor(l->pg, ignore_notice, NULL);
	for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
		if (run(l, "be set up", e, always[i], &STR_NONE) != 0)
			return -1;
	return 0;
}

static int connect_as_maker(struct link *l, const struct postgres_maker *s, struct err *e)
{
	const char *const keys[] = {"dbname", "client_encoding", "fallback_application_name",
	    "connect_timeout", "tcp_user_timeout", NULL};
	const char *const values[] = {s->url, "UTF8", "slipway", "5", "30000", NULL};
	if (connect_to(l, keys, values, 1, e) == 0)
		return 0;
	if (e->code == ERR_UNAVAILABLE)
		(void)err_hint(e, "does it run, and does it know us? %s", ADVICE);
	return -1;
}

/* By the way and with the password that the project has. */
static int connect_as_owner(
    const struct services_owner *o, const struct services_place *p, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	char port[8], password[128];
	if (!str_copy(o->password, password, sizeof(password)))
		return err_set(e, ERR_INTERNAL, "the password is malformed");
	(void)snprintf(port, sizeof(port), "%u", p->port);
	const char *const keys[] = {"host", "port", "user", "password", "dbname", "connect_timeout",
	    "fallback_application_name", NULL};
	const char *const values[] = {
	    p->host, port, o->name, password, o->name, "5", "slipway", NULL};
	int rc = connect_to(&l, keys, values, 0, e);
	explicit_bzero(password, sizeof(password));
	if (rc == 0)
		return 0;
	(void)err_prefix(e, "the database is there, but the project cannot reach it");
	return err_hint(e,
	    "projects come over TCP with a password: does it listen at %s:%s, and does "
	    "pg_hba.conf have 'host all all %s/32 scram-sha-256'?",
	    p->host, port, p->host);
}

/* The host that we reach it by; beside us it is reached by the loopback address, since projects see no socket. */
static int place_of(const struct link *l, struct services_place *ret, struct err *e)
{
	const char *host = l->pq->PQhost(l->pg), *port = l->pq->PQport(l->pg);
	int64_t n;
	bool beside = !host || !host[0] || host[0] == '/' || host[0] == '@';
	(void)snprintf(ret->host, sizeof(ret->host), "%s", beside ? "127.0.0.1" : host);
	if (!port || !num_i64(str_c(port), 1, UINT16_MAX, &n))
		return err_set(e, ERR_SETTINGS, "PostgreSQL's port cannot be told");
	ret->port = (uint16_t)n;
	return 0;
}

/* --- the role --- */

static void mark_of(const struct services_owner *o, char out[MARK_SIZE])
{
	(void)snprintf(out, MARK_SIZE, "slipway %.*s", STR_ARG(o->mark));
}

/* 1: it is there and ours; 0: it is not there. */
static int role_look(struct link *l, const struct services_owner *o, struct err *e)
{
	char want[MARK_SIZE], has[MARK_SIZE];
	const char *const v[] = {o->name};
	mark_of(o, want);
	int rc = ask(l,
	    "SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles"
	    " WHERE rolname = $1",
	    v, 1, has, sizeof(has), e);
	if (rc <= 0 || strcmp(want, has) == 0)
		return rc;
	(void)err_set(
	    e, ERR_CONFLICT, "PostgreSQL has a role '%s' that is not this project's", o->name);
	return err_hint(e,
	    "another platform's, or a person's: drop or rename it, or choose another "
	    "name for the service");
}

static int role_make(struct link *l, const struct services_owner *o, struct str verifier,
    const char *limit, struct err *e)
{
	char form[160], mark[MARK_SIZE];
	struct str name = str_c(o->name);
	mark_of(o, mark);
	(void)snprintf(form, sizeof(form),
	    "CREATE ROLE %% LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT %s "
	    "PASSWORD '%%",
	    limit);
	if (RUN(l, "begin", e, "BEGIN", STR_NONE) != 0)
		return -1;
	/* Its maker is a member, so that it may make databases which belong to the role. */
	if (RUN(l, "make the project's role", e, form, name, verifier) == 0 &&
	    RUN(l, "mark the role", e, "COMMENT ON ROLE % IS '%", name, str_c(mark)) == 0 &&
	    RUN(l, "join the role", e, "GRANT % TO CURRENT_USER", name) == 0)
		return RUN(l, "commit", e, "COMMIT", STR_NONE);
	(void)RUN(l, "undo", NULL, "ROLLBACK", STR_NONE);
	return -1;
}

static int role_ensure(
    struct link *l, const struct postgres_maker *s, const struct services_owner *o, struct err *e)
{
	char limit[16], form[96], password[128];
	int there = role_look(l, o, e);
	if (there < 0)
		return -1;
	if (!str_copy(o->password, password, sizeof(password)))
		return err_set(e, ERR_INTERNAL, "the password is malformed");
	char *verifier = l->pq->PQencryptPasswordConn(l->pg, password, o->name, "scram-sha-256");
	explicit_bzero(password, sizeof(password));
	if (!verifier)
		return fail(l, NULL, "take a password", e);
	(void)snprintf(limit, sizeof(limit), "%u", s->connections);
	(void)snprintf(
	    form, sizeof(form), "ALTER ROLE %% LOGIN CONNECTION LIMIT %s PASSWORD '%%", limit);
	int rc =
	    there ? RUN(l, "set the project's password", e, form, str_c(o->name), str_c(verifier))
		  : role_make(l, o, str_c(verifier), limit, e);
	l->pq->PQfreemem(verifier);
	return rc;
}

/* --- the database --- */

/* 1: it is there, the role's; *ret_closed: it takes no connections yet. 0: it is not there. */
static int database_look(struct link *l, const struct services_owner *o, const char *name,
    bool *ret_closed, struct err *e)
{
	char says[8];
	const char *const v[] = {name, o->name};
	int rc = ask(l,
	    "SELECT CASE WHEN pg_catalog.pg_get_userbyid(datdba) <> $2 THEN 'other'"
	    " WHEN datallowconn THEN 'open' ELSE 'closed' END"
	    " FROM pg_catalog.pg_database WHERE datname = $1",
	    v, 2, says, sizeof(says), e);
	*ret_closed = rc == 1 && strcmp(says, "closed") == 0;
	if (rc <= 0 || strcmp(says, "other") != 0)
		return rc;
	return err_set(
	    e, ERR_CONFLICT, "PostgreSQL has a database '%s' that is not this project's", name);
}

/* Nobody but its owner comes in: what everybody may is taken away before it opens. */
static int database_open(struct link *l, struct str name, struct err *e)
{
	return RUN(l, "close the database to others", e, "REVOKE ALL ON DATABASE % FROM PUBLIC",
		   name) != 0
		   ? -1
		   : RUN(l, "open the database", e, "ALTER DATABASE % ALLOW_CONNECTIONS true",
			 name);
}

static int database_make(
    struct link *l, const struct services_owner *o, struct str name, struct err *e)
{
	if (RUN(l, "make the database", e,
		"CREATE DATABASE % OWNER % TEMPLATE template0 ENCODING 'UTF8' "
		"ALLOW_CONNECTIONS false",
		name, str_c(o->name)) != 0)
		return -1;
	return database_open(l, name, e);
}

static int database_drop(
    struct link *l, const struct services_owner *o, const char *name, struct err *e)
{
	bool closed;
	int there = database_look(l, o, name, &closed, e);
	return there <= 0
		   ? there
		   : RUN(l, "drop the database", e, "DROP DATABASE % WITH (FORCE)", str_c(name));
}

/* The project is thrown out; the server waits for it to go, and ends what it does there by itself. */
static int database_rename(
    struct link *l, const struct services_owner *o, const char *from, const char *to, struct err *e)
{
	char gone[16];
	const char *const v[] = {from, o->name};
	if (RUN(l, "close the database", e, "ALTER DATABASE % ALLOW_CONNECTIONS false",
		str_c(from)) != 0 ||
	    ask(l,
		"SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM "
		"pg_catalog.pg_stat_activity WHERE datname = $1 AND usename = $2",
		v, 2, gone, sizeof(gone), e) < 0 ||
	    RUN(l, "rename the database", e, "ALTER DATABASE % RENAME TO %", str_c(from),
		str_c(to)) != 0)
		return -1;
	return database_open(l, str_c(to), e);
}

struct beside {
	char fresh[POSTGRES_NAME_SIZE + 4], old[POSTGRES_NAME_SIZE + 4];
	int has, has_fresh, has_old; /* the database itself; those beside it */
};

static int look_all(
    struct link *l, const struct services_owner *o, struct beside *ret, struct err *e)
{
	bool closed;
	(void)snprintf(ret->fresh, sizeof(ret->fresh), "%s_new", o->name);
	(void)snprintf(ret->old, sizeof(ret->old), "%s_old", o->name);
	ret->has = database_look(l, o, o->name, &closed, e);
	ret->has_fresh = ret->has < 0 ? -1 : database_look(l, o, ret->fresh, &closed, e);
	ret->has_old = ret->has_fresh < 0 ? -1 : database_look(l, o, ret->old, &closed, e);
	return ret->has_old < 0 ? -1 : 0;
}

/* A swap that was cut short left it beside. */
static int database_ensure(
    struct link *l, const struct services_owner *o, bool *ret_fresh, struct err *e)
{
	struct beside b;
	bool closed;
	int there = database_look(l, o, o->name, &closed, e);
	*ret_fresh = false;
	if (there < 0 || look_all(l, o, &b, e) != 0)
		return -1;
	if (there == 1)
		return closed ? database_open(l, str_c(o->name), e) : 0;
	if (b.has_old)
		return database_rename(l, o, b.old, o->name, e);
	*ret_fresh = true;
	return database_make(l, o, str_c(o->name), e);
}

/* --- the whole --- */

int postgres_make(const struct postgres_maker *s, const struct services_owner *o,
    struct services_place *ret, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	*ret = (struct services_place){0};
	if (connect_as_maker(&l, s, e) != 0 || place_of(&l, ret, e) != 0 ||
	    role_ensure(&l, s, o, e) != 0 || database_ensure(&l, o, &ret->fresh, e) != 0)
		return -1;
	return connect_as_owner(o, ret, e);
}

static int role_drop(struct link *l, const struct services_owner *o, struct err *e)
{
	struct str name = str_c(o->name);
	/* What it may have left where everybody may connect (large objects in "postgres", say). */
	return RUN(l, "take away what the role owns", e, "DROP OWNED BY %", name) != 0
		   ? -1
		   : RUN(l, "drop the role", e, "DROP ROLE %", name);
}

/* Connected, and the role is ours: 1; there is no such role: 0. */
static int reach(struct link *l, const struct postgres_maker *s, const struct services_owner *o,
    struct beside *ret, struct err *e)
{
	if (connect_as_maker(l, s, e) != 0)
		return -1;
	int role = role_look(l, o, e);
	return role <= 0 ? role : look_all(l, o, ret, e) != 0 ? -1 : 1;
}

int postgres_drop(const struct postgres_maker *s, const struct services_owner *o, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	struct beside b;
	int role = reach(&l, s, o, &b, e);
	if (role <= 0)
		return role;
	if (database_drop(&l, o, b.fresh, e) != 0 || database_drop(&l, o, b.old, e) != 0 ||
	    database_drop(&l, o, o->name, e) != 0)
		return -1;
	return role_drop(&l, o, e);
}

/* --- bringing back --- */

int postgres_fresh(const struct postgres_maker *s, const struct services_owner *o, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	struct beside b;
	int role = reach(&l, s, o, &b, e);
	if (role <= 0)
		return role < 0 ? -1 : err_set(e, ERR_NOT_FOUND, "the project's role is gone");
	if (database_drop(&l, o, b.fresh, e) != 0 || (b.has && database_drop(&l, o, b.old, e) != 0))
		return -1;
	return database_make(&l, o, str_c(b.fresh), e);
}

int postgres_swap(const struct postgres_maker *s, const struct services_owner *o, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	struct beside b;
	int role = reach(&l, s, o, &b, e);
	if (role <= 0 || !b.has_fresh)
		return role < 0 ? -1 : 0;
	if (b.has && database_rename(&l, o, o->name, b.old, e) != 0)
		return -1;
	return database_rename(&l, o, b.fresh, o->name, e);
}

int postgres_back(const struct postgres_maker *s, const struct services_owner *o, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	struct beside b;
	int role = reach(&l, s, o, &b, e);
	if (role <= 0)
		return role;
	if (b.has_old && ((b.has && database_drop(&l, o, o->name, e) != 0) ||
			     database_rename(&l, o, b.old, o->name, e) != 0))
		return -1;
	return database_drop(&l, o, b.fresh, e);
}

int postgres_settle(
    const struct postgres_maker *s, const struct services_owner *o, bool keep_old, struct err *e)
{
	struct link l CLEANUP_LINK = {0};
	struct beside b;
	int role = reach(&l, s, o, &b, e);
	if (role <= 0)
		return role;
	if (database_drop(&l, o, b.fresh, e) != 0)
		return -1;
	return keep_old || !b.has ? 0 : database_drop(&l, o, b.old, e);
}
