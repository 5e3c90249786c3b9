/* rooms: base text cli */
/* The command's parts that need no server: flags, suggestions, events in pieces, tables, safe text,
 * addresses, links, servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/archive.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/git.h"
#include "cli/pin.h"
#include "cli/servers.h"

static const struct cli_flag own[] = {
    {"force", NULL, "", 'f'}, {"domain", "D", "", 'd'}, {NULL, NULL, NULL, 0}};

static int parse(struct cli_args *a, struct err *e, int argc, ...)
{
	static char *argv[16];
	va_list ap;
	va_start(ap, argc);
	for (int i = 0; i < argc; i++)
		argv[i] = va_arg(ap, char *);
	va_end(ap);
	return args_parse(argc, argv, own, cli_global_flags(), a, e);
}

static void test_flags_stand_anywhere(void **state)
{
	(void)state;
	struct cli_args a;
	struct err e = {0};
	assert_int_equal(
	    parse(&a, &e, 7, "shop", "-d", "a.org", "--domain=b.org", "--json", ".", "-f"), 0);
	assert_int_equal(a.word_count, 2);
	assert_string_equal(a.words[1], ".");
	assert_string_equal(args_value_at(&a, "domain", 0), "a.org");
	assert_string_equal(args_value_at(&a, "domain", 1), "b.org");
	assert_null(args_value_at(&a, "domain", 2));
	assert_string_equal(args_value(&a, "domain"), "b.org");
	assert_true(args_has(&a, "force") && args_has(&a, "json") && !args_has(&a, "server"));
}

static void test_what_stands_behind_two_dashes_is_not_read(void **state)
{
	(void)state;
	struct cli_args a;
	struct err e = {0};
	assert_int_equal(parse(&a, &e, 5, "shop", "--", "ls", "--force", "--"), 0);
	assert_int_equal(a.rest_count, 3);
	assert_string_equal(a.rest[1], "--force");
	assert_false(args_has(&a, "force"));
	assert_int_equal(parse(&a, &e, 2, "-", "x"), 0);
	assert_int_equal(a.word_count, 2);
	assert_null(a.rest);
}

static void test_wrong_flags_name_the_nearest(void **state)
{
	(void)state;
	struct cli_args a;
	struct err e = {0};
	assert_int_equal(parse(&a, &e, 1, "--forse"), -1);
	assert_int_equal(e.code, ERR_USAGE);
	assert_string_equal(e.hint, "did you mean '--force'?");
	assert_int_equal(parse(&a, &e, 1, "--zzzzzzzz"), -1);
	assert_string_equal(e.hint, "");
	assert_int_equal(parse(&a, &e, 1, "--domain"), -1);
	assert_int_equal(parse(&a, &e, 1, "--force=1"), -1);
	assert_int_equal(parse(&a, &e, 1, "-fd"), -1);
	assert_int_equal(
	    parse(&a, &e, 1,
		"--"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
	    -1);
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(args_distance("deploy", "deploy"), 0);
	assert_int_equal(args_distance("deply", "deploy"), 1);
	assert_int_equal(args_distance("kitten", "sitting"), 3);
	assert_int_equal(args_distance("", "abc"), 3);
	assert_true(args_near("rolback", "rollback") && args_near("dep", "deploy"));
	assert_false(args_near("xyz", "deploy") || args_near("site", "set"));
}

static const struct cli_command *match(struct err *e, int *used, int argc, ...)
{
	static char *argv[8];
	va_list ap;
	va_start(ap, argc);
	for (int i = 0; i < argc; i++)
		argv[i] = va_arg(ap, char *);
	va_end(ap);
	return commands_match(argc, argv, used, e);
}

static void test_commands_are_found(void **state)
{
	(void)state;
	struct err e = {0};
	int used;
	assert_string_equal(match(&e, &used, 2, "hooks", "create")->name, "hooks create");
	assert_int_equal(used, 2);
	assert_string_equal(match(&e, &used, 2, "deploy", "shop")->name, "deploy");
	assert_int_equal(used, 1);
	assert_string_equal(match(&e, &used, 1, "hooks")->name, "hooks list");
	assert_string_equal(match(&e, &used, 2, "env", "--json")->name, "env list");
	assert_null(match(&e, &used, 1, "hooks create"));
	assert_null(match(&e, &used, 1, "deplyo"));
	assert_string_equal(e.hint, "did you mean 'slipway deploy'?");
	assert_null(match(&e, &used, 2, "hooks", "rotat"));
	assert_string_equal(e.hint, "did you mean 'slipway hooks rotate'?");
	assert_string_equal(match(&e, &used, 2, "env", "shop")->name, "env list");
	assert_int_equal(used, 1);
	assert_null(match(&e, &used, 2, "tokens", "shop"));
	assert_string_equal(e.hint, "slipway tokens --help");
}

/* Every row can be asked for, has an example that begins with itself, and fits its own bounds. */
static void test_the_table_is_whole(void **state)
{
	(void)state;
	size_t n;
	const struct cli_command *k = cli_commands(&n);
	for (size_t i = 0; i < n; i++) {
		char begin[64];
		assert_ptr_equal(commands_find(k[i].name), &k[i]);
		assert_non_null(k[i].fn);
		assert_true(k[i].help[0] && k[i].words_min <= k[i].words_max);
		snprintf(begin, sizeof(begin), "slipway %s", k[i].name);
		assert_memory_equal(k[i].example, begin, strlen(begin));
		for (const struct cli_flag *f = k[i].flags; f->name; f++)
			for (const struct cli_flag *g = cli_global_flags(); g->name; g++) {
				assert_string_not_equal(f->name, g->name);
				assert_true(!f->letter || f->letter != g->letter);
			}
	}
}

