/* rooms: base crypto render launch helper */
/* A certificate from outside, with the real server and the real slipway-cert: judged, installed with
 * its vhost, kept when the next one does not fit, taken away. */
#include "edge_fixture.h"

#include "crypto/certificate.h"

static struct render_vhost shop;

static struct certificate pair_for(const char *host)
{
	struct certificate c;
	struct err e;
	struct str names[] = {str_c(host)};
	certificate_init(&c);
	assert_int_equal(certificate_self_signed(names, 1, clock_wall_ms(), &c, &e), 0);
	return c;
}

static enum err_code give(
    const struct certificate *chain, const struct certificate *key, bool trusted)
{
	struct err e;
	uint64_t seq = next_seq++;
	const char *cut = strstr(chain->pem.p, "-----BEGIN CERT"),
		   *end = strstr(key->pem.p, "-----BEGIN CERT");
	int fds[3] = {fs_memfd("vhost", &shop, sizeof(shop), &e),
	    fs_memfd("chain", cut, strlen(cut), &e),
	    fs_memfd("key", key->pem.p, (size_t)(end - key->pem.p), &e)};
	int rc = edge_certificate_set(edge, seq, &shop, trusted, fds, &e);
	for (unsigned i = 0; i < 3; i++)
		fs_close_fd(&fds[i]);
	if (rc < 0)
		return e.code;
	assert_int_equal(rc, 1);
	pump_until(seq);
	return results[seq].code;
}

static bool says(const char *path, const char *text)
{
	static char have[1 << 16];
	char name[200];
	(void)snprintf(name, sizeof(name), "%s/%s", edge_dir, path);
	CLEANUP_FD int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, have, sizeof(have) - 1);
	have[n < 0 ? 0 : n] = '\0';
	return n > 0 && strstr(have, text);
}

