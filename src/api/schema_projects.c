/* Shapes of projects and of what belongs to one, but for hooks and channels. */
#include "api/schema_fields.h"

#include "base/limits.h"
#include "base/site.h"

static const struct api_field source_input[] = {
    STRING("type", REQ, 16, "git, path or archive"),
    STRING("url", 0, 2048, "git: https://, ssh://, user@host:path, or a path on the server"),
    STRING("path", 0, 1024, "path: an absolute directory on the server"),
    STRING("ref", NUL, 255, "branch, tag or commit; absent: the remote's HEAD"),
};
static const struct api_field limits[] = {
    INT("memory_bytes", 0, 1 << 20, 1LL << 50, "of all processes of one instance"),
    INT("disk_bytes", 0, 1 << 20, 1LL << 50, "of the project's tree"),
    INT("cpu_milli", 0, 10, LIMIT_CPU_MILLI, "1000 is one core"),
    INT("tasks", 0, 1, 1000000, "processes and threads"),
    INT("files", 0, 16, 1048576, "open files of a process"),
    INT("build_memory_bytes", 0, 1 << 20, 1LL << 50, "while building"),
    INT("build_time_ms", 0, 1000, 86400000, "of one build command"),
};
#define POLL                                                                                       \
	INT("poll_ms", 0, 0, LIMIT_POLL_MAX_MS,                                                    \
	    "git: how often the branch is looked at without a hook, at least 10000; 0: never")
static const struct api_field site_rule[] = {
    LIST("include", 0, "string", 256, "sites, or *"),
    LIST("exclude", 0, "string", 256, "instead of include"),
};
static const struct api_field sites[] = {
    STRING("folder", 0, 200, "where the files are; absent: production"),
    LIST("rules", 0, "SiteRule", LIMIT_SITE_RULES,
	"the last one that names a site, or *, decides; without a list every site is served"),
    BOOL("certificates", 0, "false: none is ordered by itself"),
};
static const struct api_field site_item[] = {
    TEXT("name", REQ, "between the brackets of its file's name"),
    TEXT("file", REQ, "its file"),
    LIST("domains", REQ, "string", SITE_DOMAINS_MAX, "of its first server_name line"),
    TEXT("certificate", REQ, "acme, staging, self-signed; or none: its text names no certificate"),
    TIME("not_after", REQ | NUL, "its end"),
    TIME("next_try_at", REQ | NUL, "when an authority is asked by itself"),
    TEXT("error", REQ, "of the last try"),
};
static const struct api_field site_list[] = {LIST("items", REQ, "Site", 0, "all of them")};
static const struct api_field project_create[] = {
    STRING("name", REQ, 64, "a-z, 0-9 and single '-', at most 29, beginning with a letter"),
    STRING("kind", 0, 16, "auto, static, command, wsgi, asgi, django, node, make or nginx-site"),
    OBJECT("source", REQ, "SourceInput", "where the code comes from"),
    STRING("root", NUL, 1024, "subdirectory of a monorepo"),
    LIST("domains", 0, "string", LIMIT_DOMAINS, "host names; one belongs to one project"),
    OBJECT("limits", 0, "Limits", "for admins of the platform; a manifest may lower, never raise them"),
    OBJECT("sites", 0, "Sites", "kind nginx-site: which are served here; wins over slipway.yaml"),
    STRING("https_token", NUL, 4096, "for fetching over HTTPS; sealed, never shown again"),
    POLL,
};
static const struct api_field project_update[] = {
    STRING("kind", 0, 16, "auto, static, command, wsgi, asgi, django, node, make or nginx-site"),
    OBJECT("source", 0, "SourceInput", "replaces the source"),
    STRING("branch", NUL, 255, "the source's ref alone"),
    STRING("root", NUL, 1024, "subdirectory of a monorepo; null: the top"),
    OBJECT("limits", 0, "Limits", "replaces all limits; for admins of the platform"),
    OBJECT("sites", 0, "Sites", "replaces what was said of sites; {}: as slipway.yaml says"),
    STRING("https_token", NUL, 4096, "null takes it away"),
    POLL,
};
static const struct api_field source[] = {
    TEXT("type", REQ, "git, path or archive"),
    TEXT("url", REQ | NUL, "git"),
    TEXT("path", REQ | NUL, "path"),
    TEXT("ref", REQ | NUL, "null: the remote's HEAD"),
};
static const struct api_field requests[] = {
    NUMBER("total", REQ, "all of them"),
    NUMBER("failed", REQ, "that were answered with 5xx"),
    TEXT("last_at", REQ | NUL, "the newest one"),
};
static const struct api_field project[] = {
    TEXT("name", REQ, "its name"),
    TEXT("kind", REQ, "as set; auto: it is found out at each deploy"),
    TEXT("detected_kind", REQ | NUL, "as which the live release was built"),
    OBJECT("source", REQ, "Source", "where the code comes from"),
    TEXT("root", REQ, "subdirectory; empty: the top"),
    BOOL("running", REQ, "false: stopped on purpose"),
    NUMBER("live", REQ | NUL, "release that serves"),
    NUMBER("previous", REQ | NUL, "release that served before"),
    OBJECT("limits", REQ, "Limits", "set by the operator"),
    OBJECT("sites", NUL, "Sites", "kind nginx-site: as set; absent: as slipway.yaml says"),
    BOOL("disk_quota", REQ,
	"the kernel holds the disk limit for all files of the project's user; false: each file is "
	"bounded, and what a build holds is measured"),
    TEXT("deploy_key", REQ | NUL, "public half, to be given to the repository"),
    TEXT("deploy_key_page", REQ | NUL, "where to paste it"),
    BOOL("https_token", REQ, "whether one is set"),
    NUMBER("poll_ms", REQ, "how often the branch is looked at without a hook; 0: never"),
    LIST("domains", 0, "string", LIMIT_DOMAINS, "host names"),
    LIST("urls", REQ, "string", LIMIT_DOMAINS + 1, "where it answers"),
    OBJECT("requests", REQ, "Requests", "what visitors asked since the daemon started"),
    NUMBER("first_port", REQ | NUL, "of its ten ports"),
    NUMBER("version", REQ, "of these settings: the ETag"),
    TIME("created_at", REQ, ""),
    TEXT("role", REQ, "yours on this project"),
    OBJECT("task", NUL, "Task", "the one that runs, else the newest one; not in lists"),
};
static const struct api_field project_list[] = {LIST_OF("Project")};

