/* rooms: base crypto text store model services */
/* Databases for projects, on a real PostgreSQL that is started here: made, repeated, taken away; whose they are; what
 * another's role may not; and that no value becomes more than a value. */
#include "services/services.h"

#include "postgres_server.h"
#include "services/postgres.h"
#include "services/sql.h"
#include "store/pq.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct postgres_server pg;
static const struct pq *pq;
static char maker[256]; /* the role that makes others: no superuser */

static uint16_t free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* --- asking the server by ourselves --- */

static PGconn *open_url(const char *url, const char *user, const char *password, const char *db)
{
	const char *const keys[] = {"dbname", "user", "password", "dbname", NULL};
	const char *const values[] = {url, user, password, db, NULL};
	return pq->PQconnectdbParams(keys, values, 1);
}

/* The first value of what the superuser asks in that database; "" when there is none. */
static const char *ask_in(const char *db, const char *sql)
{
	static char said[8][256];
	static unsigned at;
	char url[256];
	snprintf(url, sizeof(url), "postgresql:///%s?host=%s&user=postgres&port=%u", db, pg.dir,
	    pg.port);
	PGconn *c = open_url(url, NULL, NULL, NULL);
	assert_int_equal(pq->PQstatus(c), CONNECTION_OK);
	PGresult *r = pq->PQexec(c, sql);
	ExecStatusType st = pq->PQresultStatus(r);
	if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, pq->PQerrorMessage(c));
	char *to = said[at++ % 8];
	snprintf(to, 256, "%s", pq->PQntuples(r) > 0 ? pq->PQgetvalue(r, 0, 0) : "");
	pq->PQclear(r);
	pq->PQfinish(c);
	return to;
}

static const char *ask(const char *sql)
{
	return ask_in("postgres", sql);
}

/* As the project comes in: over TCP, with a password. NULL: it got in; else why not. */
static const char *refused(const char *role, const char *password, const char *db)
{
	static char why[512];
	char url[128];
	snprintf(url, sizeof(url), "postgresql://127.0.0.1:%u/%s", pg.port, db);
	PGconn *c = open_url(url, role, password, NULL);
	bool in = pq->PQstatus(c) == CONNECTION_OK;
	snprintf(why, sizeof(why), "%s", pq->PQerrorMessage(c));
	pq->PQfinish(c);
	return in ? NULL : why;
}

static const char *as_role(const char *role, const char *password, const char *db, const char *sql)
{
	static char said[256];
	char url[128];
	snprintf(url, sizeof(url), "postgresql://127.0.0.1:%u/%s", pg.port, db);
	PGconn *c = open_url(url, role, password, NULL);
	assert_int_equal(pq->PQstatus(c), CONNECTION_OK);
	PGresult *r = pq->PQexec(c, sql);
	snprintf(said, sizeof(said), "%s",
	    pq->PQresultStatus(r) <= PGRES_TUPLES_OK ? "" : pq->PQerrorMessage(c));
	pq->PQclear(r);
	pq->PQfinish(c);
	return said;
}

static int open_server(void **state)
{
	struct err e;
	(void)state;
	if (!(pq = pq_load(&e)) || postgres_open_at(&pg, free_port()) != 1)
		return -1;
	snprintf(maker, sizeof(maker), "postgresql:///postgres?host=%s&user=slipway&port=%u",
	    pg.dir, pg.port);
	(void)ask("CREATE ROLE slipway LOGIN CREATEROLE CREATEDB");
	return 0;
}

static int close_server(void **state)
{
	(void)state;
	postgres_close(&pg);
	return 0;
}

static const struct services_owner shop = {"sw-shop_db", {"mark-1", 6}, {"word1", 5}};
static const struct services_owner other = {"sw-other_db", {"mark-2", 6}, {"word2", 5}};

static struct services_place make(const struct services_owner *o)
{
	struct services_place p;
	struct err e;
	const struct postgres_maker s = {maker, 7};
	if (postgres_make(&s, o, &p, &e) != 0)
		fail_msg("%s", e.msg);
	return p;
}

static void drop(const struct services_owner *o)
{
	struct err e;
	const struct postgres_maker s = {maker, 7};
	if (postgres_drop(&s, o, &e) != 0)
		fail_msg("%s", e.msg);
}

