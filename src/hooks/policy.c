#include "hooks/policy.h"

#include "base/num.h"
#include "github/list.h"
#include "hooks/sender_parts.h"

#include <string.h>

enum {
	ARENA_BYTES = 64 << 10,
	BODY_COMMITS_MAX = 2048, /* GitHub lists no more */
	STEPS_MAX = 20 << 20,
	SKIMMED_A_STEP = 16, /* bytes of a body that are passed over in the time of one */
};

/* Reading settings. */

static int wrong(struct err *e, const char *member, size_t i, const char *what)
{
	err_set(e, ERR_INVALID, "%s", what);
	return err_at(e, "/%s/%zu", member, i);
}

/* A list of texts; *ret NULL when absent. */
static int texts_read(struct policy *p, const json_t *settings, const char *member, size_t max,
    struct str **ret, size_t *ret_count, struct err *e)
{
	const json_t *list = json_object_get(settings, member);
	size_t n = json_array_size(list);
	*ret_count = 0;
	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list) || n == 0 || n > max)
		return wrong(e, member, 0, "the list is empty, too long, or none");
	if (!(*ret = arena_alloc(&p->a, n * sizeof(**ret))))
		return wrong(e, member, 0, "the settings are too large");
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(list, i);
		struct str text = {json_string_value(one), json_string_length(one)};
		if (!json_is_string(one) || text.n == 0 || text.n > POLICY_GLOB_MAX)
			return wrong(e, member, i, "it is empty, too long, or no text");
		(*ret)[i] = arena_str(&p->a, text);
		if (!(*ret)[i].p)
			return wrong(e, member, i, "the settings are too large");
	}
	*ret_count = n;
	return 0;
}

static int from_read(struct policy *p, const json_t *settings, struct err *e)
{
	struct str *texts = NULL;
	size_t n;
	if (texts_read(p, settings, "from", POLICY_RANGES_MAX, &texts, &n, e) != 0)
		return -1;
	p->narrowed = n > 0;
	if (n > 0 && !(p->from = arena_alloc(&p->a, n * sizeof(*p->from))))
		return wrong(e, "from", 0, "the settings are too large");
	for (size_t i = 0; i < n; i++)
		if (str_eq_c(texts[i], "github"))
			p->github = true;
		else if (cidr_parse(texts[i], &p->from[p->from_count++], e) != 0)
			return err_at(e, "/from/%zu", i);
	return 0;
}

static int fields_read(struct policy *p, const json_t *settings, struct err *e)
{
	json_t *o = json_object_get(settings, "fields");
	size_t n = json_object_size(o);
	if (!o || json_is_null(o))
		return 0;
	p->pointers = arena_alloc(&p->a, (n + 1) * sizeof(struct str));
	p->globs = arena_alloc(&p->a, (n + 1) * sizeof(struct str));
	if (!json_is_object(o) || n > POLICY_FIELDS_MAX || !p->pointers || !p->globs)
		return wrong(e, "fields", 0, "there are too many fields, or they are no object");
	for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
		struct str pointer = str_c(json_object_iter_key(i));
		const json_t *one = json_object_iter_value(i);
		struct str glob = {json_string_value(one), json_string_length(one)};
		if (pointer.n < 2 || pointer.p[0] != '/' || pointer.n > POLICY_GLOB_MAX) {
			err_set(e, ERR_INVALID, "'%.*s' is no JSON pointer",
			    STR_ARG(str_slice(pointer, 0, 60)));
			err_hint(e, "say /repository/full_name, for example");
			return err_at(e, "/fields");
		}
		if (!json_is_string(one) || glob.n > POLICY_GLOB_MAX)
			return wrong(
			    e, "fields", p->field_count, "its value is too long, or no text");
		p->pointers[p->field_count] = arena_str(&p->a, pointer);
		p->globs[p->field_count] = arena_str(&p->a, glob);
		if (!p->pointers[p->field_count].p || !p->globs[p->field_count].p)
			return wrong(e, "fields", p->field_count, "the settings are too large");
		p->field_count++;
	}
	return 0;
}

