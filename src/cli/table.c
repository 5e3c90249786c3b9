/* The one table of commands: help, manual page test and completions are made from it. */
#include "cli/commands.h"

#include "base/name.h"

#include <string.h>

#define END                                                                                        \
	{                                                                                          \
		NULL, NULL, NULL, 0                                                                \
	}
#define NO_WAIT                                                                                    \
	{                                                                                          \
		"no-wait", NULL, "do not wait for the end", 0                                      \
	}
#define VERBOSE                                                                                    \
	{                                                                                          \
		"verbose", NULL, "show what the steps print", 'v'                                  \
	}
#define YES                                                                                        \
	{                                                                                          \
		"yes", NULL, "do not ask", 'y'                                                     \
	}
#define LIMIT                                                                                      \
	{                                                                                          \
		"limit", "N", "at most so many (50)", 'n'                                          \
	}

static const struct cli_flag global_flags[] = {
    {"project", "NAME", "the project, when it is not named otherwise", 'p'},
    {"server", "NAME", "a server of 'slipway login', or 'local'", 's'},
    {"json", NULL, "answer in JSON", 0},
    {"insecure", NULL, "allow plain http to another machine", 0},
    {"help", NULL, "show help", 'h'},
    END,
};
static const struct cli_flag none[] = {END};
static const struct cli_flag follow[] = {NO_WAIT, VERBOSE, END};
#define OWN                                                                                        \
	{"platform", NULL, "the certificate of the platform's own host", 0},                      \
	{"wildcard", NULL, "the one of all names right below it", 0}
static const struct cli_flag certs_show[] = {OWN, END};
static const struct cli_flag certs_renew[] = {OWN, NO_WAIT, VERBOSE, END};
static const struct cli_flag certs_issue[] = {
    OWN,
    {"site", "SITE", "of an nginx-site project: this site's", 0},
    {"staging", NULL, "from the authority's rehearsal: not trusted, hardly limited", 0}, NO_WAIT,
    VERBOSE, END};
static const struct cli_flag certs_away[] = {OWN, YES, NO_WAIT, VERBOSE, END};
static const struct cli_flag certs_import[] = {
    OWN,
    {"chain", "FILE", "PEM, the server's own certificate first; - is standard input", 0},
    {"key", "FILE", "PEM, without a passphrase", 0}, NO_WAIT, VERBOSE, END};
static const struct cli_flag services_add[] = {
    {"name", "SERVICE", "what the project calls it: a-z and 0-9 (db; of a broker queue)", 0}, END};
static const struct cli_flag services_remove[] = {
    {"purge", NULL, "also when its server cannot be reached: what is there stays", 0}, YES, END};
static const struct cli_flag list[] = {LIMIT, END};
static const struct cli_flag events_list[] = {
    {"hook", "HOOK", "only what came to this one", 0}, LIMIT, END};
static const struct cli_flag create[] = {
    {"git", "URL", "code comes from this repository", 0},
    {"path", "DIR", "code comes from this directory on the server", 0},
    {"branch", "B", "branch, tag or commit (the repository's HEAD)", 'b'},
    {"kind", "K", "static, command, wsgi, asgi, django, node or make (found out); or nginx-site", 0},
    {"root", "DIR", "subdirectory of a monorepo", 0},
    {"domain", "D", "a host name; may be repeated", 'd'},
    {"token-stdin", NULL, "read an HTTPS token for the repository from standard input", 0},
    {"poll", "EVERY", "look at the branch without a hook: 10m, 1h; off (off)", 0},
    {"hook", "SENDER", "make a hook too: github, gitlab, or another of hooks create", 0},
    {"here", NULL, "write .slipway here, so that the name can be left out", 0},
    END,
};
static const struct cli_flag sites[] = {
    {"rule", "RULE", "include=A,B or exclude=A,B, * is every site; the last that names one decides; repeat it; none: slipway.yaml's", 0},
    {"folder", "DIR", "where their files are (production)", 0},
    {"certificates", "ON", "off: none is ordered by itself (on)", 0}, END};
