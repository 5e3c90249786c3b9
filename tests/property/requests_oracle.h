/* What the helper's protocol allows, written anew from src/priv/priv.h and render/vhost.h without a line of the helper's: names, ranges,
 * descriptors. Nothing here asks the kernel: whoever drew a descriptor knows what it is. For test_helper_requests.c and
 * test_helper_peers.c, which include what this needs. */
#pragma once

/* A kind of descriptor that may come with a request. */
struct thing {
	int fd;
	mode_t type;	  /* S_IF… */
	bool sealed;	  /* against writing, growing and shrinking */
	const void *data; /* what is in it, where that matters */
	size_t bytes;
};

struct drawn {
	struct priv_request q;
	const struct thing *with[PRIV_FDS_MAX];
	size_t count;
};

/* The first rule that a request breaks. */
enum rule {
	RULE_NONE,
	RULE_MAGIC,
	RULE_OPERATION,
	RULE_HELLO_FIRST,
	RULE_DESCRIPTORS,
	RULE_PROJECT,
	RULE_RELEASE,
	RULE_INSTANCE,
	RULE_VERSION,
	RULE_SIGNAL,
	RULE_TIMEOUT,
	RULE_LIMIT,
	RULE_ENUMERATION,
	RULE_PROCESS,
	RULE_SUBDIR,
	RULE_INDEX,
	RULE_SEAL,
	RULE_KIND,
	RULE_SHAPE, /* fields that do not go together */
	RULE_VHOST,
	RULE_SITE,
	RULE_NOT_ALLOWED, /* root did not say so */
	RULE_COUNT
};

static const char *const rule_names[RULE_COUNT] = {"none", "magic", "operation", "hello first",
    "descriptors", "project", "release", "instance", "version", "signal", "timeout", "limit",
    "enumeration", "process", "subdir", "index", "seal", "kind", "shape", "vhost", "site",
    "not allowed"};

/* What the answer depends on besides the request. */
struct oracle_state {
	bool greeted, sites;
	bool (*has_instance)(uint64_t id);
};

static bool among(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool all_among(const char *s, size_t n, const char *set)
{
	for (size_t i = 0; i < n; i++)
		if (!among(s[i], set))
			return false;
	return true;
}

/* The length of what ends within its field; else the field's own. */
static size_t length(const char *field, size_t size)
{
	size_t n = 0;
	while (n < size && field[n] != '\0')
		n++;
	return n;
}

static bool project_ok(const char *field, size_t size)
{
	static const char *const taken[] = {"admin", "api", "console", "default", "health", "hooks",
	    "localhost", "metrics", "public", "root", "slipway", "static", "www"};
	size_t n = length(field, size);
	if (n == size || n < 1 || n > 29 || !among(field[0], LOWER) ||
	    !all_among(field, n, LOWER DIGITS "-") || field[n - 1] == '-')
		return false;
	for (size_t i = 1; i < n; i++)
		if (field[i] == '-' && field[i - 1] == '-')
			return false;
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
		if (strcmp(field, taken[i]) == 0)
			return false;
	return true;
}

static bool process_ok(const char field[17])
{
	size_t n = length(field, 17);
	return n >= 1 && n <= 16 && among(field[0], LOWER) && all_among(field, n, LOWER DIGITS);
}

/* A path within a folder; fields are shorter than its own bound. */
static bool path_ok(const char *field, size_t size)
{
	size_t n = length(field, size), begin = 0;
	if (n == size || n == 0)
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && field[i] != '/')
			continue;
		size_t part = i - begin;
		bool dots = (part == 1 || part == 2) && field[begin] == '.' && field[i - 1] == '.';
		if (part == 0 || part > 255 || dots)
			return false;
		begin = i + 1;
	}
	return true;
}

static bool site_ok(const char *field, size_t size)
{
	size_t n = length(field, size);
	if (n == size || n < 1 || n > 200 || among(field[0], ".-") ||
	    !all_among(field, n, LOWER UPPER DIGITS "._-"))
		return false;
	return strstr(field, "..") == NULL;
}

static bool label_ok(const char *p, size_t n)
{
	return n >= 1 && n <= 63 && p[0] != '-' && p[n - 1] != '-' &&
	       all_among(p, n, LOWER DIGITS "-");
}

