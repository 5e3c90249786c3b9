/* Advice on sshd, by what it says itself that holds (sshd -T): not what some file says. */
#include "inspect/parts.h"

#include "base/num.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SSHD "/usr/sbin/sshd"
#define TRIES_MAX 4u
#define GRACE_SECONDS_MAX 60u

static char text[16 << 10];

enum inspect_sshd inspect_sshd_read(void)
{
	static const char *const argv[] = {SSHD, "-T", NULL};
	int status;
	text[0] = '\0';
	if (access(SSHD, X_OK) != 0)
		return INSPECT_SSHD_NONE;
	if (!inspect_tool(argv, &status, text, sizeof(text)) || status != 0)
		return INSPECT_SSHD_SILENT;
	return INSPECT_SSHD_READ;
}

/* A line "key value"; with *rest the next of the same key. */
static bool next_value(struct str *rest, const char *key, struct str *ret)
{
	size_t n = strlen(key);
	struct str line;
	while (str_next(rest, '\n', &line))
		if (line.n > n && memcmp(line.p, key, n) == 0 && line.p[n] == ' ') {
			*ret = str_trim(str_from(line, n + 1));
			return true;
		}
	return false;
}

struct str inspect_sshd_value(const char *key)
{
	struct str rest = str_c(text), value = STR("");
	(void)next_value(&rest, key, &value);
	return value;
}

static bool says(const char *key, const char *value)
{
	return str_eq_c(inspect_sshd_value(key), value);
}

bool inspect_sshd_takes_passwords(void)
{
	return says("passwordauthentication", "yes") ||
	       (says("kbdinteractiveauthentication", "yes") && says("usepam", "yes"));
}

bool inspect_sshd_is_outside(void)
{
	struct str rest = str_c(text), value;
	while (next_value(&rest, "listenaddress", &value))
		if (!str_starts(value, STR("127.")) && !str_starts(value, STR("[::1]:")))
			return true;
	return false;
}

void inspect_sshd_ports(struct buf *into)
{
	struct str rest = str_c(text), value;
	uint64_t port;
	while (next_value(&rest, "port", &value))
		if (num_u64(value, 1, 65535, &port))
			buf_printf(into, "ufw allow %u/tcp && ", (unsigned)port);
}

/* ---- what to type ---- */

/* Of two lines sshd takes the first, and what is included comes where it stands: so the first line of
 * all, as the benchmark says, too. lines: with "\\n" between them, as sed(1) takes it. */
static void advise(
    struct inspect *s, enum inspect_level level, const char *lines, const char *words)
{
	char command[INSPECT_COMMAND_SIZE];
	(void)snprintf(command, sizeof(command),
	    "sed -i '1i %s' /etc/ssh/sshd_config && sshd -t && systemctl try-reload-or-restart ssh",
	    lines);
	inspect_advise(s, level, command, "%s", words);
}

/* False: there is nothing to judge, which is said. */
static bool is_there(struct inspect *s)
{
	enum inspect_sshd state = inspect_sshd_read();
	if (state == INSPECT_SSHD_NONE)
		inspect_say(s, INSPECT_INFO, "there is no sshd on this machine");
	if (state == INSPECT_SSHD_SILENT)
		inspect_say(s, INSPECT_LOW, "sshd -T fails, so nobody knows: %.200s", text);
	return state == INSPECT_SSHD_READ;
}

/* ---- the items ---- */

void inspect_advise_ssh_root(struct inspect *s)
{
	if (!is_there(s))
		return;
	if (says("permitrootlogin", "no"))
		inspect_say(s, INSPECT_INFO, "nobody logs in as root");
	else if (says("permitrootlogin", "yes"))
		advise(s, inspect_sshd_takes_passwords() ? INSPECT_HIGH : INSPECT_MEDIUM,
		    "PermitRootLogin no",
		    "root may log in, by any means (PermitRootLogin yes). First see that another "
		    "user "
		    "gets in and may use sudo");
	else
		advise(s, INSPECT_LOW, "PermitRootLogin no",
		    "root may log in with a key. First see that another user gets in and may use "
		    "sudo");
}

