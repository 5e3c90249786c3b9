#include "text/yaml.h"
#include "base/log.h"

#include <limits.h>
#include <yaml.h>

#define DEPTH_MAX 16u
#define NODES_MAX 8192u

struct reader {
	yaml_parser_t parser;
	const char *file;
	struct arena *a;
	struct err *e;
	size_t nodes;
};

static int read_node(struct reader *r, yaml_event_t *ev, unsigned depth, struct yaml_node **ret);

static unsigned place(size_t zero_based)
{
	return zero_based < UINT_MAX - 1 ? (unsigned)zero_based + 1 : UINT_MAX;
}

static int fault(struct reader *r, const yaml_mark_t *at, const char *what)
{
	return err_set(
	    r->e, ERR_INVALID, "%s:%u:%u: %s", r->file, place(at->line), place(at->column), what);
}

static int no_memory(struct reader *r)
{
	return err_set(r->e, ERR_TOO_LARGE, "%s is too large to be read", r->file);
}

/* libyaml's own complaint, with the position it gives. */
static int broken(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	if (p->error == YAML_READER_ERROR)
		return err_set(r->e, ERR_INVALID, "%s: byte %zu is not UTF-8 text", r->file,
		    p->problem_offset + 1);
	yaml_mark_t at = p->problem_mark;
	return fault(r, &at, p->problem ? p->problem : "this is not YAML");
}

static int next(struct reader *r, yaml_event_t *ev)
{
	return yaml_parser_parse(&r->parser, ev) ? 0 : broken(r);
}

/* Anchors and tags change what a value means; a manifest has no use for either. */
static int plain_value(struct reader *r, const yaml_event_t *ev)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	if (ev->type == YAML_SCALAR_EVENT) {
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
	} else if (ev->type == YAML_MAPPING_START_EVENT) {
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
	} else if (ev->type == YAML_ALIAS_EVENT) {
		return fault(r, &ev->start_mark, "aliases ('*name') are not supported");
	}
	if (anchor)
		return fault(r, &ev->start_mark, "anchors ('&name') are not supported");
	return tag ? fault(r, &ev->start_mark, "tags ('!name') are not supported") : 0;
}

static struct yaml_node *node_new(struct reader *r, const yaml_event_t *ev, enum yaml_type type)
{
	struct yaml_node *n =
	    r->nodes < NODES_MAX ? arena_alloc(r->a, sizeof(struct yaml_node)) : NULL;
	if (!n)
		return NULL;
	r->nodes++;
	n->type = type;
	n->line = place(ev->start_mark.line);
	n->column = place(ev->start_mark.column);
	return n;
}

static int scalar_text(struct reader *r, const yaml_event_t *ev, struct str *ret)
{
	struct str text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
	if (str_find(text, '\0', 0) != SIZE_MAX)
		return fault(r, &ev->start_mark, "a value holds a NUL");
	*ret = arena_str(r->a, text);
	return ret->p ? 0 : no_memory(r);
}

static int check_key(
    struct reader *r, const struct yaml_node *map, const yaml_event_t *ev, struct str key)
{
	for (const struct yaml_node *c = map->first; c; c = c->next) {
		if (!str_eq(c->key, key))
			continue;
		char shown[80];
		log_escape(key, shown, sizeof(shown));
		return err_set(r->e, ERR_INVALID,
		    "%s:%u:%u: key '%s' comes twice, first in line %u", r->file,
		    place(ev->start_mark.line), place(ev->start_mark.column), shown, c->key_line);
	}
	return 0;
}

/* Reads the key that `ev` starts; the value follows as the next event. */
static int read_key(
    struct reader *r, const struct yaml_node *map, yaml_event_t *ev, struct yaml_node *into)
{
	if (plain_value(r, ev))
		return -1;
	if (ev->type != YAML_SCALAR_EVENT)
		return fault(r, &ev->start_mark, "a key must be a word");
	into->key_line = place(ev->start_mark.line);
	into->key_column = place(ev->start_mark.column);
	return scalar_text(r, ev, &into->key) || check_key(r, map, ev, into->key) ? -1 : 0;
}