/* A browser takes a last label of digits, or of hexadecimal ones behind 0x, for an address. */
static bool domain_ok(const char *field, size_t size)
{
	size_t n = length(field, size), begin = 0, dots = 0;
	if (n == size || n < 1 || n > 253)
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && field[i] != '.')
			continue;
		if (!label_ok(field + begin, i - begin))
			return false;
		if (i == n)
			break;
		dots++;
		begin = i + 1;
	}
	const char *last = field + begin;
	bool hex = last[0] == '0' && last[1] == 'x';
	if (hex ? all_among(last + 2, n - begin - 2, DIGITS "abcdef")
		: all_among(last, n - begin, DIGITS))
		return false;
	return dots > 0 || strcmp(field, "localhost") == 0;
}

static bool url_ok(const char *field, size_t size)
{
	size_t n = length(field, size), begin = 1;
	if (n == size || n < 1 || n > 200 || field[0] != '/')
		return false;
	if (strcmp(field, "/.slipway") == 0 || strncmp(field, "/.slipway/", 10) == 0 ||
	    strncmp(field, "/.well-known/acme-challenge", 27) == 0)
		return false;
	for (size_t i = 1; n > 1 && i <= n; i++) {
		if (i < n && field[i] != '/')
			continue;
		size_t part = i - begin;
		bool dots = (part == 1 || part == 2) && field[begin] == '.' && field[i - 1] == '.';
		if (part == 0 || dots || !all_among(field + begin, part, LOWER UPPER DIGITS "._~-"))
			return false;
		begin = i + 1;
	}
	return true;
}

static bool static_ok(const struct render_vhost *v, unsigned at)
{
	const struct render_static *s = &v->statics[at];
	if (s->data > 1 || !url_ok(s->url, sizeof(s->url)))
		return false;
	for (unsigned k = 0; k < at; k++)
		if (strcmp(s->url, v->statics[k].url) == 0)
			return false;
	if (s->data == 0)
		return s->data_path[0] == '\0';
	size_t n = length(s->data_path, sizeof(s->data_path));
	return path_ok(s->data_path, sizeof(s->data_path)) &&
	       all_among(s->data_path, n, LOWER UPPER DIGITS "._~:/@[]-");
}

static bool vhost_ok(const struct render_vhost *v)
{
	if (v->version != 1 || !project_ok(v->project, sizeof(v->project)) || v->domain_count < 1 ||
	    v->domain_count > 64)
		return false;
	for (unsigned i = 0; i < v->domain_count; i++) {
		if (!domain_ok(v->domains[i], sizeof(v->domains[i])))
			return false;
		for (unsigned k = 0; k < i; k++)
			if (strcmp(v->domains[i], v->domains[k]) == 0)
				return false;
	}
	if (v->web_instances > 10 || v->maintenance > 1 || v->headers > 1 ||
	    v->static_count > 16)
		return false;
	if (v->body_max_bytes < 1 || v->body_max_bytes > 1099511627776ull ||
	    v->request_timeout_s < 1 || v->request_timeout_s > 86400)
		return false;
	for (unsigned i = 0; i < v->static_count; i++)
		if (!static_ok(v, i))
			return false;
	return true;
}

/* Of a struct render_vhost in a sealed file, and of this project. */
static enum rule vhost_rule(const struct drawn *d)
{
	const struct thing *t = d->with[0];
	if (!t->sealed)
		return RULE_SEAL;
	if (!t->data || t->bytes != sizeof(struct render_vhost))
		return RULE_VHOST;
	const struct render_vhost *v = t->data;
	return vhost_ok(v) && strcmp(v->project, d->q.project) == 0 ? RULE_NONE : RULE_VHOST;
}

static enum rule sealed_rule(const struct drawn *d, size_t from)
{
	for (size_t i = from; i < d->count; i++)
		if (!d->with[i]->sealed)
			return RULE_SEAL;
	return RULE_NONE;
}

