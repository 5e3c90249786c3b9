/* slipwayd: wiring only. Who is made from what, in which order, and in which order it all ends.
 *
 * Start, as root where tenants are to be real: folders and lock, the loop, the keeper (which stays
 * root), then the daemon drops to its own user for good and opens store, queue, engine, hooks and
 * API. */
#include "api/api.h"
#include "backup/shelf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "daemon/keeper.h"
#include "daemon/layout.h"
#include "daemon/room.h"
#include "daemon/settings.h"
#include "daemon/system.h"
#include "deploy/own.h"
#include "deploy/renewal.h"
#include "deploy/tidy.h"
#include "deploy/uploads.h"
#include "edge/acme.h"
#include "github/catchup.h"
#include "github/ranges.h"
#include "hooks/advance.h"
#include "hooks/classic.h"
#include "model/schema.h"
#include "queue/schedule.h"
#include "services/services.h"
#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
	POOL_THREADS = 4,
	READERS = 5,
	DRAIN_MS = 5000,
	LOST_MS = 1000,
	IDLE_MS = 20
};

/* The same that the edge says of its own answers there (render/main.c). */
static const char common_headers[] =
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "X-XSS-Protection: 1; mode=block\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n"
    "Cache-Control: no-store\r\n";

struct daemon {
	struct settings settings;
	struct layout layout;
	struct api_context api; /* the parts, as handlers see them */
	struct edge *edge;
	struct outbound *outbound;
	struct acme *acme;
	struct renewal *renewal;
	struct tidy *tidy;
	struct trail *trail;
	char acme_dir[SETTINGS_PATH_MAX + 8], acme_webroot[SETTINGS_PATH_MAX + 8];
	struct schedule *schedule;
	char outbound_program[SETTINGS_PATH_MAX + 32], url[128];
	char edge_log[SETTINGS_PATH_MAX + 64];
	struct http_route *routes;
	struct http_server *server, *edge_server, *metrics_server;
	int signals;
	struct loop_watch *signal_watch;
	struct loop_timer *last_exit, *idle, *alive;
	int64_t alive_ms; /* 0: nobody wants to hear of it */
	int passed[SYSTEM_SOCKET_COUNT]; /* until a server has them */
	bool ending, keeper_lost;
};

static void on_status(void *ctx, const struct priv_status *s)
{
	struct daemon *d = ctx;
	if (d->api.deploy)
		deploy_on_status(d->api.deploy, s);
}

static void on_line(void *ctx, const struct priv_status *s, struct str line)
{
	struct daemon *d = ctx;
	if (d->api.deploy)
		deploy_on_line(d->api.deploy, s, line);
}

static void on_operation(void *ctx, const struct run_operation *o, const struct err *why)
{
	const struct daemon *d = ctx;
	keeper_note(d->api.access, d->trail, o, why);
}

/* No task takes another step, nobody new is heard, and who is connected holds us no longer than
 * this.
 */
static void wind_down(struct daemon *d, int64_t drain_ms)
{
	deploy_quiesce(d->api.deploy);
	api_end_sessions();
	http_server_drain(d->server, clock_mono_ms() + drain_ms);
	if (d->edge_server)
		http_server_drain(d->edge_server, clock_mono_ms() + drain_ms);
}

static void on_keeper_lost(void *ctx, const struct err *e)
{
	struct daemon *d = ctx;
	if (d->ending)
		return;
	log_event(LOG_ERROR, "daemon", "keeper_lost", F_ERR(e));
	d->keeper_lost = true;
	if (d->server) /* nothing is served yet while we start */
		wind_down(d, LOST_MS);
	loop_stop(d->api.loop);
}

static void on_task_cancel(void *ctx, int64_t task_id)
{
	deploy_cancel(((struct daemon *)ctx)->api.deploy, task_id);
}