void inspect_advise_ssh_passwords(struct inspect *s)
{
	if (!is_there(s))
		return;
	if (!inspect_sshd_takes_passwords())
		inspect_say(s, INSPECT_INFO, "sshd takes no passwords");
	else
		advise(s, INSPECT_MEDIUM,
		    "PasswordAuthentication no\\nKbdInteractiveAuthentication no",
		    "sshd takes passwords. First see that you get in with a key");
}

void inspect_advise_ssh_empty(struct inspect *s)
{
	if (!is_there(s))
		return;
	if (says("permitemptypasswords", "yes"))
		advise(s, INSPECT_HIGH, "PermitEmptyPasswords no",
		    "whoever has no password gets in with none (PermitEmptyPasswords yes)");
	else
		inspect_say(s, INSPECT_INFO, "an empty password does not let in");
}

void inspect_advise_ssh_limits(struct inspect *s)
{
	char words[160];
	uint64_t tries = 0, grace = 0;
	if (!is_there(s))
		return;
	(void)!num_u64(inspect_sshd_value("maxauthtries"), 0, UINT32_MAX, &tries);
	(void)!num_u64(inspect_sshd_value("logingracetime"), 0, UINT32_MAX, &grace);
	(void)snprintf(words, sizeof(words), "a connection may try %u times and wait %u s%s",
	    (unsigned)tries, (unsigned)grace, grace == 0 ? " (0: for ever)" : "");
	if (tries <= TRIES_MAX && grace > 0 && grace <= GRACE_SECONDS_MAX)
		inspect_say(s, INSPECT_INFO, "%s", words);
	else
		advise(s, INSPECT_LOW, "MaxAuthTries 4\\nLoginGraceTime 60", words);
}

void inspect_advise_ssh_x11(struct inspect *s)
{
	if (!is_there(s))
		return;
	if (says("x11forwarding", "yes"))
		advise(s, INSPECT_LOW, "X11Forwarding no", "sshd forwards X11 (X11Forwarding yes)");
	else
		inspect_say(s, INSPECT_INFO, "sshd forwards no X11");
}

/* Which of a comma-separated list ends or begins, or holds, what is no good any more. */
static bool is_weak(struct str name)
{
	return str_contains(name, STR("-cbc")) || str_starts(name, STR("arcfour")) ||
	       str_starts(name, STR("hmac-md5")) || str_starts(name, STR("hmac-sha1-96")) ||
	       str_starts(name, STR("umac-64")) || str_ends(name, STR("-sha1"));
}

static void name_weak(const char *key, struct buf *into)
{
	struct str rest = inspect_sshd_value(key), name;
	bool macs = strcmp(key, "macs") == 0;
	while (str_next(&rest, ',', &name)) {
		/* SHA-1 inside an HMAC is not broken, and the benchmark lets it. */
		bool fine =
		    macs && (str_eq_c(name, "hmac-sha1") || str_starts(name, STR("hmac-sha1-etm")));
		if (!fine && is_weak(name))
			buf_printf(into, " %.*s", (int)(name.n < 60 ? name.n : 60), name.p);
	}
}

void inspect_advise_ssh_algorithms(struct inspect *s)
{
	static const char *const keys[] = {"ciphers", "macs", "kexalgorithms"};
	CLEANUP_BUF struct buf b;
	char words[INSPECT_WORDS_SIZE];
	buf_init(&b, 4096);
	if (!is_there(s))
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		name_weak(keys[i], &b);
	if (b.n == 0) {
		inspect_say(s, INSPECT_INFO, "sshd offers nothing that is known to be weak");
		return;
	}
	(void)snprintf(words, sizeof(words), "sshd offers weak algorithms:%.*s",
	    (int)(b.n < 300 ? b.n : 300), b.p);
	advise(s, INSPECT_LOW,
	    "Ciphers -*-cbc,arcfour*\\nMACs -umac-64*,hmac-md5*,hmac-sha1-96*\\nKexAlgorithms "
	    "-*-sha1",
	    words);
}
