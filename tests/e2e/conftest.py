import os
import signal
import tempfile
from pathlib import Path

import pytest

from harness import GitServer, Platform

# A job that a script put in the background ignores the interrupt, and so would what it starts: here it must end things.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def git():
    server = GitServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def platform():
    """One platform for the tests of a file; each test names its own projects."""
    p = Platform()
    try:
        p.start()
        yield p
    finally:
        p.close()


@pytest.fixture(scope="module")
def open_folder():
    """A folder that the daemon's user may look into. pytest's own are root's alone, and every run of it that begins beside this one closes them again."""
    with tempfile.TemporaryDirectory(prefix="slipway-open-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its platform's log."""
    report = (yield).get_result()
    if report.failed:
        for value in item.funcargs.values():
            if isinstance(value, Platform):
                report.sections.append(("slipwayd", "\n".join(value.log_text().splitlines()[-25:])))
