/* rooms: base loop store */
/* The journal over a disk that loses and tears what was not synced, over failing calls, over
 * damaged files, and under kill -9: whatever was acknowledged is read again, whole, once, in order;
 * nothing damaged is. */
#include "store/journal.h"
#include "store/pending.h"
#include "store/record.h"
#include "store/refused.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NUMBERS 4096 /* of entries in a history */

#include "journal_world.h"

/* --- reading again --- */

static void test_lives(void **state)
{
	(void)state;
	struct err e = {0};
	fresh("lives");
	for (unsigned life = 0; life < 6; life++) {
		struct journal *j = open_at(&nothing, &e);
		assert_non_null(j);
		assert_int_equal(write_some(j, life * 40, life * 40 + 40), 0);
		assert_int_equal(journal_level(j).count, life * 40 + 40);
		journal_close(j);
	}
	assert_int_equal(check_all(240, NULL), 240);
}

static void test_repeats(void **state)
{
	(void)state;
	struct err e = {0};
	struct one o[40];
	sem_t told;
	struct journal_record rec;
	fresh("repeats");
	sem_init(&told, 0, 0);
	struct journal *j = open_at(&nothing, &e);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(append(j, &o[i], 7, &told, &e), 0);
	unsigned fresh_ones = 0;
	for (unsigned i = 0; i < 40; i++)
		sem_wait(&told);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(o[i].rc, 0);
		assert_int_equal(o[i].en.id, o[0].en.id);
		fresh_ones += o[i].en.verdict == JOURNAL_NEW;
	}
	assert_int_equal(fresh_ones, 1);
	assert_int_equal(journal_level(j).count, 1);
	journal_close(j);
	/* a later life knows it too, until it is drained */
	j = open_at(&nothing, &e);
	assert_int_equal(append(j, &o[1], 7, &told, &e), 0);
	sem_wait(&told);
	assert_int_equal(o[1].en.verdict, JOURNAL_REPEAT);
	assert_int_equal(o[1].en.id, o[0].en.id);
	struct journal_reader *r = journal_reader_new(j);
	assert_int_equal(journal_read(r, &rec, &e), 1);
	journal_drained(j, &rec, 1);
	assert_int_equal(journal_read(r, &rec, &e), 0);
	assert_int_equal(journal_level(j).count, 0);
	assert_int_equal(append(j, &o[2], 7, &told, &e), 0);
	sem_wait(&told);
	assert_int_equal(o[2].en.verdict, JOURNAL_NEW);
	journal_reader_free(r);
	journal_close(j);
	sem_destroy(&told);
}

/* Everything that a reader says of the first `max` records. */
static unsigned read_all(
    struct journal *j, struct journal_record *v, char (*text)[512], unsigned max)
{
	struct err e = {0};
	struct journal_reader *r = journal_reader_new(j);
	unsigned n = 0;
	while (n < max && journal_read(r, &v[n], &e) == 1) {
		assert_true(v[n].key.n + v[n].meta.n <= sizeof(*text));
		memcpy(text[n], v[n].key.p, v[n].key.n);
		memcpy(text[n] + v[n].key.n, v[n].meta.p, v[n].meta.n);
		v[n].key.p = text[n];
		v[n].meta.p = text[n] + v[n].key.n;
		n++;
	}
	journal_reader_free(r);
	return n;
}

/* What is read soon after it was written comes from memory, but for what is too long or was
 * forgotten; a later life reads the same from the disk. */
static void test_lately(void **state)
{
	(void)state;
	enum { MANY = 300, GROUP = 5 };
	static struct journal_record v[2][MANY + 1];
	static char text[2][MANY + 1][512];
	struct err e = {0};
	static struct one o[GROUP];
	sem_t told;
	fresh("lately");
	sem_init(&told, 0, 0);
	struct journal *j = open_at(&nothing, &e);
	for (unsigned n = 0; n < MANY; n++) {
		struct one *one = &o[n % GROUP];
		*one = (struct one){.n = n, .told = &told};
		(void)snprintf(one->key, sizeof(one->key), "key-%u", n - (n % 50 == 49));
		one->en.key = str_c(one->key); /* a repeat now and then */
		one->en.meta = (struct str){bodies, n % 7 == 6 ? 400 : n % 11};
		one->en.body = body_of(n);
		one->en.done = on_done;
		assert_int_equal(journal_append(j, &one->en, &e), 0);
		if (n % GROUP < GROUP - 1)
			continue;
		journal_go(j);
		for (unsigned i = 0; i < GROUP; i++)
			sem_wait(&told);
		for (unsigned i = 0; i < GROUP; i++)
			assert_int_equal(o[i].rc, 0);
	}
	assert_int_equal(read_all(j, v[0], text[0], MANY + 1), MANY - MANY / 50);
	journal_close(j);
	j = open_at(&nothing, &e);
	assert_int_equal(read_all(j, v[1], text[1], MANY + 1), MANY - MANY / 50);
	for (unsigned i = 0; i < MANY - MANY / 50; i++) {
		const struct journal_record *a = &v[0][i], *b = &v[1][i];
		assert_true(a->sequence == b->sequence && a->id == b->id);
		assert_true(str_eq(a->key, b->key) && str_eq(a->meta, b->meta));
		assert_true(a->place.segment == b->place.segment &&
			    a->place.at_bytes == b->place.at_bytes &&
			    a->length_bytes == b->length_bytes);
		assert_true(
		    a->next.segment == b->next.segment && a->next.at_bytes == b->next.at_bytes);
	}
	journal_close(j);
	sem_destroy(&told);
}

