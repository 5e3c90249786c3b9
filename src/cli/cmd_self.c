/* The program itself: servers it knows, version, completion, help. */
#include "cli/commands.h"
#include "cli/servers.h"

#include "base/fs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TOKEN_MAX 4096

static int list_servers(struct cli *c)
{
	static const char *const heads[] = {"SERVER", "ADDRESS", "CERTIFICATE", ""};
	struct err e = {0};
	struct out_table t;
	const char *name;
	json_t *one;
	CLEANUP_JSON json_t *all = servers_read(&e);
	if (!all)
		return cli_fail(c, &e);
	json_t *list = json_object_get(all, "servers");
	const char *usual = cli_raw(all, "default");
	if (c->json) { /* without the tokens */
		json_object_foreach(list, name, one)(void) json_object_del(one, "token");
		cli_print_json(all);
		return 0;
	}
	if (json_object_size(list) == 0) {
		(void)printf("no servers yet: slipway login https://HOST\n");
		return 0;
	}
	out_table_init(&t, &c->a, 4, heads);
	json_object_foreach(list, name, one)
	{
		const char *row[] = {out_safe(&c->a, str_c(name)), cli_text(c, one, "url"),
		    cli_raw(one, "pin") ? "pinned" : "",
		    usual && strcmp(usual, name) == 0 ? "default" : ""};
		out_table_row(&t, row);
	}
	out_table_print(&t, stdout);
	out_table_fini(&t);
	return 0;
}

static const char *token_from_file(struct cli *c, const char *path, struct err *e)
{
	char text[TOKEN_MAX];
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n < 0) {
		err_sys(e, ERR_USAGE, errno, "cannot read the token from '%.200s'", path);
		return NULL;
	}
	const char *kept = arena_cstr(&c->a, str_trim((struct str){text, (size_t)n}));
	if (!kept)
		err_set(e, ERR_INVALID, "'%.200s' holds no token", path);
	return kept;
}

/* Asks without showing what is typed. */
static const char *token_from_terminal(struct cli *c, struct err *e)
{
	if (!isatty(STDIN_FILENO)) {
		err_set(e, ERR_USAGE, "a token is needed, and there is no terminal to ask on");
		err_hint(e, "say --token-file FILE or --token-stdin");
		return NULL;
	}
	/* getpass is marked obsolete, but does exactly this. */
	const char *typed = getpass("token: ");
	return typed ? arena_cstr(&c->a, str_trim(str_c(typed))) : NULL;
}

static const char *token_of(struct cli *c, struct err *e)
{
	const char *file = cli_flag(c, "token-file"), *token;
	if (file)
		token = token_from_file(c, file, e);
	else if (cli_has(c, "token-stdin"))
		token = cli_stdin(c, TOKEN_MAX, e);
	else
		token = token_from_terminal(c, e);
	if (token && (!token[0] || strpbrk(token, " \r\n\t"))) {
		err_set(e, ERR_INVALID, "that is no token");
		return NULL;
	}
	return token;
}

/* Hexadecimal digits alone, so that colons and case do not matter. */
static bool same_fingerprint(const char *a, const char *b)
{
	for (;;) {
		while (*a == ':' || *a == ' ')
			a++;
		while (*b == ':' || *b == ' ')
			b++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (!*a)
			return true;
		a++, b++;
	}
}

/* The server's certificate is signed by nobody we know: shows it and asks. */
static int agree_on_key(
    struct cli *c, const struct net_server *s, char pin[NET_PIN_SIZE], struct err *e)
{
	char fingerprint[NET_FINGERPRINT_SIZE];
	const char *said = cli_flag(c, "fingerprint");
	if (net_certificate(c->net, fingerprint, pin, e) < 0)
		return -1;
	if (said) {
		if (same_fingerprint(said, fingerprint))
			return 0;
		err_set(e, ERR_FORBIDDEN, "the certificate's fingerprint is %s", fingerprint);
		return err_hint(
		    e, "that is not what --fingerprint says: somebody may be listening");
	}
	const char *question = arena_printf(&c->a,
	    "%s shows a certificate that no authority of this machine signed.\n"
	    "SHA-256 fingerprint: %s\n"
	    "Compare it on the server. Type 'yes' to trust this key from now on: ",
	    s->url, fingerprint);
	int sure = cli_ask(question ? question : "trust it? ", "yes", e);
	if (sure < 0)
		return err_hint(e, "say --fingerprint %s when it is the server's", fingerprint);
	return sure ? 0 : err_set(e, ERR_CANCELLED, "nothing was done: the key is not trusted");
}

