"""The campaign's own parts: a network that fails as it is told, a target that logs, a database that comes back."""

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect

from tests.faults import calls
from tests.faults.database import Database
from tests.faults.faults import ON_MONGODB, ON_SQLITE, Kind, plan
from tests.faults.proxy import Mode, Proxy
from tests.faults.traps import STEPS
from tests.faults.world import errors_in

PATIENCE = 10.0


@asynccontextmanager
async def echo():
    """A server that says what it hears, behind a proxy."""

    async def serve(reader, writer) -> None:
        while chunk := await reader.read(100):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Proxy(lambda: server.sockets[0].getsockname()[:2]) as proxy:
        yield proxy


@asynccontextmanager
async def joined(proxy: Proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield reader, writer
    writer.transport.abort()


async def ask(reader, writer, text: bytes) -> bytes:
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), PATIENCE)


async def is_reset(reader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), PATIENCE) == b""
    except ConnectionResetError:
        return True


async def test_a_network_passes_everything_on_unless_it_is_told_otherwise():
    async with echo() as proxy, joined(proxy) as (reader, writer):
        assert await ask(reader, writer, b"x" * 1000) == b"x" * 1000


async def test_a_stalled_network_holds_what_is_sent_until_it_passes_again():
    async with echo() as proxy, joined(proxy) as (reader, writer):
        assert await ask(reader, writer, b"before") == b"before"
        await proxy.turn(Mode.STALLED)
        asked = asyncio.create_task(ask(reader, writer, b"after"))
        done, _ = await asyncio.wait([asked], timeout=0.2)
        assert not done
        await proxy.turn(Mode.PASSING)
        assert await asked == b"after"


async def test_a_network_that_refuses_resets_what_stands_and_takes_nothing_new():
    async with echo() as proxy, joined(proxy) as (reader, writer):
        assert await ask(reader, writer, b"before") == b"before"
        await proxy.turn(Mode.REFUSING)
        assert await is_reset(reader)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.turn(Mode.PASSING)
        async with joined(proxy) as again:
            assert await ask(*again, b"again") == b"again"


async def test_a_cut_resets_what_stands_and_nothing_else():
    async with echo() as proxy, joined(proxy) as (reader, writer):
        assert await ask(reader, writer, b"before") == b"before"
        proxy.cut()
        assert await is_reset(reader)
        async with joined(proxy) as again:
            assert await ask(*again, b"again") == b"again"


async def test_a_trickle_brings_the_first_byte_at_once_and_the_rest_when_it_is_over():
    async with echo() as proxy, joined(proxy) as (reader, writer):
        await ask(reader, writer, b"x")
        await proxy.turn(Mode.TRICKLING)
        writer.write(b"y" * 50)
        assert await asyncio.wait_for(reader.readexactly(1), PATIENCE) == b"y"
        rest = asyncio.create_task(reader.readexactly(49))
        done, _ = await asyncio.wait([rest], timeout=0.2)
        assert not done
        await proxy.turn(Mode.PASSING)
        assert await asyncio.wait_for(rest, PATIENCE) == b"y" * 49


@pytest.fixture
async def database(mongodb_server, tmp_path_factory):
    """One of the test's own; where there is none at all, ``mongodb_server`` says so."""
    async with Database(tmp_path_factory.mktemp("db")) as made:
        yield made


def uri(proxy: Proxy) -> str:
    return f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true&journal=true"


async def test_a_network_that_loses_answers_lets_the_write_happen(database):
    async with Proxy(database.address) as proxy, AsyncMongoClient(uri(proxy)) as client:
        await client.db.things.insert_one({"_id": 1})
        await proxy.turn(Mode.LOSING)
        with pytest.raises(AutoReconnect):
            await client.db.things.insert_one({"_id": 2})
        assert [one["_id"] async for one in client.db.things.find()] == [1, 2]  # questions are answered


