/* What the tests of model/ share: a database in memory with the schema, and tests that run as one
 * unit on the writer's thread (so a failed CHECK returns instead of jumping). */
#pragma once

#include "base/arena.h"
#include "model/hook.h"
#include "model/operator.h"
#include "model/project.h"
#include "model/schema.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			return err_prefix(e, "%s:%d: %s", __FILE__, __LINE__, #x);                 \
	} while (0)
#define UNIT(name) static int name(struct store_db *db, struct arena *a, struct err *e)
typedef int fixture_unit(struct store_db *db, struct arena *a, struct err *e);

static inline int fixture_call(void *ctx, struct store_db *db, struct err *e)
{
	struct arena a;
	int rc;

	arena_init(&a, 4u << 20);
	err_set(e, ERR_FAILED, "check failed");
	rc = (*(fixture_unit **)ctx)(db, &a, e);
	arena_fini(&a);
	return rc;
}

static inline struct store *fixture_open(void)
{
	struct err e = {0};
	struct store *s = store_open(&(struct store_options){.readers = 1}, &e);

	if (!s || model_migrate(s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static inline void fixture_run(struct store *s, fixture_unit *u)
{
	struct err e = {0};

	if (store_write(s, fixture_call, &u, &e) < 0)
		fail_msg("%s", e.msg);
}

/* A whole test in one unit over a fresh database. */
#define TEST_OF(unit)                                                                              \
	static void test_##unit(void **state)                                                      \
	{                                                                                          \
		struct store *s = fixture_open();                                                  \
		(void)state;                                                                       \
		fixture_run(s, unit);                                                              \
		store_close(s);                                                                    \
	}

static inline int64_t fixture_project(struct store_db *db, const char *name, struct err *e)
{
	struct model_project p = {.name = str_c(name), .kind = STR("static"), .created_ms = 1};
	int64_t id;

	return model_project_add(db, &p, &id, e) < 0 ? -1 : id;
}

static inline int64_t fixture_hook(
    struct store_db *db, const char *name, int64_t project, struct err *e)
{
	struct model_hook h = {.name = str_c(name),
	    .project_id = project,
	    .sender = STR("github"),
	    .secret = STR("sealed\0bytes"),
	    .created_ms = 1};
	int64_t id;

	return model_hook_add(db, &h, &id, e) < 0 ? -1 : id;
}

static inline int64_t fixture_operator(
    struct store_db *db, const char *name, enum model_role role, struct err *e)
{
	struct model_operator o = {.name = str_c(name), .role = role, .created_ms = 1};
	int64_t id;

	return model_operator_add(db, &o, &id, e) < 0 ? -1 : id;
}
