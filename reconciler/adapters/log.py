"""The log: structlog, as short lines for people on a terminal and as JSON lines for machines.

Forbidden here: deciding what is worth logging.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

from reconciler.core.plural import plural
from reconciler.core.redaction import Redactor
from reconciler.core.visible import visible

_MARKS = {
    "succeeded": ("✓", "\x1b[32m"),
    "failed": ("✗", "\x1b[31m"),
    "skipped": ("–", "\x1b[2m"),
    "missed": ("!", "\x1b[33m"),
    "unknown": ("?", "\x1b[33m"),
}
_LEVEL_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_FLUSH_SECONDS = 0.02
_RESET = "\x1b[0m"
_WORDLESS = frozenset({"event", "level", "timestamp", "exception"})

EventDict = MutableMapping[str, Any]


def configure(style: str, stream: TextIO | None = None, redactor: Redactor | None = None) -> str:
    """Set up the log of this process; returns the style chosen.

    Args:
        style: ``text``, ``json``, or ``auto``: text where the stream is a terminal.
        stream: where lines go; standard output unless given.
        redactor: what it knows is masked in every line, exceptions included.
    """
    stream = stream or sys.stdout
    lines = _Lines(stream)
    chosen = style if style != "auto" else "text" if stream.isatty() else "json"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([_masking(redactor)] if redactor is not None else []),
            _people(colour=stream.isatty()) if chosen == "text" else structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    # What libraries say through the standard logging module goes the same way, warnings and worse only.
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)
    return chosen


def _masking(redactor: Redactor) -> Callable[[Any, str, EventDict], EventDict]:
    """A processor that masks every value of a line, but not its names."""

    def mask(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return redactor.masked_deep(event) if redactor.knows_any else event

    return mask


class _Lines:
    """Writes lines; within an event loop thousands of them are flushed together, a moment later."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._flushing = False

    def msg(self, line: str) -> None:
        """Write a line."""
        self._stream.write(f"{line}\n")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._stream.flush()
            return
        if not self._flushing:
            self._flushing = True
            loop.call_later(_FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._stream.flush()

    debug = info = warning = error = critical = log = msg


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, exc_info=error or False)


def _people(*, colour: bool) -> Callable[[Any, str, EventDict], str]:
    """A renderer for terminals: a time, a mark, and what happened."""

    def render(_logger: Any, _method: str, event: EventDict) -> str:
        when = datetime.fromisoformat(str(event["timestamp"])).astimezone(UTC)
        line = visible(_LINES.get(event["event"], _plain_line)(event))
        paint = _colour(event) if colour else ""
        text = f"{when:%H:%M:%S}Z  {paint}{line}{_RESET if paint else ''}"
        return f"{text}\n{event['exception']}" if event.get("exception") else text

    return render


def _colour(event: Mapping[str, Any]) -> str:
    if event["event"] == "run":
        return _MARKS.get(event["outcome"], ("", ""))[1]
    return _LEVEL_COLOURS.get(event["level"], "")


def _run_line(event: Mapping[str, Any]) -> str:
    mark = _MARKS.get(event["outcome"], ("·", ""))[0]
    status = event.get("status") or "—"
    latency = event.get("latency_ms")
    spent = f"{latency:.0f} ms" if latency is not None else "—"
    attempts = f"  attempt {event['attempts']}" if event.get("attempts", 1) > 1 else ""
    reason = f"  {event['outcome']}: {event['reason']}" if event.get("reason") else ""
    return f"{mark} {event['job']:<32} {status:>4} {spent:>8}{attempts}{reason}".rstrip()


def _plain_line(event: Mapping[str, Any]) -> str:
    words = [f"{name}={value}" for name, value in event.items() if name not in _WORDLESS and value not in ("", None)]
    return "  ".join([str(event["event"]), *words])


def _ready_line(event: Mapping[str, Any]) -> str:
    """What a person wants to know at the start, one fact a line."""
    rows = (
        ("source", f"{event['source']}, {plural(event['files'], 'file')}, revision {event['revision']}"),
        ("store", event["store"]),
        ("jobs", f"{event['jobs']}, {event['suspended']} of them suspended"),
        ("next", ", ".join(event["next"]) or "nothing is due"),
        ("http", f"{event['address']}, documentation at {event['address']}/docs"),
    )
    return "\n".join(
        [f"cron-reconciler {event['version']} is ready", *(f"           {name:<8}{text}" for name, text in rows)]
    )


def _sync_line(event: Mapping[str, Any]) -> str:
    changes = f"+{event['added']} ~{event['changed']} -{event['removed']}"
    kept = f"  {event['kept']} kept" if event["kept"] else ""
    held = f"  held: {event['held']}" if event["held"] else ""
    error = f"  {event['error']}" if event["error"] else ""
    revision = f"  revision {event['revision']}" if event["revision"] else ""
    spent = f"{event['duration_ms']:.0f} ms"
    return f"sync {event['result']}  {changes}  {plural(event['jobs'], 'job')}{revision}  {spent}{kept}{held}{error}"


def _problem_line(event: Mapping[str, Any]) -> str:
    return f"  {event['text']}"


_LINES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "run": _run_line,
    "ready": _ready_line,
    "sync": _sync_line,
    "problem": _problem_line,
}