static int status_of(const char *host)
{
	char answer[4096];
	return ask(answer, sizeof(answer),
	    "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
}

static void begin(void)
{
	vhost(&shop, "shop");
	(void)snprintf(shop.domains[1], sizeof(shop.domains[1]), "shop.example.org");
	shop.domain_count = 2;
	add_static(&shop, "/", "");
	make_release("shop", 1);
	go_live("shop", 1, 0);
	assert_int_equal(set(&shop), ERR_NONE);
}

static void test_life(void **state)
{
	(void)state;
	struct certificate a = pair_for("shop.example.org"), b = pair_for("shop.example.org"),
			   c = pair_for("other.example.org");
	struct err e;
	begin();
	assert_int_equal(status_of("shop.example.org"), 200);
	assert_int_equal(give(&a, &a, false), ERR_NONE);
	assert_true(
	    says("certs/shop.pem", "# shop.example.org\n# untrusted\n-----BEGIN PRIVATE KEY"));
	assert_true(apache ? says("apache/shop.conf", "SSLCertificateFile certs/shop.pem")
			   : says("vhosts/shop.conf", "ssl_certificate certs/shop.pem;"));
	assert_int_equal(status_of("shop.example.org"), 200);
	assert_int_equal(give(&b, &b, true), ERR_NONE);
	assert_true(says("certs/shop.pem", "# shop.example.org\n# trusted\n"));
	assert_int_equal(status_of("shop.example.org"), 308);
	assert_int_equal(status_of("shop.localhost"), 200);
	/* what does not fit changes nothing */
	assert_int_equal(give(&a, &b, true), ERR_INVALID);
	assert_int_equal(give(&c, &c, true), ERR_INVALID);
	assert_int_equal(status_of("shop.example.org"), 308);
	const char *key = strstr(b.pem.p, "\n") + 1;
	char line[65];
	(void)snprintf(line, sizeof(line), "%.64s", key);
	assert_true(says("certs/shop.pem", line));
	/* a vhost that is set anew keeps it */
	shop.body_max_bytes = 2000;
	assert_int_equal(set(&shop), ERR_NONE);
	assert_int_equal(status_of("shop.example.org"), 308);
	uint64_t seq = next_seq++;
	assert_int_equal(edge_certificate_remove(edge, seq, &shop, &e), 1);
	pump_until(seq);
	assert_int_equal(results[seq].code, ERR_NONE);
	assert_false(says("certs/shop.pem", "#"));
	assert_int_equal(status_of("shop.example.org"), 200);
	assert_int_equal(edge_certificate_remove(edge, next_seq++, &shop, &e), 0);
	certificate_fini(&a);
	certificate_fini(&b);
	certificate_fini(&c);
}

/* The server refuses what is tested with it: the certificate before stays, and so does the vhost. */
static void test_refused_together(void **state)
{
	(void)state;
	struct certificate a = pair_for("shop.example.org"), b = pair_for("shop.example.org");
	char path[64], mine[65];
	begin();
	assert_int_equal(give(&a, &a, true), ERR_NONE);
	/* the skeleton is spoilt, as a defect of the renderer would */
	(void)snprintf(path, sizeof(path), "%s/test/secure.conf", edge_dir);
	CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	char before[1024];
	ssize_t n = read(fd, before, sizeof(before));
	assert_true(n > 0 && pwrite(fd, "nonsense;", 9, 0) == 9);
	assert_int_equal(give(&b, &b, true), ERR_FAILED);
	assert_true(pwrite(fd, before, (size_t)n, 0) == n);
	(void)snprintf(mine, sizeof(mine), "%.64s", strstr(a.pem.p, "\n") + 1);
	assert_true(says("certs/shop.pem", mine));
	assert_int_equal(status_of("shop.example.org"), 308);
	assert_false(says("test/certs/shop.pem", "#"));
	uint64_t seq = next_seq++;
	struct err e;
	assert_int_equal(edge_vhost_remove(edge, seq, STR("shop"), &e), 1);
	pump_until(seq);
	assert_false(says("certs/shop.pem", "#"));
	assert_false(says("certs/self/shop.localhost", "#"));
	certificate_fini(&a);
	certificate_fini(&b);
}

static enum err_code give_own(unsigned which, const struct certificate *c, bool trusted)
{
	struct err e;
	uint64_t seq = next_seq++;
	const char *cut = strstr(c->pem.p, "-----BEGIN CERT");
	int fds[2] = {fs_memfd("chain", cut, strlen(cut), &e),
	    fs_memfd("key", c->pem.p, (size_t)(cut - c->pem.p), &e)};
	int rc = edge_own_set(edge, seq, which, trusted, fds, &e);
	assert_int_equal(rc, 1);
	assert_true(fds[0] < 0 && fds[1] < 0);
	pump_until(seq);
	return results[seq].code;
}

static void take_own(unsigned which, int expected)
{
	struct err e;
	uint64_t seq = next_seq++;
	assert_int_equal(edge_own_remove(edge, seq, which, &e), expected);
	if (expected == 1) {
		pump_until(seq);
		assert_int_equal(results[seq].code, ERR_NONE);
	}
}

/* The platform's: for its host, and for all names below. */
static void test_own(void **state)
{
	(void)state;
	struct certificate host = pair_for("slipway.localhost"),
			   other = pair_for("other.localhost");
	begin();
	assert_int_equal(give_own(EDGE_OWN_HOST, &other, true), ERR_INVALID);
	assert_false(says("certs/_host.pem", "#"));
	assert_int_equal(give_own(EDGE_OWN_HOST, &host, false), ERR_NONE);
	assert_true(says("certs/_host.pem", "# slipway.localhost\n# untrusted\n"));
	assert_true(says("platform.conf", "certs/_host.pem"));
	assert_int_equal(status_of("slipway.localhost"), 404);
	assert_int_equal(give_own(EDGE_OWN_HOST, &host, true), ERR_NONE);
	assert_int_equal(status_of("slipway.localhost"), 308);
	/* a name that is not below, or below a name below, is not what it is for */
	assert_int_equal(give_own(EDGE_OWN_WILDCARD, &host, true), ERR_INVALID);
	take_own(EDGE_OWN_WILDCARD, 0);
	take_own(EDGE_OWN_HOST, 1);
	take_own(EDGE_OWN_HOST, 0);
	assert_false(says("platform.conf", "certs/_host.pem"));
	assert_int_equal(status_of("slipway.localhost"), 404);
	assert_false(says("test/certs/_host.pem", "#"));
	certificate_fini(&host);
	certificate_fini(&other);
}

/* A certificate that cannot be read any more keeps nobody from being served. */
static void test_own_spoilt(void **state)
{
	(void)state;
	struct certificate host = pair_for("slipway.localhost");
	char path[64];
	begin();
	assert_int_equal(give_own(EDGE_OWN_HOST, &host, true), ERR_NONE);
	(void)snprintf(path, sizeof(path), "%s/certs/_host.pem", edge_dir);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	static const char spoilt[] = "# slipway.localhost\n# trusted\nx";
	assert_true(fd >= 0 && write(fd, spoilt, sizeof(spoilt) - 1) == sizeof(spoilt) - 1 &&
		    ftruncate(fd, sizeof(spoilt) - 1) == 0);
	stop_edge();
	start_edge();
	assert_int_equal(status_of("slipway.localhost"), 404);
	assert_int_equal(status_of("shop.localhost"), 200);
	take_own(EDGE_OWN_HOST, 1);
	certificate_fini(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_life),
	    cmocka_unit_test(test_refused_together),
	    cmocka_unit_test(test_own),
	    cmocka_unit_test(test_own_spoilt),
	};
	return cmocka_run_group_tests(tests, group_up, group_down);
}
