#include "minitwit/settings.h"

#include "base/num.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *or_else(const char *name, const char *usual)
{
	const char *v = getenv(name);
	return v && v[0] ? v : usual;
}

static int join(char out[SETTINGS_PATH_MAX], const char *dir, const char *name, struct err *e)
{
	if ((size_t)snprintf(out, SETTINGS_PATH_MAX, "%s/%s", dir, name) < SETTINGS_PATH_MAX)
		return 0;
	return err_set(e, ERR_SETTINGS, "the path of the data folder is too long");
}

static int number(const char *name, int64_t usual, int64_t max, int64_t *ret, struct err *e)
{
	const char *v = or_else(name, NULL);
	*ret = usual;
	if (!v || num_i64(str_c(v), 0, max, ret))
		return 0;
	return err_set(e, ERR_SETTINGS, "%s is no number from 0 to %lld", name, (long long)max);
}

static int database(struct settings *s, const char *dir, struct err *e)
{
	struct str url = str_c(or_else("DATABASE_URL", ""));
	s->postgres = str_starts(url, STR("postgres://")) || str_starts(url, STR("postgresql://"));
	if (url.n == 0)
		return join(s->database, dir, "minitwit.db", e);
	if (str_starts(url, STR("sqlite:///")))
		url = str_from(url, 10);
	if (str_copy(url, s->database, sizeof(s->database)))
		return 0;
	return err_set(
	    e, ERR_SETTINGS, "DATABASE_URL is longer than %d bytes", SETTINGS_PATH_MAX - 1);
}

int settings_read(struct settings *ret, struct err *e)
{
	const char *dir =
	    or_else("MINITWIT_DATA", or_else("SLIPWAY_DATA_DIR", or_else("HOME", ".")));
	int64_t port, kept;
	if (database(ret, dir, e) < 0 || join(ret->board, dir, "minitwit.board", e) < 0 ||
	    number("PORT", 5001, 65535, &port, e) < 0 ||
	    number("MINITWIT_KEPT_MB", 32, 4096, &kept, e) < 0)
		return -1;
	ret->address = or_else("MINITWIT_ADDRESS", "127.0.0.1");
	ret->port = (uint16_t)port;
	ret->kept_mb = (uint32_t)kept;
	return 0;
}
