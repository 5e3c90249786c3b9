"""The renderer's text as a parser that nobody here wrote reads it: augeas' lens for nginx finds exactly the tree that
the template promises, for ordinary values and for hostile ones, or the value was refused."""
import subprocess

import pytest

from harness import BUILD

augeas = pytest.importorskip("augeas")

TOOL = BUILD / "tests" / "render-vhost"
TOP = "/srv/slipway/p"

HOSTILE = [
    "", " ", "\n", "\r\n", "\r", "\t", "\v", "\f", ";", "{", "}", "#", "$", "%", '"', "'", "\\", "`", "|", "&", "<", ">",
    "(", ")", "*", "?", "!", "^", "=", "+", ",", "@", "[", "]", "~", "..", "../", "/..", "//", "/./", "./", "$host",
    "${host}", "$document_root", "%s", "%n", "%%", "; return 200", ";\n}\nserver {", "} server { listen 1; }", "a; alias /",
    "a {", "a }", "a\nb", "a b", "include /etc/passwd;", "load_module x;", "\x7f", "\x1b[31m", "\u00a0", "\u2028",
    "\u202e", "\ufeff", "ä", "ß", "日本", "unix:/x", "http://x", "~ .*", "~*", "= /", "^~ /", "@x", "-e", "--x", "*.x.org",
    "_", ".", "-", "0", "127.0.0.1", "[::1]", "localhost", "admin", "A", "xn--a", "a..b", "/.slipway", "if ($x) {",
    "#comment", "\\;", '";', "';", "\"\n;", "server_name x", "proxy_pass http://169.254.169.254",
]
FIELDS = {"project": "shop", "domain": "shop.example.org", "url": "/assets", "data": "media"}


def render(fields):
    text = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in fields)
    done = subprocess.run([TOOL], input=text, capture_output=True, timeout=10)
    assert done.returncode in (0, 65), done
    assert (done.returncode == 0) == bool(done.stdout)
    return done.stdout.decode("ascii") if done.stdout else None


@pytest.fixture(scope="module")
def aug():
    a = augeas.Augeas(root="/nonexistent", flags=augeas.Augeas.NO_LOAD | augeas.Augeas.NO_MODL_AUTOLOAD)
    a.add_transform("Nginx.lns", "/none")
    a.load()
    yield a
    a.close()


def children(aug, path):
    """(label, value, children) of every node below, comments too."""
    out = []
    for child in aug.match(path + "/*"):
        label = child[len(path) + 1:].split("[")[0]
        out.append((label, aug.get(child), children(aug, child)))
    return out


def parse(aug, text):
    aug.set("/in", text)
    aug.remove("/out")
    aug.text_store("Nginx.lns", "/in", "/out")
    assert not aug.match("/augeas//text//error") and not aug.match("/augeas/text//error")
    return children(aug, "/out")


def location(comp, uri, *inside):
    head = [("#comp", comp, [])] if comp else []
    return ("location", None, head + [("#uri", uri, [])] + [(k, v, []) for k, v in inside])


def expected(project="shop", domain="shop.example.org", url="/assets", data="media", instances=2):
    root, miss = f"{TOP}/{project}", "403 404 = "
    upstream = [("#name", f"slipway-{project}", [])]
    for i in range(1, instances + 1):
        upstream.append(("@server", None, [("@address", f"unix:{root}/live/web.{i}.sock", []), ("max_fails", "0", [])]))
    public = [("root", f"{root}/live/public"), ("error_page", miss + "@previous")]
    server = [
        ("include", "server.conf", []),
        ("server_name", f"shop.localhost {domain}", []),
        ("client_max_body_size", "1000", []),
        location("=", url, *public),
        location("^~", f"{url}/", *public),
        location("^~", "/media/", ("alias", f"{root}/data/{data}/"),
                 ("disable_symlinks", f"on from={root}/data")),
        location(None, "@previous", ("root", f"{root}/previous/public"), ("error_page", miss + "@again")),
        location(None, "@again", ("root", f"{root}/live/public")),
        ("proxy_read_timeout", "60s", []),
        ("proxy_send_timeout", "60s", []),
        location(None, "/", ("proxy_pass", f"http://slipway-{project}")),
    ]
    return [("upstream", None, upstream), ("server", None, server)]


def expected_tls(project="shop", domain="shop.example.org", url="/assets", data="media", trusted=True):
    """The same with an installed certificate for one domain: a server of its own, and the way there from http."""
    upstream, server = expected(project, domain, url, data)
    names = ("server_name", f"shop.localhost {domain}", [])
    first, second = (list(server[2]) for _ in range(2))
    first[1] = ("server_name", "shop.localhost", [])
    second[0:2] = [("include", "secure.conf" if trusted else "server.conf", []), ("server_name", domain, []),
                   ("ssl_certificate", f"certs/{project}.pem", []), ("ssl_certificate_key", f"certs/{project}.pem", [])]
    assert server[2][1] == names
    way = [("include", "plain.conf", []), ("server_name", domain, []), location(None, "/", ("return", "308 https://$host:8443$request_uri"))]
    return [upstream, ("server", None, first), ("server", None, second)] + ([("server", None, way)] if trusted else [])


def fields_with(tls=(), **values):
    f = {**FIELDS, **values}
    return [("project", f["project"]), ("domain", "shop.localhost"), ("domain", f["domain"]), ("url", f["url"]),
            ("url", "/media"), ("data", f["data"]), ("instances", "2"), *tls]


ORDINARY = ({}, {"project": "a"}, {"project": "a-1"}, {"domain": "x.y"}, {"url": "/a/b.c~d_e-f"}, {"data": "a/b/c.d"}, {"data": "user@host:~x"})
CERTIFICATE = [("https", "8443"), ("covered", "1")]


def test_ordinary_values(aug):
    for values in ORDINARY:
        assert parse(aug, render(fields_with(**values))) == expected(**values)
        assert parse(aug, render(fields_with([("https", "8443")], **values))) == expected(**values)
        assert parse(aug, render(fields_with(CERTIFICATE, **values))) == expected_tls(**values, trusted=False)
        assert parse(aug, render(fields_with([*CERTIFICATE, ("trusted", "1")], **values))) == expected_tls(**values)


def hostile_values(good):
    half = len(good) // 2
    for c in range(1, 256):
        yield good[:half] + chr(c) + good[half:]
    for bad in HOSTILE:
        yield from (bad, good + bad, bad + good, good[:half] + bad + good[half:])


@pytest.mark.parametrize("field", FIELDS)
def test_hostile_values(aug, field):
    refused = accepted = 0
    for value in hostile_values(FIELDS[field]):
        if field == "url" and value == "/":
            continue  # another template
        text = render(fields_with(**{field: value}))
        if text is None:
            refused += 1
            continue
        accepted += 1
        assert parse(aug, text) == expected(**{field: value}), repr(value)
        text = render(fields_with([*CERTIFICATE, ("trusted", "1")], **{field: value}))
        assert parse(aug, text) == expected_tls(**{field: value}), repr(value)
    assert refused >= 300 and accepted >= 20, (refused, accepted)


def test_the_oracle_sees_an_injection(aug):
    """The planted fault: what a renderer without its wall would have written."""
    value = "x;\n\treturn 200"
    text = render(fields_with()).replace("shop.example.org", value)
    tree = parse(aug, text)
    assert tree != expected(domain=value)
    assert ("return", "200", []) in tree[1][2]
