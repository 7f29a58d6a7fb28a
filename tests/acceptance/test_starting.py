"""Starts that cannot go well: a clear line, exit 2, soon; with --wait, patience. And no secret in any output."""

import socket
import time
from pathlib import Path

import pytest

from tests.acceptance.command import run_command
from tests.acceptance.conftest import lock_file

TOKEN = "made-up-token-of-a-test"


@pytest.fixture
def closed_port():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def refused(world, *args: str, said: str) -> str:
    """Start, and be refused soon with one clear line."""
    began = time.monotonic()
    reconciler = world.run(*args, env={"RECONCILER_TRIGGER_TOKEN": TOKEN})
    assert reconciler.process.wait(25) == 2
    assert time.monotonic() - began < 20  # a lock is waited for five seconds, twice at most
    reconciler.put_away()
    assert said in reconciler.output
    assert [line for line in reconciler.output.splitlines() if line.startswith("error: ")]
    assert len(reconciler.lines) <= 3
    assert "Traceback" not in reconciler.output
    assert TOKEN not in reconciler.output
    return reconciler.output


def test_a_store_that_is_no_database_is_refused(small_world):
    small_world.declare("shop", {"name": "stock"})
    path = small_world.path / "state.db"
    path.write_text("this is a letter to grandmother, and no database\n" * 50)
    assert "state.db" in refused(small_world, said="database")
    assert path.read_text().startswith("this is a letter")
    for command in ("jobs", "sync"):
        assert small_world.command(command).code == 2
    assert small_world.command("plan").code == 1  # 2 would say that there are changes
    assert small_world.command("check").code == 1


def test_a_locked_store_is_refused_and_waited_for(small_world, target):
    small_world.declare("shop", {"name": "stock"})
    lock = lock_file(small_world.path / "state.db")
    patient = small_world.run("--wait")
    refused(small_world, said="locked")
    patient.wait_for("waiting for the store")
    lock.close()
    patient.ready()
    assert patient.end() == 0


def test_a_folder_without_permission_is_refused(small_world):
    small_world.declare("shop", {"name": "stock"})
    (small_world.path / "file").write_text("")
    small_world.store = f"sqlite:///{small_world.path}/file/state.db"
    refused(small_world, said="state.db")


def test_a_mongodb_that_is_away_is_refused_without_a_word_of_its_password(small_world, closed_port):
    small_world.declare("shop", {"name": "stock"})
    small_world.store = f"mongodb://someone:pass%40word@127.0.0.1:{closed_port}/reconciler"
    output = refused(small_world, said="127.0.0.1")
    checked = small_world.command("check")
    output += checked.text
    assert checked.code == 1
    assert "pass%40word" not in output
    assert "pass@word" not in output


@pytest.mark.parametrize(
    "url", ["mongodb://someone:pass:word@host/db", "mongo://someone:pass:word@host/db", "mongodb://"]
)
def test_a_store_that_cannot_be_read_is_refused_without_a_word_of_its_password(small_world, url):
    small_world.declare("shop", {"name": "stock"})
    small_world.store = url
    assert "pass:word" not in refused(small_world, said="error: ")


def test_a_source_that_does_not_exist_is_refused_and_waited_for(small_world, target):
    folder = small_world.folder
    folder.rmdir()
    refused(small_world, said="does not exist")
    patient = small_world.run("--wait")
    patient.wait_for("waiting for the source")
    folder.mkdir()
    small_world.declare("shop", {"name": "stock"})
    patient.ready()
    patient.wait_for("run", outcome="succeeded")
    assert patient.end() == 0


def test_a_taken_port_is_refused_with_advice(small_world):
    small_world.declare("shop", {"name": "stock"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused(small_world, "--listen", f"127.0.0.1:{taken.getsockname()[1]}", said="--listen")


@pytest.mark.parametrize("away", ["store", "source"])
def test_an_interrupted_wait_ends_at_once_and_in_good_order(small_world, closed_port, away):
    if away == "store":
        small_world.store = f"mongodb://127.0.0.1:{closed_port}/reconciler"
    else:
        small_world.folder.rmdir()
    patient = small_world.run("--wait")
    patient.wait_for(f"waiting for the {away}")
    began = time.monotonic()
    assert patient.end() == 0
    assert time.monotonic() - began < 3
    assert patient.events("stopped")
    assert "error: " not in patient.output


def test_wrong_settings_are_told_all_at_once(tmp_path: Path):
    env = {"RECONCILER_DRAIN": "soon", "RECONCILER_MAX_IN_FLIGHT": "0", "RECONCILER_MAX_PRUNE": "300%"}
    ended = run_command("run", cwd=tmp_path, env=env)
    assert ended.code == 2
    assert all(name in ended.err for name in env)
