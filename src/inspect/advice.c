/* `slipway audit --advice`: what would make the host safer, though Slipway needs none of it. Nothing
 * is changed: each item says what a person would type. Only benchmarks that everybody can read. */
#include "inspect/parts.h"

#include "base/num.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define DAY_SECONDS (24 * 3600)
#define LISTS_DAYS_MAX 7
#define LISTS_DIR "/var/lib/apt/lists"

/* ---- updates ---- */

/* What apt is set to: APT::Periodic::Unattended-Upgrade "1"; in days, 0: never. */
static bool is_periodic(const char *option)
{
	char name[64], out[256];
	const char *const argv[] = {"/usr/bin/apt-config", "dump", name, NULL};
	int status;
	struct str rest, word;
	(void)snprintf(name, sizeof(name), "APT::Periodic::%s", option);
	if (!inspect_tool(argv, &status, out, sizeof(out)) || status != 0)
		return false;
	rest = str_c(out);
	return str_next(&rest, '"', &word) && str_next(&rest, '"', &word) && word.n > 0 &&
	       !str_eq_c(word, "0");
}

static void look_at_timers(struct inspect *s)
{
	static const char *const timers[] = {"apt-daily.timer", "apt-daily-upgrade.timer"};
	for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++)
		if (!inspect_is_active(timers[i])) {
			inspect_advise(s, INSPECT_MEDIUM,
			    "systemctl unmask apt-daily.timer apt-daily-upgrade.timer && systemctl "
			    "enable --now apt-daily.timer apt-daily-upgrade.timer",
			    "%s does not run, which updates are made by", timers[i]);
			return;
		}
}

/* The newest of the lists, 0 when there are none. */
static time_t newest_list(void)
{
	DIR *d = opendir(LISTS_DIR);
	time_t newest = 0;
	for (struct dirent *entry; d && (entry = readdir(d));) {
		struct stat st;
		bool list = str_ends(str_c(entry->d_name), STR("Release")) ||
			    strcmp(entry->d_name, "partial") == 0;
		if (list && fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (st.st_mtime > newest))
			newest = st.st_mtime;
	}
	if (d)
		(void)closedir(d);
	return newest;
}

static void advise_updates(struct inspect *s)
{
	static const char again[] = "printf 'APT::Periodic::Update-Package-Lists "
				    "\"1\";\\nAPT::Periodic::Unattended-Upgrade "
				    "\"1\";\\n' >/etc/apt/apt.conf.d/20auto-upgrades";
	if (access("/usr/bin/apt-config", X_OK) != 0)
		inspect_say(s, INSPECT_LOW, "this machine has no apt, so nobody knows");
	else if (access("/usr/bin/unattended-upgrade", X_OK) != 0)
		inspect_advise(s, INSPECT_MEDIUM, "apt-get install -y unattended-upgrades",
		    "no security update is installed by itself: there is no unattended-upgrades");
	else if (!is_periodic("Update-Package-Lists") || !is_periodic("Unattended-Upgrade"))
		inspect_advise(s, INSPECT_MEDIUM, again,
		    "no security update is installed by itself: APT::Periodic does not say so");
	else
		look_at_timers(s);
}

static void advise_lists(struct inspect *s)
{
	time_t newest = newest_list(), now = time(NULL);
	long long days = (long long)(now - newest) / DAY_SECONDS;
	if (access("/usr/bin/apt-config", X_OK) != 0)
		inspect_say(s, INSPECT_LOW, "this machine has no apt, so nobody knows");
	else if (newest == 0)
		inspect_advise(s, INSPECT_LOW, "apt-get update", "apt has no list of packages");
	else if (days > LISTS_DAYS_MAX)
		inspect_advise(s, INSPECT_LOW, "apt-get update",
		    "apt heard of updates %lld days ago for the last time", days);
	else
		inspect_say(s, INSPECT_INFO, "apt's lists are %lld days old", days < 0 ? 0 : days);
}

/* ---- reboot ---- */

/* "-amd64" of 6.1.0-10-amd64, "-cloud-amd64" of 6.1.0-10-cloud-amd64. */
static const char *flavour_of(const char *release)
{
	for (const char *c = release; *c; c++)
		if (*c == '-' && c[1] >= 'a' && c[1] <= 'z')
			return c;
	return "";
}

