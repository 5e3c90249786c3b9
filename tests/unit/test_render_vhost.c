/* rooms: base render */
/* Exact texts, and hostile values in every field: refused, or inert in the text. */
#include "render/vhost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct render_roots roots = {
    .projects = "/run/slipway/p", .run = "/run/slipway", .edge = "/var/lib/slipway/edge"};

static char text[RENDER_VHOST_TEXT_MAX];

static void set_text(char *out, size_t size, const char *value)
{
	(void)snprintf(out, size, "%s", value);
}

static struct render_vhost *plain(void)
{
	static struct render_vhost v;
	memset(&v, 0, sizeof(v));
	v.version = RENDER_VHOST_VERSION;
	set_text(v.project, sizeof(v.project), "shop");
	v.domain_count = 1;
	set_text(v.domains[0], sizeof(v.domains[0]), "shop.localhost");
	v.body_max_bytes = 104857600;
	v.request_timeout_s = 60;
	return &v;
}

static void add_static(struct render_vhost *v, const char *url, const char *data)
{
	struct render_static *st = &v->statics[v->static_count++];
	set_text(st->url, sizeof(st->url), url);
	set_text(st->data_path, sizeof(st->data_path), data);
	st->data = data[0] != '\0';
}

static struct render_vhost *full(void)
{
	struct render_vhost *v = plain();
	v->domain_count = 2;
	set_text(v->domains[1], sizeof(v->domains[1]), "shop.example.org");
	v->web_instances = 2;
	add_static(v, "/static", "");
	add_static(v, "/media", "media/files");
	return v;
}

static void assert_text(const struct render_vhost *v, const char *expected)
{
	struct err e;
	long n = render_nginx_vhost(v, NULL, &roots, text, sizeof(text), &e);
	if (n < 0)
		print_error("%s\n", e.msg);
	assert_true(n > 0);
	assert_int_equal((size_t)n, strlen(text));
	assert_string_equal(text, expected);
}

static void test_program(void **state)
{
	(void)state;
	assert_text(full(), "upstream slipway-shop {\n"
			    "\tserver unix:/run/slipway/p/shop/live/web.1.sock max_fails=0;\n"
			    "\tserver unix:/run/slipway/p/shop/live/web.2.sock max_fails=0;\n"
			    "}\n"
			    "server {\n"
			    "\tinclude server.conf;\n"
			    "\tserver_name shop.localhost shop.example.org;\n"
			    "\tclient_max_body_size 104857600;\n"
			    "\tlocation = /static {\n"
			    "\t\troot /run/slipway/p/shop/live/public;\n"
			    "\t\terror_page 403 404 = @previous;\n"
			    "\t}\n"
			    "\tlocation ^~ /static/ {\n"
			    "\t\troot /run/slipway/p/shop/live/public;\n"
			    "\t\terror_page 403 404 = @previous;\n"
			    "\t}\n"
			    "\tlocation ^~ /media/ {\n"
			    "\t\talias /run/slipway/p/shop/data/media/files/;\n"
			    "\t\tdisable_symlinks on from=/run/slipway/p/shop/data;\n"
			    "\t}\n"
			    "\tlocation @previous {\n"
			    "\t\troot /run/slipway/p/shop/previous/public;\n"
			    "\t\terror_page 403 404 = @again;\n"
			    "\t}\n"
			    "\tlocation @again {\n"
			    "\t\troot /run/slipway/p/shop/live/public;\n"
			    "\t}\n"
			    "\tproxy_read_timeout 60s;\n"
			    "\tproxy_send_timeout 60s;\n"
			    "\tlocation / {\n"
			    "\t\tproxy_pass http://slipway-shop;\n"
			    "\t}\n"
			    "}\n");
}

