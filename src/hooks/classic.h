/* Paths of the programs that Slipway takes the place of, beside /hooks/{hook}:
 *
 * | path                          | hook                                 | answered          |
 * |-------------------------------|--------------------------------------|-------------------|
 * | POST /github-webhook          | "github-webhook"                     | as the deployer   |
 * | POST /webhooks/{secret}/      | whose secret it is, or was and still | as WebOps         |
 * |                               | is good (64 hex digits)              |                   |
 * | GET /webhooks/{secret}/test/  | the same                             | its name and state|
 * | GET, PUT, … of the first two  |                                      | 405, as they did  |
 * | POST /webhook                 | "webhook", or of ParticleBot the next| as /hooks/{hook}  |
 * | POST /webhook/particle        | "webhook-particle"                   | as /hooks/{hook}  |
 *
 * A hook is its sender's whatever the path: the secret in an address names the hook and proves
 * nothing, a signature is asked for all the same. All run on the loop. */
#pragma once

#include "hooks/hooks.h"

/* WebOps made secrets of 64 hexadecimal digits, and addresses of them. */
bool classic_is_secret(struct str secret);
#define CLASSIC_SECRET_SIZE 65
void classic_make_secret(char out[CLASSIC_SECRET_SIZE]);

void classic_deployer(struct hooks *h, struct http_call *c, struct http_request *r);
void classic_deployer_other(struct hooks *h, struct http_call *c, struct http_request *r);
void classic_webops_other(struct hooks *h, struct http_call *c, struct http_request *r);
void classic_webops(struct hooks *h, struct http_call *c, struct http_request *r);
void classic_webops_test(struct hooks *h, struct http_call *c, struct http_request *r);
void classic_service(struct hooks *h, struct http_call *c, struct http_request *r);
