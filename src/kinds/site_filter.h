/* Which sites of a repository are served here. As durhack's deployer has it: a site is left out unless a rule includes it; the last rule
 * that speaks of it decides; a rule with "*" speaks of every site, so what stands before the last such rule is of no
 * effect. */
#pragma once

#include "text/manifest.h"

/* A project's own setting, JSON of the manifest's form: {"folder": "production", "rules": [{"include": ["*"]}, …]}. Empty: nothing
 * is said. ERR_INVALID with the field's pointer. */
int site_settings_read(struct str json, struct arena *a, struct manifest_sites *ret, struct err *e) WARN_UNUSED;
bool site_filter_takes(const struct manifest_site_rule *rules, size_t count, struct str site);
