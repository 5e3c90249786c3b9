/* A disk that is full in the middle of a group; for test_journal.c. */
#pragma once

/* How many are read, and drained, from here on; their keys follow each other from that number. */
static unsigned drain_from(struct journal *j, struct journal_reader *r, unsigned n)
{
	struct err e = {0};
	struct journal_record rec;
	unsigned count = 0;
	char key[24];
	while (journal_read(r, &rec, &e) == 1) {
		(void)snprintf(key, sizeof(key), "key-%u", n + count++);
		assert_true(str_eq_c(rec.key, key));
		journal_drained(j, &rec, 1);
	}
	return count;
}

/* More than a megabyte is written in parts. The disk is full in the middle: what got onto it whole
 * was refused all the same, and is neither read nor counted off once more. */
static void full_in_between(enum fault kind, int left, unsigned failed)
{
	enum { LARGE = 10 };
	struct err e = {0};
	static struct one o[LARGE];
	sem_t told;
	struct journal_options opt = {.path = path, .segment_least_bytes = 4u << 20};
	sem_init(&told, 0, 0);
	struct journal *j = journal_open(&opt, &nothing, 0, &e);
	struct journal_reader *r = journal_reader_new(j);
	assert_int_equal(write_some(j, 1, 6), 0);
	assert_int_equal(drain_from(j, r, 1), 5);
	while (journal_level(j).busy) /* then all that is queued next is one group */
		sched_yield();
	arm.kind = kind;
	atomic_store(&arm.left, left);
	faulty();
	for (unsigned i = 0; i < LARGE; i++) {
		told_later(&o[i], 100 + i, &told);
		o[i].en.body = (struct str){bodies, 150000};
		assert_int_equal(journal_append(j, &o[i].en, &e), 0);
	}
	journal_go(j);
	for (unsigned i = 0; i < LARGE; i++)
		sem_wait(&told);
	while (journal_level(j).busy) /* its thread still looks at the clock, by way of what is taken away now */
		sched_yield();
	io_set(NULL);
	for (unsigned i = 0; i < LARGE; i++)
		assert_int_equal(o[i].code, i < failed ? ERR_NO_SPACE : ERR_NONE);
	assert_int_equal(drain_from(j, r, 100 + failed), LARGE - failed);
	assert_true(journal_level(j).count == 0 && journal_level(j).bytes == 0);
	assert_int_equal(write_some(j, 100, 130), 0); /* their senders try again */
	assert_int_equal(drain_from(j, r, 100), 30);
	assert_true(journal_level(j).count == 0 && journal_level(j).bytes == 0);
	assert_int_equal(write_some(j, 130, 140), 0);
	assert_int_equal(drain_from(j, r, 130), 10);
	assert_true(journal_level(j).count == 0 && journal_level(j).bytes == 0);
	journal_reader_free(r);
	journal_close(j);
	sem_destroy(&told);
}

static void test_full_in_between(void **state)
{
	(void)state;
	fresh("between");
	full_in_between(WRITE_FULL, 2, 10);
	fresh("between-torn");
	full_in_between(
	    WRITE_TORN, 1, 7); /* what is not in its first megabyte is a group of its own */
}

static void test_refused(void **state)
{
	(void)state;
	struct refused f = {0};
	for (uint64_t n = 10; n <= 100; n += 10) {
		refused_add(&f, n, n + 3);
		refused_add(&f, n + 4, n + 5); /* at once behind it */
	}
	assert_int_equal(f.n, 10);
	for (uint64_t n = 0; n < 120; n++)
		assert_int_equal(refused_has(&f, n), n >= 10 && n < 110 && n % 10 <= 5);
	refused_forget(&f, 54);
	assert_true(f.n == 6 && refused_has(&f, 52) && !refused_has(&f, 45));
	refused_forget(&f, 105);
	assert_int_equal(f.n, 0);
	refused_fini(&f);
}