static int collect(void *ctx, struct str id, struct str event, struct str data)
{
	struct buf *b = ctx;
	buf_printf(b, "[%.*s|%.*s|%.*s]", STR_ARG(id), STR_ARG(event), STR_ARG(data));
	return str_eq_c(event, "end");
}

static void test_events_come_whole_from_pieces_of_every_size(void **state)
{
	(void)state;
	static const char text[] =
	    "\xef\xbb\xbf: hello\n\nid: 7\nevent: step\ndata: {\"a\":1}\n\n"
	    "data:one\r\ndata: two\r\n\r\nevent: nothing\n\nid\rdata\r\revent: end\ndata: x\n\n";
	for (size_t size = 1; size <= sizeof(text); size++) {
		struct sse s;
		struct buf got;
		struct err e = {0};
		int rc = 0;
		buf_init(&got, 4096);
		sse_init(&s, collect, &got);
		for (size_t at = 0; at < sizeof(text) - 1 && rc == 0; at += size)
			rc = sse_feed(
			    &s, str_slice((struct str){text, sizeof(text) - 1}, at, size), &e);
		assert_int_equal(rc, 1);
		assert_string_equal(
		    got.p, "[7|step|{\"a\":1}][7|message|one\ntwo][|message|][|end|x]");
		sse_fini(&s);
		buf_fini(&got);
	}
}

