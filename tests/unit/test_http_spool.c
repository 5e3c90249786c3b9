/* rooms: base loop crypto text http */
/* Bodies that go to a file: who may send one, a disk that stands still, one that is full, clients that leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/io.h"
#include "http_world.h"

#include <sys/stat.h>

enum { BIG = 3 << 20 };

static struct io io;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_int at_gate, full;

/* The disk: regular files alone. */
static ssize_t slow_write(int fd, const void *p, size_t n)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return io_real.write(fd, p, n);
	if (atomic_load(&full)) {
		errno = ENOSPC;
		return -1;
	}
	atomic_fetch_add(&at_gate, 1);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return io_real.write(fd, p, n);
}

static int begin(void **state)
{
	(void)state;
	io = io_real;
	io.write = slow_write;
	io_set(&io);
	atomic_store(&at_gate, 0);
	atomic_store(&full, 0);
	start(NULL);
	return 0;
}

static int end(void **state)
{
	(void)state;
	stop();
	io_set(NULL);
	return 0;
}

static void say_big(struct client *c, const char *more_headers)
{
	char head[200];
	char *body = malloc(BIG);
	assert_non_null(body);
	for (size_t i = 0; i < BIG; i++)
		body[i] = (char)('a' + (i ^ i >> 7 ^ i >> 16) % 26);
	(void)snprintf(head, sizeof head, "POST /sum HTTP/1.1\r\nHost: a\r\n%s\r\n", more_headers);
	say_c(c, head);
	if (strstr(more_headers, "chunked"))
		for (size_t at = 0, n = 1; at < BIG; at += n, n = n * 7 % 99991) {
			char line[16];
			n = n < BIG - at ? n : BIG - at;
			(void)snprintf(line, sizeof line, "%zx\r\n", n);
			say_c(c, line);
			say(c, (struct str){body + at, n});
			say_c(c, "\r\n");
		}
	else
		say(c, (struct str){body, BIG});
	if (strstr(more_headers, "chunked"))
		say_c(c, "0\r\n\r\n");
	free(body);
}

static void assert_whole(struct client *c)
{
	char want[64];
	uint32_t sum = SUM_SEED;
	for (size_t i = 0; i < BIG; i++)
		sum = sum_more(sum, (unsigned char)('a' + (i ^ i >> 7 ^ i >> 16) % 26));
	(void)snprintf(want, sizeof want, "%d %08x", BIG, sum);
	assert_int_equal(answer(c), 200);
	assert_body(c, want);
}

static const char announced[] = "Content-Length: 3145728\r\n",
		  chunked[] = "Transfer-Encoding: chunked\r\n";

/* Every byte, in order, however it comes; and the next request on the same connection. */
static void test_all_of_it(void **state)
{
	(void)state;
	struct client c;
	client_open(&c);
	for (int i = 0; i < 3; i++) {
		say_big(&c, announced);
		assert_whole(&c);
		say_big(&c, chunked);
		assert_whole(&c);
	}
	say_c(&c, REQ("POST", "/sum", "Content-Length: 2\r\n") "ab" GET("/hello"));
	assert_int_equal(answer(&c), 200);
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "hello");
	client_close(&c);
}

/* Nothing of it is asked for, nor taken. */
static void test_who_may_not(void **state)
{
	(void)state;
	struct client c;
	client_open(&c);
	assert_int_equal(
	    ask(&c, REQ("POST", "/sum", "X-Deny: 1\r\nContent-Length: 3145728\r\n")), 401);
	assert_ends(&c);
	client_close(&c);
	client_open(&c);
	assert_int_equal(
	    ask(&c, REQ("POST", "/sum",
			"X-Deny: 1\r\nExpect: 100-continue\r\nContent-Length: 3145728\r\n")),
	    401);
	assert_ends(&c);
	client_close(&c);
	client_open(&c);
	assert_int_equal(
	    ask(&c, REQ("POST", "/sum",
			"X-Deny: 1\r\nTransfer-Encoding: chunked\r\n") "5\r\nhello\r\n"),
	    401);
	assert_ends(&c);
	client_close(&c);
	assert_int_equal(atomic_load(&at_gate), 0);
	client_open(&c);
	assert_int_equal(
	    ask(&c, REQ("POST", "/sum", "Expect: 100-continue\r\nContent-Length: 2\r\n")), 100);
	assert_int_equal(ask(&c, "ab"), 200);
	client_close(&c);
}

/* Others are served; who has left, sent all, or sent half of it and no more, does no harm. */
static void test_a_disk_that_stands_still(void **state)
{
	(void)state;
	struct client whole, leaves, half, other;
	client_open(&whole);
	client_open(&leaves);
	client_open(&half);
	client_open(&other);
	pthread_mutex_lock(&gate);
	say_c(&leaves, REQ("POST", "/sum", "Content-Length: 3145728\r\n") "some of it");
	say_c(&half, REQ("POST", "/sum", "Content-Length: 20\r\n") "half of it");
	say_c(&whole, REQ("POST", "/sum", "Content-Length: 5\r\n") "hello");
	await(&at_gate, 2); /* as many as the pool has threads */
	client_close(&leaves);
	(void)shutdown(half.fd, SHUT_WR);
	(void)shutdown(whole.fd, SHUT_WR);
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask(&other, GET("/hello")), 200);
	assert_int_equal(more(&whole, 0), -1);
	pthread_mutex_unlock(&gate);
	assert_int_equal(answer(&whole), 200);
	assert_int_equal(answer(&half), 0);
	client_close(&whole);
	client_close(&half);
	client_close(&other);
}

/* The server is freed while a piece is being written. */
static void test_ends_meanwhile(void **state)
{
	(void)state;
	struct client c;
	client_open(&c);
	pthread_mutex_lock(&gate);
	say_c(&c, REQ("POST", "/sum", "Content-Length: 20\r\n") "half of it");
	await(&at_gate, 1);
	loop_post(w.loop, free_on_loop, NULL);
	assert_int_equal(answer(&c), 0);
	pthread_mutex_unlock(&gate);
	client_close(&c);
}

static void test_a_full_disk(void **state)
{
	(void)state;
	struct client c;
	client_open(&c);
	atomic_store(&full, 1);
	say_c(&c, REQ("POST", "/sum", "Content-Length: 3145728\r\n") "some of it");
	assert_int_equal(answer(&c), 507);
	assert_ends(&c);
	client_close(&c);
	atomic_store(&full, 0);
	client_open(&c);
	say_big(&c, announced);
	assert_whole(&c);
	client_close(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	log_open(LOG_LEVEL_COUNT, 2);
	const struct CMUnitTest tests[] = {
	    TEST(test_all_of_it),
	    TEST(test_who_may_not),
	    TEST(test_a_disk_that_stands_still),
	    TEST(test_ends_meanwhile),
	    TEST(test_a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
