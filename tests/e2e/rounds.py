"""R8's round over TLS, embedded (test_switch_tls.py) and on a server (machine/switch_checks.py): every way in which what serves changes, under tls_load.py."""
import apps


def files():
    """Of a project that answers with its version and its variable MARK, and on SIGTERM finishes what is begun."""
    made = apps.polite_app()
    made["serve.py"] = made["serve.py"].replace('open("VERSION").read()', 'open("VERSION").read() + os.environ.get("MARK", "")')
    return made


def version(n):
    """What the source of round n holds; v1 was there before."""
    return f"v{n + 2}"


def one_round(cli, name, n):
    """After each change the next."""
    for words in (f"deploy {name} --force", f"certs renew {name}", f"env set {name} MARK=-m{n}", f"deploy {name} --force", f"scale {name} web=3", f"restart {name}",
                  f"scale {name} web=1", f"rollback {name}"):
        cli(*words.split())


def each_once(sent, kept):
    """Each acknowledged id is kept, and none twice."""
    assert len(set(kept)) == len(kept), "an id was appended twice"
    missing = set(sent) - set(kept)
    assert not missing, f"{len(missing)} acknowledged ids were not appended"


def nothing_is_lost(result, first, count, least):
    """So many rounds from the first on; each round's version and certificate served."""
    assert result["failed"] == 0 and result["requests"] >= least, result
    assert result["certificates"] == 1 + count, (result, "each renewed certificate served")
    assert {f"{version(n)}-m{n}" for n in range(first, first + count)} <= set(result["values"]) and len(result["values"]) >= 1 + 2 * count, result["values"]
