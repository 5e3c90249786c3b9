#include "observe/requests.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/num.h"

#define PIECE_BYTES (256u << 10)
#define PIECES_MAX 64 /* of one look; the rest is for the next */
#define LINE_BYTES_MAX (64u << 10)
#define SLOTS 1024u
#define LOCAL ".localhost"

struct entry {
	struct entry *next;
	struct requests_sum sum;
	char project[NAME_PROJECT_MAX + 1];
};

struct requests {
	struct loop *loop;
	const char *log;
	struct loop_timer *timer;
	bool looking, closing, has_log;

	/* the look's own */
	int fd;
	off_t at;
	char *piece; /* PIECE_BYTES, while there is something to read */
	size_t kept; /* bytes of an unfinished line at its front */
	bool too_long;

	pthread_mutex_t lock;
	struct entry *slots[SLOTS];
	size_t count;
	uint64_t odd; /* lines of another shape */
};

uint64_t requests_all(const struct requests_sum *s)
{
	uint64_t n = 0;
	for (int i = 0; i < REQUESTS_CLASSES; i++)
		n += s->count[i];
	return n;
}

/* ---- a line: its members stand in one order ---- */

static bool skip(struct str *s, struct str what)
{
	if (!str_starts(*s, what))
		return false;
	*s = str_from(*s, what.n);
	return true;
}

/* What stands before `end`, which goes too. */
static bool until(struct str *s, char end, struct str *ret)
{
	size_t n = str_find(*s, end, 0);
	if (n == SIZE_MAX)
		return false;
	*ret = str_slice(*s, 0, n);
	*s = str_from(*s, n + 1);
	return true;
}

/* A JSON string, its escapes as they are. */
static bool text(struct str *s, struct str key, struct str *ret)
{
	size_t n = 0;
	if (!skip(s, key) || !skip(s, STR(":\"")))
		return false;
	while (n < s->n && s->p[n] != '"')
		n += s->p[n] == '\\' ? 2 : 1;
	if (n >= s->n)
		return false;
	*ret = str_slice(*s, 0, n);
	*s = str_from(*s, n + 1);
	return skip(s, STR(",")) || skip(s, STR("}"));
}

static bool number(struct str *s, struct str key, uint64_t max, uint64_t *ret)
{
	struct str digits;
	return skip(s, key) && skip(s, STR(":")) && until(s, ',', &digits) &&
	       num_u64(digits, 0, max, ret);
}

/* Seconds with three decimals, in milliseconds. */
static bool seconds(struct str *s, struct str key, uint64_t max_s, uint64_t *ret_ms)
{
	struct str whole, part;
	uint64_t sec, ms = 0;
	if (!skip(s, key) || !skip(s, STR(":")) || !until(s, '.', &whole) || !until(s, ',', &part))
		return false;
	if (part.n != 3 || !num_u64(whole, 0, max_s, &sec))
		return false;
	for (size_t i = 0; i < part.n; i++) {
		if (part.p[i] < '0' || part.p[i] > '9')
			return false;
		ms = ms * 10 + (uint64_t)(part.p[i] - '0');
	}
	*ret_ms = sec * 1000 + ms;
	return true;
}

/* nginx says it in seconds, Apache in milliseconds. */
static bool duration(struct str *s, uint64_t *ret_ms)
{
	return str_starts(*s, STR("\"duration_ms\""))
		   ? number(s, STR("\"duration_ms\""), INT32_MAX * 1000ull, ret_ms)
		   : seconds(s, STR("\"duration\""), INT32_MAX, ret_ms);
}

int requests_read_line(struct str line, struct str *ret_project, struct requests_sum *ret)
{
	struct str s = line, ignored, server;
	uint64_t end_ms, status, bytes, took_ms;
	struct err not_one;
	bool fits = skip(&s, STR("{")) && seconds(&s, STR("\"time\""), INT64_MAX / 2000, &end_ms) &&
		    text(&s, STR("\"host\""), &ignored) && text(&s, STR("\"method\""), &ignored) &&
		    text(&s, STR("\"uri\""), &ignored) &&
		    number(&s, STR("\"status\""), 999, &status) &&
		    number(&s, STR("\"bytes\""), INT64_MAX, &bytes) && duration(&s, &took_ms) &&
		    text(&s, STR("\"request_id\""), &ignored) &&
		    text(&s, STR("\"remote\""), &ignored) && text(&s, STR("\"server\""), &server);
	if (!fits)
		return -1;
	if (!str_ends(server, STR(LOCAL)))
		return 0;
	*ret_project = str_slice(server, 0, server.n - (sizeof(LOCAL) - 1));
	if (name_project(*ret_project, &not_one) < 0)
		return 0;
	*ret = (struct requests_sum){
	    .bytes = bytes, .duration_us = took_ms * 1000, .last_ms = (int64_t)end_ms};
	/* 499: the visitor went before there was an answer. */
	ret->count[status == 499 || status >= 600 ? 0 : status / 100] = 1;
	return 1;
}

