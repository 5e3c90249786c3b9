/* rooms: base render */
/* What the edge says of TLS: presets, which server block has which certificate, where http leads.
 */
#include "render/vhost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct render_roots roots = {
    .projects = "/run/slipway/p", .run = "/run/slipway", .edge = "/var/lib/slipway/edge"};
static char text[RENDER_VHOST_TEXT_MAX];

static struct render_vhost *shop(void)
{
	static struct render_vhost v;
	static const char *const domains[] = {
	    "shop.localhost", "shop.example.org", "www.shop.test"};
	memset(&v, 0, sizeof(v));
	v.version = RENDER_VHOST_VERSION;
	v.domain_count = 3;
	(void)snprintf(v.project, sizeof(v.project), "shop");
	for (unsigned i = 0; i < v.domain_count; i++)
		(void)snprintf(v.domains[i], sizeof(v.domains[i]), "%s", domains[i]);
	v.body_max_bytes = 1000;
	v.request_timeout_s = 60;
	return &v;
}

static const char *rendered(const struct render_tls *tls)
{
	struct err e;
	long n = render_nginx_vhost(shop(), tls, &roots, text, sizeof(text), &e);
	assert_true(n > 0 && (size_t)n == strlen(text));
	return text;
}

#define CONTENT "\tclient_max_body_size 1000;\n\tlocation / {\n\t\treturn 404;\n\t}\n}\n"

static void test_without_a_certificate(void **state)
{
	(void)state;
	static const char all[] =
	    "server {\n\tinclude server.conf;\n"
	    "\tserver_name shop.localhost shop.example.org www.shop.test;\n" CONTENT;
	struct render_tls tls = {.https_port = 443, .trusted = 1, .covered = {0, 1, 1}};
	assert_string_equal(rendered(NULL), all);
	assert_string_equal(rendered(&tls), all);
	tls.installed = 1;
	memset(tls.covered, 0, sizeof(tls.covered));
	assert_string_equal(rendered(&tls), all);
}

static void test_a_certificate_for_some(void **state)
{
	(void)state;
	struct render_tls tls = {.https_port = 443, .installed = 1, .covered = {0, 1, 0}};
	assert_string_equal(rendered(&tls),
	    "server {\n\tinclude server.conf;\n\tserver_name shop.localhost "
	    "www.shop.test;\n" CONTENT
	    "server {\n\tinclude server.conf;\n\tserver_name shop.example.org;\n"
	    "\tssl_certificate certs/shop.pem;\n\tssl_certificate_key certs/shop.pem;\n" CONTENT);
	tls.trusted = 1;
	assert_string_equal(rendered(&tls),
	    "server {\n\tinclude server.conf;\n\tserver_name shop.localhost "
	    "www.shop.test;\n" CONTENT
	    "server {\n\tinclude secure.conf;\n\tserver_name shop.example.org;\n"
	    "\tssl_certificate certs/shop.pem;\n\tssl_certificate_key certs/shop.pem;\n" CONTENT
	    "server {\n\tinclude plain.conf;\n\tserver_name shop.example.org;\n"
	    "\tlocation / {\n\t\treturn 308 https://$host$request_uri;\n\t}\n}\n");
	tls.https_port = 8443;
	assert_non_null(strstr(rendered(&tls), "return 308 https://$host:8443$request_uri;\n"));
}

static void test_refusals(void **state)
{
	(void)state;
	struct err e;
	struct render_tls tls = {.https_port = 0};
	struct render_vhost *v = shop();
	assert_int_equal(render_nginx_vhost(v, &tls, &roots, text, sizeof(text), &e), -1);
	assert_int_equal(e.code, ERR_SETTINGS);
	assert_string_equal(text, "");
	v->static_count = 1;
	(void)snprintf(v->statics[0].url, sizeof(v->statics[0].url), "/.well-known/acme-challenge");
	assert_int_equal(render_nginx_vhost(v, NULL, &roots, text, sizeof(text), &e), -1);
	assert_string_equal(e.pointer, "/static/0");
}

static struct render_edge settings(void)
{
	return (struct render_edge){.roots = &roots,
	    .http_port = 80,
	    .https_port = 443,
	    .address = "0.0.0.0",
	    .ipv6 = 1,
	    .workers = 2,
	    .trusted_proxies = "",
	    .platform_host = "slipway.localhost",
	    .api_socket = "/run/slipway/edge-api.sock"};
}

static void test_listeners(void **state)
{
	(void)state;
	struct err e;
	struct render_edge v = settings();
	static const char plain[] = "\tlisten 0.0.0.0:80;\n\tlisten [::]:80;\n",
			  secure[] =
			      "\tlisten 0.0.0.0:443 ssl http2;\n\tlisten [::]:443 ssl http2;\n";
	assert_true(render_nginx_server(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, plain));
	assert_non_null(strstr(text, secure));
	assert_null(strstr(text, "Strict"));
	assert_true(render_nginx_plain(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, plain));
	assert_null(strstr(text, "ssl"));
	assert_true(render_nginx_secure(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, plain));
	assert_non_null(strstr(text, secure));
	assert_non_null(
	    strstr(text, "add_header Strict-Transport-Security $slipway_hsts always;\n"));
	assert_non_null(
	    strstr(text, "add_header X-Content-Type-Options $slipway_nosniff always;\n"));
	v.https_port = 8443; /* a browser would look for it beside 80 */
	assert_true(render_nginx_secure(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, "Strict"));
	v.https_port = 0;
	assert_true(render_nginx_server(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, "ssl"));
	v.https_port = v.http_port;
	assert_int_equal(render_nginx_server(&v, text, sizeof(text), &e), -1);
}

static void test_presets(void **state)
{
	(void)state;
	struct err e;
	struct render_edge v = settings();
	assert_true(render_nginx_common(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "ssl_protocols TLSv1.2 TLSv1.3;\n"));
	assert_non_null(strstr(text, "ssl_ecdh_curve X25519:prime256v1:secp384r1;\n"));
	v.preset = RENDER_PRESET_STRICT;
	assert_true(render_nginx_common(&v, text, sizeof(text), &e) > 0);
	assert_non_null(strstr(text, "ssl_protocols TLSv1.2 TLSv1.3;\n"));
	assert_non_null(strstr(text, "ssl_ecdh_curve secp521r1:secp384r1;\n"));
	assert_non_null(
	    strstr(text, "ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
			 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;\n"));
	assert_true(render_nginx_main(&v, text, sizeof(text), &e) > 0);
	assert_non_null(
	    strstr(text, "ssl_certificate /var/lib/slipway/edge/certs/self/$server_name;\n"));
	v.https_port = 0;
	assert_true(render_nginx_common(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, "ssl"));
	assert_true(render_nginx_main(&v, text, sizeof(text), &e) > 0);
	assert_null(strstr(text, "ssl"));
	v.preset = RENDER_PRESET_COUNT;
	assert_int_equal(render_nginx_common(&v, text, sizeof(text), &e), -1);
}

static void test_challenges(void **state)
{
	(void)state;
	struct err e;
	struct render_edge v = settings();
	assert_true(render_nginx_pages(&v, text, sizeof(text), &e) > 0);
	assert_non_null(
	    strstr(text, "location ^~ /.well-known/acme-challenge/ {\n\troot /run/slipway/.acme;\n"
			 "\tdisable_symlinks on from=/run/slipway;\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_a_certificate),
	    cmocka_unit_test(test_a_certificate_for_some),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_listeners),
	    cmocka_unit_test(test_presets),
	    cmocka_unit_test(test_challenges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
