/* One project's vhost for Apache httpd 2.4, from the same fields as nginx's. Everything that comes
 * from a release is reached through `live` and `previous`; so this text changes with domains,
 * static paths, limits and the number of instances, never with a release.
 *
 * A program's socket is opened anew for each request (enablereuse=off), so the next request after
 * the rename of `live` reaches the new release. Apache looks for a static file first and opens it
 * later, by name; so the rules read the release's number once (live/number, one open) and name the
 * file in that release's own folder, which no switch changes. */
#include "render/check.h"
#include "render/headers.h"
#include "render/out.h"

#include <string.h>

#define NO_STATIC UINT32_MAX
/* From the reading of live's number to the last look, in put_public: passed over by what is for no
 * public path. */
#define PUBLIC_RULES 10ull

/* ---- static paths ---- */

static bool is_root(const struct render_static *st)
{
	return st->url[1] == '\0';
}

/* The longest URL of those that are not done: longer ones are judged first, as nginx chooses. */
static unsigned next_static(const struct render_vhost *v, uint32_t done)
{
	unsigned best = NO_STATIC;
	for (unsigned i = 0; i < v->static_count; i++)
		if (!(done & (1u << i)) &&
		    (best == NO_STATIC || strlen(v->statics[i].url) > strlen(v->statics[best].url)))
			best = i;
	return best;
}

/* SW_AT says which static path a request is for; what was chosen first stays. */
static void put_choice(struct out *o, const struct render_static *st, unsigned at)
{
	out_put(o, "\tRewriteCond %%{ENV:SW_AT} ^$\n\tRewriteRule ^");
	if (!is_root(st))
		out_put_regex(o, st->url);
	if (st->data)
		out_put(o, "/ - [E=SW_AT:data%llu]\n", (unsigned long long)at);
	else
		out_put(o, is_root(st) ? "/ - [E=SW_AT:root]\n" : "(/|$) - [E=SW_AT:public]\n");
}

struct file_of { /* a file below data/, or the index of a folder there */
	const char *pattern, *name;
};

static void put_data_file(struct out *o, const struct render_vhost *v, const struct render_roots *r,
    unsigned at, const struct file_of *f)
{
	static const char *const conditions[] = {" -f\n", " !-l\n"}; /* and not by a link */
	const struct render_static *st = &v->statics[at];
	out_put(o, "\tRewriteCond %%{ENV:SW_AT} =data%llu\n", (unsigned long long)at);
	for (size_t i = 0; i < 2; i++) {
		out_put(o, "\tRewriteCond %s/%s/data/%s$1", r->projects, v->project, st->data_path);
		out_text(o, f->name);
		out_text(o, conditions[i]);
	}
	out_put(o, "\tRewriteRule ^");
	if (!is_root(st))
		out_put_regex(o, st->url);
	out_text(o, f->pattern);
	out_put(o, " %s/%s/data/%s$1", r->projects, v->project, st->data_path);
	out_text(o, f->name);
	out_put(o, " [L]\n");
}

static void put_data(
    struct out *o, const struct render_vhost *v, const struct render_roots *r, unsigned at)
{
	put_data_file(o, v, r, at, &(struct file_of){"(/.*)$", ""});
	put_data_file(o, v, r, at, &(struct file_of){"(/(?:.*/)?)$", "index.html"});
	out_put(o, "\tRewriteCond %%{ENV:SW_AT} =data%llu\n\tRewriteRule ^ - [R=404,L]\n",
	    (unsigned long long)at);
}

/* The number of the release behind `live` or `previous` becomes SW_N, or %1 of a rule's own. */
static void put_number(
    struct out *o, const struct render_vhost *v, const struct render_roots *r, const char *link)
{
	out_put(o, "\tRewriteCond %s/%s/%s/number -f\n", r->projects, v->project, link);
	out_put(o, "\tRewriteCond expr \"file('%s/%s/%s/number') =~ m#^([0-9]+)$#\"\n", r->projects,
	    v->project, link);
}

/* The request's file, or its folder's index, in the release of that number. */
static void put_look(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	static const char *const names[] = {"", "index.html"}, *const patterns[] = {"^", "/$"};
	for (size_t i = 0; i < 2; i++) {
		out_put(o, "\tRewriteCond %s/%s/%%{ENV:SW_N}/public%%{REQUEST_URI}", r->run,
		    v->project);
		out_text(o, names[i]);
		out_put(o, " -f\n\tRewriteRule ");
		out_text(o, patterns[i]);
		out_put(o, " %s/%s/%%{ENV:SW_N}/public%%{REQUEST_URI}", r->run, v->project);
		out_text(o, names[i]);
		out_put(o, " [L]\n");
	}
}

