"""After everything was taken away, by `setup --undo` or by purging the package: what look() of test_server.py finds in no file. A program that listens on a
port runs until then, so that its rules of the kernel are there to go. Part of test_server.py, provided_test.py and package_test.py."""
NAME, PATH = "ported", "/srv/ported"


def one_listens_on_a_port(server):
    server.run(f"mkdir {PATH} && cat >{PATH}/Procfile", stdin="web: python3 -m http.server $PORT --bind 127.0.0.1\n")
    server.run(f"echo it is served >{PATH}/index.html")
    server.slipway("create", NAME, "--path", PATH, "--kind", "command")
    server.slipway("deploy", NAME)
    assert "it is served" in server.wait_get(NAME + ".localhost")
    found = here(server)
    assert all(found.values()), ("what is not seen now is not missed later", found)
    server.run("rm", "-r", PATH)


def here(server):
    """What is ours, by where it is."""
    ask = {
        "tables": "nft list tables | grep slipway",
        "runtime": "find /run -xdev -path /run/host -prune -o \\( -iname '*slipway*' -o -name 'sw-*' \\) -print",
        "units": "ls /run/systemd/system /run/systemd/system.control /run/systemd/transient 2>/dev/null | grep slipway",
        "loaded": "systemctl list-units --all --plain --no-legend 'slipway*'",
        "unit files": "systemctl list-unit-files --no-legend 'slipway*'",
        "timers": "systemctl list-timers --all --no-legend | grep slipway",
        "groups": "find /sys/fs/cgroup -name 'slipway*.slice' -o -name 'slipway*.service'",
        "processes": "ps -eo uid=,user:32=,args= | grep -E '^ *7[0-9]{4} |slipway[d-]' | grep -v grep",
        "listeners": "ss -Hltnp | grep -E '127\\.0\\.0\\.1:(2[0-9]{4}|8000) '",
    }
    return {what: server.run(line, expect=None).stdout for what, line in ask.items()}


def nothing_is_left(server, units_stay=False):
    """Of units only the files stay, and only where `make install` left them."""
    found = {what: said for what, said in here(server).items() if said and not (what == "unit files" and units_stay)}
    assert not found, found
