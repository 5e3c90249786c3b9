#include "model/place.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static struct str place_ended(const char *out, int n)
{
	assert(n > 0);
	size_t length = (size_t)n;
	return (struct str){out, length < MODEL_PLACE_SIZE ? length : (size_t)MODEL_PLACE_SIZE - 1};
}

struct str model_place_env(int64_t project_id, struct str key, char out[MODEL_PLACE_SIZE])
{
	return place_ended(
	    out, snprintf(out, MODEL_PLACE_SIZE, "env/%" PRId64 "/%.*s", project_id, STR_ARG(key)));
}

struct str model_place_project(
    int64_t project_id, enum model_project_secret which, char out[MODEL_PLACE_SIZE])
{
	const char *name = which == MODEL_PROJECT_HTTPS_TOKEN ? "https-token" : "deploy-key";
	return place_ended(
	    out, snprintf(out, MODEL_PLACE_SIZE, "project/%" PRId64 "/%s", project_id, name));
}

struct str model_place_hook(struct str name, char out[MODEL_PLACE_SIZE])
{
	return place_ended(out, snprintf(out, MODEL_PLACE_SIZE, "hook/%.*s", STR_ARG(name)));
}

struct str model_place_hook_token(struct str name, char out[MODEL_PLACE_SIZE])
{
	return place_ended(
	    out, snprintf(out, MODEL_PLACE_SIZE, "hook/%.*s/github-token", STR_ARG(name)));
}

struct str model_place_channel(int64_t project_id, struct str name, char out[MODEL_PLACE_SIZE])
{
	return place_ended(out,
	    snprintf(out, MODEL_PLACE_SIZE, "channel/%" PRId64 "/%.*s", project_id, STR_ARG(name)));
}

struct str model_place_certificate(int64_t project_id, char out[MODEL_PLACE_SIZE])
{
	return place_ended(
	    out, snprintf(out, MODEL_PLACE_SIZE, "certificate/%" PRId64, project_id));
}

struct str model_place_service(int64_t project_id, struct str name, char out[MODEL_PLACE_SIZE])
{
	return place_ended(out,
	    snprintf(out, MODEL_PLACE_SIZE, "service/%" PRId64 "/%.*s", project_id, STR_ARG(name)));
}

struct str model_place_own_certificate(const char *which, char out[MODEL_PLACE_SIZE])
{
	return place_ended(out, snprintf(out, MODEL_PLACE_SIZE, "own-certificate/%s", which));
}

struct str model_place_mail(char out[MODEL_PLACE_SIZE])
{
	return place_ended(out, snprintf(out, MODEL_PLACE_SIZE, "mail-server"));
}

struct str model_place_idempotency(int64_t operator_id, struct str key, char out[MODEL_PLACE_SIZE])
{
	return place_ended(out, snprintf(out, MODEL_PLACE_SIZE, "idempotency/%" PRId64 "/%.*s",
				    operator_id, STR_ARG(key)));
}
