/* The edge's own files: nginx.conf and what it and the test skeleton include. */
#include "render/vhost.h"

#include "base/cidr.h"
#include "render/check.h"
#include "render/headers.h"
#include "render/out.h"
#include "render/tls.h"

#include <arpa/inet.h>
#include <string.h>

static int check_address(const char *text, struct err *e)
{
	struct in_addr a;
	if (!text || inet_pton(AF_INET, text, &a) != 1)
		return err_set(e, ERR_SETTINGS, "the edge's address is not an IPv4 address");
	return 0;
}

static int check_socket(const char *what, const char *path, struct err *e)
{
	if (out_path_check(what, path, e) < 0)
		return -1;
	if (strlen(path) > RENDER_SOCKET_PATH_MAX)
		return err_set(
		    e, ERR_SETTINGS, "%s is longer than %u bytes", what, RENDER_SOCKET_PATH_MAX);
	return 0;
}

int check_proxy(struct str item, char out[CIDR_TEXT_SIZE], struct err *e)
{
	struct cidr range;
	if (cidr_parse(str_trim(item), &range, e) != 0) {
		e->code = ERR_SETTINGS;
		return err_prefix(e, "a trusted proxy");
	}
	cidr_text(&range, out);
	return 0;
}

int render_path_check(const char *what, const char *path, struct err *e)
{
	return out_path_check(what, path, e);
}

int check_edge(const struct render_edge *v, struct err *e)
{
	if (check_address(v->address, e) < 0)
		return -1;
	if (v->http_port == 0)
		return err_set(e, ERR_SETTINGS, "the edge's port is 0");
	if (v->https_port == v->http_port)
		return err_set(e, ERR_SETTINGS, "the edge cannot have http and https on one port");
	if (v->preset >= RENDER_PRESET_COUNT)
		return err_set(e, ERR_SETTINGS, "the edge's TLS preset is unknown");
	if (v->workers == 0 || v->workers > 64)
		return err_set(e, ERR_SETTINGS, "the edge has 1 to 64 workers, not %u", v->workers);
	if (v->user && (!out_inert(v->user) || v->user[0] == '-'))
		return err_set(e, ERR_SETTINGS, "the edge's user is not a user name");
	if (name_domain(str_c(v->platform_host), e) < 0)
		return err_prefix(e, "the platform's host");
	if (check_socket("API socket", v->api_socket, e) < 0 ||
	    out_path_check("edge directory", v->roots->edge, e) < 0 ||
	    out_path_check("run directory", v->roots->run, e) < 0)
		return -1;
	if (strlen(v->roots->edge) > RENDER_EDGE_PATH_MAX)
		return err_set(e, ERR_SETTINGS, "edge directory is too long for socket paths");
	return 0;
}

static void put_paths(struct out *o, const char *edge, bool test)
{
	static const char *const kinds[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		out_put(o, "\t%s_temp_path %s", kinds[i], edge);
		out_put(o, test ? "/test/tmp/%s;\n" : "/tmp/%s;\n", kinds[i]);
	}
}

enum listener { LISTEN_PLAIN, LISTEN_SECURE };

static void put_listen_one(
    struct out *o, const struct render_edge *v, enum listener which, bool ipv6, bool is_default)
{
	unsigned long long port = which == LISTEN_SECURE ? v->https_port : v->http_port;
	if (ipv6)
		out_put(o,
		    strcmp(v->address, "0.0.0.0") == 0 ? "\tlisten [::]:%llu"
						       : "\tlisten [::1]:%llu",
		    port);
	else
		out_put(o, "\tlisten %s:%llu", v->address, port);
	if (which == LISTEN_SECURE)
		out_put(o, " ssl http2");
	if (is_default)
		out_put(o, ipv6 ? " default_server backlog=4096 ipv6only=on"
				: " default_server backlog=4096");
	out_put(o, ";\n");
}

static void put_listen(
    struct out *o, const struct render_edge *v, enum listener which, bool is_default)
{
	if (which == LISTEN_SECURE && v->https_port == 0)
		return;
	put_listen_one(o, v, which, false, is_default);
	if (v->ipv6)
		put_listen_one(o, v, which, true, is_default);
}