static void test_static_site(void **state)
{
	(void)state;
	struct render_vhost *v = plain();
	add_static(v, "/", "");
	assert_text(v, "server {\n"
		       "\tinclude server.conf;\n"
		       "\tserver_name shop.localhost;\n"
		       "\tclient_max_body_size 104857600;\n"
		       "\tlocation ^~ / {\n"
		       "\t\troot /run/slipway/p/shop/live/public;\n"
		       "\t\terror_page 403 404 = @previous_root;\n"
		       "\t}\n"
		       "\tlocation @previous_root {\n"
		       "\t\troot /run/slipway/p/shop/previous/public;\n"
		       "\t\terror_page 403 404 = @again_root;\n"
		       "\t}\n"
		       "\tlocation @again_root {\n"
		       "\t\troot /run/slipway/p/shop/live/public;\n"
		       "\t\terror_page 403 404 =404 @missing;\n"
		       "\t}\n"
		       "\tlocation @missing {\n"
		       "\t\troot /run/slipway/p/shop/live/public;\n"
		       "\t\ttry_files /404.html =404;\n"
		       "\t}\n"
		       "}\n");
}

static void test_maintenance_and_nothing(void **state)
{
	(void)state;
	struct render_vhost *v = full();
	v->maintenance = 1;
	assert_text(v, "server {\n"
		       "\tinclude server.conf;\n"
		       "\tserver_name shop.localhost shop.example.org;\n"
		       "\tclient_max_body_size 104857600;\n"
		       "\terror_page 503 /.slipway/maintenance.html;\n"
		       "\tlocation / {\n"
		       "\t\treturn 503;\n"
		       "\t}\n"
		       "}\n");
	assert_text(plain(), "server {\n"
			     "\tinclude server.conf;\n"
			     "\tserver_name shop.localhost;\n"
			     "\tclient_max_body_size 104857600;\n"
			     "\tlocation / {\n"
			     "\t\treturn 404;\n"
			     "\t}\n"
			     "}\n");
}

/* Every field at its limit fits into RENDER_VHOST_TEXT_MAX, and no shorter buffer is overrun. */
static void test_limits(void **state)
{
	(void)state;
	struct err e;
	struct render_vhost *v = plain();
	char root[103];
	memset(v->project, 'p', NAME_PROJECT_MAX);
	v->domain_count = LIMIT_DOMAINS;
	for (unsigned i = 0; i < LIMIT_DOMAINS; i++) {
		memset(v->domains[i], 'd', NAME_DOMAIN_MAX);
		v->domains[i][NAME_DOMAIN_MAX] = '\0';
		for (unsigned k = 50; k < NAME_DOMAIN_MAX - 1; k += 50)
			v->domains[i][k] = '.';
		v->domains[i][0] = (char)('a' + i % 26);
		v->domains[i][1] = (char)('a' + i / 26);
	}
	for (unsigned i = 0; i < LIMIT_STATICS; i++) {
		struct render_static *st = &v->statics[i];
		memset(st->url, 'u', 200);
		st->url[0] = '/';
		st->url[1] = (char)('a' + i);
		st->url[200] = '\0';
		st->data = i % 2 == 1;
		if (st->data)
			memset(st->data_path, 'x', 255);
	}
	v->static_count = LIMIT_STATICS;
	v->web_instances = LIMIT_INSTANCES;
	v->headers = RENDER_HEADERS_STRICT;
	memset(root, 'r', sizeof(root));
	root[0] = '/';
	root[60] = '\0';
	struct render_roots r = {.projects = root, .run = "/run/slipway", .edge = "/e"};
	long n = render_nginx_vhost(v, NULL, &r, text, sizeof(text), &e);
	assert_true(n > 0);
	char *small = malloc((size_t)n + 1);
	for (size_t size = 0; size <= (size_t)n; size += 7) {
		assert_int_equal(render_nginx_vhost(v, NULL, &r, small, size, &e), -1);
		assert_int_equal(e.code, ERR_TOO_LARGE);
	}
	assert_int_equal(render_nginx_vhost(v, NULL, &r, small, (size_t)n, &e), -1);
	assert_int_equal(render_nginx_vhost(v, NULL, &r, small, (size_t)n + 1, &e), n);
	free(small);
	root[60] = 'r';
	root[61] = '\0';
	assert_int_equal(render_nginx_vhost(v, NULL, &r, text, sizeof(text), &e), -1);
	assert_int_equal(e.code, ERR_SETTINGS);
}

