/* Every shape of a request and an answer. */
#include "api/schema.h"

#include "base/limits.h"
#include "base/site.h"

#define REQ API_REQUIRED
#define NUL API_NULL
#define STRING(n, flags, max, about)                                                               \
	{                                                                                          \
		n, API_STRING, flags, NULL, 0, max, about                                          \
	}
#define TEXT(n, flags, about)                                                                      \
	{                                                                                          \
		n, API_STRING, flags, NULL, 0, 0, about                                            \
	}
#define INT(n, flags, min, max, about)                                                             \
	{                                                                                          \
		n, API_INTEGER, flags, NULL, min, max, about                                       \
	}
#define NUMBER(n, flags, about)                                                                    \
	{                                                                                          \
		n, API_INTEGER, flags, NULL, 0, 0, about                                           \
	}
#define BOOL(n, flags, about)                                                                      \
	{                                                                                          \
		n, API_BOOLEAN, flags, NULL, 0, 0, about                                           \
	}
#define TIME(n, flags, about)                                                                      \
	{                                                                                          \
		n, API_TIME, flags, NULL, 0, 0, about                                              \
	}
#define OBJECT(n, flags, of, about)                                                                \
	{                                                                                          \
		n, API_OBJECT, flags, of, 0, 0, about                                              \
	}
#define LIST(n, flags, of, max, about)                                                             \
	{                                                                                          \
		n, API_LIST, flags, of, 0, max, about                                              \
	}
#define MAP(n, flags, of, about)                                                                   \
	{                                                                                          \
		n, API_MAP, flags, of, 0, 0, about                                                 \
	}
#define ANY(n, flags, about)                                                                       \
	{                                                                                          \
		n, API_ANY, flags, NULL, 0, 0, about                                               \
	}
#define LIST_OF(of)                                                                                \
	LIST("items", REQ, of, 0, "one page"),                                                     \
	    TEXT(                                                                                  \
		"next", REQ | NUL, "to give as ?after= for the next page; null: this is the last")

