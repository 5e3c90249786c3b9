#include "observe/logs.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/num.h"
#include "text/json.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two halves per process: NAME/PROCESS.log grows to half the cap, becomes PROCESS.log.1, and so on.
 */
enum { HALF_BYTES = LIMIT_LOG_BYTES / 2, OPEN_FILES = 64 };

struct log_file {
	char project[NAME_PROJECT_MAX + 1], process[NAME_PROCESS_MAX + 1];
	int fd; /* -1: free slot */
	size_t size;
	uint64_t used; /* for closing the least recently used */
};

struct logs {
	int dir;
	struct feed *feed;
	struct log_file files[OPEN_FILES];
	uint64_t clock;
	pthread_mutex_t removal; /* readers of files against logs_remove */
};

struct logs *logs_open(const char *dir, struct feed *feed, struct err *e)
{
	int fd = fs_dir(AT_FDCWD, dir, 0750, e);
	if (fd < 0)
		return NULL;
	struct logs *l = mem_alloc(sizeof(*l));
	l->dir = fd;
	l->feed = feed;
	pthread_mutex_init(&l->removal, NULL);
	for (int i = 0; i < OPEN_FILES; i++)
		l->files[i].fd = -1;
	return l;
}

void logs_close(struct logs *l)
{
	if (!l)
		return;
	for (int i = 0; i < OPEN_FILES; i++)
		fs_close_fd(&l->files[i].fd);
	fs_close_fd(&l->dir);
	pthread_mutex_destroy(&l->removal);
	free(l);
}

static struct log_file *file_slot(struct logs *l, struct str project, struct str process)
{
	struct log_file *oldest = &l->files[0];
	for (int i = 0; i < OPEN_FILES; i++) {
		struct log_file *f = &l->files[i];
		if (f->fd >= 0 && str_eq_c(project, f->project) && str_eq_c(process, f->process))
			return f;
		if (f->fd < 0 || (oldest->fd >= 0 && f->used < oldest->used))
			oldest = f;
	}
	fs_close_fd(&oldest->fd);
	return oldest;
}

