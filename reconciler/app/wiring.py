"""Which adapter stands behind a source's or a store's name, and this process's own. Forbidden here: using them."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from string import hexdigits
from tempfile import TemporaryDirectory

from reconciler.adapters.folder import FolderSource
from reconciler.adapters.git import GitSource
from reconciler.adapters.git.address import address_of
from reconciler.adapters.secrets import LocalSecrets
from reconciler.core.egress import Policy, policy_of
from reconciler.core.model import Process, whole_milliseconds
from reconciler.errors import SettingsError
from reconciler.ports import Secrets, Source, Store
from reconciler.services.reconcile import SyncOptions
from reconciler.settings import Settings
from reconciler.version import VERSION

_SQLITE = "sqlite:///"
_SHORTEST_REVISION = 7  # characters: as short as git itself abbreviates


def open_source(settings: Settings) -> Source:
    """The source that the settings name: a repository, a folder or a file.

    Raises:
        SettingsError: what they name can be none of these, or not be used so.
    """
    interval = settings.interval.total_seconds()
    address = address_of(settings.source, settings.ref)
    if address is None:
        if settings.verify_signatures:
            raise SettingsError(f"--verify-signatures: {settings.source} is a folder; only a repository has signatures")
        return FolderSource(Path(settings.source), interval=interval)
    return GitSource(
        address,
        Path(settings.data_dir),
        interval=interval,
        token=settings.git_token.get_secret_value() if settings.git_token else None,
        allowed_signers=Path(settings.verify_signatures) if settings.verify_signatures else None,
    )


def sync_options(settings: Settings, allow_prune: str = "", *, exact: bool = False) -> SyncOptions:
    """How to sync; see ``SyncOptions``.

    Raises:
        SettingsError: what may be pruned is no revision.
    """
    if allow_prune and (len(allow_prune) < _SHORTEST_REVISION or not set(allow_prune) <= set(hexdigits)):
        raise SettingsError(
            f"--allow-prune: {allow_prune!r} is no revision; name the one whose removals are meant, "
            f"as `reconciler syncs` and `reconciler status` show it ({_SHORTEST_REVISION} characters or more)"
        )
    return SyncOptions(
        allow_prune=allow_prune.lower(),
        max_prune=settings.max_prune,
        self_heal=settings.self_heal,
        environment=settings.environment,
        operator=operator(),
        named=named(settings),
        exact=exact,
    )


def named(settings: Settings) -> str:
    """How the source is named on a command line, wherever that is typed."""
    source = settings.source if "://" in settings.source else str(Path(settings.source).absolute())
    ref = ["--ref", settings.ref] if settings.ref else []
    environment = ["--environment", settings.environment] if settings.environment else []
    return shlex.join([source, *ref, *environment])


def egress(settings: Settings) -> Policy:
    """Which addresses may be called."""
    return policy_of(settings.egress, settings.egress_allow, settings.egress_deny)


def secrets(settings: Settings) -> Secrets:
    """Where secret values are found."""
    return LocalSecrets(
        folder=Path(settings.secrets_dir) if settings.secrets_dir else None, keys=sealing_keys(settings)
    )


def sealing_keys(settings: Settings) -> list[Path]:
    """The files of private sealing keys, newest first."""
    return [Path(name.strip()) for name in settings.sealing_keys.split(",") if name.strip()]


def operator() -> str:
    """Who acts: ``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user id without a name
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def store_at(url: str, *, reads_only: bool = False) -> Store:
    """The store that a URL names, not yet opened.

    Raises:
        SettingsError: the URL is of no known form.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from reconciler.adapters.sqlite import SqliteStore  # noqa: PLC0415 - load only the store that is used

        if not url.startswith(_SQLITE) or url == _SQLITE:
            raise SettingsError(f"{url}: write sqlite:///relative/path or sqlite:////absolute/path")
        return SqliteStore(Path(url.removeprefix(_SQLITE)), reads_only=reads_only)
    if scheme in ("mongodb", "mongodb+srv"):
        from reconciler.adapters.mongo import MongoStore  # noqa: PLC0415 - load only the store that is used

        return MongoStore(url)
    raise SettingsError(f"no store is called {scheme or url!r}; write sqlite:///path or mongodb://host/database")


@asynccontextmanager
async def opened(url: str, *, reads_only: bool = False) -> AsyncIterator[Store]:
    """A store for the length of one command; made where there is none yet."""
    store = store_at(url, reads_only=reads_only)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened_to_read(url: str) -> AsyncIterator[Store]:
    """As ``opened``, but a question leaves no file behind: where there is none, an empty store answers."""
    with TemporaryDirectory(prefix="reconciler-") as elsewhere:
        place = f"{_SQLITE}{elsewhere}/empty.db" if is_missing(url) else url
        async with opened(place, reads_only=True) as store:
            yield store


def is_missing(url: str) -> bool:
    """Whether a URL names a SQLite file that nobody has made yet."""
    return url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists()


def may_be_made(url: str) -> bool:
    """Whether the SQLite file that a URL names, and that nobody has made yet, could be made."""
    from reconciler.adapters.sqlite.connection import may_make  # noqa: PLC0415 - load only the store that is used

    return may_make(Path(url.removeprefix(_SQLITE)))


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
