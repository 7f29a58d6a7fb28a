import asyncio
import io
import json
import logging

import pytest
import structlog

from reconciler.adapters import log
from reconciler.core.redaction import Redactor


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _leave_the_log_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


RUN = {
    "job": "billing/nightly",
    "outcome": "failed",
    "reason": "status 503, expected 2xx",
    "status": 503,
    "latency_ms": 12.3,
    "attempts": 3,
}


def test_people_on_a_terminal_get_one_short_line_a_run():
    stream = Terminal()
    assert log.configure("auto", stream) == "text"
    structlog.get_logger().warning("run", **RUN)
    line = stream.getvalue()
    assert line.count("\n") == 1
    for part in ("billing/nightly", " 503 ", "12 ms", "attempt 3", "failed: status 503, expected 2xx", "\x1b[31m"):
        assert part in line


def test_machines_get_one_json_object_a_line():
    stream = io.StringIO()
    assert log.configure("auto", stream) == "json"
    structlog.get_logger().warning("run", **RUN)
    written = json.loads(stream.getvalue())
    assert written["event"] == "run"
    assert written["level"] == "warning"
    assert written["timestamp"].endswith("Z")
    assert written["job"] == "billing/nightly"


def test_text_is_given_without_colour_where_it_is_asked_for_without_a_terminal():
    stream = io.StringIO()
    log.configure("text", stream)
    structlog.get_logger().info("run", **{**RUN, "outcome": "succeeded", "reason": "", "attempts": 1})
    assert "\x1b" not in stream.getvalue()
    assert "✓ billing/nightly" in stream.getvalue()
    assert "attempt" not in stream.getvalue()


def test_what_libraries_say_goes_the_same_way_from_warnings_up():
    stream = io.StringIO()
    log.configure("json", stream)
    logging.getLogger("some.library").info("too much")
    logging.getLogger("some.library").warning("worth %s", "knowing")
    written = json.loads(stream.getvalue())
    assert (written["event"], written["logger"]) == ("worth knowing", "some.library")


def test_an_unfamiliar_event_is_its_name_and_its_facts():
    stream = io.StringIO()
    log.configure("text", stream)
    structlog.get_logger().warning("the store is away", reason="connection refused", nothing=None)
    assert stream.getvalue().strip().endswith("the store is away  reason=connection refused")


def test_a_bug_is_logged_with_its_traceback():
    stream = io.StringIO()
    log.configure("json", stream)
    try:
        [].pop()
    except IndexError:
        structlog.get_logger().exception("internal error")
    assert "IndexError: pop from empty list" in json.loads(stream.getvalue())["exception"]


def test_start_is_told_one_fact_a_line():
    stream = Terminal()
    log.configure("text", stream)
    structlog.get_logger().info(
        "ready",
        version="1",
        source="manifests",
        files=3,
        revision="abc",
        store="SQLite",
        jobs=5,
        suspended=2,
        next=["a/b in 3s"],
        address="http://127.0.0.1:8080",
    )
    lines = stream.getvalue().splitlines()
    assert len(lines) == 6
    assert "a/b in 3s" in lines[4]


async def test_within_an_event_loop_lines_are_flushed_together_a_moment_later():
    class Counting(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    stream = Counting()
    log.configure("json", stream)
    for number in range(1000):
        structlog.get_logger().info("run", number=number)
    assert stream.getvalue().count("\n") == 1000
    assert stream.flushed == 0
    for _ in range(500):
        if stream.flushed:
            break
        await asyncio.sleep(0.01)
    assert stream.flushed == 1


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_was_read_as_a_secret_is_masked_in_every_line_exceptions_included(style):
    stream, redactor = io.StringIO(), Redactor()
    log.configure(style, stream, redactor)
    structlog.get_logger().info("before", value="longersecret")
    redactor.learn("longersecret")
    structlog.get_logger().warning("run", **(RUN | {"reason": "the target said longersecret"}))
    structlog.get_logger().info("said longersecret", list=["longersecret", 1], error=ValueError("longersecret"))
    try:
        raise LookupError("longersecret")  # noqa: TRY301 - a traceback is wanted
    except LookupError:
        structlog.get_logger().exception("a bug")
        logging.getLogger("elsewhere").exception("longersecret in %s", "longersecret")
    first, *others = stream.getvalue().splitlines()
    assert "longersecret" in first
    assert "longersecret" not in "".join(others)
    assert sum("***" in line for line in others) >= 4
