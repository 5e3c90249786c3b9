"""Faults for `slipway validate` and `slipway audit`, planted with the tools that an administrator (or somebody else) would use. Each row: the
check that must notice, how bad it is, how to plant it, how to take it back. Every other check must say what it said before."""

from server import DAEMON

STATE = "/var/lib/slipway"
UNITS = "/usr/local/lib/systemd/system"
MINE = f"{STATE}/projects/guestbook"
DROP_IN = "mkdir -p /etc/systemd/system/slipwayd.service.d && printf '[Service]\\n{}\\n' >/etc/systemd/system/slipwayd.service.d/x.conf && systemctl daemon-reload"
NO_DROP_IN = "rm -r /etc/systemd/system/slipwayd.service.d && systemctl daemon-reload"


def until(true):
    return f"for i in $(seq 100); do {true} && break; sleep 0.1; done"


def sudo_rule(rule):
    return f"printf '{rule}\\n' >/etc/sudoers.d/x && chmod 440 /etc/sudoers.d/x", "rm /etc/sudoers.d/x"


def used_sudo(command):
    plant, back = sudo_rule("Defaults:slipway !authenticate\\nslipway ALL=(root) NOPASSWD: /usr/bin/true")
    seen = until(f"journalctl -q -t sudo -o cat | grep -q '^ *slipway.*{command}'")
    return f"{plant} && runuser -u slipway -- sudo -n {command}; {back}; {seen}"


BEGIN = f"systemctl start slipway-helper {DAEMON} && {until('[ -S /run/slipway/keeper.sock ]')}"


def renumbered(number):
    """As an administrator makes `slipway` another: all of its files with it."""
    return (
        f"systemctl stop {DAEMON} slipway-helper && was=$(id -u slipway) && usermod -u {number} slipway && find {STATE} /run/slipway -uid $was -exec chown -h slipway {{}} +"
        f" && sed -i s/^SLIPWAY_UID=.*/SLIPWAY_UID={number}/ /etc/slipway/server.conf && {BEGIN}"
    )


def listens(user, port, more=""):
    plant = f"systemd-run -q --unit=x {'--uid=' + user if user else ''} python3 -m http.server {more} {port} && {until(f'ss -Hltn sport = {port} | grep -q .')}"
    return plant, "systemctl stop x"


