/* Which disk quota a tenant's user has: see instances.h and instances_state.h. */
#include "base/log.h"
#include "helper/instances_state.h"
#include "launch/quota.h"

/* A fetch has limits of the platform's, before anybody knows what the project's are; a relay is not
 * the project's program. */
static bool counts(const struct instance *in)
{
	return in->st.state != PRIV_ENDED && in->spec.sandbox != PRIV_SANDBOX_FETCH &&
	       in->spec.program == PRIV_PROGRAM_TENANT;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
	return a == 0 || b == 0 ? 0 : a > b ? a : b;
}

/* UINT64_MAX when nothing of it lives. */
static uint64_t of_living(struct instances *t, struct str project)
{
	uint64_t most = UINT64_MAX;
	size_t at = 0;
	for (struct instance *in; (in = instances_next(t, &at));) {
		uint64_t bytes = in->spec.limits.disk_bytes;
		if (counts(in) && str_eq_c(project, in->st.project))
			most = most == UINT64_MAX ? bytes : greater(most, bytes);
	}
	return most;
}

uint64_t instances_quota(struct instances *t, struct str project, uint64_t bytes)
{
	uint64_t living = t->o.roots->quota ? of_living(t, project) : UINT64_MAX;
	return living == UINT64_MAX ? bytes : greater(living, bytes);
}

void instance_keep_quota(struct instances *t, const struct instance *of)
{
	const struct tenant_roots *roots = t->o.roots;
	struct err e;
	uint64_t bytes = roots->quota ? of_living(t, str_c(of->st.project)) : UINT64_MAX;
	if (of->spec.sandbox == PRIV_SANDBOX_FETCH && of->st.state != PRIV_ENDED)
		return; /* it has what the project was ensured with */
	if (bytes != UINT64_MAX &&
	    quota_set(roots->projects, tenant_uid(roots, of->user_number), bytes, &e) != 0)
		log_event(
		    LOG_WARN, "keeper", "quota_failed", F_C("project", of->st.project), F_ERR(&e));
}

bool instance_met_quota(const struct instances *t, const struct instance *in, int wait_status)
{
	const struct tenant_roots *roots = t->o.roots;
	return roots->quota && wait_status != 0 && in->st.class == PRIV_JOB &&
	       quota_is_full(roots->projects, tenant_uid(roots, in->user_number));
}