static enum rule indices_rule(const struct drawn *d)
{
	const struct priv_start *s = &d->q.start;
	const int v[] = {
	    s->fd_argv, s->fd_env, s->fd_listen, s->fd_stdin, s->fd_stdout, s->fd_secret};
	unsigned times[PRIV_FDS_MAX] = {0};
	for (size_t i = 0; i < 6; i++) {
		if (v[i] < -1 || v[i] >= (int)d->count)
			return RULE_INDEX;
		if (v[i] >= 0)
			times[v[i]]++;
	}
	for (size_t i = 0; i < d->count; i++)
		if (times[i] != 1)
			return RULE_INDEX;
	const int lists[] = {s->fd_argv, s->fd_env, s->fd_secret};
	for (size_t i = 0; i < 3; i++)
		if (lists[i] >= 0 && !d->with[lists[i]]->sealed)
			return RULE_SEAL;
	if (s->fd_listen >= 0 && d->with[s->fd_listen]->type != S_IFSOCK)
		return RULE_KIND;
	if (s->terminal == 1 && (s->fd_stdin < 0 || d->with[s->fd_stdin]->type != S_IFCHR))
		return RULE_KIND;
	return RULE_NONE;
}

static enum rule numbers_rule(const struct priv_start *s)
{
	const uint64_t most = 0x7fffffffffffffffull;
	if (s->class > 1 || s->sandbox > 3 || s->program > 2 || s->terminal > 1 ||
	    s->listen_count > 1)
		return RULE_ENUMERATION;
	if (s->instance < 1)
		return RULE_INSTANCE;
	bool nameless = s->sandbox == PRIV_SANDBOX_FETCH || s->program == PRIV_PROGRAM_RELAY;
	if (s->release > 1000000000 || (s->release < 1 && !nameless))
		return RULE_RELEASE;
	if (s->stop_timeout_ms > 3600 * 1000 || s->time_limit_ms > 24 * 3600 * 1000 ||
	    s->ready_ms > 3600 * 1000 || s->watchdog_ms > 3600 * 1000)
		return RULE_TIMEOUT;
	/* only a tenant's service says anything of itself */
	if (s->ready_ms + s->watchdog_ms > 0 && (s->class != PRIV_SERVICE || s->program != PRIV_PROGRAM_TENANT))
		return RULE_TIMEOUT;
	if (s->limits.memory_bytes > most || s->limits.disk_bytes > most ||
	    s->limits.files > 1 << 20 || s->limits.cpu_milli > 1024000 || s->limits.tasks > 1000000)
		return RULE_LIMIT;
	/* one kind there is, and nothing but a release's own program opens it */
	if (s->limits.devices > 1 || (s->limits.devices == 1 && (s->sandbox != PRIV_SANDBOX_RUN ||
								    s->program != PRIV_PROGRAM_TENANT)))
		return RULE_LIMIT;
	return RULE_NONE;
}

static enum rule start_rule(const struct drawn *d)
{
	const struct priv_start *s = &d->q.start;
	if (!process_ok(s->process))
		return RULE_PROCESS;
	if (s->subdir[0] != '\0' && !path_ok(s->subdir, sizeof(s->subdir)))
		return RULE_SUBDIR;
	enum rule r = numbers_rule(s);
	r = r == RULE_NONE ? indices_rule(d) : r;
	if (r != RULE_NONE)
		return r;
	if ((s->listen_count == 1) != (s->fd_listen != -1))
		return RULE_SHAPE;
	if (s->program == PRIV_PROGRAM_RELAY ? s->port == 0 || s->fd_listen == -1
					     : s->fd_argv == -1)
		return RULE_SHAPE;
	bool of_jobs =
	    s->terminal == 1 || s->fd_stdin != -1 || s->fd_stdout != -1 || s->time_limit_ms != 0;
	return s->class == PRIV_SERVICE && of_jobs ? RULE_SHAPE : RULE_NONE;
}

static enum rule site_certificate_rule(const struct drawn *d)
{
	const struct thing *t = d->with[0];
	if (!t->sealed)
		return RULE_SEAL;
	const struct render_site_cert *c = t->data;
	return c && t->bytes >= sizeof(*c) && site_ok(c->site, sizeof(c->site)) ? RULE_NONE
										: RULE_SITE;
}