# 1 and 9 have tests of their own: they need another user, and a stopped daemon.
VALIDATE = [
    (2, "fail", "sed -i '/^slipway:/s#/nonexistent#/srv#' /etc/passwd", "sed -i '/^slipway:/s#/srv#/nonexistent#' /etc/passwd"),
    (2, "fail", "sed -i 's/^slipway:/gone:/' /etc/passwd", "sed -i 's/^gone:/slipway:/' /etc/passwd"),
    (2, "fail", renumbered(1997), renumbered("$(id -g slipway)")),
    (3, "warn", DROP_IN.format("SupplementaryGroups=adm"), NO_DROP_IN),
    (3, "fail", "usermod -g games slipway", "usermod -g slipway slipway"),
    (3, "fail", "groupmod -n web www-data", "groupmod -n www-data web"),
    (4, "fail", f"chown nobody {STATE}/backups", f"chown slipway {STATE}/backups"),
    (4, "fail", f"mv {STATE}/spool /srv/spool", f"mv /srv/spool {STATE}/spool"),
    (5, "fail", f"chmod 755 {STATE}/keys", f"chmod 700 {STATE}/keys"),
    (5, "warn", f"chmod 755 {STATE}/backups", f"chmod 700 {STATE}/backups"),
    (5, "fail", f"chmod o+r {STATE}/owner.token", f"chmod o= {STATE}/owner.token"),
    (5, "fail", f"install -m 644 -o sw-guestbook -g sw-guestbook /dev/null {MINE}/data/.env", f"rm {MINE}/data/.env"),
    (6, "fail", "mv /etc/slipway/server.conf /srv", "mv /srv/server.conf /etc/slipway"),
    (6, "fail", "chmod g+w /etc/slipway/server.conf", "chmod 644 /etc/slipway/server.conf"),
    (6, "fail", "sed -i.was 's/^SLIPWAY_UID=.*/SLIPWAY_UID=1/' /etc/slipway/server.conf", "mv /etc/slipway/server.conf.was /etc/slipway/server.conf"),
    (7, "fail", "chown root /run/slipway/keeper.sock", "chown slipway /run/slipway/keeper.sock"),
    (7, "fail", "chmod 666 /run/slipway/keeper.sock", "chmod 600 /run/slipway/keeper.sock"),
    (7, "fail", *sudo_rule("slipway ALL=(root) NOPASSWD: /usr/bin/systemctl reload nginx")),
    (8, "warn", "systemctl disable -q slipwayd-http.socket", "systemctl enable -q slipwayd-http.socket"),
    (8, "fail", DROP_IN.format("User=nobody"), NO_DROP_IN),
    (8, "fail", "systemctl mask -q --runtime slipwayd-http.socket", "systemctl unmask -q --runtime slipwayd-http.socket"),
    (8, "fail", f"mv {UNITS}/slipwayd-edge.socket /srv && systemctl daemon-reload", f"mv /srv/slipwayd-edge.socket {UNITS} && systemctl daemon-reload"),
    (8, "warn", "systemctl stop slipway-audit.timer", "systemctl start slipway-audit.timer"),
    # somebody else's web server was first; without its helper the daemon ends, so it is stopped as well
    (8, "warn", f"systemctl stop {DAEMON} slipway-helper slipway-edge && {listens('', 80)[0]}; {BEGIN}", f"systemctl stop x {DAEMON} slipway-helper; {BEGIN}; {until('systemctl -q is-active slipway-edge')}"),
    (8, "warn", "cp -p /usr/sbin/nginx /usr/sbin/nginx.new && mv /usr/sbin/nginx.new /usr/sbin/nginx", "systemctl restart slipway-edge"),
    (10, "warn", f"install -m 600 -o nobody /dev/null {STATE}/logs/x", f"rm {STATE}/logs/x"),
    (10, "warn", f"install -m 600 -o slipway /dev/null {STATE}/helper/x", f"rm {STATE}/helper/x"),
    (10, "warn", f"chown nobody {MINE}/public/*", f"chown root {MINE}/public/*"),
    (11, "fail", f"install -m 4750 -o slipway -g slipway /bin/true {STATE}/logs/x", f"rm {STATE}/logs/x"),
    (11, "warn", f"install -m 602 -o slipway /dev/null {STATE}/logs/x", f"rm {STATE}/logs/x"),
    (11, "warn", "usermod -s /bin/bash slipway", "usermod -s /usr/sbin/nologin slipway"),
    (11, "warn", "echo slipway:correct-horse | chpasswd", "passwd -q -l slipway && usermod -p '!' slipway"),
    (11, "warn", "usermod -s /bin/bash sw-guestbook", "usermod -s /usr/sbin/nologin sw-guestbook"),
    (11, "warn", "echo sw-guestbook:correct-horse | chpasswd", "usermod -p '!' sw-guestbook"),
]