static void test_full(void **state)
{
	(void)state;
	struct err e = {0};
	struct one o[3];
	sem_t told;
	fresh("full");
	sem_init(&told, 0, 0);
	struct journal_options opt = {.path = path, .undrained_count_max = 2};
	struct journal *j = journal_open(&opt, &nothing, 41, &e);
	assert_int_equal(append(j, &o[0], 1, &told, &e), 0);
	assert_int_equal(append(j, &o[1], 2, &told, &e), 0);
	assert_int_equal(append(j, &o[2], 3, &told, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	sem_wait(&told);
	sem_wait(&told);
	assert_int_equal(o[0].en.id, 42); /* above what the store has */
	journal_close(j);
	sem_destroy(&told);
}

static void test_forget(void **state)
{
	(void)state;
	struct err e = {0};
	struct journal_record rec;
	fresh("forget");
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(write_some(j, 0, 200), 0);
	struct journal_reader *r = journal_reader_new(j);
	uint32_t last = 0;
	struct journal_place first = {0};
	while (journal_read(r, &rec, &e) == 1) {
		if (!first.segment)
			first = rec.place;
		last = rec.place.segment;
		journal_drained(j, &rec, 1);
	}
	assert_true(last > 3);
	journal_forget(j, 1, 3);
	struct arena a;
	struct str body;
	arena_init(&a, 1 << 20);
	int rc = 1;
	for (int i = 0; i < 400 && rc == 1; i++, usleep(5000))
		rc = journal_body(j, first, &a, &body, &e);
	assert_int_equal(rc, 0);
	arena_fini(&a);
	journal_reader_free(r);
	journal_close(j);
}

static bool is_there(unsigned segment)
{
	char file[128];
	struct stat st;
	(void)snprintf(file, sizeof(file), "%s/%08u", path, segment);
	return stat(file, &st) == 0;
}

static bool is_gone(unsigned segment)
{
	for (int i = 0; i < 400 && is_there(segment); i++)
		usleep(5000);
	return !is_there(segment);
}

/* A life that ended before it had removed what it was to, or could not, leaves that to the next. */
static void test_forget_what_was_left(void **state)
{
	(void)state;
	struct err e = {0};
	struct journal_record rec = {0};
	char file[128];
	fresh("left");
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(write_some(j, 0, 200), 0);
	struct journal_reader *r = journal_reader_new(j);
	while (rec.place.segment < 6 && journal_read(r, &rec, &e) == 1)
		journal_drained(j, &rec, 1);
	journal_reader_free(r);
	journal_close(j);
	(void)snprintf(file, sizeof(file), "%s/%08u", path, 3);
	assert_int_equal(unlink(file), 0); /* this one was removed */
	struct journal_mark mark = {.next = rec.next, .sequence = rec.sequence, .oldest = 5};
	j = open_at(&mark, &e);
	assert_true(is_gone(1) && is_gone(2) && is_gone(4));
	usleep(50000);
	assert_true(is_there(5) && is_there(6));
	journal_close(j);
	mark.oldest = 1000; /* whatever a mark says: what is not drained stays */
	j = open_at(&mark, &e);
	assert_true(is_gone(5));
	usleep(50000);
	assert_true(is_there(6));
	journal_forget(j, 1000, 2000);
	journal_close(j);
	j = open_at(&mark, &e);
	assert_non_null(j);
	assert_true(is_there(6));
	journal_close(j);
}

/* However fast the one before was filled: who waited for the third would hold up everybody. */
static void test_made_ahead(void **state)
{
	(void)state;
	struct err e = {0};
	struct one o;
	sem_t told;
	uint64_t at = 0;
	fresh("ahead");
	sem_init(&told, 0, 0);
	struct journal *j = open_at(&nothing, &e);
	for (unsigned n = 1, segment = 1; segment < 2 || at < 160u << 10; n++) {
		if (n % 13 == 0)
			continue; /* those are large */
		assert_int_equal(append(j, &o, n, &told, &e), 0);
		sem_wait(&told);
		assert_int_equal(o.rc, 0);
		segment += o.en.at_bytes < at;
		at = o.en.at_bytes;
	}
	for (int i = 0; i < 400 && !is_there(3); i++)
		usleep(5000);
	assert_true(is_there(3));
	assert_false(is_there(4));
	journal_close(j);
	sem_destroy(&told);
}

#include "journal_alone.h"

/* --- damaged files --- */

static void flip(const char *file, off_t at, unsigned char mask)
{
	char name[160];
	unsigned char c;
	(void)snprintf(name, sizeof(name), "%s/%s", path, file);
	int fd = open(name, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= mask;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* Any one flipped bit costs at most the record it is in. */
static void test_bit_flips(void **state)
{
	(void)state;
	struct err e = {0};
	fresh("flips");
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(write_some(j, 92, 104), 0); /* all within the first segment */
	journal_close(j);
	unsigned lost_once = 0;
	for (int i = 0; i < 100; i++) {
		bool lost[NUMBERS] = {0};
		off_t at = (off_t)rand_below(48000);
		unsigned char mask = (unsigned char)(1u << rand_below(8));
		unsigned count;
		flip("00000001", at, mask);
		memset(lost, 1, sizeof(lost));
		count = check_all(104, lost);
		assert_in_range(count, 11, 12);
		lost_once += count == 11;
		flip("00000001", at, mask);
	}
	assert_true(lost_once > 20);
	assert_int_equal(check_all(104, NULL), 12);
}

static void test_lost_tail(void **state)
{
	(void)state;
	struct err e = {0};
	char name[160];
	fresh("tail");
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(write_some(j, 1, 12), 0);
	journal_close(j);
	bool lost[NUMBERS];
	memset(lost, 1, sizeof(lost));
	(void)snprintf(name, sizeof(name), "%s/00000001", path);
	unsigned before = 11;
	for (off_t size = 70000; size > 100; size -= 4999) {
		assert_int_equal(truncate(name, size), 0);
		unsigned count = check_all(12, lost);
		assert_true(count <= before);
		before = count;
	}
	assert_int_equal(before, 0);
	/* and it goes on behind what is left */
	j = open_at(&nothing, &e);
	assert_non_null(j);
	assert_int_equal(write_some(j, 20, 30), 0);
	journal_close(j);
	memset(lost + 20, 0, 10);
	assert_int_equal(check_all(30, lost), 10);
}

#include "journal_unread.h"
#include "journal_disk.h"

struct span {
	unsigned from, to;
};

static void disk_life(void *ctx)
{
	struct span *s = ctx;
	struct err e = {0};
	disk_use();
	struct journal *j = open_at(&nothing, &e);
	if (!j)
		_exit(e.code == ERR_NO_SPACE ? 0 : 9);
	write_some(j, s->from, s->to);
	journal_close(j);
	disk->ops_left = 1;
	disk_op();
}

static void disk_check(void *ctx)
{
	disk_use();
	disk->ops_left = 1 << 30;
	check_all(*(unsigned *)ctx, NULL);
}

static void test_power_cuts(void **state)
{
	(void)state;
	unsigned cuts = getenv("SLIPWAY_LONG") ? 2000 : 120, acked = 0;
	fresh("cuts");
	assert_int_equal(mkdir(path, 0700), 0);
	for (unsigned history = 0; history < cuts / 4; history++) {
		memset(disk, 0, sizeof(*disk));
		memset(sh, 0, sizeof(*sh));
		disk->random = history * 7919 + 1;
		here = history % 2;
		unsigned next = 0;
		for (unsigned life = 0; life < 4; life++) {
			struct span s = {next, next + 60};
			disk->ops_left = 4 + (int)(chance() % 120);
			assert_int_equal(in_child(disk_life, &s), 0);
			next += 60;
			assert_int_equal(in_child(disk_check, &next), 0);
		}
		acked += sh->acked_count;
		here = false;
	}
	print_message("%u power cuts, %u acknowledged, none lost\n", cuts, acked);
	assert_true(acked > cuts);
}

/* --- failing calls --- */

enum fault {
	WRITE_EIO,
	WRITE_FULL,
	WRITE_SHORT,
	WRITE_TORN,
	SYNC_EIO,
	RENAME_EIO,
	OPEN_EMFILE,
	FAULTS
};
static const char *const fault_names[FAULTS] = {"write: EIO", "write: ENOSPC", "write: short",
    "write: short, then ENOSPC", "sync: EIO", "rename: EIO", "open: EMFILE"};
static struct {
	enum fault kind;
	atomic_int left;
} arm;

static bool trips(enum fault a, enum fault b)
{
	return (arm.kind == a || arm.kind == b) && atomic_fetch_sub(&arm.left, 1) == 1;
}

static ssize_t bad_pwrite(int fd, const void *p, size_t n, off_t at)
{
	static atomic_bool torn;
	if (atomic_exchange(&torn, false))
		return errno = ENOSPC, -1;
	if (trips(WRITE_EIO, WRITE_FULL))
		return errno = arm.kind == WRITE_FULL ? ENOSPC : EIO, -1;
	if (!trips(WRITE_SHORT, WRITE_TORN))
		return pwrite(fd, p, n, at);
	atomic_store(&torn, arm.kind == WRITE_TORN);
	return pwrite(fd, p, n > 4096 ? n / 2 & ~4095ul : n, at);
}

static int bad_fsync(int fd)
{
	return trips(SYNC_EIO, FAULTS) ? (errno = EIO, -1) : fsync(fd);
}

static int bad_fdatasync(int fd)
{
	return trips(SYNC_EIO, FAULTS) ? (errno = EIO, -1) : fdatasync(fd);
}

static int bad_rename(int a, const char *from, int b, const char *to)
{
	return trips(RENAME_EIO, FAULTS) ? (errno = EIO, -1) : renameat(a, from, b, to);
}

static int bad_open(int at, const char *name, int flags, mode_t mode)
{
	return trips(OPEN_EMFILE, FAULTS) ? (errno = EMFILE, -1) : openat(at, name, flags, mode);
}

static void faulty(void)
{
	static struct io io;
	io = io_real;
	io.pwrite = bad_pwrite;
	io.fsync = bad_fsync;
	io.fdatasync = bad_fdatasync;
	io.renameat = bad_rename;
	io.openat = bad_open;
	io_set(&io);
}

static void fault_life(void *ctx)
{
	struct err e = {0};
	(void)ctx;
	faulty();
	struct journal *j = open_at(&nothing, &e);
	if (!j)
		_exit(e.code == ERR_IO || e.code == ERR_NO_SPACE ? 1 : 9);
	int failed = 0;
	for (unsigned from = 0; !failed && from < 60; from += 5) /* at least as many syncs */
		failed = write_some(j, from, from + 5);
	/* a full disk is got over */
	for (unsigned from = 60; failed && from < 100; from += 20) {
		usleep(250000);
		failed = write_some(j, from, from + 20);
	}
	if (failed)
		_exit(8);
	journal_close(j);
	_exit(atomic_load(&arm.left) > 0 ? 42 : 0);
}

static void test_faults(void **state)
{
	(void)state;
	int step = getenv("SLIPWAY_LONG") ? 1 : 4;
	for (int f = 0; f < FAULTS; f++) {
		int rc = 0, k, ended = 0;
		for (k = 1; k < 200 && rc != 42; k += step) {
			char name[32];
			(void)snprintf(name, sizeof(name), "fault-%d-%d", f, k);
			fresh(name);
			arm.kind = (enum fault)f;
			atomic_store(&arm.left, k);
			here = k / step % 2;
			rc = in_child(fault_life, NULL);
			here = false;
			if (rc != 0 && rc != 1 && rc != 42 && rc != 75)
				fail_msg("%s, the %d-th: ended with %d", fault_names[f], k, rc);
			if (rc == 75)
				assert_true(f == WRITE_EIO || f == SYNC_EIO || f == OPEN_EMFILE);
			ended += rc == 75;
			check_all(100, NULL);
			int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			assert_int_equal(fs_remove_tree(at, name, NULL), 0);
			close(at);
		}
		print_message("%s: to the %d-th, %d ended the process\n", fault_names[f], k, ended);
		if (f == SYNC_EIO)
			assert_true(ended > 2);
	}
}

#include "journal_full.h"
#include "journal_room.h"

/* --- kill -9 --- */

static void kill_life(void *ctx)
{
	struct span *s = ctx;
	struct err e = {0};
	struct journal *j = open_at(&nothing, &e);
	if (!j)
		_exit(9);
	write_some(j, s->from, s->to);
	_exit(7);
}

static void test_kills(void **state)
{
	(void)state;
	fresh("kills");
	unsigned next = 1;
	for (int life = 0; life < 20; life++) {
		struct span s = {next, next + 200};
		int status;
		here = life % 2;
		pid_t pid = fork();
		if (pid == 0)
			kill_life(&s);
		here = false;
		while (!sh->acked[next] && waitpid(pid, &status, WNOHANG) == 0)
			usleep(200);
		usleep((useconds_t)rand_below(15000));
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		next += 200;
		check_all(next, NULL);
	}
	print_message("20 kills, %u acknowledged, none lost\n", sh->acked_count);
}

/* --- the parts --- */

static void test_pending(void **state)
{
	(void)state;
	enum { KEYS = 3000 };
	struct pending *p = pending_new();
	static uint64_t model[KEYS];
	size_t count = 0;
	for (int i = 0; i < 200000; i++) {
		unsigned k = (unsigned)rand_below(KEYS);
		struct sip_hash h = {{(uint64_t)k * 16 % 257, k}}; /* many want the same slot */
		assert_int_equal(pending_find(p, h), model[k]);
		if (rand_below(2)) {
			count += model[k] == 0;
			model[k] = (uint64_t)i + 1;
			pending_put(p, h, model[k]);
		} else {
			count -= model[k] != 0;
			model[k] = 0;
			pending_drop(p, h);
		}
		assert_int_equal(pending_count(p), count);
	}
	pending_free(p);
}

static void test_format(void **state)
{
	(void)state;
	struct err e;
	uint8_t seg[SEGMENT_HEAD_BYTES], rec[RECORD_HEAD_BYTES];
	struct segment_head h = {.number = 7, .size_bytes = 1 << 20, .salt = 0x0123456789abcdefu},
			    g;
	segment_pack(&h, seg);
	assert_memory_equal(
	    seg, "SLIPJRN1\1\0\0\0\7\0\0\0\0\0\20\0\0\0\0\0\xef\xcd\xab\x89\x67\x45\x23\1", 32);
	assert_int_equal(segment_unpack(seg, &g, &e), 0);
	assert_int_equal(g.number, 7);
	for (unsigned bit = 0; bit < SEGMENT_HEAD_BYTES * 8; bit++) {
		seg[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(segment_unpack(seg, &g, &e), -1);
		seg[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	struct record_head r = record_make(h.salt, 9, 5, STR("k"), STR("me"), STR("body")), q;
	record_pack(&r, rec);
	assert_true(record_unpack(rec, 39, &q));
	assert_int_equal(q.crc, r.crc);
	assert_int_equal(q.length, 39);
	assert_int_equal(q.sequence, 9);
	assert_int_equal(q.id, 5);
	assert_memory_equal(
	    rec + 4, "\47\0\0\0\11\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\1\0\2\0\0\0\0\0", 28);
	assert_false(record_unpack(rec, 38, &q)); /* does not fit */
	assert_int_not_equal(
	    record_make(h.salt + 1, 9, 5, STR("k"), STR("me"), STR("body")).crc, r.crc);
	rec[8] = 4; /* an id above its sequence */
	assert_false(record_unpack(rec, 39, &q));
}

int main(void)
{
	log_open(LOG_LEVEL_COUNT, 2);
	sh = shared_new(sizeof(*sh));
	disk = shared_new(sizeof(*disk));
	for (size_t i = 0; i < sizeof(bodies); i++)
		bodies[i] = (char)(i * 31 >> 3 ^ i);
	assert_non_null(mkdtemp(dir));
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_pending),
	    cmocka_unit_test(test_lives),
	    cmocka_unit_test(test_repeats),
	    cmocka_unit_test(test_lately),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_forget),
	    cmocka_unit_test(test_forget_what_was_left),
	    cmocka_unit_test(test_made_ahead),
	    cmocka_unit_test(test_alone),
	    cmocka_unit_test(test_alone_and_asked),
	    cmocka_unit_test(test_alone_and_long),
	    cmocka_unit_test(test_alone_on_a_slow_disk),
	    cmocka_unit_test(test_alone_with_others),
	    cmocka_unit_test(test_alone_behind_a_large_one),
	    cmocka_unit_test(test_bit_flips),
	    cmocka_unit_test(test_lost_tail),
	    cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_unreadable_later),
	    cmocka_unit_test(test_power_cuts),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_full_in_between),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_little_room),
	    cmocka_unit_test(test_room_that_nobody_tells),
	    cmocka_unit_test(test_kills),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)!fs_remove_tree(tmp, strrchr(dir, '/') + 1, NULL);
	return failed;
}