static const struct cli_flag deploy[] = {
    {"ref", "REF", "branch, tag or commit (the project's branch)", 'r'},
    {"url", "URL", "another address of the repository, for this deploy only", 0},
    {"dir", "DIR", "upload this directory instead of using the project's source", 0},
    {"force", NULL, "also when that commit is live already", 'f'},
    NO_WAIT,
    VERBOSE,
    END,
};
static const struct cli_flag plan[] = {
    {"ref", "REF", "branch, tag or commit", 'r'},
    {"url", "URL", "another address of the repository", 0},
    {"dir", "DIR", "upload this directory", 0},
    VERBOSE,
    END,
};
static const struct cli_flag logs[] = {
    {"follow", NULL, "go on with what comes", 'f'},
    {"process", "P", "only this process", 0},
    {"release", "N", "only this release", 0},
    {"tail", "N", "newest lines, up to 10000 (200)", 'n'},
    {"grep", "TEXT", "only lines that hold this", 'g'},
    {"since", "TIME", "2026-11-20T11:09:59Z, or how long ago: 10m, 2h", 0},
    END,
};
static const struct cli_flag restart[] = {
    {"process", "P", "only this process", 0}, NO_WAIT, VERBOSE, END};
static const struct cli_flag rollback[] = {YES, NO_WAIT, VERBOSE, END};
static const struct cli_flag destroy[] = {
    {"purge", NULL, "keep no archive of it", 0}, YES, NO_WAIT, VERBOSE, END};
#define PASSPHRASE                                                                                 \
	{                                                                                          \
		"passphrase-stdin", NULL, "read the archive's passphrase from standard input", 0   \
	}
static const struct cli_flag backup[] = {
    {"output", "FILE", "fetch it into this new file, still sealed", 'o'}, PASSPHRASE, NO_WAIT,
    VERBOSE, END};
static const struct cli_flag backups_list[] = {
    {"destroyed", NULL, "what is still kept of destroyed projects", 0}, END};
static const struct cli_flag backups_delete[] = {YES, END};
static const struct cli_flag backups_download[] = {
    {"output", "FILE", "a new file (NAME-BACKUP.backup)", 'o'}, END};
static const struct cli_flag admin_restore[] = {
    {"state", "FILE", "the archive of the store", 0}, {"keys", "FILE", "the archive of the keys", 0},
    {"yes", NULL, "also where there are projects", 'y'}, END};
static const struct cli_flag restore[] = {
    {"from", "FILE", "an archive that was made elsewhere, or here", 0}, PASSPHRASE,
    {"data-only", NULL, "leave release, settings and environment as they are", 0}, YES, NO_WAIT,
    VERBOSE, END};
static const struct cli_flag source[] = {
    {"git", "URL", "code comes from this repository from now on", 0},
    {"path", "DIR", "code comes from this directory on the server", 0},
    {"upload", NULL, "code comes from what 'slipway deploy NAME DIR' uploads", 0},
    {"branch", "B", "branch, tag or commit (the repository's HEAD)", 'b'},
    {"token-stdin", NULL, "read an HTTPS token for the repository from standard input", 0},
    {"no-token", NULL, "forget the HTTPS token", 0},
    {"poll", "EVERY", "look at the branch without a hook: 10m, 1h; off (off)", 0},
    END,
};
static const struct cli_flag env_set[] = {
    {"plain", NULL, "no secret: the value can be shown", 0},
    {"build", NULL, "also given to build and checks", 0},
    END,
};
#define HOOK_SETTINGS                                                                              \
	{"from", "RANGE", "only from these addresses, or github's; 'any' takes the rule away; may be repeated", 0}, \
	    {"event", "KIND", "only these, as the sender calls them; globs; likewise", 0},         \
	    {"path", "GLOB", "only pushes that change such files; likewise", 0},                   \
	    {"field", "/A/B=GLOB", "only bodies in which it fits; likewise", 0},                   \
	    {"limit", "N[/B]", "at most N deliveries a minute, B at once; or 'none'", 0},          \
	    {"action", "WHAT", "what follows, in order: deploy, check, check=forks, notify, notify=CHANNEL,CHANNEL, forward=CHANNEL, run=COMMAND; may be repeated; 'default' for a deploy", 0}
#define HOOK_GITHUB                                                                                \
	{"github", "OWNER/REPO", "ask GitHub after each start for what it could not deliver; 'none' for never", 0}, \
	    {"github-hook", "N", "the hook's number there (found by its address)", 0},             \
	    {"github-api", "URL", "of a GitHub Enterprise Server: https://HOST/api/v3", 0},        \
	    {"github-token-stdin", NULL, "read a token that may look at deliveries (admin:repo_hook) from standard input", 0}
