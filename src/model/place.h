/* The places that sealed values are bound to (crypto/seal.h), in one table, so that whoever seals
 * and whoever opens agree: env/PROJECT-ID/KEY                 a variable of a project's environment
 *   project/PROJECT-ID/https-token     for fetching over HTTPS
 *   project/PROJECT-ID/deploy-key      private half, OpenSSH format
 *   hook/NAME                          a hook's secret
 *   hook/NAME/github-token             for asking GitHub what it could not deliver
 *   channel/PROJECT-ID/NAME           a channel's secret; project 0: the platform's
 *   certificate/PROJECT-ID             the key of a certificate that waits to be installed
 *   service/PROJECT-ID/NAME            the password of a service
 *   own-certificate/WHICH              the key of a certificate of the platform's own
 *   mail-server                        the mail server's password
 *   idempotency/OPERATOR-ID/KEY        an answer kept for a repeated request */
#pragma once

#include "base/str.h"
#include "model/project.h"

#define MODEL_PLACE_SIZE 320

/* Each writes into out and returns it as a str; longer keys are cut (they were checked before). */
struct str model_place_env(int64_t project_id, struct str key, char out[MODEL_PLACE_SIZE]);
struct str model_place_project(
    int64_t project_id, enum model_project_secret which, char out[MODEL_PLACE_SIZE]);
struct str model_place_hook(struct str name, char out[MODEL_PLACE_SIZE]);
struct str model_place_hook_token(struct str name, char out[MODEL_PLACE_SIZE]);
struct str model_place_channel(int64_t project_id, struct str name, char out[MODEL_PLACE_SIZE]);
struct str model_place_certificate(int64_t project_id, char out[MODEL_PLACE_SIZE]);
struct str model_place_service(int64_t project_id, struct str name, char out[MODEL_PLACE_SIZE]);
struct str model_place_own_certificate(const char *which, char out[MODEL_PLACE_SIZE]);
struct str model_place_mail(char out[MODEL_PLACE_SIZE]);
struct str model_place_idempotency(int64_t operator_id, struct str key, char out[MODEL_PLACE_SIZE]);
