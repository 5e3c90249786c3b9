#include "kinds/site_filter.h"

#include "base/limits.h"
#include "base/name.h"
#include "text/json.h"

static bool speaks_of(const struct manifest_site_rule *rule, struct str site)
{
	for (size_t i = 0; i < rule->names.n; i++)
		if (str_eq_c(rule->names.v[i], "*") || str_eq(rule->names.v[i], site))
			return true;
	return false;
}

bool site_filter_takes(const struct manifest_site_rule *rules, size_t count, struct str site)
{
	for (size_t i = count; i > 0; i--)
		if (speaks_of(&rules[i - 1], site))
			return rules[i - 1].include;
	return false;
}

static int read_rule(
    const json_t *o, size_t at, struct arena *a, struct manifest_site_rule *ret, struct err *e)
{
	const json_t *include = json_object_get(o, "include"),
		     *list = include ? include : json_object_get(o, "exclude");
	if (json_object_size(o) != 1 || !json_is_array(list)) {
		err_set(
		    e, ERR_INVALID, "a rule is one of include and exclude, with a list of sites");
		return err_at(e, "/sites/rules/%zu", at);
	}
	ret->include = include != NULL;
	ret->names.v = arena_array(a, json_array_size(list) + 1, sizeof(struct str));
	for (size_t i = 0; ret->names.v && i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		struct str name = {json_string_value(one), json_string_length(one)};
		if (!str_eq_c(name, "*") && name_site(name, e) < 0)
			return err_at(e, "/sites/rules/%zu", at);
		ret->names.v[ret->names.n++] = arena_str(a, name);
	}
	return ret->names.v ? 0
			    : err_set(e, ERR_TOO_LARGE, "there is no memory left for the rules");
}

int site_settings_read(struct str json, struct arena *a, struct manifest_sites *ret, struct err *e)
{
	struct str folder;
	*ret = (struct manifest_sites){0};
	if (json.n == 0)
		return 0;
	CLEANUP_JSON json_t *o = json_read(json, e);
	if (!o || json_get_str(o, "folder", &folder, e) < 0)
		return err_prefix(e, "the project's sites");
	if (json_object_get(o, "folder")) {
		if (name_subpath(folder, e) < 0 || folder.n > 200)
			return err_at(e, "/sites/folder");
		ret->folder = arena_str(a, folder);
	}
	bool wanted = true;
	if (json_get_bool(o, "certificates", &wanted, e) < 0)
		return err_at(e, "/sites/certificates");
	ret->has_certificates = json_object_get(o, "certificates") != NULL;
	ret->no_certificates = !wanted;
	const json_t *rules = json_object_get(o, "rules");
	size_t n = json_array_size(rules);
	if (n > LIMIT_SITE_RULES) {
		err_set(e, ERR_TOO_LARGE, "there are more than %u rules", LIMIT_SITE_RULES);
		return err_at(e, "/sites/rules");
	}
	ret->has_rules = json_is_array(rules);
	ret->rules = arena_array(a, n + 1, sizeof(*ret->rules));
	if (!ret->rules)
		return err_set(e, ERR_TOO_LARGE, "there is no memory left for the rules");
	for (; ret->rule_count < n; ret->rule_count++)
		if (read_rule(json_array_get(rules, ret->rule_count), ret->rule_count, a,
			&ret->rules[ret->rule_count], e) != 0)
			return -1;
	return 0;
}