/* The plain pages; and what an authority asks for (RFC 8555, 8.3), the same for every name. Whoever
 * writes those files is not root: no link of his is followed. */
static void put_pages(struct out *o, const struct render_edge *v)
{
	out_put(o,
	    "location ^~ /.slipway/ {\n\tinternal;\n\talias %s/pages/;\n\trecursive_error_pages "
	    "off;\n}\n",
	    v->roots->edge);
	out_put(o, "location ^~ /.well-known/acme-challenge/ {\n\troot %s/.acme;\n", v->roots->run);
	out_put(o,
	    "\tdisable_symlinks on from=%s;\n\ttypes {\n\t}\n\tdefault_type text/plain;\n}\n",
	    v->roots->run);
}

/* One line of JSON for each request; what observe/ counts from. Without the query: it may hold a
 * secret. */
/* The secret of an address below /webhooks/ belongs into no log. */
#define QUIET "\t\t\taccess_log off;\n\t\t\terror_log /dev/null;\n"

static const char log_format[] =
    "\tlog_format slipway escape=json "
    "'{\"time\":$msec,\"host\":\"$host\",\"method\":\"$request_method\","
    "\"uri\":\"$slipway_path\",\"status\":$status,\"bytes\":$body_bytes_sent,\"duration\":$request_"
    "time,"
    "\"request_id\":\"$request_id\",\"remote\":\"$remote_addr\",\"server\":\"$server_name\","
    "\"upstream_status\":\"$upstream_status\",\"upstream_duration\":\"$upstream_response_time\"}';"
    "\n";

/* What the daemon says with its answers (daemon/main.c), said by the edge with each of its own, and
 * once: so nothing of the platform's goes without, whoever answers. A request that is refused
 * before its host is known is the default server's. */
static const char platform_headers[] =
    "\t\tproxy_hide_header X-Content-Type-Options;\n"
    "\t\tadd_header X-Content-Type-Options nosniff always;\n"
    "\t\tproxy_hide_header X-Frame-Options;\n"
    "\t\tadd_header X-Frame-Options DENY always;\n"
    "\t\tproxy_hide_header X-XSS-Protection;\n"
    "\t\tadd_header X-XSS-Protection \"1; mode=block\" always;\n"
    "\t\tproxy_hide_header Referrer-Policy;\n"
    "\t\tadd_header Referrer-Policy no-referrer always;\n"
    "\t\tproxy_hide_header Content-Security-Policy;\n"
    "\t\tadd_header Content-Security-Policy \"default-src 'self'; base-uri 'none'; form-action "
    "'self'; frame-ancestors 'none'; object-src 'none'\" always;\n"
    "\t\tproxy_hide_header Cross-Origin-Opener-Policy;\n"
    "\t\tadd_header Cross-Origin-Opener-Policy same-origin always;\n"
    "\t\tproxy_hide_header Cross-Origin-Resource-Policy;\n"
    "\t\tadd_header Cross-Origin-Resource-Policy same-origin always;\n"
    "\t\tproxy_hide_header Permissions-Policy;\n"
    "\t\tadd_header Permissions-Policy \"camera=(), geolocation=(), microphone=()\" always;\n"
    "\t\tproxy_hide_header Cache-Control;\n"
    "\t\tadd_header Cache-Control no-store always;\n"
    "\t\tadd_header Retry-After $slipway_retry always;\n";

/* What senders of hooks ask. */
static void put_hooks(struct out *o)
{
	static const char *const classic[] = {"/github-webhook", "/webhook", "/webhook/particle"};
	const unsigned long long body_max = LIMIT_HOOK_BODY_BYTES;
	out_put(o, "\t\tlocation ^~ /hooks/ {\n\t\t\tclient_max_body_size %llu;\n", body_max);
	out_put(o, "\t\t\tproxy_pass http://slipway;\n\t\t}\n");
	for (size_t i = 0; i < sizeof(classic) / sizeof(*classic); i++) {
		out_put(o, "\t\tlocation = %s {\n", classic[i]);
		out_put(o, "\t\t\tclient_max_body_size %llu;\n", body_max);
		out_put(o, "\t\t\tproxy_pass http://slipway;\n\t\t}\n");
	}
	out_put(o, "\t\tlocation ^~ /webhooks/ {\n\t\t\tclient_max_body_size %llu;\n", body_max);
	out_put(o, QUIET);
	out_put(o, "\t\t\tproxy_pass http://slipway;\n\t\t}\n");
}

