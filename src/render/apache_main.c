/* Apache's own files: apache.conf and what it and the test skeleton include. */
#include "render/check.h"
#include "render/headers.h"
#include "render/out.h"
#include "render/tls.h"

#include <string.h>

#define THREADS 64ull	/* of one worker process */
#define PROCESSES 16ull /* at most; old ones that still finish not counted */

/* Debian builds in core, http_core, so, log_config, logio, unixd, version and watchdog. */
static const char *const modules[] = {"mpm_event", "authz_core", "alias", "env", "headers", "mime",
    "proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests", "slotmem_shm", "remoteip",
    "reqtimeout", "rewrite", "setenvif", "unique_id"};
static const char *const tls_modules[] = {"ssl", "socache_shmcb", "http2"};

static void put_modules(struct out *o, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		out_put(o, "LoadModule %s_module ", names[i]);
		out_put(o, "/usr/lib/apache2/modules/mod_%s.so\n", names[i]);
	}
}

/* What the main file and the skeleton have in common. */
static void put_top(struct out *o, const struct render_edge *v)
{
	put_modules(o, modules, sizeof(modules) / sizeof(*modules));
	if (v->https_port)
		put_modules(o, tls_modules, sizeof(tls_modules) / sizeof(*tls_modules));
	out_put(o, "Define SLIPWAY_HTTP %llu\n", (unsigned long long)v->http_port);
	if (v->https_port)
		out_put(o, "Define SLIPWAY_HTTPS %llu\n", (unsigned long long)v->https_port);
	out_put(o, "ServerName default.invalid\nDocumentRoot %s/pages\n", v->roots->edge);
}

static void put_listen(struct out *o, const struct render_edge *v, uint16_t port, const char *what)
{
	bool all = strcmp(v->address, "0.0.0.0") == 0;
	out_put(o, "Listen %s:%llu ", v->address, (unsigned long long)port);
	out_text(o, what);
	if (v->ipv6) {
		out_put(
		    o, all ? "Listen [::]:%llu " : "Listen [::1]:%llu ", (unsigned long long)port);
		out_text(o, what);
	}
}

/* Old processes finish what they serve after a reload, WebSockets too: they have places of their
 * own. */
static void put_workers(struct out *o, const struct render_edge *v)
{
	unsigned long long workers = v->workers < PROCESSES ? v->workers : PROCESSES;
	out_put(o, "StartServers %llu\nThreadsPerChild %llu\nThreadLimit %llu\n", workers, THREADS,
	    THREADS);
	out_put(
	    o, "ServerLimit %llu\nMaxRequestWorkers %llu\n", PROCESSES * 4, PROCESSES * THREADS);
	out_put(o, "MinSpareThreads %llu\nMaxSpareThreads %llu\n", THREADS / 2,
	    (workers + 1) * THREADS);
	out_put(o, "MaxConnectionsPerChild 0\nListenBacklog 4096\nGracefulShutdownTimeout 10\n");
}

/* One line of JSON for each request, without the query: it may hold a secret. In the order that
 * observe/requests.c reads. */
#define MEMBER(name, value) "\\\"" name "\\\":" value
#define TEXT(name, value) MEMBER(name, "\\\"" value "\\\"")
static const char log_format[] =
    "LogFormat \"{" MEMBER("time", "%{end:sec}t.%{end:msec_frac}t") "," TEXT("host", "%V") "," TEXT(
	"method", "%m") "," TEXT("uri", "%<{SLIPWAY_URI}e") "," MEMBER("status",
	"%>s") "," MEMBER("bytes", "%B") "," MEMBER("duration_ms", "%{ms}T") "," TEXT("request_id",
	"%<{UNIQUE_ID}e") "," TEXT("remote", "%a") "," TEXT("server", "%v") "}\" slipway\n";

/* What the daemon says with its answers (daemon/main.c), said by the edge with each of its own, and
 * once. */
static const struct {
	const char *name, *value;
} platform_headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"X-XSS-Protection", "\"1; mode=block\""},
    {"Referrer-Policy", "no-referrer"},
    {"Content-Security-Policy", "\"default-src 'self'; base-uri 'none'; form-action 'self'; "
				"frame-ancestors 'none'; object-src 'none'\""},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "\"camera=(), geolocation=(), microphone=()\""},
    {"Cache-Control", "no-store"},
};

static void put_platform_headers(struct out *o)
{
	for (size_t i = 0; i < sizeof(platform_headers) / sizeof(*platform_headers); i++) {
		out_put(o, "\tHeader onsuccess unset %s\n\tHeader always set ",
		    platform_headers[i].name);
		out_text(o, platform_headers[i].name);
		out_text(o, " ");
		out_text(o, platform_headers[i].value);
		out_text(o, "\n");
	}
}

