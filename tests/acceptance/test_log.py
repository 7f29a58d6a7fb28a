"""What `run` says: JSON lines for machines, short coloured lines for people at a terminal."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from datetime import datetime

import pytest

from tests.acceptance.command import environment, eventually
from tests.acceptance.target import Answer


@pytest.fixture
def busy(small_world, target):
    small_world.declare(
        "shop", {"name": "stock", "request": {"path": "/stock"}}, {"name": "bad", "request": {"path": "/bad"}}
    )
    target.say("/bad", Answer(500))
    return small_world


@pytest.mark.parametrize("args", [(), ("--log-format", "json")])
def test_piped_lines_are_json(busy, args):
    reconciler = busy.start(*args)
    reconciler.wait_for("run", job="shop/bad", outcome="failed")
    busy.write("broken.yaml", "kind: Application\n")
    reconciler.wait_for("problem")
    assert reconciler.end() == 0
    for line in reconciler.lines:
        event = json.loads(line.text)
        assert {"event", "level", "timestamp"} <= set(event)
        assert datetime.fromisoformat(event["timestamp"]).tzinfo is not None
    assert {"sync", "ready", "run", "problem", "draining", "stopped"} <= {
        line.event["event"] for line in reconciler.lines
    }
    ready = reconciler.wait_for("ready").event
    assert (ready["jobs"], ready["files"]) == (2, 1)
    assert ready["revision"]
    assert ready["next"]


def test_text_can_be_asked_for_without_a_terminal(busy):
    reconciler = busy.run("--log-format", "text")
    eventually(lambda: "✓ shop/stock" in reconciler.output)
    assert reconciler.end() == 0
    assert "\x1b" not in reconciler.output


def test_a_terminal_gets_short_coloured_lines(busy):
    text = on_a_terminal(busy, until="✗ shop/bad")
    assert "\x1b[32m✓ shop/stock" in text
    assert "\x1b[31m✗ shop/bad" in text
    assert re.search(r"jobs +2, 0 of them suspended", text)
    assert re.search(r"http +http://127\.0\.0\.1:\d+, documentation at ", text)
    assert re.search(r"next +shop/\w+ in \d+", text)
    assert not [line for line in text.splitlines() if line.startswith("{")]
    assert "Traceback" not in text


def on_a_terminal(world, *, until: str) -> str:
    """Run it on a pseudo-terminal until something is said, and end it as Ctrl-C does; all that was shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "reconciler", "run", str(world.folder), "--store", world.store]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"],
        cwd=world.path, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other side is closed
                return
            if not piece:
                return
            shown.extend(piece)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        eventually(lambda: until.encode() in bytes(shown), what=until)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        reading.join(5)
        os.close(ours)
    return shown.decode()
