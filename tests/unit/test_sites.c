/* rooms: base text crypto priv launch source kinds render loop */
/* Sites of nginx-site projects: names, rules, what is read of nginx's language, what is put into it,
 * the plan. */
#include "kinds/kinds.h"
#include "kinds/site_filter.h"
#include "render/sites.h"
#include "text/nginx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- rules: the original's six tests ---- */

static bool takes(const struct manifest_site_rule *rules, size_t count, const char *site)
{
	return site_filter_takes(rules, count, str_c(site));
}

static struct str all[] = {{"*", 1}}, foo[] = {{"foo", 3}}, foo_bar[] = {{"foo", 3}, {"bar", 3}};
#define EVERY                                                                                      \
	{                                                                                          \
		all, 1                                                                             \
	}
#define FOO                                                                                        \
	{                                                                                          \
		foo, 1                                                                             \
	}
#define FOO_BAR                                                                                    \
	{                                                                                          \
		foo_bar, 2                                                                         \
	}

static void test_filter(void **state)
{
	(void)state;
	const struct manifest_site_rule include_all[] = {{true, EVERY}},
					exclude_all[] = {{false, EVERY}},
					specific_include[] = {{false, EVERY}, {true, FOO_BAR}},
					specific_exclude[] = {{true, EVERY}, {false, FOO_BAR}},
					includes_again[] = {{true, EVERY}, {false, FOO_BAR},
					    {true, FOO}},
					excludes_again[] = {
					    {false, EVERY}, {true, FOO_BAR}, {false, FOO}};
	assert_true(takes(include_all, 1, "foo"));
	assert_false(takes(exclude_all, 1, "foo"));
	assert_true(takes(specific_include, 2, "foo"));
	assert_true(takes(specific_include, 2, "bar"));
	assert_false(takes(specific_include, 2, "baz"));
	assert_false(takes(specific_exclude, 2, "foo"));
	assert_false(takes(specific_exclude, 2, "bar"));
	assert_true(takes(specific_exclude, 2, "baz"));
	assert_true(takes(includes_again, 3, "foo"));
	assert_false(takes(includes_again, 3, "bar"));
	assert_true(takes(includes_again, 3, "baz"));
	assert_false(takes(excludes_again, 3, "foo"));
	assert_true(takes(excludes_again, 3, "bar"));
	assert_false(takes(excludes_again, 3, "baz"));
}

/* A star among names is a star; nothing is taken without a rule; what stands before the last star is
 * of no effect. */
static void test_filter_more(void **state)
{
	(void)state;
	struct str star_too[] = {{"foo", 3}, {"*", 1}};
	const struct manifest_site_rule rules[] = {
	    {true, FOO}, {false, {star_too, 2}}, {true, {foo_bar + 1, 1}}};
	assert_false(takes(rules, 0, "foo"));
	assert_true(takes(rules, 1, "foo"));
	assert_false(takes(rules, 1, "bar"));
	assert_false(takes(rules, 3, "foo"));
	assert_true(takes(rules, 3, "bar"));
}

