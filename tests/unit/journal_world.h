/* A journal in a folder of its own, entries and what became of them, known to children of this process too; for test_journal.c, which
 * includes what this needs. */
#pragma once

/* What outlives a child: who was acknowledged. */
static struct shared {
	atomic_bool acked[NUMBERS];
	uint64_t id[NUMBERS];
	atomic_uint acked_count;
	uint64_t seed; /* of what survives a power cut */
} * sh;

static char dir[] = "/tmp/slipway-journal-XXXXXX";
static char path[96];

static void *shared_new(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

/* One entry: number n, from which key, meta and body follow. */
struct one {
	struct journal_entry en;
	unsigned n;
	int rc;
	enum err_code code;
	sem_t *told;
	pthread_t by; /* who answered */
	char key[24], meta[40];
};

static char bodies[200000];

static size_t body_bytes(unsigned n)
{
	return n % 13 == 0 ? 150000 - n : n % 5 == 0 ? 0 : 37u * n % 9000;
}

static struct str body_of(unsigned n)
{
	return (struct str){bodies + n, body_bytes(n)};
}

static void on_done(struct journal_entry *en, int rc, const struct err *e)
{
	struct one *o = (struct one *)(void *)en; /* its first member */
	o->rc = rc;
	o->by = pthread_self();
	o->code = rc < 0 ? e->code : ERR_NONE;
	if (rc == 0) {
		sh->id[o->n] = en->id;
		atomic_store(&sh->acked[o->n], true);
		atomic_fetch_add(&sh->acked_count, 1);
	}
	sem_post(o->told);
}

static void told_later(struct one *o, unsigned n, sem_t *told)
{
	*o = (struct one){.n = n, .told = told};
	(void)snprintf(o->key, sizeof(o->key), "key-%u", n);
	(void)snprintf(o->meta, sizeof(o->meta), "meta of %u", n);
	o->en.key = str_c(o->key);
	o->en.meta = str_c(o->meta);
	o->en.body = body_of(n);
	o->en.done = on_done;
}

static bool here; /* each by itself, written by who brings it where the journal lets him */

static int append(struct journal *j, struct one *o, unsigned n, sem_t *told, struct err *e)
{
	told_later(o, n, told);
	while (here && journal_level(j).busy)
		sched_yield();
	int rc = journal_append(j, &o->en, e);
	if (here)
		journal_go_here(j);
	else
		journal_go(j);
	return rc;
}

static struct journal *open_at(const struct journal_mark *mark, struct err *e)
{
	struct journal_options o = {.path = path,
	    .segment_least_bytes = 256u << 10,
	    .segment_most_bytes = 512u << 10,
	    .undrained_bytes_max = 64u << 20};
	return journal_open(&o, mark, 0, e);
}

static const struct journal_mark nothing;

/* Entries from..to in groups of up to 8, each group waited for. */
static int write_some(struct journal *j, unsigned from, unsigned to)
{
	struct one o[8];
	struct err e;
	sem_t told;
	int failed = 0;
	sem_init(&told, 0, 0);
	for (unsigned n = from; n < to;) {
		unsigned many = here ? 1 : 1 + n % 8, sent = 0;
		for (; sent < many && n + sent < to; sent++)
			if (append(j, &o[sent], n + sent, &told, &e) != 0)
				break;
		for (unsigned i = 0; i < sent; i++)
			sem_wait(&told);
		for (unsigned i = 0; i < sent; i++)
			failed += o[i].rc != 0;
		n += sent ? sent : 1;
	}
	sem_destroy(&told);
	return failed;
}

/* Reads everything behind the mark; every acknowledged number that `lost` does not excuse must be
 * there, whole. How many. */
static unsigned check_all(unsigned below, const bool *lost)
{
	struct err e = {0};
	struct arena a;
	struct journal *j = open_at(&nothing, &e);
	if (!j)
		fail_msg("%s", e.msg);
	struct journal_reader *r = journal_reader_new(j);
	struct journal_record rec;
	bool *seen = calloc(NUMBERS, 1);
	unsigned count = 0, n;
	uint64_t last = 0;
	int rc;
	while ((rc = journal_read(r, &rec, &e)) > 0) {
		char key[24], meta[40];
		assert_true(str_copy(rec.key, key, sizeof(key)));
		assert_int_equal(sscanf(key, "key-%u", &n), 1);
		assert_in_range(n, 0, NUMBERS - 1);
		(void)snprintf(meta, sizeof(meta), "meta of %u", n);
		assert_true(str_eq_c(rec.meta, meta));
		assert_true(rec.sequence > last);
		assert_false(seen[n]);
		if (sh->acked[n])
			assert_int_equal(rec.id, sh->id[n]);
		seen[n] = true;
		last = rec.sequence;
		count++;
		struct str body;
		arena_init(&a, 1 << 20);
		assert_int_equal(journal_body(j, rec.place, &a, &body, &e), 1);
		assert_true(str_eq(body, body_of(n)));
		arena_fini(&a);
	}
	if (rc < 0)
		fail_msg("%s", e.msg);
	for (n = 0; n < below; n++)
		if (sh->acked[n] && !seen[n] && !(lost && lost[n]))
			fail_msg("%u was acknowledged and is lost", n);
	free(seen);
	journal_reader_free(r);
	journal_close(j);
	return count;
}

static void fresh(const char *name)
{
	memset(sh, 0, sizeof(*sh));
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
}

/* Runs fn in a child; its exit code. */
static int in_child(void (*fn)(void *), void *ctx)
{
	int status, null;
	pid_t pid = fork();
	if (pid == 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, 2);
		fn(ctx);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}