/* ---- the table, under its lock ---- */

static struct entry **place_of(struct requests *r, struct str project)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < project.n; i++)
		h = (h ^ (uint8_t)project.p[i]) * 16777619u;
	struct entry **at = &r->slots[h % SLOTS];
	while (*at && !str_eq_c(project, (*at)->project))
		at = &(*at)->next;
	return at;
}

static void sum_add(struct requests_sum *s, const struct requests_sum *more)
{
	for (int i = 0; i < REQUESTS_CLASSES; i++)
		s->count[i] += more->count[i];
	s->bytes += more->bytes;
	s->duration_us += more->duration_us;
	if (more->last_ms > s->last_ms)
		s->last_ms = more->last_ms;
}

static void add(struct requests *r, struct str project, const struct requests_sum *more)
{
	struct entry **at = place_of(r, project);
	if (!*at) {
		if (r->count == REQUESTS_PROJECTS_MAX)
			return;
		*at = mem_alloc(sizeof(**at));
		(void)!str_copy(project, (*at)->project, sizeof((*at)->project));
		r->count++;
	}
	sum_add(&(*at)->sum, more);
}

bool requests_has_log(const struct requests *r)
{
	return r->has_log;
}

bool requests_of(struct requests *r, struct str project, struct requests_sum *ret)
{
	(void)pthread_mutex_lock(&r->lock);
	const struct entry *x = *place_of(r, project);
	*ret = x ? x->sum : (struct requests_sum){0};
	(void)pthread_mutex_unlock(&r->lock);
	return x != NULL;
}

void requests_forget(struct requests *r, struct str project)
{
	(void)pthread_mutex_lock(&r->lock);
	struct entry **at = place_of(r, project), *x = *at;
	if (x) {
		*at = x->next;
		r->count--;
	}
	(void)pthread_mutex_unlock(&r->lock);
	free(x);
}

/* ---- the log ---- */

static void take_line(struct requests *r, struct str line)
{
	struct str project;
	struct requests_sum more;
	int rc = requests_read_line(line, &project, &more);
	if (rc > 0)
		add(r, project, &more);
	r->odd += rc < 0;
}