static void test_settings(void **state)
{
	struct arena a;
	struct manifest_sites s;
	struct err e = {0};
	(void)state;
	arena_init(&a, 1u << 20);
	assert_int_equal(site_settings_read(STR(""), &a, &s, &e), 0);
	assert_false(s.has_rules);
	assert_int_equal(site_settings_read(STR("{\"folder\":\"live\",\"rules\":[{\"exclude\":["
						"\"*\"]},{\"include\":[\"a.org\",\"b.org\"]}]}"),
			     &a, &s, &e),
	    0);
	assert_true(str_eq_c(s.folder, "live") && s.has_rules && s.rule_count == 2);
	assert_true(site_filter_takes(s.rules, s.rule_count, STR("b.org")));
	assert_false(site_filter_takes(s.rules, s.rule_count, STR("c.org")));
	static const char *const bad[] = {"{\"folder\":\"../x\"}", "{\"folder\":\"/etc\"}",
	    "{\"rules\":[{\"include\":\"*\"}]}", "{\"rules\":[{\"perhaps\":[\"*\"]}]}",
	    "{\"rules\":[{\"include\":[\"a/b\"]}]}",
	    "{\"rules\":[{\"include\":[],\"exclude\":[]}]}", "{\"rules\":[{\"include\":[7]}]}",
	    "{"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(site_settings_read(str_c(bad[i]), &a, &s, &e), -1);
	arena_fini(&a);
}

/* ---- names ---- */

static void test_names(void **state)
{
	static const struct {
		const char *file, *site;
		bool disabled;
	} good[] = {{"[a.org].nginxconf", "a.org", false}, {"[a.org].conf", "a.org", false},
	    {"[a.org].conf.disabled", "a.org", true}, {"[a.org].nginxconf.disabled", "a.org", true},
	    {"[].conf", "", false}, {"[a].conf].conf", "a].conf", false}};
	static const char *const none[] = {"a.org.conf", "[a.org].confx", "[a.org].conf.disabled.x",
	    "[a.org]conf", "x[a.org].conf", "[a.org].txt", "", "["},
				 *const bad[] = {"", "..", ".a", "-a", "a..b", "a/b", "a b", "a;b",
				     "a\nb", "a]", "*", "${x}", "a.conf].conf", "\xc3\xa4"};
	struct str site;
	bool disabled;
	struct err e = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(site_file(str_c(good[i].file), &site, &disabled));
		assert_true(str_eq_c(site, good[i].site) && disabled == good[i].disabled);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_false(site_file(str_c(none[i]), &site, &disabled));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(name_site(str_c(bad[i]), &e), -1);
		assert_int_equal(name_snippet(str_c(bad[i]), &e), -1);
	}
	assert_int_equal(name_site(STR("_"), &e), 0);
	assert_int_equal(name_site(STR("A-b_c.org"), &e), 0);
}

/* ---- text ---- */

static void expect_text(const char *text, const char *names, const char *rendered)
{
	struct arena a;
	struct nginx_file f;
	struct err e = {0};
	char out[2048];
	struct buf b;
	arena_init(&a, 1u << 20);
	buf_init(&b, 1024);
	assert_int_equal(nginx_read(str_c(text), &a, &f, &e), 0);
	for (size_t i = 0; i < f.name_count; i++)
		buf_printf(&b, "%s%.*s", i ? " " : "", STR_ARG(f.names[i]));
	buf_char(&b, '\0');
	assert_string_equal(b.p, names);
	assert_true(
	    render_site(str_c(text), f.edits, f.edit_count, "web", out, sizeof(out), &e) >= 0);
	assert_string_equal(out, rendered);
	buf_fini(&b);
	arena_fini(&a);
}

static void test_read(void **state)
{
	(void)state;
	expect_text("", "", "");
	expect_text("# server {\nserver{server_name a.org 'b.org' \"c.org\";server_name d.org;}",
	    "a.org b.org c.org",
	    "# server {\nserver{ include challenge.conf;server_name a.org 'b.org' "
	    "\"c.org\";server_name d.org;}");
	expect_text("upstream server { server 1.2.3.4; }\nserver\n{\n listen 80; }", "",
	    "upstream server { server 1.2.3.4; }\nserver\n{ include challenge.conf;\n listen 80; "
	    "}");
	expect_text("server { location / { server { } } }", "",
	    "server { include challenge.conf; location / { server { } } }");
	expect_text("include /etc/nginx/snippets/a.conf; include snippets/b.conf; include "
		    "\"snippets/c.conf\"; root snippets/d; include x/snippets/e;",
	    "",
	    "include sites/web/snippets/a.conf; include sites/web/snippets/b.conf; include "
	    "\"sites/web/snippets/c.conf\"; root snippets/d; include x/snippets/e;");
	expect_text("ssl_certificate /etc/letsencrypt/live/a.org/fullchain.pem;\n"
		    "ssl_certificate_key 'live/a.org/privkey.pem'; alias live/x;",
	    "",
	    "ssl_certificate certs/sites/web/a.org/fullchain.pem;\n"
	    "ssl_certificate_key 'certs/sites/web/a.org/privkey.pem'; alias live/x;");
	expect_text("include /etc/letsencrypt/options-ssl-nginx.conf; ssl_dhparam "
		    "/etc/letsencrypt/ssl-dhparams.pem; include "
		    "/etc/letsencrypt/options-ssl-nginx.conf.x;",
	    "",
	    "include certbot/options-ssl-nginx.conf; ssl_dhparam certbot/ssl-dhparams.pem; "
	    "include /etc/letsencrypt/options-ssl-nginx.conf.x;");
	/* a brace of a variable or behind a backslash opens nothing; quotes hold everything */
	expect_text("set $a ${b}server{ x } server_name a\\;b.org ~^x\\{2$ _;",
	    "a\\;b.org ~^x\\{2$ _", "set $a ${b}server{ x } server_name a\\;b.org ~^x\\{2$ _;");
	expect_text("return 200 'server { include snippets/x; }'; server_name \"a;b", "a;b",
	    "return 200 'server { include snippets/x; }'; server_name \"a;b");
}

