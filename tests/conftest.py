"""What all tests share: one MongoDB for the session, and an empty database in it for each test that asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from pymongo import MongoClient

from tests.services import mongodb

_WHY_NOT = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # xdist's workers have the environment of the process that starts them
        mongodb.begin(os.getpid())


@pytest.hookimpl(trylast=True)  # after every worker and every fixture
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.stash[_WHY_NOT] = mongodb.end()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        mongodb.end()  # where there was no session, as with a mistake in the command line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if why := config.stash.get(_WHY_NOT, ""):
        line = f"NOT TESTED ON MONGODB: {why}. To test it: {mongodb.ADVICE}. REQUIRE_MONGODB=1 makes this a failure."
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(scope="session")
def mongodb_server() -> str:
    """The URI of the session's MongoDB; skips where there is none, or fails with REQUIRE_MONGODB=1."""
    try:
        return mongodb.uri()
    except mongodb.NoMongodbError as error:
        if os.environ.get("REQUIRE_MONGODB") == "1":
            pytest.fail(f"REQUIRE_MONGODB=1, but there is none: {error}. {mongodb.ADVICE}.", pytrace=False)
        pytest.skip(f"no MongoDB: {error}")


@pytest.fixture(scope="session")
def mongodb_client(mongodb_server: str) -> Iterator[MongoClient]:
    """A blocking client, to look behind a store's back."""
    with MongoClient(mongodb_server, tz_aware=True) as client:
        yield client


@pytest.fixture
def mongodb_url(mongodb_server: str, mongodb_client: MongoClient) -> Iterator[str]:
    """The URL of a database that is empty and this test's own."""
    name = f"test-{uuid4().hex[:16]}"
    yield mongodb.url(mongodb_server, name)
    mongodb_client.drop_database(name)
