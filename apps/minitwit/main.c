/* minitwit: wiring only. What is made from what, in which order, and how it ends. */
#include "minitwit/app.h"
#include "minitwit/settings.h"
#include "minitwit/version.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	POOL_THREADS = 4,
	READERS = 8,
	CACHE_KIB = 16384,
	MAP_BYTES = 1 << 30,
	DRAIN_MS = 10000,
	LOOK_MS = 20,
	FLUSH_MS = 100
};

struct program {
	struct app app;
	struct settings settings;
	struct http_server *server;
	int signals;
	struct loop_watch *signal_watch;
	struct loop_timer *flush_timer, *drain_timer;
	int64_t flushed_latest, drain_until_ms;
	struct write flush;
	bool flushing, ending;
};

/* --- `latest` into the store, a moment behind the board --- */

static int unit_latest(void *ctx, struct store_db *db, struct err *e)
{
	struct program *p = ctx;
	p->flushed_latest = board_latest(p->app.board);
	return data_latest_set(db, p->flushed_latest, e);
}

static void on_flushed(struct write *w)
{
	((struct program *)w->ctx)->flushing = false;
}

static void on_flush(void *ctx)
{
	struct program *p = ctx;
	if (!p->flushing && board_latest(p->app.board) != p->flushed_latest) {
		struct err e = {0};
		p->flush = (struct write){.unit = unit_latest, .done = on_flushed, .ctx = p};
		p->flushing = writes_submit(p->app.writes, &p->flush, &e) == 0;
	}
	loop_timer_at(p->flush_timer, clock_mono_ms() + FLUSH_MS);
}

/* --- ending --- */

static void on_drain_look(void *ctx)
{
	struct program *p = ctx;
	int64_t now = clock_mono_ms();
	if (now >= p->drain_until_ms || (http_server_connections(p->server) == 0 && !p->flushing)) {
		loop_timer_cancel(p->flush_timer);
		loop_stop(p->app.loop);
		return;
	}
	loop_timer_at(p->drain_timer, now + LOOK_MS);
}

/* SIGTERM: no new connections; those that are open get their answers. */
static void on_signal(void *ctx)
{
	struct program *p = ctx;
	struct signalfd_siginfo info;
	if (read(p->signals, &info, sizeof(info)) != sizeof(info) || p->ending)
		return;
	p->ending = true;
	log_event(LOG_INFO, "minitwit", "ending", F_I64("signal", info.ssi_signo),
	    F_I64("connections", http_server_connections(p->server)));
	p->drain_until_ms = clock_mono_ms() + DRAIN_MS;
	http_server_drain(p->server, p->drain_until_ms);
	loop_timer_at(p->drain_timer, clock_mono_ms());
}

static int signals_open(struct program *p, struct err *e)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not block signals");
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signals >= 0 ? 0 : err_sys(e, ERR_INTERNAL, errno, "could not watch for signals");
}

/* --- starting --- */

/* The board has `latest` unless it is new: then the store has it. */
static int latest_open(struct program *p, bool fresh, struct err *e)
{
	int64_t stored;
	struct store_db *db = store_read_begin(p->app.store, clock_mono_ms() + READ_WAIT_MS, e);
	if (!db)
		return -1;
	int rc = data_latest_get(db, &stored, e);
	store_read_end(p->app.store, db);
	if (rc == 0 && fresh)
		board_set_latest(p->app.board, stored);
	p->flushed_latest = stored;
	return rc;
}

static int data_open(struct program *p, struct err *e)
{
	struct app *a = &p->app;
	bool fresh;
	const struct store_options o = {.path = p->settings.database,
	    .shared = true,
	    .map_bytes = MAP_BYTES,
	    .cache_kib = CACHE_KIB,
	    .readers = READERS};
	if (!(a->store = store_open(&o, e)) || store_write(a->store, data_migrate, NULL, e) < 0 ||
	    store_write(a->store, data_key_unit, &a->key, e) < 0 ||
	    !(a->board = board_open(p->settings.board, &fresh, e)))
		return -1;
	a->reads_here = !p->settings.postgres;
	return latest_open(p, fresh, e);
}

