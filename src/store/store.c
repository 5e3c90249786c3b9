/* The writer thread with its queue and groups, and the pool of readers. */
#include "store/store.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/db.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define GROUP_DEFAULT 256u
#define QUEUE_DEFAULT 65536u
#define READERS_MAX 16u
#define EXIT_TEMPFAIL 75

struct unit {
	store_unit_fn *run;
	store_done_fn *done;
	void *ctx;
	int rc;
	struct err err;
	struct unit *next;
};

struct store {
	const struct store_driver *driver;
	struct store_base *base;
	struct store_db *writer;
	unsigned group_max;
	uint32_t queue_max;
	void (*full)(void *ctx);
	void *full_ctx;

	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t work, reader_back;
	struct unit *first, **last;
	uint32_t waiting;
	bool closing;
	struct store_db *free_readers;
	unsigned reader_count, readers_out;
	pthread_t thread;
};

/* Nothing of this group was acknowledged; the next start finds the last good commit. */
static void die(const char *what, const struct err *e)
{
	log_event(
	    LOG_ERROR, "store", what, F_ERR(e), F_C("action", "the process ends and starts again"));
	_exit(EXIT_TEMPFAIL);
}

static void check_alive(struct store *s, const struct err *e)
{
	if (s->driver->broken(s->writer->conn))
		die("store_io_error", e);
}

/* 0: the group goes on; -1: its transaction is gone. */
static int unit_run(struct store *s, struct unit *u)
{
	struct store_conn *c = s->writer->conn;
	struct err undo = {0};

	u->rc = s->driver->unit_begin(c, &u->err);
	if (u->rc == 0) {
		u->rc = u->run(u->ctx, s->writer, &u->err) < 0 ? -1 : 0;
		store_db_rest(s->writer);
		check_alive(s, &u->err);
		if (s->driver->lost(c))
			return -1;
		if (u->rc == 0)
			u->rc = s->driver->unit_keep(c, &u->err);
		if (u->rc < 0 && s->driver->unit_undo(c, &undo) < 0)
			die("store_undo_failed", &undo);
	}
	check_alive(s, &u->err);
	return s->driver->lost(c) ? -1 : 0;
}

static void group_fail(struct unit *first, const struct err *e)
{
	for (struct unit *u = first; u; u = u->next) {
		if (u->rc < 0 && u->err.code != ERR_NONE)
			continue;
		u->rc = -1;
		u->err = *e;
	}
}

static void group_run(struct store *s, struct unit *first)
{
	struct err e = {0};

	if (store_db_begin(s->writer, &e) < 0) {
		check_alive(s, &e);
		group_fail(first, &e);
		return;
	}
	for (struct unit *u = first; u; u = u->next) {
		counter_add(COUNTER_STORE_UNITS, 1);
		if (unit_run(s, u) == 0)
			continue;
		s->driver->rollback(s->writer->conn);
		e = u->err;
		if (e.code == ERR_NONE)
			err_set(&e, ERR_NO_SPACE, "could not write to the database: no space left");
		group_fail(first, &e);
		return;
	}
	if (s->driver->commit(s->writer->conn, &e) < 0) {
		if (e.code != ERR_NO_SPACE || s->driver->broken(s->writer->conn))
			die("store_commit_failed", &e);
		group_fail(first, &e);
		return;
	}
	counter_add(COUNTER_STORE_COMMITS, 1);
}

static void group_look(const struct store *s, const struct unit *first)
{
	const struct unit *u = first;

	while (u && (u->rc == 0 || u->err.code != ERR_NO_SPACE))
		u = u->next;
	if (u && s->full)
		s->full(s->full_ctx);
}

static void group_answer(struct unit *first)
{
	while (first) {
		struct unit *u = first;

		first = u->next;
		if (u->done)
			u->done(u->ctx, u->rc, &u->err);
		free(u);
	}
}

/* Takes at most group_max units off the queue; NULL once closing and empty. */
static struct unit *group_take(struct store *s)
{
	struct unit *first, **end;
	unsigned n = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->first && !s->closing)
		pthread_cond_wait(&s->work, &s->lock);
	first = s->first;
	for (end = &first; *end && n < s->group_max; n++)
		end = &(*end)->next;
	s->first = *end;
	if (!s->first)
		s->last = &s->first;
	*end = NULL;
	s->waiting -= n;
	pthread_mutex_unlock(&s->lock);
	return first;
}

static void *writer_main(void *arg)
{
	struct store *s = arg;
	struct unit *group;

	(void)pthread_setname_np(pthread_self(), "store-writer");
	while ((group = group_take(s))) {
		group_run(s, group);
		group_look(s, group);
		group_answer(group);
		s->driver->maintain(s->writer->conn);
		check_alive(
		    s, &(struct err){.code = ERR_IO, .msg = "could not checkpoint the database"});
	}
	return NULL;
}

static int connect_all(struct store *s, const struct store_options *o, struct err *e)
{
	if (s->driver->open(o, &s->base, e) < 0)
		return -1;
	s->writer = store_db_new(s->driver, s->base, true, e);
	if (!s->writer)
		return -1;
	for (; s->reader_count < o->readers; s->reader_count++) {
		struct store_db *db = store_db_new(s->driver, s->base, false, e);

		if (!db)
			return -1;
		db->next_free = s->free_readers;
		s->free_readers = db;
	}
	return 0;
}

