"""lock.py LOCKFILE FOLDER: what LOCKFILE (uv.lock, poetry.lock or Pipfile.lock) wants for this interpreter, as pip reads it:
FOLDER/lock-requirements.txt with "name==version --hash=…" per package, FOLDER/lock-constraints.txt with the versions alone.
Prints one line for people. Ends with 3 and one line when the lock file cannot be followed. Embedded in slipway-tree, which runs
it by the interpreter that the project asks for (3.8 and later); needs only pip beside the standard library."""
import json
import os
import re
import sys

from pip._vendor.packaging.markers import Marker
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.version import Version

FILE_MAX_BYTES = 8 << 20
PACKAGES_MAX = 5000
HASH = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,200}[A-Za-z0-9])?")
INDEX = re.compile(r"https?://[A-Za-z0-9._~:/@\[\]-]+")
PYPI = re.compile(r"https://pypi\.(python\.)?org/simple/?")
HERE = "%d.%d.%d" % sys.version_info[:3]


class Refused(Exception):
    pass


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def load(path):
    with open(path, "rb") as f:
        data = f.read(FILE_MAX_BYTES + 1)
    if len(data) > FILE_MAX_BYTES:
        raise Refused("%s is larger than %d bytes" % (path, FILE_MAX_BYTES))
    if os.path.basename(path) == "Pipfile.lock":
        return json.loads(data)
    try:
        import tomllib
    except ImportError:
        from pip._vendor import tomli as tomllib
    return tomllib.loads(data.decode())


def applies(marker, extras=()):
    """Does an environment marker hold here? Without one: yes."""
    if not marker:
        return True
    return any(Marker(marker).evaluate({"extra": e}) for e in ("", *extras))


# --- versions in Poetry's words: ^1.2, ~1.2, 1.*, "a || b", also ">=1 <2" ---

PART = re.compile(r"(\^|~=|~|>=|<=|===|==|!=|>|<|=)?\s*v?([0-9][0-9A-Za-z.*+!-]*)")


def up(version, at):
    numbers = [int(n) for n in re.match(r"[0-9.]*[0-9]", version).group().split(".")]
    numbers = (numbers + [0] * 3)[:at + 1]
    numbers[at] += 1
    return ".".join(map(str, numbers))


def caret(version):
    numbers = [int(n) for n in re.match(r"[0-9.]*[0-9]", version).group().split(".")]
    first = next((i for i, n in enumerate(numbers) if n), len(numbers) - 1)
    return up(version, first)


def specifier(alternative):
    out, left = [], PART.sub(" ", alternative)
    if left.replace(",", " ").replace("*", " ").strip():
        raise Refused("the version '%s' cannot be read" % alternative)
    for sign, version in PART.findall(alternative):
        if sign == "^":
            out += [">=" + version, "<" + caret(version)]
        elif sign == "~":
            out += [">=" + version, "<" + up(version, min(1, version.count(".")))]
        else:
            out.append((sign if sign not in ("", "=") else "==") + version)
    return SpecifierSet(",".join(out))


def allows(constraint, version):
    return any(specifier(a).contains(version, prereleases=True) for a in (constraint or "*").split("|") if a.strip())


def need_python(constraint, file):
    if constraint and not allows(constraint, HERE):
        raise Refused("%s asks for Python %s, and this is Python %s" % (file, constraint, HERE))


# --- what each file holds, as a list of (name, version, hashes, index or None) ---


def from_elsewhere(name, kind, file):
    raise Refused("%s: '%s' comes from %s; packages come from an index, with their hashes" % (file, name, kind))


class Graph:
    """Walks from what is asked for to all that is needed. find(name, constraint) -> package; needs(package, extras) -> asks."""

    def __init__(self, find, needs):
        self.find, self.needs, self.seen, self.order = find, needs, {}, []

    def walk(self, asks):
        queue = list(asks)
        while queue:
            name, constraint, extras = queue.pop()
            package = self.find(name, constraint)
            key = (plain(package["name"]), package.get("version"))
            known = self.seen.get(key)
            if known is not None and extras <= known:
                continue
            if known is None:
                self.order.append(package)
            self.seen[key] = extras = extras | (known or set())
            queue += self.needs(package, extras)
            if len(queue) > 100 * PACKAGES_MAX:
                raise Refused("the lock file is too large")
        return self.order


