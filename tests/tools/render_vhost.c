/* render-vhost [apache]: fields as "key\0value\0" pairs on standard input, the vhost's text on standard
 * output. For the test that has a foreign parser read it. Exit 0 with the text, 65 with the refusal
 * on standard error. */
#include "render/vhost.h"

#include "base/num.h"

#include "fields.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "/srv/slipway"

static struct render_vhost v = {
    .version = RENDER_VHOST_VERSION, .body_max_bytes = 1000, .request_timeout_s = 60};
static struct render_tls tls = {.installed = 1};
static const struct render_roots roots = {
    .projects = PREFIX "/p", .run = PREFIX "/run", .edge = PREFIX "/edge"};

static int take(struct str key, struct str value)
{
	struct render_static *last = v.static_count ? &v.statics[v.static_count - 1] : NULL;
	if (str_eq_c(key, "project"))
		fill(v.project, sizeof(v.project), value);
	else if (str_eq_c(key, "domain") && v.domain_count < LIMIT_DOMAINS)
		fill(v.domains[v.domain_count], sizeof(v.domains[0]), value), v.domain_count++;
	else if (str_eq_c(key, "url") && v.static_count < LIMIT_STATICS)
		fill(v.statics[v.static_count].url, sizeof(v.statics[0].url), value),
		    v.static_count++;
	else if (str_eq_c(key, "data") && last)
		fill(last->data_path, sizeof(last->data_path), value), last->data = 1;
	else if (str_eq_c(key, "instances"))
		v.web_instances = (uint16_t)number(value);
	else if (str_eq_c(key, "maintenance"))
		v.maintenance = (uint8_t)number(value);
	else if (str_eq_c(key, "headers"))
		v.headers = (uint8_t)number(value);
	else if (str_eq_c(key, "https"))
		tls.https_port = (uint16_t)number(value);
	else if (str_eq_c(key, "trusted"))
		tls.trusted = (uint8_t)number(value);
	else if (str_eq_c(key, "covered"))
		tls.covered[number(value) % LIMIT_DOMAINS] = 1;
	else if (str_eq_c(key, "body"))
		v.body_max_bytes = number(value);
	else if (str_eq_c(key, "timeout"))
		v.request_timeout_s = (uint32_t)number(value);
	else
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	bool apache = argc > 1 && strcmp(argv[1], "apache") == 0;
	static char in[1 << 17], out[RENDER_VHOST_TEXT_MAX];
	struct str rest = {in, fread(in, 1, sizeof(in), stdin)}, key, value;
	struct err e;
	while (rest.n > 0 && str_next(&rest, '\0', &key) && key.n > 0) {
		if (!str_next(&rest, '\0', &value) || take(key, value) < 0) {
			(void)fprintf(stderr, "unknown field\n");
			return 64;
		}
	}
	const struct render_tls *with = tls.https_port ? &tls : NULL;
	if ((apache ? render_apache_vhost(&v, with, &roots, out, sizeof(out), &e)
		    : render_nginx_vhost(&v, with, &roots, out, sizeof(out), &e)) < 0) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 65;
	}
	(void)fputs(out, stdout);
	return 0;
}
