"""The file under a SQLite store, when somebody removes or replaces it while a reconciler uses it."""

import pytest

from reconciler.adapters.sqlite import SqliteStore
from reconciler.errors import StoreUnavailableError
from tests.contract.samples import claim_of


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    await store.open()
    assert await store.claim([claim_of()])
    yield store
    await store.close()


@pytest.mark.parametrize(
    "verb", [lambda store: store.claim([claim_of()]), lambda store: store.jobs()], ids=["write", "read"]
)
async def test_nothing_goes_into_a_file_that_was_removed(store, tmp_path, verb):
    (tmp_path / "state.db").unlink()
    with pytest.raises(StoreUnavailableError, match="the file was removed while in use"):
        await verb(store)


async def test_nothing_goes_into_a_file_in_whose_place_another_stands(store, tmp_path):
    (tmp_path / "state.db").rename(tmp_path / "moved.db")
    (tmp_path / "state.db").touch()
    with pytest.raises(StoreUnavailableError, match="the file was replaced while in use"):
        await store.claim([claim_of()])


async def test_the_same_file_put_back_is_used_again(store, tmp_path):
    (tmp_path / "state.db").rename(tmp_path / "moved.db")
    with pytest.raises(StoreUnavailableError):
        await store.check()
    (tmp_path / "moved.db").rename(tmp_path / "state.db")
    await store.check()


async def test_a_change_of_folder_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("state.db")
    await store.open()
    monkeypatch.chdir("/")
    await store.check()
    await store.close()