/* The newest kernel that is installed of the running one's kind. */
static void newest_kernel(const char *running, char *out, size_t size)
{
	DIR *d = opendir("/boot");
	(void)!str_copy(str_c(running), out, size);
	for (struct dirent *entry; d && (entry = readdir(d));) {
		const char *release = entry->d_name + 8;
		if (str_starts(str_c(entry->d_name), STR("vmlinuz-")) &&
		    strcmp(flavour_of(release), flavour_of(running)) == 0 &&
		    strverscmp(release, out) > 0)
			(void)!str_copy(str_c(release), out, size);
	}
	if (d)
		(void)closedir(d);
}

static void advise_reboot(struct inspect *s)
{
	struct utsname u;
	char newest[sizeof(u.release)];
	if (uname(&u) != 0)
		return;
	newest_kernel(u.release, newest, sizeof(newest));
	if (access("/run/reboot-required", F_OK) == 0)
		inspect_advise(s, INSPECT_MEDIUM, "systemctl reboot",
		    "an update wants a reboot (/run/reboot-required); projects start again after "
		    "it");
	if (strcmp(newest, u.release) != 0)
		inspect_advise(s, INSPECT_MEDIUM, "systemctl reboot",
		    "kernel %s is installed, and %s runs; projects start again after a reboot",
		    newest, u.release);
	else
		inspect_say(
		    s, INSPECT_INFO, "kernel %s runs, and /boot has none that is newer", u.release);
}

/* ---- time ---- */

static void advise_time(struct inspect *s)
{
	static const char *const units[] = {"systemd-timesyncd.service", "chrony.service",
	    "ntpsec.service", "ntp.service", "openntpd.service"};
	struct timex t = {.modes = 0}; /* reads */
	int state = adjtimex(&t);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!inspect_is_active(units[i]))
			continue;
		/* TIME_ERROR also when the one that looks after it has not heard anything yet. */
		inspect_say(s, INSPECT_INFO, "%s keeps the time%s", units[i],
		    state == TIME_ERROR ? "; the kernel does not call it synchronised yet" : "");
		return;
	}
	inspect_advise(s, INSPECT_MEDIUM,
	    "apt-get install -y systemd-timesyncd && systemctl enable --now systemd-timesyncd",
	    "nothing on this machine keeps its time (timesyncd, chrony, ntpsec)");
}

/* ---- the kernel's settings ---- */

static const struct inspect_sysctl kernel[] = {
    {"kernel.randomize_va_space", 2, 2, 2, INSPECT_MEDIUM},
    {"kernel.dmesg_restrict", 1, 1, 1, INSPECT_LOW},
    {"kernel.kptr_restrict", 1, 2, 2, INSPECT_LOW},
    {"kernel.yama.ptrace_scope", 1, 3, 1, INSPECT_LOW},
    {"fs.protected_symlinks", 1, 1, 1, INSPECT_MEDIUM},
    {"fs.protected_hardlinks", 1, 1, 1, INSPECT_MEDIUM},
};
/* 2 of rp_filter is for who has several ways out; strict or loose, either refuses what is forged. */
static const struct inspect_sysctl network[] = {
    {"net.ipv4.conf.all.rp_filter", 1, 2, 1, INSPECT_LOW},
    {"net.ipv4.conf.default.rp_filter", 1, 2, 1, INSPECT_LOW},
    {"net.ipv4.tcp_syncookies", 1, 2, 1, INSPECT_MEDIUM},
};
static const struct inspect_sysctl dumpable[] = {
    {"fs.suid_dumpable", 0, 0, 0, INSPECT_MEDIUM},
};

const struct inspect_sysctl *inspect_sysctls_kernel(size_t *ret_count)
{
	*ret_count = sizeof(kernel) / sizeof(*kernel);
	return kernel;
}

static bool sysctl_of(const char *root, const char *name, uint64_t *ret)
{
	char path[256], value[32];
	int at = snprintf(path, sizeof(path), "%s/", root);
	(void)snprintf(path + at, sizeof(path) - (size_t)at, "%s", name);
	for (char *c = path + at; *c; c++)
		*c = *c == '.' ? '/' : *c;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, value, sizeof(value));
	if (fd >= 0)
		(void)close(fd);
	return n > 0 && num_u64(str_trim((struct str){value, (size_t)n}), 0, UINT32_MAX, ret);
}

