"""The renderers' text as a parser that nobody here wrote reads it: augeas' lenses for nginx and for Apache find exactly the
tree that the template promises, for ordinary values and for hostile ones, or the value was refused."""
import re
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


def render(fields, *server):
    text = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in fields)
    done = subprocess.run([TOOL, *server], input=text, capture_output=True, timeout=10)
    assert done.returncode in (0, 65), done
    assert (done.returncode == 0) == bool(done.stdout)
    return done.stdout.decode("ascii") if done.stdout else None


@pytest.fixture(scope="module")
def aug():
    a = augeas.Augeas(root="/nonexistent", flags=augeas.Augeas.NO_LOAD | augeas.Augeas.NO_MODL_AUTOLOAD)
    a.add_transform("Nginx.lns", "/none")
    a.add_transform("Httpd.lns", "/never")
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


def parse(aug, text, lens="Nginx.lns"):
    aug.set("/in", text)
    aug.remove("/out")
    aug.text_store(lens, "/in", "/out")
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


# Apache's: placeholders become values only after the line was taken apart. U is the URL inside a regular expression.
LOOK = """
RewriteCond {R}/{P}/%{ENV:SW_N}/public%{REQUEST_URI} -f
RewriteRule ^ {R}/{P}/%{ENV:SW_N}/public%{REQUEST_URI} [L]
RewriteCond {R}/{P}/%{ENV:SW_N}/public%{REQUEST_URI}index.html -f
RewriteRule /$ {R}/{P}/%{ENV:SW_N}/public%{REQUEST_URI}index.html [L]"""
NUMBER = """
RewriteCond {T}/{P}/LINK/number -f
RewriteCond expr "file('{T}/{P}/LINK/number') =~ m#^([0-9]+)$#"
RewriteRule ^ - [E=SW_N:%1]"""
APACHE = """
LimitRequestBody 1000
RewriteCond expr "req_novary('Content-Length') -gt 1000"
RewriteRule ^ - [R=413,L]
RewriteCond expr "-n req_novary('Transfer-Encoding') || (%{SERVER_PROTOCOL} == 'HTTP/2.0' && %{REQUEST_METHOD} in {'POST','PUT','PATCH'} && -z req_novary('Content-Length'))"
RewriteRule ^ - [R=411,L]
CHOICE
<Directory {T}/{P}/data>
Options None
</Directory>
RewriteCond %{ENV:SW_AT} =data1
RewriteCond {T}/{P}/data/{A}$1 -f
RewriteCond {T}/{P}/data/{A}$1 !-l
RewriteRule ^/media(/.*)$ {T}/{P}/data/{A}$1 [L]
RewriteCond %{ENV:SW_AT} =data1
RewriteCond {T}/{P}/data/{A}$1index.html -f
RewriteCond {T}/{P}/data/{A}$1index.html !-l
RewriteRule ^/media(/(?:.*/)?)$ {T}/{P}/data/{A}$1index.html [L]
RewriteCond %{ENV:SW_AT} =data1
RewriteRule ^ - [R=404,L]
RewriteCond %{ENV:SW_AT}:%{REQUEST_METHOD} !^(public:|root:(GET|HEAD)$)
RewriteRule ^ - [S=10]""" + NUMBER.replace("LINK", "live") + LOOK + """
RewriteCond {R}/{P}/%{ENV:SW_N}/public%{REQUEST_URI} -d
RewriteRule [^/]$ %{ENV:SLIPWAY_PROTO}://%{HTTP_HOST}%{REQUEST_URI}/ [R=301,L]""" + NUMBER.replace("LINK", "previous") + LOOK + NUMBER.replace("LINK", "live") + LOOK + """
RewriteCond %{ENV:SW_AT} =public
RewriteRule ^ - [R=404,L]
ProxyTimeout 60
ErrorDocument 503 /.slipway/502.html
<Proxy balancer://slipway-{P}>
BalancerMember unix:{T}/{P}/live/web.1.sock|http://web1.{P}.invalid upgrade=websocket enablereuse=off retry=0 connectiontimeout=5
BalancerMember unix:{T}/{P}/live/web.2.sock|http://web2.{P}.invalid upgrade=websocket enablereuse=off retry=0 connectiontimeout=5
ProxySet lbmethod=byrequests
</Proxy>
ProxyPass / balancer://slipway-{P}/ nocanon
</VirtualHost>"""
CHOICES = ("RewriteCond %{ENV:SW_AT} ^$\nRewriteRule ^{U}(/|$) - [E=SW_AT:public]", "RewriteCond %{ENV:SW_AT} ^$\nRewriteRule ^/media/ - [E=SW_AT:data1]")
HEAD = "<VirtualHost *:${SLIPWAY_%s}>\nServerName shop.localhost%s\nRewriteEngine on\nInclude server.conf\n"
PEM = "Include %s.conf\nSSLCertificateFile certs/%s"