def read_uv(file):
    lock = load(file)
    if lock.get("version") != 1:
        raise Refused("%s has format %s; known is 1" % (file, lock.get("version")))
    need_python(lock.get("requires-python"), file)
    packages = lock.get("package", [])
    roots = [p for p in packages if "." in (p.get("source", {}).get("virtual"), p.get("source", {}).get("editable"))]
    if len(roots) != 1:
        raise Refused("%s names no package for this folder; set `root` to the member of the workspace that runs" % file)

    def find(name, version):
        all_of = [p for p in packages if plain(p["name"]) == plain(name) and version in (None, p.get("version"))]
        if len(all_of) != 1:
            raise Refused("%s: '%s' is there %d times" % (file, name, len(all_of)))
        return all_of[0]

    def needs(package, extras):
        lists = [package.get("dependencies", [])]
        lists += [package.get("optional-dependencies", {}).get(e, []) for e in extras]
        return [(d["name"], d.get("version"), set(d.get("extra", []))) for list_ in lists for d in list_ if applies(d.get("marker"), extras)]

    out = []
    for p in Graph(find, needs).walk(needs(roots[0], set())):
        source = p.get("source", {})
        if p is roots[0]:
            continue
        if not str(source.get("registry", "")).startswith("http"):
            from_elsewhere(p["name"], next(iter(source), "nowhere").replace("registry", "path"), file)
        files = p.get("wheels", []) + ([p["sdist"]] if "sdist" in p else [])
        out.append((p["name"], p["version"], [f.get("hash") for f in files], source["registry"]))
    return out


def poetry_asks(path):
    """What pyproject.toml asks for: (name, constraint, extras), in PEP 621's or Poetry's words."""
    if not os.path.exists(path):
        raise Refused("poetry.lock of this age needs pyproject.toml beside it")
    top, asks = load(path), []
    for text in top.get("project", {}).get("dependencies", []):
        r = Requirement(text)
        if applies(str(r.marker) if r.marker else None):
            asks.append((r.name, str(r.specifier), set(r.extras)))
    poetry = top.get("tool", {}).get("poetry", {}).get("dependencies", {})
    return asks + [a for name, spec in poetry.items() if name.lower() != "python" for a in poetry_needs(name, spec, (), ())]


def poetry_needs(name, spec, extras, wanted):
    """Of a dependency what applies here; `wanted` names the optional ones that `extras` bring in."""
    out = []
    for one in spec if isinstance(spec, list) else [spec]:
        one = {"version": one} if isinstance(one, str) else one
        if one.get("optional") and plain(name) not in wanted:
            continue
        if one.get("platform", sys.platform) == sys.platform and allows(one.get("python"), HERE) and applies(one.get("markers"), extras):
            out.append((name, one.get("version"), set(one.get("extras", []))))
    return out


def poetry_walk(packages, asks, file):
    def find(name, constraint):
        all_of = [p for p in packages if plain(p["name"]) == plain(name)]
        if len(all_of) > 1:
            all_of = [p for p in all_of if allows(constraint, p["version"])]
        if len(all_of) != 1:
            raise Refused("%s: '%s' is there %d times; run `poetry lock`" % (file, name, len(all_of)))
        return all_of[0]

    def needs(package, extras):
        given = {plain(k): v for k, v in package.get("extras", {}).items()}
        wanted = {plain(re.split(r"[ \[(<>=!~;]", text)[0]) for e in extras for text in given.get(plain(e), [])}
        return [a for name, spec in package.get("dependencies", {}).items() for a in poetry_needs(name, spec, extras, wanted)]

    return Graph(find, needs).walk(asks)