static struct log_file *file_of(struct logs *l, struct str project, struct str process)
{
	struct log_file *f = file_slot(l, project, process);
	f->used = ++l->clock;
	if (f->fd >= 0)
		return f;
	char name[NAME_PROCESS_MAX + 8];
	if (!str_copy(project, f->project, sizeof(f->project)) ||
	    !str_copy(process, f->process, sizeof(f->process)))
		return NULL;
	struct err e;
	CLEANUP_FD int dir = fs_dir(l->dir, f->project, 0750, &e);
	if (dir < 0)
		return NULL;
	snprintf(name, sizeof(name), "%s.log", f->process);
	f->fd = openat(dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	struct stat st;
	if (f->fd < 0 || fstat(f->fd, &st) != 0) {
		fs_close_fd(&f->fd);
		return NULL;
	}
	f->size = (size_t)st.st_size;
	return f;
}

static void file_turn(struct logs *l, struct log_file *f)
{
	char from[NAME_PROJECT_MAX + NAME_PROCESS_MAX + 8], to[sizeof(from) + 2];
	snprintf(from, sizeof(from), "%s/%s.log", f->project, f->process);
	snprintf(to, sizeof(to), "%s.1", from);
	renameat(l->dir, from, l->dir, to);
	fs_close_fd(&f->fd);
}

static void line_publish(struct logs *l, const struct logs_line *line, struct str project)
{
	struct buf data CLEANUP_BUF;
	buf_init(&data, 4 * LIMIT_LOG_LINE_BYTES);
	struct json_out w;
	json_out_init(&w, &data);
	json_open_object(&w, NULL);
	json_put_time(&w, "at", line->at_ms);
	json_put_str(&w, "process", line->process);
	json_put_i64(&w, "instance", line->instance);
	json_put_i64(&w, "release", line->release);
	json_put_str(&w, "text", line->text);
	json_close_object(&w);
	char topic[NAME_PROJECT_MAX + 8];
	snprintf(topic, sizeof(topic), "logs/%.*s", STR_ARG(project));
	if (!data.full)
		feed_publish(l->feed, str_c(topic), STR("line"), buf_view(&data));
}

void logs_append(struct logs *l, struct str project, uint32_t release, struct str process,
    uint16_t instance, struct str line)
{
	assert(project.n <= NAME_PROJECT_MAX && process.n <= NAME_PROCESS_MAX);
	char text[2 * LIMIT_LOG_LINE_BYTES], at[32], row[sizeof(text) + 96];
	struct logs_line shown = {
	    .at_ms = clock_wall_ms(), .release = release, .instance = instance, .process = process};
	shown.text = (struct str){
	    text, log_escape_text(str_slice(line, 0, LIMIT_LOG_LINE_BYTES), text, sizeof(text))};
	clock_format(shown.at_ms, at);
	int n = snprintf(
	    row, sizeof(row), "%s %u.%u %.*s\n", at, release, instance, STR_ARG(shown.text));
	struct log_file *f = file_of(l, project, process);
	struct err e;
	if (!f || fs_write_all(f->fd, row, (size_t)n, &e) != 0) {
		counter_add(COUNTER_LOG_DROPPED_BYTES, (uint64_t)n);
	} else {
		counter_add(COUNTER_LOG_LINES, 1);
		f->size += (size_t)n;
		if (f->size >= HALF_BYTES)
			file_turn(l, f);
	}
	line_publish(l, &shown, project);
}

/* Reading goes backwards, newest line first, so that the arena only ever holds lines that may be
 * shown: at most `tail` of each process. Then all are sorted by time and the newest `tail` kept. */

struct gather {
	const struct logs_query *q;
	struct arena *a;
	struct logs_line *lines; /* heap */
	size_t count, room;
	size_t wanted; /* of the process that is being read */
};

/* "2026-11-20T11:09:59.123Z 14.1 text"; false when the line is not of that form (a torn one after a
 * crash). */
static bool line_parse(struct str s, struct logs_line *ret)
{
	struct str at, where;
	uint64_t release, instance;
	if (!str_next(&s, ' ', &at) || !s.p || !str_next(&s, ' ', &where) || !s.p)
		return false;
	size_t dot = str_find(where, '.', 0);
	if (dot == SIZE_MAX || !clock_parse(at, &ret->at_ms) ||
	    !num_u64(str_slice(where, 0, dot), 0, UINT32_MAX, &release) ||
	    !num_u64(str_from(where, dot + 1), 0, UINT16_MAX, &instance))
		return false;
	ret->release = (uint32_t)release;
	ret->instance = (uint16_t)instance;
	ret->text = s;
	return true;
}

/* Cuts the last line off *text. */
static struct str line_last(struct str *text)
{
	size_t end = text->n;
	if (end && text->p[end - 1] == '\n')
		end--;
	size_t at = end;
	while (at && text->p[at - 1] != '\n')
		at--;
	struct str line = str_slice(*text, at, end - at);
	text->n = at;
	return line;
}

static int gather_line(struct gather *g, const struct logs_line *got, struct err *e)
{
	if (g->count == g->room) {
		g->lines = mem_grow(g->lines, g->room, 2 * g->room + 64, sizeof(*g->lines));
		g->room = 2 * g->room + 64;
	}
	struct logs_line *slot = &g->lines[g->count];
	*slot = *got;
	slot->order = (uint32_t)g->wanted; /* counts down, and so do we */
	slot->text = arena_str(g->a, got->text);
	if (!slot->text.p)
		return err_set(
		    e, ERR_TOO_LARGE, "the log lines asked for are larger than an answer may be");
	g->count++;
	g->wanted--;
	return 0;
}

static int gather_text(struct gather *g, struct str text, struct str process, struct err *e)
{
	const struct logs_query *q = g->q;
	while (text.n && g->wanted) {
		struct logs_line got = {.process = process};
		if (!line_parse(line_last(&text), &got) ||
		    (q->release && got.release != q->release) || got.at_ms < q->since_ms ||
		    (q->contains.n && !str_contains(got.text, q->contains)))
			continue;
		if (gather_line(g, &got, e) != 0)
			return -1;
	}
	return 0;
}

static int gather_file(
    struct gather *g, int dir, const char *name, struct str process, struct err *e)
{
	struct buf text CLEANUP_BUF;
	buf_init(&text, HALF_BYTES + 4 * LIMIT_LOG_LINE_BYTES);
	struct err why;
	if (fs_read(dir, name, &text, &why) != 0) {
		if (why.sys == ENOENT || why.code == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	return gather_text(g, buf_view(&text), process, e);
}

static int gather_process(struct gather *g, int dir, struct str process, struct err *e)
{
	char name[NAME_PROCESS_MAX + 8];
	g->wanted = g->q->tail;
	snprintf(name, sizeof(name), "%.*s.log", STR_ARG(process));
	if (gather_file(g, dir, name, process, e) != 0)
		return -1;
	snprintf(name, sizeof(name), "%.*s.log.1", STR_ARG(process));
	return gather_file(g, dir, name, process, e);
}

static int gather_all(struct gather *g, int dir, struct err *e)
{
	if (g->q->process.n)
		return gather_process(g, dir, g->q->process, e);
	DIR *d = fdopendir(dup(dir));
	if (!d)
		return err_sys(e, ERR_IO, errno, "could not list the logs");
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));) {
		struct str name = str_c(entry->d_name);
		if (!str_ends(name, STR(".log")))
			continue;
		struct str process = arena_str(g->a, str_slice(name, 0, name.n - 4));
		rc = gather_process(g, dir, process, e);
	}
	closedir(d);
	return rc;
}

