/* One project's vhost. Everything that comes from a release is reached through `live` and
 * `previous`, two links; so this text changes with domains, static paths, limits and the number of
 * instances, never with a release. */
#include "render/vhost.h"

#include "render/check.h"
#include "render/headers.h"
#include "render/out.h"

#include <string.h>

static int check_roots(const struct render_roots *r, struct err *e)
{
	if (out_path_check("projects directory", r->projects, e) < 0 ||
	    out_path_check("run directory", r->run, e) < 0 ||
	    out_path_check("edge directory", r->edge, e) < 0)
		return -1;
	/* ROOT/NAME/live/web.10.sock with the longest name: judged once, not when a name happens to
	 * be long */
	if (strlen(r->projects) + strlen("/") + NAME_PROJECT_MAX + strlen("/live/web.10.sock") >
	    RENDER_SOCKET_PATH_MAX)
		return err_set(e, ERR_SETTINGS,
		    "projects directory '%.200s' is too long for socket paths", r->projects);
	return 0;
}

int check_vhost(const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, struct err *e)
{
	if (tls && tls->https_port == 0)
		return err_set(e, ERR_SETTINGS, "the port for https is 0");
	if (render_vhost_check(v, e) < 0)
		return -1;
	return check_roots(r, e);
}

static void put_upstream(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	/* max_fails=0: a moment without sockets must not shut an instance out for ten seconds. No
	 * keepalive: it would pin the old release. */
	out_put(o, "upstream slipway-%s {\n", v->project);
	for (unsigned i = 1; i <= v->web_instances; i++)
		out_put(o, "\tserver unix:%s/%s/live/web.%llu.sock max_fails=0;\n", r->projects,
		    v->project, (unsigned long long)i);
	out_put(o, "}\n");
}

static void put_public_location(struct out *o, const struct render_vhost *v,
    const struct render_roots *r, const char *url, const char *end, const char *next)
{
	out_put(o, *end ? "\tlocation ^~ " : "\tlocation = ");
	out_put(o, "%s", url);
	out_put(o, *end && url[1] ? "/ {\n" : " {\n");
	out_put(o, "\t\troot %s/%s/live/public;\n", r->projects, v->project);
	/* one open(2) decides, so a switch between a look and the opening cannot lose a file */
	out_put(o, "\t\terror_page 403 404 = %s;\n", next);
	if (!url[1] && v->web_instances)
		out_put(o, "\t\terror_page 405 = @web;\n");
	out_put(o, "\t}\n");
}

static void put_data_location(struct out *o, const struct render_vhost *v,
    const struct render_roots *r, const struct render_static *st)
{
	const char *slash = st->url[1] ? "/" : "";
	out_put(o, "\tlocation ^~ ");
	out_put(o, "%s", st->url);
	out_put(o, *slash ? "/ {\n" : " {\n");
	out_put(o, "\t\talias %s/%s/data/%s/;\n", r->projects, v->project, st->data_path);
	out_put(o, "\t\tdisable_symlinks on from=%s/%s/data;\n\t}\n", r->projects, v->project);
}

/* A further step of a static file's way. */
static void put_step(struct out *o, const struct render_vhost *v, const struct render_roots *r,
    const char *name, bool live)
{
	out_put(o, "\tlocation %s {\n\t\troot %s/%s/", name, r->projects, v->project);
	out_put(o, live ? "live/public;\n" : "previous/public;\n");
}

/* The way of a static file: live; previous, so that pages loaded before a switch still find their
 * assets; live again, for the request that looked at both links while a rollback exchanged them.
 * Then, for "/", the program or the site's own 404.html, else the plain page. */
static void put_fallbacks(struct out *o, const struct render_vhost *v, const struct render_roots *r,
    bool root, bool other)
{
	if (other) {
		put_step(o, v, r, "@previous", false);
		out_put(o, "\t\terror_page 403 404 = @again;\n\t}\n");
		put_step(o, v, r, "@again", true);
		out_put(o, "\t}\n");
	}
	if (!root)
		return;
	put_step(o, v, r, "@previous_root", false);
	out_put(o, "\t\terror_page 403 404 = @again_root;\n\t}\n");
	put_step(o, v, r, "@again_root", true);
	out_put(o, v->web_instances ? "\t\terror_page 403 404 = @web;\n\t}\n"
				    : "\t\terror_page 403 404 =404 @missing;\n\t}\n");
	if (v->web_instances)
		return;
	put_step(o, v, r, "@missing", true);
	out_put(o, "\t\ttry_files /404.html =404;\n\t}\n");
}

static void put_statics(
    struct out *o, const struct render_vhost *v, const struct render_roots *r, bool *ret_root)
{
	bool root = false, other = false;
	*ret_root = false;
	for (unsigned i = 0; i < v->static_count; i++) {
		const struct render_static *st = &v->statics[i];
		bool is_root = st->url[1] == '\0';
		*ret_root = *ret_root || is_root;
		if (st->data) {
			put_data_location(o, v, r, st);
			continue;
		}
		const char *next = is_root ? "@previous_root" : "@previous";
		if (!is_root)
			put_public_location(o, v, r, st->url, "", next);
		put_public_location(o, v, r, st->url, "/", next);
		root = root || is_root;
		other = other || !is_root;
	}
	put_fallbacks(o, v, r, root, other);
}

