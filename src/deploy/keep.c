/* backup, and what destroy keeps: settings from the store, files packed by a job as the tenant, then sealed on a
 * pool thread and put on the shelf. */
#include "deploy/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rand.h"

#define REPORT_MAX 4096u
#define JOB_MEMORY_BYTES (512ull << 20)
#define JOB_TASKS 32u
#define KEY_TEXT_MAX 512u
#define BUSY_MS 100

/* --- life --- */

struct keep *keep_of(struct work *w)
{
	if (w->keep)
		return w->keep;
	struct keep *k = mem_alloc(sizeof(*k));
	*k = (struct keep){.w = w, .files = -1, .file = {.dir = -1, .fd = -1}};
	buf_init(&k->settings, BACKUP_SETTINGS_MAX);
	buf_init(&k->header, BACKUP_HEADER_MAX);
	buf_init(&k->sealed, KEY_TEXT_MAX);
	buf_init(&k->wrapped, KEY_TEXT_MAX);
	return w->keep = k;
}

void keep_stop(struct keep *k)
{
	if (k)
		atomic_store(&k->stop, true);
}

void keep_free(struct keep *k)
{
	if (!k)
		return;
	shelf_drop(&k->file);
	fs_close_fd(&k->files);
	buf_wipe(&k->settings);
	buf_fini(&k->header);
	buf_fini(&k->sealed);
	buf_fini(&k->wrapped);
	mem_free_ptr(&k);
}

void keep_abort(struct work *w)
{
	struct keep *k = w->keep;
	keep_stop(k);
	job_abort(w);
	if (k && k->waits) {
		k->waits = false;
		work_fail(w, NULL);
	}
}

/* --- on a pool thread --- */

static void on_pool(void *ctx)
{
	struct keep *k = ctx;
	k->rc = k->pool(k, &k->e);
}

static void off_pool(void *ctx)
{
	struct keep *k = ctx;
	struct work *w = k->w;
	w->d->keeping--;
	w->in_flight--;
	if (!work_bury(w))
		k->then(w);
}

static void pool_now(struct work *w)
{
	struct keep *k = w->keep;
	k->now_ms = clock_wall_ms();
	atomic_store(&k->stop, false);
	err_clear(&k->e);
	w->d->keeping++;
	w->in_flight++;
	if (loop_work(w->d->o.loop, on_pool, off_pool, k, &k->e) == 0)
		return;
	k->rc = -1;
	loop_post(w->d->o.loop, off_pool, k);
}

/* Its turn, or a look again in a moment. */
static void pool_start(struct work *w)
{
	struct keep *k = w->keep;
	k->waits = w->d->keeping >= KEEP_AT_ONCE;
	if (k->waits)
		work_timer(w, BUSY_MS);
	else
		pool_now(w);
}

static void pool_set(struct work *w, keep_pool_fn *fn, work_then_fn *then)
{
	struct keep *k = keep_of(w);
	k->pool = fn;
	k->then = then;
	k->project_id = w->project.id;
}

void keep_pool(struct work *w, keep_pool_fn *fn, work_then_fn *then)
{
	pool_set(w, fn, then);
	pool_start(w);
}

void keep_pool_now(struct work *w, keep_pool_fn *fn, work_then_fn *then)
{
	pool_set(w, fn, then);
	pool_now(w);
}

void keep_tick(struct work *w)
{
	if (w->keep && w->keep->waits)
		pool_start(w);
}

