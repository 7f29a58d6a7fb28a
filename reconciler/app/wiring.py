"""Which adapter stands behind a source's or a store's name, and this process's own. Forbidden here: using them."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from reconciler.adapters.folder import FolderSource
from reconciler.core.model import Process, whole_milliseconds
from reconciler.errors import SettingsError
from reconciler.ports import Store
from reconciler.version import VERSION

_SQLITE = "sqlite:///"


def open_source(text: str, *, interval: timedelta = timedelta(minutes=1)) -> FolderSource:
    """The source that a setting names: a folder or a file."""
    return FolderSource(Path(text), interval=interval.total_seconds())


def store_at(url: str) -> Store:
    """The store that a URL names, not yet opened.

    Raises:
        SettingsError: the URL is of no known form.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from reconciler.adapters.sqlite import SqliteStore  # noqa: PLC0415 - load only the store that is used

        if not url.startswith(_SQLITE) or url == _SQLITE:
            raise SettingsError(f"{url}: write sqlite:///relative/path or sqlite:////absolute/path")
        return SqliteStore(Path(url.removeprefix(_SQLITE)))
    if scheme in ("mongodb", "mongodb+srv"):
        from reconciler.adapters.mongo import MongoStore  # noqa: PLC0415 - load only the store that is used

        return MongoStore(url)
    raise SettingsError(f"no store is called {scheme or url!r}; write sqlite:///path or mongodb://host/database")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """A store for the length of one command; made where there is none yet."""
    store = store_at(url)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened_to_read(url: str) -> AsyncIterator[Store]:
    """As ``opened``, but a question leaves no file behind: where there is none, an empty store answers."""
    with TemporaryDirectory(prefix="reconciler-") as elsewhere:
        async with opened(f"{_SQLITE}{elsewhere}/empty.db" if is_missing(url) else url) as store:
            yield store


def is_missing(url: str) -> bool:
    """Whether a URL names a SQLite file that nobody has made yet."""
    return url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists()


def process_of(role: str, now: datetime, *, source: str = "", listen: str = "") -> Process:
    """This process, as others see it in the store."""
    return Process(
        id=uuid.uuid4().hex,
        role=role,
        host=platform.node(),
        pid=os.getpid(),
        version=VERSION,
        source=source,
        listen=listen,
        started_at=whole_milliseconds(now),
        seen_at=whole_milliseconds(now),
    )


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs on this machine, ours or somebody else's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
