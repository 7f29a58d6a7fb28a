"""What is SQLite's own: one file on a disk that may be anything, full, locked or damaged."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.adapters.sqlite import SqliteStore
from reconciler.core.model import Outcome, whole_milliseconds
from reconciler.errors import StoreError, StoreUnavailableError
from tests.contract.samples import claim_of, ended, full_application, full_job, process_of, report_of
from tests.fakes import stored_job

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
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(StoreError, match=r"state\.db: was written by a newer reconciler \(schema 3.*upgrade"):
        await store.open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


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
    await store.apply(jobs=[stored_job(f"a/{i}") for i in range(200)])
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    await store.open()
    with pytest.raises(StoreError, match="is damaged"):
        await store.jobs()


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
        await store.apply(jobs=[stored_job(f"a/{i}") for i in range(2000)])
    assert list(await store.jobs()) == []
    await store._writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchone())
    await store.apply(jobs=[stored_job()])
    assert list(await store.jobs()) == [stored_job()]


async def test_a_sqlite_claim_is_synced_to_the_disk_and_other_writes_need_not_be(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith(("PRAGMA synchronous", "COMMIT", "ROLLBACK")):
            seen.append(statement)

    await store._writer.run(lambda connection: connection.set_trace_callback(note))
    await store.claim([claim_of()])
    await store.apply(jobs=[stored_job()])
    assert seen == ["PRAGMA synchronous = FULL", "COMMIT", "PRAGMA synchronous = NORMAL", "COMMIT"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("nonsense", "not JSON"), ("[]", "not a document"), ("{}", "is missing")],
)
async def test_sqlite_names_the_record_that_cannot_be_read(opened, tmp_path, text, complaint):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    await store.apply(jobs=[stored_job("billing/nightly")])
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.execute("UPDATE jobs SET document = ?", (text,))
        other.commit()
    with pytest.raises(StoreError, match=complaint):
        await store.jobs()


async def test_every_query_that_the_document_on_state_shows_can_be_asked_read_only(opened, tmp_path):
    store = await opened(SqliteStore(tmp_path / "state.db"))
    run = claim_of("billing/nightly-invoices", whole_milliseconds(datetime.now(UTC)))
    await store.apply(jobs=[full_job()], applications=[full_application()])
    await store.claim([ended(run, Outcome.FAILED), claim_of("a/b")])
    await store.record(report_of(1))
    await store.beat(process_of("p"))
    queries = re.search(r"```sql\n(.*?)```", STATE.read_text(encoding="utf-8"), re.DOTALL)[1].splitlines()
    assert len(queries) > 5
    with closing(sqlite3.connect(f"file:{tmp_path}/state.db?mode=ro", uri=True)) as reader:
        for query in queries:
            assert reader.execute(query).fetchall(), query
