#include "services/services.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/rand.h"
#include "model/place.h"
#include "services/postgres.h"
#include "services/rabbitmq.h"
#include "services/web.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define PAIRS_EACH 7u
#define PASSWORD_MAX 128u
#define URL_MAX 1024u
#define LOCK_WAIT_S 20

struct services {
	struct services_options o;
	pthread_mutex_t
	    lock[MODEL_SERVICE_TYPE_COUNT]; /* one at a time asks a server for changes */
};

struct services *services_new(const struct services_options *o)
{
	struct services *s = mem_alloc(sizeof(*s));
	s->o = *o;
	for (size_t i = 0; i < MODEL_SERVICE_TYPE_COUNT; i++) {
		int rc = pthread_mutex_init(&s->lock[i], NULL);
		assert(rc == 0);
	}
	return s;
}

void services_free(struct services *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < MODEL_SERVICE_TYPE_COUNT; i++)
		(void)pthread_mutex_destroy(&s->lock[i]);
	mem_free_ptr(&s);
}

void services_name(struct str project, struct str service, char out[SERVICES_NAME_SIZE])
{
	int n =
	    snprintf(out, SERVICES_NAME_SIZE, "sw-%.*s_%.*s", STR_ARG(project), STR_ARG(service));
	assert(n > 0 && n < SERVICES_NAME_SIZE);
}

bool services_is_dumped(enum model_service_type type)
{
	return type == MODEL_SERVICE_POSTGRES;
}

/* --- wanting --- */

static int same_type(const struct model_service *there, enum model_service_type type, struct err *e)
{
	return there->type == type
		   ? 0
		   : err_set(e, ERR_CONFLICT, "the service '%.*s' is a %s already",
			 STR_ARG(there->name), model_service_type_name(there->type));
}

static int offered(const struct services *s, enum model_service_type type, struct err *e)
{
	if (type != MODEL_SERVICE_RABBITMQ || s->o.rabbitmq)
		return 0;
	(void)err_set(e, ERR_UNSUPPORTED, "this server has no RabbitMQ for projects");
	return err_hint(e,
	    "its administrator gives one: rabbitmq-plugins enable rabbitmq_management, a user of "
	    "it with the tag administrator, and slipwayd's --rabbitmq (slipway setup --rabbitmq "
	    "URL); see slipwayd(8)");
}

int services_want(const struct services *s, struct store_db *db, struct arena *a,
    int64_t project_id, struct str name, enum model_service_type type, int64_t now_ms,
    struct err *e)
{
	char place[MODEL_PLACE_SIZE], password[RAND_TOKEN_SIZE], mark[RAND_TOKEN_SIZE];
	struct model_service there;
	if (name_service(name, e) != 0)
		return -1;
	int rc = model_service_get(db, a, project_id, name, MODEL_EVERYTHING, &there, e);
	if (rc != 0)
		return rc < 0 ? -1 : same_type(&there, type, e);
	if (offered(s, type, e) != 0)
		return -1;
	CLEANUP_BUF struct buf sealed;
	buf_init(&sealed, PASSWORD_MAX + 64);
	rand_token(password);
	rand_token(mark);
	seal(s->o.seal, model_place_service(project_id, name, place), str_c(password), &sealed);
	explicit_bzero(password, sizeof(password));
	const struct model_service row = {.project_id = project_id,
	    .name = name,
	    .type = type,
	    .sealed = buf_view(&sealed),
	    .mark = str_c(mark),
	    .created_ms = now_ms};
	return model_service_add(db, &row, e);
}

/* --- making and dropping --- */

static int password_open(
    const struct services *s, const struct model_service *v, struct buf *ret, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	if (seal_open(s->o.seal, model_place_service(v->project_id, v->name, place), v->sealed, ret,
		e) == 0)
		return 0;
	return err_prefix(e, "the password of service '%.*s'", STR_ARG(v->name));
}

static int lock(pthread_mutex_t *m, struct err *e)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOCK_WAIT_S;
	if (pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until) == 0)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, "could not make a service: others are being made");
}

struct named {
	char name[SERVICES_NAME_SIZE];
	const struct model_service *row;
	struct buf password;
};
#define CLEANUP_NAMED __attribute__((cleanup(named_fini)))

static void named_fini(struct named *n)
{
	buf_wipe(&n->password);
}

static int named_fill(struct services *s, struct str project, const struct model_service *v,
    struct named *ret, struct err *e)
{
	buf_init(&ret->password, PASSWORD_MAX);
	if (name_project(project, e) != 0 || name_service(v->name, e) != 0 ||
	    offered(s, v->type, e) != 0 || password_open(s, v, &ret->password, e) != 0)
		return -1;
	services_name(project, v->name, ret->name);
	ret->row = v;
	return 0;
}

