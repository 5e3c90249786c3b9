import pytest

from harness import GitServer, Platform


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
