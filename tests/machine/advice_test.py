"""`slipway audit --advice` on a machine with Debian's own sshd, ufw, fail2ban and unattended-upgrades: it changes nothing, each item finds its fault,
and what it says to type mends it. One machine; the tests follow each other. The kernel's own settings are this machine's as well and stay
as they are: tests/unit/test_inspect.c has those."""
import planted
import pytest
from inspect_checks import advice, advice_changes_nothing, advice_finds_each_fault, advice_mends, is_clean, setup_hardens_nothing
from server import NoMachine, Server

SSH = ["ssh root", "ssh empty", "ssh limits", "ssh X11", "ssh algorithms"]


@pytest.fixture(scope="module")
def server():
    try:
        s = Server("host")
    except NoMachine as why:
        pytest.skip(str(why))
    try:
        s.install()
        s.run("systemctl disable -q --now nginx")  # Debian's own, which setup would stop
        yield s
    finally:
        s.close()


def test_never_changed_without_being_asked(server):
    shown = advice_changes_nothing(server)
    assert "follows  CIS Debian Linux 12 Benchmark v1.1.0, 5.1.20 Ensure sshd PermitRootLogin is disabled" in shown, shown
    setup_hardens_nothing(server, "--domain", "paas.example.org", "--http", "8080", "--https", "8443")
    advice_changes_nothing(server)
    other = server.run("runuser", "-u", "nobody", "--", "slipway", "audit", "--advice", expect=None)
    assert other.returncode != 0 and "root" in other.stderr, other
    refused = server.slipway("audit", "--advice", "--tell", expect=None)
    assert refused.returncode == 64, refused


def test_as_debian_comes(server):
    """With its services masked as in every machine of these tests, without a time of its own."""
    levels, commands = advice(server)
    assert levels["reboot"] == levels["package lists"] == levels["ssh empty"] == "fine", levels
    kernel = levels.pop("kernel")
    assert kernel in ("fine", "minor", "advice")
    assert {n for n, l in levels.items() if l == "advice"} == {"updates", "firewall", "bans", "ssh passwords", "time"}, levels
    assert {n for n, l in levels.items() if l == "minor"} == {"ssh root", "ssh limits", "ssh X11", "ssh algorithms", "core dumps", "network", "/tmp"}, levels
    # sshd's port, and those that setup was told
    assert commands["firewall"] == ["apt-get install -y ufw && ufw allow 22/tcp && ufw allow 8080/tcp && ufw allow 8443/tcp && ufw --force enable"]
    server.run("touch /boot/vmlinuz-999.1.0-of-another-kind /boot/vmlinuz-0.$(uname -r)")
    assert advice(server)[0]["reboot"] == "fine"
    server.run("rm /boot/vmlinuz-*")
    server.run("systemctl mask --now -q ssh ssh.socket; sed -i '1i PermitRootLogin yes' /etc/ssh/sshd_config")
    assert advice(server)[0]["ssh root"] == "urgent", "for who may try passwords"
    server.run("systemctl unmask -q ssh ssh.socket; sed -i 1d /etc/ssh/sshd_config; systemctl start ssh")
    assert advice(server)[0] == levels | {"kernel": kernel}


DROPS = "chain in {{ type filter hook input priority 0; policy {}; iif lo accept; {} }}"


def test_other_firewalls(server):
    """Tables of somebody else's making; Slipway's own, by its name, is none."""
    before, _ = advice(server)
    rows = [
        ("inet mine", "drop", "", "minor"),
        ("inet mine", "accept", "tcp dport 22 accept; counter drop;", "minor"),
        ("inet mine", "accept", "reject with icmpx admin-prohibited;", "minor"),
        ("inet mine", "accept", "tcp dport 25 drop;", "advice"),
        ("ip mine", "drop", "", "advice"),
        ("inet slipway", "drop", "", "advice"),
    ]
    for table, policy, rule, level in rows:
        server.run(f"printf '%s\\n' 'table {table} {{' '{DROPS.format(policy, rule)}' '}}' | nft -f -")
        levels, commands = advice(server)
        assert levels == before | {"firewall": level}, (table, policy, rule, levels)
        if level == "minor":  # nothing loads it after a boot
            server.run(commands["firewall"][0])
            assert advice(server)[0]["firewall"] == "fine"
            server.run("systemctl disable -q nftables")
        server.run(f"nft delete table {table}")
    assert advice(server)[0] == before


def test_what_it_says_to_type_mends_it(server):
    server.run("systemd-run -q --unit=chrony sleep infinity")  # a machine in a machine may not set the time
    assert advice(server)[0]["time"] == "fine"
    for item in ["updates", "firewall", "bans"]:
        advice_mends(server, item)
    advice_finds_each_fault(server, planted.BEFORE_KEYS)
    advice_mends(server, "ssh passwords")
    for item in [*SSH, "core dumps", "network", "/tmp"]:
        if item != "ssh empty":  # Debian's is fine
            advice_mends(server, item)
    levels, _ = advice(server)
    levels.pop("kernel")
    assert set(levels.values()) == {"fine"}, levels


def test_each_fault_in_its_item(server):
    advice_finds_each_fault(server, planted.ADVICE)
    advice_finds_each_fault(server, planted.PASSWORDS)
    server.run("systemctl stop fail2ban")  # not needed without passwords
    assert advice(server)[0]["bans"] == "fine"
    advice_finds_each_fault(server, planted.PASSWORDS, "bans")
    server.run(planted.SSHD.format("ListenAddress 127.0.0.1\\nPasswordAuthentication yes"))
    assert advice(server)[0]["bans"] == "fine", "nobody outside gets as far"
    server.run("sed -i 1,2d /etc/ssh/sshd_config; systemctl start fail2ban")


def test_what_cannot_be_read_is_not_fine(server):
    before, _ = advice(server)
    server.run("echo nonsense >/etc/ssh/sshd_config.d/x.conf")
    levels, _ = advice(server)
    server.run("rm /etc/ssh/sshd_config.d/x.conf")
    assert levels == before | dict.fromkeys(["ssh passwords", *SSH], "minor"), levels
    server.run("mv /usr/sbin/nft /srv")
    levels, _ = advice(server)
    server.run("mv /srv/nft /usr/sbin")
    assert levels == before | {"firewall": "minor"}, levels
    server.run("mv /usr/sbin/sshd /srv && systemctl stop fail2ban")
    levels, _ = advice(server)
    server.run("mv /srv/sshd /usr/sbin && systemctl start fail2ban")
    assert levels == before, levels


def test_it_holds_after_a_reboot(server):
    before, _ = advice(server)
    server.run("touch /run/reboot-required")
    levels, commands = advice(server)
    assert levels == before | {"reboot": "advice"} and commands["reboot"] == ["systemctl reboot"], levels
    server.reboot()
    server.run("systemd-run -q --unit=chrony sleep infinity")
    assert advice(server)[0] == before
    advice_finds_each_fault(server, [("/tmp", "minor", "mount -o remount,suid /tmp")])
    is_clean(server, "audit")
    is_clean(server, "validate")
    setup_hardens_nothing(server)
