"""The real command as users start it: ``python -m reconciler …``, in a process of its own, watched by its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

_Found = TypeVar("_Found")
PATIENCE = 15.0


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of the reconciler and without this terminal."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RECONCILER_", "COV_", "PYTEST_"))
    }
    return kept | {"COLUMNS": "160", "PYTHONUNBUFFERED": "1", "TERM": "xterm-256color"} | dict(more or {})


def eventually(question: Callable[[], _Found], within: float = PATIENCE, what: str = "") -> _Found:
    """Ask until the answer is true; the answer. Fails after ``within`` seconds, showing the last answer."""
    end = time.monotonic() + within
    while not (answer := question()):
        assert time.monotonic() < end, f"not within {within} s: {what or question}; last: {answer!r}"
        time.sleep(0.02)
    return answer


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def text(self) -> str:
        return self.out + self.err


def run_command(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    within: float = 30.0,
    words: Sequence[str] | None = None,
) -> Ended:
    """Run a command to its end. Never a traceback, whatever it is asked."""
    started = [*(words or (sys.executable, "-m", "reconciler")), *args]
    done = subprocess.run(  # noqa: PLW1510 - the exit code is what tests look at
        started, cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=within, stdin=subprocess.DEVNULL
    )
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in ended.text, ended.text
    assert ended.code != 3, ended.text
    return ended


@dataclass
class Line:
    """One line of output, and when it came (on the clock of ``time.time``)."""

    at: float
    text: str
    event: dict[str, Any] = field(default_factory=dict)


class Reconciler:
    """A running ``reconciler run``; its lines are read as they come."""

    def __init__(self, *args: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.cwd = cwd
        self.lines: list[Line] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "run", *args],
            cwd=cwd,
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        for text in stream:
            at = time.time()
            try:
                event = json.loads(text)
            except ValueError:
                event = {}
            self.lines.append(Line(at, text.rstrip("\n"), event))
        stream.close()

    @property
    def output(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def events(self, name: str, **fields: Any) -> list[Line]:
        """The log lines of this event that have these fields."""
        wanted = fields | {"event": name}
        return [line for line in list(self.lines) if wanted.items() <= line.event.items()]

    def wait_for(self, name: str, within: float = PATIENCE, **fields: Any) -> Line:
        """The first such log line, which may still be to come."""

        def found() -> list[Line]:
            lines = self.events(name, **fields)
            assert lines or self.process.poll() is None, f"ended while waiting for {name}:\n{self.output}"
            return lines

        return eventually(found, within, f"{name} {fields} in:\n{self.output}")[0]

    def ready(self) -> Reconciler:
        self.wait_for("ready")
        return self

    @property
    def address(self) -> str:
        return self.wait_for("ready").event["address"]

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=10) as client:
            return client.request(method, f"{self.address}{path}", **options)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, within: float = PATIENCE) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.send(number)
        code = self.process.wait(within)
        self._reading.join(5)
        assert "Traceback" not in self.output, self.output
        return code

    def put_away(self) -> None:
        """At the end of a test, whatever became of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reading.join(5)