AUDIT = [
    (1, "CRITICAL", "echo slipway:correct-horse | chpasswd", "usermod -p '!' slipway"),
    (1, "CRITICAL", "passwd -q -d slipway", "usermod -p '!' slipway"),
    (1, "HIGH", "usermod -s /bin/bash slipway", "usermod -s /usr/sbin/nologin slipway"),
    (1, "CRITICAL", "echo sw-guestbook:correct-horse | chpasswd", "usermod -p '!' sw-guestbook"),
    (1, "CRITICAL", "passwd -q -d sw-guestbook", "usermod -p '!' sw-guestbook"),
    (1, "HIGH", "usermod -s /bin/bash sw-guestbook", "usermod -s /usr/sbin/nologin sw-guestbook"),
    (1, "MEDIUM", "sed -i.was /^sw-guestbook:/d /etc/shadow", "mv /etc/shadow.was /etc/shadow"),
    (2, "HIGH", "mkdir -p /nonexistent/.ssh && echo ssh-ed25519 AAAA x >/nonexistent/.ssh/authorized_keys", "rm -r /nonexistent"),
    (2, "MEDIUM", "mkdir -p /etc/ssh/sshd_config.d && echo AllowUsers anna slipway >/etc/ssh/sshd_config.d/x.conf", "rm /etc/ssh/sshd_config.d/x.conf"),
    (2, "HIGH", "mkdir -p /srv/home/.ssh && echo ssh-ed25519 AAAA x >/srv/home/.ssh/authorized_keys && sed -i '/^sw-guestbook:/s#/nonexistent#/srv/home#' /etc/passwd",
     "sed -i '/^sw-guestbook:/s#/srv/home#/nonexistent#' /etc/passwd && rm -r /srv/home"),
    *((2, "MEDIUM", f"printf '{line}\\n' >/etc/ssh/sshd_config", "rm /etc/ssh/sshd_config")
      for line in ("AllowUsers anna sw-guestbook", "allowusers\\tanna\\tslipway", "AllowUsers slipway@192.0.2.*", 'AllowUsers="slipway"')),
    (3, "CRITICAL", *sudo_rule("slipway ALL=(root) NOPASSWD: ALL")),
    (3, "CRITICAL", *sudo_rule("#70001 ALL=(root) /bin/ls")),
    (3, "CRITICAL", *sudo_rule("%%sw-guestbook ALL=(root) /bin/ls")),
    (3, "CRITICAL", *sudo_rule("User_Alias OPS = daemon, slipway")),
    (3, "CRITICAL", *sudo_rule("this is no rule")),
    (3, "HIGH", "chmod 644 /etc/sudoers", "chmod 440 /etc/sudoers"),
    (3, "CRITICAL", "chown nobody /etc/sudoers", "chown root /etc/sudoers"),
    (4, "HIGH", f"chmod 750 {STATE}/keys", f"chmod 700 {STATE}/keys"),
    (4, "HIGH", f"install -m 4750 -o root -g slipway /bin/true {STATE}/logs/x", f"rm {STATE}/logs/x"),
    (4, "MEDIUM", f"install -m 602 -o slipway /dev/null {STATE}/logs/x", f"rm {STATE}/logs/x"),
    (5, "HIGH", DROP_IN.format("User=root"), NO_DROP_IN),
    (5, "HIGH", f"cp /bin/sleep {STATE}/projects/x && systemd-run -q --unit=x {STATE}/projects/x 600", f"systemctl stop x; rm {STATE}/projects/x"),
    (7, "MEDIUM", *listens("slipway", 9999)),
    (7, "MEDIUM", *listens("sw-guestbook", 9999)),
    (7, "MEDIUM", *listens("sw-guestbook", 9999, "--bind ::")),
    (8, "CRITICAL", f"chmod o+r {STATE}/keys/seal.key", f"chmod o= {STATE}/keys/seal.key"),
    (8, "CRITICAL", f"chmod o+r {STATE}/slipway.db", f"chmod o= {STATE}/slipway.db"),
    (8, "CRITICAL", f"install -m 644 -o sw-guestbook -g sw-guestbook /dev/null {MINE}/data/.env", f"rm {MINE}/data/.env"),
    (8, "CRITICAL", f"install -m 644 -o slipway -g slipway /dev/null {STATE}/backups/x.tar.gz", f"rm {STATE}/backups/x.tar.gz"),
    (9, "LOW", "echo '0 0 * * * true' | crontab -u slipway -", "crontab -u slipway -r"),
    (9, "LOW", "echo '0 0 * * * true' | crontab -u sw-guestbook -", "crontab -u sw-guestbook -r"),
    (10, "CRITICAL", "groupadd -r docker && gpasswd -a sw-guestbook docker", "groupdel docker"),
    (10, "LOW", "usermod -g games sw-guestbook", "usermod -g 70001 sw-guestbook"),
    (10, "CRITICAL", "gpasswd -a slipway sudo", "gpasswd -d slipway sudo"),
    (10, "LOW", "gpasswd -a slipway games", "gpasswd -d slipway games"),
    # last: the journal keeps it. A command that a rule allows, and one that it does not.
    (6, "MEDIUM", used_sudo("true"), "rm -f /etc/sudoers.d/x; journalctl -q --rotate --vacuum-time=1s"),
    (6, "HIGH", used_sudo("id"), "rm -f /etc/sudoers.d/x"),
]
EXIT = {"CRITICAL": 2, "HIGH": 1}