static const struct api_field deploy_create[] = {
    STRING("ref", NUL, 255, "branch, tag or commit; absent: the project's"),
    BOOL("force", 0, "also when that commit is live already"),
    STRING("archive", NUL, 64, "id of an uploaded archive, instead of the source"),
    STRING("url", NUL, 2048, "another address of the repository, for this deploy only"),
};
static const struct api_field rollback_create[] = {
    INT("release", NUL, 1, 4294967295, "absent: the newest good one before the live one"),
};
static const struct api_field rollback_plan[] = {
    NUMBER("from", REQ, "the live release"),
    NUMBER("to", REQ, "the release that would be live"),
    TEXT("commit", REQ | NUL, ""),
    TEXT("subject", REQ | NUL, "first line of the commit's message"),
    TEXT("warning", REQ | NUL, "what going back does not undo"),
};
static const struct api_field restart_create[] = {
    STRING("process", NUL, 16, "absent: all"),
};
static const struct api_field empty[] = {{0}};
static const struct api_field scale[] = {
    INT("count", REQ, 0, LIMIT_INSTANCES, "instances of the process"),
};
static const struct api_field task_ref[] = {
    NUMBER("task", REQ, "GET /api/v1/tasks/{task}, or its stream"),
};
static const struct api_field backup_create[] = {
    STRING("passphrase", NUL, 1024, "opens it on other servers too; not stored; at least 8 bytes"),
};
static const struct api_field restore_create[] = {
    BOOL("data_only", 0, "only data/; release, settings and environment stay"),
};
static const struct api_field backup_import[] = {
    STRING("project", REQ, 29, "whose it will be"),
    STRING("archive", NUL, 64, "id of an uploaded archive of that project"),
    STRING("passphrase", NUL, 1024, "that the archive was made with; absent: made on this server"),
    STRING("destroyed", NUL, 64, "instead: what is kept of a destroyed project"),
};
static const struct api_field backup[] = {
    TEXT("id", REQ, ""),
    TEXT("project", REQ, "its name then"),
    TEXT("kind", REQ, ""),
    TIME("created_at", REQ | NUL, ""),
    TEXT("reason", REQ, "manual or destroy"),
    TIME("until", REQ | NUL, "when it goes by itself; null: never"),
    TEXT("by", REQ, "who asked"),
    NUMBER("release", REQ | NUL, "that was live; null: settings only"),
    TEXT("commit", REQ | NUL, "of that release"),
    NUMBER("size_bytes", REQ, "of the archive"),
    NUMBER("files", REQ, "entries of data and release"),
    NUMBER("files_bytes", REQ, "of them, before compression"),
    NUMBER("databases", REQ, "SQLite databases copied while in use"),
    NUMBER("left_out", REQ, "sockets, pipes, devices, and what its own user may not read"),
    BOOL("passphrase", REQ, "one opens it on another server"),
};
static const struct api_field backup_list[] = {LIST("items", REQ, "Backup", 0, "newest first")};
static const struct api_field archive[] = {
    TEXT("archive", REQ, "its id, for one deploy or plan within 24 hours"),
    NUMBER("size_bytes", REQ, ""),
};