static void put_step(
    struct out *o, const struct render_vhost *v, const struct render_roots *r, const char *link)
{
	put_number(o, v, r, link);
	out_put(o, "\tRewriteRule ^ - [E=SW_N:%%1]\n");
	put_look(o, v, r);
}

/* The way of a static file: live; previous, so that pages loaded before a switch still find their
 * assets; live again, for the request that looked at both links while a rollback exchanged them. */
static void put_public(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	/* what is no question for a file goes to the program, where there is one */
	out_put(o, "\tRewriteCond %%{ENV:SW_AT}:%%{REQUEST_METHOD} ");
	out_put(o, v->web_instances ? "!^(public:|root:(GET|HEAD)$)\n" : "!^(public|root):\n");
	out_put(o, "\tRewriteRule ^ - [S=%llu]\n", PUBLIC_RULES);
	put_step(o, v, r, "live");
	out_put(
	    o, "\tRewriteCond %s/%s/%%{ENV:SW_N}/public%%{REQUEST_URI} -d\n", r->run, v->project);
	out_put(o, "\tRewriteRule [^/]$ "
		   "%%{ENV:SLIPWAY_PROTO}://%%{HTTP_HOST}%%{REQUEST_URI}/ [R=301,L]\n");
	put_step(o, v, r, "previous");
	put_step(o, v, r, "live");
	out_put(o, "\tRewriteCond %%{ENV:SW_AT} =public\n\tRewriteRule ^ - [R=404,L]\n");
}

static void put_statics(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	uint32_t done = 0;
	bool public = false, data = false;
	for (unsigned i; (i = next_static(v, done)) != NO_STATIC; done |= 1u << i) {
		put_choice(o, &v->statics[i], i);
		public = public || !v->statics[i].data;
		data = data || v->statics[i].data;
	}
	if (data) /* what a tenant may write: no link in it is followed */
		out_put(o, "\t<Directory %s/%s/data>\n\t\tOptions None\n\t</Directory>\n",
		    r->projects, v->project);
	for (unsigned i = 0; i < v->static_count; i++)
		if (v->statics[i].data)
			put_data(o, v, r, i);
	if (public)
		put_public(o, v, r);
}

/* ---- the program ---- */

/* retry=0: a moment without sockets must not shut an instance out for a minute. */
static void put_worker(
    struct out *o, const struct render_vhost *v, const struct render_roots *r, unsigned instance)
{
	unsigned long long n = instance;
	out_put(o, "unix:%s/%s/live/web.%llu.sock|", r->projects, v->project, n);
	out_put(o, "http://web%llu.%s.invalid", n, v->project);
}

static void put_web(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	static const char fresh[] = " enablereuse=off retry=0 connectiontimeout=5";
	out_put(o, "\tProxyTimeout %llu\n\tErrorDocument 503 /.slipway/502.html\n",
	    (unsigned long long)v->request_timeout_s);
	if (v->web_instances == 1) {
		out_put(o, "\tProxyPass / ");
		put_worker(o, v, r, 1);
		out_put(o, "/ nocanon upgrade=websocket");
		out_text(o, fresh);
		out_put(o, "\n");
		return;
	}
	out_put(o, "\t<Proxy balancer://slipway-%s>\n", v->project);
	for (unsigned i = 1; i <= v->web_instances; i++) {
		out_put(o, "\t\tBalancerMember ");
		put_worker(o, v, r, i);
		out_put(o, " upgrade=websocket");
		out_text(o, fresh);
		out_put(o, "\n");
	}
	out_put(o, "\t\tProxySet lbmethod=byrequests\n\t</Proxy>\n");
	out_put(o, "\tProxyPass / balancer://slipway-%s/ nocanon\n", v->project);
}

/* ---- a vhost ---- */

/* LimitRequestBody is for files only: Apache counts no body that it passes on. So a program's
 * visitor says how long his body is, and is refused by that; one who does not say it hears 411. */
static void put_limit(struct out *o, const struct render_vhost *v)
{
	unsigned long long max = v->body_max_bytes;
	out_put(o, "\tRewriteCond expr \"req_novary('Content-Length') -gt %llu\"\n", max);
	out_put(o, "\tRewriteRule ^ - [R=413,L]\n");
	if (!v->web_instances)
		return;
	out_put(o,
	    "\tRewriteCond expr \"-n req_novary('Transfer-Encoding') || "
	    "(%%{SERVER_PROTOCOL} == 'HTTP/2.0' && %%{REQUEST_METHOD} in {'POST','PUT','PATCH'} && "
	    "-z req_novary('Content-Length'))\"\n\tRewriteRule ^ - [R=411,L]\n");
}