#define P 1u /* names a project */
#define R 2u /* names a release */
#define I 4u /* names an instance */
/* What each operation has; descriptors: at least, at most. */
static const struct {
	unsigned has, least, most;
} operations[PRIV_OP_COUNT] = {[PRIV_HELLO] = {0, 0, 0},
    [PRIV_PROJECT_ENSURE] = {P, 0, 0},
    [PRIV_PROJECT_REMOVE] = {P, 0, 0},
    [PRIV_RELEASE_PREPARE] = {P | R, 0, 0},
    [PRIV_RELEASE_SEAL] = {P | R, 0, 1},
    [PRIV_RELEASE_REMOVE] = {P | R, 0, 0},
    [PRIV_VHOST_SET] = {P, 1, 1},
    [PRIV_VHOST_REMOVE] = {P, 0, 0},
    [PRIV_CERT_SET] = {P, 3, 3},
    [PRIV_CERT_REMOVE] = {P, 1, 1},
    [PRIV_START] = {P, 0, 6},
    [PRIV_STOP] = {I, 0, 0},
    [PRIV_SIGNAL] = {I, 0, 0},
    [PRIV_TAKE_OUTPUT] = {I, 0, 0},
    [PRIV_FORGET] = {I, 0, 0},
    [PRIV_SLEEP] = {I, 0, 0},
    [PRIV_NARROW] = {I, 0, 0},
    [PRIV_SITES_SET] = {P | R, 1, 1},
    [PRIV_OWN_CERT_SET] = {0, 2, 2},
    [PRIV_SITE_CERT_SET] = {P, 1, 1}};

static enum rule own_rule(const struct drawn *d)
{
	const struct priv_request *q = &d->q;
	enum rule r;
	switch (q->op) {
	case PRIV_HELLO:
		return q->id == PRIV_VERSION ? RULE_NONE : RULE_VERSION;
	case PRIV_PROJECT_ENSURE:
		return q->start.limits.disk_bytes >> 63 ? RULE_LIMIT : RULE_NONE;
	case PRIV_RELEASE_SEAL:
		return sealed_rule(d, 0);
	case PRIV_SITES_SET:
		return sealed_rule(d, 0);
	case PRIV_VHOST_SET:
		return vhost_rule(d);
	case PRIV_CERT_REMOVE:
		return vhost_rule(d);
	case PRIV_CERT_SET:
		r = q->id > 1 ? RULE_ENUMERATION : sealed_rule(d, 1);
		return r == RULE_NONE ? vhost_rule(d) : r;
	case PRIV_OWN_CERT_SET:
		return q->id > 3 ? RULE_ENUMERATION : sealed_rule(d, 0);
	case PRIV_OWN_CERT_REMOVE:
		return q->id > 1 ? RULE_ENUMERATION : RULE_NONE;
	case PRIV_SITE_CERT_SET:
		return site_certificate_rule(d);
	case PRIV_START:
		return start_rule(d);
	case PRIV_STOP:
		return q->stop_timeout_ms > 3600 * 1000 ? RULE_TIMEOUT : RULE_NONE;
	case PRIV_NARROW:
		return q->start.limits.devices > 1 ? RULE_LIMIT : RULE_NONE;
	case PRIV_SIGNAL:
		return q->signal < 1 || q->signal > 31 ? RULE_SIGNAL : RULE_NONE;
	default:
		return RULE_NONE;
	}
}

static enum rule broken_rule(const struct oracle_state *o, const struct drawn *d)
{
	const struct priv_request *q = &d->q;
	if (q->magic != 0x51495057)
		return RULE_MAGIC;
	if (q->op < 1 || q->op > 25)
		return RULE_OPERATION;
	if (!o->greeted && q->op != PRIV_HELLO)
		return RULE_HELLO_FIRST;
	if (q->op == PRIV_SITES_SET && !o->sites)
		return RULE_NOT_ALLOWED;
	if (d->count < operations[q->op].least || d->count > operations[q->op].most)
		return RULE_DESCRIPTORS;
	unsigned has = operations[q->op].has;
	if ((has & P) && !project_ok(q->project, sizeof(q->project)))
		return RULE_PROJECT;
	if ((has & R) && (q->release < 1 || q->release > 1000000000))
		return RULE_RELEASE;
	if ((has & I) && !o->has_instance(q->id))
		return RULE_INSTANCE;
	return own_rule(d);
}
#undef P
#undef R
#undef I
