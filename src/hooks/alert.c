#include "hooks/alert.h"

#include "text/skim.h"

#define WHOLE_BYTES (1u << 20) /* a larger one is not looked through: the store's writer waits */

bool alert_is(struct str kind)
{
	return str_eq_c(kind, "alert.firing") || str_eq_c(kind, "alert.resolved");
}

/* What stands there, as it is written; of a text, what it says. */
static struct str at(struct str json, const char *pointer, enum skim_type type, struct arena *a)
{
	struct skim_member m;
	struct err ignored;
	bool there = json.n > 0 && skim_at(json, str_c(pointer), a, &m, &ignored) == 0;
	return there && m.type == type ? m.value : STR("");
}

/* Of what all alerts of the group have in common, else of the first. */
static struct str of(struct str all, struct str first, const char *pointer, struct arena *a)
{
	struct str v = at(all, pointer, SKIM_STRING, a);
	return v.n > 0 ? v : at(first, pointer, SKIM_STRING, a);
}

static struct str how_many_more(struct str list, struct arena *a)
{
	struct str one;
	size_t n = 0;
	while (skim_each(&list, &one))
		n++;
	return n > 1 ? str_c(arena_printf(a, "and %zu more", n - 1)) : STR("");
}

void alert_read(struct str body, struct arena *a, struct alert *ret)
{
	struct str first = at(body, "/alerts/0", SKIM_OTHER, a), labels = STR(""), notes = STR("");
	ret->more = STR("and others");
	if (body.n <= WHOLE_BYTES) {
		labels = at(body, "/commonLabels", SKIM_OTHER, a);
		notes = at(body, "/commonAnnotations", SKIM_OTHER, a);
		ret->more = how_many_more(at(body, "/alerts", SKIM_OTHER, a), a);
	}
	struct str own_labels = at(first, "/labels", SKIM_OTHER, a);
	struct str own_notes = at(first, "/annotations", SKIM_OTHER, a);
	ret->name = of(labels, own_labels, "/alertname", a);
	ret->severity = of(labels, own_labels, "/severity", a);
	ret->summary = of(notes, own_notes, "/summary", a);
	ret->description = of(notes, own_notes, "/description", a);
	ret->since = at(first, "/startsAt", SKIM_STRING, a);
}