void inspect_advise_sysctls(
    struct inspect *s, const char *root, const struct inspect_sysctl *v, size_t n)
{
	CLEANUP_BUF struct buf found, want;
	char command[INSPECT_COMMAND_SIZE];
	enum inspect_level worst = INSPECT_INFO;
	buf_init(&found, INSPECT_WORDS_SIZE);
	buf_init(&want, INSPECT_COMMAND_SIZE);
	for (size_t i = 0; i < n; i++) {
		uint64_t is;
		if (!sysctl_of(root, v[i].name, &is)) {
			inspect_say(s, INSPECT_INFO, "this kernel has no %s", v[i].name);
			continue;
		}
		if (is >= v[i].least && is <= v[i].most)
			continue;
		worst = v[i].level > worst ? v[i].level : worst;
		buf_printf(
		    &found, "%s%s is %llu", found.n ? ", " : "", v[i].name, (unsigned long long)is);
		buf_printf(&want, "%s = %llu\\n", v[i].name, (unsigned long long)v[i].want);
	}
	if (found.n == 0)
		return;
	(void)snprintf(command, sizeof(command),
	    "printf '%.*s' >>/etc/sysctl.d/60-advice.conf && sysctl -p "
	    "/etc/sysctl.d/60-advice.conf",
	    (int)want.n, want.p);
	inspect_advise(s, worst, command, "%.*s", (int)found.n, found.p);
}

static void advise_kernel(struct inspect *s)
{
	inspect_advise_sysctls(s, "/proc/sys", kernel, sizeof(kernel) / sizeof(*kernel));
}

static void advise_network(struct inspect *s)
{
	inspect_advise_sysctls(s, "/proc/sys", network, sizeof(network) / sizeof(*network));
}

static void advise_cores(struct inspect *s)
{
	static const char *const argv[] = {
	    "/usr/bin/systemctl", "show", "--value", "--property", "DefaultLimitCORE", NULL};
	char most[32];
	int status;
	inspect_advise_sysctls(s, "/proc/sys", dumpable, 1);
	if (inspect_tool(argv, &status, most, sizeof(most)) && status == 0 &&
	    !str_eq_c(str_trim(str_c(most)), "0"))
		inspect_advise(s, INSPECT_LOW,
		    "mkdir -p /etc/systemd/system.conf.d && printf "
		    "'[Manager]\\nDefaultLimitCORE=0\\n' "
		    ">/etc/systemd/system.conf.d/60-advice.conf && systemctl daemon-reexec",
		    "services of this machine may leave core dumps (DefaultLimitCORE=%s); projects "
		    "never do",
		    most);
}

/* ---- /tmp ---- */

/* "36 35 98:0 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw": of the line whose fifth word is /tmp. */
static bool options_of_tmp(struct str mounts, struct str *ret)
{
	struct str line;
	bool found = false;
	while (str_next(&mounts, '\n', &line)) {
		struct str word = STR("");
		for (int i = 0; i < 5; i++)
			(void)str_next(&line, ' ', &word);
		if (str_eq_c(word, "/tmp"))
			found = str_next(&line, ' ', ret) == 1;
	}
	return found;
}

static void advise_tmp(struct inspect *s)
{
	static char text[64 << 10];
	char state[40];
	struct str options;
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	for (ssize_t n; fd >= 0 && (n = read(fd, text + used, sizeof(text) - used)) > 0;)
		used += (size_t)n;
	if (fd >= 0)
		(void)close(fd);
	inspect_property("tmp.mount", "UnitFileState", state, sizeof(state));
	if (options_of_tmp((struct str){text, used}, &options)) {
		if (!str_contains(options, STR("nosuid")) || !str_contains(options, STR("nodev")))
			inspect_advise(s, INSPECT_LOW, "mount -o remount,nosuid,nodev /tmp",
			    "/tmp is mounted without nosuid or nodev; it stays so by /etc/fstab");
	} else if (strcmp(state, "enabled") == 0)
		inspect_say(s, INSPECT_INFO, "/tmp lies in memory from the next boot on");
	else
		inspect_advise(s, INSPECT_LOW,
		    "cp /usr/share/systemd/tmp.mount /etc/systemd/system/ && systemctl "
		    "daemon-reload && "
		    "systemctl enable tmp.mount",
		    "/tmp is a folder of the root file system; so it lies in memory from the next "
		    "boot on, with options of its own");
}

