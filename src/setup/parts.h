/* What the files of this room share. Private to them. */
#pragma once

#include "setup/setup.h"

#include <sys/types.h>

#define SETUP_CONF_DIR "/etc/slipway"
#define SETUP_CONF "server.conf"
#define SETUP_STATE_DIR "/var/lib/slipway"
#define SETUP_RUN_DIR "/run/slipway"
#define SETUP_TOOL_MS 120000

/* Runs a tool of the distribution; a status other than 0 is ERR_FAILED with its last words. */
int setup_tool(const char *const *argv, struct err *e) WARN_UNUSED;
/* The same where a status other than 0 is an answer, not a fault. */
int setup_ask(const char *const *argv, int *ret_status, struct err *e) WARN_UNUSED;
/* A user of the local file. False: there is none. */
bool setup_user(const char *name, uid_t *ret_uid, gid_t *ret_gid);
bool setup_user_of(uid_t uid, char name[40]);
/* Opens a folder; -1 with errno, quietly. */
int setup_dir(const char *path);

/* given.c: -1 with ERR_USAGE; "none" becomes empty. */
int setup_check_given(struct setup *s, struct err *e) WARN_UNUSED;
/* web.c */
int setup_web_look(struct setup *s, enum setup_state *ret, char *words, struct err *e);
int setup_web_make(struct setup *s, struct err *e);
int setup_web_undo(struct setup *s, char *words, struct err *e);
/* quota.c */
int setup_quota_look(struct setup *s, enum setup_state *ret, char *words, struct err *e);
int setup_quota_make(struct setup *s, struct err *e);
int setup_quota_undo(struct setup *s, char *words, struct err *e);
/* services.c */
int setup_services_look(struct setup *s, enum setup_state *ret, char *words, struct err *e);
int setup_services_make(struct setup *s, struct err *e);
int setup_services_undo(struct setup *s, char *words, struct err *e);
/* projects.c */
int setup_projects_look(struct setup *s, enum setup_state *ret, char *words, struct err *e);
int setup_projects_undo(struct setup *s, char *words, struct err *e);
