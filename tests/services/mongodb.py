"""One MongoDB for a whole test session, whichever way there is: one that is given, Docker, or the engine from npm.

All workers of the session share it; whoever comes first starts it, under a lock. What was started here is stopped at
the end of the session by the process that began it. Forbidden here: knowing what is tested.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

SCRIPT = Path(__file__).with_name("mongodb")
CACHE = Path(__file__).parents[2] / ".cache" / "mongodb"  # what is installed stays for the next session
IMAGE = "mongo:7"
ADVICE = "set TEST_MONGODB_URI, start a Docker daemon, or install Node.js with npm"

_SESSION = "RECONCILER_TESTS_MONGODB"  # in the environment: the session's folder, for the workers


class NoMongodbError(Exception):
    """None of the ways works; says why for each."""


def begin(owner: int) -> None:
    """Make the session's folder; called once, by the process that starts the workers (``owner``)."""
    folder = tempfile.mkdtemp(prefix="mongodb-tests-")
    Path(folder, "owner").write_text(str(owner))
    os.environ[_SESSION] = folder


def end() -> str:
    """Stop what this session has started; returns why there was no MongoDB, if one was asked for in vain.

    May be called twice.
    """
    if not (session := os.environ.pop(_SESSION, "")):
        return ""
    folder = Path(session)
    with suppress(NoMongodbError):
        if (folder / "container").exists():
            _output("docker", "rm", "--force", (folder / "container").read_text())
        if (folder / "pid").exists():
            _output(str(SCRIPT), "stop", str(folder))
    why = (folder / "why-not").read_text() if (folder / "why-not").exists() else ""
    shutil.rmtree(folder, ignore_errors=True)
    return why


def uri() -> str:
    """The server's URI, without a database; starts one where it is the first time in this session.

    Raises:
        NoMongodbError: there is none; it is not tried twice.
    """
    folder = Path(os.environ[_SESSION])
    with _alone(folder / "lock"):
        if (folder / "why-not").exists():
            raise NoMongodbError((folder / "why-not").read_text())
        if not (folder / "found").exists():
            try:
                found = _found(folder)
            except NoMongodbError as error:
                (folder / "why-not").write_text(str(error))
                raise
            (folder / "found").write_text(found)
        return (folder / "found").read_text()


def url(server: str, database: str) -> str:
    """The server's URI with a database in it."""
    scheme, _, rest = server.partition("://")
    place, question, options = rest.partition("?")
    return f"{scheme}://{place.partition('/')[0]}/{database}{question}{options}"


def _found(folder: Path) -> str:
    """Whichever way works.

    Raises:
        NoMongodbError: with every way's reason.
    """
    if given := os.environ.get("TEST_MONGODB_URI"):
        try:
            _await_answer(given, within=5)
        except NoMongodbError as error:  # somebody means this one: another would not do
            raise NoMongodbError(f"TEST_MONGODB_URI: {error}") from None
        return given
    reasons = []
    for way in (_by_docker, _by_npm):
        try:
            return way(folder)
        except NoMongodbError as error:
            reasons.append(str(error))
    raise NoMongodbError("; ".join(reasons))


def _by_docker(folder: Path) -> str:
    if not shutil.which("docker"):
        raise NoMongodbError("docker is not installed")
    _output("docker", "version", "--format", "{{.Server.Version}}", within=10)
    container = _output("docker", "run", "--detach", "--rm", "--publish", "127.0.0.1::27017", IMAGE, within=90)
    (folder / "container").write_text(container)
    address = _output("docker", "port", container, "27017/tcp").splitlines()[0]
    server = f"mongodb://{address}/?directConnection=true"
    _await_answer(server, within=30)  # the container goes with the session, also where this fails
    return server


def _by_npm(folder: Path) -> str:
    owner = (folder / "owner").read_text()
    with _alone(CACHE.with_suffix(".lock")):  # another session may be installing
        return _output(str(SCRIPT), "start", str(folder), str(CACHE), within=110, OWNER=owner)


def _await_answer(server: str, *, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            with MongoClient(server, serverSelectionTimeoutMS=1000) as client:
                client.admin.command("ping")
        except PyMongoError as error:
            if time.monotonic() > deadline:
                raise NoMongodbError(f"no MongoDB answers ({type(error).__name__})") from None
        else:
            return


def _output(*command: str, within: float = 30, **environment: str) -> str:
    """What a command prints; the last line of its complaint where it fails."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=within, env=os.environ | environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoMongodbError(f"{name}: {type(error).__name__}") from None
    if done.returncode:
        raise NoMongodbError(f"{name}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.strip()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock among processes; the system lets go of it when the holder dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