static int listen_open(struct program *p, struct err *e)
{
	uint16_t port = p->settings.port;
	int fd = http_listen_passed();
	bool passed = fd >= 0;
	if (!passed)
		fd = http_listen_tcp(p->settings.address, port, 1024, &port, e);
	if (fd < 0 || http_server_listen(p->server, fd, e) < 0)
		return -1;
	log_event(LOG_INFO, "minitwit", "serving", F_C("socket", passed ? "passed" : "own"),
	    F_I64("port", passed ? 0 : port), F_C("version", MINITWIT_VERSION),
	    F_C("store", p->settings.postgres ? "postgresql" : "sqlite"));
	return 0;
}

static int parts_open(struct program *p, struct err *e)
{
	struct app *a = &p->app;
	if (settings_read(&p->settings, e) < 0 || signals_open(p, e) < 0)
		return -1;
	a->loop = loop_new(POOL_THREADS);
	if (data_open(p, e) < 0 || !(a->jobs = jobs_new(e)))
		return -1;
	a->pages = pages_new(a->board, (size_t)p->settings.kept_mb << 20);
	a->ring = ring_new(a->board);
	buf_init(&a->row, TIMELINE_ROW_MAX_BYTES);
	a->metrics = metrics_new();
	a->writes = writes_new(a->loop, a->store);
	size_t count;
	const struct http_route *routes = app_routes(&count);
	const struct http_server_options o = {.loop = a->loop,
	    .routes = routes,
	    .route_count = count,
	    .ctx = a,
	    .authorize = app_authorize,
	    .common_headers = "X-Content-Type-Options: nosniff\r\n"
			      "X-MiniTwit-Version: " MINITWIT_VERSION "\r\n"};
	if (!(p->server = http_server_new(&o, e)))
		return -1;
	p->signal_watch = loop_watch_new(a->loop, p->signals, on_signal, p);
	p->flush_timer = loop_timer_new(a->loop, on_flush, p);
	p->drain_timer = loop_timer_new(a->loop, on_drain_look, p);
	loop_timer_at(p->flush_timer, clock_mono_ms() + FLUSH_MS);
	return listen_open(p, e);
}

static int unit_last_latest(void *ctx, struct store_db *db, struct err *e)
{
	return data_latest_set(db, board_latest(((struct program *)ctx)->app.board), e);
}

/* After the loop: jobs may still write, the store ends what was queued. */
static void parts_close(struct program *p)
{
	struct app *a = &p->app;
	struct err e = {0};
	jobs_free(a->jobs);
	if (store_write(a->store, unit_last_latest, p, &e) < 0)
		log_event(LOG_ERROR, "minitwit", "latest_not_stored", F_ERR(&e));
	loop_watch_free(p->signal_watch);
	loop_timer_free(p->flush_timer);
	loop_timer_free(p->drain_timer);
	http_server_free(p->server);
	loop_run(a->loop); /* returns once the last answer and handle are gone */
	store_close(a->store);
	writes_free(a->writes);
	ring_free(a->ring);
	pages_free(a->pages);
	buf_fini(&a->row);
	metrics_free(a->metrics);
	board_close(a->board);
	loop_free(a->loop);
	close(p->signals);
}

int main(void)
{
	static struct program p;
	struct err e = {0};
	log_open(LOG_INFO, STDERR_FILENO);
	(void)mallopt(M_ARENA_MAX, 2);
	if (parts_open(&p, &e) < 0) {
		log_event(LOG_ERROR, "minitwit", "could_not_start", F_ERR(&e));
		return err_class_of(e.code)->exit_code;
	}
	loop_run(p.app.loop);
	parts_close(&p);
	return 0;
}
