/* The functions that the table of commands names, and help made from the table. */
#pragma once

#include "cli/cli.h"

cli_fn cmd_admin_backup, cmd_admin_deployments, cmd_admin_fix_permissions, cmd_admin_logs,
    cmd_admin_restore, cmd_admin_run, cmd_admin_shell, cmd_admin_status, cmd_admin_sudo_audit, cmd_audit, cmd_backup, cmd_backups_delete,
    cmd_backups_download, cmd_backups_list, cmd_backups_show, cmd_cancel,
    cmd_certs_delete, cmd_certs_import, cmd_certs_issue, cmd_certs_list, cmd_certs_renew,
    cmd_certs_revoke, cmd_certs_show, cmd_sites, cmd_completion, cmd_create, cmd_deploy, cmd_destroy, cmd_devices_grant, cmd_devices_list, cmd_devices_revoke, cmd_limits, cmd_domains_add, cmd_domains_list,
    cmd_domains_remove, cmd_edge_reload, cmd_env_list, cmd_env_set, cmd_env_unset, cmd_events_list,
    cmd_events_replay, cmd_events_show, cmd_grants_list, cmd_grants_remove, cmd_grants_set,
    cmd_help, cmd_hooks_catch_up, cmd_hooks_create, cmd_hooks_delete, cmd_hooks_list, cmd_hooks_pause, cmd_hooks_resume,
    cmd_hooks_rotate, cmd_hooks_set, cmd_hooks_show, cmd_hooks_test, cmd_info, cmd_list, cmd_login,
    cmd_login_forget, cmd_login_list, cmd_logs, cmd_mail_remove, cmd_mail_set, cmd_mail_show,
    cmd_notify_add, cmd_notify_delete, cmd_notify_deliveries, cmd_notify_delivery,
    cmd_notify_events, cmd_notify_list, cmd_notify_pause, cmd_notify_replay, cmd_notify_resume,
    cmd_notify_set, cmd_notify_show, cmd_notify_test, cmd_open, cmd_operators_create,
    cmd_operators_delete, cmd_operators_list, cmd_plan, cmd_ps, cmd_releases, cmd_restart, cmd_restore,
    cmd_rollback, cmd_run, cmd_scale, cmd_services_add, cmd_services_credentials,
    cmd_services_list, cmd_services_remove, cmd_setup, cmd_source, cmd_start, cmd_status, cmd_stop,
    cmd_tasks, cmd_tasks_log, cmd_tasks_show, cmd_tokens_create, cmd_tokens_list, cmd_tokens_revoke, cmd_validate,
    cmd_version;

/* The row of that name ("hooks create"), or NULL. */
const struct cli_command *commands_find(const char *name);
/* A group such as "hooks" has rows "hooks …". */
bool commands_is_group(const char *name);
/* The row for argv (after the flags in front); *ret_used: how many words name it. NULL with the
 * nearest one as the hint. */
const struct cli_command *commands_match(int argc, char *const *argv, int *ret_used, struct err *e);

void help_all(FILE *f);
void help_group(const char *group, FILE *f);
void help_command(const struct cli_command *k, FILE *f);
/* A completion script for "bash", "zsh" or "fish"; -1 for another shell. */
int completion_write(const char *shell, FILE *f);

/* The hook's address and secret, and where to enter them. */
void hook_print(struct cli *c, const json_t *hook);
/* Where GitHub is asked; and the flags for it, into the body of a request. */
void hook_addresses_print(struct cli *c, const json_t *known); /* may be NULL */
void hook_github_print(struct cli *c, const json_t *github);
int hook_github_put(struct cli *c, json_t *body, struct err *e) WARN_UNUSED;
/* A source as --git, --path and --branch say it; neither: uploads. NULL with e. */
json_t *source_of_flags(struct cli *c, struct err *e);
/* Sets the member when the flag was given. */
void source_put_flag(const struct cli *c, json_t *o, const char *flag, const char *key);
/* Sets poll_ms when --poll was given; -1 with e when it is no duration. */
int source_put_poll(struct cli *c, json_t *o, struct err *e) WARN_UNUSED;
/* One line, when the project's branch is looked at by the clock. */
void source_print_poll(const json_t *project);
/* Uploads a directory; its archive's id, of the arena, or NULL with e. */
const char *upload_directory(struct cli *c, const char *project, const char *dir, struct err *e);