static enum err_code refuses(const struct services_owner *o, bool drops)
{
	struct services_place p;
	struct err e;
	const struct postgres_maker s = {maker, 7};
	int rc = drops ? postgres_drop(&s, o, &e) : postgres_make(&s, o, &p, &e);
	return rc == 0 ? ERR_NONE : e.code;
}

/* --- tests --- */

static void test_made_once(void **state)
{
	(void)state;
	struct services_place p = make(&shop);
	assert_true(p.fresh);
	assert_string_equal(p.host, "127.0.0.1");
	assert_int_equal(p.port, pg.port);
	assert_string_equal(
	    as_role("sw-shop_db", "word1", "sw-shop_db", "CREATE TABLE t(x int)"), "");
	p = make(&shop);
	assert_false(p.fresh);
	assert_string_equal(ask_in("sw-shop_db", "SELECT count(*) FROM t"), "0");
	assert_string_equal(
	    ask("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'sw-shop_db'"), "7");
	assert_string_equal(
	    ask("SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication FROM "
		"pg_roles WHERE rolname = 'sw-shop_db'"),
	    "f");
	assert_string_equal(ask("SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE "
				"rolname = 'sw-shop_db'"),
	    "t");
	/* It may change its own password; the next deploy has ours hold again. */
	assert_string_equal(as_role("sw-shop_db", "word1", "sw-shop_db",
				"ALTER ROLE \"sw-shop_db\" PASSWORD 'mine'"),
	    "");
	assert_non_null(refused("sw-shop_db", "word1", "sw-shop_db"));
	(void)make(&shop);
	assert_null(refused("sw-shop_db", "word1", "sw-shop_db"));
	assert_non_null(refused("sw-shop_db", "mine", "sw-shop_db"));
	drop(&shop);
}

static void test_nobody_else_comes_in(void **state)
{
	(void)state;
	(void)make(&shop);
	(void)make(&other);
	assert_null(refused("sw-other_db", "word2", "sw-other_db"));
	const char *why = refused("sw-other_db", "word2", "sw-shop_db");
	assert_non_null(why);
	assert_non_null(strstr(why, "permission denied for database"));
	assert_non_null(refused("sw-other_db", "word1", "sw-shop_db"));
	assert_non_null(
	    strstr(as_role("sw-other_db", "word2", "sw-other_db", "DROP DATABASE \"sw-shop_db\""),
		"must be owner"));
	assert_non_null(strstr(
	    as_role("sw-other_db", "word2", "sw-other_db", "SET ROLE \"sw-shop_db\""), "denied"));
	drop(&shop);
	drop(&other);
}