static void assert_refused(const struct render_vhost *v, const char *pointer)
{
	struct err e;
	assert_int_equal(render_nginx_vhost(v, NULL, &roots, text, sizeof(text), &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_string_equal(e.pointer, pointer);
	assert_string_equal(text, "");
}

static void test_refusals(void **state)
{
	(void)state;
	struct render_vhost *v = plain();
	v->version++;
	assert_refused(v, "");
	v = plain();
	v->domain_count = 0;
	assert_refused(v, "/domains");
	v->domain_count = LIMIT_DOMAINS + 1;
	assert_refused(v, "/domains");
	v = full();
	set_text(v->domains[1], sizeof(v->domains[1]), "shop.localhost");
	assert_refused(v, "/domains/1");
	v = full();
	v->static_count = LIMIT_STATICS + 1;
	assert_refused(v, "");
	v = full();
	set_text(v->statics[1].url, sizeof(v->statics[1].url), "/static");
	assert_refused(v, "/static/1");
	v = full();
	set_text(v->statics[0].url, sizeof(v->statics[0].url), "/.slipway/x");
	assert_refused(v, "/static/0");
	v = full();
	v->statics[0].data = 2;
	assert_refused(v, "/static/0");
	v = full();
	v->web_instances = LIMIT_INSTANCES + 1;
	assert_refused(v, "");
	v = full();
	v->maintenance = 2;
	assert_refused(v, "");
	v = full();
	v->headers = RENDER_HEADERS_COUNT;
	assert_refused(v, "");
	v = full();
	v->body_max_bytes = 0;
	assert_refused(v, "");
	v->body_max_bytes = RENDER_BODY_MAX_BYTES + 1;
	assert_refused(v, "");
	v = full();
	v->request_timeout_s = 0;
	assert_refused(v, "");
	/* a field without its NUL */
	v = plain();
	memset(v->project, 'a', sizeof(v->project));
	assert_refused(v, "/name");
	v = plain();
	memset(v->domains[0], 'a', sizeof(v->domains[0]));
	assert_refused(v, "/domains/0");
	v = full();
	memset(v->statics[0].url, '/', sizeof(v->statics[0].url));
	assert_refused(v, "/static/0");
	v = full();
	memset(v->statics[1].data_path, 'a', sizeof(v->statics[1].data_path));
	assert_refused(v, "/static/1");
}

/* ---- hostile values ---- */

static const char *const hostile[] = {"", " ", "\n", "\r\n", "\t", ";", "{", "}", "#", "$", "%",
    "\"", "'", "\\", "`", "|", "&", "<", ">", "(", ")", "*", "?", "!", "^", "=", "+", ",", "@", "[",
    "]", "~", "..", "../", "/..", "//", "/./", "./", "$host", "${host}", "$document_root", "%s",
    "%n", "%i", "%%", "; return 200", ";\n}\nserver {", "a; alias /", "a {", "a }", "a\nb", "a\rb",
    "a b", "a;b", "a{b", "a}b", "a#b", "a$b", "a\"b", "a'b", "a\\b", "include /etc/passwd;",
    "load_module x;", "lua_code_cache off;", "\x7f", "\x1b[31m", "\xc2\xa0", "\xe2\x80\xa8",
    "\xe2\x80\xae", "\xff\xfe", "\xc0\xaf", "unix:/x", "http://x", "~ .*", "~*", "= /", "@x", "-e",
    "--", "*.x.org", "_", ".", "-", "0", "127.0.0.1", "::1", "[::1]", "localhost", "admin",
    "slipway", "CON", "A", "\xc3\xa4", "xn--a", "a..b", ".a", "a.", "-a", "a-", "a--b", "a/", "/a",
    "a//b", "/../a", "a/../b", "a/./b", "/.slipway"};
#define HOSTILE_COUNT (sizeof(hostile) / sizeof(*hostile))

struct shape {
	unsigned lines, semicolons, opens, closes, words;
};

static struct shape shape_of(const char *s)
{
	struct shape k = {0};
	for (; *s; s++) {
		k.lines += *s == '\n';
		k.semicolons += *s == ';';
		k.opens += *s == '{';
		k.closes += *s == '}';
		k.words += *s == ' ' || *s == '\t';
		assert_null(strchr("\"'\\$#%`\r", *s));
		assert_true((unsigned char)*s < 0x7f);
	}
	return k;
}

typedef bool put_fn(const char *value); /* renders with the value in its field */

static unsigned tried, accepted;

static void try_value(put_fn *put, const struct shape *shape, const char *value)
{
	tried++;
	if (!put(value)) {
		assert_string_equal(text, "");
		return;
	}
	accepted++;
	struct shape got = shape_of(text);
	assert_memory_equal(&got, shape, sizeof(got));
	/* every directive with the value has it whole */
	assert_non_null(strstr(text, value));
}

static void try_all(put_fn *put, const char *good, const char *name)
{
	char value[400];
	tried = accepted = 0;
	assert_true(put(good));
	struct shape shape = shape_of(text);
	size_t half = strlen(good) / 2;
	for (unsigned byte = 1; byte < 256; byte++) {
		(void)snprintf(
		    value, sizeof(value), "%.*s%c%s", (int)half, good, (int)byte, good + half);
		try_value(put, &shape, value);
	}
	for (size_t i = 0; i < HOSTILE_COUNT; i++) {
		try_value(put, &shape, hostile[i]);
		(void)snprintf(value, sizeof(value), "%s%s", good, hostile[i]);
		try_value(put, &shape, value);
		(void)snprintf(value, sizeof(value), "%s%s", hostile[i], good);
		try_value(put, &shape, value);
		(void)snprintf(
		    value, sizeof(value), "%.*s%s%s", (int)half, good, hostile[i], good + half);
		try_value(put, &shape, value);
	}
	print_message("%s: %u values, %u of them plain\n", name, tried, accepted);
	assert_true(tried - accepted >= 300);
}

static bool put_project(const char *s)
{
	struct err e;
	struct render_vhost *v = full();
	set_text(v->project, sizeof(v->project), s);
	return render_nginx_vhost(v, NULL, &roots, text, sizeof(text), &e) > 0;
}

static bool put_domain(const char *s)
{
	struct err e;
	struct render_vhost *v = full();
	set_text(v->domains[1], sizeof(v->domains[1]), s);
	return render_nginx_vhost(v, NULL, &roots, text, sizeof(text), &e) > 0;
}

static bool put_url(const char *s)
{
	struct err e;
	struct render_vhost *v = full();
	if (strcmp(s, "/") == 0)
		s = ""; /* another template, with its own exact text above */
	set_text(v->statics[0].url, sizeof(v->statics[0].url), s);
	return render_nginx_vhost(v, NULL, &roots, text, sizeof(text), &e) > 0;
}

static bool put_data_path(const char *s)
{
	struct err e;
	struct render_vhost *v = full();
	set_text(v->statics[1].data_path, sizeof(v->statics[1].data_path), s);
	return render_nginx_vhost(v, NULL, &roots, text, sizeof(text), &e) > 0;
}

static bool put_root(const char *s)
{
	struct err e;
	struct render_roots r = roots;
	r.projects = s;
	return render_nginx_vhost(full(), NULL, &r, text, sizeof(text), &e) > 0;
}

static void test_hostile_values(void **state)
{
	(void)state;
	try_all(put_project, "shop", "project");
	try_all(put_domain, "a.example.org", "domain");
	try_all(put_url, "/assets", "url");
	try_all(put_data_path, "media", "data path");
	try_all(put_root, "/srv/projects", "root");
}

/* ---- the edge's own files: settings are the operator's, but may not end a directive either ----
 */

static struct render_edge settings(void)
{
	return (struct render_edge){.roots = &roots,
	    .http_port = 8080,
	    .address = "127.0.0.1",
	    .ipv6 = 1,
	    .user = "www-data",
	    .workers = 2,
	    .trusted_proxies = "10.0.0.0/8, 2001:DB8::/32,::ffff:192.0.2.1/32",
	    .platform_host = "slipway.localhost",
	    .api_socket = "/run/slipway/edge-api.sock"};
}

static void test_edge_files(void **state)
{
	(void)state;
	struct err e;
	struct render_edge v = settings();
	assert_true(render_nginx_server(&v, text, sizeof(text), &e) > 0);
	assert_string_equal(text,
	    "\tlisten 127.0.0.1:8080;\n\tlisten [::1]:8080;\n"
	    "location ^~ /.slipway/ {\n\tinternal;\n\talias /var/lib/slipway/edge/pages/;\n"
	    "\trecursive_error_pages off;\n}\n"
	    "location ^~ /.well-known/acme-challenge/ {\n\troot /run/slipway/.acme;\n"
	    "\tdisable_symlinks on from=/run/slipway;\n\ttypes {\n\t}\n\tdefault_type text/plain;\n}\n");
	v.address = "0.0.0.0";
	assert_true(render_nginx_server(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "listen 0.0.0.0:8080;\n\tlisten [::]:8080;"));
	assert_true(render_nginx_common(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "\t10.0.0.0/8 1;\n\t2001:db8::/32 1;\n\t192.0.2.1/32 1;\n"));
	assert_non_null(strstr(text, "set_real_ip_from 2001:db8::/32;\n"));
	assert_non_null(strstr(text, "proxy_next_upstream off;\n"));
	assert_true(render_nginx_main(&v, text, RENDER_MAIN_TEXT_MAX, &e) > 0);
	assert_non_null(strstr(text, "user www-data;\n"));
	assert_true(render_nginx_platform(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "server unix:/run/slipway/edge-api.sock max_fails=0;\n"));
	assert_null(strstr(text, "metrics"));
	assert_null(strstr(text, "ssl"));
	assert_true(render_nginx_generation(&v, UINT32_MAX, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "listen unix:/var/lib/slipway/edge/edge.4294967295.sock;\n"));
	v.user = NULL;
	v.trusted_proxies = "";
	assert_true(render_nginx_main(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, "user "));
	assert_true(render_nginx_common(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, "real_ip_header"));
}

/* The longest list that `slipway setup` takes, in the fewest bytes for each. */
static void test_most_proxies(void **state)
{
	(void)state;
	char list[1000] = "::";
	struct err e;
	struct render_edge v = settings();
	for (size_t n = 2; n + sizeof(",::") <= sizeof(list); n += 3)
		memcpy(list + n, ",::", sizeof(",::"));
	v.trusted_proxies = list;
	assert_true(render_nginx_common(&v, text, RENDER_MAIN_TEXT_MAX, &e) > 0);
	assert_true(render_apache_common(&v, text, RENDER_MAIN_TEXT_MAX, &e) > 0);
}

/* Only a certificate that browsers trust makes http lead to https, and never a sender of hooks. */
static void test_platform_certificate(void **state)
{
	(void)state;
	struct err e;
	struct render_edge v = settings();
	v.https_port = 443;
	v.host_installed = 1;
	assert_true(render_nginx_platform(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "ssl_certificate certs/_host.pem;\n"));
	assert_null(strstr(text, "308"));
	assert_null(strstr(text, "Strict-Transport-Security"));
	v.host_trusted = 1;
	assert_true(render_nginx_platform(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "add_header Strict-Transport-Security max-age=31536000 always;\n"));
	const char *plain = strstr(text, "\tlisten 127.0.0.1:8080;\n");
	assert_non_null(plain);
	assert_non_null(strstr(plain, "return 308 https://$host$request_uri;\n"));
	assert_non_null(strstr(plain, "location ^~ /hooks/ {\n"));
	assert_null(strstr(plain, "/api/"));
	v.https_port = 8443;
	assert_true(render_nginx_platform(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, "Strict-Transport-Security"));
	assert_non_null(strstr(text, "return 308 https://$host:8443$request_uri;\n"));
	assert_true(render_apache_platform(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "SSLCertificateFile certs/_host.pem\n"));
	assert_non_null(strstr(text, "https://%{SERVER_NAME}:8443%{REQUEST_URI} [R=308,L]\n"));
}

/* Its own certificate first, then the platform's for all names below, then one that signs itself. */
static void test_covers(void **state)
{
	(void)state;
	struct err e;
	struct render_vhost v = *plain();
	struct render_tls tls = {.https_port = 443, .installed = 1, .trusted = 1,
	    .covered = {RENDER_SELF, RENDER_OWN, RENDER_WILDCARD}};
	(void)snprintf(v.domains[1], sizeof(v.domains[1]), "own.example.org");
	(void)snprintf(v.domains[2], sizeof(v.domains[2]), "below.example.org");
	v.domain_count = 3;
	assert_true(render_nginx_vhost(&v, &tls, &roots, text, sizeof(text), &e) > 0);
	const char *wild = strstr(text, "server_name below.example.org;\n\tssl_certificate certs/_wildcard.pem;\n");
	assert_non_null(strstr(text, "server_name own.example.org;\n\tssl_certificate certs/"));
	assert_non_null(wild);
	/* not trusted: http goes on */
	assert_null(strstr(wild, "308"));
	tls.wildcard_trusted = 1;
	assert_true(render_nginx_vhost(&v, &tls, &roots, text, sizeof(text), &e) > 0);
	wild = strstr(text, "ssl_certificate certs/_wildcard.pem;\n");
	assert_non_null(wild);
	assert_non_null(strstr(wild, "server_name below.example.org;\n\tlocation / {\n\t\treturn 308 "));
	assert_true(render_apache_vhost(&v, &tls, &roots, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "SSLCertificateFile certs/_wildcard.pem\n"));
}

#define OWN                                                                                        \
	"add_header X-Content-Type-Options $slipway_nosniff always;\n"                             \
	"add_header Referrer-Policy $slipway_referrer always;\n"                                   \
	"add_header Retry-After $slipway_retry always;\n"
#define STRICT                                                                                     \
	OWN "add_header X-Frame-Options $slipway_frame always;\n"                                  \
	    "add_header X-XSS-Protection $slipway_xss always;\n"                                   \
	    "add_header Content-Security-Policy $slipway_csp always;\n"

static unsigned count_of(const char *what)
{
	unsigned n = 0;
	for (const char *s = text; (s = strstr(s, what)); s++)
		n++;
	return n;
}

/* Every server block of a project says them, and HSTS only where browsers trust the certificate. */
static void test_strict_headers(void **state)
{
	(void)state;
	struct err e;
	struct render_vhost v = *full();
	struct render_tls tls = {.https_port = 443, .installed = 1, .trusted = 1,
	    .covered = {RENDER_SELF, RENDER_OWN}};
	v.headers = RENDER_HEADERS_STRICT;
	v.maintenance = 1;
	assert_text(&v, "server {\n"
			"\tinclude server.conf;\n"
			"\tserver_name shop.localhost shop.example.org;\n" STRICT
			"\tclient_max_body_size 104857600;\n"
			"\terror_page 503 /.slipway/maintenance.html;\n"
			"\tlocation / {\n"
			"\t\treturn 503;\n"
			"\t}\n"
			"}\n");
	assert_true(render_nginx_vhost(&v, &tls, &roots, text, sizeof(text), &e) > 0);
	assert_int_equal(count_of("server {\n"), 3);
	assert_int_equal(count_of(STRICT), 3);
	assert_int_equal(count_of("\tinclude strict.conf;\n"), 1);
	assert_int_equal(count_of("secure.conf"), 0);
	assert_true(render_apache_vhost(&v, &tls, &roots, text, sizeof(text), &e) > 0);
	assert_int_equal(count_of("<VirtualHost"), 4);
	assert_int_equal(count_of("\tHeader always set X-Frame-Options DENY \"expr=-z "
				  "resp('X-Frame-Options')\"\n"), 4);
	assert_int_equal(count_of("\tHeader always set Content-Security-Policy \"default-src "
				  "'self'\" \"expr=-z resp('Content-Security-Policy')\"\n"), 4);
	assert_int_equal(count_of("\tHeader always set X-XSS-Protection \"1; mode=block\" "
				  "\"expr=-z resp('X-XSS-Protection')\"\n"), 4);
	assert_int_equal(count_of("\tInclude strict.conf\n"), 1);
	v.headers = RENDER_HEADERS_BASIC;
	assert_true(render_apache_vhost(&v, &tls, &roots, text, sizeof(text), &e) > 0);
	assert_int_equal(count_of("Header always"), 0);
	assert_int_equal(count_of("\tInclude secure.conf\n"), 1);
}

/* What strict.conf says of HTTPS is for the names below, too, and only where http has port 80's sibling. */
static void test_strict_hsts(void **state)
{
	(void)state;
	struct err e;
	struct render_edge v = settings();
	v.https_port = 443;
	assert_true(render_nginx_strict(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "add_header Strict-Transport-Security $slipway_hsts_below always;\n"));
	assert_int_equal(count_of("add_header"), 1);
	assert_true(render_apache_strict(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "Strict-Transport-Security \"max-age=31536000; includeSubDomains\" "
				     "\"expr=-z resp('Strict-Transport-Security')\"\n"));
	v.https_port = 8443;
	assert_true(render_nginx_strict(&v, text, sizeof(text), &e) > 0);
	assert_int_equal(count_of("add_header"), 0);
	assert_true(render_apache_strict(&v, text, sizeof(text), &e) > 0);
	assert_int_equal(count_of("Strict-Transport-Security"), 0);
	assert_true(render_nginx_common(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "\"\" \"max-age=31536000; includeSubDomains\";\n"));
	assert_non_null(strstr(text, "map $upstream_http_content_security_policy $slipway_csp "
				     "{\n\tdefault \"\";\n\t\"\" \"default-src 'self'\";\n}\n"));
}

/* Which settings field the hostile value goes into. */
static struct render_edge hostile_settings(
    unsigned field, const char *value, struct render_roots *r)
{
	struct render_edge v = settings();
	*r = roots;
	v.roots = r;
	switch (field) {
	case 0:
		v.address = value;
		break;
	case 1:
		v.user = value;
		break;
	case 2:
		v.trusted_proxies = value;
		break;
	case 3:
		v.platform_host = value;
		break;
	case 4:
		v.api_socket = value;
		break;
	case 5:
		r->edge = value;
		break;
	default:
		r->run = value;
		break;
	}
	return v;
}

static void test_hostile_settings(void **state)
{
	(void)state;
	static const char *const good[] = {"127.0.0.1", "www-data", "10.0.0.0/8",
	    "slipway.localhost", "/run/x.sock", "/var/edge", "/run/x"};
	struct err e;
	struct render_roots r;
	char value[128];
	for (unsigned field = 0; field < 7; field++) {
		struct render_edge v = hostile_settings(field, good[field], &r);
		assert_true(render_nginx_platform(&v, text, sizeof(text), &e) > 0);
		size_t lines = shape_of("").lines;
		for (const char *s = text; *s; s++)
			lines += *s == '\n';
		for (size_t i = 0; i < 3 * HOSTILE_COUNT; i++) {
			const char *bad = hostile[i / 3];
			(void)snprintf(value, sizeof(value), "%s%s%s",
			    i % 3 == 1 ? good[field] : "", bad, i % 3 == 2 ? good[field] : "");
			v = hostile_settings(field, value, &r);
			bool ok = render_nginx_common(&v, text, sizeof(text), &e) > 0;
			if (!ok || render_nginx_main(&v, text, sizeof(text), &e) < 0 ||
			    render_nginx_platform(&v, text, sizeof(text), &e) < 0)
				continue;
			size_t got = 0;
			for (const char *s = text; *s; s++)
				got += *s == '\n';
			assert_int_equal(got, lines);
			/* blanks around a list's items are dropped, never written */
			assert_null(
			    strpbrk(value, field == 2 ? ";{}#$%\"'\\" : " \t\r\n;{}#$%\"'\\"));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_program),
	    cmocka_unit_test(test_static_site),
	    cmocka_unit_test(test_maintenance_and_nothing),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_hostile_values),
	    cmocka_unit_test(test_edge_files),
	    cmocka_unit_test(test_most_proxies),
	    cmocka_unit_test(test_platform_certificate),
	    cmocka_unit_test(test_covers),
	    cmocka_unit_test(test_strict_headers),
	    cmocka_unit_test(test_strict_hsts),
	    cmocka_unit_test(test_hostile_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
