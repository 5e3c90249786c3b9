#include "inspect/inspect.h"
#include "inspect/parts.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The new finding, or NULL when there is no room for it. */
static struct inspect_finding *say(struct inspect *s, enum inspect_level level, const char *fmt,
    va_list ap) __attribute__((format(printf, 3, 0)));
static struct inspect_finding *say(
    struct inspect *s, enum inspect_level level, const char *fmt, va_list ap)
{
	/* When the list is full the last one gives way to what is worse. */
	bool full = s->count == INSPECT_FINDINGS_MAX;
	struct inspect_finding *f = &s->v[full ? s->count - 1 : s->count];
	if (full && level <= f->level)
		return NULL;
	s->count += !full;
	*f = (struct inspect_finding){.check = s->check, .level = level};
	(void)vsnprintf(f->words, sizeof(f->words), fmt, ap);
	/* Names of files are whatever a tenant called them. */
	for (char *c = f->words; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return f;
}

void inspect_say(struct inspect *s, enum inspect_level level, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)say(s, level, fmt, ap);
	va_end(ap);
}

void inspect_advise(
    struct inspect *s, enum inspect_level level, const char *command, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	struct inspect_finding *f = say(s, level, fmt, ap);
	va_end(ap);
	if (f && !str_copy(str_c(command), f->command, sizeof(f->command)))
		f->command[0] = '\0'; /* rather none than half of one */
}

void inspect_name(struct inspect *s, enum inspect_level level, const char *fmt, ...)
{
	va_list ap;
	if (s->named++ >= INSPECT_NAMED_MAX)
		return;
	va_start(ap, fmt);
	(void)say(s, level, fmt, ap);
	va_end(ap);
}

enum inspect_level inspect_worst(const struct inspect *s, unsigned check, unsigned count)
{
	enum inspect_level worst = INSPECT_INFO;
	for (size_t i = 0; i < s->count; i++)
		if ((check >= count || s->v[i].check == check) && s->v[i].level > worst)
			worst = s->v[i].level;
	return worst;
}

static int look_for_machine(struct err *e)
{
	if (geteuid() != 0) {
		err_set(e, ERR_FORBIDDEN, "only root can look at all of it");
		return err_hint(e, "sudo slipway …");
	}
	if (access("/run/systemd/system", F_OK) == 0)
		return 0;
	err_set(e, ERR_UNSUPPORTED, "systemd does not run this machine");
	return err_hint(e, "these checks are for a server made by 'slipway setup'");
}

int inspect_run(struct inspect *s, const struct inspect_check *table, size_t count, struct err *e)
{
	struct inspect_account a;
	memset(s, 0, sizeof(*s));
	if (look_for_machine(e) != 0)
		return -1;
	s->has_user = inspect_account_of("slipway", &a);
	if (s->has_user) {
		s->uid = a.uid;
		s->gid = a.gid;
	}
	for (unsigned i = 0; i < count; i++) {
		size_t before = s->count;
		s->check = i;
		s->named = 0;
		table[i].run(s);
		if (s->named > INSPECT_NAMED_MAX)
			inspect_say(s, INSPECT_INFO, "and %zu more like these",
			    s->named - INSPECT_NAMED_MAX);
		if (s->count == before)
			inspect_say(s, INSPECT_INFO, "nothing to report");
	}
	return 0;
}