static void test_read_limits(void **state)
{
	struct arena a;
	struct nginx_file f;
	struct err e = {0};
	static char big[SITE_BYTES_MAX + 2];
	(void)state;
	arena_init(&a, 4u << 20);
	assert_int_equal(nginx_read((struct str){"a\0b", 3}, &a, &f, &e), -1);
	memset(big, 'x', sizeof(big));
	assert_int_equal(nginx_read((struct str){big, SITE_BYTES_MAX}, &a, &f, &e), 0);
	assert_int_equal(nginx_read((struct str){big, SITE_BYTES_MAX + 1}, &a, &f, &e), -1);
	for (size_t i = 0; i + 8 <= SITE_BYTES_MAX; i += 8)
		memcpy(big + i, "server{}", 8);
	assert_int_equal(nginx_read((struct str){big, SITE_BYTES_MAX}, &a, &f, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	arena_fini(&a);
}

/* A text that is not the one that was read is not written, whatever the places say. */
static void test_render(void **state)
{
	struct err e = {0};
	char out[64];
	(void)state;
	const struct site_edit includes[] = {{8, SITE_SNIPPETS}}, brace[] = {{8, SITE_SERVER}},
			       back[] = {{8, SITE_SNIPPETS}, {9, SITE_SERVER}},
			       far[] = {{4000, SITE_SNIPPETS}}, odd[] = {{0, SITE_PLACE_COUNT}},
			       start[] = {{0, SITE_SERVER}};
	struct str text = STR("include snippets/a;"), other = STR("include sneeping/a;"),
		   server = STR("server {}");
	assert_int_equal(render_site(text, includes, 1, "web", out, sizeof(out), &e), 29);
	assert_string_equal(out, "include sites/web/snippets/a;");
	assert_int_equal(render_site(other, includes, 1, "web", out, sizeof(out), &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_true(render_site(server, brace, 1, "web", out, sizeof(out), &e) > 0);
	assert_int_equal(render_site(text, brace, 1, "web", out, sizeof(out), &e), -1);
	assert_int_equal(render_site(text, back, 2, "web", out, sizeof(out), &e), -1);
	assert_int_equal(render_site(text, far, 1, "web", out, sizeof(out), &e), -1);
	assert_int_equal(render_site(text, odd, 1, "web", out, sizeof(out), &e), -1);
	assert_int_equal(render_site(server, start, 1, "web", out, sizeof(out), &e), -1);
	assert_int_equal(render_site(text, includes, 1, "../x", out, sizeof(out), &e), -1);
	assert_int_equal(render_site(text, includes, 1, "web", out, 29, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

static void test_names_certificates(void **state)
{
	static const struct {
		const char *text, *part;
		bool names;
	} rows[] = {{"ssl_certificate certs/sites/web/b/fullchain.pem;", "b", true},
	    {"x \"certs/sites/web/b/x.pem\"; y certs/sites/web/c/x.pem;", "c", true},
	    {"certs/sites/web/b/../c/x.pem", "c", true}, {"certs/sites/web/../other/c", "..", true},
	    {"certs/sites/web/bb/x.pem;", "b", false}, {"certs/sites/other/b/x.pem;", "b", false},
	    {"certs/sites/web/a/x.pem; root /b/;", "b", false}, {"certs/sites/web", "b", false},
	    {"certs/sites/web/..b/x", "..", false}, {"", "b", false}};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (render_site_names(str_c(rows[i].text), "web", str_c(rows[i].part)) !=
		    rows[i].names)
			fail_msg("%s: %s", rows[i].text, rows[i].part);
}

/* ---- the plan ---- */

#define FILES_MAX 8
struct file {
	const char *path, *content; /* content NULL: not read; path "NAME/": a folder */
};

static uint64_t dropped; /* of the next plan's tree */

static int plan_of(const struct file *files, enum manifest_kind kind, struct arena *a,
    struct plan *p, struct err *e)
{
	static struct tree_entry entries[FILES_MAX];
	struct tree t = {.entries = entries};
	for (; files[t.count].path; t.count++) {
		struct str content = str_c(files[t.count].content);
		struct str path = str_c(files[t.count].path);
		bool folder = str_ends(path, STR("/"));
		path.n -= folder;
		entries[t.count] = (struct tree_entry){
		    path, folder, files[t.count].content != NULL, content, content.n};
	}
	t.dropped = dropped;
	const struct kinds_input in = {.tree = &t, .project = STR("web"), .kind = kind};
	*e = (struct err){0};
	arena_init(a, 4u << 20);
	return kinds_plan(&in, a, p, e);
}

static const struct file tree[] = {
    {"production/[a.org].nginxconf",
	"server { server_name a.org *.a.org www.a.org; ssl_certificate "
	"live/a.org/fullchain.pem; }"},
    {"production/[b.org].conf.disabled", "x"}, {"production/[c.org].conf", "# none"},
    {"production/catch-all.conf", "x"}, {"production/deeper/[d.org].conf", "x"},
    {"snippets/tls.conf", "ssl_certificate live/a.org/x;"}, {NULL, NULL}};

static void test_plan(void **state)
{
	struct arena a, b;
	struct plan p, again;
	struct err e;
	struct buf json;
	(void)state;
	assert_int_equal(plan_of(tree, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), 0);
	assert_int_equal(p.site_count, 2);
	assert_int_equal(p.snippet_count, 1);
	assert_true(str_eq_c(p.sites[0].name, "a.org") && p.sites[0].certified);
	assert_int_equal(p.sites[0].domains.n, 2);
	assert_true(str_eq_c(p.sites[0].domains.v[1], "www.a.org"));
	assert_int_equal(p.notes.n, 2); /* one disabled, one of another name */
	buf_init(&json, 1u << 20);
	arena_init(&b, 4u << 20);
	assert_int_equal(plan_pack(&p, &json, &e), 0);
	assert_int_equal(plan_unpack(buf_view(&json), &b, &again, &e), 0);
	assert_true(str_eq_c(again.sites_folder, "production"));
	assert_int_equal(again.sites[0].edit_count, p.sites[0].edit_count);
	assert_memory_equal(again.sites[0].edits, p.sites[0].edits,
	    p.sites[0].edit_count * sizeof(struct site_edit));
	assert_int_equal(again.sites[0].crc32c, p.sites[0].crc32c);
	assert_true(str_eq_c(again.snippets[0].file, "tls.conf"));
	buf_fini(&json);
	arena_fini(&b);
	arena_fini(&a);
}

static void test_plan_refused(void **state)
{
	static const struct file twice[] = {{"production/[a].conf", ""},
	    {"production/[a].nginxconf", ""}, {NULL, NULL}},
				 odd[] = {{"production/[a b].conf", ""}, {NULL, NULL}},
				 large[] = {{"production/[a].conf", NULL}, {NULL, NULL}},
				 said[] = {{"slipway.yaml", "kind: nginx-site"}, {NULL, NULL}};
	const struct file *const all_of[] = {twice, odd, large};
	struct arena a;
	struct plan p;
	struct err e;
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(plan_of(all_of[i], MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
		assert_non_null(strstr(e.msg, i ? "production/[a" : "has two files"));
		arena_fini(&a);
	}
	/* a manifest alone makes no such project; and the tree is never taken for one */
	assert_int_equal(plan_of(said, MANIFEST_KIND_AUTO, &a, &p, &e), -1);
	assert_int_equal(e.code, ERR_FORBIDDEN);
	arena_fini(&a);
	assert_int_equal(plan_of(tree, MANIFEST_KIND_AUTO, &a, &p, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	arena_fini(&a);
}

/* Where nothing is looked at there may be sites. */
static void test_plan_folder(void **state)
{
	static const struct file two[] = {{"eu/production/[a].conf", "x"},
	    {"slipway.yaml", "sites: {folder: eu/production}"}, {NULL, NULL}},
				 none[] = {{"eu/production/[a].conf", "x"}, {NULL, NULL}},
				 like[] = {{"production", "x"}, {"production2/[a].conf", "x"},
				     {NULL, NULL}},
				 empty[] = {{"production/", NULL}, {NULL, NULL}},
				 deep[] = {{"sites/eu/production/", NULL},
				     {"slipway.yaml", "sites: {folder: sites/eu/production}"},
				     {NULL, NULL}},
				 root[] = {{"infra/nginx/", NULL},
				     {"infra/nginx/production/", NULL},
				     {"slipway.yaml", "root: infra/nginx"}, {NULL, NULL}};
	struct arena a;
	struct plan p;
	struct err e;
	(void)state;
	assert_int_equal(plan_of(two, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), 0);
	assert_int_equal(p.site_count, 1);
	arena_fini(&a);
	assert_int_equal(plan_of(empty, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), 0);
	arena_fini(&a);
	assert_int_equal(plan_of(none, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
	assert_string_equal(e.msg, "there is no folder of sites 'production'");
	arena_fini(&a);
	assert_int_equal(plan_of(like, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
	arena_fini(&a);
	assert_int_equal(plan_of(deep, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
	assert_string_equal(
	    e.msg, "the folder of sites 'sites/eu/production' is more than 2 folders deep");
	arena_fini(&a);
	assert_int_equal(plan_of(root, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
	assert_non_null(strstr(e.msg, "'infra/nginx/production' is more than 2 folders deep"));
	arena_fini(&a);
}

/* What is not among the names, or not read, is no site that went. */
static void test_plan_whole(void **state)
{
	static const struct file some[] = {{"production/[a].conf", "x"}, {NULL, NULL}},
				 unread[] = {{"production/[a].conf", NULL}, {NULL, NULL}};
	struct arena a;
	struct plan p;
	struct err e;
	(void)state;
	dropped = 1;
	assert_int_equal(plan_of(some, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
	dropped = 0;
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_non_null(strstr(e.msg, "more than 256 files that are read, and 3840 other names"));
	assert_non_null(strstr(e.hint, "another repository"));
	arena_fini(&a);
	assert_int_equal(plan_of(unread, MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
	assert_non_null(strstr(e.msg, "beyond the 256 files that are read"));
	arena_fini(&a);
}

/* A certificate that nothing of the push makes would be missed at some later reload. */
static void test_plan_certificates(void **state)
{
#define B "server { ssl_certificate live/b/fullchain.pem; }"
#define A "server {\n ssl_certificate '/etc/letsencrypt/live/b/fullchain.pem'; }"
	static const struct file
	    both[] = {{"production/[a].conf", A}, {"production/[b].conf", B}, {NULL, NULL}},
	    variable[] = {{"production/[a].conf", "ssl_certificate live/$host/x.pem;"},
		{NULL, NULL}},
	    unused[] = {{"production/[a].conf", "x"}, {"snippets/b.conf", A}, {NULL, NULL}},
	    gone[] = {{"production/[a].conf", A}, {"production/[b].conf.disabled", B},
		{NULL, NULL}},
	    bare[] = {{"production/[a].conf", A}, {"production/[b].conf", "x"}, {NULL, NULL}},
	    around[] = {{"production/[b].conf", B "\nssl_certificate_key live/b/../a/privkey.pem;"},
		{NULL, NULL}},
	    snippet[] = {{"production/[a].conf", "include snippets/1;"}, {"snippets/0", "\n\n" A},
		{"snippets/1", "include /etc/nginx/snippets/0;"}, {NULL, NULL}},
	    pattern[] = {
		{"production/[a].conf", "include snippets/*;"}, {"snippets/0", A}, {NULL, NULL}};
#undef A
#undef B
	const struct file *const good[] = {both, variable, unused}, *const bad[] = {gone, bare,
									around, snippet, pattern};
	static const char *const says[] = {"production/[a].conf:2 names the certificate of 'b'",
	    "production/[a].conf:2 names",
	    "production/[b].conf:2 names the certificate of 'b/../a'", "snippets/0:4 names",
	    "snippets/0:2 names"};
	struct arena a;
	struct plan p;
	struct err e;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(plan_of(good[i], MANIFEST_KIND_NGINX_SITE, &a, &p, &e), 0);
		arena_fini(&a);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(plan_of(bad[i], MANIFEST_KIND_NGINX_SITE, &a, &p, &e), -1);
		assert_non_null(strstr(e.msg, says[i]));
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_filter),
	    cmocka_unit_test(test_filter_more), cmocka_unit_test(test_settings),
	    cmocka_unit_test(test_names), cmocka_unit_test(test_read),
	    cmocka_unit_test(test_read_limits), cmocka_unit_test(test_render),
	    cmocka_unit_test(test_plan), cmocka_unit_test(test_plan_refused),
	    cmocka_unit_test(test_plan_certificates), cmocka_unit_test(test_plan_folder),
	    cmocka_unit_test(test_plan_whole), cmocka_unit_test(test_names_certificates)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