static void put_content(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	out_put(o, "\tLimitRequestBody %llu\n", (unsigned long long)v->body_max_bytes);
	if (v->maintenance) {
		out_put(o, "\tErrorDocument 503 /.slipway/maintenance.html\n");
		out_put(o, "\tRewriteRule ^ - [R=503,L]\n");
		return;
	}
	put_limit(o, v);
	put_statics(o, v, r);
	if (v->web_instances)
		put_web(o, v, r);
	else
		out_put(o, "\tRewriteRule ^ - [R=404,L]\n");
}

/* A site without a program may say itself that it has no such page. */
static void put_missing(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	bool whole = false;
	for (unsigned i = 0; i < v->static_count; i++)
		whole = whole || (is_root(&v->statics[i]) && !v->statics[i].data);
	if (!whole || v->web_instances || v->maintenance)
		return;
	out_put(o, "\tRewriteCond %%{ENV:REDIRECT_STATUS} =404\n");
	put_number(o, v, r, "live");
	out_put(o, "\tRewriteCond %s/%s/%%1/public/404.html -f\n", r->run, v->project);
	out_put(o, "\tRewriteRule ^/\\.slipway/404\\.html$ %s/%s/%%1/public/404.html [L]\n", r->run,
	    v->project);
}

/* Of the domains that this certificate is for. Every server is called by the project's own name, as
 * the log has it: a visitor who asks for that is the first one's, of those that sign themselves. */
static void put_names(
    struct out *o, const struct render_vhost *v, const struct render_tls *tls, enum render_cover c)
{
	out_put(o, "\tServerName %s\n", v->domains[0]);
	for (unsigned i = 1; i < v->domain_count; i++)
		if (cover_of(tls, i) == c)
			out_put(o, "\tServerAlias %s\n", v->domains[i]);
}

/* Of every answer, whoever gives it; the rest is common.conf's. */
static void put_headers(struct out *o, const struct render_vhost *v)
{
	if (v->headers != RENDER_HEADERS_STRICT)
		return;
	out_text(o, "\tHeader always set X-Frame-Options " HEADERS_FRAME
		    " \"expr=-z resp('X-Frame-Options')\"\n"
		    "\tHeader always set X-XSS-Protection \"" HEADERS_XSS
		    "\" \"expr=-z resp('X-XSS-Protection')\"\n"
		    "\tHeader always set Content-Security-Policy \"" HEADERS_CSP
		    "\" \"expr=-z resp('Content-Security-Policy')\"\n");
}

static void begin(struct out *o, const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, enum render_cover c)
{
	put_names(o, v, tls, c);
	out_put(o, "\tRewriteEngine on\n");
	put_missing(o, v, r);
	out_put(o, "\tInclude server.conf\n");
	put_headers(o, v);
}

/* What asked for http is told where https is; an authority's question is answered all the same. */
static void put_way_to_https(
    struct out *o, const struct render_vhost *v, const struct render_tls *tls, enum render_cover c)
{
	put_names(o, v, tls, c);
	out_put(o, "\tRewriteEngine on\n\tInclude server.conf\n");
	put_headers(o, v);
	out_put(o, "\tRewriteRule ^ https://%%{SERVER_NAME}");
	if (tls->https_port != 443)
		out_put(o, ":%llu", (unsigned long long)tls->https_port);
	out_put(o, "%%{REQUEST_URI} [R=308,L]\n");
}

static void put_plain(struct out *o, const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, enum render_cover c)
{
	out_put(o, "<VirtualHost *:${SLIPWAY_HTTP}>\n");
	if (tls && cover_trusted(tls, c)) {
		put_way_to_https(o, v, tls, c);
	} else {
		begin(o, v, tls, r, c);
		put_content(o, v, r);
	}
	out_put(o, "</VirtualHost>\n");
}

static void put_secure(struct out *o, const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, enum render_cover c)
{
	out_put(o, "<VirtualHost *:${SLIPWAY_HTTPS}>\n");
	begin(o, v, tls, r, c);
	const char *secure =
	    v->headers == RENDER_HEADERS_STRICT ? "strict.conf\n" : "secure.conf\n";
	out_put(o, "\tInclude ");
	out_text(o, cover_trusted(tls, c) ? secure : "tls.conf\n");
	if (c == RENDER_SELF)
		out_put(o, "\tSSLCertificateFile certs/self/%s\n", v->domains[0]);
	else
		out_put(o, "\tSSLCertificateFile certs/%s.pem\n", cover_file(v, c));
	put_content(o, v, r);
	out_put(o, "</VirtualHost>\n");
}

long render_apache_vhost(const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_vhost(v, tls, r, e) < 0)
		return -1;
	for (enum render_cover c = RENDER_SELF; c < RENDER_COVER_COUNT; c++) {
		if (cover_count(v, tls, c) == 0)
			continue;
		put_plain(&o, v, tls, r, c);
		if (tls)
			put_secure(&o, v, tls, r, c);
	}
	return out_end(&o, "the vhost", e);
}
