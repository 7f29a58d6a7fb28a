"""The processes that are measured: the real command, and a target.

Forbidden here: knowing what is measured.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import calls
from benchmarks.calls import Call

RECONCILER = [sys.executable, "-m", "reconciler"]
_READY = 120.0  # seconds
_END = 60.0  # seconds
_LOOK = 0.1  # seconds between two looks at a log, which nobody tells us of


class NotMeasuredError(Exception):
    """A figure cannot be taken, and why."""


@contextlib.contextmanager
def target(folder: Path, kind: str = "") -> Iterator[tuple[int, Callable[[], Sequence[Call]]]]:
    """A target in a process of its own: its port, and what ends it and gives the calls that it got.

    Args:
        folder: for its notes; made where there is none.
        kind: ``hang`` for one that never answers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / f"notes-{kind}"
    command = [sys.executable, "-m", "benchmarks.target", str(notes), *kind.split()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        until_closed = process.stdin

        def ended() -> Sequence[Call]:
            until_closed.close()
            process.wait(_END)
            return calls.read(notes)

        try:
            yield port, ended
        finally:
            process.kill()


@contextlib.contextmanager
def reconciler(folder: Path, store: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A reconciler on a folder's manifests, once it says that it is ready.

    Args:
        folder: where ``manifests`` are; its log goes there, too.
        store: where its state goes.
        settings: further ones, by the names of their variables without the prefix.

    Raises:
        NotMeasuredError: it does not become ready.
    """
    command = [
        *RECONCILER,
        "run",
        str(folder / "manifests"),
        "--store",
        store,
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ]
    environment = os.environ | {f"RECONCILER_{name.upper()}": value for name, value in settings.items()}
    log = folder / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=out, text=True, env=environment) as process,
    ):
        try:
            _await_ready(process, log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _await_ready(process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + _READY
    while '"event": "ready"' not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotMeasuredError(f"the reconciler is not ready:\n{log.read_text()[-2000:]}")
        time.sleep(_LOOK)


def sleep_until(instant: float) -> None:
    """Sleep until an instant in seconds of the epoch; not at all where it has passed."""
    time.sleep(max(0.0, instant - time.time()))


def resident(pid: int) -> float:
    """Resident memory of a process, in MB (2^20 bytes)."""
    return _status(pid, "VmRSS:")


def peak(pid: int) -> float:
    """Resident memory of a process when it had most, likewise."""
    return _status(pid, "VmHWM:")


def _status(pid: int, field: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(field)[2].split()[0]) / 1024


def number(name: str, otherwise: int) -> int:
    """A whole number above zero from the environment.

    Raises:
        NotMeasuredError: it is none.
    """
    text = os.environ.get(name, "").strip() or str(otherwise)
    if not text.isdecimal() or int(text) == 0:
        raise NotMeasuredError(f"{name}={text}: write a whole number above zero")
    return int(text)