/* The platform's own host: hooks, API and health; never /metrics. */
static void put_platform_content(struct out *o, const struct render_edge *v)
{
	const unsigned long long body_max = LIMIT_HOOK_BODY_BYTES;
	put_platform_headers(o);
	out_put(o, "\tRewriteCond %%{REQUEST_URI} "
		   "!^/(health$|hooks/|api/|github-webhook$|webhook$|webhook/particle$|webhooks/)\n"
		   "\tRewriteRule ^ - [R=404,L]\n");
	out_put(o,
	    "\tRewriteCond expr \"req_novary('Content-Length') -gt %llu\"\n"
	    "\tRewriteCond %%{REQUEST_URI} !^/api/\n\tRewriteRule ^ - [R=413,L]\n",
	    body_max);
	out_put(o, "\tLimitRequestBody 1048576\n\tProxyTimeout 3600\n");
	out_put(o, "\tErrorDocument 503 /.slipway/502.html\n");
	out_put(o,
	    "\tProxyPass / unix:%s|http://slipway/ nocanon enablereuse=off retry=0 "
	    "connectiontimeout=5 upgrade=websocket\n",
	    v->api_socket);
	out_put(o,
	    "\t<LocationMatch ^/(hooks/|github-webhook$|webhook$|webhook/particle$|webhooks/)>\n"
	    "\t\tLimitRequestBody %llu\n\t</LocationMatch>\n",
	    body_max);
	out_put(o, "\t<Location /api/>\n\t\tLimitRequestBody %llu\n\t</Location>\n",
	    (unsigned long long)LIMIT_ARCHIVE_BYTES);
}

/* What asked for http is told where https is; but who sends a hook goes nowhere else, and would lose it. */
static void put_platform_way(struct out *o, const struct render_edge *v)
{
	out_put(o, "\tRewriteCond %%{REQUEST_URI} "
		   "!^/(hooks/|github-webhook$|webhook$|webhook/particle$|webhooks/)\n"
		   "\tRewriteRule ^ https://%%{SERVER_NAME}");
	if (v->https_port != 443)
		out_put(o, ":%llu", (unsigned long long)v->https_port);
	out_put(o, "%%{REQUEST_URI} [R=308,L]\n");
}

/* a browser that is told to stay with HTTPS goes to port 443 only where the other was 80 */
static void put_platform_hsts(struct out *o, const struct render_edge *v)
{
	if (v->https_port == 443)
		out_put(o, "\tHeader onsuccess unset Strict-Transport-Security\n"
			   "\tHeader always set Strict-Transport-Security max-age=31536000\n");
}

/* The first server of a port answers for every unknown name. */
static void put_own(struct out *o, const struct render_edge *v, bool secure, bool platform)
{
	bool installed = platform && v->host_installed, trusted = installed && v->host_trusted;
	out_text(
	    o, secure ? "<VirtualHost *:${SLIPWAY_HTTPS}>\n" : "<VirtualHost *:${SLIPWAY_HTTP}>\n");
	out_put(o, "\tServerName %s\n\tRewriteEngine on\n\tInclude server.conf\n",
	    platform ? v->platform_host : "default.invalid");
	/* the secret of such an address belongs into no log, by whatever name we are called */
	out_put(o, "\tSetEnvIf Request_URI ^/webhooks/ SLIPWAY_QUIET\n"
		   "\t<Location /webhooks/>\n\t\tLogLevel emerg\n\t</Location>\n");
	if (secure && installed)
		out_put(
		    o, "\tInclude tls.conf\n\tSSLCertificateFile certs/" RENDER_HOST_NAME ".pem\n");
	else if (secure)
		out_put(o, "\tInclude tls.conf\n\tSSLCertificateFile certs/self/%s\n",
		    platform ? v->platform_host : "_");
	if (secure && trusted)
		put_platform_hsts(o, v);
	if (!secure && trusted)
		put_platform_way(o, v);
	if (platform) {
		put_platform_content(o, v);
	} else {
		put_platform_headers(o);
		out_put(o, "\tRewriteRule ^ - [R=404,L]\n");
	}
	out_put(o, "</VirtualHost>\n");
}