async def test_a_killed_database_comes_back_with_what_it_had_confirmed(database):
    async with Proxy(database.address) as proxy:
        async with AsyncMongoClient(uri(proxy)) as client:
            await client.db.things.insert_one({"_id": 1})
            await database.kill()
            await database.start()
        async with AsyncMongoClient(uri(proxy)) as client:
            assert await client.db.things.count_documents({}) == 1


class Target:
    """The target's process, asked as a replica does."""

    def __init__(self, log: Path) -> None:
        self.log = log
        command = [sys.executable, "-m", "tests.faults.target", str(log)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{int(self.process.stdout.readline())}", trust_env=False, timeout=PATIENCE
        )

    def close(self) -> None:
        self.client.close()
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()


@pytest.fixture
def target(tmp_path):
    made = Target(tmp_path / "calls.log")
    yield made
    made.close()


def headers(run: str, attempt: int = 1) -> dict[str, str]:
    return {
        "Idempotency-Key": run,
        "X-Reconciler-Job": "app/api",
        "X-Reconciler-Scheduled-At": "2027-01-01T00:00:00.000Z",
        "X-Reconciler-Attempt": str(attempt),
        "X-Faults-Sender": "a 1.5",
    }


def test_the_log_has_every_call_and_every_answer(target):
    began = time.time()
    assert target.client.post("/fast", headers=headers("run-1"), content=b"x" * 100_000).status_code == 200
    assert target.client.get("/slow/20", headers=headers("run-2", 2)).status_code == 200
    with pytest.raises(httpx.ReadTimeout):
        target.client.get("/hang", headers=headers("run-3"), timeout=0.2)
    found = calls.read(target.log)
    assert [(call.method, call.run, call.attempt, call.answers) for call in found] == [
        ("POST", "run-1", 1, [200]), ("GET", "run-2", 2, [200]), ("GET", "run-3", 1, []),
    ]  # fmt: skip
    assert all(began <= call.at <= time.time() for call in found)
    assert {(call.sender, call.sent_at, call.job) for call in found} == {("a", 1.5, "app/api")}


def test_a_flaky_path_fails_always_alike(target):
    def statuses() -> list[int]:
        return [target.client.get("/flaky/50", headers=headers(f"run-{number}")).status_code for number in range(40)]

    assert set(first := statuses()) == {200, 500}
    assert statuses() == first


def test_only_a_replica_is_ever_killed(target):
    with subprocess.Popen(["sleep", "60"]) as bystander:
        with pytest.raises(httpx.ReadTimeout):
            target.client.get("/fast", headers=headers("run-1") | {"X-Faults-Kill": str(bystander.pid)}, timeout=0.2)
        assert bystander.poll() is None
        bystander.kill()


def test_a_plan_is_drawn_from_its_seed():
    assert plan(7, 50, 100) == plan(7, 50, 100)
    assert plan(7, 50, 100) != plan(8, 50, 100)


def test_a_plan_has_every_kind_step_and_network_when_it_is_long_enough():
    planned = plan(1, 200, 600)
    assert {one.kind for one in planned} == set(ON_MONGODB)
    assert {one.kind for one in plan(1, 200, 600, ON_SQLITE)} == set(ON_SQLITE)
    assert {one.label for one in planned if one.kind is Kind.TRAP} == set(STEPS)
    networks = {one.label for one in planned if one.kind is Kind.NETWORK}
    assert networks == {"stalled", "trickling", "losing", "refusing", "cut"}
    assert all(0 <= one.at <= 600 for one in planned)
    assert [one.at for one in planned] == sorted(one.at for one in planned)


PRINTED = """{"event": "run", "level": "info"}
Traceback (most recent call last):
  File "some.py", line 3, in some
    await work()
  File "other.py", line 7, in other
    raise ValueError("no")
ValueError: no
{"event": "odd", "level": "error"}
"""


def test_what_a_replica_ended_by_and_what_it_logged_as_an_error_are_said():
    raised, logged = errors_in(PRINTED)
    assert raised == 'Traceback | File "other.py", line 7, in other | raise ValueError("no") | ValueError: no'
    assert logged == '{"event": "odd", "level": "error"}'