static const struct api_field step[] = {
    NUMBER("attempt", REQ, "from 1"),
    NUMBER("seq", REQ, "from 1 within the attempt"),
    TEXT(
	"name", REQ, "fetch, plan, build, check, provision, release, start, verify, switch, drain"),
    TEXT("state", REQ, "running, done, failed, cancelled or skipped"),
    TIME("started_at", REQ, ""),
    TIME("finished_at", REQ | NUL, ""),
    NUMBER("duration_ms", REQ | NUL, "so far, or altogether"),
    TEXT("detail", REQ, "what it found or did"),
};
static const struct api_field task[] = {
    NUMBER("id", REQ, ""),
    TEXT("project", REQ, ""),
    TEXT("kind", REQ,
	"deploy, rollback, stop, start, restart, scale, destroy, run, check or certificate"),
    TEXT("state", REQ, "waiting, running, done, failed, cancelled, superseded or dead"),
    TEXT("ref", REQ | NUL, "branch, tag or commit asked for"),
    TEXT("commit", REQ | NUL, "once it is known"),
    TEXT("current_step", REQ | NUL, ""),
    NUMBER("attempt", REQ, "0 until it began"),
    NUMBER("attempts_max", REQ, ""),
    BOOL("from_push", REQ, ""),
    BOOL("cancel_requested", REQ, ""),
    TEXT("requested_by", REQ, "an operator's name, or 'hook NAME'"),
    TIME("due_at", REQ, ""),
    TIME("created_at", REQ, ""),
    TIME("started_at", REQ | NUL, ""),
    TIME("finished_at", REQ | NUL, ""),
    ANY("input", REQ, "what was asked for"),
    ANY("result", REQ | NUL, "what came of it"),
    ANY("error", REQ | NUL, "why it failed"),
    LIST("steps", 0, "Step", 0, "not in lists"),
};
static const struct api_field task_list[] = {LIST_OF("Task")};
static const struct api_field cancelled[] = {
    NUMBER("task", REQ, ""),
    TEXT("state", REQ, "cancelled, or running while it is being ended"),
};

static const struct api_field release[] = {
    NUMBER("number", REQ, "from 1"),
    TEXT("state", REQ, "building, sealed, failed or pruned"),
    BOOL("live", REQ, ""),
    BOOL("previous", REQ, ""),
    TEXT("commit", REQ | NUL, ""),
    TEXT("ref", REQ | NUL, ""),
    TEXT("subject", REQ | NUL, "first line of the commit's message"),
    TEXT("author", REQ | NUL, ""),
    NUMBER("env_version", REQ, "version of the environment that it was built with"),
    BOOL("migrated", REQ, "its release command has run"),
    NUMBER("size_bytes", REQ, ""),
    TIME("created_at", REQ, ""),
    TIME("sealed_at", REQ | NUL, ""),
    NUMBER("task", REQ | NUL, "that made it"),
    ANY("plan", 0, "not in lists"),
};
static const struct api_field release_list[] = {LIST_OF("Release")};

static const struct api_field instance[] = {
    NUMBER("instance", REQ, "from 1"),
    NUMBER("release", REQ, ""),
    TEXT("state", REQ, "starting, running, backoff, stopping, ended or asleep"),
    NUMBER("pid", REQ | NUL, ""),
    NUMBER("port", REQ | NUL, "for programs that listen on one"),
    NUMBER("starts", REQ, "how often it was started"),
    BOOL("throttled", REQ, "it uses up its processor limit"),
    NUMBER("up_ms", REQ | NUL, "since it was started last"),
};
static const struct api_field process[] = {
    TEXT("name", REQ, ""),
    NUMBER("count", REQ, "instances wanted"),
    LIST("instances", REQ, "Instance", 0, "what there is"),
};
static const struct api_field process_list[] = {LIST("items", REQ, "Process", 0, "")};