/* What a server is called when nobody says: its host. */
static const char *default_name(struct cli *c, const char *url)
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	const char *name = arena_printf(&c->a, "%.*s", (int)strcspn(host, ":/"), host);
	return name && name[0] ? name : "server";
}

int cmd_login(struct cli *c)
{
	struct err e = {0};
	char pin[NET_PIN_SIZE];
	CLEANUP_JSON json_t *who = NULL;
	if (c->args.word_count == 0)
		return list_servers(c);
	struct str url = str_c(c->args.words[0]);
	while (str_ends(url, STR("/")))
		url.n--;
	struct net_server s = {.url = arena_cstr(&c->a, url), .insecure = cli_has(c, "insecure")};
	const char *name = cli_flag(c, "name") ? cli_flag(c, "name") : default_name(c, s.url);
	if (strcmp(name, "local") == 0)
		return cli_usage(c, "'local' means the socket of this machine");
	c->net = net_open(&s, &e); /* the address is judged before anybody is asked for a secret */
	if (!c->net)
		return cli_fail(c, &e);
	if (cli_call(c, "GET", "/api/v1/version", NULL, NULL, &e) < 0) {
		if (!net_untrusted(c->net) || agree_on_key(c, &s, pin, &e) < 0)
			return cli_fail(c, &e);
		s.pin = pin;
	}
	s.token = token_of(c, &e);
	net_close(c->net);
	c->net = s.token ? net_open(&s, &e) : NULL;
	if (!c->net || cli_call(c, "GET", "/api/v1/whoami", NULL, &who, &e) < 0 ||
	    servers_save(name, &s, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(who);
	else
		(void)printf("logged in to %s as %s; it is the default now (--server %s)\n",
		    out_safe(&c->a, str_c(s.url)), cli_text(c, who, "name"),
		    out_safe(&c->a, str_c(name)));
	return 0;
}

int cmd_login_forget(struct cli *c)
{
	struct err e = {0};
	const char *name = c->args.words[0];
	int found = servers_forget(name, &e);
	if (found == 0)
		err_set(&e, ERR_NOT_FOUND, "there is no server '%.60s'", name);
	if (found <= 0)
		return cli_fail(c, &e);
	(void)printf("%s was forgotten; its token is still valid: slipway tokens revoke ends it\n",
	    out_safe(&c->a, str_c(name)));
	return 0;
}

int cmd_version(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *server = NULL;
	bool reached = cli_call(c, "GET", "/api/v1/version", NULL, &server, &e) == 0;
	if (c->json) {
		CLEANUP_JSON json_t *both = json_pack("{s:s}", "version", SLIPWAY_VERSION);
		(void)json_object_set(both, "server", server ? server : json_null());
		cli_print_json(both);
		return 0;
	}
	(void)printf("slipway %s\n", SLIPWAY_VERSION);
	if (reached)
		(void)printf("server  %s at %s\n", cli_text(c, server, "version"),
		    out_safe(&c->a, str_c(net_name(c->net))));
	else
		(void)printf("server  none: %s\n", out_safe(&c->a, str_c(e.msg)));
	return 0;
}

int cmd_completion(struct cli *c)
{
	if (completion_write(c->args.words[0], stdout) == 0)
		return 0;
	return cli_usage(c, "there is no completion for '%.40s'", c->args.words[0]);
}

int cmd_help(struct cli *c)
{
	struct err e = {0};
	char *words[3] = {NULL};
	int used, n = (int)c->args.word_count;
	if (n == 0) {
		help_all(stdout);
		return 0;
	}
	for (int i = 0; i < n; i++)
		words[i] = arena_cstr(&c->a, str_c(c->args.words[i]));
	if (n == 1 && commands_is_group(words[0]) && !commands_find(words[0])) {
		help_group(words[0], stdout);
		return 0;
	}
	const struct cli_command *k = commands_match(n, words, &used, &e);
	if (!k)
		return cli_fail(c, &e);
	help_command(k, stdout);
	return 0;
}
