/* Advice on who gets as far as this machine's programs: the firewall, and what bans who guesses. */
#include "inspect/parts.h"

#include "base/num.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RULES_MAX (256u << 10)
#define FOUR 1u
#define SIX 2u
#define BOTH (FOUR | SIX)

/* ---- firewall ---- */

/* Where a line of `nft list ruleset` stands. */
struct place {
	unsigned families; /* of the table; 0: it does not count */
	bool input;	   /* within a chain that packets to this machine pass */
	bool refuses;	   /* the chain, as far as read: by its policy or its last rule */
};

static unsigned families_of(struct str line)
{
	struct str word, family, name;
	if (!str_next(&line, ' ', &word) || !str_next(&line, ' ', &family) ||
	    !str_next(&line, ' ', &name) || str_eq_c(name, "slipway") ||
	    str_starts(name, STR("slipway_")))
		return 0;
	return str_eq_c(family, "inet")	 ? BOTH
	       : str_eq_c(family, "ip")	 ? FOUR
	       : str_eq_c(family, "ip6") ? SIX
					 : 0;
}

/* A rule that begins with its verdict has no condition. */
static bool is_refusal(struct str line)
{
	if (str_starts(line, STR("counter ")))
		line = str_trim(str_from(line, 8));
	return str_eq_c(line, "drop") || str_starts(line, STR("drop ")) ||
	       str_eq_c(line, "reject") || str_starts(line, STR("reject "));
}

static unsigned look_at_line(struct place *at, struct str line)
{
	if (str_starts(line, STR("table ")))
		*at = (struct place){.families = families_of(line)};
	else if (str_starts(line, STR("chain ")))
		at->input = at->refuses = false;
	else if (str_starts(line, STR("type filter hook input ")))
		*at = (struct place){at->families, true, str_contains(line, STR("policy drop;"))};
	else if (at->input && str_eq_c(line, "}")) {
		at->input = false;
		return at->refuses ? at->families : 0;
	} else if (at->input && !at->refuses)
		at->refuses = is_refusal(line);
	return 0;
}

unsigned inspect_nft_refuses(struct str ruleset)
{
	struct place at = {0};
	unsigned found = 0;
	struct str line;
	while (str_next(&ruleset, '\n', &line))
		found |= look_at_line(&at, str_trim(line));
	return found;
}

/* What lets in whom Slipway needs; ufw, because it keeps its rules and the tables of others. */
static void opening(char *out, size_t size)
{
	CLEANUP_BUF struct buf conf, b;
	uint64_t http = 80, https = 443;
	buf_init(&conf, 8192);
	buf_init(&b, INSPECT_COMMAND_SIZE);
	if (inspect_read(INSPECT_CONF, &conf)) {
		(void)inspect_setting(buf_view(&conf), "SLIPWAY_EDGE_PORT", &http);
		(void)inspect_setting(buf_view(&conf), "SLIPWAY_HTTPS_PORT", &https);
	}
	buf_c(&b, "apt-get install -y ufw && ");
	enum inspect_sshd state = inspect_sshd_read();
	if (state == INSPECT_SSHD_READ)
		inspect_sshd_ports(&b);
	else if (state != INSPECT_SSHD_NONE) /* nobody is to be locked out */
		buf_c(&b, "ufw allow ssh && ");
	buf_printf(&b, "ufw allow %u/tcp && ", (unsigned)http);
	if (https)
		buf_printf(&b, "ufw allow %u/tcp && ", (unsigned)https);
	buf_c(&b, "ufw --force enable");
	if (!str_copy(buf_view(&b), out, size))
		out[0] = '\0';
}

/* ufw's unit starts always, and looks here whether it is to do anything. */
static bool is_ufw_on(void)
{
	CLEANUP_BUF struct buf b;
	struct str line;
	buf_init(&b, 64 << 10);
	if (!inspect_read("/etc/ufw/ufw.conf", &b))
		return false;
	for (struct str rest = buf_view(&b); str_next(&rest, '\n', &line);)
		if (str_eq_nocase(str_trim(line), STR("ENABLED=yes")))
			return true;
	return false;
}

/* Rules that nobody loads again are gone after a boot. */
static bool are_kept(void)
{
	static const char *const units[] = {
	    "nftables.service", "firewalld.service", "netfilter-persistent.service"};
	char state[40];
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		inspect_property(units[i], "UnitFileState", state, sizeof(state));
		if (strcmp(state, "enabled") == 0)
			return true;
	}
	return is_ufw_on();
}

void inspect_advise_firewall(struct inspect *s)
{
	static const char *const nft[] = {
	    "/usr/sbin/nft", "--stateless", "--terse", "list", "ruleset", NULL};
	static char rules[RULES_MAX];
	char command[INSPECT_COMMAND_SIZE];
	int status;
	bool firewalld = inspect_is_active("firewalld.service");
	opening(command, sizeof(command));
	if (!inspect_tool(nft, &status, rules, sizeof(rules)) || status != 0) {
		inspect_advise(s, INSPECT_LOW, "apt-get install -y nftables",
		    "nft cannot list the rules of the kernel, so nobody knows");
		return;
	}
	unsigned refuses = firewalld ? BOTH : inspect_nft_refuses(str_c(rules));
	if (refuses == 0)
		inspect_advise(s, INSPECT_MEDIUM, command,
		    "every port that a program opens is open to everybody: no rule that nft lists "
		    "refuses what nothing lets in (it does not list those of iptables-legacy). Add "
		    "more ports that others should reach before you enable it");
	else if (refuses != BOTH)
		inspect_advise(s, INSPECT_MEDIUM, command, "rules refuse over IPv%d only",
		    refuses == FOUR ? 4 : 6);
	else if (!are_kept())
		inspect_advise(s, INSPECT_LOW, "systemctl enable nftables",
		    "rules refuse what nothing lets in, and nothing loads them after a boot. "
		    "nftables does, when they stand in /etc/nftables.conf");
	else
		inspect_say(s, INSPECT_INFO, "what nothing lets in is refused");
}

/* ---- whoever guesses passwords ---- */

static bool bans(void)
{
	static const char *const jail[] = {"/usr/bin/fail2ban-client", "status", "sshd", NULL};
	char out[512];
	int status;
	if (inspect_is_active("sshguard.service") || inspect_is_active("crowdsec.service"))
		return true;
	return inspect_is_active("fail2ban.service") &&
	       inspect_tool(jail, &status, out, sizeof(out)) && status == 0;
}

void inspect_advise_guesses(struct inspect *s)
{
	enum inspect_sshd state = inspect_sshd_read();
	if (state == INSPECT_SSHD_NONE)
		inspect_say(s, INSPECT_INFO, "not needed: there is no sshd on this machine");
	else if (bans())
		inspect_say(s, INSPECT_INFO, "who guesses passwords of sshd is banned");
	else if (state == INSPECT_SSHD_READ && !inspect_sshd_takes_passwords())
		inspect_say(s, INSPECT_INFO, "not needed: sshd takes no passwords");
	else if (state == INSPECT_SSHD_READ && !inspect_sshd_is_outside())
		inspect_say(s, INSPECT_INFO, "not needed: sshd listens on this machine only");
	else
		inspect_advise(s, INSPECT_MEDIUM,
		    "apt-get install -y fail2ban python3-systemd && printf "
		    "'[sshd]\\nenabled = true\\nbackend = systemd\\n' "
		    ">/etc/fail2ban/jail.d/sshd.local && "
		    "systemctl enable fail2ban && systemctl restart fail2ban",
		    "sshd takes passwords, and nothing bans who guesses them (fail2ban, sshguard, "
		    "crowdsec)");
}
