"""What is SQLite's own: one file on a disk that may be anything, full, locked or damaged."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.adapters.sqlite import SqliteStore
from reconciler.core.acts import ActQuery
from reconciler.core.model import JobKey, Outcome, Writing, whole_milliseconds
from reconciler.errors import StoreError, StoreUnavailableError
from tests.contract.samples import (
    act_of,
    claim_of,
    ended,
    era_of,
    full_application,
    full_job,
    full_window,
    pause_of,
    process_of,
    report_of,
)
from tests.fakes import START, stored_job

STATE = Path(__file__).parents[2] / "docs" / "state.md"
SOON = timedelta(milliseconds=300)


async def test_sqlite_makes_the_folders_above_its_file(opened, tmp_path):
    await opened(SqliteStore(tmp_path / "a" / "b" / "state.db"))
    assert (tmp_path / "a" / "b" / "state.db").is_file()


async def test_sqlite_says_what_answers(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    assert await store.check() == f"SQLite {sqlite3.sqlite_version} at {tmp_path}/state.db"


async def test_sqlite_refuses_a_newer_schema_and_leaves_it_as_it_is(opened, tmp_path):
    path = tmp_path / "state.db"
    store = await opened(SqliteStore(path))
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 5")
    with pytest.raises(StoreError, match=r"state\.db: was written by a newer reconciler \(schema 5.*upgrade"):
        await store.open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)


@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7"])
async def test_sqlite_leaves_another_programs_file_as_it_is(tmp_path, statement):
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program's tables"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_sqlite_says_that_a_file_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, but long enough to have a header " * 40)
    with pytest.raises(StoreError, match=r"notes\.txt: is not a SQLite database"):
        await SqliteStore(path).open()


async def test_sqlite_says_that_the_path_is_a_folder(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        await SqliteStore(tmp_path).open()


async def test_sqlite_says_that_a_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="folder cannot be made: "):
        await SqliteStore(tmp_path / "file" / "state.db").open()


async def test_sqlite_says_that_a_file_is_damaged(opened, tmp_path):
    path = tmp_path / "state.db"
    store = await opened(SqliteStore(path))
    await store.apply(Writing(jobs=[stored_job(f"a/{i}") for i in range(200)]))
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    await store.open()
    with pytest.raises(StoreError, match="is damaged"):
        await store.jobs()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("nonsense", "it is not JSON"),
        ("[]", "it is not a document"),
        ("{}", "is missing"),
        (b"\xff{", "not JSON"),
    ],
)
async def test_sqlite_tells_what_is_no_document_and_reads_the_rest(opened, tmp_path, value, why):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    await store.apply(Writing(jobs=[stored_job("a/ä"), stored_job("a/b"), stored_job("a/c", description="☃")]))
    with closing(sqlite3.connect(tmp_path / "state.db")) as other, other:
        other.execute("UPDATE jobs SET document = ? WHERE id = 'a/b'", (value,))
    told: dict[str, str] = {}
    found = await store.jobs(told.__setitem__)
    assert list(found) == [stored_job("a/c", description="☃"), stored_job("a/ä")]
    assert list(told) == ["a/b"]
    assert why in told["a/b"]


async def test_sqlite_carries_over_also_a_run_whose_document_somebody_has_broken(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    broken, good = claim_of("a/old"), claim_of("a/old", START + timedelta(hours=1))
    await store.claim([broken, good])
    with closing(sqlite3.connect(tmp_path / "state.db")) as other, other:
        other.execute("UPDATE runs SET document = 'nonsense' WHERE id = ?", (broken.id,))
    old, new = JobKey("a", "old"), JobKey("a", "new")
    for renamed in ({old: new}, {old: new, new: old}):
        await store.apply(Writing(renamed=renamed))
    assert await store.run(good.id) == replace(good, key=old)
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        assert other.execute("SELECT DISTINCT job FROM runs").fetchall() == [("a/old",)]


async def test_sqlite_applies_all_or_nothing_also_a_rename(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    run = claim_of("a/old")
    await store.claim([run])
    with pytest.raises(StoreError):
        await store.apply(
            Writing(
                renamed={run.key: JobKey("a", "new")},
                windows=[full_window()],
                jobs=[stored_job("a/new", description="\udc80")],
            )
        )
    assert await store.run(run.id) == run
    assert list(await store.windows()) == []


# The statements of the schema's first version, as files on people's disks were made.
VERSION_1 = """
CREATE TABLE jobs (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE applications (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE runs (id TEXT PRIMARY KEY, job TEXT NOT NULL, application TEXT NOT NULL, api TEXT NOT NULL,
           slot TEXT NOT NULL, hour TEXT NOT NULL, cause TEXT NOT NULL, outcome TEXT NOT NULL, owner TEXT NOT NULL,
           claimed_at TEXT NOT NULL, latency_ms INTEGER, document TEXT NOT NULL);
CREATE INDEX runs_by_job ON runs (job, id);
CREATE INDEX runs_by_application ON runs (application, id);
CREATE INDEX runs_by_outcome ON runs (outcome, id);
CREATE TABLE syncs (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE processes (id TEXT PRIMARY KEY, seen_at TEXT NOT NULL, document TEXT NOT NULL);
CREATE TABLE tokens (id TEXT PRIMARY KEY, at TEXT NOT NULL, document TEXT NOT NULL);
PRAGMA application_id = 0x5245434F;
PRAGMA user_version = 1;
"""
JOB_1 = """{"_id":"billing/nightly","application":"billing","api":"nightly","description":"","labels":{},"schedule":
{"declared":"* * * * *","cron":"* * * * *","every":null,"at":null,"timeZone":"UTC","startsAt":null,"endsAt":null},
"request":{"method":"GET","url":"http://127.0.0.1:1/","headers":{},"body":null},"expect":{"status":["2xx"],"contains":
null},"retry":{"limit":0,"initialDelay":"1s","factor":2.0,"maxDelay":"5m"},"timeout":"30s","concurrencyPolicy":
"Forbid","startingDeadline":"1h","catchUp":"latest","delivery":"atLeastOnce","jitter":"0s","suspend":false,
"maxConcurrency":null,"file":"billing.yaml","line":7,"digest":"","revision":"r1","since":"2026-03-02T09:00:00.000Z"}"""
RUN_1 = """{"_id":"019cadb0-0d00-8a4b-b4fb-a9fa2cdd58b7","job":"billing/nightly","application":"billing",
"api":"nightly","slot":"2026-03-02T09:00:00.000Z","hour":"2026-03-02T09:00:00.000Z","cause":"schedule","outcome":"running","reason":"",
"owner":"here","claimedAt":"2026-03-02T09:00:00.012Z","startedAt":null,"finishedAt":null,"latencyMs":null,"attempts":[],
"excerpt":"","revision":"4f2c1d0","file":"billing.yaml","line":12,"delivery":"atMostOnce","overrides":[]}"""


# What the second version had added.
VERSION_2 = """
CREATE TABLE windows (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE pauses (id TEXT PRIMARY KEY, target TEXT NOT NULL, until TEXT NOT NULL, ended_at TEXT,
               document TEXT NOT NULL);
CREATE INDEX pauses_by_target ON pauses (target);
CREATE INDEX pauses_by_end ON pauses (ended_at, until);
PRAGMA user_version = 2;
"""


def _file_of_version_1(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1)
        connection.execute("INSERT INTO jobs VALUES ('billing/nightly', ?)", (JOB_1,))
        moment = "2026-03-02T09:00:00.000Z"
        columns = ("billing/nightly", "billing", "nightly", moment, moment, "schedule", "running", "here", moment, None)
        run_id = "019cadb0-0d00-8a4b-b4fb-a9fa2cdd58b7"
        connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (run_id, *columns, RUN_1))


def _file_of_version_2(path: Path) -> None:
    _file_of_version_1(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(VERSION_2)


# What the third version had added.
VERSION_3 = """
ALTER TABLE runs ADD COLUMN term INTEGER NOT NULL DEFAULT 0;
CREATE TABLE leases (id TEXT PRIMARY KEY, term INTEGER NOT NULL, boot TEXT NOT NULL,
               expires_ms INTEGER NOT NULL, span_ms INTEGER NOT NULL, document TEXT NOT NULL);
CREATE TABLE eras (id TEXT PRIMARY KEY, job TEXT NOT NULL, begin TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX eras_by_job ON eras (job, begin);
CREATE TABLE access_tokens (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE credentials (id TEXT PRIMARY KEY, obtained_at TEXT NOT NULL, document TEXT NOT NULL);
PRAGMA user_version = 3;
"""


def _file_of_version_3(path: Path) -> None:
    _file_of_version_2(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(VERSION_3)


OLDER = pytest.mark.parametrize(
    "make_older", [_file_of_version_1, _file_of_version_2, _file_of_version_3], ids=["1", "2", "3"]
)


@OLDER
async def test_a_sqlite_file_of_an_older_version_keeps_what_it_has_and_gets_what_is_new(opened, tmp_path, make_older):
    path = tmp_path / "state.db"
    make_older(path)
    store = await opened(SqliteStore(path))
    assert list(await store.jobs()) == [stored_job("billing/nightly")]
    (run,) = await store.unfinished()
    assert (run.key, run.claimed_at) == (JobKey("billing", "nightly"), START + timedelta(milliseconds=12))
    assert list(await store.windows()) == []
    await store.act([act_of(1)])
    assert list(await store.acts(ActQuery())) == [act_of(1)]
    await store.apply(Writing(windows=[full_window()], renamed={run.key: JobKey("billing", "new")}))
    await store.pause(pause_of("1"))
    await store.close()
    again = await opened(SqliteStore(path))
    assert list(await again.windows()) == [full_window()]
    assert list(await again.pauses()) == [pause_of("1")]
    assert await again.run(run.id) == replace(run, key=JobKey("billing", "new"))
    assert (await again.lead("here", timedelta(hours=1), START)).term == 1
    await again.finish([replace(ended(run), key=JobKey("billing", "new"), term=1)])
    assert list(await again.unfinished()) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)


@OLDER
async def test_a_sqlite_file_of_an_older_version_has_the_tables_of_a_fresh_one_afterwards(opened, tmp_path, make_older):
    make_older(tmp_path / "old.db")
    schemas = []
    for name in ("old.db", "fresh.db"):
        await opened(SqliteStore(tmp_path / name))
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            found = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
            schemas.append([(kind, name, sql and " ".join(sql.split())) for kind, name, sql in found])
    assert schemas[0] == schemas[1]


@OLDER
async def test_many_may_open_a_sqlite_file_of_an_older_version_at_once(opened, tmp_path, make_older):
    make_older(tmp_path / "state.db")
    stores = await asyncio.gather(*(opened(SqliteStore(tmp_path / "state.db")) for _ in range(6)))
    for number, store in enumerate(stores):
        await store.pause(pause_of(str(number)))
    assert len(await stores[0].pauses()) == 6
    assert list(await stores[5].jobs()) == [stored_job("billing/nightly")]


async def test_sqlite_has_the_indexes_that_the_questions_need(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    questions = (
        "SELECT id FROM pauses WHERE ended_at IS NULL AND until > '2026' ORDER BY id DESC",
        "DELETE FROM pauses WHERE ended_at < '2026' OR (ended_at IS NULL AND until < '2026')",
        "UPDATE pauses SET target = 'a/b' WHERE target = 'a/c'",
        "UPDATE runs SET job = 'a/b' WHERE job = 'a/c'",
        "UPDATE eras SET job = 'a/b' WHERE job = 'a/c'",
        "SELECT id FROM runs WHERE id >= '0'",
        "SELECT id FROM acts WHERE id < '9' ORDER BY id DESC LIMIT 50",
        "SELECT id FROM acts WHERE kind = 'refused' AND id < '9' ORDER BY id DESC LIMIT 50",
        "SELECT id FROM acts WHERE application = 'a' AND (api IS NULL OR api = 'b') ORDER BY id DESC LIMIT 50",
    )
    await store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        for question in questions:
            plan = str(connection.execute(f"EXPLAIN QUERY PLAN {question}").fetchall())
            assert "USING" in plan, question
            assert "SCAN" not in plan, question


async def test_a_locked_sqlite_file_is_unavailable_for_now_and_usable_later(opened, tmp_path):
    path = tmp_path / "state.db"
    store = await opened(SqliteStore(path, patience=SOON))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        with pytest.raises(StoreUnavailableError, match="another process holds its lock"):
            await store.claim([claim_of()])
        assert time.perf_counter() - began < 5
        assert list(await store.unfinished()) == []  # reading goes on
    assert await store.claim([claim_of()]) == {claim_of().id}


async def test_a_sqlite_file_that_is_locked_at_the_start_is_unavailable(tmp_path):
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailableError, match="another process holds its lock"):
            await SqliteStore(path, patience=SOON).open()


async def test_sqlite_says_that_the_disk_is_full_and_goes_on_when_there_is_room(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    await store._writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 40").fetchone())
    with pytest.raises(StoreUnavailableError, match="the disk is full"):
        await store.apply(Writing(jobs=[stored_job(f"a/{i}") for i in range(2000)]))
    assert list(await store.jobs()) == []
    await store._writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchone())
    await store.apply(Writing(jobs=[stored_job()]))
    assert list(await store.jobs()) == [stored_job()]


async def test_a_sqlite_claim_is_synced_to_the_disk_and_other_writes_need_not_be(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith(("PRAGMA synchronous", "COMMIT", "ROLLBACK")):
            seen.append(statement)

    await store._writer.run(lambda connection: connection.set_trace_callback(note))
    await store.claim([claim_of()])
    await store.apply(Writing(jobs=[stored_job()]))
    assert seen == ["PRAGMA synchronous = FULL", "COMMIT", "PRAGMA synchronous = NORMAL", "COMMIT"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("nonsense", "not JSON"), ("[]", "not a document"), ("{}", "is missing")],
)
async def test_sqlite_names_the_record_that_cannot_be_read(opened, tmp_path, text, complaint):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    await store.apply(Writing(jobs=[stored_job("billing/nightly")]))
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.execute("UPDATE jobs SET document = ?", (text,))
        other.commit()
    with pytest.raises(StoreError, match=complaint):
        await store.jobs()


async def test_every_query_that_the_document_on_state_shows_can_be_asked_read_only(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    run = claim_of("billing/nightly-invoices", whole_milliseconds(datetime.now(UTC)))
    await store.apply(Writing(jobs=[full_job()], applications=[full_application()], windows=[full_window()]))
    await store.pause(replace(pause_of("1"), until=run.slot + timedelta(hours=1)))
    await store.claim([ended(run, Outcome.FAILED), claim_of("a/b")])
    await store.record(report_of(1))
    await store.beat(process_of("p"))
    await store.act([act_of(1)])
    await store.lead("p", timedelta(seconds=5), START)
    await store.apply(Writing(eras=[era_of("billing/nightly-invoices")]))
    queries = re.search(r"```sql\n(.*?)```", STATE.read_text(encoding="utf-8"), re.DOTALL)[1].splitlines()
    assert len(queries) > 5
    with closing(sqlite3.connect(f"file:{tmp_path}/state.db?mode=ro", uri=True)) as reader:
        for query in queries:
            assert reader.execute(query).fetchall(), query


async def test_a_sqlite_lease_of_another_boot_has_expired_and_so_has_one_that_lasts_longer_than_it_was_taken_for(
    opened, tmp_path
):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    for term, change in enumerate(("boot = 'another'", "expires_ms = expires_ms + 3600000"), 1):
        await store.lead(f"p{term}", timedelta(minutes=1), START)
        assert not (await store.lease()).expired
        with closing(sqlite3.connect(tmp_path / "state.db")) as other, other:
            other.execute(f"UPDATE leases SET {change}")  # noqa: S608 - the tests' own words
        assert (await store.lease()).expired
        assert (await store.lead(f"p{term + 1}", timedelta(minutes=1), START)).term == term + 1


async def test_a_sqlite_lease_is_renewed_while_a_long_question_is_asked(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    release = threading.Event()
    question = asyncio.create_task(store._read(lambda _connection: release.wait(10)))
    await asyncio.sleep(0)
    assert (await store.lead("here", timedelta(minutes=1), START)).holder == "here"
    assert not question.done()
    release.set()
    assert await question