long render_apache_main(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_put(&o, "ServerRoot %s\nDefaultRuntimeDir %s/tmp\n", v->roots->edge, v->roots->edge);
	out_put(&o, "PidFile %s/apache.pid\nErrorLog %s/log/error.log\nLogLevel warn\n",
	    v->roots->edge, v->roots->edge);
	put_top(&o, v);
	if (v->user)
		out_put(&o, "User %s\nGroup %s\n", v->user, v->user);
	put_workers(&o, v);
	put_listen(&o, v, v->http_port, "http\n");
	if (v->https_port)
		put_listen(&o, v, v->https_port, "https\n");
	out_text(&o, log_format);
	out_put(&o, "CustomLog %s/log/access.log slipway env=!SLIPWAY_QUIET\n", v->roots->edge);
	out_put(&o, "Include common.conf\n");
	put_own(&o, v, false, false);
	if (v->https_port)
		put_own(&o, v, true, false);
	out_put(
	    &o, "Include platform.conf\nIncludeOptional apache/*.conf\nInclude generation.conf\n");
	return out_end(&o, "apache.conf", e);
}

long render_apache_platform(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	put_own(&o, v, false, true);
	if (v->https_port)
		put_own(&o, v, true, true);
	return out_end(&o, "platform.conf", e);
}

/* A client's own claim about itself is believed only when it comes from a trusted proxy. */
static int put_proxies(struct out *o, const struct render_edge *v, struct err *e)
{
	struct str rest = str_c(v->trusted_proxies), item;
	char text[CIDR_TEXT_SIZE];
	out_put(o, "SetEnvIfExpr \"%%{HTTPS} != 'on'\" SLIPWAY_PROTO=http\n"
		   "SetEnvIfExpr \"%%{HTTPS} == 'on'\" SLIPWAY_PROTO=https\n");
	if (rest.n == 0)
		return 0;
	out_put(o, "RemoteIPHeader X-Forwarded-For\n");
	while (rest.n > 0 && str_next(&rest, ',', &item)) {
		if (check_proxy(item, text, e) < 0)
			return -1;
		out_put(o, "RemoteIPInternalProxy %s\n", text);
		out_put(o,
		    "SetEnvIfExpr \"%%{CONN_REMOTE_ADDR} -ipmatch '%s'\" SLIPWAY_TRUSTED=1\n",
		    text);
	}
	out_put(o, "SetEnvIfExpr \"reqenv('SLIPWAY_TRUSTED') == '1' && "
		   "req_novary('X-Forwarded-Proto') =~ m#^(https?)$#\" SLIPWAY_PROTO=$1\n");
	return 0;
}

/* Only WebSocket is upgraded: anything else (h2c) would be a tunnel past the edge. A program's own
 * headers win over ours. */
static const char common[] =
    "SetEnvIfExpr \"escape(%{REQUEST_URI}) =~ m#^(.*)$#\" SLIPWAY_URI=$1\n"
    "TypesConfig /etc/mime.types\nServerTokens Prod\nServerSignature Off\nTraceEnable Off\n"
    "UseCanonicalName Off\nHttpProtocolOptions Strict LenientMethods Require1.0\n"
    "Protocols http/1.1\nAllowEncodedSlashes NoDecode\nTimeout 60\nKeepAlive On\n"
    "KeepAliveTimeout 65\nMaxKeepAliveRequests 1000\n"
    "RequestReadTimeout handshake=15 header=15 body=60,MinRate=1\n"
    "ErrorDocument 403 /.slipway/404.html\nErrorDocument 404 /.slipway/404.html\n"
    "ErrorDocument 413 /.slipway/413.html\nErrorDocument 502 /.slipway/502.html\n"
    "ErrorDocument 503 /.slipway/503.html\nErrorDocument 504 /.slipway/504.html\n"
    "ProxyRequests Off\nProxyPreserveHost On\nProxyAddHeaders Off\nBalancerInherit Off\n"
    "RequestHeader set X-Real-IP \"expr=%{REMOTE_ADDR}\"\n"
    "RequestHeader set X-Forwarded-For \"expr=%{REMOTE_ADDR}\"\n"
    "RequestHeader set X-Forwarded-Proto \"expr=%{reqenv:SLIPWAY_PROTO}\"\n"
    "RequestHeader set X-Forwarded-Host \"expr=%{req_novary:Host}\"\n"
    "RequestHeader unset X-Forwarded-Port\nRequestHeader unset X-Forwarded-Server\n"
    "RequestHeader unset X-Forwarded-Prefix\nRequestHeader unset Forwarded\n"
    "RequestHeader unset Proxy\nRequestHeader set X-Request-Id \"expr=%{reqenv:UNIQUE_ID}\"\n"
    "Header always set X-Content-Type-Options nosniff \"expr=-z resp('X-Content-Type-Options')\"\n"
    "Header always set Referrer-Policy strict-origin-when-cross-origin \"expr=-z "
    "resp('Referrer-Policy')\"\n"
    "Header always set Retry-After 30 \"expr=%{REQUEST_STATUS} == '503' && -z "
    "resp('Retry-After')\"\n"
    "<Directory />\n\tOptions FollowSymLinks\n\tAllowOverride None\n\tRequire all denied\n"
    "</Directory>\n";