static void on_task_run(
    void *ctx, const struct model_task *t, struct queue_lease lease, bool recovered)
{
	deploy_run(((struct daemon *)ctx)->api.deploy, t, lease, recovered);
}

static void on_task_changed(void *ctx, int64_t task_id)
{
	api_task_changed(&((struct daemon *)ctx)->api, task_id);
}

static int on_advance(
    void *ctx, struct store_db *db, int64_t now_ms, bool *more, bool *told, struct err *e)
{
	return advance_unit(((struct daemon *)ctx)->api.intake, db, now_ms, more, told, e);
}

static void on_told(void *ctx)
{
	notify_kick(((struct daemon *)ctx)->api.notify);
}

static int event_with_body(void *ctx, struct store_db *db, int64_t id, struct arena *a,
    struct model_event *ev, struct str *body, struct err *e)
{
	return advance_body(((struct daemon *)ctx)->api.intake, db, id, a, ev, body, e);
}

static int event_body(
    void *ctx, struct store_db *db, int64_t id, struct arena *a, struct str *body, struct err *e)
{
	struct model_event ev;
	return event_with_body(ctx, db, id, a, &ev, body, e);
}

static void on_hook(struct http_call *c, struct http_request *r, void *ctx)
{
	hooks_receive(((struct api_context *)ctx)->hooks, c, r);
}

#define CLASSIC(name)                                                                              \
	static void on_##name(struct http_call *c, struct http_request *r, void *ctx)              \
	{                                                                                          \
		classic_##name(((struct api_context *)ctx)->hooks, c, r);                          \
	}
CLASSIC(deployer)
CLASSIC(webops)
CLASSIC(deployer_other)
CLASSIC(webops_other)
CLASSIC(webops_test)
CLASSIC(service)

static void on_forgotten(void *ctx, int64_t project_id)
{
	hooks_forget(((struct daemon *)ctx)->api.hooks, project_id);
}

static const struct access_row hook_row = {.need = ACCESS_SIGNED, .scope = ACCESS_GLOBAL};
#define HOOK_ROUTE(at, fn) SIGNED_ROUTE(HTTP_POST, at, fn)
#define SIGNED_ROUTE(with, at, fn)                                                                 \
	{                                                                                          \
		.method = (with), .pattern = (at), .access = &hook_row, .handler = (fn),           \
		.where = HTTP_ON_LOOP, .body_max = LIMIT_HOOK_BODY_BYTES                           \
	}
#define OTHERS(at, fn)                                                                             \
	SIGNED_ROUTE(HTTP_GET, at, fn), SIGNED_ROUTE(HTTP_PUT, at, fn),                            \
	    SIGNED_ROUTE(HTTP_PATCH, at, fn), SIGNED_ROUTE(HTTP_DELETE, at, fn)
static const struct http_route hook_routes[] = {HOOK_ROUTE("/hooks/{hook}", on_hook),
    HOOK_ROUTE("/github-webhook", on_deployer), HOOK_ROUTE("/webhooks/{secret}/", on_webops),
    SIGNED_ROUTE(HTTP_GET, "/webhooks/{secret}/test/", on_webops_test),
    OTHERS("/github-webhook", on_deployer_other), OTHERS("/webhooks/{secret}/", on_webops_other),
    HOOK_ROUTE("/webhook", on_service), HOOK_ROUTE("/webhook/particle", on_service)};
#define HOOK_ROUTES (sizeof(hook_routes) / sizeof(*hook_routes))

static void on_turned_away(void *ctx, const struct http_route *route, const struct err *e)
{
	(void)ctx;
	if (route->access == &hook_row)
		hooks_turned_away(route, e);
}

static int keeper_open(struct daemon *d, struct err *e)
{
	struct run_options o = {.loop = d->api.loop,
	    .on_status = on_status,
	    .on_line = on_line,
	    .on_operation = on_operation,
	    .on_lost = on_keeper_lost,
	    .ctx = d};
	d->api.run = keeper_start(&d->settings, &d->layout, &o, e);
	return d->api.run ? 0 : -1;
}

