"""`lynis` finds a server no worse after Slipway is on it than before (issue 3): its whole audit of a machine with the web server that an administrator
would install, then with the package set up and a project serving. Then the control: worsenings that the same comparison must notice. Part
of package_test.py, which has the machine."""
import re

# A suggestion that was not there before and is not ours to follow, each with the reason; any other one fails.
NOT_OURS = {
    "AUTH-9284|Look at the locked accounts": "the users of projects, numbers from 70001, can never log in, which is what it asks to be looked at; that"
    " no other account is among them is judged below",
}
# The same where lynis is shown the configuration of our nginx, which lies where it does not look, in the place of the distribution's.
NOT_OURS_EDGE = {
    "HTTP-6710|Change the HTTPS and SSL settings": "it wants ssl_prefer_server_ciphers on; with TLS 1.2's own good ciphers only, Mozilla's guide has it off, so"
    " that a telephone may choose the one it is quick at",
    "HTTP-6712|Check your nginx access log": "two places are written into no log: where the helper asks which configuration answers, and /webhooks/, whose"
    " addresses hold a secret",
    "HTTP-6714|Check your nginx error_log": "the second of these: an error there would be logged with its address",
}
LIST = re.compile(r"^(\w+)\[\]=(.*)$", re.M)
POINTS = re.compile(r"Currently having (\d+) points \(out of (\d+)\)")
EXPOSURE = re.compile(r"Result: (\S+\.service): ([\d.]+) ")
LOOPBACK = re.compile(r"\|(127\.[\d.]+|\[::1\]):\d+\|")


def look(server, *more):
    """What lynis has to say of the machine, by kinds."""
    server.run("lynis", "audit", "system", "--quick", "--no-colors", "--cronjob", *more)
    report, log = server.run("cat /var/log/lynis-report.dat"), server.run("cat /var/log/lynis.log")
    seen = {kind: set() for kind in ("warning", "suggestion", "locked_account", "network_listen")}
    for kind, value in LIST.findall(report):
        seen.setdefault(kind, set()).add(value)
    seen["index"] = int(re.search(r"^hardening_index=(\d+)", report, re.M).group(1))
    seen["points"] = tuple(map(int, POINTS.findall(log)[-1]))
    seen["exposure"] = {unit: float(level) for unit, level in EXPOSURE.findall(log)}
    return seen


def say(what, seen):
    print(f"lynis, {what}: index {seen['index']}, {seen['points'][0]} of {seen['points'][1]} points, {len(seen['warning'])} warnings, {len(seen['suggestion'])} suggestions")


def excused(suggestion, reasons):
    return next((why for begin, why in reasons.items() if suggestion.startswith(begin)), None)


def worse(before, after, reasons=NOT_OURS):
    """All in which the second picture is worse than the first."""
    found = [f"warning {w}" for w in sorted(after["warning"] - before["warning"])]
    found += [f"suggestion {s}" for s in sorted(after["suggestion"] - before["suggestion"]) if not excused(s, reasons)]
    found += [f"locked account {a}" for a in sorted(after["locked_account"] - before["locked_account"]) if not a.startswith("sw-")]
    found += [f"listens {at}" for at in sorted(after["network_listen"] - before["network_listen"]) if not re.search(r":(80|443)\|", at) and not LOOPBACK.search(at)]
    found += [f"exposure {u} {level}" for u, level in after["exposure"].items() if u.startswith("slipway") and level > 2.5]
    if after["index"] < before["index"]:
        found.append(f"index {before['index']} became {after['index']}")
    if after["points"][0] * before["points"][1] < before["points"][0] * after["points"][1]:
        found.append(f"points {before['points']} became {after['points']}")
    return found


def before(server):
    """The web server is there as its package leaves it, Slipway is not."""
    server.lynis = look(server)
    say("before", server.lynis)
    assert server.lynis["points"][1] >= 200 and len(server.lynis["suggestion"]) >= 20, "that was no whole audit"
    assert not any(u.startswith("slipway") for u in server.lynis["exposure"])


def is_no_worse(server):
    after = look(server)
    say("after", after)
    for new in sorted(after["suggestion"] - server.lynis["suggestion"]):
        print("lynis, new:", new, "--", excused(new, NOT_OURS) or "NOT EXCUSED")
    for gone in sorted(server.lynis["suggestion"] - after["suggestion"]):
        print("lynis, gone:", gone)
    assert not worse(server.lynis, after), worse(server.lynis, after)
    ours = {u: level for u, level in after["exposure"].items() if u.startswith("slipway")}
    print("lynis, units:", ours)
    assert {"slipwayd.service", "slipway-helper.service", server.own_edge + ".service"} < set(ours) and any(u.startswith("slipway-guestbook.web@") for u in ours), ours


def the_edge_is_no_worse(server):
    """The tests of web servers alone, over the distribution's configuration and then over ours in its place."""
    conf, alone = "/etc/nginx/nginx.conf", ("--tests-from-group", "webservers")
    theirs = look(server, *alone)
    server.run(f"mv {conf} {conf}.was && sed 's#include \\([a-z]\\)#include /var/lib/slipway/edge/\\1#' /var/lib/slipway/edge/nginx.conf >{conf}")
    try:
        ours = look(server, *alone)
    finally:
        server.run(f"mv {conf}.was {conf}")
    for what, seen in (("the distribution's nginx.conf", theirs), ("ours", ours)):
        say(what, seen)
    assert any("/edge/vhosts/guestbook.conf" in f for f in ours["nginx_sub_conf_file"]), ours
    assert not worse(theirs, ours, NOT_OURS_EDGE), worse(theirs, ours, NOT_OURS_EDGE)
    new = {s for s in ours["suggestion"] - theirs["suggestion"]}
    assert len(new) == len(NOT_OURS_EDGE), f"a reason is stale: {new}"


# How it is worsened, how that is taken back, and each line in which it must show.
WORSENINGS = [
    ("useradd -o -u 0 -M planted", "sed -i '/^planted:/d' /etc/passwd /etc/shadow /etc/group /etc/gshadow", ["warning AUTH-9204|", "warning AUTH-9208|"]),
    ("passwd -q -d slipway", "usermod -p '!*' slipway", ["warning AUTH-9283|"]),
    ("chmod 666 /etc/crontab", "chmod 644 /etc/crontab", ["warning SCHD-7704|"]),
    ("useradd -M anna", "userdel anna; rm -f /etc/subuid- /etc/subgid-", ["locked account anna"]),
    ("systemd-run -q --unit=slipway-planted sleep 600", "systemctl stop slipway-planted", ["exposure slipway-planted.service 9."]),
    ("systemd-run -q --unit=planted-listener python3 -m http.server 9999", "systemctl stop planted-listener", ["listens raw,ss,v1|tcp|0.0.0.0:9999|"]),
    ("sed -i 's/^127/#127/' /etc/hosts", "sed -i 's/^#127/127/' /etc/hosts", ["suggestion NAME-4404|"]),
]


def what_is_worse_is_noticed(server):
    """The control: all at once, and the index falls, too."""
    for how, _, _ in WORSENINGS:
        server.run(how)
    try:
        after = look(server)
    finally:
        for _, back, _ in WORSENINGS:
            server.run(back)
    found = worse(server.lynis, after)
    print(f"lynis, planted: index {after['index']};", "; ".join(found))
    for how, _, lines in WORSENINGS:
        for line in lines:
            assert any(f.startswith(line) for f in found), (how, line, found)
    assert any(f.startswith("index ") for f in found), found
