"""Values that have broken other platforms: what a shell, git, nginx, YAML, SQL, a terminal or a path would take for more than text.

PWNED is a file that several of them would make, were they executed."""

PWNED = "/tmp/slipway-pwned"
RUN = f"touch {PWNED}"

SHELL = [
    f"$({RUN})", f"`{RUN}`", f";{RUN}", f"; {RUN} ;", f"&& {RUN}", f"|| {RUN}", f"| {RUN}", f"& {RUN} &", f"x;{RUN}", f"x && {RUN}",
    f"'; {RUN}; '", f'"; {RUN}; "', f"\\\"; {RUN}", f"${{IFS}}{RUN.replace(' ', '${IFS}')}", f"$({RUN.replace(' ', '$IFS')})", f"<({RUN})",
    f">{PWNED}", f"< /etc/passwd > {PWNED}", f"x\n{RUN}", f"x\n{RUN}\n", f"x\r\n{RUN}\r\n", f"\n\n{RUN}", f"{{{RUN.replace(' ', ',')}}}",
    f"${{x:-$({RUN})}}", f"$'\\x3b{RUN}'", f"!{RUN}", "!!", "!-1", "~", "~root", "~/.ssh/id_rsa", "$HOME", "${PATH}", "$$", "$?", "$0", "$@", "*", "?", "[a-z]",
    "{a,b}", "#", "# comment", "\\", "\\\\", "\\n", "'", "''", '"', '""', "'\"'\"'", "`", "``", "$", "$(", "${", "(", ")", "()", "() { :; }; " + RUN,
    "&", "|", ";", "<", ">", "%00", "x$(id)y", "a b", " leading", "trailing ", "\ttab", "a\tb", "-",
]
OPTIONS = [
    f"--upload-pack={RUN}", f"--upload-pack=touch${{IFS}}{PWNED}", f"-u{RUN}", "--exec=id", "-oProxyCommand=" + RUN, f"--config=core.pager={RUN}", "-c", "--", "---", "--help",
    "-rf", "-rf /", "--no-preserve-root", "--output=/etc/passwd", f"-o{PWNED}", "--template=/tmp", "-X", "--separate-git-dir=/tmp/x", "--receive-pack=id", "-C/",
]
PLACES = [
    "../", "../../../../etc/passwd", "..", ".", "./", "/", "//", "/etc/passwd", "/etc/shadow", "/proc/self/environ", "/dev/null", "..\\..\\windows", "....//....//", "%2e%2e%2f",
    "%2e%2e/%2e%2e", "..%00/", "..;/", "a/../../b", "a//b", "a/./b", ".git", ".git/config", ".git/hooks/post-checkout", ".ssh/authorized_keys", ".env", "C:\\", "\\\\host\\share",
    "file:///etc/passwd", f"ext::sh -c {RUN.replace(' ', '% ')}", "ext::sh", "fd::17", "http://169.254.169.254/latest/meta-data/", "http://[::1]:80/x", "git://x/y", "javascript:alert(1)",
    "ssh://-oProxyCommand=id/x", "data:text/html,x", "transport::address",
]
TEXT = [
    "; return 200 pwned;", "} server { listen 80; }", "{", "}", "{}", "{{7*7}}", "${{7*7}}", "<%= 7*7 %>", "%s%s%s%n", "%n", "%", "%%", "%i", "%2F", "$host", "$request_uri",
    "include /etc/passwd;", "root /;", "ExecStart=/bin/sh", "x\n[Service]\nExecStart=/bin/sh", "x\\\nExecStart=/bin/sh", "' OR '1'='1", "'; DROP TABLE projects; --", "1 UNION SELECT 1", "\" OR \"\"=\"",
    "admin'--", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "&lt;", "&#0;", "x\r\nSet-Cookie: a=b", "x\r\n\r\nHTTP/1.1 200 OK", "Host: evil", "!!python/object/apply:os.system [id]",
    "*alias", "&anchor", "- a", "a: b", "[1,2", "? x", "| x", "> x", "@x", "null", "true", "~x", "NaN", "-1", "1e999", "0x10", "010", "99999999999999999999999999", "=cmd|' /C calc'!A1", "+1+1",
    "__proto__", "constructor", "None", "undefined", "(null)", "CON", "nul", "x" * 300, "A" * 5000, "ü" * 200,
]
UNICODE = [
    "\u202ecod.exe\u202c", "\u2066\u2069", "\u200b", "\u200d", "\ufeffx", "\ufffe", "\uffff", "\u2028", "\u2029", "\u0085", "\u00a0", "\u3000", "é", "e\u0301", "ı", "ſ", "K", "ﬀ", "аdmin", "ｓｌｉｐ", "／", "．．／",
    "＇", "；", "𝒶", "😀", "👨\u200d👩\u200d👧", "\U000e0041", "\u0430\u200f\u05d0", "日本語", "مرحبا", "Ω\u0301", "\u061c",
]
CONTROL = [
    "\x01", "\x02x\x03", "\x07", "\x08\x08", "\x0b", "\x0c", "\r", "\n", "\r\n", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]52;c;aGk=\x07", "\x1b[2J", "\x1b[201~", "\x7f", "\x9b31m", "\x90", "\x00",
    "x\x00y", "x\x00;" + RUN, "\x1f", "a\x0db", "\x1bc",
]
ALL = list(dict.fromkeys(SHELL + OPTIONS + PLACES + TEXT + UNICODE + CONTROL))
TEXTS = [v for v in ALL if "\0" not in v]  # what a Unix process can be given
assert len(ALL) >= 250 and len(TEXTS) >= 240


def file_names():
    """Those that are one component of a path that a tree may hold, made different from each other ignoring nothing."""
    names = [v.replace("/", "\u2215").encode()[:200] for v in TEXTS]
    out = []
    for n in names:
        n = n.decode("utf-8", "ignore")
        if n not in ("", ".", "..") and n not in out and not n.lower().startswith(".git"):
            out.append(n)
    return out


def branches():
    """Legal branch names (git-check-ref-format) that keep as much of each value as git allows."""
    out = []
    for v in TEXTS:
        v = "".join(c for c in v if c > " " and c not in "~^:?*[\\\x7f" and not 0xD800 <= ord(c) < 0xE000)
        while ".." in v or "@{" in v or "//" in v:
            v = v.replace("..", ".").replace("@{", "@").replace("//", "/")
        v = v.strip("/.-").encode()[:150].decode("utf-8", "ignore").strip("/.-")
        v = "/".join(p.lstrip(".") or "x" for p in v.split("/"))
        if v and v != "@" and not v.endswith(".lock") and not any(v != o and (v + "/").startswith(o + "/") or (o + "/").startswith(v + "/") for o in out):
            out.append(v)
    return out


def yaml(value):
    """A double-quoted YAML scalar of exactly this text."""
    def one(c):
        n = ord(c)
        if c in '"\\':
            return "\\" + c
        if 0x20 <= n < 0x7F:
            return c
        return f"\\x{n:02x}" if n < 0x100 else f"\\u{n:04x}" if n < 0x10000 else f"\\U{n:08x}"

    return '"' + "".join(map(one, value)) + '"'
