"""Which adapter stands behind a source's or a store's name, and this process's own. Forbidden here: using them."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.adapters.folder import FolderSource
from reconciler.core.model import Process, whole_milliseconds
from reconciler.errors import SettingsError
from reconciler.ports import Store
from reconciler.version import VERSION


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

        if not url.startswith("sqlite:///") or url == "sqlite:///":
            raise SettingsError(f"{url}: write sqlite:///relative/path or sqlite:////absolute/path")
        return SqliteStore(Path(url.removeprefix("sqlite:///")))
    if scheme in ("mongodb", "mongodb+srv"):
        from reconciler.adapters.mongo import MongoStore  # noqa: PLC0415 - load only the store that is used

        return MongoStore(url)
    raise SettingsError(f"no store is called {scheme or url!r}; write sqlite:///path or mongodb://host/database")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """A store for the length of one command."""
    store = store_at(url)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


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