/* clang-format off */
static const struct cli_flag hooks_create[] = {
    {"sender", "S", "github, gitlab, gitea, forgejo, gogs, bitbucket, bitbucket-server, particle, standard, stripe, generic, bearer, huggingface or alertmanager (github)", 0},
    {"branch", "B", "only pushes of this branch (the project's)", 'b'},
    {"secret-stdin", NULL, "read the sender's own secret from standard input", 0},
    HOOK_SETTINGS,
    HOOK_GITHUB,
    END,
};
static const struct cli_flag hooks_set[] = {
    {"branch", "B", "only pushes of this branch; 'any' for the project's", 'b'},
    HOOK_SETTINGS,
    HOOK_GITHUB,
    END,
};
static const struct cli_flag hooks_catch_up[] = {
    {"since", "DURATION", "how far back, at most 3d (from where the last time ended)", 0},
    {"refused", NULL, "what we refused ourselves, too: after a wrong secret was mended", 0},
    {"no-wait", NULL, "do not wait for the end", 0},
    END,
};
static const struct cli_flag hooks_rotate[] = {
    {"keep", "DURATION", "how long the old one is good, too: 0s to 30d (1d)", 0},
    {"secret-stdin", NULL, "read the sender's own secret from standard input", 0},
    END,
};
#define PLATFORM                                                                                   \
	{                                                                                          \
		"platform", NULL, "the platform's own channels, told of every project", 0          \
	}
static const struct cli_flag notify[] = {PLATFORM, END};
static const struct cli_flag notify_list[] = {PLATFORM, LIMIT, END};
static const struct cli_flag notify_delete[] = {PLATFORM, YES, END};
static const struct cli_flag notify_set[] = {
    PLATFORM,
    {"target", "T", "mail addresses, a URL, a Matrix room or a repository of GitHub's API", 0},
    {"events", "LIST", "such as deploy.failed or 'deploy.* rollback.*' (*)", 0},
    {"deployments", "yes|no", "github: deploys and rollbacks become its deployments, too (no)", 0},
    {"secret-stdin", NULL, "read the secret, token or chat's address from standard input", 0},
    END,
};
static const struct cli_flag mail_set[] = {
    {"host", "HOST", "the mail server", 0},
    {"port", "N", "its port (587)", 0},
    {"tls", "HOW", "starttls, tls or none (starttls)", 0},
    {"from", "ADDRESS", "the sender", 0},
    {"user", "NAME", "whom to authenticate as (nobody)", 0},
    {"password-stdin", NULL, "read the password from standard input", 0},
    END,
};
/* clang-format on */
static const struct cli_flag tasks_show[] = {
    {"follow", NULL, "show its steps until it ends", 'f'}, VERBOSE, END};
static const struct cli_flag login[] = {
    {"name", "NAME", "what to call it (its host name)", 0},
    {"token-file", "F", "read the token from this file", 0},
    {"token-stdin", NULL, "read the token from standard input", 0},
    {"fingerprint", "SHA256", "accept a self-signed certificate with this one", 0},
    END,
};
static const struct cli_flag tokens_create[] = {
    {"label", "TEXT", "what it is for", 0},
    {"operator", "NAME", "owners only: whose (yours)", 0},
    {"expires", "DURATION", "30d, 12h (never)", 0},
    END,
};
static const struct cli_flag tokens_list[] = {
    {"operator", "NAME", "owners only: whose (yours)", 0}, END};
static const struct cli_flag operators_create[] = {
    {"role", "ROLE", "on everything: none, viewer, deployer, admin or owner (none)", 0}, END};
static const struct cli_flag yes[] = {YES, END};
static const struct cli_flag audit[] = {
    {"advice", NULL, "instead: what would harden the host, why, and what to type; changes nothing", 0},
    {"no-report", NULL, "write no report below /var/log/slipway", 0},
    {"tell", NULL, "tell the platform's channels what is CRITICAL", 0}, END};
static const struct cli_flag admin_logs[] = {
    {"follow", NULL, "go on as lines come", 'f'}, END};