static const struct api_field env_input[] = {
    STRING("value", REQ | NUL, 65536, "null unsets the variable"),
    BOOL("secret", 0, "never shown again; true unless said otherwise"),
    BOOL("build", 0, "also given to build and check"),
};
static const struct api_field env_change[] = {MAP("", 0, "EnvInput", "variables by name")};
static const struct api_field env_variable[] = {
    TEXT("key", REQ, ""),
    STRING("value", REQ | NUL, 65536, "null: a secret"),
    BOOL("secret", REQ, ""),
    BOOL("build", REQ, ""),
    NUMBER("version", REQ, "that set it"),
    TIME("set_at", REQ, ""),
};
static const struct api_field env[] = {
    NUMBER("version", REQ, "of the whole: the ETag"),
    LIST("items", REQ, "EnvVariable", 0, "by name"),
};
static const struct api_field env_changed[] = {
    NUMBER("version", REQ, "the new one; the next release, or a restart, sees it"),
};

static const struct api_field domain_create[] = {
    STRING("domain", REQ, 253, "a host name"),
};
static const struct api_field domain[] = {
    TEXT("domain", REQ, ""),
    TIME("created_at", REQ, ""),
    NUMBER("task", NUL, "that tells the edge; null: nothing is live yet"),
};
static const struct api_field domain_list[] = {LIST("items", REQ, "Domain", 0, "")};
static const struct api_field device[] = {
    TEXT("device", REQ, "its kind: gpu"),
    TEXT("granted_by", REQ, ""),
    TIME("granted_at", REQ, ""),
};
static const struct api_field device_list[] = {LIST("items", REQ, "Device", 0, "")};
static const struct api_field service_create[] = {
    STRING("type", REQ, 16, "postgres or rabbitmq"),
    STRING("name", 0, NAME_PROCESS_MAX, "a-z and 0-9; db, or queue, unless it is said"),
};
static const struct api_field service[] = {
    TEXT("name", REQ, ""),
    TEXT("type", REQ, "postgres or rabbitmq"),
    BOOL("made", REQ, "false: it could not be made yet; the next deploy tries again"),
    TEXT("called", REQ, "on its server: role and database, user and vhost"),
    TEXT("host", REQ, "where the project reaches it"),
    NUMBER("port", REQ, ""),
    LIST("variables", REQ, "string", 0, "of the project's processes"),
    TIME("created_at", REQ, ""),
};
static const struct api_field service_list[] = {LIST("items", REQ, "Service", 0, "oldest first")};
static const struct api_field service_credentials[] = {
    TEXT("name", REQ, ""),
    TEXT("type", REQ, ""),
    TEXT("url", REQ, "all of it in one"),
    TEXT("host", REQ, ""),
    NUMBER("port", REQ, ""),
    TEXT("user", REQ, ""),
    TEXT("password", REQ, ""),
    TEXT("database", 0, "of a postgres"),
    TEXT("vhost", 0, "of a rabbitmq"),
};
static const struct api_field certificate_issue[] = {
    STRING("site", 0, NAME_SITE_MAX, "of an nginx-site project: this site's"),
    BOOL("staging", 0, "from the authority's rehearsal: not trusted, hardly limited"),
};
static const struct api_field certificate_import[] = {
    STRING("chain", REQ, 65536, "PEM, the server's own certificate first"),
    STRING("key", REQ, 65536, "PEM, without a passphrase; never shown again"),
};
#define CERTIFICATE_FIELDS                                                                         \
	TEXT("project", REQ, "empty: it is the platform's own"),                                   \
	    TEXT("platform", REQ, "host or wildcard; empty: a project's"),                         \
	    TEXT("origin", REQ, "self-signed, acme, staging or import"),                           \
	    BOOL("trusted", REQ, "by browsers: http leads to https"),                              \
	    LIST("names", REQ, "string", 0, "host names that it is for"), TEXT("issuer", REQ, ""), \
	    TEXT("serial", REQ, "hex"), TIME("not_before", REQ | NUL, ""),                         \
	    TIME("not_after", REQ | NUL, ""), TIME("installed_at", REQ | NUL, ""),                 \
	    TIME("next_try_at", REQ | NUL, "by itself"),                                           \
	    TIME("limited_until", REQ | NUL, "the authority takes nothing before"),                \
	    NUMBER("failures", REQ, "since the last success"),                                     \
	    TEXT("error", REQ, "of the last of them")

static const struct api_field certificate[] = {CERTIFICATE_FIELDS};
static const struct api_field platform_certificate[] = {CERTIFICATE_FIELDS,
    TEXT("under_way", REQ | NUL,
	"what was asked for and has not ended: issue, renew, revoke, delete or import"),
    TEXT("output", REQ, "last lines of what failed")};
