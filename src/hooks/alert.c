#include "hooks/alert.h"

#include "text/json.h"

bool alert_is(struct str kind)
{
	return str_eq_c(kind, "alert.firing") || str_eq_c(kind, "alert.resolved");
}

static struct str member(const json_t *o, const char *name, struct arena *a)
{
	const json_t *v = json_object_get(o, name);
	struct str text = {json_string_value(v), json_string_length(v)};
	return json_is_string(v) ? arena_str(a, text) : STR("");
}

/* Of what all alerts of the group have in common, else of the first. */
static struct str of(const json_t *o, const json_t *first, const char *common, const char *own,
    const char *name, struct arena *a)
{
	struct str v = member(json_object_get(o, common), name, a);
	return v.n > 0 ? v : member(json_object_get(first, own), name, a);
}

void alert_read(struct str body, struct arena *a, struct alert *ret)
{
	struct err ignored;
	CLEANUP_JSON json_t *o = json_read(body, &ignored);
	const json_t *all = json_object_get(o, "alerts"), *first = json_array_get(all, 0);
	size_t n = json_array_size(all);
	ret->name = of(o, first, "commonLabels", "labels", "alertname", a);
	ret->severity = of(o, first, "commonLabels", "labels", "severity", a);
	ret->summary = of(o, first, "commonAnnotations", "annotations", "summary", a);
	ret->description = of(o, first, "commonAnnotations", "annotations", "description", a);
	ret->since = member(first, "startsAt", a);
	ret->more = n > 1 ? str_c(arena_printf(a, "and %zu more", n - 1)) : STR("");
}
