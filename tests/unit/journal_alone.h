/* Entries that come one at a time, written by who brings them; for test_journal.c. */
#pragma once

/* A disk as fast or as slow as a test says, by a clock that knows nothing else: what the machine does
 * besides decides nothing here. */
static _Atomic int64_t steady_us, sync_costs_us;

static int64_t steady_mono_us(void)
{
	return atomic_fetch_add(&steady_us, 1);
}

static int steady_fdatasync(int fd)
{
	atomic_fetch_add(&steady_us, atomic_load(&sync_costs_us));
	return fdatasync(fd);
}

static void steady(bool on)
{
	static struct io io;
	io = io_real;
	io.mono_us = steady_mono_us;
	io.fdatasync = steady_fdatasync;
	atomic_store(&steady_us, io_real.mono_us());
	atomic_store(&sync_costs_us, 50);
	io_set(on ? &io : NULL);
}

static bool by_us(const struct one *o)
{
	return pthread_equal(o->by, pthread_self()) != 0;
}

/* Entries from..to, each waited for; how many of them this thread wrote. */
static unsigned one_by_one(struct journal *j, unsigned from, unsigned to)
{
	struct err e;
	struct one o;
	sem_t told;
	unsigned ours = 0;
	sem_init(&told, 0, 0);
	for (unsigned n = from; n < to; n++) {
		assert_int_equal(append(j, &o, n, &told, &e), 0);
		sem_wait(&told);
		assert_int_equal(o.rc, 0);
		ours += by_us(&o);
	}
	sem_destroy(&told);
	return ours;
}

static void test_alone(void **state)
{
	(void)state;
	struct err e = {0};
	struct one o[3];
	sem_t told;
	fresh("alone");
	here = true;
	steady(true);
	sem_init(&told, 0, 0);
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(one_by_one(j, 1, 9), 0); /* not before it is a habit */
	assert_in_range(one_by_one(j, 14, 26), 10, 12);
	/* two at once are a group, and the next one may be part of one, too */
	for (unsigned i = 0; i < 2; i++) {
		here = false;
		told_later(&o[i], 30 + i, &told);
		assert_int_equal(journal_append(j, &o[i].en, &e), 0);
	}
	journal_go_here(j);
	sem_wait(&told);
	sem_wait(&told);
	assert_false(by_us(&o[0]) || by_us(&o[1]));
	here = true;
	assert_int_equal(one_by_one(j, 32, 38), 0);
	/* a repeat of what waits is told so */
	(void)one_by_one(j, 40, 50);
	assert_int_equal(append(j, &o[2], 45, &told, &e), 0);
	sem_wait(&told);
	assert_int_equal(o[2].en.verdict, JOURNAL_REPEAT);
	/* through many segments, some of which have to be waited for */
	assert_true(one_by_one(j, 60, 200) > 50);
	here = false;
	journal_close(j);
	steady(false);
	sem_destroy(&told);
	assert_int_equal(check_all(200, NULL), 8 + 12 + 2 + 6 + 10 + 140);
}

static unsigned refused, asked;

static int known_later(void *ctx, struct journal_entry *first, bool may_wait, struct err *e)
{
	(void)ctx, (void)first, (void)e;
	asked++;
	refused += !may_wait;
	return !may_wait;
}

/* Where the store cannot be asked at once, the journal's thread asks it. */
static void test_alone_and_asked(void **state)
{
	(void)state;
	struct err e = {0};
	struct journal_options opt = {.path = path, .known = known_later};
	fresh("asked");
	here = true;
	steady(true);
	struct journal *j = journal_open(&opt, &nothing, 0, &e);
	assert_int_equal(one_by_one(j, 0, 60), 0);
	journal_close(j);
	steady(false);
	here = false;
	assert_in_range(refused, 2, 7);
	assert_int_equal(asked, 60 + refused);
	assert_int_equal(check_all(60, NULL), 60);
}

