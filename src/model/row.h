/* Between rows and structs; for this room only. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

/* The condition under which a viewer sees what belongs to the project table.column (NULL: to the
 * platform). To be bound with row_bind_viewer. The table is asked for by itself because a bare
 * project_id would mean the grant's own, and any grant would open every project. */
#define ROW_SEES(table, column)                                                                    \
	"($everything = 1 OR EXISTS (SELECT 1 FROM operator seer LEFT JOIN grant_role seen"        \
	" ON seen.operator_id = seer.id AND seen.project_id = " table "." column                   \
	" WHERE seer.id = $viewer AND seer.disabled = 0"                                           \
	" AND (seer.role >= $least OR seen.role >= $least)))"
void row_bind_viewer(struct store_stmt *q, struct model_viewer v);
/* The projects that a viewer sees by grants alone: for a list over all projects, where walking the
 * newest rows of everybody until one fits would take long. Beside ROW_SEES, never instead of it. */
#define ROW_GRANTED                                                                                \
	"(SELECT project_id FROM grant_role WHERE operator_id = $viewer AND role >= $least)"
/* Whether the viewer needs no grant. */
int row_sees_all(struct store_db *db, struct model_viewer v, bool *ret, struct err *e) WARN_UNUSED;

/* One row being read. Text is copied into the arena; a full arena is remembered and told once, by
 * row_get and row_list. */
struct row {
	struct store_stmt *q;
	struct arena *a;
	bool full;
};
int64_t row_i64(struct row *r, int col); /* NULL gives 0 */
bool row_bool(struct row *r, int col);
struct str row_str(struct row *r, int col);	 /* NULL gives an empty one */
struct str row_str_null(struct row *r, int col); /* NULL gives STR_NONE */
/* The place of a text in a list of names; the database holds no other (CHECK). */
int row_enum(struct row *r, int col, const char *const *names, size_t count);

typedef void row_fill_fn(struct row *r, void *ret);
/* The one row that a statement gives: 1/0/-1. Resets it. */
int row_get(
    struct store_stmt *q, struct arena *a, row_fill_fn *fill, void *ret, struct err *e) WARN_UNUSED;
/* All rows, at most `limit` (0: any number) of `size` bytes each; *ret_more (may be NULL) when
 * there was one more. Statements with a limit ask for one more than it: see row_bind_page. */
struct row_list {
	void *v;
	size_t n;
	bool more;
};
int row_list(struct store_stmt *q, struct arena *a, size_t size, uint32_t limit, row_fill_fn *fill,
    struct row_list *ret, struct err *e) WARN_UNUSED;
/* Into one of the {v, n} structs of the headers. */
#define ROW_LIST_INTO(ret, l)                                                                      \
	do {                                                                                       \
		(ret)->v = (l).v;                                                                  \
		(ret)->n = (l).n;                                                                  \
	} while (0)
uint32_t row_limit(uint32_t asked); /* 1..MODEL_PAGE_MAX */
/* $after (INT64_MAX for the first page, as lists go down) and $limit. */
void row_bind_page(struct store_stmt *q, struct model_page p);

/* The first column of the only row: 1/0/-1. Resets. */
int row_number(struct store_stmt *q, int64_t *ret, struct err *e) WARN_UNUSED;
/* Runs a statement without rows: 1 when it changed any, 0 when none, -1. */
int row_change(struct store_db *db, struct store_stmt *q, struct err *e) WARN_UNUSED;
/* NULL binds as an empty text. */
void row_bind_text(struct store_stmt *q, const char *name, struct str v);

int row_parse(struct str s, const char *const *names, size_t count, const char *what, int *ret,
    struct err *e) WARN_UNUSED;