int keep_spool(struct keep *k, struct err *e)
{
	const char *spool = k->w->d->o.spool_dir;
	uint8_t raw[8];
	char hex[2 * sizeof(raw) + 1], path[WORK_PATH_SIZE];
	fs_close_fd(&k->files);
	k->files = open(spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (k->files >= 0)
		return 0;
	rand_bytes(raw, sizeof(raw)); /* a file system that knows no such files */
	hex_encode(raw, sizeof(raw), hex);
	(void)snprintf(path, sizeof(path), "%s/%s.tar", spool, hex);
	k->files = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (k->files < 0)
		return err_sys(e, ERR_IO, errno, "could not make a file in the spool");
	(void)unlink(path);
	return 0;
}

/* --- a job --- */

/* slipway-tree COMMAND --release N [--top T] [--service NAME …] */
static struct args *job_words(
    struct work *w, const char *command, const struct model_services *which)
{
	size_t count = which ? which->n : 0;
	struct str *v = arena_array(&w->a, 6 + 2 * count, sizeof(*v));
	struct args *argv = arena_alloc(&w->a, sizeof(*argv));
	char *number = arena_printf(&w->a, "%" PRId64, w->release.number);
	if (!v || !argv || !number)
		return NULL;
	*argv = (struct args){.v = v};
	v[argv->n++] = STR("slipway-tree");
	v[argv->n++] = str_c(command);
	v[argv->n++] = STR("--release");
	v[argv->n++] = str_c(number);
	if (w->plan.root.n > 0) {
		v[argv->n++] = STR("--top");
		v[argv->n++] = w->plan.root;
	}
	for (size_t i = 0; i < count; i++) {
		v[argv->n++] = STR("--service");
		v[argv->n++] = which->v[i].name;
	}
	return argv;
}

void keep_job_services(struct work *w, const char *command, enum priv_sandbox sandbox, bool stream,
    const struct model_services *which, bool fresh, work_then_fn *then)
{
	struct args env = {0};
	struct err e;
	struct keep *k = keep_of(w);
	const struct args *argv = job_words(w, command, which);
	if (!argv || (stream && lseek(k->files, 0, SEEK_SET) != 0)) {
		(void)err_set(&e, ERR_INTERNAL, "the job could not be made");
		work_fail(w, &e);
		return;
	}
	if (which && which->n > 0 && provide_tool(w, which, fresh, &env, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	const struct job j = {.name = "backup",
	    .sandbox = sandbox,
	    .program = PRIV_PROGRAM_TREE,
	    .argv = argv,
	    .env = &env,
	    .limits = {.memory_bytes = JOB_MEMORY_BYTES, .tasks = JOB_TASKS},
	    .time_limit_ms = KEEP_TIME_LIMIT_MS,
	    .report_max = REPORT_MAX,
	    .stdin_fd = stream ? k->files : -1};
	job_start(w, &j, then);
}

void keep_job(
    struct work *w, const char *command, enum priv_sandbox sandbox, bool stream, work_then_fn *then)
{
	keep_job_services(w, command, sandbox, stream, NULL, false, then);
}

bool keep_job_ok(struct work *w, const char *what, struct err *e)
{
	struct err said;
	if (job_ok(w, what, e))
		return true;
	if (w->job_failed_to_run || w->job_limit != PRIV_LIMIT_NONE || work_stopping(w))
		return false;
	err_clear(&said);
	report_lines_keep(w);
	if (w->failure_lines && source_own_words(str_c(w->failure_lines), &said)) {
		*e = said;
		(void)err_prefix(e, "%s", what);
	}
	return false;
}

/* --- pack --- */

static bool keeps(const struct work *w)
{
	return !(w->st.flow == DEPLOY_FLOW_DESTROY && w->in.purge);
}

static void fail(struct work *w, const struct err *e)
{
	struct err why = *e;
	if (w->st.flow == DEPLOY_FLOW_DESTROY) {
		(void)err_prefix(&why, "no archive could be kept");
		(void)err_hint(&why,
		    "without one: slipway destroy %.*s --purge; as it was: slipway start %.*s",
		    STR_ARG(w->project.name), STR_ARG(w->project.name));
	}
	work_fail(w, &why);
}

/* How the archive is opened: what the order brought, else a key of its own. */
static int make_keys(struct work *w, struct err *e)
{
	struct keep *k = w->keep;
	buf_clear(&k->sealed);
	buf_clear(&k->wrapped);
	if (w->in.key.n == 0)
		return backup_key_make(w->d->o.seal, STR(""), &k->sealed, &k->wrapped, e);
	return base64_decode(w->in.key, &k->sealed) && base64_decode(w->in.slot, &k->wrapped)
		   ? 0
		   : err_set(e, ERR_INVALID, "the order's key is malformed");
}

/* Those that are there, of what the settings name: queues are in no archive. */
static int pick_dumped(struct work *w, struct err *e)
{
	struct model_services *to = &w->keep->dumped;
	*to = (struct model_services){.v = arena_array(&w->a, w->services.n + 1, sizeof(*to->v))};
	if (!to->v)
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	for (size_t i = 0; i < w->services.n; i++)
		if (w->services.v[i].made_ms > 0 && services_is_dumped(w->services.v[i].type))
			to->v[to->n++] = w->services.v[i];
	return 0;
}

static int settings_unit(struct work *w, struct store_db *db, struct err *e)
{
	struct keep *k = w->keep;
	buf_wipe(&k->settings);
	(void)buf_reserve(&k->settings, BACKUP_SETTINGS_MAX / 8);
	if (facts_load(w, db, e) != 0 || pick_dumped(w, e) != 0 ||
	    backup_settings_write(db, &w->a, w->d->o.seal, w->project.id, &k->settings, e) != 0)
		return -1;
	return make_keys(w, e);
}

static int64_t figure(struct str report, const char *name)
{
	struct str line;
	int64_t n = 0;
	while (str_next(&report, '\n', &line) == 1) {
		size_t at = str_find(line, ' ', 0);
		if (at != SIZE_MAX && str_eq_c(str_slice(line, 0, at), name) &&
		    num_i64(str_from(line, at + 1), 0, INT64_MAX, &n))
			return n;
	}
	return 0;
}

/* A broker's queues are no state that could be brought back: what waits there is on its way. */
static void tell_left_out(struct work *w)
{
	for (size_t i = 0; i < w->services.n; i++)
		if (w->services.v[i].made_ms > 0 && !services_is_dumped(w->services.v[i].type))
			buf_printf(&w->detail, ", without what waits in '%.*s'",
			    STR_ARG(w->services.v[i].name));
}

static void packed(struct work *w)
{
	struct err e;
	char size[32];
	struct backup_header *h = &w->keep->head;
	if (!keep_job_ok(w, "packing the files", &e)) {
		fail(w, &e);
		return;
	}
	h->files = figure(w->job_report, "files");
	h->bytes = figure(w->job_report, "bytes");
	h->databases = figure(w->job_report, "databases");
	int64_t unreadable = figure(w->job_report, "unreadable");
	h->left_out = figure(w->job_report, "left-out") + unreadable;
	if (unreadable > 0)
		buf_printf(&w->warning,
		    "%" PRId64
		    " %s left out: the project's own user may not read %s (--verbose names %s)",
		    unreadable, unreadable == 1 ? "entry was" : "entries were",
		    unreadable == 1 ? "it" : "them", unreadable == 1 ? "it" : "the first");
	num_size_text((uint64_t)h->bytes, size);
	buf_printf(&w->detail, "%" PRId64 " entries, %s", h->files, size);
	if (h->databases > 0)
		buf_printf(&w->detail, ", %" PRId64 " %s copied by SQLite", h->databases,
		    h->databases == 1 ? "database" : "databases");
	int64_t dumps = figure(w->job_report, "dumps");
	if (dumps > 0)
		buf_printf(&w->detail, ", %" PRId64 " %s dumped by PostgreSQL", dumps,
		    dumps == 1 ? "database" : "databases");
	tell_left_out(w);
	if (w->st.flow == DEPLOY_FLOW_DESTROY)
		w->release.number = 0;
	work_done(w);
}

static void strays_gone(struct work *w)
{
	struct err e;
	if (w->op_failed)
		fail(w, &w->op_err);
	else if (work_stopping(w))
		work_fail(w, NULL);
	else if (keep_spool(w->keep, &e) != 0)
		fail(w, &e);
	else
		keep_job_services(
		    w, "pack", PRIV_SANDBOX_RUN, true, &w->keep->dumped, false, packed);
}

static void settled(struct work *w)
{
	if (w->op_failed) {
		fail(w, &w->op_err);
		return;
	}
	w->keep->head = (struct backup_header){0};
	if (w->project.live == 0) {
		buf_c(&w->detail, "settings only: nothing was deployed yet");
		work_done(w);
		return;
	}
	w->release.number = w->project.live;
	work_ops_begin(w, strays_gone);
	job_stop_strays(w);
	work_ops_end(w);
}

void pack_start(struct work *w)
{
	if (!keeps(w)) {
		work_skip(w, "not wanted");
		return;
	}
	fs_close_fd(&keep_of(w)->files);
	work_unit(w, settings_unit, settled);
}

/* --- keep --- */

static void fill_header(struct keep *k)
{
	const struct work *w = k->w;
	bool destroyed = w->st.flow == DEPLOY_FLOW_DESTROY;
	struct backup_header *h = &k->head;
	h->project = w->project.name;
	h->kind = w->has_plan ? str_c(manifest_kind_name(w->plan.kind)) : w->project.kind;
	h->reason = destroyed ? STR("destroy") : STR("manual");
	h->by = w->task.requested_by;
	h->number = w->project.id;
	h->created_ms = clock_wall_ms();
	h->until_ms = destroyed ? h->created_ms + KEEP_DESTROYED_MS : 0;
	h->release = w->project.live;
	h->commit = destroyed ? STR("") : w->release.commit;
	buf_clear(&k->header);
	backup_header_write(h, &k->header);
}

static int on_shelf(struct keep *k, struct err *e)
{
	const struct deploy_options *o = &k->w->d->o;
	const struct backup_source s = {.seal = o->seal,
	    .slots = {buf_view(&k->sealed), buf_view(&k->wrapped)},
	    .header = buf_view(&k->header),
	    .settings = buf_view(&k->settings),
	    .files = k->files,
	    .stop = &k->stop};
	struct stat st = {0};
	shelf_drop(&k->file);
	if (shelf_begin(o->backups_dir, k->project_id, k->now_ms, &k->file, e) != 0)
		return -1;
	if (backup_write(k->file.fd, &s, e) != 0 || fstat(k->file.fd, &st) != 0 ||
	    shelf_keep(&k->file, e) != 0) {
		shelf_drop(&k->file);
		return -1;
	}
	k->size_bytes = st.st_size;
	return 0;
}

static void until_text(int64_t wall_ms, char out[32])
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;
	out[0] = '\0';
	if (gmtime_r(&s, &tm))
		(void)strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm);
}

static void kept(struct work *w)
{
	struct keep *k = w->keep;
	char size[32], until[32], why[160];
	if (k->rc != 0) {
		fail(w, &k->e);
		return;
	}
	w->backup_id = arena_str(&w->a, str_c(k->file.id));
	num_size_text((uint64_t)k->size_bytes, size);
	buf_printf(&w->detail, "%s, %s", k->file.id, size);
	if (w->st.flow == DEPLOY_FLOW_DESTROY) {
		until_text(k->head.until_ms, until);
		(void)snprintf(why, sizeof(why), "until %s; to bring it back: slipway restore %.*s",
		    until, STR_ARG(w->project.name));
		report_receipt(w, "an archive of it", "stayed", why);
	}
	buf_wipe(&k->settings);
	fs_close_fd(&k->files);
	work_done(w);
}

void keep_start(struct work *w)
{
	if (!keeps(w)) {
		report_receipt(w, "an archive of it", "none", "--purge");
		work_skip(w, "not wanted");
		return;
	}
	fill_header(keep_of(w));
	keep_pool(w, on_shelf, kept);
}
