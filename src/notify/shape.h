/* A message as each kind of channel wants it: the request that tells it. */
#pragma once

#include "model/channel.h"
#include "notify/message.h"
#include "outbound/frame.h"

struct shape {
	const struct model_channel *channel;  /* its secret is not looked at */
	struct str recipient; /* of a mail; empty: all of the channel's target */
	struct str secret;		      /* in clear; may be empty */
	const struct model_mail_server *mail; /* NULL: there is none */
	struct str mail_password;	      /* in clear */
	const struct message *message;
	struct str stored; /* the message as it is stored */
	struct str id;	   /* "msg_…": the same for every try */
	struct str
	    event; /* JSON: what a webhook hands on instead of the message; STR_NONE: nothing */
	int64_t now_ms; /* wall clock: goes into the signature of a webhook */
};
/* Its texts live in the arena. ERR_SETTINGS or ERR_INVALID: it can never be sent as things are. */
int shape_request(const struct shape *s, struct arena *a, struct outbound_request *ret,
    struct err *e) WARN_UNUSED;

/* The beginning of `s`, cut at a character: at most so many bytes. */
struct str shape_cut(struct str s, size_t most);
/* A request of GitHub's API with the channel's token: POST with a body, else GET. The url is
 * borrowed, the rest lives in the arena. */
int shape_github_request(const struct shape *s, struct arena *a, struct str url, struct str body,
    struct outbound_request *ret, struct err *e) WARN_UNUSED;

/* Whether this kind of channel has words for the event: GitHub hears of deploys only. */
bool shape_tells(enum model_channel_type type, struct str event);
/* Whether whoever answers at the target is sent the secret itself, and no signature made with it. */
bool shape_bears_secret(enum model_channel_type type);
/* A channel's target and secret, as somebody entered them. ERR_INVALID at "/target" or "/secret".
 * An empty secret of a webhook is made by the caller. */
int shape_check(
    enum model_channel_type type, struct str target, struct str secret, struct err *e) WARN_UNUSED;
/* "whsec_" and 32 random bytes in base64, as Standard Webhooks has them. */
#define SHAPE_SECRET_SIZE 52
void shape_secret_make(char out[SHAPE_SECRET_SIZE]);