static int act_on_postgres(const struct services_options *so, enum services_act act,
    const struct named *n, struct services_place *ret, struct err *e)
{
	const struct postgres_maker s = {so->postgres, so->connections};
	const struct services_owner o = {n->name, n->row->mark, buf_view(&n->password)};
	switch (act) {
	case SERVICES_MAKE:
	case SERVICES_FRESH:
		if (postgres_make(&s, &o, ret, e) != 0)
			return -1;
		return act == SERVICES_MAKE ? 0 : postgres_fresh(&s, &o, e);
	case SERVICES_DROP:
		return postgres_drop(&s, &o, e);
	case SERVICES_SWAP:
		return postgres_swap(&s, &o, e);
	case SERVICES_BACK:
		return postgres_back(&s, &o, e);
	case SERVICES_SETTLE:
	case SERVICES_CLEAN:
		return postgres_settle(&s, &o, act == SERVICES_CLEAN, e);
	case SERVICES_ACT_COUNT:
		break;
	}
	return err_set(e, ERR_INTERNAL, "there is no such act");
}

/* Nothing of a broker is dumped, so nothing ever lies beside it; one that is there is no business of a restore, which goes
 * on while the broker is away. */
static int act_on_rabbitmq(const struct services_options *so, enum services_act act,
    const struct named *n, struct services_place *ret, struct err *e)
{
	const struct rabbitmq_maker s = {.url = so->rabbitmq,
	    .keys = so->keys,
	    .ca_file = so->rabbitmq_ca,
	    .connections = so->rabbitmq_connections,
	    .queues = so->rabbitmq_queues};
	const struct services_owner o = {n->name, n->row->mark, buf_view(&n->password)};
	if (act == SERVICES_DROP)
		return rabbitmq_drop(&s, &o, e);
	if (act != SERVICES_MAKE && act != SERVICES_FRESH)
		return 0;
	if (act == SERVICES_FRESH && n->row->made_ms > 0) {
		(void)snprintf(ret->host, sizeof(ret->host), "%.*s", STR_ARG(n->row->host));
		ret->port = (uint16_t)n->row->port;
		return 0;
	}
	return rabbitmq_make(&s, &o, ret, e);
}

typedef int act_fn(const struct services_options *so, enum services_act act, const struct named *n,
    struct services_place *ret, struct err *e);
static act_fn *const acts[MODEL_SERVICE_TYPE_COUNT] = {
    [MODEL_SERVICE_POSTGRES] = act_on_postgres, [MODEL_SERVICE_RABBITMQ] = act_on_rabbitmq};

int services_do(struct services *s, enum services_act act, struct str project,
    const struct model_service *v, struct services_place *ret, struct err *e)
{
	struct named n CLEANUP_NAMED = {0};
	*ret = (struct services_place){0};
	if (named_fill(s, project, v, &n, e) != 0 || lock(&s->lock[v->type], e) != 0)
		return -1;
	int rc = acts[v->type](&s->o, act, &n, ret, e);
	(void)pthread_mutex_unlock(&s->lock[v->type]);
	return rc;
}

/* --- telling --- */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "the environment needs too much memory");
}

/* Elsewhere than on this machine it goes over TLS. */
static const char *url_tail(struct str host)
{
	return str_eq_c(host, "127.0.0.1") || str_eq_c(host, "::1") || str_eq_c(host, "localhost")
		   ? ""
		   : "?sslmode=require";
}

static struct str url_of(
    struct arena *a, const struct model_service *v, const char *name, struct str password)
{
	if (v->type == MODEL_SERVICE_POSTGRES)
		return str_c(arena_printf(a, "postgresql://%s:%.*s@%.*s:%" PRId64 "/%s%s", name,
		    STR_ARG(password), STR_ARG(v->host), v->port, name, url_tail(v->host)));
	struct buf b;
	buf_init(&b, URL_MAX);
	(void)buf_reserve(&b, URL_MAX); /* so that no copy stays behind */
	buf_c(&b, rabbitmq_host_is_near(v->host) ? "amqp://" : "amqps://");
	web_escape(&b, str_c(name));
	buf_char(&b, ':');
	web_escape(&b, password);
	buf_printf(&b, "@%.*s:%" PRId64 "/", STR_ARG(v->host), v->port);
	web_escape(&b, str_c(name));
	struct str url = b.full ? STR_NONE : arena_str(a, buf_view(&b));
	buf_wipe(&b);
	return url;
}