/* Large ones are the journal's thread's, as are those behind a disk that stood still once. */
static void test_alone_and_long(void **state)
{
	(void)state;
	struct err e = {0};
	struct one o;
	sem_t told;
	fresh("long");
	here = true;
	steady(true);
	sem_init(&told, 0, 0);
	struct journal *j = open_at(&nothing, &e);
	(void)one_by_one(j, 1, 12);
	for (unsigned n = 14; n < 16; n++) {
		while (journal_level(j).busy)
			sched_yield();
		told_later(&o, n, &told);
		o.en.body = (struct str){bodies, n % 2 ? 60000 : 70000};
		assert_int_equal(journal_append(j, &o.en, &e), 0);
		journal_go_here(j);
		sem_wait(&told);
		assert_int_equal(by_us(&o), n % 2);
	}
	atomic_store(&sync_costs_us, 300000);
	assert_int_equal(one_by_one(j, 20, 26), 1);
	atomic_store(&sync_costs_us, 50);
	(void)one_by_one(j, 27, 36);
	assert_in_range(one_by_one(j, 40, 50), 9, 10);
	here = false;
	journal_close(j);
	steady(false);
	sem_destroy(&told);
}

static void slow_life(void *ctx)
{
	struct err e = {0};
	(void)ctx;
	steady(true);
	struct journal *j = open_at(&nothing, &e);
	here = true;
	(void)one_by_one(j, 1, 12);
	atomic_store(&sync_costs_us, 3000);
	unsigned first = one_by_one(j, 14, 24), then = one_by_one(j, 27, 37);
	journal_close(j);
	_exit(first == 0 ? 1 : first == 10 ? 2 : then > 0 ? 3 : 0);
}

/* Nobody waits himself for a disk that has become slow. */
static void test_alone_on_a_slow_disk(void **state)
{
	(void)state;
	fresh("slow");
	assert_int_equal(in_child(slow_life, NULL), 0);
	assert_int_equal(check_all(40, NULL), 31);
}

static void *beside(void *arg)
{
	static struct one o[300];
	struct journal *j = arg;
	struct err e;
	sem_t told;
	sem_init(&told, 0, 0);
	for (unsigned i = 0; i < 300; i++) {
		told_later(&o[i], 1000 + i, &told);
		assert_int_equal(journal_append(j, &o[i].en, &e), 0);
		journal_go(j);
		if (i % 7 == 0)
			usleep(3000);
	}
	for (unsigned i = 0; i < 300; i++)
		sem_wait(&told);
	sem_destroy(&told);
	return NULL;
}

/* While one writes here others come, and the other way round: each is answered, in order, once. */
static void test_alone_with_others(void **state)
{
	(void)state;
	struct err e = {0};
	struct one o;
	pthread_t other;
	sem_t told;
	unsigned ours = 0;
	fresh("others");
	sem_init(&told, 0, 0);
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(pthread_create(&other, NULL, beside, j), 0);
	for (unsigned n = 1; n < 900; n++) {
		told_later(&o, n, &told);
		assert_int_equal(journal_append(j, &o.en, &e), 0);
		journal_go_here(j);
		sem_wait(&told);
		ours += by_us(&o);
	}
	pthread_join(other, NULL);
	journal_close(j);
	sem_destroy(&told);
	print_message("%u of 899 were written by who brought them\n", ours);
	assert_int_equal(check_all(1300, NULL), 899 + 300);
}

/* One that does not fit is the journal's thread's, and so is what comes while that writes it. */
static void test_alone_behind_a_large_one(void **state)
{
	(void)state;
	enum { ROUNDS = 100, STEP = 26 };
	struct err e = {0};
	struct one o[2];
	sem_t told;
	unsigned large = 0;
	fresh("behind");
	steady(true);
	sem_init(&told, 0, 0);
	struct journal *j = open_at(&nothing, &e);
	for (unsigned from = 0; from < ROUNDS * STEP; from += STEP) {
		here = true;
		(void)one_by_one(j, from + 1, from + 12);
		here = false;
		for (unsigned i = 0; i < 2; i++) {
			told_later(&o[i], from + 13 + i, &told);
			assert_int_equal(journal_append(j, &o[i].en, &e), 0);
			journal_go_here(j);
			usleep((useconds_t)(from % 7 * 30));
		}
		sem_wait(&told);
		sem_wait(&told);
		assert_int_equal(o[0].rc | o[1].rc, 0);
		large += !by_us(&o[0]);
	}
	journal_close(j);
	steady(false);
	sem_destroy(&told);
	assert_true(large > ROUNDS / 10);
	assert_int_equal(check_all(ROUNDS * STEP, NULL), ROUNDS * 13);
}