/* At the first start: the first operator, whose token lies in a file that only root and the daemon
 * read. */
static int first_owner(struct daemon *d, struct err *e)
{
	char token[ACCESS_TOKEN_SIZE];
	int made = access_first_owner(d->api.store, token, e);
	if (made <= 0)
		return made;
	CLEANUP_FD int state = open(d->settings.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n = strlen(token);
	token[n] = '\n';
	int rc = fs_write_atomic(state, "owner.token", token, n + 1, 0600, e);
	explicit_bzero(token, sizeof(token));
	if (rc == 0)
		log_event(LOG_INFO, "daemon", "first_owner", F_C("token_file", "owner.token"));
	return rc;
}

static int store_parts_open(struct daemon *d, struct err *e)
{
	struct api_context *a = &d->api;
	const struct store_options o = {
	    .path = d->layout.store, .readers = READERS, .full = room_give, .full_ctx = &d->layout};
	if (!(a->seal = seal_key_load(d->layout.keys, "seal.key", e)) ||
	    !(a->store = store_open(&o, e)) || model_migrate(a->store, e) != 0 ||
	    !(a->access = access_open(a->store, e)) || first_owner(d, e) < 0)
		return -1;
	d->trail = trail_open(a->store, a->loop);
	a->feed = feed_new(a->loop);
	a->logs = logs_open(d->layout.logs, a->feed, e);
	snprintf(d->edge_log, sizeof(d->edge_log), "%s/log/access.log", d->layout.edge);
	a->requests = requests_open(a->loop, d->edge_log);
	return a->logs ? 0 : -1;
}

static int notify_open(struct daemon *d, struct err *e)
{
	const struct outbound_options oo = {.loop = d->api.loop,
	    .program = d->outbound_program,
	    .allow = d->settings.outbound_allow,
	    .ca_file = d->settings.outbound_ca};
	snprintf(d->outbound_program, sizeof(d->outbound_program), "%s/slipway-outbound",
	    d->settings.libexec);
	if (!(d->outbound = outbound_new(&oo, e)))
		return -1;
	d->api.outbound = d->outbound;
	const struct notify_options no = {.loop = d->api.loop,
	    .store = d->api.store,
	    .outbound = d->outbound,
	    .seal = d->api.seal,
	    .schedule = &d->settings.retries,
	    .body = event_body,
	    .ctx = d};
	d->api.notify = notify_new(&no);
	const struct catchup_options co = {.loop = d->api.loop,
	    .store = d->api.store,
	    .outbound = d->outbound,
	    .seal = d->api.seal,
	    .public_url = d->api.public_url};
	d->api.catchup = catchup_new(&co);
	const struct ranges_options ro = {.loop = d->api.loop,
	    .store = d->api.store,
	    .outbound = d->outbound,
	    .api = d->settings.github_api};
	d->api.ranges = ranges_open(&ro, e);
	return d->api.ranges ? 0 : -1;
}

static int acme_open(struct daemon *d, struct err *e)
{
	const struct settings *s = &d->settings;
	const struct acme_options o = {.loop = d->api.loop,
	    .certbot = s->certbot,
	    .dir = d->acme_dir,
	    .webroot = d->acme_webroot,
	    .server = s->acme,
	    .staging_server = s->acme_staging,
	    .mail = s->acme_mail,
	    .ca_file = s->acme_ca,
	    .dns_hook = s->dns_hook};
	(void)snprintf(d->acme_dir, sizeof(d->acme_dir), "%s/acme", s->state);
	/* the helper's nginx serves it; no project can be called so */
	(void)snprintf(d->acme_webroot, sizeof(d->acme_webroot), "%s/.acme", s->run);
	d->acme = acme_new(&o, e);
	if (!d->acme)
		return -1;
	const struct own_options oo = {.loop = d->api.loop,
	    .store = d->api.store,
	    .notify = d->api.notify,
	    .edge = d->edge,
	    .acme = d->acme,
	    .outbound = d->outbound,
	    .seal = d->api.seal,
	    .host = s->host,
	    .https = s->https_port > 0,
	    .wildcard = s->dns_hook != NULL,
	    .acme_http_port = s->acme_http_port};
	d->api.own = own_new(&oo);
	return 0;
}

static void services_open(struct daemon *d)
{
	const struct services_options o = {.seal = d->api.seal,
	    .postgres = d->settings.postgres,
	    .connections = d->settings.postgres_connections,
	    .rabbitmq = d->settings.rabbitmq,
	    .rabbitmq_ca = d->settings.rabbitmq_ca,
	    .keys = d->layout.keys,
	    .rabbitmq_connections = d->settings.rabbitmq_connections,
	    .rabbitmq_queues = d->settings.rabbitmq_queues};
	d->api.services = services_new(&o);
}

static int engine_open(struct daemon *d, struct err *e)
{
	struct api_context *a = &d->api;
	const struct edge_options eo = {.run = a->run,
	    .loop = a->loop,
	    .projects_dir = d->layout.projects,
	    .run_dir = d->settings.run};
	d->edge = edge_new(&eo);
	services_open(d);
	if (notify_open(d, e) != 0 || acme_open(d, e) != 0)
		return -1;
	const struct deploy_options o = {.loop = a->loop,
	    .store = a->store,
	    .run = a->run,
	    .edge = d->edge,
	    .feed = a->feed,
	    .logs = a->logs,
	    .requests = a->requests,
	    .seal = a->seal,
	    .projects_dir = d->layout.projects,
	    .run_dir = d->settings.run,
	    .spool_dir = d->layout.spool,
	    .backups_dir = d->layout.backups,
	    .edge_port = d->settings.edge_port,
	    .edge_https_port = d->settings.https_port,
	    .edge_scheme = "http",
	    .notify = a->notify,
	    .services = a->services,
	    .acme = d->acme,
	    .outbound = d->outbound,
	    .acme_http_port = d->settings.acme_http_port,
	    .host = d->settings.host,
	    .names_below = d->settings.dns_hook ? d->settings.host : NULL,
	    .public_url = a->public_url,
	    .allow_private_sources = true,
	    .forgotten = on_forgotten,
	    .body = event_with_body,
	    .ctx = d};
	a->deploy = deploy_new(&o);
	uint64_t incarnation;
	rand_bytes(&incarnation, sizeof(incarnation));
	const struct queue_options qo = {.store = a->store,
	    .loop = a->loop,
	    .parallel_max = d->settings.parallel,
	    .incarnation = incarnation,
	    .run = on_task_run,
	    .cancel = on_task_cancel,
	    .changed = on_task_changed,
	    .advance = on_advance,
	    .told = on_told,
	    .ctx = d};
	if (!(a->queue = queue_open(&qo, e)))
		return -1;
	deploy_bind_queue(a->deploy, a->queue);
	const struct intake_options io = {
	    .store = a->store, .queue = a->queue, .loop = a->loop, .journal = d->layout.journal};
	if (!(a->intake = intake_open(&io, e)))
		return -1;
	const struct hooks_options ho = {
	    .loop = a->loop, .store = a->store, .intake = a->intake, .seal = a->seal, .github = a->ranges};
	if (!(a->hooks = hooks_open(&ho, e)))
		return -1;
	const struct schedule_options so = {.store = a->store, .loop = a->loop, .queue = a->queue};
	d->schedule = schedule_open(&so, e);
	return d->schedule ? 0 : -1;
}

/* What systemd passed: its owner and mode are the socket unit's. */
static int listen_passed(
    struct daemon *d, struct http_server *s, enum system_socket which, struct err *e)
{
	int fd = d->passed[which];
	d->passed[which] = -1;
	return http_server_listen(s, fd, e);
}

static int listen_tcp(struct daemon *d, struct err *e)
{
	uint16_t port;
	if (d->passed[SYSTEM_SOCKET_HTTP] >= 0)
		return listen_passed(d, d->server, SYSTEM_SOCKET_HTTP, e);
	int fd = http_listen_tcp(d->settings.http_address, d->settings.http_port, 1024, &port, e);
	if (fd < 0)
		return err_hint(
		    e, "something listens there already; choose another with --http ADDRESS:PORT");
	return http_server_listen(d->server, fd, e);
}

static int listen_unix(
    struct http_server *s, const char *path, mode_t mode, gid_t group, struct err *e)
{
	int fd = http_listen_unix(path, mode, e);
	if (fd < 0)
		return -1;
	if (chown(path, (uid_t)-1, group) != 0)
		return err_sys(
		    e, ERR_SETTINGS, errno, "could not give '%s' to the web server's group", path);
	return http_server_listen(s, fd, e);
}

/* For a Prometheus beside us: no token, and nothing else there. */
static int metrics_open(struct daemon *d, struct err *e)
{
	size_t n;
	uint16_t port;
	if (!d->settings.metrics_address[0])
		return 0;
	struct http_server_options o = {.loop = d->api.loop,
	    .routes = api_metrics_routes(&n),
	    .ctx = &d->api,
	    .authorize = api_authorize,
	    .spool_dir = d->layout.spool,
	    .common_headers = common_headers};
	o.route_count = n;
	if (!(d->metrics_server = http_server_new(&o, e)))
		return -1;
	int fd =
	    http_listen_tcp(d->settings.metrics_address, d->settings.metrics_port, 64, &port, e);
	if (fd < 0 && !d->settings.metrics_said) {
		log_event(LOG_WARN, "daemon", "no_metrics", F_ERR(e));
		return 0;
	}
	if (fd < 0)
		return err_hint(e, "something listens there already; choose another with --metrics "
				   "ADDRESS:PORT");
	return http_server_listen(d->metrics_server, fd, e);
}

/* Two servers over one table: who comes through the edge's socket is never known by the user on its
 * other end. */
static int servers_open(struct daemon *d, struct err *e)
{
	size_t n;
	const struct http_route *api = api_routes(&n);
	d->routes = mem_array(n + HOOK_ROUTES, sizeof(*d->routes));
	memcpy(d->routes, api, n * sizeof(*api));
	memcpy(d->routes + n, hook_routes, sizeof(hook_routes));
	struct http_server_options o = {.loop = d->api.loop,
	    .routes = d->routes,
	    .route_count = n + HOOK_ROUTES,
	    .on_refused = on_turned_away,
	    .ctx = &d->api,
	    .authorize = api_authorize,
	    .spool_dir = d->layout.spool,
	    .common_headers = common_headers};
	if (!(d->server = http_server_new(&o, e)))
		return -1;
	o.behind_proxy = true;
	if (!(d->edge_server = http_server_new(&o, e)))
		return -1;
	if ((d->passed[SYSTEM_SOCKET_EDGE_API] >= 0
		    ? listen_passed(d, d->edge_server, SYSTEM_SOCKET_EDGE_API, e)
		    : listen_unix(d->edge_server, d->layout.edge_api_socket, 0660,
			  d->layout.web_gid, e)) != 0 ||
	    listen_tcp(d, e) != 0 || metrics_open(d, e) != 0)
		return -1;
	/* last: who finds it finds all */
	return d->passed[SYSTEM_SOCKET_API] >= 0
		   ? listen_passed(d, d->server, SYSTEM_SOCKET_API, e)
		   : listen_unix(d->server, d->layout.api_socket, 0666, (gid_t)-1, e);
}

static void end_now(void *ctx)
{
	loop_stop(((struct daemon *)ctx)->api.loop);
}

static void on_shutdown(void *ctx, uint64_t value, const struct err *e)
{
	(void)value;
	(void)e; /* a keeper that has gone already is as good */
	end_now(ctx);
}

/* Nobody is connected any more, or the last deadline is past: that one has a timer of its own. */
static void on_idle(void *ctx)
{
	struct daemon *d = ctx;
	if (http_server_connections(d->server) + http_server_connections(d->edge_server) == 0)
		end_now(d);
	else
		loop_timer_at(d->idle, clock_mono_ms() + IDLE_MS);
}

/* The first signal ends projects and keeper, then us; the second, or ten seconds, us alone. A
 * service of systemd ends by itself: what it looks after goes on, and the next one finds it. */
static void on_signal(void *ctx)
{
	struct daemon *d = ctx;
	struct signalfd_siginfo info;
	if (read(d->signals, &info, sizeof(info)) != sizeof(info))
		return;
	log_event(LOG_INFO, "daemon", "ending", F_I64("signal", info.ssi_signo));
	if (d->ending) {
		end_now(d);
		return;
	}
	d->ending = true;
	system_notify("STOPPING=1");
	wind_down(d, DRAIN_MS);
	d->last_exit = loop_timer_new(d->api.loop, end_now, d);
	loop_timer_at(d->last_exit, clock_mono_ms() + 2 * DRAIN_MS);
	if (d->settings.system) {
		d->idle = loop_timer_new(d->api.loop, on_idle, d);
		loop_timer_at(d->idle, clock_mono_ms());
		return;
	}
	const struct priv_request q = {.op = PRIV_SHUTDOWN};
	run_request(d->api.run, &q, NULL, 0, on_shutdown, d);
}

/* For as long as the loop turns. */
static void on_alive(void *ctx)
{
	struct daemon *d = ctx;
	system_notify("WATCHDOG=1");
	loop_timer_at(d->alive, clock_mono_ms() + d->alive_ms);
}

static void on_reconciled(void *ctx)
{
	struct daemon *d = ctx;
	const struct renewal_options ro = {.loop = d->api.loop,
	    .store = d->api.store,
	    .queue = d->api.queue,
	    .notify = d->api.notify};
	const struct tidy_options to = {.loop = d->api.loop,
	    .backups_dir = d->layout.backups,
	    .spool_dir = d->layout.spool,
	    .reserve = d->layout.reserve};
	d->tidy = tidy_open(&to);
	queue_kick(d->api.queue);
	d->renewal = renewal_open(&ro);
	own_begin(d->api.own, d->api.queue);
	catchup_begin(d->api.catchup);
	ranges_begin(d->api.ranges);
	log_event(LOG_INFO, "daemon", "ready", F_I64("ms", clock_wall_ms() - d->api.started_ms));
}

static void on_edge(void *ctx, uint64_t value, const struct err *e)
{
	(void)value;
	struct daemon *d = ctx;
	if (e)
		log_event(LOG_ERROR, "daemon", "edge_unavailable", F_ERR(e));
	deploy_reconcile(d->api.deploy, on_reconciled, d);
}

static int daemon_open(struct daemon *d, struct err *e)
{
	if ((d->signals = system_signals(e)) < 0 || layout_make(&d->settings, &d->layout, e) != 0)
		return -1;
	room_give_to_start(&d->layout);
	d->api.loop = loop_new(POOL_THREADS);
	d->api.spool_dir = d->layout.spool;
	d->api.backups_dir = d->layout.backups;
	d->api.edge_scheme = "http";
	d->api.edge_port = d->settings.edge_port;
	d->api.edge_https_port = d->settings.https_port;
	d->api.edge_localhost = true;
	d->api.host = d->settings.host;
	d->api.names_below = d->settings.dns_hook != NULL;
	size_t removed, left;
	if (keeper_open(d, e) != 0 || layout_drop(&d->layout, &d->settings, e) != 0 ||
	    shelf_tidy(d->layout.backups, clock_wall_ms(), true, &removed, e) != 0 ||
	    uploads_tidy(d->layout.spool, clock_wall_ms(), true, 0, &removed, &left, e) != 0 ||
	    store_parts_open(d, e) != 0 || engine_open(d, e) != 0)
		return -1;
	d->signal_watch = loop_watch_new(d->api.loop, d->signals, on_signal, d);
	if (servers_open(d, e) != 0)
		return -1;
	const struct priv_request q = {.op = PRIV_EDGE_CHECK};
	run_request(d->api.run, &q, NULL, 0, on_edge, d);
	return 0;
}

/* In the reverse order of making, except that the store answers what it has taken while whoever
 * asked is still there. */
static void daemon_close(struct daemon *d)
{
	loop_timer_free(d->last_exit);
	loop_timer_free(d->idle);
	loop_timer_free(d->alive);
	loop_watch_free(d->signal_watch);
	http_server_free(d->server);
	http_server_free(d->edge_server);
	http_server_free(d->metrics_server);
	schedule_close(d->schedule);
	renewal_close(d->renewal);
	tidy_close(d->tidy);
	intake_close(d->api.intake);
	trail_close(d->trail);
	d->trail = NULL;
	store_close(d->api.store);
	(void)reserve_make(d->layout.reserve); /* the next start may need it */
	own_close(d->api.own);
	hooks_close(d->api.hooks);
	queue_close(d->api.queue);
	deploy_free(d->api.deploy);
	acme_free(d->acme);
	edge_free(d->edge);
	notify_free(d->api.notify);
	catchup_free(d->api.catchup);
	ranges_free(d->api.ranges);
	outbound_free(d->outbound);
	requests_close(d->api.requests);
	logs_close(d->api.logs);
	feed_free(d->api.feed);
	access_close(d->api.access);
	run_close(d->api.run);
	loop_run(d->api.loop); /* closing callbacks */
	loop_free(d->api.loop);
	services_free(d->api.services);
	free(d->routes);
}

int main(int argc, char **argv)
{
	static struct daemon d = {.signals = -1};
	struct err e;
	log_open(LOG_INFO, STDERR_FILENO);
	system_sockets_take(d.passed);
	d.alive_ms = system_watchdog_ms();
	int go = settings_parse(argc, argv, &d.settings, &e);
	if (go == 0)
		return 0;
	log_open(d.settings.log_level, STDERR_FILENO);
	/* An arena of its own for each thread of the pool would keep what a few large answers
	 * needed. */
	(void)mallopt(M_ARENA_MAX, 2);
	d.api.started_ms = clock_wall_ms();
	snprintf(
	    d.url, sizeof(d.url), "http://%s:%u", d.settings.http_address, d.settings.http_port);
	d.api.github_api = d.settings.github_api;
	d.api.public_url = d.settings.public_url[0] ? d.settings.public_url : d.url;
	if (go < 0 || daemon_open(&d, &e) != 0) {
		fprintf(stderr, "slipwayd: %s\n", e.msg);
		if (e.code == ERR_NO_SPACE)
			room_tell(&d.settings, &d.layout);
		else if (e.hint[0])
			fprintf(stderr, "  %s\n", e.hint);
		return err_class_of(e.code)->exit_code;
	}
	system_notify("READY=1");
	if (d.alive_ms > 0) {
		d.alive = loop_timer_new(d.api.loop, on_alive, &d);
		on_alive(&d);
	}
	log_event(LOG_INFO, "daemon", "listening", F_C("api", d.url),
	    F_C("socket", d.layout.api_socket), F_I64("edge_port", d.settings.edge_port),
	    F_C("tenants", run_is_root(d.api.run) ? "real" : "one user for all"));
	loop_run(d.api.loop);
	daemon_close(&d);
	return d.keeper_lost ? 75 : 0;
}