def apache_tree(template, values):
    """Sections nest by their lines; every word of a line is one node."""
    top, stack = [], []
    here = top
    for line in filter(None, template.splitlines()):
        words = re.findall(r'"[^"]*"|[^\s"]+', line)
        for mark, value in values.items():
            words = [w.replace(mark, value) for w in words]
        if words[0].startswith("</"):
            here = stack.pop()
        elif words[0].startswith("<"):
            words[-1] = words[-1][:-1]
            inside = [("arg", w, []) for w in words[1:]]
            here.append((words[0][1:], None, inside))
            stack.append(here)
            here = inside
        else:
            here.append(("directive", words[0], [("arg", w, []) for w in words[1:]]))
    return top


def expected_apache(tls=None, **values):
    f = {**FIELDS, **values}
    marks = {"{P}": f["project"], "{D}": f["domain"], "{U}": f["url"].replace(".", "\\."), "{A}": f["data"], "{T}": TOP, "{R}": "/srv/slipway/run"}
    # the longer URL is judged first
    choice = "\n".join(CHOICES if len(f["url"]) >= len("/media") else CHOICES[::-1])
    content = APACHE.replace("CHOICE", choice)
    alias = "\nServerAlias {D}"
    if not tls:
        return apache_tree(HEAD % ("HTTP", alias) + content, marks)
    own = HEAD % ("HTTP", "") + content + "\n" + HEAD % ("HTTPS", "") + PEM % ("tls", "self/shop.localhost") + content + "\n"
    if tls == "trusted":
        plain = HEAD % ("HTTP", alias) + "RewriteRule ^ https://%{SERVER_NAME}:8443%{REQUEST_URI} [R=308,L]\n</VirtualHost>\n"
    else:
        plain = HEAD % ("HTTP", alias) + content + "\n"
    secure = HEAD % ("HTTPS", alias) + PEM % ("secure" if tls == "trusted" else "tls", "{P}.pem") + content
    return apache_tree(own + plain + secure, marks)


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


def test_ordinary_values_for_apache(aug):
    for values in ORDINARY:
        for more, tls in (([], None), (CERTIFICATE, "untrusted"), ([*CERTIFICATE, ("trusted", "1")], "trusted")):
            text = render(fields_with(more, **values), "apache")
            assert parse(aug, text, "Httpd.lns") == expected_apache(tls, **values)


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


@pytest.mark.parametrize("field", FIELDS)
def test_hostile_values_for_apache(aug, field):
    """What one renderer refuses the other does; and what is taken has the tree of the template."""
    refused = accepted = 0
    for value in hostile_values(FIELDS[field]):
        if field == "url" and value == "/":
            continue
        fields = fields_with(**{field: value})  # with TLS it is the same content twice, and augeas slow
        text = render(fields, "apache")
        assert (text is None) == (render(fields) is None)
        if text is None:
            refused += 1
            continue
        accepted += 1
        assert parse(aug, text, "Httpd.lns") == expected_apache(**{field: value}), repr(value)
    assert refused >= 300 and accepted >= 20, (refused, accepted)


def test_the_oracle_sees_an_injection_into_apache(aug):
    text = render(fields_with(), "apache").replace("shop.example.org", "x\n\tRedirect / http://evil.example/")
    tree = parse(aug, text, "Httpd.lns")
    assert tree != expected_apache(domain="x")
    assert ("directive", "Redirect", [("arg", "/", []), ("arg", "http://evil.example/", [])]) in tree[0][2]


def test_the_oracle_sees_an_injection(aug):
    """The planted fault: what a renderer without its wall would have written."""
    value = "x;\n\treturn 200"
    text = render(fields_with()).replace("shop.example.org", value)
    tree = parse(aug, text)
    assert tree != expected(domain=value)
    assert ("return", "200", []) in tree[1][2]