static const struct cli_flag setup[] = {
    {"domain", "HOST", "the platform's own host name (slipway.localhost)", 'd'},
    {"http", "PORT", "where projects are served (80)", 0},
    {"https", "PORT", "and over HTTPS; none (443 beside 80)", 0},
    {"tls", "PRESET", "intermediate or strict (intermediate)", 0},
    {"edge", "SERVER", "the web server: nginx or apache (nginx)", 0},
    {"nginx-sites", "YES", "yes: a project may be the web server's configuration; read SECURITY.md first (no)", 0},
    {"trusted-proxies", "LIST", "proxies in front of the web server, addresses and CIDRs by commas, that may say whom they have; none: no more (none)", 0},
    {"acme", "URL", "the authority that certificates come from (Let's Encrypt)", 0},
    {"acme-mail", "ADDRESS", "where it may write to", 0},
    {"dns-hook", "PROGRAM", "puts records into the DNS: projects also answer as NAME.HOST, with one certificate for all; none: no more", 0},
    {"postgres", "URL", "the PostgreSQL where projects get databases, without a password; none: this machine's (this machine's)", 0},
    {"rabbitmq", "URL", "the management API of the RabbitMQ where projects get brokers, with a user and without a password; none: no more", 0},
    {"rabbitmq-ca", "FILE", "trust these certificate authorities for asking it; none: the system's", 0},
    {"address", "A", "on which address of this machine (0.0.0.0: all)", 0},
    {"undo", NULL, "take everything away: projects, data, users, services", 0},
    YES,
    END,
};