static void test_a_broken_event_is_dropped_and_the_id_kept(void **state)
{
	(void)state;
	struct sse s;
	struct buf got;
	struct err e = {0};
	buf_init(&got, 4096);
	sse_init(&s, collect, &got);
	assert_int_equal(sse_feed(&s, STR("id: 3\ndata: a\n\nid: 4\ndata: half"), &e), 0);
	assert_string_equal(s.id, "4");
	sse_reset(&s);
	assert_int_equal(sse_feed(&s, STR("data: b\n\n"), &e), 0);
	assert_string_equal(got.p, "[3|message|a][4|message|b]");
	char *long_line = malloc(SSE_EVENT_BYTES_MAX + 2);
	memset(long_line, 'x', SSE_EVENT_BYTES_MAX + 2);
	assert_int_equal(sse_feed(&s, (struct str){long_line, SSE_EVENT_BYTES_MAX + 2}, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	free(long_line);
	sse_fini(&s);
	buf_fini(&got);
}

static void test_text_is_safe_for_a_terminal(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1 << 20);
	assert_string_equal(out_safe(&a, STR("say \"hi\" \\o/")), "say \"hi\" \\o/");
	assert_string_equal(
	    out_safe(&a, STR("\x1b[31mred\n\xe2\x80\xae")), "\\x1b[31mred\\n\\u{202e}");
	assert_string_equal(out_safe(&a, STR("")), "");
	assert_string_equal(out_safe(&a, STR("\"\x07\"")), "\"\\x07\"");
	assert_int_equal(out_columns("✓ok"), 3);
	assert_string_equal(out_cut(&a, "abcdef", 6), "abcdef");
	assert_string_equal(out_cut(&a, "abcdef", 4), "abc…");
	assert_string_equal(out_cut(&a, "äöüäöü", 4), "äöü…");
	arena_fini(&a);
}

static void test_tables_are_aligned(void **state)
{
	(void)state;
	static const char *const heads[] = {"NAME", ">N", "WHAT"}, *const one[] = {"ä", "7", "x"},
				 *const two[] = {"longer", "123", ""};
	struct arena a;
	struct out_table t;
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	arena_init(&a, 1 << 20);
	out_table_init(&t, &a, 3, heads);
	out_table_row(&t, one);
	out_table_row(&t, two);
	out_table_print(&t, f);
	out_table_fini(&t);
	fclose(f);
	assert_string_equal(text, "NAME      N  WHAT\nä         7  x\nlonger  123  \n");
	free(text);
	arena_fini(&a);
}

static void test_times(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {{0, "0.0 s"}, {49, "0.0 s"}, {50, "0.1 s"}, {949, "0.9 s"}, {950, "1.0 s"},
	    {30000, "30.0 s"}, {125000, "2 m 5 s"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[32];
		follow_time(cases[i].ms, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void test_links_stay_inside(void **state)
{
	(void)state;
	assert_true(archive_link_inside("a/l", "../b"));
	assert_true(archive_link_inside("l", "a/../b"));
	assert_true(archive_link_inside("a/b/l", "../../c"));
	assert_false(archive_link_inside("l", "../b"));
	assert_false(archive_link_inside("l", "/etc/passwd"));
	assert_false(archive_link_inside("a/l", "../../b"));
	assert_false(archive_link_inside("a/l", "x/../../../a/b"));
	assert_false(archive_link_inside("l", ""));
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void link_to(const char *dir, const char *name, const char *target)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(symlink(target, path), 0);
}

/* A folder right below /tmp. */
static void remove_dir(const char *dir)
{
	struct err e = {0};
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);
	assert_int_equal(fs_remove_tree(tmp, strrchr(dir, '/') + 1, &e), 0);
	close(tmp);
}

static void test_directories_are_packed(void **state)
{
	(void)state;
	char dir[] = "/tmp/slipway-cli-XXXXXX", path[512];
	struct archive_made made;
	struct err e = {0};
	assert_non_null(mkdtemp(dir));
	assert_int_equal(archive_make(dir, &made, &e), -1); /* nothing there */
	snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file(dir, "a/one", "1");
	write_file(dir, "two", "22");
	link_to(dir, "three", "a/one");
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(archive_make(dir, &made, &e), 0);
	assert_int_equal(made.files, 3);
	assert_int_equal(made.tree_bytes, 3);
	assert_int_equal(made.skipped, 1);
	assert_false(made.ignored);
	unsigned char magic[2];
	assert_int_equal(read(made.fd, magic, 2), 2);
	assert_true(magic[0] == 0x1f && magic[1] == 0x8b);
	close(made.fd);
	/* By the text alone this one stays inside; the kernel knows better. */
	link_to(dir, "a/top", "..");
	link_to(dir, "out", "a/top/../two");
	assert_int_equal(archive_make(dir, &made, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_non_null(strstr(e.msg, "'out' points out"));
	assert_int_equal(made.fd, -1);
	remove_dir(dir);
}

static void test_addresses_of_one_repository(void **state)
{
	(void)state;
	assert_true(git_same_address(
	    STR("git@github.com:anna/shop.git"), STR("https://github.com/anna/shop")));
	assert_true(git_same_address(
	    STR("ssh://git@GitHub.com:22/anna/shop/"), STR("git@github.com:anna/shop")));
	assert_true(git_same_address(STR("/srv/git/a.git"), STR("/srv/git/a.git/")));
	assert_false(
	    git_same_address(STR("git@github.com:anna/shop"), STR("git@github.com:anna/shop2")));
	assert_false(
	    git_same_address(STR("git@github.com:anna/shop"), STR("git@gitlab.com:anna/shop")));
	assert_false(git_same_address(STR(""), STR("")));
}

static void test_pins(void **state)
{
	(void)state;
	/* openssl x509 -fingerprint -sha256; openssl x509 -pubkey -noout | openssl pkey -pubin
	 * -outform der | openssl dgst -sha256 -binary | base64 */
	static const char pem[] =
	    "-----BEGIN CERTIFICATE-----\n"
	    "MIIBfjCCASOgAwIBAgIUTxXNcBb7pR5MoXismG0rskQ3C8wwCgYIKoZIzj0EAwIw\n"
	    "FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTI2MTEyMDEyMjczOFoXDTM2MTExNzEy\n"
	    "MjczOFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D\n"
	    "AQcDQgAE6ml8AUZj4FRFz8ebr/LkQm5Vkle4LrEJPBQUoZbb9pIKel5TVTfSx3x4\n"
	    "WmS9INobx+4NzRYmIhcyE3yUJq4Gr6NTMFEwHQYDVR0OBBYEFN0NoAsZcSvh7eL/\n"
	    "MpTunz37lJ8vMB8GA1UdIwQYMBaAFN0NoAsZcSvh7eL/MpTunz37lJ8vMA8GA1Ud\n"
	    "EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAO/lcRod8BY4yKzCsE5oXYvM\n"
	    "n8BDXfmXc8m9YDI6oygYAiEAwr9Ig65u8MHf+cZWMDPVuu6yz/pabXcqTEzVSUHQ\n"
	    "/0Y=\n"
	    "-----END CERTIFICATE-----\n";
	char fingerprint[NET_FINGERPRINT_SIZE], pin[NET_PIN_SIZE];
	struct err e = {0};
	assert_int_equal(pin_of_certificate(pem, fingerprint, pin, &e), 0);
	assert_string_equal(fingerprint, "F5:91:4D:72:78:3C:9A:9F:AB:DF:6A:76:48:D7:88:B3:DE:89:80:"
					 "9E:FB:00:E6:29:4D:AF:28:A8:5F:69:3C:C5");
	assert_string_equal(pin, "sha256//gjnv+DVNzUrHYsUrHL15SvXIpkLaXx8JjYXPN2Ou5zk=");
	assert_int_equal(pin_of_certificate("nothing", fingerprint, pin, &e), -1);
}

static void choose(const char *name, struct arena *a, struct net_server *s)
{
	struct err e = {0};
	if (servers_choose(name, false, a, s, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_servers_are_chosen_in_order(void **state)
{
	(void)state;
	char dir[] = "/tmp/slipway-cli-XXXXXX", path[512];
	struct arena a;
	struct net_server s;
	struct stat st;
	struct err e = {0};
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	setenv("XDG_CONFIG_HOME", dir, 1);
	unsetenv("SLIPWAY_SOCKET");
	unsetenv("SLIPWAY_SERVER");
	unsetenv("SLIPWAY_TOKEN");
	arena_init(&a, 1 << 20);
	choose(NULL, &a, &s);
	assert_string_equal(s.socket, SERVERS_DEFAULT_SOCKET);
	struct net_server far = {
	    .url = "https://paas.example.org", .token = "slw_x", .pin = "sha256//y"};
	assert_int_equal(servers_save("paas", &far, &e), 0);
	snprintf(path, sizeof(path), "%s/slipway/servers.json", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	choose(NULL, &a, &s);
	assert_null(s.socket);
	assert_string_equal(s.url, far.url);
	assert_string_equal(s.token, "slw_x");
	assert_string_equal(s.pin, "sha256//y");
	choose("local", &a, &s);
	assert_string_equal(s.socket, SERVERS_DEFAULT_SOCKET);
	snprintf(path, sizeof(path), "%s/var", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file(dir, "var/cli.json", "{\"socket\": \"/tmp/here.sock\"}\n");
	snprintf(path, sizeof(path), "%s/var/deeper", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chdir(path), 0);
	choose(NULL, &a, &s);
	assert_string_equal(s.socket, "/tmp/here.sock");
	setenv("SLIPWAY_SOCKET", "/tmp/said.sock", 1);
	choose(NULL, &a, &s);
	assert_string_equal(s.socket, "/tmp/said.sock");
	setenv("SLIPWAY_SERVER", "paas", 1);
	setenv("SLIPWAY_TOKEN", "slw_other", 1);
	choose(NULL, &a, &s);
	assert_null(s.socket);
	assert_string_equal(s.token, "slw_other");
	assert_int_equal(servers_choose("nobody", false, &a, &s, &e), -1);
	assert_int_equal(e.code, ERR_USAGE);
	assert_int_equal(servers_forget("paas", &e), 1);
	assert_int_equal(servers_forget("paas", &e), 0);
	unsetenv("SLIPWAY_SERVER");
	unsetenv("SLIPWAY_SOCKET");
	unsetenv("SLIPWAY_TOKEN");
	arena_fini(&a);
	assert_int_equal(chdir("/"), 0);
	remove_dir(dir);
}

static void test_addresses_of_servers_are_judged(void **state)
{
	(void)state;
	static const char *const good[] = {"https://paas.example.org", "https://10.0.0.1:8443",
	    "http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000",
	    "http://localhost"};
	static const char *const bad[] = {"paas.example.org", "ftp://x", "https://",
	    "http://10.0.0.1", "https://a/b", "https://u@h", "http://localhost.evil.org",
	    "http://127.evil.org:80"};
	struct err e = {0};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct net *n = net_open(&(struct net_server){.url = good[i]}, &e);
		assert_non_null(n);
		net_close(n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (net_open(&(struct net_server){.url = bad[i]}, &e))
			fail_msg("%s", bad[i]);
		assert_int_equal(e.code, ERR_USAGE);
	}
	struct net *n =
	    net_open(&(struct net_server){.url = "http://10.0.0.1", .insecure = true}, &e);
	assert_non_null(n);
	net_close(n);
}

static void test_problems_become_errors(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(net_problem(404,
			     STR("{\"type\":\"urn:slipway:problem:not-found\",\"title\":\"Not "
				 "found\",\"status\":404,"
				 "\"detail\":\"there is no project 'x'\",\"hint\":\"look\","
				 "\"errors\":[{\"pointer\":\"/name\",\"detail\":\"\"}]}"),
			     &e),
	    -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "there is no project 'x'");
	assert_string_equal(e.hint, "look");
	assert_string_equal(e.pointer, "/name");
	assert_int_equal(net_problem(503, STR("<html>"), &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_int_equal(net_problem(429, STR("{\"type\": 7}"), &e), -1);
	assert_int_equal(net_problem(418, STR("[]"), &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_flags_stand_anywhere),
	    cmocka_unit_test(test_what_stands_behind_two_dashes_is_not_read),
	    cmocka_unit_test(test_wrong_flags_name_the_nearest),
	    cmocka_unit_test(test_distance),
	    cmocka_unit_test(test_commands_are_found),
	    cmocka_unit_test(test_the_table_is_whole),
	    cmocka_unit_test(test_events_come_whole_from_pieces_of_every_size),
	    cmocka_unit_test(test_a_broken_event_is_dropped_and_the_id_kept),
	    cmocka_unit_test(test_text_is_safe_for_a_terminal),
	    cmocka_unit_test(test_tables_are_aligned),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_links_stay_inside),
	    cmocka_unit_test(test_directories_are_packed),
	    cmocka_unit_test(test_addresses_of_one_repository),
	    cmocka_unit_test(test_pins),
	    cmocka_unit_test(test_servers_are_chosen_in_order),
	    cmocka_unit_test(test_addresses_of_servers_are_judged),
	    cmocka_unit_test(test_problems_become_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