/* One server of the platform's own host; the rest of it follows. */
static void put_platform_begin(struct out *o, const struct render_edge *v, bool plain, bool secure)
{
	out_put(o, "\tserver {\n");
	if (plain)
		put_listen(o, v, LISTEN_PLAIN, false);
	if (secure)
		put_listen(o, v, LISTEN_SECURE, false);
	out_put(o, "\t\tinclude pages.conf;\n\t\tserver_name %s;\n", v->platform_host);
	out_put(o, platform_headers);
	out_put(o, "\t\tproxy_read_timeout 3600s;\n");
}

/* What asked for http is told where https is; but who sends a hook goes nowhere else, and would lose it. */
static void put_platform_way(struct out *o, const struct render_edge *v)
{
	put_platform_begin(o, v, true, false);
	out_put(o, "\t\tlocation / {\n\t\t\treturn 308 https://$host");
	if (v->https_port != 443)
		out_put(o, ":%llu", (unsigned long long)v->https_port);
	out_put(o, "$request_uri;\n\t\t}\n");
	put_hooks(o);
	out_put(o, "\t}\n");
}

static void put_platform_certificate(struct out *o, const struct render_edge *v)
{
	if (!v->host_installed)
		return;
	out_put(o, "\t\tssl_certificate certs/" RENDER_HOST_NAME ".pem;\n"
		   "\t\tssl_certificate_key certs/" RENDER_HOST_NAME ".pem;\n");
	/* a browser that is told to stay with HTTPS goes to port 443 only where the other was 80 */
	if (v->host_trusted && v->https_port == 443)
		out_put(o, "\t\tadd_header Strict-Transport-Security max-age=31536000 always;\n");
}

/* The platform's own host: hooks, API and health; never /metrics. */
long render_nginx_platform(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	bool secure_only = v->host_installed && v->host_trusted;
	out_put(&o, "\tupstream slipway {\n\t\tserver unix:%s max_fails=0;\n\t}\n", v->api_socket);
	put_platform_begin(&o, v, !secure_only, true);
	put_platform_certificate(&o, v);
	out_put(&o, "\t\tlocation / {\n\t\t\treturn 404;\n\t\t}\n");
	out_put(&o, "\t\tlocation = /health {\n\t\t\tproxy_pass http://slipway;\n\t\t}\n");
	put_hooks(&o);
	out_put(&o, "\t\tlocation ^~ /api/ {\n\t\t\tclient_max_body_size %llu;\n",
	    (unsigned long long)LIMIT_ARCHIVE_BYTES);
	out_put(&o, "\t\t\tproxy_request_buffering off;\n\t\t\tproxy_buffering off;\n"
		    "\t\t\tproxy_pass http://slipway;\n\t\t}\n\t}\n");
	if (secure_only)
		put_platform_way(&o, v);
	return out_end(&o, "platform.conf", e);
}

static void put_top(struct out *o, const struct render_edge *v, bool test)
{
	const char *edge = v->roots->edge;
	out_put(o,
	    test ? "daemon off;\npid %s/whole/nginx.pid;\n" : "daemon off;\npid %s/nginx.pid;\n",
	    edge);
	if (v->user)
		out_put(o, "user %s;\n", v->user);
	/* an old worker waits for its WebSockets after a reload; not for ever */
	out_put(o,
	    "worker_processes %llu;\nworker_rlimit_nofile 16384;\nworker_shutdown_timeout 1h;\n",
	    (unsigned long long)v->workers);
	out_put(
	    o, "error_log %s/log/error.log warn;\nevents {\n\tworker_connections 4096;\n}\n", edge);
}

/* The name in it is the first of the server that the client's name chose, not what the client said;
 * so every server without a certificate of its own has one, read when somebody comes. Its own name
 * is "_": there is a file for that, or, strictly, none. */
static void put_self_signed(struct out *o, const struct render_edge *v)
{
	if (v->https_port == 0)
		return;
	out_put(o, "\t\tssl_certificate %s/certs/self/$server_name;\n", v->roots->edge);
	out_put(o, "\t\tssl_certificate_key %s/certs/self/$server_name;\n", v->roots->edge);
}

