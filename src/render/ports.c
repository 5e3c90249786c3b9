#include "render/ports.h"

#include "base/limits.h"
#include "render/out.h"

#include <stdbool.h>
#include <string.h>

static bool is_table(const char *s)
{
	bool plain = *s >= 'a' && *s <= 'z' && strlen(s) < RENDER_PORTS_TABLE_SIZE;
	for (const char *c = s; plain && *c; c++)
		plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_';
	return plain;
}

static bool is_block(uint16_t first)
{
	return first >= LIMIT_PORT_FIRST &&
	       (first - LIMIT_PORT_FIRST) % LIMIT_PORTS_PER_PROJECT == 0 &&
	       (first - LIMIT_PORT_FIRST) / LIMIT_PORTS_PER_PROJECT < LIMIT_PORT_BLOCKS;
}

static void put_block(struct out *o, const struct render_port_owner *v)
{
	out_put(o, "%llu-%llu", (unsigned long long)v->first,
	    (unsigned long long)v->first + LIMIT_PORTS_PER_PROJECT - 1);
}

static void put_sets(struct out *o, const struct render_port_owner *v, size_t n)
{
	out_put(o, "\tset ports {\n\t\ttype inet_service\n\t\tflags interval\n\t\telements = { ");
	for (size_t i = 0; i < n; i++) {
		out_text(o, i ? ", " : "");
		put_block(o, &v[i]);
	}
	out_put(o, " }\n\t}\n\tset owners {\n\t\ttype uid . inet_service\n\t\tflags "
		   "interval\n\t\telements = { ");
	for (size_t i = 0; i < n; i++) {
		out_put(o, i ? ", %llu . " : "%llu . ", (unsigned long long)v[i].uid);
		put_block(o, &v[i]);
	}
	out_put(o, " }\n\t}\n");
}

/* What a socket that nobody holds any more still sends has no user: the second rule lets it pass, and so the end of a
 * connection. A connection of somebody else's never begins: the answer to its first packet does not pass. */
static const char chains[] = "\tchain out {\n"
			     "\t\ttype filter hook output priority filter; policy accept;\n"
			     "\t\ttcp dport @ports fib daddr type local meta skuid . tcp dport != "
			     "@owners reject with tcp reset\n"
			     "\t\ttcp sport @ports meta skuid . tcp sport != @owners drop\n"
			     "\t}\n"
			     "\tchain in {\n"
			     "\t\ttype filter hook input priority filter; policy accept;\n"
			     "\t\tiif != \"lo\" tcp dport @ports reject with tcp reset\n"
			     "\t}\n";

long render_ports(const char *table, const struct render_port_owner *v, size_t n, char *out,
    size_t size, struct err *e)
{
	struct out o;
	out_init(&o, out, size);
	bool good = is_table(table) && n <= LIMIT_PORT_BLOCKS;
	for (size_t i = 0; i < n && good; i++)
		good = is_block(v[i].first);
	if (!good) {
		out[0] = '\0';
		return err_set(e, ERR_INVALID, "the table's name, or a block of ports, is none");
	}
	/* deleting what is not there would be refused */
	out_put(&o, "table inet %s\ndelete table inet %s\n", table, table);
	if (n > 0) {
		out_put(&o, "table inet %s {\n", table);
		put_sets(&o, v, n);
		out_text(&o, chains);
		out_put(&o, "}\n");
	}
	return out_end(&o, "the table of ports", e);
}