static int limit_read(struct policy *p, const json_t *settings, struct err *e)
{
	const json_t *o = json_object_get(settings, "limit");
	if (!o || json_is_null(o))
		return 0;
	const json_t *rate = json_object_get(o, "per_minute"), *burst = json_object_get(o, "burst");
	p->limit.per_minute = json_integer_value(rate);
	p->limit.burst = burst ? json_integer_value(burst) : p->limit.per_minute;
	if (p->limit.per_minute >= 1 && p->limit.per_minute <= 60000 && p->limit.burst >= 1 &&
	    p->limit.burst <= 60000)
		return 0;
	err_set(e, ERR_INVALID, "the limit is not 1 to 60000 a minute, and as many at once");
	return err_at(e, "/limit");
}

static int settings_read(
    struct policy *p, const json_t *settings, const struct sender *s, struct err *e)
{
	static const char *const known[] = {"from", "events", "paths", "fields", "limit", NULL};
	if (json_known_keys(settings, known, e) != 0 || from_read(p, settings, e) != 0 ||
	    texts_read(p, settings, "events", POLICY_EVENTS_MAX, &p->events, &p->event_count, e) !=
		0 ||
	    texts_read(p, settings, "paths", POLICY_PATHS_MAX, &p->paths, &p->path_count, e) != 0 ||
	    fields_read(p, settings, e) != 0 || limit_read(p, settings, e) != 0)
		return -1;
	if (p->path_count == 0 || s->commits_at)
		return 0;
	err_set(e, ERR_INVALID, "%s does not say which files a push changes", s->title);
	return err_at(e, "/paths");
}

int policy_init(struct policy *p, const json_t *settings, const struct sender *s, struct err *e)
{
	*p = (struct policy){0};
	arena_init(&p->a, ARENA_BYTES);
	if (settings_read(p, settings, s, e) == 0)
		return 0;
	policy_fini(p);
	return -1;
}

void policy_fini(struct policy *p)
{
	arena_fini(&p->a);
}

/* Addresses. */

bool policy_admits(
    const struct policy *p, const struct github_list *github, const struct cidr_address *from)
{
	if (!p->narrowed)
		return true;
	return from && (cidr_any_holds(p->from, p->from_count, from) ||
			   (p->github && github_list_holds(github, from)));
}

/* Globs: all positions at once, so that no glob takes long. */

struct places {
	bool at[POLICY_GLOB_MAX + 2];
};

static size_t stars_at(struct str glob, size_t i)
{
	size_t n = 0;
	while (i + n < glob.n && glob.p[i + n] == '*')
		n++;
	return n;
}

/* Stars may stand for nothing, and a double one before a '/' for no folder at all: what is behind
 * them is reached, too. `fresh`: a part of the text begins here. */
static void pass_stars(struct str glob, struct places *s, bool fresh)
{
	for (size_t i = 0; i < glob.n; i++) {
		size_t stars = s->at[i] ? stars_at(glob, i) : 0;
		if (stars == 0)
			continue;
		s->at[i + stars] = true;
		if (stars > 1 && fresh && i + stars < glob.n && glob.p[i + stars] == '/')
			s->at[i + stars + 1] = true;
	}
}

static void step(
    struct str glob, char c, bool slashes, const struct places *from, struct places *to)
{
	bool any = !slashes || c != '/';
	memset(to->at, 0, glob.n + 1);
	for (size_t i = 0; i < glob.n; i++) {
		if (!from->at[i])
			continue;
		size_t stars = stars_at(glob, i);
		if (stars > 0)
			to->at[i] |= any || stars > 1;
		else if (glob.p[i] == c || (glob.p[i] == '?' && any))
			to->at[i + 1] = true;
	}
	pass_stars(glob, to, slashes && c == '/');
}

bool policy_glob(struct str glob, struct str text, bool slashes)
{
	struct places places[2] = {0};
	if (glob.n > POLICY_GLOB_MAX)
		return false;
	places[0].at[0] = true;
	pass_stars(glob, &places[0], slashes);
	for (size_t i = 0; i < text.n; i++)
		step(glob, text.p[i], slashes, &places[i % 2], &places[(i + 1) % 2]);
	return places[text.n % 2].at[glob.n];
}

static bool any_glob(const struct str *globs, size_t n, struct str text, bool slashes)
{
	bool fits = false;
	for (size_t i = 0; i < n && !fits; i++)
		fits = policy_glob(globs[i], text, slashes);
	return fits;
}

/* Bodies. */