/* clang-format off */
static const struct cli_command table[] = {
	{"create", "NAME", "make a project", "slipway create shop --git git@github.com:anna/shop.git --branch main --hook github", create, 1, 1, false, cmd_create},
	{"list", "", "projects that you may see", "slipway list", none, 0, 0, false, cmd_list},
	{"info", "[NAME]", "settings of a project", "slipway info shop", none, 0, 1, false, cmd_info},
	{"source", "[NAME]", "where code comes from; with flags: from where it comes now", "slipway source shop\nslipway source shop --git git@github.com:anna/shop.git --branch main", source, 0, 1, false, cmd_source},
	{"open", "[NAME]", "print where it answers, and show it in a browser", "slipway open shop", none, 0, 1, false, cmd_open},
	{"plan", "[NAME] [DIR]", "show what a deploy would do, without doing it", "slipway plan shop --ref main", plan, 0, 2, false, cmd_plan},
	{"deploy", "[NAME] [DIR]", "deploy the project's source, or a directory of yours", "slipway deploy shop --ref v1.2\nslipway deploy shop .", deploy, 0, 2, false, cmd_deploy},
	{"cancel", "[NAME|TASK]", "cancel a task; from the switch on it completes", "slipway cancel shop", none, 0, 1, false, cmd_cancel},
	{"status", "[NAME]", "what runs now, and what happened last", "slipway status shop", none, 0, 1, false, cmd_status},
	{"releases", "[NAME] [RELEASE]", "releases, newest first, or one of them", "slipway releases shop 14", list, 0, 2, false, cmd_releases},
	{"rollback", "[NAME] [RELEASE]", "go back to an earlier release", "slipway rollback shop\nslipway rollback shop 12", rollback, 0, 2, false, cmd_rollback},
	{"logs", "[NAME]", "what the programs print", "slipway logs shop -f --process web", logs, 0, 1, false, cmd_logs},
	{"ps", "[NAME]", "processes and their instances", "slipway ps shop", none, 0, 1, false, cmd_ps},
	{"scale", "[NAME] PROCESS=N...", "how many instances of a process", "slipway scale shop web=2 worker=1", follow, 1, 20, false, cmd_scale},
	{"restart", "[NAME]", "restart, without a lost request", "slipway restart shop --process web", restart, 0, 1, false, cmd_restart},
	{"stop", "[NAME]", "stop a project; overtakes a running deploy", "slipway stop shop", follow, 0, 1, false, cmd_stop},
	{"start", "[NAME]", "start a stopped project", "slipway start shop", follow, 0, 1, false, cmd_start},
	{"run", "[NAME] -- CMD...", "run a command in the live release", "slipway run shop -- python3 manage.py shell", none, 0, 1, true, cmd_run},
	{"env list", "[NAME]", "the environment; secrets without values", "slipway env list shop", none, 0, 1, false, cmd_env_list},
	{"env set", "[NAME] KEY=VALUE...", "set variables; KEY=- reads standard input", "slipway env set shop STRIPE_KEY=sk_1 --build\nslipway env set shop TLS_KEY=- < key.pem", env_set, 1, 500, false, cmd_env_set},
	{"env unset", "[NAME] KEY...", "unset variables", "slipway env unset shop STRIPE_KEY", none, 1, 500, false, cmd_env_unset},
	{"domains list", "[NAME]", "host names", "slipway domains list shop", none, 0, 1, false, cmd_domains_list},
	{"domains add", "[NAME] DOMAIN", "claim a host name", "slipway domains add shop shop.example.org", follow, 1, 2, false, cmd_domains_add},
	{"domains remove", "[NAME] DOMAIN", "give a host name up", "slipway domains remove shop shop.example.org", follow, 1, 2, false, cmd_domains_remove},
	{"services list", "[NAME]", "databases and brokers made for a project", "slipway services list shop", none, 0, 1, false, cmd_services_list},
	{"services add", "[NAME] TYPE", "have a database or a broker made: postgres, rabbitmq", "slipway services add shop postgres\nslipway services add shop rabbitmq --name queue", services_add, 1, 2, false, cmd_services_add},
	{"services credentials", "[NAME] WHICH", "how the project reaches it, with its password", "slipway services credentials shop db", none, 1, 2, false, cmd_services_credentials},
	{"services backup", "[NAME]", "the same as 'slipway backup': an archive holds a dump of each database, nothing of a broker", "slipway services backup shop", backup, 0, 1, false, cmd_backup},
	{"services remove", "[NAME] WHICH", "drop a database or a broker with all that is in it", "slipway services remove shop db", services_remove, 1, 2, false, cmd_services_remove},
	{"limits", "[NAME] [LIMIT=VALUE...]", "what it may use at most, whatever its manifest says; LIMIT=none takes one away", "slipway limits shop\nslipway limits shop memory=512M cpu=1.5 build-time=10m", none, 0, 8, false, cmd_limits},
	{"devices list", "[NAME]", "devices of the server that its programs may open", "slipway devices list render", none, 0, 1, false, cmd_devices_list},
	{"devices grant", "[NAME] DEVICE", "let its programs open a kind of device: gpu", "slipway devices grant render gpu", none, 1, 2, false, cmd_devices_grant},
	{"devices revoke", "[NAME] DEVICE", "take that back; what runs starts anew, without", "slipway devices revoke render gpu", follow, 1, 2, false, cmd_devices_revoke},
	{"certs list", "", "certificates from outside, and when each is tried again", "slipway certs list", none, 0, 0, false, cmd_certs_list},
	{"sites", "[NAME]", "sites of an nginx-site project; with flags: which of them are served here", "slipway sites web\nslipway sites web --rule 'exclude=*' --rule include=a.example.org,b.example.org", sites, 0, 1, false, cmd_sites},
	{"certs show", "[NAME]", "the certificate that serves a project", "slipway certs show shop\nslipway certs show --platform", certs_show, 0, 1, false, cmd_certs_show},
	{"certs issue", "[NAME]", "order a certificate for the project's domains; http then leads to https", "slipway certs issue shop --staging\nslipway certs issue shop\nslipway certs issue --wildcard", certs_issue, 0, 1, false, cmd_certs_issue},
	{"certs renew", "[NAME]", "order another now; by itself at two thirds of its life", "slipway certs renew shop", certs_renew, 0, 1, false, cmd_certs_renew},
	{"certs revoke", "[NAME]", "have the authority revoke it, and take it away", "slipway certs revoke shop --yes", certs_away, 0, 1, false, cmd_certs_revoke},
	{"certs delete", "[NAME]", "take it away; the one that signs itself serves", "slipway certs delete shop --yes", certs_away, 0, 1, false, cmd_certs_delete},
	{"certs import", "[NAME]", "install a certificate that you have", "slipway certs import shop --chain fullchain.pem --key privkey.pem", certs_import, 0, 1, false, cmd_certs_import},
	{"hooks list", "[NAME]", "endpoints for signed events", "slipway hooks list shop", list, 0, 1, false, cmd_hooks_list},
	{"hooks create", "[NAME] [HOOK]", "make a hook; its secret is shown once", "slipway hooks create shop shop-push --sender github\nslipway hooks create shop door --sender particle --action notify=team --action 'run=python3 manage.py ingest'", hooks_create, 0, 2, false, cmd_hooks_create},
	{"hooks show", "[NAME] HOOK", "one hook", "slipway hooks show shop shop", none, 1, 2, false, cmd_hooks_show},
	{"hooks set", "[NAME] HOOK", "change what a hook takes", "slipway hooks set shop shop --github anna/shop --github-token-stdin < token\nslipway hooks set shop shop --from github --path 'src/**'\nslipway hooks set shop shop --action check --action deploy --action notify=team", hooks_set, 1, 2, false, cmd_hooks_set},
	{"hooks test", "[NAME] HOOK", "send it a signed ping, by the way that senders take", "slipway hooks test shop shop", none, 1, 2, false, cmd_hooks_test},
	{"hooks catch-up", "[NAME] HOOK", "ask GitHub again for what it could not deliver", "slipway hooks catch-up shop shop --since 6h", hooks_catch_up, 1, 2, false, cmd_hooks_catch_up},
	{"hooks pause", "[NAME] HOOK", "what arrives is stored, and nothing follows", "slipway hooks pause shop shop", none, 1, 2, false, cmd_hooks_pause},
	{"hooks resume", "[NAME] HOOK", "the end of a pause", "slipway hooks resume shop shop", none, 1, 2, false, cmd_hooks_resume},
	{"hooks rotate", "[NAME] HOOK", "a new secret, shown once; the old one is good for a while", "slipway hooks rotate shop shop --keep 1h", hooks_rotate, 1, 2, false, cmd_hooks_rotate},
	{"hooks events", "[NAME]", "what arrived, newest first; the same as events list", "slipway hooks events shop --hook shop", events_list, 0, 1, false, cmd_events_list},
	{"hooks replay", "[NAME] EVENT", "look at the event's branch again, or begin its hook's actions; the same as events replay", "slipway hooks replay shop 31", follow, 1, 2, false, cmd_events_replay},
	{"hooks delete", "[NAME] HOOK", "take a hook away, with its events", "slipway hooks delete shop shop --yes", yes, 1, 2, false, cmd_hooks_delete},
	{"notify list", "[NAME]", "channels: whom a project tells of what happens", "slipway notify list shop\nslipway notify list --platform", notify, 0, 1, false, cmd_notify_list},
	{"notify add", "[NAME] CHANNEL TYPE", "make a channel: mail, webhook, slack, discord, matrix or github", "slipway notify add shop team mail --target 'anna@example.org bo@example.org' --events 'deploy.failed rollback.*'\nslipway notify add shop state github --target https://api.github.com/repos/anna/shop --deployments yes --secret-stdin < token", notify_set, 2, 3, false, cmd_notify_add},
	{"notify show", "[NAME] CHANNEL", "one channel", "slipway notify show shop team", notify, 1, 2, false, cmd_notify_show},
	{"notify set", "[NAME] CHANNEL", "change a channel", "slipway notify set shop team --events '*'", notify_set, 1, 2, false, cmd_notify_set},
	{"notify test", "[NAME] CHANNEL", "tell a test", "slipway notify test shop team", notify, 1, 2, false, cmd_notify_test},
	{"notify pause", "[NAME] CHANNEL", "tell nothing more; what waits stays", "slipway notify pause shop team", notify, 1, 2, false, cmd_notify_pause},
	{"notify resume", "[NAME] CHANNEL", "go on, also when it was switched off", "slipway notify resume shop team", notify, 1, 2, false, cmd_notify_resume},
	{"notify delete", "[NAME] CHANNEL", "take a channel away", "slipway notify delete shop team --yes", notify_delete, 1, 2, false, cmd_notify_delete},
	{"notify deliveries", "[NAME] CHANNEL", "what a channel was told, newest first", "slipway notify deliveries shop team", notify_list, 1, 2, false, cmd_notify_deliveries},
	{"notify delivery", "[NAME] CHANNEL N", "one delivery, with each try", "slipway notify delivery shop team 12", notify, 2, 3, false, cmd_notify_delivery},
	{"notify replay", "[NAME] CHANNEL N", "tell it again, under the same id", "slipway notify replay shop team 12", notify, 2, 3, false, cmd_notify_replay},
	{"notify events", "", "what a channel can listen to", "slipway notify events", none, 0, 0, false, cmd_notify_events},
	{"mail show", "", "how mail is sent", "slipway mail show", none, 0, 0, false, cmd_mail_show},
	{"mail set", "", "set how mail is sent", "slipway mail set --host smtp.example.org --from slipway@example.org --user slipway --password-stdin < password", mail_set, 0, 0, false, cmd_mail_set},
	{"mail remove", "", "send no more mail", "slipway mail remove", none, 0, 0, false, cmd_mail_remove},
	{"events list", "[NAME]", "what arrived, newest first", "slipway events list shop --hook door", events_list, 0, 1, false, cmd_events_list},
	{"events show", "[NAME] EVENT", "one event, with its body; --follow its task, to the end", "slipway events show shop 31", tasks_show, 1, 2, false, cmd_events_show},
	{"events replay", "[NAME] EVENT", "look at the event's branch again, or begin its hook's actions", "slipway events replay shop 31", follow, 1, 2, false, cmd_events_replay},
	{"tasks", "[NAME|TASK]", "tasks, newest first, or one with its steps", "slipway tasks shop\nslipway tasks 57", list, 0, 1, false, cmd_tasks},
	{"tasks log", "TASK", "what it did and said, as its link in a commit's status shows it", "slipway tasks log 57", none, 1, 1, false, cmd_tasks_log},
	{"tasks show", "TASK", "one task with its steps; --follow goes on to its end", "slipway tasks show 57 --follow", tasks_show, 1, 1, false, cmd_tasks_show},
	{"login", "[URL]", "remember a server; without URL list them", "slipway login https://paas.example.org --token-file token", login, 0, 1, false, cmd_login},
	{"login forget", "SERVER", "forget a server and its token", "slipway login forget paas.example.org", none, 1, 1, false, cmd_login_forget},
	{"tokens list", "", "your tokens", "slipway tokens list", tokens_list, 0, 0, false, cmd_tokens_list},
	{"tokens create", "", "make a token, shown once", "slipway tokens create --label laptop --expires 90d", tokens_create, 0, 0, false, cmd_tokens_create},
	{"tokens revoke", "TOKEN", "revoke a token by its number", "slipway tokens revoke 3", none, 1, 1, false, cmd_tokens_revoke},
	{"operators list", "", "people and machines", "slipway operators list", none, 0, 0, false, cmd_operators_list},
	{"operators create", "NAME", "make an operator", "slipway operators create anna --role deployer", operators_create, 1, 1, false, cmd_operators_create},
	{"operators delete", "NAME", "take an operator away, with tokens and grants", "slipway operators delete anna --yes", yes, 1, 1, false, cmd_operators_delete},
	{"grants list", "", "roles on projects", "slipway grants list", none, 0, 0, false, cmd_grants_list},
	{"grants set", "OPERATOR PROJECT ROLE", "give a role: viewer, deployer, admin or owner", "slipway grants set anna shop deployer", none, 3, 3, false, cmd_grants_set},
	{"grants remove", "OPERATOR PROJECT", "take a role away", "slipway grants remove anna shop", none, 2, 2, false, cmd_grants_remove},
	{"backup", "[NAME]", "make a sealed archive of settings, data and the live release", "slipway backup shop\nslipway backup shop --passphrase-stdin --output shop.backup < passphrase", backup, 0, 1, false, cmd_backup},
	{"backups list", "[NAME]", "its archives", "slipway backups list shop\nslipway backups list --destroyed", backups_list, 0, 1, false, cmd_backups_list},
	{"backups show", "[NAME] [BACKUP]", "one archive; without a name of it the newest", "slipway backups show shop", none, 0, 2, false, cmd_backups_show},
	{"backups download", "[NAME] [BACKUP]", "fetch an archive, still sealed", "slipway backups download shop -o shop.backup", backups_download, 0, 2, false, cmd_backups_download},
	{"backups delete", "[NAME] [BACKUP]", "delete an archive", "slipway backups delete shop 20261126T202408Z-1a2b3c", backups_delete, 0, 2, false, cmd_backups_delete},
	{"restore", "NAME [BACKUP]", "bring back what an archive holds: data, release, settings, environment; also of a destroyed project", "slipway restore shop\nslipway restore shop --from shop.backup --passphrase-stdin < passphrase", restore, 0, 2, false, cmd_restore},
	{"destroy", "[NAME]", "take a project away, with all that belongs to it; a sealed archive is kept for 7 days", "slipway destroy shop", destroy, 0, 1, false, cmd_destroy},
	{"validate", "", "look whether this server is as setup made it; for root", "slipway validate", none, 0, 0, false, cmd_validate},
	{"audit", "", "look whether this server is safe; for root", "slipway audit --json\nslipway audit --advice", audit, 0, 0, false, cmd_audit},
	{"admin status", "", "user, processes, units, sizes, uses of sudo; for root, as all of admin", "slipway admin status", none, 0, 0, false, cmd_admin_status},
	{"admin shell", "", "a shell as the daemon's user", "slipway admin shell", none, 0, 0, false, cmd_admin_shell},
	{"admin run", "-- CMD...", "a command as the daemon's user", "slipway admin run -- ls -l /var/lib/slipway/keys", none, 0, 0, true, cmd_admin_run},
	{"admin fix-permissions", "", "bring owners and modes back", "slipway admin fix-permissions", none, 0, 0, false, cmd_admin_fix_permissions},
	{"admin logs", "[LOG]", "list logs, or show one", "slipway admin logs slipwayd -f", admin_logs, 0, 1, false, cmd_admin_logs},
	{"admin sudo-audit", "", "what was done as root in the last day", "slipway admin sudo-audit", none, 0, 0, false, cmd_admin_sudo_audit},
	{"admin validate", "", "the same as validate", "slipway admin validate", none, 0, 0, false, cmd_validate},
	{"admin deployments", "", "every project: its release, whether it runs; their size", "slipway admin deployments", none, 0, 0, false, cmd_admin_deployments},
	{"admin backup", "", "archive the store and the keys below /var/lib/slipway/backups", "slipway admin backup", none, 0, 0, false, cmd_admin_backup},
	{"admin restore", "", "put such an archive of store and keys in the place of what is there", "slipway admin restore --state state-20261126_202408.tar.gz --keys keys-20261126_202408.tar.gz", admin_restore, 0, 0, false, cmd_admin_restore},
	{"edge reload", "", "have the web server read everything anew, without a lost request", "slipway edge reload", none, 0, 0, false, cmd_edge_reload},
	{"setup", "", "make a server of this machine, or take that away; for root", "slipway setup --domain paas.example.org\nslipway setup --undo", setup, 0, 0, false, cmd_setup},
	{"version", "", "this program's version, and the server's", "slipway version", none, 0, 0, false, cmd_version},
	{"completion", "bash|zsh|fish", "print a completion script", "slipway completion bash > ~/.local/share/bash-completion/completions/slipway", none, 1, 1, false, cmd_completion},
	{"help", "[COMMAND]", "help on a command", "slipway help deploy", none, 0, 2, false, cmd_help},
};
/* clang-format on */

