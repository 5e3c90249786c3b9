/* Shapes of hooks, events, channels and mail. */
#include "api/schema_fields.h"

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
	"stripe, generic, bearer, huggingface or alertmanager; absent: github"),
    STRING("branch", NUL, 255, "only pushes of this branch; absent: the project's"),
    {"secret", API_STRING, API_NULL, NULL, 16, 256, "your own; absent: one is made"},
    HOOK_SETTINGS,
    HOOK_GITHUB,
};
static const struct api_field hook_github[] = {
    STRING(
	"repository", NUL, 201, "OWNER/REPOSITORY; absent: the project's, if it is at github.com"),
    INT("hook_id", NUL, 1, INT64_MAX, "the hook's number there; absent: found by its address"),
    STRING("token", NUL, 1024,
	"may look at deliveries: admin:repo_hook; never shown; absent: as before"),
    STRING("api", NUL, 512, "absent: https://api.github.com, or what slipwayd was told"),
};
static const struct api_field hook_catch_up[] = {
    INT("since_ms", NUL, 1, 259200000,
	"how far back, at most three days; absent: from where the last one ended"),
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
    OBJECT("github", NUL, "HookCaughtUp",
	"where GitHub is asked for what it could not deliver, and how that went"),
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
    TEXT("recipient", REQ | NUL, "of a mail: each address has a delivery of its own"),
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

static const struct api_schema table[] = {
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
    SCHEMA("Event", event, "Something that happened, stored once."),
    SCHEMA("EventList", event_list, "Events, newest first."),
};
const struct api_schema_part api_schemas_hooks = SCHEMA_PART(table);