static long main_conf(const struct render_edge *v, bool test, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	put_top(&o, v, test);
	out_put(&o, "http {\n");
	put_paths(&o, v->roots->edge, false);
	out_put(&o, log_format);
	out_put(&o, "\taccess_log %s/log/access.log slipway;\n\tinclude common.conf;\n",
	    v->roots->edge);
	out_put(&o, "\tserver {\n");
	put_listen(&o, v, LISTEN_PLAIN, true);
	put_listen(&o, v, LISTEN_SECURE, true);
	put_self_signed(&o, v);
	out_put(&o, platform_headers);
	out_put(&o, "\t\tinclude pages.conf;\n\t\tserver_name _;\n\t\tlocation / {\n\t\t\treturn "
		    "404;\n\t\t}\n");
	/* whoever calls us by another name gives a secret away as well */
	out_put(&o, "\t\tlocation ^~ /webhooks/ {\n" QUIET "\t\t\treturn 404;\n\t\t}\n\t}\n");
	out_put(&o, "\tinclude platform.conf;\n");
	/* last: nginx opens sockets in this order, so when this one answers all do. Of two servers
	 * with one name the first has it: a project's own before a site's. */
	out_put(&o, "\tinclude vhosts/*.conf;\n\tinclude sites/*/enabled/*;\n");
	out_put(&o, test ? "}\n" : "\tinclude generation.conf;\n}\n");
	return out_end(&o, "nginx.conf", e);
}

long render_nginx_main(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return main_conf(v, false, out, size, e);
}

long render_nginx_whole(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return main_conf(v, true, out, size, e);
}

/* In every server block of a site, first of all: so an authority is answered also where the block
 * does nothing but redirect. The path is one that nobody can ask for. The platform's own pages of
 * errors are not for sites: one of the block's own, for a code that nothing answers, takes their
 * place. */
long render_nginx_challenge(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_put(&o,
	    "error_page 599 /.slipway-acme/;\nrecursive_error_pages off;\n"
	    "rewrite ^/\\.well-known/acme-challenge/([A-Za-z0-9_-]+)$ /.slipway-acme/$1 break;\n"
	    "location ^~ /.slipway-acme/ {\n\tinternal;\n");
	/* back again: nginx knows no alias for a path that was rewritten */
	out_put(&o, "\trewrite ^/\\.slipway-acme/(.*)$ /.well-known/acme-challenge/$1 break;\n");
	out_put(&o, "\troot %s/.acme;\n", v->roots->run);
	out_put(
	    &o, "\tdisable_symlinks on from=%s;\n\tauth_basic off;\n\tallow all;\n", v->roots->run);
	out_put(&o, "\ttypes {\n\t}\n\tdefault_type text/plain;\n}\n");
	return out_end(&o, "challenge.conf", e);
}

/* A client's own claim about itself is believed only when it comes from a trusted proxy. */
static int put_proxies(struct out *o, const struct render_edge *v, struct err *e)
{
	struct str rest = str_c(v->trusted_proxies), item;
	char text[CIDR_TEXT_SIZE];
	out_put(o, "geo $realip_remote_addr $slipway_trusted {\n\tdefault 0;\n");
	while (rest.n > 0 && str_next(&rest, ',', &item)) {
		if (check_proxy(item, text, e) < 0)
			return -1;
		out_put(o, "\t%s 1;\n", text);
	}
	out_put(o, "}\n");
	rest = str_c(v->trusted_proxies);
	bool any = rest.n > 0;
	while (rest.n > 0 && str_next(&rest, ',', &item)) {
		if (check_proxy(item, text, e) < 0)
			return -1;
		out_put(o, "set_real_ip_from %s;\n", text);
	}
	if (any)
		out_put(o, "real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n");
	return 0;
}

/* Only WebSocket is upgraded: anything else (h2c) would be a tunnel past the edge. The Host that a
 * program sees is the one that chose the vhost, with the port that the client used. A program's own
 * headers win over ours. */
