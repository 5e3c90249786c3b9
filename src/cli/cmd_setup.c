/* `slipway setup`: shows what setup/ would do, asks once, lets it be done. */
#include "cli/commands.h"

#include "cli/servers.h"
#include "setup/setup.h"

#include <string.h>
#include <unistd.h>

static int read_texts(struct cli *c, struct setup *s, struct err *e)
{
	const struct {
		const char *flag;
		char *to;
		size_t size;
	} texts[] = {{"dns-hook", s->dns_hook, sizeof(s->dns_hook)},
	    {"postgres", s->postgres, sizeof(s->postgres)},
	    {"rabbitmq", s->rabbitmq, sizeof(s->rabbitmq)},
	    {"rabbitmq-ca", s->rabbitmq_ca, sizeof(s->rabbitmq_ca)},
	    {"trusted-proxies", s->trusted_proxies, sizeof(s->trusted_proxies)}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *value = cli_flag(c, texts[i].flag);
		if (value && (!value[0] || !str_copy(str_c(value), texts[i].to, texts[i].size)))
			return err_set(e, ERR_USAGE, "--%s is empty or too long", texts[i].flag);
	}
	return 0;
}

static int read_flags(struct cli *c, struct setup *s, struct err *e)
{
	int64_t port = 0;
	const char *domain = cli_flag(c, "domain"), *http = cli_flag(c, "http"),
		   *address = cli_flag(c, "address"), *https = cli_flag(c, "https"),
		   *tls = cli_flag(c, "tls"), *acme = cli_flag(c, "acme"),
		   *mail = cli_flag(c, "acme-mail");
	if (http && cli_number(http, "--http", 1, 65535, &port, e) != 0)
		return -1;
	s->http_port = (uint16_t)port;
	port = 0;
	if (https && strcmp(https, "none") != 0 &&
	    cli_number(https, "--https", 1, 65535, &port, e) != 0)
		return -1;
	s->https_port = (uint16_t)port;
	s->https_said = https != NULL;
	if ((acme && !str_copy(str_c(acme), s->acme, sizeof(s->acme))) ||
	    (mail && !str_copy(str_c(mail), s->acme_mail, sizeof(s->acme_mail))))
		return err_set(e, ERR_USAGE, "an address that long cannot be one");
	const char *sites = cli_flag(c, "nginx-sites");
	if (sites && !str_copy(str_c(sites), s->nginx_sites, sizeof(s->nginx_sites)))
		return err_set(e, ERR_USAGE, "--nginx-sites is yes or no");
	if (read_texts(c, s, e) != 0)
		return -1;
	const char *edge = cli_flag(c, "edge");
	if (edge && !str_copy(str_c(edge), s->edge, sizeof(s->edge)))
		return err_set(e, ERR_USAGE, "--edge is nginx or apache");
	if (tls && !str_copy(str_c(tls), s->tls, sizeof(s->tls)))
		return err_set(e, ERR_USAGE, "--tls is intermediate or strict");
	if ((domain && !str_copy(str_c(domain), s->domain, sizeof(s->domain))) ||
	    (address && !str_copy(str_c(address), s->address, sizeof(s->address))))
		return err_set(e, ERR_USAGE, "a name that long cannot be one");
	return domain ? name_domain(str_c(domain), e) : 0;
}

static void say(struct cli *c, const char *mark, const char *name, const char *words)
{
	if (!c->json)
		(void)printf("  %s %-11s %s\n", mark, name, out_safe(&c->a, str_c(words)));
}

static void note(json_t *all, const char *name, const char *state, const char *words)
{
	(void)json_array_append_new(
	    all, json_pack("{s:s, s:s, s:s}", "step", name, "state", state, "words", words));
}

/* Looks at every step; which are to be done. -1: one cannot be. */
static int look(
    struct cli *c, struct setup *s, bool *to_do, size_t *ret_left, json_t *all, struct err *e)
{
	size_t count;
	const struct setup_step *steps = setup_steps(&count);
	*ret_left = 0;
	for (size_t i = 0; i < count; i++) {
		enum setup_state state;
		char words[SETUP_WORDS_SIZE] = "";
		if (steps[i].look(s, &state, words, e) != 0)
			return err_prefix(e, "%s", steps[i].name);
		to_do[i] = state == SETUP_TO_DO;
		*ret_left += to_do[i];
		if (!steps[i].make) /* there is nothing to say about it now */
			continue;
		say(c, to_do[i] ? "+" : out_mark(&c->out, OUT_DONE), steps[i].name, words);
		note(all, steps[i].name, to_do[i] ? "to do" : "done", words);
	}
	return 0;
}

static int agree(struct cli *c, const char *question, struct err *e)
{
	if (cli_has(c, "yes"))
		return 0;
	int sure = cli_ask(question, "yes", e);
	if (sure < 0)
		return err_hint(e, "say --yes when it shall be done");
	return sure ? 0 : err_set(e, ERR_CANCELLED, "nothing was done");
}

static int make(struct cli *c, struct setup *s, const bool *to_do, json_t *all, struct err *e)
{
	size_t count;
	const struct setup_step *steps = setup_steps(&count);
	for (size_t i = 0; i < count; i++) {
		/* New settings are heard of by services that run already. */
		bool again = s->restart && i == count - 1;
		if (!to_do[i] && !again)
			continue;
		if (steps[i].make(s, e) != 0)
			return err_prefix(e, "%s", steps[i].name);
		say(c, out_mark(&c->out, OUT_DONE), steps[i].name, "done");
		note(all, steps[i].name, "made", "");
	}
	return 0;
}

