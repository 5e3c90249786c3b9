/* rooms: base text */
/* covers: text/manifest.c text/manifest_value.c text/yaml.c */
/* Any text as slipway.yaml, with room and without: what is accepted keeps its own promises. */
#include "base/limits.h"
#include "base/name.h"
#include "text/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct manifest *m)
{
	struct err e;
	for (size_t i = 0; i < m->process_count; i++)
		if ((m->processes[i].run.argv.n == 0) != m->processes[i].mod_wsgi ||
		    m->processes[i].mod_wsgi != (m->processes[i].wsgi.n > 0) ||
		    name_process(m->processes[i].name, &e))
			abort();
	for (size_t i = 0; i < m->service_count; i++)
		if (name_service(m->services[i].name, &e))
			abort();
	for (size_t i = 0; i < m->sites.rule_count; i++)
		for (size_t k = 0; k < m->sites.rules[i].names.n; k++)
			if (!str_eq_c(m->sites.rules[i].names.v[k], "*") &&
			    name_site(m->sites.rules[i].names.v[k], &e))
				abort();
	for (size_t i = 0; i < m->static_count; i++)
		if (name_url_prefix(m->statics[i].url, &e) ||
		    (m->statics[i].path.n && name_subpath(m->statics[i].path, &e)))
			abort();
	for (size_t i = 0; i < m->env_count; i++)
		if (name_env_key(m->env[i].key, &e) ||
		    str_find(m->env[i].value, '\0', 0) != SIZE_MAX)
			abort();
	if (m->root.n && name_subpath(m->root, &e))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t caps[] = {2048, 8u << 20};
	for (size_t i = 0; i < 2; i++) {
		struct arena a;
		struct manifest m;
		struct err e = {.code = ERR_NONE};
		arena_init(&a, caps[i]);
		int rc = manifest_read(
		    (struct str){(const char *)data, size}, "slipway.yaml", &a, &m, &e);
		if (rc == 0)
			check(&m);
		else if (e.code == ERR_NONE || e.msg[0] == '\0')
			abort();
		arena_fini(&a);
	}
	return 0;
}