static void put_web(struct out *o, const struct render_vhost *v, bool root_taken)
{
	if (v->web_instances) {
		out_put(
		    o, "\tproxy_read_timeout %llus;\n", (unsigned long long)v->request_timeout_s);
		out_put(
		    o, "\tproxy_send_timeout %llus;\n", (unsigned long long)v->request_timeout_s);
		out_put(o, root_taken ? "\tlocation @web {\n" : "\tlocation / {\n");
		out_put(o, "\t\tproxy_pass http://slipway-%s;\n\t}\n", v->project);
	} else if (!root_taken) {
		out_put(o, "\tlocation / {\n\t\treturn 404;\n\t}\n");
	}
}

static void put_content(struct out *o, const struct render_vhost *v, const struct render_roots *r)
{
	bool root_taken = false;
	out_put(o, "\tclient_max_body_size %llu;\n", (unsigned long long)v->body_max_bytes);
	if (v->maintenance) {
		out_put(o, "\terror_page 503 /.slipway/maintenance.html;\n");
		out_put(o, "\tlocation / {\n\t\treturn 503;\n\t}\n");
	} else {
		put_statics(o, v, r, &root_taken);
		put_web(o, v, root_taken);
	}
}

enum render_cover cover_of(const struct render_tls *tls, unsigned domain)
{
	if (!tls || tls->covered[domain] >= RENDER_COVER_COUNT ||
	    (tls->covered[domain] == RENDER_OWN && !tls->installed))
		return RENDER_SELF;
	return (enum render_cover)tls->covered[domain];
}

unsigned cover_count(
    const struct render_vhost *v, const struct render_tls *tls, enum render_cover c)
{
	unsigned n = 0;
	for (unsigned i = 0; i < v->domain_count; i++)
		n += cover_of(tls, i) == c;
	return n;
}

bool cover_trusted(const struct render_tls *tls, enum render_cover c)
{
	return tls && ((c == RENDER_OWN && tls->trusted) ||
			  (c == RENDER_WILDCARD && tls->wildcard_trusted));
}

const char *cover_file(const struct render_vhost *v, enum render_cover c)
{
	return c == RENDER_WILDCARD ? RENDER_WILDCARD_NAME : v->project;
}

/* Of the domains that this certificate is for. */
static void put_names(
    struct out *o, const struct render_vhost *v, const struct render_tls *tls, enum render_cover c)
{
	unsigned n = 0;
	for (unsigned i = 0; i < v->domain_count; i++) {
		if (cover_of(tls, i) != c)
			continue;
		out_put(o, n++ ? " %s" : "\tserver_name %s", v->domains[i]);
	}
	out_put(o, ";\n");
}

/* Of every answer, whoever gives it; the values are common.conf's. */
static void put_headers(struct out *o, const struct render_vhost *v)
{
	if (v->headers != RENDER_HEADERS_STRICT)
		return;
	out_put(o, HEADERS_NGINX);
	out_put(o, "add_header X-Frame-Options $slipway_frame always;\n"
		   "add_header X-XSS-Protection $slipway_xss always;\n"
		   "add_header Content-Security-Policy $slipway_csp always;\n");
}

/* What asked for http is told where https is; an authority's question is answered all the same. */
static void put_way_to_https(
    struct out *o, const struct render_vhost *v, const struct render_tls *tls, enum render_cover c)
{
	out_put(o, "server {\n\tinclude plain.conf;\n");
	put_names(o, v, tls, c);
	put_headers(o, v);
	out_put(o, "\tlocation / {\n\t\treturn 308 https://$host");
	if (tls->https_port != 443)
		out_put(o, ":%llu", (unsigned long long)tls->https_port);
	out_put(o, "$request_uri;\n\t}\n}\n");
}

static void put_covered(struct out *o, const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, enum render_cover c)
{
	bool trusted = cover_trusted(tls, c);
	bool strict = v->headers == RENDER_HEADERS_STRICT;
	out_put(o, "server {\n\tinclude ");
	out_text(o, !trusted ? "server.conf;\n" : strict ? "strict.conf;\n" : "secure.conf;\n");
	put_names(o, v, tls, c);
	put_headers(o, v);
	out_put(o, "\tssl_certificate certs/%s.pem;\n", cover_file(v, c));
	out_put(o, "\tssl_certificate_key certs/%s.pem;\n", cover_file(v, c));
	put_content(o, v, r);
	out_put(o, "}\n");
	if (trusted)
		put_way_to_https(o, v, tls, c);
}

long render_nginx_vhost(const struct render_vhost *v, const struct render_tls *tls,
    const struct render_roots *r, char *out, size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	if (check_vhost(v, tls, r, e) < 0)
		return -1;
	if (v->web_instances && !v->maintenance)
		put_upstream(&o, v, r);
	if (cover_count(v, tls, RENDER_SELF) > 0) {
		out_put(&o, "server {\n\tinclude server.conf;\n");
		put_names(&o, v, tls, RENDER_SELF);
		put_headers(&o, v);
		put_content(&o, v, r);
		out_put(&o, "}\n");
	}
	for (enum render_cover c = RENDER_OWN; c < RENDER_COVER_COUNT; c++)
		if (cover_count(v, tls, c) > 0)
			put_covered(&o, v, tls, r, c);
	return out_end(&o, "the vhost", e);
}