static const char maps[] =
    "map $http_upgrade $slipway_upgrade {\n\tdefault \"\";\n\twebsocket websocket;\n}\n"
    "map $slipway_upgrade $slipway_connection {\n\tdefault upgrade;\n\t\"\" close;\n}\n"
    "map $slipway_trusted:$http_x_forwarded_proto $slipway_proto {\n\tdefault $scheme;\n\t1:https "
    "https;\n"
    "\t1:http http;\n}\n"
    "map $http_host $slipway_port {\n\tdefault \"\";\n\t~(?<slipway_port_text>:[0-9]+)$ "
    "$slipway_port_text;\n}\n"
    "map $upstream_http_x_content_type_options $slipway_nosniff {\n\tdefault \"\";\n\t\"\" "
    "nosniff;\n}\n"
    "map $upstream_http_referrer_policy $slipway_referrer {\n\tdefault \"\";\n"
    "\t\"\" strict-origin-when-cross-origin;\n}\n"
    "map $upstream_http_strict_transport_security $slipway_hsts {\n\tdefault \"\";\n"
    "\t\"\" " HEADERS_HSTS ";\n}\n"
    "map $upstream_http_strict_transport_security $slipway_hsts_below {\n\tdefault \"\";\n"
    "\t\"\" \"" HEADERS_HSTS_BELOW "\";\n}\n"
    "map $upstream_http_x_frame_options $slipway_frame {\n\tdefault \"\";\n"
    "\t\"\" " HEADERS_FRAME ";\n}\n"
    "map $upstream_http_x_xss_protection $slipway_xss {\n\tdefault \"\";\n"
    "\t\"\" \"" HEADERS_XSS "\";\n}\n"
    "map $upstream_http_content_security_policy $slipway_csp {\n\tdefault \"\";\n"
    "\t\"\" \"" HEADERS_CSP "\";\n}\n"
    "map $status:$upstream_http_retry_after $slipway_retry {\n\tdefault \"\";\n\t503: 30;\n}\n";

/* What logs say of an address: nothing behind its '?'; and of one below /webhooks/ of ours, by whatever name that is called, nothing that
 * follows, which is a secret. Also where an error's page is what answers. */
static void put_path_map(struct out *o, const struct render_edge *v)
{
	out_put(o, "map $server_name$request_uri $slipway_path {\n\tdefault \"\";\n\t~^(_|");
	out_put_regex(o, v->platform_host);
	out_put(o, ")/+webhooks/ /webhooks/;\n\t~^[^/]*(?<slipway_path_text>/[^?]*) "
		   "$slipway_path_text;\n}\n");
}

static const char http_part[] =
    "include /etc/nginx/mime.types;\ndefault_type application/octet-stream;\n"
    "sendfile on;\ntcp_nopush on;\nserver_tokens off;\nopen_file_cache off;\nlog_not_found off;\n"
    "absolute_redirect off;\nserver_names_hash_bucket_size 512;\nserver_names_hash_max_size "
    "65536;\n"
    "client_header_timeout 15s;\nclient_body_timeout 60s;\nsend_timeout 60s;\nkeepalive_timeout "
    "65s;\n"
    "reset_timedout_connection on;\nindex index.html;\n"
    "recursive_error_pages on;\n"
    "error_page 403 =404 /.slipway/404.html;\nerror_page 404 /.slipway/404.html;\n"
    "error_page 413 /.slipway/413.html;\nerror_page 502 /.slipway/502.html;\n"
    "error_page 503 /.slipway/503.html;\nerror_page 504 /.slipway/504.html;\n";
static const char own_headers[] = HEADERS_NGINX;

/* Of every server, since the version and the curve are agreed before a name is known. */
static const char tls_part[] = "ssl_protocols TLSv1.2 TLSv1.3;\nssl_session_cache "
			       "shared:slipway:10m;\nssl_session_timeout 1d;\n"
			       "ssl_session_tickets off;\nssl_buffer_size 4k;\n";
static const char tls_intermediate[] =
    "ssl_ecdh_curve " TLS_GROUPS_INTERMEDIATE ";\nssl_prefer_server_ciphers off;\n"
    "ssl_ciphers " TLS_CIPHERS_INTERMEDIATE ";\n";