static const struct api_field source_input[] = {
    STRING("type", REQ, 16, "git, path or archive"),
    STRING("url", 0, 2048, "git: https://, ssh://, user@host:path, or a path on the server"),
    STRING("path", 0, 1024, "path: an absolute directory on the server"),
    STRING("ref", NUL, 255, "branch, tag or commit; absent: the remote's HEAD"),
};
static const struct api_field limits[] = {
    INT("memory_bytes", 0, 1 << 20, 1LL << 50, "of all processes of one instance"),
    INT("disk_bytes", 0, 1 << 20, 1LL << 50, "of the project's tree"),
    INT("cpu_milli", 0, 10, 1024000, "1000 is one core"),
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
    OBJECT("limits", 0, "Limits", "a manifest may lower, never raise them"),
    OBJECT("sites", 0, "Sites", "kind nginx-site: which are served here; wins over slipway.yaml"),
    STRING("https_token", NUL, 4096, "for fetching over HTTPS; sealed, never shown again"),
    POLL,
};
static const struct api_field project_update[] = {
    STRING("kind", 0, 16, "auto, static, command, wsgi, asgi, django, node, make or nginx-site"),
    OBJECT("source", 0, "SourceInput", "replaces the source"),
    STRING("branch", NUL, 255, "the source's ref alone"),
    STRING("root", NUL, 1024, "subdirectory of a monorepo; null: the top"),
    OBJECT("limits", 0, "Limits", "replaces all limits"),
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
    TEXT("archive", REQ, "its id, for a deploy within 24 hours"),
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
    TEXT("state", REQ, "starting, running, backoff, stopping or ended"),
    NUMBER("pid", REQ | NUL, ""),
    NUMBER("port", REQ | NUL, "for programs that listen on one"),
    NUMBER("starts", REQ, "how often it was started"),
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
static const struct api_field certificate_issue[] = {
    STRING("site", 0, NAME_SITE_MAX, "of an nginx-site project: this site's"),
    BOOL("staging", 0, "from the authority's rehearsal: not trusted, hardly limited"),
};
static const struct api_field certificate_import[] = {
    STRING("chain", REQ, 65536, "PEM, the server's own certificate first"),
    STRING("key", REQ, 65536, "PEM, without a passphrase; never shown again"),
};
static const struct api_field certificate[] = {
    TEXT("project", REQ, ""),
    TEXT("origin", REQ, "self-signed, acme, staging or import"),
    BOOL("trusted", REQ, "by browsers: http leads to https"),
    LIST("names", REQ, "string", 0, "host names that it is for"),
    TEXT("issuer", REQ, ""),
    TEXT("serial", REQ, "hex"),
    TIME("not_before", REQ | NUL, ""),
    TIME("not_after", REQ | NUL, ""),
    TIME("installed_at", REQ | NUL, ""),
    TIME("next_try_at", REQ | NUL, "by itself"),
    TIME("limited_until", REQ | NUL, "the authority takes nothing before"),
    NUMBER("failures", REQ, "since the last success"),
    TEXT("error", REQ, "of the last of them"),
};
static const struct api_field certificate_list[] = {LIST("items", REQ, "Certificate", 0, "")};
static const struct api_field removed[] = {
    BOOL("removed", REQ, ""),
    NUMBER("task", NUL, "that finishes it, if any"),
};

#define HOOK_SETTINGS                                                                              \
	LIST("from", NUL, "string", 64, "address ranges, or github: who else comes is refused"),   \
	    LIST("events", NUL, "string", 32, "kinds, as the sender calls them; globs"),           \
	    LIST("paths", NUL, "string", 64, "globs: pushes that changed none are left out"),      \
	    MAP("fields", NUL, "string", "JSON pointers to globs that must fit"),                  \
	    OBJECT("limit", NUL, "HookLimit", "of deliveries; absent: none"),                      \
	    LIST("actions", NUL, "HookAction", 8, "what follows, in order; absent: a deploy")
#define HOOK_GITHUB                                                                                \
	OBJECT("github", NUL, "HookGithub",                                                        \
	    "where GitHub is asked for what it could not deliver; null: nowhere")
static const struct api_field hook_create[] = {
    STRING("name", NUL, 64, "in its address; one of its kind; absent: the project's name"),
    STRING("sender", 0, 32,
	"github, gitlab, gitea, forgejo, gogs, bitbucket, bitbucket-server, particle, standard, "
	"stripe, generic, bearer or huggingface; absent: github"),
    STRING("branch", NUL, 255, "only pushes of this branch; absent: the project's"),
    {"secret", API_STRING, API_NULL, NULL, 16, 256, "your own; absent: one is made"},
    HOOK_SETTINGS,
    HOOK_GITHUB,
};
static const struct api_field hook_github[] = {
    STRING("repository", NUL, 201, "OWNER/REPOSITORY; absent: the project's, if it is at github.com"),
    INT("hook_id", NUL, 1, INT64_MAX, "the hook's number there; absent: found by its address"),
    STRING("token", NUL, 1024, "may look at deliveries: admin:repo_hook; never shown; absent: as before"),
    STRING("api", NUL, 512, "absent: https://api.github.com, or what slipwayd was told"),
};
static const struct api_field hook_catch_up[] = {
    INT("since_ms", NUL, 1, 259200000, "how far back, at most three days; absent: from where the last one ended"),
    BOOL("refused", 0, "what we refused ourselves, too"),
};
static const struct api_field github_addresses[] = {
    NUMBER("ranges", REQ, "in GitHub's list"),
    TIME("fetched_at", REQ | NUL, "when GitHub last said so; null: the list built in"),
    TEXT("error", REQ | NUL, "why the last try changed nothing"),
};
static const struct api_field hook_caught_up[] = {
    TEXT("repository", REQ, "OWNER/REPOSITORY"),
    NUMBER("hook_id", REQ | NUL, "null: not known yet"),
    TEXT("api", REQ, ""),
    TEXT("state", REQ, "idle, due or failed"),
    TIME("due_at", REQ | NUL, "when it is asked (again)"),
    TIME("ended_at", REQ | NUL, "when it was asked last"),
    NUMBER("found", REQ, "failed deliveries, since the last start or order"),
    NUMBER("asked", REQ, "of them asked for again"),
    TEXT("error", REQ | NUL, "what was in the way last"),
};
static const struct api_field hook_update[] = {
    STRING("branch", NUL, 255, "only pushes of this branch; null: the project's"),
    BOOL("paused", 0, "what arrives is stored, and nothing follows"),
    HOOK_SETTINGS,
    HOOK_GITHUB,
};
static const struct api_field hook_action[] = {
    STRING("type", REQ, 16, "deploy, check, notify, forward or run"),
    BOOL("forks", 0, "check: pull requests from other repositories too, without secrets"),
    LIST("channels", 0, "string", 8, "notify: of the project; absent: who hears hook.received"),
    STRING("channel", 0, 29, "forward: a webhook channel of the project"),
    LIST("argv", 0, "string", 64, "run: the command; the event's body is its input"),
    INT("timeout_ms", 0, 1000, 3600000, "run: absent, ten minutes"),
};
static const struct api_field event_replayed[] = {
    NUMBER("task", REQ | NUL, "null: the actions of its hook begin again"),
    NUMBER("event", 0, "then"),
};
static const struct api_field event_told[] = {
    TEXT("channel", REQ, ""),
    NUMBER("delivery", REQ, "its number in the channel's list"),
    TEXT("state", REQ, "waiting, delivered, failed or superseded"),
    NUMBER("attempts", REQ, ""),
    TEXT("error", REQ | NUL, "of the last try"),
};
static const struct api_field event_action[] = {
    NUMBER("position", REQ, "in the hook's list, from 1"),
    TEXT("type", REQ, "deploy, check, notify, forward or run"),
    TEXT("state", REQ, "later, waiting, running, done, failed or skipped"),
    NUMBER("task", REQ | NUL, "that does it"),
    TEXT("detail", REQ | NUL, "why it is so"),
    LIST("deliveries", REQ, "EventTold", 0, "notify, forward: to whom, and what became of it"),
};
static const struct api_field hook_limit[] = {
    INT("per_minute", REQ, 1, 60000, "deliveries"),
    INT("burst", 0, 1, 60000, "at once; absent: as many as a minute has"),
};
static const struct api_field hook_rotate[] = {
    INT("keep_ms", 0, 0, 2592000000, "how long the secret before stays good; absent: a day"),
    {"secret", API_STRING, API_NULL, NULL, 16, 256, "your own; absent: one is made"},
};
static const struct api_field hook[] = {
    TEXT("name", REQ, ""),
    TEXT("project", REQ, ""),
    TEXT("sender", REQ, ""),
    TEXT("branch", REQ | NUL, "null: the project's"),
    BOOL("paused", REQ, ""),
    TEXT("url", REQ, "to give to the sender"),
    TIME("created_at", REQ, ""),
    HOOK_SETTINGS,
    OBJECT("github_addresses", 0, "GithubAddresses", "where `from` names them"),
    OBJECT("github", NUL, "HookCaughtUp", "where GitHub is asked for what it could not deliver, and how that went"),
    TIME("old_secret_until", REQ | NUL, "how long the secret before is good, too"),
    TEXT("secret", 0, "shown once, when it is made"),
    TEXT("content_type", REQ, "to choose at the sender"),
    TEXT("steps", REQ, "to take at the sender"),
    LIST("warnings", REQ, "string", 8, "what will keep the sender out, or secrets in the open"),
    TEXT("page", NUL, "where to enter url and secret, for senders that we know"),
};
static const struct api_field hook_test[] = {
    NUMBER("status", REQ, "that the ping was answered with"),
    BOOL("arrived", REQ, "it is 202, or 200: known already"),
    TEXT("by_way_of", REQ, "the address that was asked"),
    BOOL("untrusted", REQ, "its certificate is not one that senders trust"),
};
static const struct api_field hook_list[] = {LIST_OF("Hook")};

static const struct api_field channel_create[] = {
    STRING("name", REQ, 64, ""),
    STRING("type", REQ, 16, "mail, webhook, slack, discord, matrix or github"),
    STRING("target", NUL, 2048,
	"mail: addresses, with blanks between; webhook: a URL; matrix: https://SERVER/ROOM; "
	"github: "
	"https://api.github.com/repos/OWNER/REPOSITORY"),
    STRING("secret", NUL, 4096,
	"webhook: signs, absent: one is made; slack, discord: the address to post to; matrix, "
	"github: a token"),
    STRING("events", NUL, 1024,
	"such as deploy.failed, deploy.* or *, with blanks between; absent: *"),
    BOOL("deployments", 0, "github: deploys and rollbacks become its deployments, too"),
};
static const struct api_field channel_update[] = {
    STRING("target", 0, 2048, ""),
    STRING("secret", 0, 4096, ""),
    STRING("events", 0, 1024, ""),
    BOOL("deployments", 0, "github: deploys and rollbacks become its deployments, too"),
    BOOL("paused", 0, "false also lets one that was switched off go on"),
};
static const struct api_field channel[] = {
    TEXT("name", REQ, ""),
    TEXT("project", REQ | NUL, "null: of the platform"),
    TEXT("type", REQ, ""),
    TEXT("target", REQ | NUL, ""),
    TEXT("events", REQ, ""),
    BOOL("deployments", REQ, "deploys and rollbacks become GitHub's deployments, too"),
    BOOL("paused", REQ, ""),
    TEXT("disabled", REQ | NUL, "why it was switched off"),
    TIME("created_at", REQ, ""),
    TEXT("secret", 0, "shown once, when it is made"),
};
static const struct api_field channel_list[] = {LIST_OF("Channel")};
static const struct api_field delivery_try[] = {
    TIME("at", REQ, ""),
    NUMBER("ms", REQ, "how long it took"),
    NUMBER("status", REQ | NUL, "what the receiver answered"),
    TEXT("error", REQ | NUL, ""),
};
static const struct api_field delivery[] = {
    NUMBER("id", REQ, ""),
    TEXT("channel", REQ, ""),
    TEXT("event", REQ, ""),
    TEXT("state", REQ, "waiting, delivered, failed or superseded"),
    NUMBER("tries", REQ, ""),
    TIME("created_at", REQ, ""),
    TIME("due_at", REQ | NUL, "of the next try"),
    TIME("ended_at", REQ | NUL, ""),
    NUMBER("status", REQ | NUL, "what the receiver answered last"),
    TEXT("error", REQ | NUL, "of the last try"),
    ANY("message", 0, "not in lists"),
    LIST("log", 0, "DeliveryTry", 0, "each try, newest first; not in lists"),
};
static const struct api_field delivery_list[] = {LIST_OF("Delivery")};
static const struct api_field news[] = {
    TEXT("event", REQ, ""),
    TEXT("level", REQ, "info, warning or error"),
    TEXT("about", REQ, "when it happens"),
};
static const struct api_field news_list[] = {LIST("items", REQ, "News", 0, "")};
static const struct api_field mail_server_set[] = {
    STRING("host", REQ, 253, ""),
    INT("port", 0, 1, 65535, "absent: 587"),
    STRING("tls", 0, 16, "starttls, tls (from the first byte) or none; absent: starttls"),
    STRING("from", REQ, 254, "the sender's address"),
    STRING("user", NUL, 254, "absent: no authentication"),
    STRING("password", NUL, 1024, "absent: the one that is there"),
};
static const struct api_field mail_server[] = {
    TEXT("host", REQ, ""),
    NUMBER("port", REQ, ""),
    TEXT("tls", REQ, ""),
    TEXT("from", REQ, ""),
    TEXT("user", REQ | NUL, ""),
    BOOL("password", REQ, "there is one"),
};

static const struct api_field server_audit_create[] = {
    STRING("message", REQ, 4000, "what is CRITICAL, a line each"),
    STRING("report", NUL, 254, "the file that has the rest"),
};
static const struct api_field server_audit[] = {BOOL("accepted", REQ, "")};

static const struct api_field event[] = {
    NUMBER("id", REQ, ""),
    TEXT("hook", REQ, ""),
    TEXT("project", REQ, ""),
    TEXT("delivery", REQ, "the sender's id of it"),
    TEXT("kind", REQ, "push, ping …"),
    TEXT("ref", REQ | NUL, "branch"),
    TEXT("before", REQ | NUL, ""),
    TEXT("after", REQ | NUL, ""),
    TIME("received_at", REQ, ""),
    TEXT("outcome", REQ, "waiting, served, uptodate, ignored, superseded or failed"),
    NUMBER("task", REQ | NUL, "that served it"),
    NUMBER("attempt", REQ, "from 1"),
    LIST("actions", 0, "EventAction", 0,
	"what follows, where its hook says more than a deploy; not in lists"),
    STRING("body", NUL, 26214400, "as received; not in lists"),
};
static const struct api_field event_list[] = {LIST_OF("Event")};

static const struct api_field log_line[] = {
    TIME("at", REQ, ""),
    TEXT("process", REQ, ""),
    NUMBER("instance", REQ, ""),
    NUMBER("release", REQ, ""),
    STRING("text", REQ, 65536, "control bytes escaped"),
};
static const struct api_field log_list[] = {LIST("items", REQ, "LogLine", 10000, "in time order")};

static const struct api_field terminal[] = {
    INT("rows", REQ, 1, 1000, ""),
    INT("cols", REQ, 1, 1000, ""),
};
static const struct api_field run_create[] = {
    LIST("argv", REQ, "string", LIMIT_ARGV_COUNT, "the command, not a line for a shell"),
    OBJECT("terminal", NUL, "Terminal", "with it the command gets a terminal of this size"),
};

static const struct api_field operator_create[] = {
    STRING("name", REQ, 32,
	"a-z, 0-9, '.', '_' and '-'; a local user's name lets them use the socket"),
    STRING("role", 0, 16, "on everything: none, viewer, deployer, admin or owner; absent: none"),
};
static const struct api_field operator_[] = {
    TEXT("name", REQ, ""),
    TEXT("role", REQ, "on everything"),
    BOOL("disabled", REQ, ""),
    TIME("created_at", REQ, ""),
};
static const struct api_field operator_list[] = {LIST_OF("Operator")};
static const struct api_field token_create[] = {
    STRING("label", 0, 100, "what it is for"),
    STRING("operator", NUL, 32, "owners only: whose; absent: yours"),
    TIME("expires_at", NUL, "absent: never"),
};
static const struct api_field token[] = {
    NUMBER("id", REQ, ""),
    TEXT("label", REQ, ""),
    TEXT("operator", REQ, ""),
    TIME("created_at", REQ, ""),
    TIME("expires_at", REQ | NUL, ""),
    TIME("last_used_at", REQ | NUL, ""),
    TEXT("token", 0, "shown once, when it is made"),
};
static const struct api_field token_list[] = {LIST("items", REQ, "Token", 0, "")};
static const struct api_field grant_create[] = {
    STRING("operator", REQ, 32, ""),
    STRING("project", REQ, 64, ""),
    STRING("role", REQ, 16, "viewer, deployer, admin or owner"),
};
static const struct api_field grant[] = {
    TEXT("operator", REQ, ""),
    TEXT("project", REQ, ""),
    TEXT("role", REQ, ""),
};
static const struct api_field grant_list[] = {LIST("items", REQ, "Grant", 0, "")};
static const struct api_field audit[] = {
    NUMBER("id", REQ, ""),
    TIME("at", REQ, ""),
    TEXT("operator", REQ, ""),
    TEXT("action", REQ, ""),
    TEXT("target", REQ, ""),
    TEXT("outcome", REQ, "ok or refused"),
    TEXT("detail", REQ, ""),
    TEXT("chain", REQ, "SHA-256 over this record and the one before"),
};
static const struct api_field audit_list[] = {LIST_OF("Audit")};

static const struct api_field version[] = {
    TEXT("name", REQ, "slipway"),
    TEXT("version", REQ, ""),
    TEXT("api", REQ, "v1"),
};
static const struct api_field health[] = {TEXT("status", REQ, "ok")};
static const struct api_field whoami[] = {
    TEXT("name", REQ, "whom the platform takes you for"),
    TEXT("role", REQ, "on everything"),
    BOOL("local", REQ, "owner by the Unix socket"),
};
static const struct api_field problem[] = {
    TEXT("type", REQ, "RFC 9457"),
    TEXT("title", REQ, ""),
    NUMBER("status", REQ, ""),
    TEXT("detail", REQ, "what happened, to what, why"),
    TEXT("hint", 0, "what to do"),
    ANY("request_id", 0, "to be found in the log"),
    LIST("errors", 0, "any", 0, "fields: pointer and detail"),
};

#define SCHEMA(n, array, about)                                                                    \
	{                                                                                          \
		n, about, array, sizeof(array) / sizeof(*(array)), false                           \
	}
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
    SCHEMA("CertificateList", certificate_list, "Certificates."),
    SCHEMA("DomainCreate", domain_create, "A new host name."),
    SCHEMA("Domain", domain, "A host name."),
    SCHEMA("DomainList", domain_list, "Host names."),
    SCHEMA("Removed", removed, "What went away."),
    SCHEMA("HookCreate", hook_create, "A new hook."),
    SCHEMA("HookTest", hook_test, "What became of a ping."),
    SCHEMA("HookUpdate", hook_update, "What changes; null takes a setting away."),
    SCHEMA("GithubAddresses", github_addresses, "How fresh GitHub's list of addresses is."),
    SCHEMA("HookGithub", hook_github, "Where GitHub is asked."),
    SCHEMA("HookCatchUp", hook_catch_up, "What is asked for again."),
    SCHEMA("HookCaughtUp", hook_caught_up, "Where GitHub is asked, and how that went."),
    SCHEMA("HookLimit", hook_limit, "How much a hook takes."),
    SCHEMA("HookAction", hook_action, "One thing that follows from a hook's events."),
    SCHEMA("EventAction", event_action, "Where one action of an event stands."),
    SCHEMA("EventTold", event_told, "One delivery of an action."),
    SCHEMA("EventReplayed", event_replayed, "What begins again."),
    SCHEMA("HookRotate", hook_rotate, "A new secret."),
    SCHEMA("Hook", hook, "A public endpoint for signed events."),
    SCHEMA("HookList", hook_list, "Hooks, newest first."),
    SCHEMA("ChannelCreate", channel_create, "A new channel."),
    SCHEMA("ChannelUpdate", channel_update, "What to change; absent stays."),
    SCHEMA("Channel", channel, "Whom to tell, and how."),
    SCHEMA("ChannelList", channel_list, "Channels, newest first."),
    SCHEMA("DeliveryTry", delivery_try, "One try of a delivery."),
    SCHEMA("Delivery", delivery, "One message for one channel."),
    SCHEMA("DeliveryList", delivery_list, "Deliveries, newest first."),
    SCHEMA("News", news, "Something that a channel can listen to."),
    SCHEMA("NewsList", news_list, "What a channel can listen to."),
    SCHEMA("MailServerSet", mail_server_set, "How mail is to be sent."),
    SCHEMA("MailServer", mail_server, "How mail is sent."),
    SCHEMA("ServerAuditCreate", server_audit_create, "What an audit of the server found."),
    SCHEMA("ServerAudit", server_audit, "It will be told."),
    SCHEMA("Event", event, "Something that happened, stored once."),
    SCHEMA("EventList", event_list, "Events, newest first."),
    SCHEMA("LogLine", log_line, "A line of a program's output."),
    SCHEMA("LogList", log_list, "Lines."),
    SCHEMA("Terminal", terminal, "The size of a terminal."),
    SCHEMA("RunCreate", run_create, "A one-off command in the live release."),
    SCHEMA("OperatorCreate", operator_create, "A new operator."),
    SCHEMA("Operator", operator_, "A person or machine."),
    SCHEMA("OperatorList", operator_list, "Operators by name."),
    SCHEMA("TokenCreate", token_create, "A new token."),
    SCHEMA("Token", token, "A credential that speaks for an operator."),
    SCHEMA("TokenList", token_list, "Tokens."),
    SCHEMA("GrantCreate", grant_create, "A role on a project."),
    SCHEMA("Grant", grant, "A role on a project."),
    SCHEMA("GrantList", grant_list, "Roles on projects."),
    SCHEMA("Audit", audit, "One record of a change or a refusal."),
    SCHEMA("AuditList", audit_list, "The trail, newest first."),
    SCHEMA("Version", version, "This program."),
    SCHEMA("Health", health, "Whether it works."),
    SCHEMA("WhoAmI", whoami, "Who you are."),
    SCHEMA("Problem", problem, "An error (RFC 9457)."),
};

const struct api_schema *api_schemas(size_t *ret_count)
{
	*ret_count = sizeof(table) / sizeof(*table);
	return table;
}