static int read_child(struct reader *r, struct yaml_node *parent, yaml_event_t *ev, unsigned depth,
    struct yaml_node **ret)
{
	struct yaml_node key = {0};
	if (parent->type == YAML_MAP) {
		if (read_key(r, parent, ev, &key))
			return -1;
		yaml_event_delete(ev);
		*ev = (yaml_event_t){0};
		if (next(r, ev))
			return -1;
	}
	if (read_node(r, ev, depth + 1, ret))
		return -1;
	(*ret)->key = key.key;
	(*ret)->key_line = key.key_line;
	(*ret)->key_column = key.key_column;
	return 0;
}

static int read_children(
    struct reader *r, struct yaml_node *parent, yaml_event_type_t end, unsigned depth)
{
	struct yaml_node **tail = &parent->first;
	for (;;) {
		yaml_event_t ev = {0};
		if (next(r, &ev))
			return -1;
		bool done = ev.type == end;
		int rc = done ? 0 : read_child(r, parent, &ev, depth, tail);
		yaml_event_delete(&ev);
		if (done || rc)
			return rc;
		tail = &(*tail)->next;
		parent->count++;
	}
}

static int read_node(struct reader *r, yaml_event_t *ev, unsigned depth, struct yaml_node **ret)
{
	if (plain_value(r, ev))
		return -1;
	if (depth > DEPTH_MAX)
		return fault(r, &ev->start_mark, "values are nested deeper than 16 levels");
	enum yaml_type type = ev->type == YAML_SCALAR_EVENT	      ? YAML_SCALAR
			      : ev->type == YAML_SEQUENCE_START_EVENT ? YAML_LIST
								      : YAML_MAP;
	struct yaml_node *n = *ret = node_new(r, ev, type);
	if (!n)
		return no_memory(r);
	if (type == YAML_SCALAR) {
		n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		return scalar_text(r, ev, &n->text);
	}
	return read_children(
	    r, n, type == YAML_LIST ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT, depth);
}

/* Stream start, document start, one node, document end, stream end; anything after is a second
 * document. */
static int read_stream(struct reader *r, struct yaml_node **ret)
{
	bool have = false;
	for (;;) {
		yaml_event_t ev = {0};
		if (next(r, &ev))
			return -1;
		int rc = 0;
		bool end = ev.type == YAML_STREAM_END_EVENT;
		if (ev.type == YAML_DOCUMENT_START_EVENT && have)
			rc = fault(
			    r, &ev.start_mark, "a second document begins here; there must be one");
		else if (ev.type != YAML_STREAM_START_EVENT &&
			 ev.type != YAML_DOCUMENT_START_EVENT &&
			 ev.type != YAML_DOCUMENT_END_EVENT && !end) {
			rc = read_node(r, &ev, 1, ret);
			have = true;
		}
		yaml_event_delete(&ev);
		if (rc || end)
			return rc;
	}
}

int yaml_read(
    struct str text, const char *file, struct arena *a, struct yaml_node **ret, struct err *e)
{
	struct reader r = {.file = file, .a = a, .e = e};
	if (!yaml_parser_initialize(&r.parser))
		return no_memory(&r);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
	    &r.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
	*ret = NULL;
	int rc = read_stream(&r, ret);
	yaml_parser_delete(&r.parser);
	if (rc)
		return -1;
	if (!*ret || yaml_is_null(*ret)) {
		*ret = arena_alloc(a, sizeof(**ret));
		if (!*ret)
			return no_memory(&r);
		(*ret)->type = YAML_MAP;
		(*ret)->line = (*ret)->column = 1;
	}
	return 0;
}

bool yaml_is_null(const struct yaml_node *n)
{
	return n->type == YAML_SCALAR && n->plain &&
	       (n->text.n == 0 || str_eq_c(n->text, "null") || str_eq_c(n->text, "~"));
}

const char *yaml_type_name(const struct yaml_node *n)
{
	static const char *const names[] = {
	    [YAML_SCALAR] = "a single value", [YAML_LIST] = "a list", [YAML_MAP] = "a mapping"};
	return names[n->type];
}
