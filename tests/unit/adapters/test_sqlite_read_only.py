"""Questions to a SQLite file that the one who asks may not write."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from reconciler.adapters.sqlite import SqliteStore
from reconciler.core.model import Writing
from reconciler.errors import StoreError
from tests.contract.samples import claim_of
from tests.fakes import stored_job

NOBODY = 65534


@contextmanager
def somebody_else() -> Iterator[None]:
    """Act as one whom permissions bind: to the superuser they say nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may look into, and all above it too."""
    made = Path(tempfile.mkdtemp(prefix="reconciler-read-only-"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


async def _written(folder: Path, *, closed: bool = True) -> SqliteStore:
    store = SqliteStore(folder / "state.db")
    await store.open()
    await store.apply(Writing(jobs=[stored_job()]))
    await store.claim([claim_of()])
    if closed:
        await store.close()
    return store


@contextmanager
def _locked(folder: Path, *, file: int, folder_mode: int) -> Iterator[None]:
    for path in folder.iterdir():
        path.chmod(file)
    folder.chmod(folder_mode)
    with somebody_else():
        yield


@pytest.mark.parametrize("folder_mode", [0o555, 0o777], ids=["folder too", "file alone"])
async def test_questions_are_answered_from_a_file_that_may_not_be_written(folder, folder_mode):
    await _written(folder)
    with _locked(folder, file=0o444, folder_mode=folder_mode):
        store = SqliteStore(folder / "state.db", reads_only=True)
        await store.open()
        assert list(await store.jobs()) == [stored_job()]
        assert list(await store.unfinished()) == [claim_of()]
        assert list(await store.pauses()) == []
        assert await store.check() == f"SQLite {sqlite3.sqlite_version} at {folder}/state.db, read only"
        await store.close()


async def test_questions_are_answered_while_somebody_else_writes(folder):
    writer = await _written(folder, closed=False)
    with _locked(folder, file=0o644, folder_mode=0o755):
        store = SqliteStore(folder / "state.db", reads_only=True)
        await store.open()
        assert list(await store.jobs()) == [stored_job()]
        await writer.apply(Writing(jobs=[stored_job("b/new")]))
        assert len(await store.jobs()) == 2
        await store.close()
    await writer.close()


async def test_nothing_is_written_where_only_questions_were_meant(folder):
    await _written(folder)
    with _locked(folder, file=0o444, folder_mode=0o555):
        store = SqliteStore(folder / "state.db", reads_only=True)
        await store.open()
        with pytest.raises(StoreError, match="may not be written; give permission"):
            await store.claim([claim_of("b/new")])
        await store.close()


async def test_a_store_that_is_to_write_says_that_it_may_not(folder):
    await _written(folder)
    refused = pytest.raises(StoreError, match="give permission for the file and its folder")
    with _locked(folder, file=0o444, folder_mode=0o555), refused:
        await SqliteStore(folder / "state.db").open()


async def test_a_file_that_may_not_even_be_read_says_so(folder):
    await _written(folder)
    with _locked(folder, file=0o000, folder_mode=0o555), pytest.raises(StoreError, match="give permission"):
        await SqliteStore(folder / "state.db", reads_only=True).open()


async def test_a_file_of_an_older_version_must_be_written_once(folder):
    await _written(folder)
    with closing(sqlite3.connect(folder / "state.db")) as connection:
        connection.execute("PRAGMA user_version = 1")
    with (
        _locked(folder, file=0o444, folder_mode=0o555),
        pytest.raises(StoreError, match=r"older reconciler.*give permission for the file and its folder once"),
    ):
        await SqliteStore(folder / "state.db", reads_only=True).open()


async def test_questions_alone_still_make_ready_a_file_that_may_be_written(folder):
    store = SqliteStore(folder / "state.db", reads_only=True)
    await store.open()
    await store.apply(Writing(jobs=[stored_job()]))
    assert list(await store.jobs()) == [stored_job()]
    await store.close()