int services_access(const struct services *s, struct arena *a, struct str project,
    const struct model_service *v, struct services_access *ret, struct err *e)
{
	char name[SERVICES_NAME_SIZE];
	struct buf password;
	buf_init(&password, PASSWORD_MAX);
	services_name(project, v->name, name);
	int rc = password_open(s, v, &password, e);
	if (rc == 0) {
		*ret = (struct services_access){.host = v->host, .port = v->port};
		ret->user = ret->within = arena_str(a, str_c(name));
		ret->password = arena_str(a, buf_view(&password));
		ret->url = url_of(a, v, name, ret->password);
		rc = ret->user.p && ret->password.p && ret->url.p ? 0 : no_memory(e);
	}
	buf_wipe(&password);
	return rc;
}

static struct str url_key(struct arena *a, struct str name)
{
	char *key = arena_printf(a, "%.*s_URL", STR_ARG(name));
	for (size_t i = 0; key && i < name.n; i++)
		if (key[i] >= 'a' && key[i] <= 'z')
			key[i] = (char)(key[i] - 'a' + 'A');
	return str_c(key);
}

/* What programs look for by themselves: libpq and most that have a database, Celery and most that have a broker. */
static size_t put_first(struct manifest_pair *v, enum model_service_type type,
    const struct services_access *x, struct arena *a)
{
	if (type == MODEL_SERVICE_RABBITMQ) {
		v[0] = (struct manifest_pair){STR("AMQP_URL"), x->url};
		v[1] = (struct manifest_pair){STR("CELERY_BROKER_URL"), x->url};
		return 2;
	}
	const struct manifest_pair all[] = {{STR("DATABASE_URL"), x->url}, {STR("PGHOST"), x->host},
	    {STR("PGPORT"), str_c(arena_printf(a, "%" PRId64, x->port))}, {STR("PGUSER"), x->user},
	    {STR("PGPASSWORD"), x->password}, {STR("PGDATABASE"), x->within}};
	memcpy(v, all, sizeof(all));
	return sizeof(all) / sizeof(*all);
}

int services_env(const struct services *s, struct arena *a, struct str project,
    const struct model_services *all, struct manifest_pair **ret, size_t *ret_count, struct err *e)
{
	struct manifest_pair *v = arena_array(a, all->n * PAIRS_EACH + 1, sizeof(*v));
	size_t n = 0;
	bool seen[MODEL_SERVICE_TYPE_COUNT] = {0};
	if (!v)
		return no_memory(e);
	for (size_t i = 0; i < all->n; i++) {
		struct services_access x;
		enum model_service_type type = all->v[i].type;
		if (all->v[i].made_ms == 0)
			continue;
		if (services_access(s, a, project, &all->v[i], &x, e) != 0)
			return -1;
		if (!seen[type])
			n += put_first(v + n, type, &x, a);
		seen[type] = true;
		v[n++] = (struct manifest_pair){url_key(a, all->v[i].name), x.url};
	}
	for (size_t i = 0; i < n; i++)
		if (!v[i].key.p || !v[i].value.p)
			return no_memory(e);
	*ret = v;
	*ret_count = n;
	return 0;
}

#define TOOL_VARIABLES 6u

int services_tool_env(const struct services *s, struct arena *a, struct str project,
    const struct model_services *all, bool fresh, struct args *ret, struct err *e)
{
	*ret = (struct args){.v = arena_array(a, all->n * TOOL_VARIABLES + 1, sizeof(struct str))};
	if (!ret->v)
		return no_memory(e);
	for (size_t i = 0; i < all->n; i++) {
		const struct model_service *v = &all->v[i];
		struct services_access x;
		assert(services_is_dumped(v->type));
		if (services_access(s, a, project, v, &x, e) != 0)
			return -1;
		const struct {
			const char *key;
			struct str value;
		} pairs[TOOL_VARIABLES] = {{"PGHOST", x.host},
		    {"PGPORT", str_c(arena_printf(a, "%" PRId64, x.port))}, {"PGUSER", x.user},
		    {"PGPASSWORD", x.password},
		    {"PGDATABASE",
			str_c(arena_printf(a, "%.*s%s", STR_ARG(x.within), fresh ? "_new" : ""))},
		    {"PGSSLMODE", str_c(url_tail(v->host)[0] ? "require" : "prefer")}};
		for (size_t k = 0; k < TOOL_VARIABLES; k++) {
			struct str line = str_c(arena_printf(a, "%s_%.*s=%.*s", pairs[k].key,
			    STR_ARG(v->name), STR_ARG(pairs[k].value)));
			if (!line.p)
				return no_memory(e);
			ret->v[ret->n++] = line;
		}
	}
	return 0;
}
