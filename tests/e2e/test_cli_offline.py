"""The command without any server: help, wrong usage, exit codes, completions, and the manual page against the help."""
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import SANITIZED, TOP

PROGRAM = SANITIZED / "src" / "slipway"


@pytest.fixture
def slipway(tmp_path):
    def run(*args, code=0, stdin="", **env):
        result = subprocess.run(
            [PROGRAM, *args],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "SLIPWAY_SOCKET": str(tmp_path / "none.sock"), **env},
            capture_output=True, text=True, timeout=60, input=stdin, cwd=tmp_path,
        )
        assert result.returncode == code, (args, result.returncode, result.stdout[-2000:], result.stderr[-2000:])
        return result

    return run


def commands(slipway):
    """(name, what follows it) of every row of the help."""
    rows = re.findall(r"^  ([a-z].*?)(?:  +| (?=give a role))\S", slipway("--help").stdout.split("\nflags")[0], re.M)
    split = []
    for row in rows:
        words = row.split()
        n = 1
        while n < len(words) and re.fullmatch("[a-z][a-z-]*", words[n]):
            n += 1
        split.append((" ".join(words[:n]), " ".join(words[n:])))
    return split


EXPECTED = """create list info source setup open plan deploy cancel status releases rollback logs ps scale restart stop start run env domains services devices certs sites edge hooks notify mail events tasks
login limits tokens operators grants backup backups restore destroy validate audit admin version completion help""".split()


def test_every_command_has_help_with_an_example(slipway):
    rows = commands(slipway)
    assert {name.split()[0] for name, _ in rows} == set(EXPECTED)
    for name, _ in rows:
        shown = slipway(*name.split(), "--help").stdout
        assert f"slipway {name}" in shown.split("\nexample:\n")[1], name
        assert shown == slipway("help", *name.split()).stdout
    for group in ("env", "hooks", "tokens"):
        assert f"slipway {group} list" in slipway(group, "--help").stdout.replace("  ", " ") or group + " list" in slipway(group, "--help").stdout


def test_the_manual_page_says_what_the_help_says(slipway):
    page = (TOP / "share/man/slipway.1").read_text().replace("\\-", "-")
    for name, follows in commands(slipway):
        head = f".It Cm {name}" + (f" Ar {follows}" if follows else "")
        assert head + "\n" in page, head
        entry = page.split(head + "\n")[1].split("\n.It Cm ")[0]
        shown = slipway("help", *name.split()).stdout
        if "\nflags:\n" not in shown:
            continue
        for flag in re.findall(r"--([a-z-]+)", shown.split("\nflags:\n")[1].split("\n\n")[0]):
            if f"  --{flag}" in shown or f", --{flag}" in shown:
                assert re.search(rf"Fl -{flag}\b", entry), (name, flag)
    assert len(re.findall(r"^\.It Cm ", page, re.M)) == len(commands(slipway))


@pytest.mark.parametrize(
    "args, words",
    [
        (["edge"], "slipway edge --help"),
        (["deply"], "did you mean 'slipway deploy'?"),
        (["deploy", "--forse"], "did you mean '--force'?"),
        (["hooks", "creat", "shop"], "did you mean 'slipway hooks create'?"),
        (["env", "lisst"], "did you mean 'slipway env list'?"),
        (["tokens", "shop"], "slipway tokens --help"),
        (["logs", "a", "b"], "'b' is too much"),
        (["create"], "something is missing"),
        (["deploy", "--ref"], "needs a value"),
        (["deploy", "Bad_Name"], "project name"),
        (["destroy", "shop"], "slipway destroy shop --yes"),
        (["info"], "which project?"),
        (["logs", "shop", "--since", "soon"], "--since"),
        (["logs", "shop", "--tail", "many"], "--tail"),
        (["scale", "shop", "web"], "PROCESS=N"),
        (["run", "shop"], "a command is missing"),
        (["list", "--", "x"], "nothing may stand behind"),
        (["login", "http://10.1.2.3", "--token-stdin"], "--insecure"),
        (["list", "--server", "nobody"], "there is no server 'nobody'"),
        (["completion", "tcsh"], "no completion"),
        (["deploy", "shop", "--dir", "/nonexistent/dir"], "cannot open the directory"),
    ],
)
def test_wrong_usage_is_64_and_says_what_to_do(slipway, args, words):
    shown = slipway(*args, code=65 if "Bad_Name" in args else 64)
    assert words in shown.stderr and shown.stdout == ""


def test_nothing_said_is_help_and_64(slipway):
    assert "usage:" in slipway(code=64).stderr


@pytest.mark.parametrize("args", [["list"], ["deploy", "shop"], ["logs", "shop", "-f"], ["destroy", "shop", "--yes"], ["run", "shop", "--", "true"]])
def test_no_daemon_is_69(slipway, args, tmp_path):
    assert f"cannot reach slipwayd at {tmp_path}/none.sock: No such file or directory" in slipway(*args, code=69).stderr


def test_version_works_alone(slipway):
    assert re.match(r"slipway \d+\.\d+\.\d+\n", slipway("version").stdout)
    assert json.loads(slipway("version", "--json").stdout)["server"] is None


def test_a_stranger_s_file_does_not_choose_the_project(slipway, tmp_path):
    (tmp_path / ".slipway").write_text("../../etc\n")
    assert "names no project" in slipway("info", code=78).stderr


@pytest.mark.parametrize("shell, check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_completions_are_scripts(slipway, tmp_path, shell, check):
    script = slipway("completion", shell).stdout
    for name in EXPECTED:
        assert name in script
    path = tmp_path / "completion"
    path.write_text(script)
    if shutil.which(check[0]):
        assert subprocess.run([*check, path], capture_output=True, text=True).stderr == ""


def test_bash_completes(slipway, tmp_path):
    path = tmp_path / "completion"
    path.write_text(slipway("completion", "bash").stdout)

    def complete(*words):
        script = f'. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _slipway; printf "%s\\n" "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", script, "-", path, *words], capture_output=True, text=True).stdout.split()

    assert complete("slipway", "rol") == ["rollback"]
    assert complete("slipway", "hooks", "rot") == ["rotate"]
    assert "--force" in complete("slipway", "deploy", "--f")