const struct cli_command *cli_commands(size_t *ret_count)
{
	*ret_count = sizeof(table) / sizeof(*table);
	return table;
}

const struct cli_flag *cli_global_flags(void)
{
	return global_flags;
}

const struct cli_command *commands_find(const char *name)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

bool commands_is_group(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strncmp(table[i].name, name, n) == 0 && table[i].name[n] == ' ')
			return true;
	return false;
}

/* `slipway events shop` lists, when the word can be a project and is not nearly a command. */
static const struct cli_command *list_of(const char *group, const struct err *e, const char *word)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "%.20s list", group);
	const struct cli_command *k = commands_find(name);
	bool can = k && k->words_max > 0 && strncmp(e->hint, "did", 3) != 0;
	return can && name_project(str_c(word), NULL) == 0 ? k : NULL;
}

/* The nearest name as the hint; `group` NULL: among first words, else among the group's second
 * ones. */
static void suggest(const char *word, const char *group, struct err *e)
{
	const char *best = NULL;
	size_t least = SIZE_MAX, skip = group ? strlen(group) + 1 : 0;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char name[32];
		const char *from = table[i].name;
		if (group && (strncmp(from, group, skip - 1) != 0 || from[skip - 1] != ' '))
			continue;
		(void)snprintf(
		    name, sizeof(name), "%.*s", (int)strcspn(from + skip, " "), from + skip);
		size_t d = args_distance(word, name);
		if (d < least && args_near(word, name)) {
			least = d;
			best = from;
		}
	}
	if (best && group)
		err_hint(e, "did you mean 'slipway %s'?", best);
	else if (best)
		err_hint(e, "did you mean 'slipway %.*s'?", (int)strcspn(best, " "), best);
	else
		err_hint(e, "slipway %s%s--help", group ? group : "", group ? " " : "");
}