/* Whole lines of what is in the piece; the rest moves to its front. */
static void take_lines(struct requests *r, size_t n)
{
	struct str rest = {r->piece, n};
	(void)pthread_mutex_lock(&r->lock);
	for (size_t end; (end = str_find(rest, '\n', 0)) != SIZE_MAX;
	     rest = str_from(rest, end + 1)) {
		if (r->too_long)
			r->odd++;
		else
			take_line(r, str_slice(rest, 0, end));
		r->too_long = false;
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (rest.n > LINE_BYTES_MAX) {
		r->too_long = true;
		rest.n = 0;
	}
	memmove(r->piece, rest.p, rest.n);
	r->kept = rest.n;
}

/* False: its end is reached. */
static bool read_piece(struct requests *r)
{
	if (!r->piece)
		r->piece = mem_alloc(PIECE_BYTES);
	ssize_t n = pread(r->fd, r->piece + r->kept, PIECE_BYTES - r->kept, r->at);
	if (n <= 0)
		return false;
	r->at += n;
	take_lines(r, r->kept + (size_t)n);
	return true;
}

static void open_log(struct requests *r)
{
	fs_close_fd(&r->fd);
	r->at = 0;
	r->kept = 0;
	r->too_long = false;
	r->fd = open(r->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Another log stands under the name, or this one was cut. */
static bool turned_over(const struct requests *r, const struct stat *mine)
{
	struct stat st;
	return (lstat(r->log, &st) == 0 &&
		   (st.st_ino != mine->st_ino || st.st_dev != mine->st_dev)) ||
	       mine->st_size < r->at;
}

/* On a pool thread. Whoever writes to a log that was turned over is given until the next look. */
static void look(void *ctx)
{
	struct requests *r = ctx;
	struct stat st;
	if (r->fd < 0)
		open_log(r);
	if (r->fd < 0 || fstat(r->fd, &st) < 0)
		return;
	bool grew = st.st_size > r->at;
	for (int i = 0; grew && i < PIECES_MAX && read_piece(r); i++)
		continue;
	if (!grew && r->kept == 0)
		mem_free_ptr(&r->piece);
	if (!grew && turned_over(r, &st))
		open_log(r);
}

static void release(struct requests *r)
{
	for (size_t i = 0; i < SLOTS; i++)
		while (r->slots[i]) {
			struct entry *x = r->slots[i];
			r->slots[i] = x->next;
			free(x);
		}
	fs_close_fd(&r->fd);
	free(r->piece);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static void looked(void *ctx)
{
	struct requests *r = ctx;
	r->looking = false;
	r->has_log = r->fd >= 0;
	if (r->closing)
		release(r);
	else
		loop_timer_at(r->timer, clock_mono_ms() + REQUESTS_EVERY_MS);
}

static void on_time(void *ctx)
{
	struct requests *r = ctx;
	struct err busy; /* the next round tries again */
	r->looking = loop_work(r->loop, look, looked, r, &busy) == 0;
	if (!r->looking)
		looked(r);
}

struct requests *requests_open(struct loop *l, const char *log)
{
	struct requests *r = mem_alloc(sizeof(*r));
	*r = (struct requests){.loop = l, .log = log, .fd = -1};
	(void)pthread_mutex_init(&r->lock, NULL);
	struct stat st;
	open_log(r);
	if (r->fd >= 0 && fstat(r->fd, &st) == 0)
		r->at = st.st_size;
	r->timer = loop_timer_new(l, on_time, r);
	loop_timer_at(r->timer, clock_mono_ms());
	return r;
}

void requests_close(struct requests *r)
{
	if (!r)
		return;
	loop_timer_free(r->timer);
	r->closing = true;
	if (!r->looking)
		release(r);
}

/* ---- figures ---- */

/* x's labels: none for the sum of all. */
static void label(struct buf *out, const struct entry *x, const char *status)
{
	if (x->project[0])
		buf_printf(out, "{project=\"%s\"%s", x->project, status ? "," : "}");
	else if (status)
		buf_char(out, '{');
	if (status)
		buf_printf(out, "status=\"%s\"}", status);
}

static void write_counts(struct buf *out, const struct entry *x)
{
	static const char *const names[REQUESTS_CLASSES] = {
	    "none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	for (int i = 0; i < REQUESTS_CLASSES; i++) {
		if (x->sum.count[i] == 0 && x->project[0])
			continue;
		buf_c(out, "slipway_project_requests_total");
		label(out, x, names[i]);
		buf_printf(out, " %" PRIu64 "\n", x->sum.count[i]);
	}
}

static void write_bytes(struct buf *out, const struct entry *x)
{
	buf_c(out, "slipway_project_response_bytes_total");
	label(out, x, NULL);
	buf_printf(out, " %" PRIu64 "\n", x->sum.bytes);
}

static void write_duration(struct buf *out, const struct entry *x)
{
	buf_c(out, "slipway_project_request_duration_seconds_sum");
	label(out, x, NULL);
	buf_printf(out, " %.3f\nslipway_project_request_duration_seconds_count",
	    (double)x->sum.duration_us / 1e6);
	label(out, x, NULL);
	buf_printf(out, " %" PRIu64 "\n", requests_all(&x->sum));
}

static const struct {
	const char *name, *type, *help;
	void (*one)(struct buf *out, const struct entry *x);
} figures[] = {
    {"slipway_project_requests_total", "counter",
	"What visitors asked of projects, by status; none: they went before the answer.",
	write_counts},
    {"slipway_project_response_bytes_total", "counter", "Bodies sent to visitors.", write_bytes},
    {"slipway_project_request_duration_seconds", "summary",
	"From the first byte of a request to the last of its answer.", write_duration},
};

static void sum_up(const struct requests *r, struct entry *ret)
{
	for (size_t i = 0; i < SLOTS; i++)
		for (const struct entry *x = r->slots[i]; x; x = x->next)
			sum_add(&ret->sum, &x->sum);
}

static void write_each(const struct requests *r, struct buf *out, size_t f)
{
	size_t n = 0;
	for (size_t i = 0; i < SLOTS; i++)
		for (const struct entry *x = r->slots[i]; x && n < REQUESTS_WRITE_MAX;
		     x = x->next, n++)
			figures[f].one(out, x);
}

void requests_write(struct requests *r, bool named, struct buf *out)
{
	struct entry all = {.project = ""};
	(void)pthread_mutex_lock(&r->lock);
	sum_up(r, &all);
	for (size_t f = 0; f < sizeof(figures) / sizeof(*figures); f++) {
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", figures[f].name, figures[f].help,
		    figures[f].name, figures[f].type);
		if (named)
			write_each(r, out, f);
		else
			figures[f].one(out, &all);
	}
	buf_printf(out,
	    "# HELP slipway_edge_log_odd_total Lines of the edge's log that could not be read.\n"
	    "# TYPE slipway_edge_log_odd_total counter\nslipway_edge_log_odd_total %" PRIu64 "\n",
	    r->odd);
	(void)pthread_mutex_unlock(&r->lock);
}
