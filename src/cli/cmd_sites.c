/* `slipway sites`: which sites of an nginx-site project are served, and by which rules. */
#include "cli/commands.h"

#include <string.h>

static void row(struct cli *c, struct out_table *t, const json_t *o)
{
	const char *cells[] = {cli_text(c, o, "name"), cli_words(c, json_object_get(o, "domains")),
	    cli_text(c, o, "certificate"), cli_text(c, o, "not_after"),
	    cli_text(c, o, "next_try_at")};
	out_table_row(t, cells);
}

/* "include=a.org,b.org" as {"include": ["a.org", "b.org"]}. */
static json_t *rule_of(const char *text, struct err *e)
{
	struct str s = str_c(text), one;
	size_t equals = str_find(s, '=', 0);
	struct str verb = str_slice(s, 0, equals == SIZE_MAX ? 0 : equals);
	if (!str_eq_c(verb, "include") && !str_eq_c(verb, "exclude")) {
		(void)err_set(e, ERR_USAGE, "--rule '%.80s' is no rule", text);
		(void)err_hint(e, "write --rule 'include=*' --rule exclude=old.example.org,b.org");
		return NULL;
	}
	json_t *names = json_array();
	for (s = str_from(s, equals + 1); s.n > 0 && str_next(&s, ',', &one);)
		(void)json_array_append_new(names, json_stringn(one.p, one.n));
	return json_pack("{s:o}", str_eq_c(verb, "include") ? "include" : "exclude", names);
}

/* What the flags ask for, beside what was set before; NULL with e. */
static json_t *change(struct cli *c, const json_t *project, struct err *e)
{
	const json_t *before = json_object_get(project, "sites");
	json_t *sites = json_is_object(before) ? json_deep_copy(before) : json_object();
	const char *folder = args_value(&c->args, "folder"), *rule = args_value(&c->args, "rule");
	if (folder)
		(void)json_object_set_new(sites, "folder", json_string(folder));
	const char *ordered = args_value(&c->args, "certificates");
	if (ordered && strcmp(ordered, "on") != 0 && strcmp(ordered, "off") != 0) {
		(void)err_set(e, ERR_USAGE, "--certificates is on or off");
		json_decref(sites);
		return NULL;
	}
	if (ordered)
		(void)json_object_set_new(
		    sites, "certificates", json_boolean(strcmp(ordered, "on") == 0));
	if (rule && strcmp(rule, "none") == 0) {
		(void)json_object_del(sites, "rules");
	} else if (rule) {
		json_t *rules = json_array();
		(void)json_object_set_new(sites, "rules", rules);
		for (size_t i = 0; (rule = args_value_at(&c->args, "rule", i)); i++) {
			json_t *one = rule_of(rule, e);
			if (!one) {
				json_decref(sites);
				return NULL;
			}
			(void)json_array_append_new(rules, one);
		}
	}
	return json_pack("{s:o}", "sites", sites);
}

static void print_rules(struct cli *c, const json_t *project)
{
	const json_t *sites = json_object_get(project, "sites"),
		     *rules = json_object_get(sites, "rules");
	out_pair("folder", cli_text(c, sites, "folder"));
	if (!rules)
		out_pair("rules", "as slipway.yaml says; without a word: every site");
	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *r = json_array_get(rules, i), *in = json_object_get(r, "include");
		const char *line = arena_printf(&c->a, "%s %s", in ? "include" : "exclude",
		    cli_words(c, in ? in : json_object_get(r, "exclude")));
		out_pair(i ? "" : "rules", line ? line : "");
	}
}

static int set(struct cli *c, const char *name)
{
	struct err e = {0};
	CLEANUP_JSON json_t *before = NULL, *after = NULL;
	const char *path = cli_path(c, "projects/{}", name, NULL);
	if (cli_call(c, "GET", path, NULL, &before, &e) < 0)
		return cli_fail(c, &e);
	json_t *body = change(c, before, &e);
	if (!body || cli_call(c, "PATCH", path, body, &after, &e) < 0)
		return cli_fail(c, &e);
	if (c->json) {
		cli_print_json(json_object_get(after, "sites"));
		return 0;
	}
	print_rules(c, after);
	(void)printf("\nnext: slipway deploy %s\n", name);
	return 0;
}

int cmd_sites(struct cli *c)
{
	static const char *const heads[] = {"SITE", "NAMES", "CERTIFICATE", "UNTIL", "NEXT TRY"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name)
		return cli_fail(c, &e);
	if (cli_has(c, "rule") || cli_has(c, "folder") || cli_has(c, "certificates"))
		return set(c, name);
	if (cli_call(c, "GET", cli_path(c, "projects/{}/sites", name, NULL), NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all, "no sites are served. Look why: slipway plan NAME")
		   ? 0
		   : cli_table(c, all, 5, heads, row);
}