static void print_ready(struct cli *c, const struct setup *s, bool changed)
{
	if (c->json)
		return;
	if (!changed)
		(void)printf("everything is there already; nothing was done\n");
	char port[8] = "";
	if (s->http_port != 80)
		(void)snprintf(port, sizeof(port), ":%u", s->http_port);
	(void)printf("Slipway runs on this server.\n"
		     "  projects  http://NAME.localhost%s, and their own domains\n",
	    port);
	if (s->https_port)
		(void)printf("  https     on port %u, with certificates that sign themselves\n",
		    s->https_port);
	if (s->domain[0])
		(void)printf("  platform  http://%s%s\n", s->domain, port);
	(void)printf(
	    "  API       http://127.0.0.1:8000/api/v1, and on this machine the slipway command\n"
	    "  token     /var/lib/slipway/owner.token (the first operator, 'owner'; only root "
	    "and slipwayd can read it)\n"
	    "  next      slipway create shop --git URL --hook github; slipway deploy shop\n"
	    "  host      slipway audit --advice says what would harden this server; nothing of it "
	    "was "
	    "touched\n");
}

static int set_up(struct cli *c, struct setup *s, struct err *e)
{
	bool to_do[16] = {false};
	size_t left;
	CLEANUP_JSON json_t *all = json_array();
	if (look(c, s, to_do, &left, all, e) != 0)
		return -1;
	if (left > 0 && (agree(c, "Type 'yes' to do what is marked with +: ", e) != 0 ||
			    make(c, s, to_do, all, e) != 0))
		return -1;
	print_ready(c, s, left > 0);
	if (c->json)
		cli_print_json(all);
	return 0;
}

static void gone(struct cli *c, json_t *all, const char *name, const char *state, const char *words)
{
	say(c, "-", name, words);
	note(all, name, state, words);
}

/* One project's databases and brokers; what stays is said with its reason. */
static void drop_services(struct cli *c, json_t *all, const char *project)
{
	struct err e = {0};
	CLEANUP_JSON json_t *list = NULL;
	char words[SETUP_WORDS_SIZE];
	size_t i;
	json_t *o;
	if (cli_call(c, "GET", cli_path(c, "projects/{}/services", project, NULL), NULL, &list,
		&e) < 0) {
		(void)snprintf(words, sizeof(words), "of %s: stayed, if there are any: %.200s",
		    project, e.msg);
		gone(c, all, "databases", "stayed", words);
	}
	json_array_foreach(json_object_get(list, "items"), i, o)
	{
		const char *path =
		    cli_path(c, "projects/{}/services/{}", project, cli_text(c, o, "name"), NULL);
		bool done = cli_call(c, "DELETE", path, NULL, NULL, &e) == 0;
		(void)snprintf(words, sizeof(words), "%s '%s'%s%.200s", cli_text(c, o, "type"),
		    cli_text(c, o, "called"), done ? "" : " stayed: ", done ? "" : e.msg);
		gone(c, all, "databases", done ? "gone" : "stayed", words);
	}
}

/* They are on other servers, which the daemon alone can ask: before it ends. Its own socket, whatever
 * server this user's other commands talk to. */
static void drop_all_services(struct cli *c, json_t *all)
{
	struct err e = {0};
	CLEANUP_JSON json_t *projects = NULL;
	size_t i;
	json_t *o;
	if (access(SERVERS_DEFAULT_SOCKET, F_OK) != 0)
		return;
	c->net = net_open(&(struct net_server){.socket = SERVERS_DEFAULT_SOCKET}, &e);
	if (!c->net || cli_list(c, cli_path(c, "projects", NULL), SIZE_MAX, &projects, &e) < 0) {
		char words[SETUP_WORDS_SIZE];
		(void)snprintf(
		    words, sizeof(words), "of projects: stayed, if there are any: %.200s", e.msg);
		gone(c, all, "databases", "stayed", words);
	}
	json_array_foreach(json_object_get(projects, "items"), i, o)
	{
		drop_services(c, all, cli_text(c, o, "name"));
	}
}

static int take_away(struct cli *c, struct setup *s, struct err *e)
{
	size_t count;
	const struct setup_step *steps = setup_steps(&count);
	CLEANUP_JSON json_t *all = json_array();
	if (agree(c,
		"This deletes every project with its data, databases and brokers, all users, "
		"keys, settings and backups of Slipway on this server.\n"
		"Type 'yes' to do it: ",
		e) != 0)
		return -1;
	drop_all_services(c, all);
	for (size_t i = count; i-- > 0;) {
		char words[SETUP_WORDS_SIZE] = "";
		if (steps[i].undo(s, words, e) != 0)
			return err_prefix(e, "%s", steps[i].name);
		if (words[0])
			gone(c, all, steps[i].name, "gone", words);
	}
	if (c->json)
		cli_print_json(all);
	else if (json_array_size(all) == 0)
		(void)printf("there is nothing to take away\n");
	else
		(void)printf(
		    "Slipway's programs are still installed; the package manager removes them\n");
	return 0;
}

int cmd_setup(struct cli *c)
{
	struct err e = {0};
	struct setup s = {0};
	if (read_flags(c, &s, &e) != 0)
		return cli_fail(c, &e);
	if (setup_begin(&s, &e) != 0 ||
	    (cli_has(c, "undo") ? take_away(c, &s, &e) : set_up(c, &s, &e)) != 0)
		return cli_fail(c, &e);
	return 0;
}
