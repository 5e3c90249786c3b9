/* A block that the disk cannot read; for test_journal.c. */
#pragma once

static struct {
	char file[160];
	off_t at; /* of the block */
	int sys;
	bool
	    parts; /* what stands before it is read, as from the page cache; without it nothing is */
} unread;

static ssize_t unread_pread(int fd, void *p, size_t n, off_t at)
{
	struct stat st, bad;
	bool ours = fstat(fd, &st) == 0 && stat(unread.file, &bad) == 0 && st.st_ino == bad.st_ino;
	if (!ours || at >= unread.at + 4096 || at + (off_t)n <= unread.at)
		return pread(fd, p, n, at);
	if (unread.parts && at < unread.at)
		return pread(fd, p, (size_t)(unread.at - at), at);
	return errno = unread.sys, -1;
}

static void unread_use(unsigned block, int sys, bool parts)
{
	static struct io io;
	io = io_real;
	io.pread = unread_pread;
	(void)snprintf(unread.file, sizeof(unread.file), "%s/00000001", path);
	unread.at = (off_t)block * 4096;
	unread.sys = sys;
	unread.parts = parts;
	io_set(&io);
}

/* How many of them do not reach into the block. */
static unsigned beside_block(const struct journal_record *v, unsigned n, unsigned block)
{
	uint64_t at = (uint64_t)block * 4096;
	unsigned count = 0;
	for (unsigned i = 0; i < n; i++)
		count += v[i].place.at_bytes + v[i].length_bytes <= at ||
			 v[i].place.at_bytes >= at + 4096;
	return count;
}

static int log_begin(char file[sizeof(dir) + 8])
{
	(void)snprintf(file, sizeof(dir) + 8, "%s/log", dir);
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	log_open(LOG_WARN, fd);
	return fd;
}

static bool log_end(int fd, const char *word)
{
	char text[8192];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	log_open(LOG_LEVEL_COUNT, 2);
	close(fd);
	return strstr(text, word) != NULL;
}

/* It costs the records that reach into it and no other, and is said; any other error is one. */
static void test_unreadable(void **state)
{
	(void)state;
	enum { MANY = 12, BLOCKS = 24 };
	static struct journal_record v[MANY + 1];
	static char text[MANY + 1][512];
	static bool lost[NUMBERS];
	struct err e = {0};
	char file[sizeof(dir) + 8];
	unsigned lost_once = 0;
	fresh("unreadable");
	memset(lost, 1, sizeof(lost));
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(write_some(j, 92, 92 + MANY), 0);
	assert_int_equal(read_all(j, v, text, MANY + 1), MANY);
	journal_close(j);
	for (unsigned b = 0; b < BLOCKS; b++) {
		unsigned left = beside_block(v, MANY, b);
		bool between = left < MANY && v[MANY - 1].place.at_bytes >= (b + 1) * 4096ull;
		unread_use(b, EIO, b % 2);
		int fd = log_begin(file);
		assert_int_equal(check_all(104, lost), left);
		assert_int_equal(log_end(fd, " journal damaged "), between);
		lost_once += between;
	}
	assert_true(lost_once > 3);
	unread_use(3, ENXIO, false);
	assert_null(open_at(&nothing, &e));
	assert_int_equal(e.code, ERR_IO);
	io_set(NULL);
	assert_int_equal(check_all(104, NULL), MANY);
}

/* What could be read on opening and cannot be when it is to be drained: said, and nobody waits for it. */
static void test_unreadable_later(void **state)
{
	(void)state;
	enum { MANY = 12 };
	static struct journal_record v[MANY + 1];
	static char text[MANY + 1][512];
	struct err e = {0};
	struct journal_record rec;
	char file[sizeof(dir) + 8];
	fresh("unreadable-later");
	struct journal *j = open_at(&nothing, &e);
	assert_int_equal(write_some(j, 92, 92 + MANY), 0);
	assert_int_equal(read_all(j, v, text, MANY + 1), MANY);
	journal_close(j);
	for (unsigned i = 3; i < MANY; i += MANY - 4) { /* one in between, and the last */
		unsigned block = (unsigned)(v[i].place.at_bytes / 4096), count = 0;
		io_set(NULL);
		j = open_at(&nothing, &e);
		assert_int_equal(journal_level(j).count, MANY);
		unread_use(block, EIO, false);
		int fd = log_begin(file);
		struct journal_reader *r = journal_reader_new(j);
		while (journal_read(r, &rec, &e) == 1) {
			journal_drained(j, &rec, 1);
			count++;
		}
		assert_true(log_end(fd, i == 3 ? " journal damaged " : " journal lost "));
		assert_int_equal(count, beside_block(v, MANY, block));
		assert_in_range(count, 3, MANY - 1);
		assert_true(journal_level(j).count == 0 && journal_level(j).bytes == 0);
		journal_reader_free(r);
		journal_close(j);
	}
	io_set(NULL);
}
