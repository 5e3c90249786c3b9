/* The one table of routes: who may, what goes in, what comes out. */
#include "api/routes.h"

#include "base/limits.h"

#include <assert.h>

#define BODY LIMIT_API_BODY_BYTES
#define P "/api/v1"
#define PROJECT P "/projects/{project}"
#define PAGE "after limit"

/* Rows read: {need, scope, action}, method, pattern, function, body, to a file, tag, summary,
 * query, request, answer, status. */
#define GET(need, scope, pattern, fn, tag, summary, query, answer)                                 \
	{                                                                                          \
		{ACCESS_##need, ACCESS_##scope, NULL}, HTTP_GET, pattern, fn, 0, false, tag,       \
		    summary, query, NULL, answer, 200                                              \
	}
#define POST(need, scope, action, pattern, fn, tag, summary, request, answer, status)              \
	{                                                                                          \
		{ACCESS_##need, ACCESS_##scope, action}, HTTP_POST, pattern, fn, BODY, false, tag, \
		    summary, NULL, request, answer, status                                         \
	}
#define PUT(need, scope, action, pattern, fn, tag, summary, request, answer, status)               \
	{                                                                                          \
		{ACCESS_##need, ACCESS_##scope, action}, HTTP_PUT, pattern, fn, BODY, false, tag,  \
		    summary, NULL, request, answer, status                                         \
	}
#define DELETE(need, scope, action, pattern, fn, tag, summary, answer, status)                     \
	{                                                                                          \
		{ACCESS_##need, ACCESS_##scope, action}, HTTP_DELETE, pattern, fn, 0, false, tag,  \
		    summary, NULL, NULL, answer, status                                            \
	}

/* clang-format off */
static const struct api_route table[] = {
	GET(PUBLIC, GLOBAL, P "/version", api_version_get, "platform", "Which program this is", NULL, "Version"),
	GET(PUBLIC, GLOBAL, P "/health", api_health_get, "platform", "Whether the platform works", NULL, "Health"),
	GET(PUBLIC, GLOBAL, "/health", api_health_get, "platform", "Whether the platform works", NULL, "Health"),
	GET(PUBLIC, GLOBAL, P "/openapi.json", api_openapi_get, "platform", "This document", NULL, "any"),
	GET(VIEW, GLOBAL, "/metrics", api_metrics_get, "platform", "Figures for Prometheus", NULL, "text"),
	GET(LOGIN, GLOBAL, P "/whoami", api_whoami_get, "access", "Who you are", NULL, "WhoAmI"),

	GET(LOGIN, GLOBAL, P "/projects", api_project_list, "projects", "Projects that you may see", PAGE, "ProjectList"),
	POST(DEPLOY, GLOBAL, "project.create", P "/projects", api_project_create, "projects", "Make a project", "ProjectCreate", "Project", 201),
	GET(VIEW, PROJECT, PROJECT, api_project_get, "projects", "One project", NULL, "Project"),
	{{ACCESS_ADMIN, ACCESS_PROJECT, "project.update"}, HTTP_PATCH, PROJECT, api_project_update, BODY, false, "projects",
	    "Change settings; If-Match guards against overwriting", NULL, "ProjectUpdate", "Project", 200},
	{{ACCESS_ADMIN, ACCESS_PROJECT, "project.destroy"}, HTTP_DELETE, PROJECT, api_project_destroy, 0, false, "projects",
	    "Take a project away, with all that belongs to it; a sealed archive is kept for 7 days, unless ?purge=true", "purge", NULL, "TaskRef", 202},

	GET(VIEW, PROJECT, PROJECT "/backups", api_backup_list, "backups", "Its archives, newest first", NULL, "BackupList"),
	POST(DEPLOY, PROJECT, "backup.create", PROJECT "/backups", api_backup_create, "backups", "Make an archive of settings, data and the live release, sealed", "BackupCreate", "TaskRef", 202),
	{{ACCESS_ADMIN, ACCESS_PROJECT, "backup.upload"}, HTTP_POST, PROJECT "/backups/upload", api_archive_create, LIMIT_BACKUP_BYTES, true, "backups",
	    "Upload an archive, to be taken in", NULL, NULL, "Archive", 201},
	GET(VIEW, PROJECT, PROJECT "/backups/{backup}", api_backup_get, "backups", "One archive", NULL, "Backup"),
	GET(ADMIN, PROJECT, PROJECT "/backups/{backup}/content", api_backup_content, "backups", "At most 4 MiB of its bytes, sealed, from an offset; none: its end", "offset", "bytes"),
	DELETE(ADMIN, PROJECT, "backup.delete", PROJECT "/backups/{backup}", api_backup_remove, "backups", "Delete an archive", "Removed", 200),
	POST(ADMIN, PROJECT, "restore", PROJECT "/backups/{backup}/restore", api_backup_restore, "backups", "Bring back what it holds in the place of what is there", "RestoreCreate", "TaskRef", 202),
	GET(ADMIN, GLOBAL, P "/backups", api_backup_list, "backups", "What is still kept of destroyed projects", NULL, "BackupList"),
	POST(ADMIN, GLOBAL, "backup.import", P "/backups", api_backup_import, "backups", "Give a project an archive: an uploaded one, or a destroyed project's", "BackupImport", "Backup", 201),

	{{ACCESS_DEPLOY, ACCESS_PROJECT, "archive.upload"}, HTTP_POST, PROJECT "/archives", api_archive_create, LIMIT_ARCHIVE_BYTES, true, "deploys",
	    "Upload an archive (tar, tar.gz, zip) to deploy", NULL, NULL, "Archive", 201},
	POST(DEPLOY, PROJECT, "deploy", PROJECT "/deploys", api_deploy_create, "deploys", "Deploy", "DeployCreate", "TaskRef", 202),
	POST(DEPLOY, PROJECT, "plan", PROJECT "/plan", api_plan_create, "deploys", "Fetch and plan, without doing it; the plan is the task's result", "DeployCreate", "TaskRef", 202),
	GET(VIEW, PROJECT, PROJECT "/rollback", api_rollback_get, "deploys", "What a rollback would do, without doing it", "release", "RollbackPlan"),
	POST(DEPLOY, PROJECT, "rollback", PROJECT "/rollback", api_rollback_create, "deploys", "Go back to an earlier release; overtakes a running deploy", "RollbackCreate", "TaskRef", 202),
	POST(DEPLOY, PROJECT, "stop", PROJECT "/stop", api_stop_create, "processes", "Stop; overtakes a running deploy", "Empty", "TaskRef", 202),
	POST(DEPLOY, PROJECT, "start", PROJECT "/start", api_start_create, "processes", "Start again", "Empty", "TaskRef", 202),
	POST(DEPLOY, PROJECT, "restart", PROJECT "/restart", api_restart_create, "processes", "Restart, without a lost request", "RestartCreate", "TaskRef", 202),
	GET(VIEW, PROJECT, PROJECT "/processes", api_process_list, "processes", "What is wanted and what runs", NULL, "ProcessList"),
	PUT(DEPLOY, PROJECT, "scale", PROJECT "/processes/{process}", api_process_scale, "processes", "How many instances", "Scale", "TaskRef", 202),
	POST(DEPLOY, PROJECT, "run", PROJECT "/run", api_run_create, "processes", "Run a command in the live release; the connection becomes slipway-run", "RunCreate", "slipway-run", 101),
	GET(VIEW, PROJECT, PROJECT "/releases", api_release_list, "releases", "Releases, newest first", PAGE, "ReleaseList"),
	GET(VIEW, PROJECT, PROJECT "/releases/{release}", api_release_get, "releases", "One release, with its plan", NULL, "Release"),

	GET(VIEW, PROJECT, PROJECT "/env", api_env_get, "env", "The environment; secrets without their values", NULL, "Env"),
	PUT(DEPLOY, PROJECT, "env.set", PROJECT "/env", api_env_put, "env", "Set variables, as one version", "EnvChange", "EnvChanged", 200),
	DELETE(DEPLOY, PROJECT, "env.unset", PROJECT "/env/{key}", api_env_delete, "env", "Unset a variable", "EnvChanged", 200),
	GET(VIEW, PROJECT, PROJECT "/domains", api_domain_list, "domains", "Host names", NULL, "DomainList"),
	POST(ADMIN, PROJECT, "domain.add", PROJECT "/domains", api_domain_add, "domains", "Claim a host name", "DomainCreate", "Domain", 201),
	GET(VIEW, PROJECT, PROJECT "/services", api_service_list, "services", "What is provisioned for it", NULL, "ServiceList"),
	POST(DEPLOY, PROJECT, "service.add", PROJECT "/services", api_service_add, "services", "Have a service made", "ServiceCreate", "Service", 201),
	POST(DEPLOY, PROJECT, "service.credentials", PROJECT "/services/{service}/credentials", api_service_credentials, "services", "How the project reaches it, with its password; leaves an audit record", "Empty", "ServiceCredentials", 200),
	{{ACCESS_ADMIN, ACCESS_PROJECT, "service.remove"}, HTTP_DELETE, PROJECT "/services/{service}", api_service_remove, 0, false, "services",
	    "Take a service away, with all that is in it; ?purge=true forgets it also where its server cannot be reached", "purge", NULL, "Removed", 200},
	GET(VIEW, PROJECT, PROJECT "/devices", api_device_list, "projects", "Devices of the server that its programs may open", NULL, "DeviceList"),
	PUT(ADMIN, ABOVE, "device.grant", PROJECT "/devices/{device}", api_device_grant, "projects", "Grant it a kind of device: gpu; for admins of the platform", "Empty", "DeviceList", 200),
	DELETE(ADMIN, ABOVE, "device.revoke", PROJECT "/devices/{device}", api_device_revoke, "projects", "Take it back; what runs starts anew, without", "Removed", 200),
	GET(VIEW, PROJECT, PROJECT "/sites", api_site_list, "projects", "Sites of an nginx-site project, as the live release has them", NULL, "SiteList"),
	GET(LOGIN, GLOBAL, P "/certificates", api_certificate_list, "certificates", "Certificates from outside, of all projects that you may see", NULL, "CertificateList"),
	GET(VIEW, PROJECT, PROJECT "/certificate", api_certificate_get, "certificates", "What serves it, and how the last try went", NULL, "Certificate"),
	POST(ADMIN, PROJECT, "certificate.issue", PROJECT "/certificate", api_certificate_issue, "certificates", "Order one from the authority, for all its domains", "CertificateIssue", "TaskRef", 202),
	POST(ADMIN, PROJECT, "certificate.renew", PROJECT "/certificate/renew", api_certificate_renew, "certificates", "Order another in the place of an issued one", "Empty", "TaskRef", 202),
	POST(ADMIN, PROJECT, "certificate.revoke", PROJECT "/certificate/revoke", api_certificate_revoke, "certificates", "Have the authority revoke it, and take it away", "Empty", "TaskRef", 202),
	PUT(ADMIN, PROJECT, "certificate.import", PROJECT "/certificate", api_certificate_import, "certificates", "Install one that you have", "CertificateImport", "TaskRef", 202),
	DELETE(ADMIN, PROJECT, "certificate.delete", PROJECT "/certificate", api_certificate_remove, "certificates", "Take it away; the one that signs itself serves", "TaskRef", 202),
	POST(OWNER, GLOBAL, "edge.reload", P "/platform/edge/reload", api_edge_reload, "platform", "Have the web server read all of its configuration and certificates anew, without a lost request", "Empty", "EdgeReloaded", 200),
	GET(ADMIN, GLOBAL, P "/platform/certificates/{which}", api_own_certificate_get, "certificates", "The platform's own: of its host, or the wildcard of all names right below it", NULL, "PlatformCertificate"),
	POST(ADMIN, GLOBAL, "platform-certificate.issue", P "/platform/certificates/{which}", api_own_certificate_issue, "certificates", "Order one from the authority", "PlatformCertificateIssue", "PlatformCertificate", 202),
	POST(ADMIN, GLOBAL, "platform-certificate.renew", P "/platform/certificates/{which}/renew", api_own_certificate_renew, "certificates", "Order another in its place", "Empty", "PlatformCertificate", 202),
	POST(ADMIN, GLOBAL, "platform-certificate.revoke", P "/platform/certificates/{which}/revoke", api_own_certificate_revoke, "certificates", "Have the authority revoke it, and take it away", "Empty", "PlatformCertificate", 202),
	PUT(ADMIN, GLOBAL, "platform-certificate.import", P "/platform/certificates/{which}", api_own_certificate_import, "certificates", "Install one that you have", "CertificateImport", "PlatformCertificate", 202),
	DELETE(ADMIN, GLOBAL, "platform-certificate.delete", P "/platform/certificates/{which}", api_own_certificate_remove, "certificates", "Take it away; one that signs itself serves", "PlatformCertificate", 202),
	DELETE(ADMIN, PROJECT, "domain.remove", PROJECT "/domains/{domain}", api_domain_remove, "domains", "Give a host name up", "Removed", 200),

	GET(VIEW, PROJECT, PROJECT "/hooks", api_hook_list, "hooks", "Hooks", PAGE, "HookList"),
	POST(ADMIN, PROJECT, "hook.create", PROJECT "/hooks", api_hook_create, "hooks", "Make a hook; its secret is shown once", "HookCreate", "Hook", 201),
	GET(VIEW, PROJECT, PROJECT "/hooks/{hook}", api_hook_get, "hooks", "One hook", NULL, "Hook"),
	DELETE(ADMIN, PROJECT, "hook.remove", PROJECT "/hooks/{hook}", api_hook_remove, "hooks", "Take a hook away, with its events", "Removed", 200),
	POST(ADMIN, PROJECT, "hook.rotate", PROJECT "/hooks/{hook}/rotate", api_hook_rotate, "hooks", "A new secret, shown once; the old one is good for a day more", "HookRotate", "Hook", 200),
	POST(ADMIN, PROJECT, "hook.test", PROJECT "/hooks/{hook}/test", api_hook_test, "hooks", "Send the hook a signed ping of its sender's, by way of the edge", "Empty", "HookTest", 200),
	POST(ADMIN, PROJECT, "hook.catch_up", PROJECT "/hooks/{hook}/catch-up", api_hook_catch_up, "hooks", "Ask GitHub again for what it could not deliver", "HookCatchUp", "Hook", 202),
	{{ACCESS_ADMIN, ACCESS_PROJECT, "hook.update"}, HTTP_PATCH, PROJECT "/hooks/{hook}", api_hook_update, BODY, false, "hooks",
	    "Change what a hook takes, pause it or let it go on", NULL, "HookUpdate", "Hook", 200},
	GET(VIEW, PROJECT, PROJECT "/events", api_event_list, "events", "What arrived, newest first", PAGE " hook", "EventList"),
	GET(VIEW, PROJECT, PROJECT "/events/{event}", api_event_get, "events", "One event, with its body", NULL, "Event"),
	POST(DEPLOY, PROJECT, "event.replay", PROJECT "/events/{event}/replay", api_event_replay, "events", "Look at the event's branch again, or begin its hook's actions again", "Empty", "EventReplayed", 202),

	GET(VIEW, PROJECT, PROJECT "/channels", api_channel_list, "notify", "Whom it tells of what happens", PAGE, "ChannelList"),
	POST(ADMIN, PROJECT, "channel.create", PROJECT "/channels", api_channel_create, "notify", "Make a channel; a secret that was made is shown once", "ChannelCreate", "Channel", 201),
	GET(VIEW, PROJECT, PROJECT "/channels/{channel}", api_channel_get, "notify", "One channel", NULL, "Channel"),
	{{ACCESS_ADMIN, ACCESS_PROJECT, "channel.update"}, HTTP_PATCH, PROJECT "/channels/{channel}", api_channel_update, BODY, false, "notify",
	    "Change a channel, pause it, or let it go on", NULL, "ChannelUpdate", "Channel", 200},
	DELETE(ADMIN, PROJECT, "channel.remove", PROJECT "/channels/{channel}", api_channel_remove, "notify", "Take a channel away, with its deliveries", "Removed", 200),
	POST(DEPLOY, PROJECT, "channel.test", PROJECT "/channels/{channel}/test", api_channel_test, "notify", "Tell a test", "Empty", "Delivery", 202),
	GET(VIEW, PROJECT, PROJECT "/channels/{channel}/deliveries", api_delivery_list, "notify", "What it was told, newest first", PAGE, "DeliveryList"),
	GET(VIEW, PROJECT, PROJECT "/channels/{channel}/deliveries/{delivery}", api_delivery_get, "notify", "One delivery, with each try", NULL, "Delivery"),
	POST(DEPLOY, PROJECT, "delivery.replay", PROJECT "/channels/{channel}/deliveries/{delivery}/replay", api_delivery_replay, "notify", "Tell it again, under the same id", "Empty", "Delivery", 202),
	GET(ADMIN, GLOBAL, P "/channels", api_channel_list, "notify", "Whom the platform tells", PAGE, "ChannelList"),
	POST(ADMIN, GLOBAL, "channel.create", P "/channels", api_channel_create, "notify", "Make a channel of the platform; a secret that was made is shown once", "ChannelCreate", "Channel", 201),
	GET(ADMIN, GLOBAL, P "/channels/{channel}", api_channel_get, "notify", "One channel of the platform", NULL, "Channel"),
	{{ACCESS_ADMIN, ACCESS_GLOBAL, "channel.update"}, HTTP_PATCH, P "/channels/{channel}", api_channel_update, BODY, false, "notify",
	    "Change a channel of the platform, pause it, or let it go on", NULL, "ChannelUpdate", "Channel", 200},
	DELETE(ADMIN, GLOBAL, "channel.remove", P "/channels/{channel}", api_channel_remove, "notify", "Take a channel of the platform away, with its deliveries", "Removed", 200),
	POST(ADMIN, GLOBAL, "channel.test", P "/channels/{channel}/test", api_channel_test, "notify", "Tell a test", "Empty", "Delivery", 202),
	GET(ADMIN, GLOBAL, P "/channels/{channel}/deliveries", api_delivery_list, "notify", "What it was told, newest first", PAGE, "DeliveryList"),
	GET(ADMIN, GLOBAL, P "/channels/{channel}/deliveries/{delivery}", api_delivery_get, "notify", "One delivery, with each try", NULL, "Delivery"),
	POST(ADMIN, GLOBAL, "delivery.replay", P "/channels/{channel}/deliveries/{delivery}/replay", api_delivery_replay, "notify", "Tell it again, under the same id", "Empty", "Delivery", 202),
	GET(LOGIN, GLOBAL, P "/news", api_news_list, "notify", "What a channel can listen to", NULL, "NewsList"),
	GET(ADMIN, GLOBAL, P "/mail-server", api_mail_get, "notify", "How mail is sent", NULL, "MailServer"),
	PUT(OWNER, GLOBAL, "mail-server.set", P "/mail-server", api_mail_put, "notify", "Set how mail is sent", "MailServerSet", "MailServer", 200),
	DELETE(OWNER, GLOBAL, "mail-server.remove", P "/mail-server", api_mail_remove, "notify", "Send no more mail", "Removed", 200),
	POST(OWNER, GLOBAL, "server-audit.told", P "/server-audits", api_server_audit_create, "notify", "Tell the platform's channels what an audit of the server found", "ServerAuditCreate", "ServerAudit", 202),

	GET(VIEW, PROJECT, PROJECT "/tasks", api_task_list, "tasks", "The project's tasks, newest first", PAGE " state", "TaskList"),
	GET(LOGIN, GLOBAL, P "/tasks", api_task_list, "tasks", "Tasks of all projects that you may see, newest first", PAGE " state", "TaskList"),
	GET(VIEW, TASK, P "/tasks/{task}", api_task_get, "tasks", "One task, with its steps", NULL, "Task"),
	POST(DEPLOY, TASK, "task.cancel", P "/tasks/{task}/cancel", api_task_cancel, "tasks", "Cancel; from the switch on it completes", "Empty", "Cancelled", 202),
	GET(VIEW, TASK, P "/tasks/{task}/stream", api_task_stream, "tasks", "Steps and output as they happen", NULL, "events"),
	{{ACCESS_VIEW, ACCESS_TASK, NULL, .browsers = true}, HTTP_GET, P "/tasks/{task}/log", api_task_log, 0, false, "tasks",
	    "What it did and said, as text; a browser may open it, with a token as the password", NULL, NULL, "text", 200},
	GET(VIEW, PROJECT, PROJECT "/logs", api_log_list, "logs", "Output of the project's programs", "process release tail since contains", "LogList"),
	GET(VIEW, PROJECT, PROJECT "/logs/stream", api_log_stream, "logs", "Output as it happens", "process release contains", "events"),

	GET(ADMIN, GLOBAL, P "/operators", api_operator_list, "access", "Operators by name", PAGE, "OperatorList"),
	POST(OWNER, GLOBAL, "operator.create", P "/operators", api_operator_create, "access", "Make an operator", "OperatorCreate", "Operator", 201),
	DELETE(OWNER, GLOBAL, "operator.remove", P "/operators/{operator}", api_operator_remove, "access", "Take an operator away, with tokens and grants", "Removed", 200),
	GET(LOGIN, GLOBAL, P "/tokens", api_token_list, "access", "Your tokens; an owner may ask for another's", "operator", "TokenList"),
	POST(LOGIN, GLOBAL, "token.create", P "/tokens", api_token_create, "access", "Make a token, shown once", "TokenCreate", "Token", 201),
	DELETE(LOGIN, GLOBAL, "token.revoke", P "/tokens/{token}", api_token_revoke, "access", "Revoke a token", "Removed", 200),
	GET(LOGIN, GLOBAL, P "/grants", api_grant_list, "access", "Your roles, and those on projects that you administrate", NULL, "GrantList"),
	POST(LOGIN, GLOBAL, "grant.set", P "/grants", api_grant_set, "access", "Give a role on a project; needs admin there", "GrantCreate", "Grant", 200),
	DELETE(ADMIN, PROJECT, "grant.remove", P "/grants/{operator}/{project}", api_grant_remove, "access", "Take a role away", "Removed", 200),
	GET(LOGIN, GLOBAL, P "/audit", api_audit_list, "access", "Changes and refusals where you are admin, newest first", PAGE " project", "AuditList"),
};
/* clang-format on */
#define COUNT (sizeof(table) / sizeof(*table))

const struct api_route *api_route_table(size_t *ret_count)
{
	*ret_count = COUNT;
	return table;
}

static struct http_route served(const struct api_route *t)
{
	return (struct http_route){
	    .method = t->method,
	    .pattern = t->pattern,
	    .access = &t->access,
	    .handler = api_handle,
	    .where = HTTP_ON_POOL,
	    .body_max = t->body_max,
	    .body_to_file = t->body_to_file,
	};
}

const struct http_route *api_routes(size_t *ret_count)
{
	static struct http_route routes[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		routes[i] = served(&table[i]);
	*ret_count = COUNT;
	return routes;
}

const struct http_route *api_metrics_routes(size_t *ret_count)
{
	static const struct api_route open =
	    GET(PUBLIC, GLOBAL, "/metrics", api_metrics_get, "platform", "Figures", NULL, "text");
	static struct http_route route;
	route = served(&open);
	*ret_count = 1;
	return &route;
}