/* ---- the table ---- */

#define CIS "CIS Debian Linux 12 Benchmark v1.1.0, "
#define ANSSI "ANSSI-BP-028 v2.0, "

static const struct inspect_check table[] = {
    {"updates", advise_updates,
	"most break-ins use a hole that was mended weeks before; it must not wait for somebody to "
	"remember",
	CIS "1.2.2.1 Ensure updates, patches, and additional security software are installed"},
    {"package lists", advise_lists,
	"who has not asked for weeks does not know what is to be mended",
	CIS "1.2.2.1 Ensure updates, patches, and additional security software are installed"},
    {"reboot", advise_reboot, "a mended kernel or library protects only after it was started",
	CIS "1.2.2.1 Ensure updates, patches, and additional security software are installed"},
    {"firewall", inspect_advise_firewall,
	"a database or a debugger that somebody starts by mistake must not be open to the world",
	CIS "4.2.7 Ensure ufw default deny firewall policy; or 4.3.8 Ensure nftables default deny "
	    "firewall policy"},
    {"bans", inspect_advise_guesses, "whoever may try all day for months finds a password",
	"Lynis, TOOL-5102 Check for presence of Fail2ban (CIS has no item for it)"},
    {"ssh root", inspect_advise_ssh_root,
	"with an account of one's own the journal says who it was, and a guessed name is not "
	"root's",
	CIS "5.1.20 Ensure sshd PermitRootLogin is disabled"},
    {"ssh passwords", inspect_advise_ssh_passwords,
	"a password is guessed or given away, a key is not; every server is tried all day",
	"DevSec SSH Baseline, sshd-27 Server: Disable password-based authentication (CIS has no "
	"item "
	"for it)"},
    {"ssh empty", inspect_advise_ssh_empty, "an account without a password is everybody's",
	CIS "5.1.19 Ensure sshd PermitEmptyPasswords is disabled"},
    {"ssh limits", inspect_advise_ssh_limits,
	"connections that wait and try again take the places of those who know the password",
	CIS "5.1.16 Ensure sshd MaxAuthTries is configured; 5.1.13 Ensure sshd LoginGraceTime is "
	    "configured"},
    {"ssh X11", inspect_advise_ssh_x11,
	"whoever rules the server would reach the screen and keyboard of who logs in",
	CIS "5.1.8 Ensure sshd DisableForwarding is enabled"},
    {"ssh algorithms", inspect_advise_ssh_algorithms,
	"what is known to be weak is used only by who wants to break it",
	CIS "5.1.6 Ensure sshd Ciphers, 5.1.12 KexAlgorithms, 5.1.15 MACs are configured"},
    {"time", advise_time, "certificates and signed pushes are refused by a clock that is wrong",
	CIS "2.3.1.1 Ensure a single time synchronization daemon is in use"},
    {"core dumps", advise_cores,
	"a dump holds what the program held: keys, passwords, what others sent",
	CIS "1.5.3 Ensure core dumps are restricted"},
    {"kernel", advise_kernel,
	"each makes a hole in one project's program harder to use against the others",
	CIS
	"1.5.1 Ensure address space layout randomization is enabled; 1.5.2 Ensure ptrace_scope is "
	"restricted; " ANSSI "R9 and R14"},
    {"network", advise_network, "forged senders and floods of half-open connections",
	CIS
	"3.3.7 Ensure reverse path filtering is enabled; 3.3.10 Ensure tcp syn cookies is enabled"},
    {"/tmp", advise_tmp,
	"everybody may write there, and what they put there need not be a program "
	"with another's rights",
	CIS
	"1.1.2.1.1 Ensure /tmp is a separate partition; 1.1.2.1.2 nodev; 1.1.2.1.3 nosuid option"},
};

const struct inspect_check *inspect_advice(size_t *ret_count)
{
	*ret_count = sizeof(table) / sizeof(*table);
	return table;
}