/* Each point at which it may have been ended is one that the next call goes on from. */
static void test_goes_on(void **state)
{
	(void)state;
	(void)make(&shop);
	(void)ask("DROP DATABASE \"sw-shop_db\"");
	assert_true(make(&shop).fresh);
	(void)ask("ALTER DATABASE \"sw-shop_db\" ALLOW_CONNECTIONS false");
	(void)ask("GRANT CONNECT ON DATABASE \"sw-shop_db\" TO PUBLIC");
	assert_false(make(&shop).fresh);
	(void)make(&other);
	assert_non_null(refused("sw-other_db", "word2", "sw-shop_db"));
	(void)ask("DROP DATABASE \"sw-shop_db\"");
	drop(&shop);
	drop(&shop); /* nothing there is success */
	drop(&other);
	assert_string_equal(ask("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'sw-%'"), "0");
	assert_string_equal(ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'sw-%'"), "0");
}

static void test_not_ours(void **state)
{
	(void)state;
	(void)ask("CREATE ROLE \"sw-shop_db\" LOGIN PASSWORD 'theirs'");
	assert_int_equal(refuses(&shop, false), ERR_CONFLICT);
	assert_int_equal(refuses(&shop, true), ERR_CONFLICT);
	assert_null(refused("sw-shop_db", "theirs", "postgres"));
	(void)ask("COMMENT ON ROLE \"sw-shop_db\" IS 'slipway mark-9'"); /* of another platform */
	assert_int_equal(refuses(&shop, false), ERR_CONFLICT);
	(void)ask("DROP ROLE \"sw-shop_db\"");
	(void)ask("CREATE DATABASE \"sw-shop_db\"");
	assert_int_equal(refuses(&shop, false), ERR_CONFLICT);
	assert_int_equal(refuses(&shop, true), ERR_CONFLICT);
	(void)ask("DROP DATABASE \"sw-shop_db\"");
	drop(&shop);
}

/* What a project leaves elsewhere, and who is connected, holds nobody up. */
static void test_drop_takes_all(void **state)
{
	char url[128];
	(void)state;
	(void)make(&shop);
	assert_string_equal(as_role("sw-shop_db", "word1", "postgres", "SELECT lo_create(0)"), "");
	snprintf(url, sizeof(url), "postgresql://127.0.0.1:%u/sw-shop_db", pg.port);
	PGconn *c = open_url(url, "sw-shop_db", "word1", NULL);
	assert_int_equal(pq->PQstatus(c), CONNECTION_OK);
	drop(&shop);
	pq->PQfinish(c);
	assert_string_equal(ask("SELECT count(*) FROM pg_largeobject_metadata"), "0");
	assert_non_null(refused("sw-shop_db", "word1", "sw-shop_db"));
}

static void test_connections_end(void **state)
{
	PGconn *c[8];
	char url[128];
	(void)state;
	(void)make(&shop);
	snprintf(url, sizeof(url), "postgresql://127.0.0.1:%u/sw-shop_db", pg.port);
	for (int i = 0; i < 7; i++) {
		c[i] = open_url(url, "sw-shop_db", "word1", NULL);
		assert_int_equal(pq->PQstatus(c[i]), CONNECTION_OK);
	}
	assert_non_null(
	    strstr(refused("sw-shop_db", "word1", "sw-shop_db"), "too many connections"));
	for (int i = 0; i < 7; i++)
		pq->PQfinish(c[i]);
	drop(&shop);
}

static void test_cannot_reach(void **state)
{
	struct services_place p;
	struct err e;
	const struct postgres_maker nowhere = {
	    "postgresql:///postgres?host=/tmp/no-such-folder", 7};
	char weak[256];
	(void)state;
	assert_int_equal(postgres_make(&nowhere, &shop, &p, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.hint, "createuser --createdb --createrole slipway"));
	(void)ask("CREATE ROLE weak LOGIN");
	snprintf(weak, sizeof(weak), "postgresql:///postgres?host=%s&user=weak&port=%u", pg.dir,
	    pg.port);
	const struct postgres_maker w = {weak, 7};
	assert_int_equal(postgres_make(&w, &shop, &p, &e), -1);
	assert_int_equal(e.code, ERR_SETTINGS);
	assert_non_null(strstr(e.hint, "createrole"));
}

/* What serves, what lies beside it; as one word. */
static const char *lies(void)
{
	return ask("SELECT coalesce(string_agg(substr(datname, 11) || ':' || datallowconn::int, ' ' "
		   "ORDER BY datname), '-') FROM pg_database WHERE datname LIKE 'sw-shop_db%'");
}

static void told(const char *text)
{
	char sql[128];
	snprintf(sql, sizeof(sql), "CREATE TABLE told AS SELECT '%s'::text AS word", text);
	assert_string_equal(as_role("sw-shop_db", "word1", "sw-shop_db", sql), "");
}

static const char *word(const char *db)
{
	return ask_in(db, "SELECT word FROM told");
}

/* A restore, with each act once more, as after a crash behind it; and each way back. */
static void test_bringing_back(void **state)
{
	struct err e;
	const struct postgres_maker s = {maker, 7};
	(void)state;
	(void)make(&shop);
	told("before");
	assert_int_equal(postgres_swap(&s, &shop, &e), 0); /* nothing beside: nothing to do */
	assert_int_equal(postgres_back(&s, &shop, &e), 0);
	assert_string_equal(word("sw-shop_db"), "before");
	for (int i = 0; i < 2; i++)
		assert_int_equal(postgres_fresh(&s, &shop, &e), 0);
	assert_string_equal(lies(), ":1 _new:1");
	assert_non_null(refused("sw-shop_db", "wrong", "sw-shop_db_new"));
	assert_string_equal(as_role("sw-shop_db", "word1", "sw-shop_db_new",
				"CREATE TABLE told AS SELECT 'after'::text AS word"),
	    "");
	char url[128];
	snprintf(url, sizeof(url), "postgresql://127.0.0.1:%u/sw-shop_db", pg.port);
	PGconn *c = open_url(url, "sw-shop_db", "word1", NULL); /* who is connected goes */
	assert_int_equal(pq->PQstatus(c), CONNECTION_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(postgres_swap(&s, &shop, &e), 0);
	pq->PQfinish(c);
	assert_string_equal(lies(), ":1 _old:1");
	assert_string_equal(word("sw-shop_db"), "after");
	assert_string_equal(word("sw-shop_db_old"), "before");
	(void)make(&other); /* what was swapped in is closed to others, too */
	assert_non_null(refused("sw-other_db", "word2", "sw-shop_db"));
	assert_non_null(refused("sw-other_db", "word2", "sw-shop_db_old"));
	drop(&other);
	for (int i = 0; i < 2; i++)
		assert_int_equal(postgres_back(&s, &shop, &e), 0);
	assert_string_equal(lies(), ":1");
	assert_string_equal(word("sw-shop_db"), "before");
	assert_int_equal(postgres_fresh(&s, &shop, &e), 0);
	assert_int_equal(postgres_settle(&s, &shop, true, &e), 0);
	assert_string_equal(lies(), ":1");
	assert_int_equal(postgres_fresh(&s, &shop, &e), 0);
	assert_int_equal(postgres_swap(&s, &shop, &e), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(postgres_settle(&s, &shop, false, &e), 0);
	assert_string_equal(lies(), ":1");
	drop(&shop);
}

/* Ended between the two renames of a swap, closed on the way, or with what an earlier restore left. */
static void test_a_swap_cut_short(void **state)
{
	struct err e;
	const struct postgres_maker s = {maker, 7};
	(void)state;
	(void)make(&shop);
	told("before");
	assert_int_equal(postgres_fresh(&s, &shop, &e), 0);
	(void)ask("ALTER DATABASE \"sw-shop_db\" ALLOW_CONNECTIONS false");
	(void)ask("ALTER DATABASE \"sw-shop_db\" RENAME TO \"sw-shop_db_old\"");
	assert_int_equal(postgres_back(&s, &shop, &e), 0);
	assert_string_equal(lies(), ":1");
	assert_int_equal(postgres_fresh(&s, &shop, &e), 0);
	(void)ask("ALTER DATABASE \"sw-shop_db\" RENAME TO \"sw-shop_db_old\"");
	assert_int_equal(postgres_swap(&s, &shop, &e), 0);
	assert_string_equal(lies(), ":1 _old:1");
	(void)ask("DROP DATABASE \"sw-shop_db\"");
	assert_false(make(&shop).fresh); /* a deploy finds what lies beside */
	assert_string_equal(word("sw-shop_db"), "before");
	assert_int_equal(postgres_fresh(&s, &shop, &e), 0);
	assert_int_equal(postgres_swap(&s, &shop, &e), 0);
	assert_int_equal(postgres_fresh(&s, &shop, &e), 0); /* of another restore: the old one is stale */
	assert_string_equal(lies(), ":1 _new:1");
	drop(&shop);
	assert_string_equal(lies(), "-");
}

static const char *const hostile[] = {"a\"b", "\"", "\"\"; DROP ROLE slipway; --", "'",
    "''; SELECT 1; --", "\\", "\\'", "\\\\' OR 1=1 --", "a'b\"c\\d", "$1", "$$x$$", "%", "%%", "'%",
    "--", "/*", "*/", ";", "\n", "a\nb", "\t\x01\x7f", "\xc3\xbc", "E'x'", "U&\"\\0041\"",
    "x\" SUPERUSER \"y", "x' VALID UNTIL 'infinity", "pg_catalog", "PUBLIC", "CURRENT_USER"};

/* Behind the validator: what it lets through no more is still one value, for the server itself. */
static void test_values_stay_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		struct str h = str_c(hostile[i]);
		struct err e;
		struct buf b;
		buf_init(&b, 4096);
		assert_int_equal(
		    sql_write(&b, "SELECT '% AS %", (const struct str[]){h, h, STR_NONE}, &e), 0);
		PGconn *c = open_url(pg.url, NULL, NULL, NULL);
		for (int strings = 0; strings < 2; strings++) {
			pq->PQclear(
			    pq->PQexec(c, strings ? "SET standard_conforming_strings = off"
						  : "SET standard_conforming_strings = on"));
			PGresult *r = pq->PQexec(c, b.p);
			assert_int_equal(pq->PQresultStatus(r), PGRES_TUPLES_OK);
			assert_int_equal(pq->PQntuples(r), 1);
			assert_string_equal(pq->PQgetvalue(r, 0, 0), hostile[i]);
			pq->PQclear(r);
		}
		buf_clear(&b);
		assert_int_equal(sql_write(&b, "CREATE ROLE %; COMMENT ON ROLE % IS '%",
				     (const struct str[]){h, h, h, STR_NONE}, &e),
		    0);
		bool reserved = strcmp(hostile[i], "pg_catalog") == 0;
		PGresult *r = pq->PQexec(c, b.p);
		assert_int_equal(pq->PQresultStatus(r) == PGRES_COMMAND_OK, !reserved);
		pq->PQclear(r);
		const char *const v[] = {hostile[i]};
		r = pq->PQexecParams(c,
		    "SELECT rolsuper FROM pg_roles WHERE rolname = $1 AND shobj_description(oid, "
		    "'pg_authid') = $1",
		    1, NULL, v, NULL, NULL, 0);
		assert_int_equal(pq->PQntuples(r), !reserved);
		if (!reserved)
			assert_string_equal(pq->PQgetvalue(r, 0, 0), "f");
		pq->PQclear(r);
		buf_clear(&b);
		assert_int_equal(
		    sql_write(&b, "DROP ROLE %", (const struct str[]){h, STR_NONE}, &e), 0);
		pq->PQclear(pq->PQexec(c, b.p));
		pq->PQfinish(c);
		buf_fini(&b);
	}
	assert_string_equal(ask("SELECT count(*) FROM pg_roles WHERE rolname = 'slipway'"), "1");
}

static void test_no_values(void **state)
{
	static const char nul[] = "a\0b";
	char longer[65];
	struct err e;
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	memset(longer, 'x', sizeof(longer));
	assert_int_equal(sql_name(&b, STR(""), &e), -1);
	assert_int_equal(sql_name(&b, (struct str){nul, 3}, &e), -1);
	assert_int_equal(sql_text(&b, (struct str){nul, 3}, &e), -1);
	assert_int_equal(sql_name(&b, (struct str){longer, 64}, &e), -1);
	assert_int_equal(sql_name(&b, (struct str){longer, 63}, &e), 0);
	buf_fini(&b);
}

/* Names come from projects and services alone, are judged again, and never meet. */
static void test_names(void **state)
{
	char a[SERVICES_NAME_SIZE], b[SERVICES_NAME_SIZE];
	(void)state;
	services_name(STR("a-b"), STR("c"), a);
	services_name(STR("a"), STR("bc"), b);
	assert_string_equal(a, "sw-a-b_c");
	assert_string_not_equal(a, b);
	services_name(STR("abcdefghijklmnopqrstuvwxyz012"), STR("abcdefghijklmnop"), a);
	assert_true(strlen(a) <= SQL_NAME_MAX);
	struct services *s =
	    services_new(&(struct services_options){.postgres = maker, .connections = 7});
	const struct model_service v = {.name = STR("db\""), .mark = STR("m")};
	const struct model_service w = {.name = STR("db"), .mark = STR("m")};
	struct services_place p;
	struct err e;
	assert_int_equal(services_do(s, SERVICES_MAKE, STR("shop"), &v, &p, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(services_do(s, SERVICES_MAKE, STR("shop\"; --"), &w, &p, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(services_do(s, SERVICES_DROP, STR("sh op"), &w, &p, &e), -1);
	services_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_made_once),
	    cmocka_unit_test(test_nobody_else_comes_in), cmocka_unit_test(test_goes_on),
	    cmocka_unit_test(test_not_ours), cmocka_unit_test(test_drop_takes_all),
	    cmocka_unit_test(test_connections_end), cmocka_unit_test(test_cannot_reach),
	    cmocka_unit_test(test_bringing_back), cmocka_unit_test(test_a_swap_cut_short),
	    cmocka_unit_test(test_values_stay_values), cmocka_unit_test(test_no_values),
	    cmocka_unit_test(test_names)};
	return cmocka_run_group_tests(tests, open_server, close_server);
}