static const char tls_strict[] =
    "ssl_ecdh_curve " TLS_GROUPS_STRICT ";\nssl_prefer_server_ciphers on;\n"
    "ssl_ciphers " TLS_CIPHERS_STRICT ";\n";

static void put_tls(struct out *o, const struct render_edge *v)
{
	if (v->https_port == 0)
		return;
	out_put(o, tls_part);
	out_put(o, v->preset == RENDER_PRESET_STRICT ? tls_strict : tls_intermediate);
}

static const char proxy_part[] =
    "proxy_http_version 1.1;\nproxy_next_upstream off;\nproxy_connect_timeout 5s;\n"
    "proxy_buffer_size 16k;\nproxy_buffers 8 16k;\nproxy_busy_buffers_size 32k;\n"
    "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;\n"
    "proxy_set_header Host $host$slipway_port;\nproxy_set_header Connection $slipway_connection;\n"
    "proxy_set_header Upgrade $slipway_upgrade;\nproxy_set_header X-Real-IP $remote_addr;\n"
    "proxy_set_header X-Forwarded-For $remote_addr;\nproxy_set_header X-Forwarded-Proto "
    "$slipway_proto;\n"
    "proxy_set_header X-Forwarded-Host $host$slipway_port;\nproxy_set_header X-Forwarded-Port "
    "\"\";\n"
    "proxy_set_header X-Forwarded-Server \"\";\nproxy_set_header X-Forwarded-Prefix \"\";\n"
    "proxy_set_header Forwarded \"\";\nproxy_set_header Proxy \"\";\n"
    "proxy_set_header X-Request-Id $request_id;\n";

long render_nginx_common(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0 || put_proxies(&o, v, e) < 0)
		return -1;
	out_put(&o, maps);
	put_path_map(&o, v);
	out_put(&o, http_part);
	out_put(&o, own_headers);
	out_put(&o, proxy_part);
	put_tls(&o, v);
	return out_end(&o, "common.conf", e);
}

/* Headers named in a server replace the outer ones, so all are said again. */
static const char secure_headers[] =
    HEADERS_NGINX "add_header Strict-Transport-Security $slipway_hsts always;\n";
static const char strict_headers[] =
    "add_header Strict-Transport-Security $slipway_hsts_below always;\n";

/* headers NULL: none of its own. */
static long server_file(const struct render_edge *v, bool plain, bool secure, const char *headers,
    const char *what, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	if (plain)
		put_listen(&o, v, LISTEN_PLAIN, false);
	if (secure)
		put_listen(&o, v, LISTEN_SECURE, false);
	/* a browser that is told to stay with HTTPS goes to port 443 only where the other was 80 */
	if (headers && v->https_port == 443)
		out_text(&o, headers);
	put_pages(&o, v);
	return out_end(&o, what, e);
}

long render_nginx_server(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return server_file(v, true, true, NULL, "server.conf", out, size, e);
}

long render_nginx_plain(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return server_file(v, true, false, NULL, "plain.conf", out, size, e);
}

long render_nginx_secure(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return server_file(v, false, true, secure_headers, "secure.conf", out, size, e);
}

long render_nginx_strict(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return server_file(v, false, true, strict_headers, "strict.conf", out, size, e);
}

long render_nginx_pages(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	put_pages(&o, v);
	return out_end(&o, "pages.conf", e);
}

long render_nginx_skeleton(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_put(&o, "pid %s/test/nginx.pid;\nerror_log stderr error;\nevents {\n}\nhttp {\n",
	    v->roots->edge);
	put_paths(&o, v->roots->edge, true);
	out_put(&o, "\taccess_log off;\n\tinclude ../common.conf;\n\tinclude candidate.conf;\n}\n");
	return out_end(&o, "test/nginx.conf", e);
}

long render_nginx_skeleton_server(
    const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_put(&o, "\tlisten unix:%s/test/test.sock;\n", v->roots->edge);
	put_pages(&o, v);
	return out_end(&o, "test/server.conf", e);
}

long render_nginx_generation(
    const struct render_edge *v, uint32_t generation, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_put(&o,
	    "server {\n\tlisten unix:%s/edge.%llu.sock;\n\taccess_log off;\n\treturn 444;\n}\n",
	    v->roots->edge, (unsigned long long)generation);
	return out_end(&o, "generation.conf", e);
}
