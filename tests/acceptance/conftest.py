"""A world for the real command: a folder of manifests, a target, and each of the two stores."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.acceptance.command import Ended, Reconciler, run_command
from tests.acceptance.target import Call, Target
from tests.services import mongodb

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "mongodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    return request.getfixturevalue("mongodb_url")


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def lasting_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world on each of the two stores, for all tests of a module that only look at it."""
    path = tmp_path_factory.mktemp("world")
    target = Target()
    if request.param == "sqlite":
        yield from _world(path, f"sqlite:///{path}/state.db", target)
    else:
        server, client = (request.getfixturevalue(name) for name in ("mongodb_server", "mongodb_client"))
        name = f"test-{uuid4().hex[:16]}"
        yield from _world(path, mongodb.url(server, name), target)
        client.drop_database(name)
    target.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> str:
    """The URL of an empty SQLite store, where a test is not about the store."""
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.close()


class World:
    """A folder of manifests, and the command, started as often as a test likes."""

    def __init__(self, path: Path, store: str, target: Target) -> None:
        self.path = path
        self.store = store
        self.target = target
        self.folder = path / "manifests"
        self.folder.mkdir()
        self.started: list[Reconciler] = []
        self.env: dict[str, str] = {}

    def declare(self, name: str, *apis: Mapping[str, Any], file: str = "", **spec: Any) -> Path:
        """Write a file with one Application; an Api that says nothing calls ``/`` every second."""
        made = [
            {"name": api["name"], "schedule": {"every": "1s"}, "request": {"path": "/"}} | dict(api) for api in apis
        ]
        manifest = {
            "apiVersion": "reconciler/v1",
            "kind": "Application",
            "metadata": {"name": name},
            "spec": {"baseUrl": self.target.url, **spec, "apis": made},
        }
        return self.write(file or f"{name}.yaml", yaml.safe_dump(manifest, sort_keys=False))

    def write(self, file: str, text: str) -> Path:
        path = self.folder / file
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Reconciler:
        """Start ``reconciler run`` on the folder, without waiting."""
        made = Reconciler(
            str(self.folder), "--store", self.store, "--listen", "127.0.0.1:0", *args,
            cwd=self.path, env=self.env | dict(env or {}),
        )  # fmt: skip
        self.started.append(made)
        return made

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> Reconciler:
        """Start it and wait until it is ready."""
        return self.run(*args, env=env).ready()

    def command(self, *args: str, within: float = 30.0) -> Ended:
        """Any other command, to its end, on the same store and folder."""
        env = self.env | {"RECONCILER_STORE": self.store, "RECONCILER_SOURCE": str(self.folder)}
        return run_command(*args, cwd=self.path, env=env, within=within)

    def runs(self, job: str = "") -> list[dict[str, Any]]:
        """The runs recorded, oldest first, as ``reconciler runs`` tells them."""
        ended = self.command("runs", *([job] if job else []), "--limit", "10000", "--output", "json")
        assert ended.code == 0, ended.text
        return ended.json["items"][::-1]


@pytest.fixture
def world(tmp_path: Path, store: str, target: Target) -> Iterator[World]:
    """A world on each of the two stores."""
    yield from _world(tmp_path, store, target)


@pytest.fixture
def small_world(tmp_path: Path, sqlite_store: str, target: Target) -> Iterator[World]:
    """A world on SQLite alone."""
    yield from _world(tmp_path, sqlite_store, target)


def _world(path: Path, store: str, target: Target) -> Iterator[World]:
    made = World(path, store, target)
    yield made
    for reconciler in made.started:
        reconciler.put_away()


def compare(calls: list[Call], runs: list[dict[str, Any]]) -> None:
    """The target's log and the record tell the same: each call is an attempt of a run, and the other way round."""
    logged = sorted((call.run, call.attempt, call.job) for call in calls)
    recorded = sorted(
        (run["id"], attempt["number"], run["job"]) for run in runs for attempt in run["attempts"] if attempt["sent"]
    )
    assert logged == recorded


def lock_file(path: Path) -> sqlite3.Connection:
    """Hold a SQLite file so that nobody else can write it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    return connection
