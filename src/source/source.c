#include "source/source.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/name.h"
#include "base/num.h"
#include "source/address.h"

#include <stdio.h>

#define SECRET_MAX_BYTES 65536u
#define KNOWN_HOSTS_MAX_BYTES 16384u
#define ARGV_MAX 32u

static int check_ref(struct str ref, struct err *e)
{
	if (ref.n == 0)
		return 0;
	if (name_ref(ref, e))
		return err_hint(e, "name a branch, a tag or a full commit");
	return 0;
}

static int check_git(const struct source_spec *s, struct err *e)
{
	struct source_address at;
	if (source_address_parse(s->url, &at, e) || check_ref(s->ref, e))
		return -1;
	if (at.scheme == SOURCE_HTTP && s->https_token.n && !s->allow_private) {
		err_set(e, ERR_INVALID, "a token would cross the network in clear over http");
		return err_hint(e, "use the https address of the repository");
	}
	if (s->https_token.n > SECRET_MAX_BYTES || s->deploy_key.n > SECRET_MAX_BYTES)
		return err_set(
		    e, ERR_TOO_LARGE, "the key or token is larger than %u bytes", SECRET_MAX_BYTES);
	if (str_find(s->https_token, '\n', 0) != SIZE_MAX ||
	    str_find(s->https_user, '\n', 0) != SIZE_MAX)
		return err_set(e, ERR_INVALID, "the token or user name holds a line break");
	if (s->known_hosts.n > KNOWN_HOSTS_MAX_BYTES)
		return err_set(e, ERR_TOO_LARGE, "the host keys are larger than %u bytes",
		    KNOWN_HOSTS_MAX_BYTES);
	return 0;
}

static int check_path(struct str path, struct err *e)
{
	if (path.n < 2 || path.p[0] != '/') {
		err_set(e, ERR_INVALID, "the directory of the source is not an absolute path");
		return err_hint(e, "write it from the root of this machine, such as /srv/shop");
	}
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	return name_subpath(str_from(path, 1), e);
}

int source_check(const struct source_spec *s, struct err *e)
{
	switch (s->type) {
	case SOURCE_GIT:
		return check_git(s, e);
	case SOURCE_PATH:
		return check_path(s->path, e);
	case SOURCE_ARCHIVE:
		return 0;
	case SOURCE_TYPE_COUNT:
		break;
	}
	return err_set(e, ERR_INVALID, "the source has no known type");
}

struct list {
	struct str v[ARGV_MAX];
	size_t n;
	struct arena *a;
	bool full;
};

static void add(struct list *l, struct str s)
{
	if (l->n == ARGV_MAX || str_find(s, '\0', 0) != SIZE_MAX)
		l->full = true;
	else
		l->v[l->n++] = s;
}

static void add_value(struct list *l, const char *option, struct str value)
{
	if (value.n == 0)
		return;
	add(l, str_c(option));
	add(l, value);
}

static void add_number(struct list *l, const char *option, uint64_t value)
{
	char *text = arena_printf(l->a, "%llu", (unsigned long long)value);
	if (!text)
		l->full = true;
	add_value(l, option, str_c(text));
}

static void add_git(struct list *l, const struct source_spec *s)
{
	add_value(l, "--url", s->url);
	add_value(l, "--ref", s->ref);
	add_value(l, "--unless", s->unless_commit);
	add_value(l, "--retry-while", s->retry_while);
	add_value(l, "--known-hosts", s->known_hosts);
	if (s->https_token.n)
		add_value(l, "--user", s->https_user.n ? s->https_user : STR("git"));
	if (s->submodules)
		add(l, STR("--submodules"));
	if (s->allow_private)
		add(l, STR("--allow-private"));
}

static struct str secret_of(const struct source_spec *s)
{
	struct source_address at;
	if (s->type != SOURCE_GIT || source_address_parse(s->url, &at, NULL))
		return STR_NONE;
	return at.scheme == SOURCE_SSH ? s->deploy_key : s->https_token;
}

int source_job(const struct source_spec *s, uint32_t release, struct arena *a,
    struct source_job *ret, struct err *e)
{
	static const char *const commands[SOURCE_TYPE_COUNT] = {"fetch-git", "copy-path", "unpack"};
	if (source_check(s, e))
		return -1;
	struct list l = {.a = a};
	add(&l, STR("slipway-tree"));
	add(&l, str_c(commands[s->type]));
	add_number(&l, "--release", release);
	add_number(&l, "--bytes-max", s->bytes_max ? s->bytes_max : LIMIT_TREE_BYTES);
	add_number(&l, "--files-max", s->files_max ? s->files_max : LIMIT_TREE_FILES);
	if (s->type == SOURCE_GIT)
		add_git(&l, s);
	if (s->type == SOURCE_PATH)
		add_value(&l, "--path", s->path);
	*ret = (struct source_job){.secret = arena_str(a, secret_of(s))};
	ret->argv.v = arena_array(a, l.n, sizeof(struct str));
	if (l.full || !ret->argv.v || !ret->secret.p)
		return err_set(e, ERR_TOO_LARGE, "the job's arguments do not fit");
	for (size_t i = 0; i < l.n; i++)
		ret->argv.v[ret->argv.n++] = arena_str(a, l.v[i]);
	return 0;
}

static int broken(const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, "the report of the fetch is broken: %s", what);
}

/* A record's text: "LENGTH\n" was cut off already, then the bytes and a newline. */
static int take_text(struct str length, struct str *rest, struct str *ret, struct err *e)
{
	uint64_t n;
	if (ret->p || !num_u64(length, 0, KNOWN_HOSTS_MAX_BYTES, &n) || n + 1 > rest->n ||
	    rest->p[n] != '\n')
		return broken("the length of a text", e);
	*ret = str_slice(*rest, 0, (size_t)n);
	*rest = str_from(*rest, (size_t)n + 1);
	return 0;
}

static int read_header(struct str line, struct str *rest, struct source_result *ret, struct err *e)
{
	struct str value = str_from(line, 2);
	int64_t seconds;
	if (line.n != 1 && (line.n < 2 || line.p[1] != ' '))
		return broken("a header", e);
	switch (line.p[0]) {
	case 'U':
		ret->up_to_date = true;
		return line.n == 1 ? 0 : broken("a header", e);
	case 'C':
		ret->commit = value;
		return name_commit(value, e) ? broken("the commit", e) : 0;
	case 'T':
		if (!num_i64(value, INT32_MIN, INT64_C(1) << 40, &seconds))
			return broken("the time", e);
		ret->author_time_ms = seconds * 1000;
		return 0;
	case 'A':
		return take_text(value, rest, &ret->author, e);
	case 'S':
		return take_text(value, rest, &ret->subject, e);
	case 'K':
		return take_text(value, rest, &ret->host_keys, e);
	default:
		return broken("an unknown header", e);
	}
}

int source_read(struct str report, struct arena *a, struct source_result *ret, struct err *e)
{
	*ret = (struct source_result){0};
	for (;;) {
		size_t end = str_find(report, '\n', 0);
		if (end == SIZE_MAX || end == 0)
			return broken("it ends early", e);
		struct str line = str_slice(report, 0, end);
		if (line.p[0] == 'F' || line.p[0] == 'D' || line.p[0] == 'E')
			return tree_read(report, a, &ret->tree, e);
		report = str_from(report, end + 1);
		if (read_header(line, &report, ret, e))
			return -1;
	}
}