const struct cli_command *commands_match(int argc, char *const *argv, int *ret_used, struct err *e)
{
	char name[64];
	if (argc >= 2 &&
	    snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]) < (int)sizeof(name)) {
		const struct cli_command *k = commands_find(name);
		*ret_used = 2;
		if (k)
			return k;
	}
	*ret_used = 1;
	const struct cli_command *k = strchr(argv[0], ' ') ? NULL : commands_find(argv[0]);
	if (k)
		return k;
	if (!commands_is_group(argv[0])) {
		err_set(e, ERR_USAGE, "there is no command '%.60s'", argv[0]);
		suggest(argv[0], NULL, e);
		return NULL;
	}
	if (argc >= 2 && argv[1][0] != '-') {
		err_set(e, ERR_USAGE, "there is no command '%.60s %.60s'", argv[0], argv[1]);
		suggest(argv[1], argv[0], e);
		return list_of(argv[0], e, argv[1]);
	}
	(void)snprintf(name, sizeof(name), "%.20s list", argv[0]);
	const struct cli_command *alone = commands_find(name);
	if (!alone) {
		err_set(e, ERR_USAGE, "'slipway %.20s' alone does nothing", argv[0]);
		err_hint(e, "slipway %.20s --help", argv[0]);
	}
	return alone;
}