def poetry_main(package):
    markers = package.get("markers")
    return "main" in package["groups"] and not package.get("optional") and applies(markers.get("main") if isinstance(markers, dict) else markers)


def read_poetry(file):
    lock = load(file)
    metadata, packages = lock.get("metadata", {}), lock.get("package", [])
    if not str(metadata.get("lock-version", "")).startswith(("1.", "2.")):
        raise Refused("%s has format %s; known are 1 and 2" % (file, metadata.get("lock-version")))
    need_python(metadata.get("python-versions"), file)
    if packages and all("groups" in p for p in packages):
        packages = [p for p in packages if poetry_main(p)]
    else:
        packages = poetry_walk(packages, poetry_asks(os.path.join(os.path.dirname(file), "pyproject.toml")), file)
    out = []
    for p in packages:
        source = p.get("source", {})
        if source.get("type", "legacy") != "legacy":
            from_elsewhere(p["name"], source["type"], file)
        files = p.get("files") or metadata.get("files", {}).get(p["name"], [])
        out.append((p["name"], p["version"], [f.get("hash") for f in files], source.get("url")))
    return out


def read_pipfile(file):
    lock = load(file)
    meta = lock.get("_meta", {})
    requires = meta.get("requires", {})
    want = requires.get("python_full_version") or requires.get("python_version")
    if want and want.split(".")[:2] != HERE.split(".")[:2]:
        raise Refused("%s asks for Python %s, and this is Python %s" % (file, want, HERE))
    indexes, out = {s.get("name"): s.get("url") for s in meta.get("sources", [])}, []
    for name, p in lock.get("default", {}).items():
        if not applies(p.get("markers")):
            continue
        for kind in ("git", "path", "file", "url", "hg", "svn"):
            if kind in p:
                from_elsewhere(name, kind, file)
        if not str(p.get("version", "")).startswith("=="):
            raise Refused("%s: '%s' has no version" % (file, name))
        out.append((name, p["version"].lstrip("="), p.get("hashes", []), indexes.get(p.get("index"))))
    return out


READERS = {"uv.lock": read_uv, "poetry.lock": read_poetry, "Pipfile.lock": read_pipfile}


def check(packages, file):
    if len(packages) > PACKAGES_MAX:
        raise Refused("%s holds more than %d packages" % (file, PACKAGES_MAX))
    seen, out, indexes = set(), [], []
    for name, version, hashes, index in packages:
        if not NAME.fullmatch(name):
            raise Refused("%s: '%.100s' is no name of a package" % (file, name))
        if plain(name) in seen:
            raise Refused("%s holds '%s' in two versions for this machine" % (file, name))
        seen.add(plain(name))
        good = sorted({h for h in hashes if h and HASH.fullmatch(h)})
        if not good:
            raise Refused("%s: '%s' has no hash; lock again with a tool that writes them" % (file, name))
        out.append((plain(name), str(Version(version)), good))
        if index and INDEX.fullmatch(index) and not PYPI.fullmatch(index) and index not in indexes:
            indexes.append(index)
    return sorted(out), indexes


def main(file, folder):
    packages, indexes = check(READERS[os.path.basename(file)](file), file)
    with open(os.path.join(folder, "lock-requirements.txt"), "w") as f:
        f.writelines("--extra-index-url %s\n" % i for i in indexes)
        f.writelines("%s==%s %s\n" % (n, v, " ".join("--hash=" + h for h in hashes)) for n, v, hashes in packages)
    with open(os.path.join(folder, "lock-constraints.txt"), "w") as f:
        f.writelines("%s==%s\n" % (n, v) for n, v, _ in packages)
    print("%s: %d %s for Python %s, each held to its hashes" % (file, len(packages), "package" if len(packages) == 1 else "packages", HERE))


def run(words):
    try:
        main(*words)
        return 0
    except Refused as refused:
        print(refused)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # of TOML, JSON, markers and versions too
        print("%s cannot be read: %s" % (words[0], str(error).split("\n")[0] or type(error).__name__))
    return 3


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:3]))