/* Of every vhost, since the version and the curve are agreed before a name is known. */
static const char tls_part[] =
    "SSLProtocol -all +TLSv1.2 +TLSv1.3\nSSLSessionTickets off\nSSLSessionCacheTimeout 86400\n"
    "SSLCompression off\n";
static const char tls_intermediate[] =
    "SSLOpenSSLConfCmd Groups " TLS_GROUPS_INTERMEDIATE "\nSSLHonorCipherOrder off\n"
    "SSLCipherSuite " TLS_CIPHERS_INTERMEDIATE "\n";
static const char tls_strict[] =
    "SSLOpenSSLConfCmd Groups " TLS_GROUPS_STRICT "\nSSLHonorCipherOrder on\n"
    "SSLCipherSuite " TLS_CIPHERS_STRICT "\n";

long render_apache_common(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0 || put_proxies(&o, v, e) < 0)
		return -1;
	out_text(&o, common);
	out_put(&o, "<Directory %s>\n\tRequire all granted\n</Directory>\n", v->roots->run);
	out_put(&o, "<Directory %s/pages>\n\tRequire all granted\n</Directory>\n", v->roots->edge);
	/* whoever writes those files is not root: no link of his is followed */
	out_put(&o, "<Directory %s/.acme>\n\tOptions None\n\tForceType text/plain\n</Directory>\n",
	    v->roots->run);
	out_put(&o, "Alias /.slipway/ %s/pages/\n", v->roots->edge);
	out_put(&o, "Alias /.well-known/acme-challenge/ %s/.acme/.well-known/acme-challenge/\n",
	    v->roots->run);
	if (v->https_port) {
		out_put(&o, "SSLSessionCache shmcb:%s/tmp/tls", v->roots->edge);
		out_text(&o, "(2097152)\n");
		out_text(&o, tls_part);
		out_text(&o, v->preset == RENDER_PRESET_STRICT ? tls_strict : tls_intermediate);
	}
	return out_end(&o, "common.conf", e);
}

/* The plain pages cannot be asked for: only an answer of our own leads there. */
static const char server[] =
    "RewriteCond %{ENV:REDIRECT_STATUS} ^$\nRewriteRule ^/\\.slipway(/|$) - [R=404,L]\n"
    "RewriteRule ^/\\.slipway/ - [L]\nRewriteRule ^/\\.well-known/acme-challenge/ - [L]\n"
    "ProxyPass /.slipway/ !\nProxyPass /.well-known/acme-challenge/ !\n";

static long fixed(const struct render_edge *v, const char *what, const char *text, const char *hsts,
    char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_text(&o, text);
	/* a browser that is told to stay with HTTPS goes to port 443 only where the other was 80 */
	if (hsts && v->https_port == 443)
		out_text(&o, hsts);
	return out_end(&o, what, e);
}

long render_apache_server(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return fixed(v, "server.conf", server, NULL, out, size, e);
}

#define HSTS(value)                                                                                \
	"Header always set Strict-Transport-Security \"" value                                     \
	"\" \"expr=-z resp('Strict-Transport-Security')\"\n"
static const char hsts_header[] = HSTS(HEADERS_HSTS),
		  hsts_below_header[] = HSTS(HEADERS_HSTS_BELOW);

static const char tls[] = "SSLEngine on\nProtocols h2 http/1.1\n";

long render_apache_tls(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return fixed(v, "tls.conf", tls, NULL, out, size, e);
}

long render_apache_secure(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return fixed(v, "secure.conf", tls, hsts_header, out, size, e);
}

long render_apache_strict(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	return fixed(v, "strict.conf", tls, hsts_below_header, out, size, e);
}

long render_apache_skeleton(const struct render_edge *v, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_put(&o, "ServerRoot %s/test\nDefaultRuntimeDir %s/test/tmp\n", v->roots->edge,
	    v->roots->edge);
	out_put(&o, "PidFile %s/test/apache.pid\nErrorLog %s/log/error.log\n", v->roots->edge,
	    v->roots->edge);
	put_top(&o, v);
	out_put(&o, "Include %s/common.conf\nInclude candidate.conf\n", v->roots->edge);
	return out_end(&o, "test/apache.conf", e);
}

long render_apache_generation(
    const struct render_edge *v, uint16_t port, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_edge(v, e) < 0)
		return -1;
	out_put(&o, "Listen 127.0.0.1:%llu\n<VirtualHost *:%llu>\n\tServerName default.invalid\n",
	    (unsigned long long)port, (unsigned long long)port);
	out_put(&o, "\tRewriteEngine on\n\tRewriteRule ^ - [F]\n</VirtualHost>\n");
	return out_end(&o, "generation.conf", e);
}