# `slipway audit --advice`: the item, how much, how to plant it. What the item then says to type mends it, unless a row ends with something
# else that does: where that needs an archive to install from, a reboot, or another service.
SSHD = "sed -i '1i {}' /etc/ssh/sshd_config"
BEFORE_KEYS = [  # while sshd takes passwords
    ("bans", "advice", "systemctl stop fail2ban"),
    ("bans", "advice", "printf '[sshd]\\nenabled = false\\n' >/etc/fail2ban/jail.d/z.local && systemctl restart fail2ban", "rm /etc/fail2ban/jail.d/z.local && systemctl restart fail2ban"),
]
ADVICE = [
    ("updates", "advice", "echo 'APT::Periodic::Unattended-Upgrade \"0\";' >/etc/apt/apt.conf.d/20auto-upgrades"),
    ("updates", "advice", "rm /etc/apt/apt.conf.d/20auto-upgrades"),
    ("updates", "advice", "systemctl stop apt-daily-upgrade.timer"),
    ("updates", "advice", "mv /usr/bin/unattended-upgrade /srv", "mv /srv/unattended-upgrade /usr/bin"),
    ("package lists", "minor", "touch -d '30 days ago' /var/lib/apt/lists/*", "touch /var/lib/apt/lists/*"),
    ("package lists", "minor", "mv /var/lib/apt/lists /srv", "mv /srv/lists /var/lib/apt"),
    ("reboot", "advice", "touch /boot/vmlinuz-999.$(uname -r)", "rm /boot/vmlinuz-999.*"),
    ("firewall", "advice", "ufw disable"),
    ("firewall", "advice", "nft delete table ip6 filter", "ufw disable && ufw --force enable"),
    ("firewall", "minor", "sed -i s/ENABLED=yes/ENABLED=no/ /etc/ufw/ufw.conf", "ufw --force enable"),
    ("ssh root", "minor", SSHD.format("PermitRootLogin prohibit-password")),
    ("ssh root", "advice", SSHD.format("PermitRootLogin yes")),
    ("ssh empty", "urgent", SSHD.format("PermitEmptyPasswords yes")),
    ("ssh limits", "minor", SSHD.format("MaxAuthTries 7")),
    ("ssh limits", "minor", SSHD.format("LoginGraceTime 0")),
    ("ssh X11", "minor", SSHD.format("X11Forwarding yes")),
    ("ssh algorithms", "minor", SSHD.format("Ciphers +aes128-cbc")),
    ("ssh algorithms", "minor", SSHD.format("MACs +umac-64@openssh.com")),
    ("ssh algorithms", "minor", SSHD.format("KexAlgorithms +diffie-hellman-group14-sha1")),
    ("time", "advice", "systemctl stop chrony", "systemd-run -q --unit=chrony sleep infinity"),
    ("core dumps", "minor", "rm /etc/systemd/system.conf.d/60-advice.conf && systemctl daemon-reexec"),
    ("network", "advice", "sysctl -qw net.ipv4.tcp_syncookies=0"),
    ("network", "minor", "sysctl -qw net.ipv4.conf.all.rp_filter=0"),
    ("/tmp", "minor", "systemctl disable -q tmp.mount"),
]
# Either takes passwords: the second by way of PAM.
PASSWORDS = [("ssh passwords", "advice", SSHD.format(line)) for line in ("PasswordAuthentication yes", "KbdInteractiveAuthentication yes")]