static void store_drop(struct store *s)
{
	while (s->free_readers) {
		struct store_db *db = s->free_readers;

		s->free_readers = db->next_free;
		store_db_free(db);
	}
	store_db_free(s->writer);
	if (s->base)
		s->driver->close(s->base);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->reader_back);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void locks_init(struct store *s)
{
	pthread_condattr_t mono;

	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->reader_back, &mono);
	pthread_condattr_destroy(&mono);
}

static const struct store_driver *driver_of(const char *path)
{
	if (!path)
		return &store_memory;
	if (str_starts(str_c(path), STR("postgres://")) ||
	    str_starts(str_c(path), STR("postgresql://")))
		return &store_postgres;
	return &store_sqlite;
}

struct store *store_open(const struct store_options *o, struct err *e)
{
	struct store *s = mem_alloc(sizeof(*s));
	int rc;

	assert(o->readers >= 1 && o->readers <= READERS_MAX && o->group_max <= 1024);
	s->driver = driver_of(o->path);
	s->group_max = o->group_max ? o->group_max : GROUP_DEFAULT;
	s->queue_max = o->queue_max ? o->queue_max : QUEUE_DEFAULT;
	s->full = o->full;
	s->full_ctx = o->full_ctx;
	s->last = &s->first;
	locks_init(s);
	if (connect_all(s, o, e) < 0) {
		store_drop(s);
		return NULL;
	}
	rc = pthread_create(&s->thread, NULL, writer_main, s);
	if (rc != 0) {
		err_sys(e, ERR_UNAVAILABLE, rc, "could not start the store's writer thread");
		store_drop(s);
		return NULL;
	}
	return s;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	assert(s->readers_out == 0);
	s->closing = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	store_drop(s);
}

int store_submit(
    struct store *s, store_unit_fn *unit, store_done_fn *done, void *ctx, struct err *e)
{
	struct unit *u = mem_alloc(sizeof(*u));
	bool taken;

	*u = (struct unit){.run = unit, .done = done, .ctx = ctx};
	pthread_mutex_lock(&s->lock);
	taken = !s->closing && s->waiting < s->queue_max;
	if (taken) {
		*s->last = u;
		s->last = &u->next;
		s->waiting++;
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);
	if (taken)
		return 0;
	free(u);
	err_set(
	    e, ERR_UNAVAILABLE, "could not queue a write: %u are waiting already", s->queue_max);
	return err_hint(e, "try again in a moment");
}

struct waiter {
	store_unit_fn *run;
	void *ctx;
	struct err *err;
	int rc;
	bool finished;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static int waiter_run(void *ctx, struct store_db *db, struct err *e)
{
	struct waiter *w = ctx;

	return w->run(w->ctx, db, e);
}

static void waiter_done(void *ctx, int rc, const struct err *e)
{
	struct waiter *w = ctx;

	pthread_mutex_lock(&w->lock);
	w->rc = rc;
	if (rc < 0 && w->err)
		*w->err = *e;
	w->finished = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int store_write(struct store *s, store_unit_fn *unit, void *ctx, struct err *e)
{
	struct waiter w = {.run = unit, .ctx = ctx, .err = e};
	int rc;

	assert(!pthread_equal(pthread_self(), s->thread));
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	/* The writer may have answered before this returns: w.rc is its alone. */
	rc = store_submit(s, waiter_run, waiter_done, &w, e);
	if (rc == 0) {
		/* No deadline: the writer answers every unit it took, or the process ends. */
		pthread_mutex_lock(&w.lock);
		while (!w.finished)
			pthread_cond_wait(&w.cond, &w.lock);
		rc = w.rc;
		pthread_mutex_unlock(&w.lock);
	}
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return rc;
}

static struct store_db *reader_take(struct store *s, int64_t deadline_ms)
{
	struct timespec until = {
	    .tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
	struct store_db *db;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->free_readers && rc == 0)
		rc = deadline_ms == DEADLINE_NEVER
			 ? pthread_cond_wait(&s->reader_back, &s->lock)
			 : pthread_cond_timedwait(&s->reader_back, &s->lock, &until);
	db = s->free_readers;
	if (db) {
		s->free_readers = db->next_free;
		s->readers_out++;
	}
	pthread_mutex_unlock(&s->lock);
	return db;
}

static void reader_give(struct store *s, struct store_db *db)
{
	pthread_mutex_lock(&s->lock);
	db->next_free = s->free_readers;
	s->free_readers = db;
	s->readers_out--;
	pthread_cond_signal(&s->reader_back);
	pthread_mutex_unlock(&s->lock);
}

struct store_db *store_read_begin(struct store *s, int64_t deadline_ms, struct err *e)
{
	struct store_db *db = reader_take(s, deadline_ms);

	if (!db) {
		err_set(e, ERR_TIMEOUT,
		    "could not read: all %u connections to the database are busy", s->reader_count);
		err_hint(e, "try again in a moment");
		return NULL;
	}
	if (store_db_begin(db, e) < 0) {
		reader_give(s, db);
		return NULL;
	}
	return db;
}

void store_read_end(struct store *s, struct store_db *db)
{
	if (!db)
		return;
	store_db_rest(db);
	db->driver->rollback(db->conn);
	reader_give(s, db);
}
