#include "hooks/classic.h"

#include "base/ct.h"
#include "base/hex.h"
#include "base/rand.h"
#include "hooks/answer.h"
#include "text/json.h"

bool classic_is_secret(struct str secret)
{
	bool ok = secret.n == 64;
	for (size_t i = 0; ok && i < secret.n; i++)
		ok = (secret.p[i] >= '0' && secret.p[i] <= '9') ||
		     (secret.p[i] >= 'a' && secret.p[i] <= 'f');
	return ok;
}

void classic_make_secret(char out[CLASSIC_SECRET_SIZE])
{
	uint8_t key[32];
	rand_bytes(key, sizeof(key));
	hex_encode(key, sizeof(key), out);
	ct_wipe(key, sizeof(key));
}

void classic_deployer(struct hooks *h, struct http_call *c, struct http_request *r)
{
	hooks_receive_as(h, c, r, STR("github-webhook"), ANSWER_DEPLOYER);
}

void classic_deployer_other(struct hooks *h, struct http_call *c, struct http_request *r)
{
	(void)h;
	(void)r;
	answer_not_allowed(c, ANSWER_DEPLOYER);
}

void classic_webops_other(struct hooks *h, struct http_call *c, struct http_request *r)
{
	(void)h;
	(void)r;
	answer_not_allowed(c, ANSWER_WEBOPS);
}

void classic_webops(struct hooks *h, struct http_call *c, struct http_request *r)
{
	struct hooks_found found = hooks_of_secret(h, http_param(c, "secret"));
	/* No hook is called that: who guesses waits as long, and his guess is in no log. */
	hooks_receive_as(h, c, r, found.name.p ? found.name : STR("webhooks/"), ANSWER_WEBOPS);
}

void classic_webops_test(struct hooks *h, struct http_call *c, struct http_request *r)
{
	struct hooks_found found = hooks_of_secret(h, http_param(c, "secret"));
	struct json_out w;
	CLEANUP_BUF struct buf b;
	buf_init(&b, 1024);
	if (!found.name.p) {
		hooks_receive_as(h, c, r, STR("webhooks/"), ANSWER_WEBOPS);
		return;
	}
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	json_put_str(&w, "status", STR("success"));
	json_put_str(&w, "webhook", found.name);
	json_put_str(&w, "name", found.name);
	json_put_str(&w, "deployment", found.project);
	json_put_bool(&w, "is_active", !found.paused);
	json_put_str(&w, "message", STR("The webhook is there. Signed POST requests deploy."));
	json_close_object(&w);
	http_reply_json(c, 200, buf_view(&b));
}

void classic_service(struct hooks *h, struct http_call *c, struct http_request *r)
{
	bool particle = str_ends(r->path, STR("/particle")) ||
			str_contains(http_header_get(r, "User-Agent"), STR("ParticleBot"));
	hooks_receive_as(h, c, r, particle ? STR("webhook-particle") : STR("webhook"), ANSWER_OWN);
}
