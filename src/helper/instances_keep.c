/* On a server the table and the descriptors of its records outlive the helper (helper/keep.h): the next one goes on where it ended,
 * and no process of a project notices. The table lies in memory that both share, one after the other. A descriptor's name is
 * its record's place in the table and a letter. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "helper/instances_state.h"
#include "helper/keep.h"
#include "helper/ports.h"
#include "helper/units.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of struct instances and all in it, and of what it means: another number, and nothing is taken over. */
#define LAYOUT 3u
#define TABLE "table"
#define UNSTEADY_MAX                                                                               \
	3u /* helpers that ended soon after each other on the same table: perhaps because of it */
#define ASK_AGAIN_MS 10000 /* a unit whose question was lost with the helper before */
#define TELL_AGAIN_MS 3000 /* the same, of its end */
#define MISSING (-2)	   /* a descriptor that was there and has not come back */

static const char letters[] = "vnlsiot"; /* as enum instance_fd; none is a hexadecimal digit */
#define LETTER_OUT 'r'
static_assert(sizeof(letters) == INSTANCE_FD_COUNT + 1, "a letter for each");

static struct instances own; /* where nothing outlives us */

static const struct instances_mark mark = {
    .layout = LAYOUT, .record_bytes = sizeof(struct instance), .bytes = sizeof(struct instances)};

/* ---- the table ---- */

