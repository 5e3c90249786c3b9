/* Channels: whom a project, or the whole platform, tells of what happens, and how. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_channel_type {
	MODEL_CHANNEL_MAIL,    /* target: mail addresses, separated by blanks */
	MODEL_CHANNEL_WEBHOOK, /* target: a URL; secret: signs (Standard Webhooks) */
	MODEL_CHANNEL_SLACK,   /* secret: the incoming webhook's URL */
	MODEL_CHANNEL_DISCORD, /* secret: the webhook's URL */
	MODEL_CHANNEL_MATRIX,  /* target: https://SERVER/ROOM-ID; secret: an access token */
	MODEL_CHANNEL_GITHUB, /* target: https://api.github.com/repos/OWNER/REPO; secret: a token */
	MODEL_CHANNEL_TYPE_COUNT
};
const char *model_channel_type_name(enum model_channel_type t); /* "mail", "webhook", … */
int model_channel_type_parse(struct str s, enum model_channel_type *ret, struct err *e) WARN_UNUSED;

struct model_channel {
	int64_t id, project_id; /* project 0: the platform's */
	struct str name;	/* unique within its project, or the platform */
	enum model_channel_type type;
	struct str target;
	struct str secret; /* sealed; only from model_channel_open */
	struct str events; /* patterns separated by blanks: "deploy.failed", "deploy.*", "*" */
	bool deployments;  /* GitHub: deploys are told as its deployments, too */
	bool paused;
	struct str disabled; /* why it was switched off; empty: it was not */
	int64_t created_ms;
};
struct model_channels {
	struct model_channel *v;
	size_t n;
	bool more;
};

/* Uses everything but id, paused, disabled. ERR_CONFLICT when the name is taken. */
int model_channel_add(
    struct store_db *db, const struct model_channel *c, int64_t *ret_id, struct err *e) WARN_UNUSED;
/* project_id 0: the platform's. 1/0/-1, without the secret. */
int model_channel_get(struct store_db *db, struct arena *a, int64_t project_id, struct str name,
    struct model_viewer viewer, struct model_channel *ret, struct err *e) WARN_UNUSED;
int model_channel_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_channels *ret,
    struct err *e) WARN_UNUSED;
/* Those that are told of the project's news: its own and the platform's, neither paused nor
 * disabled. */
int model_channel_listening(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_channels *ret, struct err *e) WARN_UNUSED;
/* For sending: with the sealed secret. 1/0/-1. */
int model_channel_open(struct store_db *db, struct arena *a, int64_t id, struct model_channel *ret,
    struct err *e) WARN_UNUSED;
/* 1/0/-1. */
int model_channel_set_deployments(
    struct store_db *db, int64_t id, bool deployments, struct err *e) WARN_UNUSED;
/* A NULL text stays. 1/0/-1. */
int model_channel_update(struct store_db *db, int64_t id, struct str target,
    struct str sealed_secret, struct str events, struct err *e) WARN_UNUSED;
/* Going on also forgets why it was disabled. 1/0/-1. */
int model_channel_set_paused(
    struct store_db *db, int64_t id, bool paused, struct err *e) WARN_UNUSED;
/* Switched off because of what the receiver said; what waits for it fails with the same words.
 * 1/0/-1. */
int model_channel_disable(
    struct store_db *db, int64_t id, struct str why, int64_t now_ms, struct err *e) WARN_UNUSED;
int model_channel_remove(
    struct store_db *db, int64_t id, struct err *e) WARN_UNUSED; /* with its deliveries; 1/0/-1 */

/* The mail server of the platform; there is one, or none. */
enum model_mail_tls {
	MODEL_MAIL_STARTTLS,
	MODEL_MAIL_IMPLICIT,
	MODEL_MAIL_PLAIN,
	MODEL_MAIL_TLS_COUNT
};
const char *model_mail_tls_name(enum model_mail_tls t); /* "starttls", "tls", "none" */
int model_mail_tls_parse(struct str s, enum model_mail_tls *ret, struct err *e) WARN_UNUSED;

struct model_mail_server {
	struct str host, sender, user; /* user empty: no authentication */
	struct str password;	       /* sealed; empty: none */
	int64_t port;
	enum model_mail_tls tls;
};
int model_mail_server_get(struct store_db *db, struct arena *a, struct model_mail_server *ret,
    struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* password NULL: stays. */
int model_mail_server_set(
    struct store_db *db, const struct model_mail_server *m, struct err *e) WARN_UNUSED;
int model_mail_server_remove(struct store_db *db, struct err *e) WARN_UNUSED; /* 1/0/-1 */