static const struct api_field platform_certificate_issue[] = {
    BOOL("staging", 0, "from the authority's rehearsal: not trusted, hardly limited"),
};
static const struct api_field certificate_list[] = {LIST("items", REQ, "Certificate", 0, "")};
static const struct api_field removed[] = {
    BOOL("removed", REQ, ""),
    NUMBER("task", NUL, "that finishes it, if any"),
};

static const struct api_schema table[] = {
    SCHEMA("SourceInput", source_input, "Where code comes from."),
    SCHEMA("Source", source, "Where code comes from."),
    SCHEMA("Site", site_item, "A site that is served."),
    SCHEMA("SiteList", site_list, "Sites."),
    SCHEMA("SiteRule", site_rule, "One of include and exclude."),
    SCHEMA("Sites", sites, "Which sites of an nginx-site project's repository are served."),
    SCHEMA("Limits", limits, "What a project may use; absent: the platform's default."),
    SCHEMA("ProjectCreate", project_create, "A new project."),
    SCHEMA("ProjectUpdate", project_update, "What to change; absent stays."),
    SCHEMA("Project", project, "A project."),
    SCHEMA("Requests", requests, "What visitors asked of a project."),
    SCHEMA("ProjectList", project_list, "Projects by name."),
    SCHEMA("DeployCreate", deploy_create, "What to deploy."),
    SCHEMA("RollbackCreate", rollback_create, "Where to go back to."),
    SCHEMA("RollbackPlan", rollback_plan, "What a rollback would do."),
    SCHEMA("RestartCreate", restart_create, "What to restart."),
    {"Empty", "Nothing.", empty, 0, false},
    SCHEMA("Scale", scale, "How many."),
    SCHEMA("TaskRef", task_ref, "Work that was ordered."),
    SCHEMA("Archive", archive, "An uploaded archive."),
    SCHEMA("BackupCreate", backup_create, "A new backup."),
    SCHEMA("RestoreCreate", restore_create, "How much comes back."),
    SCHEMA("BackupImport", backup_import, "An archive to be taken in."),
    SCHEMA("Backup", backup, "A sealed archive of a project."),
    SCHEMA("BackupList", backup_list, "Archives, newest first."),
    SCHEMA("Step", step, "A resumable part of a task."),
    SCHEMA("Task", task, "Durable work."),
    SCHEMA("TaskList", task_list, "Tasks, newest first."),
    SCHEMA("Cancelled", cancelled, "What became of a wish to cancel."),
    SCHEMA("Release", release, "One sealed build."),
    SCHEMA("ReleaseList", release_list, "Releases, newest first."),
    SCHEMA("Instance", instance, "One running copy of a process."),
    SCHEMA("Process", process, "A named command of a release."),
    SCHEMA("ProcessList", process_list, "Processes by name."),
    SCHEMA("EnvInput", env_input, "A variable."),
    {"EnvChange", "Variables by name.", env_change, 1, true},
    SCHEMA("EnvVariable", env_variable, "A variable."),
    SCHEMA("Env", env, "A project's environment."),
    SCHEMA("EnvChanged", env_changed, "The environment after a change."),
    SCHEMA("CertificateIssue", certificate_issue, "An order."),
    SCHEMA("CertificateImport", certificate_import, "A chain and its key."),
    SCHEMA("Certificate", certificate, "What serves a project over HTTPS."),
    SCHEMA("PlatformCertificate", platform_certificate, "What serves the platform over HTTPS."),
    SCHEMA("PlatformCertificateIssue", platform_certificate_issue, "An order."),
    SCHEMA("CertificateList", certificate_list, "Certificates."),
    SCHEMA("Device", device, "A kind of device that a project was granted."),
    SCHEMA("DeviceList", device_list, "Devices."),
    SCHEMA("ServiceCreate", service_create, "A service to be made."),
    SCHEMA("Service", service, "Something provisioned for a project."),
    SCHEMA("ServiceList", service_list, "Services."),
    SCHEMA("ServiceCredentials", service_credentials, "How a project reaches a service."),
    SCHEMA("DomainCreate", domain_create, "A new host name."),
    SCHEMA("Domain", domain, "A host name."),
    SCHEMA("DomainList", domain_list, "Host names."),
    SCHEMA("Removed", removed, "What went away."),
};
const struct api_schema_part api_schemas_projects = SCHEMA_PART(table);
