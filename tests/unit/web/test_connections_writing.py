"""A client that does not take what it has asked for is waited for, but not for ever."""

from __future__ import annotations

import asyncio

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from reconciler.web.connections import Bounds, Connection, bounded
from tests.unit.web.conftest import World

SPAN = 0.1


class Wire(asyncio.Transport):
    """A connection whose other end is told nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False

    def get_extra_info(self, name, default=None):
        return {"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 80)}.get(name, default)

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        pass

    def write(self, data) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_aborted

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
async def connection():
    """One that has just begun to answer: nothing of its request is waited for any more."""
    config = Config(World().app, log_config=None)
    config.load()
    kind = bounded(Bounds(header=60.0, body=SPAN))
    made: Connection = kind(config=config, server_state=ServerState(), app_state={})
    made.connection_made(Wire())
    made._stop()
    yield made
    made.connection_lost(None)


async def test_it_is_hung_up_on_where_it_takes_nothing(connection, logged):
    connection.pause_writing()
    assert not connection.transport.is_aborted
    await asyncio.sleep(SPAN * 2)
    assert connection.transport.is_aborted
    assert [line["event"] for line in logged] == ["request_too_slow"]


async def test_it_is_not_where_it_has_taken_some_in_time(connection):
    connection.pause_writing()
    connection.resume_writing()
    await asyncio.sleep(SPAN * 2)
    assert not connection.transport.is_aborted


async def test_the_time_begins_anew_with_each_wait(connection):
    for _ in range(3):
        connection.pause_writing()
        await asyncio.sleep(SPAN / 2)
        connection.resume_writing()
    assert not connection.transport.is_aborted