struct look {
	const struct policy *p;
	struct arena *a;
	size_t *steps;
};

static const char *field_misfits(struct look *l, struct str json, size_t i)
{
	static const char other[] = "a field does not fit";
	struct skim_member m;
	struct err ignored;
	*l->steps += json.n / SKIMMED_A_STEP;
	if (*l->steps > STEPS_MAX)
		return "its fields are too long to be compared";
	if (skim_at(json, l->p->pointers[i], l->a, &m, &ignored) != 0 || m.type == SKIM_ABSENT)
		return other;
	*l->steps += l->p->globs[i].n * m.value.n;
	if (*l->steps > STEPS_MAX)
		return "its fields are too long to be compared";
	return policy_glob(l->p->globs[i], m.value, false) ? NULL : other;
}

static const char *fields_misfit(struct look *l, struct str json)
{
	const char *why = NULL;
	for (size_t i = 0; i < l->p->field_count && !why; i++)
		why = field_misfits(l, json, i);
	return why;
}

static bool path_fits(struct look *l, struct str path)
{
	for (size_t i = 0; i < l->p->path_count; i++)
		*l->steps += l->p->paths[i].n * path.n;
	return *l->steps > STEPS_MAX || any_glob(l->p->paths, l->p->path_count, path, true);
}

static bool files_fit(struct look *l, struct str commit, const char *member)
{
	struct skim_member list;
	struct err ignored;
	struct str one;
	if (skim_at(commit, str_c(member), l->a, &list, &ignored) != 0 || list.type != SKIM_OTHER)
		return true; /* not said: it may be any */
	while (skim_each(&list.value, &one)) {
		struct str path = sender_text(one, "", l->a);
		if (!path.p || path_fits(l, path))
			return true;
	}
	return false;
}

static bool is_true(struct str json, const char *pointer, struct arena *a)
{
	struct skim_member m;
	struct err ignored;
	return skim_at(json, str_c(pointer), a, &m, &ignored) == 0 && m.type == SKIM_TRUE;
}

/* Whether the push lists every commit that it brings: not when it makes or forces the branch, nor
 * when the sender counts more than it lists. */
static bool lists_all(const struct sender_event *ev, size_t listed, struct arena *a)
{
	static const char *const counts[] = {"/total_commits_count", "/total_commits"};
	if (listed == 0 || listed >= BODY_COMMITS_MAX || is_true(ev->json, "/forced", a) ||
	    is_true(ev->json, "/created", a) || sender_is_zero(ev->before) || !ev->before.n)
		return false;
	for (size_t i = 0; i < 2; i++) {
		struct skim_member m;
		struct err ignored;
		uint64_t n;
		if (skim_at(ev->json, str_c(counts[i]), a, &m, &ignored) == 0 &&
		    m.type == SKIM_NUMBER && (!num_u64(m.value, 0, UINT32_MAX, &n) || n != listed))
			return false;
	}
	return true;
}

static bool paths_fit(struct look *l, const struct sender *s, const struct sender_event *ev)
{
	static const char *const lists[] = {"/added", "/modified", "/removed"};
	struct skim_member commits;
	struct err ignored;
	struct str commit;
	size_t listed = 0;
	if (skim_at(ev->json, str_c(s->commits_at), l->a, &commits, &ignored) != 0 ||
	    commits.type != SKIM_OTHER)
		return true;
	for (; listed < BODY_COMMITS_MAX && skim_each(&commits.value, &commit); listed++)
		for (size_t i = 0; i < 3; i++)
			if (files_fit(l, commit, lists[i]))
				return true;
	return !lists_all(ev, listed, l->a);
}

bool policy_compares(const struct policy *p)
{
	return p->field_count > 0 || p->path_count > 0;
}

const char *policy_leaves_out(const struct policy *p, const struct sender *s,
    const struct sender_event *ev, size_t *steps, struct arena *a)
{
	struct look l = {.p = p, .a = a, .steps = steps};
	if (p->event_count && !any_glob(p->events, p->event_count, ev->kind, false))
		return "the hook does not take this event";
	const char *why = fields_misfit(&l, ev->json);
	if (why)
		return why;
	return ev->push && p->path_count && !paths_fit(&l, s, ev) ? "no file that the hook is for"
								  : NULL;
}