static int line_compare(const void *a, const void *b)
{
	const struct logs_line *x = a, *y = b;
	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int gather_keep(struct gather *g, struct logs_line **ret, size_t *ret_count, struct err *e)
{
	if (!g->count)
		return 0;
	qsort(g->lines, g->count, sizeof(*g->lines), line_compare);
	size_t n = g->count < g->q->tail ? g->count : g->q->tail;
	*ret = arena_array(g->a, n, sizeof(**ret));
	if (!*ret)
		return err_set(
		    e, ERR_TOO_LARGE, "the log lines asked for are larger than an answer may be");
	memcpy(*ret, g->lines + (g->count - n), n * sizeof(**ret));
	*ret_count = n;
	return 0;
}

int logs_read(struct logs *l, const struct logs_query *q, struct arena *a, struct logs_line **ret,
    size_t *ret_count, struct err *e)
{
	char project[NAME_PROJECT_MAX + 1];
	*ret = NULL;
	*ret_count = 0;
	if (q->tail < 1 || q->tail > 10000)
		return err_set(e, ERR_INVALID, "tail must be 1 to 10,000 lines");
	if (name_project(q->project, e) != 0 || (q->process.n && name_process(q->process, e) != 0))
		return -1;
	if (!str_copy(q->project, project, sizeof(project)))
		return err_set(e, ERR_INVALID, "that is no project's name");
	struct gather g = {.q = q, .a = a};
	pthread_mutex_lock(&l->removal);
	int rc = 0;
	CLEANUP_FD int dir =
	    openat(l->dir, project, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir >= 0)
		rc = gather_all(&g, dir, e);
	pthread_mutex_unlock(&l->removal);
	if (rc == 0)
		rc = gather_keep(&g, ret, ret_count, e);
	free(g.lines);
	return rc;
}

int logs_remove(struct logs *l, struct str project, struct err *e)
{
	char name[NAME_PROJECT_MAX + 1];
	if (!str_copy(project, name, sizeof(name)))
		return err_set(e, ERR_INVALID, "that is no project's name");
	for (int i = 0; i < OPEN_FILES; i++)
		if (str_eq_c(project, l->files[i].project))
			fs_close_fd(&l->files[i].fd);
	pthread_mutex_lock(&l->removal);
	int rc = fs_remove_tree(l->dir, name, e);
	pthread_mutex_unlock(&l->removal);
	/* Whoever watches is told; and a project that takes the name next has other readers. */
	char topic[NAME_PROJECT_MAX + 8];
	snprintf(topic, sizeof(topic), "logs/%s", name);
	feed_publish(l->feed, str_c(topic), STR("end"), STR("{}"));
	feed_forget(l->feed, str_c(topic));
	return rc;
}