static struct instances *map(int fd)
{
	void *p = mmap(NULL, sizeof(struct instances), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static bool is_ours(const struct instances *t)
{
	return t->mark.layout == mark.layout && t->mark.record_bytes == mark.record_bytes &&
	       t->mark.bytes == mark.bytes && t->used_end <= INSTANCES_MAX &&
	       t->count <= t->used_end;
}

/* What was handed to us and is of no use. */
static void let_go_of_all(void)
{
	char name[KEEP_NAME_SIZE];
	size_t at = 0;
	for (int fd; keep_next(&at, name, &fd);) {
		keep_drop(name);
		close(fd);
	}
}

/* What an earlier helper left; NULL: nothing, or nothing that we can use. */
static struct instances *table_before(void)
{
	struct stat st;
	CLEANUP_FD int fd = keep_take(TABLE);
	bool whole =
	    fd >= 0 && fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof(struct instances);
	struct instances *t = whole ? map(fd) : NULL;
	if (t && is_ours(t) && t->mark.unsteady++ < UNSTEADY_MAX)
		return t;
	if (fd >= 0) {
		log_event(LOG_WARN, "keeper", "not_adopted",
		    F_C("why", !t || !is_ours(t) ? "the helper before was laid out otherwise"
						 : "helpers ended soon after each other"),
		    F_C("hint", "what runs is started anew"));
		keep_drop(TABLE);
	}
	let_go_of_all();
	return NULL;
}

static struct instances *table_new(void)
{
	CLEANUP_FD int fd = memfd_create("instances", MFD_CLOEXEC);
	struct instances *t = fd >= 0 && ftruncate(fd, sizeof(*t)) == 0 ? map(fd) : NULL;
	if (t)
		keep_put(TABLE, fd);
	return t;
}

struct instances *instances_table(bool *ret_adopted)
{
	struct instances *t = keep_is_on() ? table_before() : NULL;
	*ret_adopted = t != NULL;
	if (!t && keep_is_on())
		t = table_new();
	return t ? t : &own;
}

void instances_ready(struct instances *t)
{
	t->mark = mark;
}

void instances_steady(struct instances *t)
{
	t->mark.unsteady = 0;
}

/* ---- descriptors ---- */

static void name_of(const struct instance *in, char letter, char out[KEEP_NAME_SIZE])
{
	(void)snprintf(out, KEEP_NAME_SIZE, "%x%c", (unsigned)(in->st.id % INSTANCES_MAX), letter);
}

void instance_keep(const struct instance *in)
{
	char name[KEEP_NAME_SIZE];
	for (int i = 0; i < INSTANCE_FD_COUNT; i++) {
		name_of(in, letters[i], name);
		keep_put(name, in->fd[i]);
	}
	name_of(in, LETTER_OUT, name);
	keep_put(name, in->out_read);
}

static char letter_of(const struct instance *in, const int *fd)
{
	return fd == &in->out_read ? LETTER_OUT : letters[fd - in->fd];
}

void instance_close(const struct instance *in, int *fd)
{
	char name[KEEP_NAME_SIZE];
	name_of(in, letter_of(in, fd), name);
	if (*fd >= 0)
		keep_drop(name);
	fs_close_fd(fd);
}

void instance_forget_kept(struct instance *in)
{
	char name[KEEP_NAME_SIZE];
	for (int i = 0; i < INSTANCE_FD_COUNT; i++) {
		name_of(in, letters[i], name);
		if (in->fd[i] >= 0)
			keep_drop(name);
		in->fd[i] = -1;
	}
}

/* Where the descriptor of that name belongs; NULL: nowhere, its record is gone. */
static int *place_of(struct instances *t, const char *name)
{
	char *end;
	unsigned long slot = strtoul(name, &end, 16);
	if (end == name || slot >= t->used_end || t->v[slot].st.id == 0 || !end[0] || end[1])
		return NULL;
	struct instance *in = &t->v[slot];
	const char *letter = strchr(letters, end[0]);
	int *fd = end[0] == LETTER_OUT ? &in->out_read : letter ? &in->fd[letter - letters] : NULL;
	return fd && *fd == MISSING ? fd : NULL;
}

static void expect(int *fd)
{
	*fd = *fd >= 0 ? MISSING : -1;
}

static void place_all(struct instances *t)
{
	char name[KEEP_NAME_SIZE];
	size_t at = 0;
	for (int fd; keep_next(&at, name, &fd);) {
		int *place = place_of(t, name);
		if (place) {
			*place = fd;
			continue;
		}
		keep_drop(name);
		close(fd);
	}
}

static bool came_back(const struct instance *in, int *fd)
{
	bool back = *fd != MISSING;
	char letter[2] = {letter_of(in, fd), '\0'};
	if (!back)
		log_event(LOG_WARN, "keeper", "not_kept", F_C("project", in->st.project),
		    F_C("process", in->st.process), F_C("what", letter));
	*fd = back ? *fd : -1;
	return back;
}

/* The end that is written to: no description of a file of its own is kept for it. */
static int open_out_write(const struct instance *in)
{
	char path[40];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", in->out_read);
	return open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
}

/* All that the record had is here again. */
static bool is_whole(struct instance *in)
{
	bool whole = came_back(in, &in->out_read);
	for (int i = 0; i < INSTANCE_FD_COUNT; i++)
		whole = came_back(in, &in->fd[i]) && whole;
	if (in->out_write == MISSING)
		in->out_write = whole ? open_out_write(in) : -1;
	if (in->out_write >= 0)
		(void)fcntl(in->out_write, F_SETFL, 0);
	return whole;
}

/* ---- records ---- */

static bool is_sound(const struct instances *t, const struct instance *in)
{
	return in->st.id % INSTANCES_MAX == (uint64_t)(in - t->v) &&
	       in->st.state < PRIV_STATE_COUNT && in->st.class < PRIV_CLASS_COUNT &&
	       memchr(in->st.project, 0, sizeof(in->st.project)) &&
	       memchr(in->st.process, 0, sizeof(in->st.process));
}

static void adopt_unit(struct instance *in, int64_t now_ms)
{
	if (in->st.pid != 0 && kill(in->st.pid, 0) != 0 && errno == ESRCH)
		in->gone_ms = now_ms + TELL_AGAIN_MS;
	if (in->supply_ms > now_ms + ASK_AGAIN_MS)
		in->supply_ms = now_ms + ASK_AGAIN_MS;
}

static void adopt(struct instances *t, struct instance *in, int64_t now_ms)
{
	in->changed = true;
	in->output_taken = false;
	in->disk.pid = 0; /* who looked is gone; it is looked again */
	if (in->st.state == PRIV_ENDED)
		return;
	if (in->spec.port != 0)
		ports_adopt(tenant_uid(t->o.roots, in->user_number), in->spec.port);
	instance_notice_adopt(t, in, now_ms);
	if (in->unit)
		adopt_unit(in, now_ms);
	else if (in->st.class == PRIV_JOB && in->st.ended_mono_ms != 0)
		instance_finish_job(t, in, now_ms);
	else if (in->st.state == PRIV_ASLEEP && instance_hear_knock(t, in) != 0)
		instance_restart(t, in, now_ms);
}

/* What was being begun when the helper ended, or lacks something, ends; whoever wants it starts it anew. */
static void give_up(struct instances *t, struct instance *in)
{
	if (in->unit)
		units_kill(in);
	instances_stop(t, in, 1);
}

static void expect_all(struct instances *t)
{
	for (size_t i = 0; i < t->used_end; i++) {
		struct instance *in = &t->v[i];
		expect(&in->out_read);
		expect(&in->out_write);
		for (int k = 0; k < INSTANCE_FD_COUNT; k++)
			expect(&in->fd[k]);
	}
}

/* Whether it goes on. */
static bool adopt_one(struct instances *t, struct instance *in, int64_t now_ms)
{
	bool whole = is_whole(in),
	     begun = in->st.state != 0 && (in->unit || in->st.state != PRIV_RUNNING);
	t->count++;
	if (!begun)
		instance_set_state(in, PRIV_RUNNING);
	adopt(t, in, now_ms);
	if (begun && (whole || in->st.state == PRIV_ENDED))
		return true;
	give_up(t, in);
	return false;
}

void instances_adopt(struct instances *t)
{
	int64_t now_ms = clock_mono_ms(), lost = 0;
	expect_all(t);
	place_all(t);
	t->count = 0;
	for (size_t i = 0; i < t->used_end; i++) {
		struct instance *in = &t->v[i];
		if (in->st.id != 0 && !is_sound(t, in))
			in->st.id = 0; /* what it holds is let go of with this process */
		if (in->st.id != 0)
			lost += !adopt_one(t, in, now_ms);
	}
	log_event(LOG_INFO, "keeper", "adopted", F_I64("instances", (int64_t)t->count - lost),
	    F_I64("lost", lost));
}
