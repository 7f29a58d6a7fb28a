"""The lease in the file, within somebody else's transaction.

Its clock is the machine's time since boot, sleep included, together with the boot's id: nobody can set it, and a lease
of another boot has expired. Where there is no such clock (macOS, Windows), it is Python's monotonic one; there a lease
that lasts longer than it was taken for is one of another boot. Forbidden here: the rules of who should lead.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.adapters.sqlite.rows import decoded, row
from reconciler.core import records
from reconciler.core.fencing import deposed
from reconciler.core.model import Lease, whole_milliseconds

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # proc_sys_kernel(5)

_READ = "SELECT id, document, boot, expires_ms, span_ms FROM leases WHERE id = 'leader'"
_WRITE = "INSERT OR REPLACE INTO leases VALUES (:_id, :term, :boot, :expires_ms, :span_ms, :document)"


def _steady_ms() -> int:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return (time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)) // 1_000_000


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def read(connection: sqlite3.Connection) -> Lease | None:
    """The lease, and whether it has expired."""
    found = connection.execute(_READ).fetchone()
    if found is None:
        return None
    name, document, boot, expires_ms, span_ms = found
    remaining = expires_ms - _steady_ms()
    is_over = boot != _boot() or remaining <= 0 or remaining > span_ms
    return replace(decoded(records.decode_lease, [(name, document)])[0], expired=is_over)


def lead(connection: sqlite3.Connection, process_id: str, span: timedelta, accounted_until: datetime) -> Lease:
    """Take the lease or renew it, where that is allowed; returns it as it stands then."""
    now, lease = whole_milliseconds(datetime.now(UTC)), read(connection)
    expires_at = now + span
    if lease is None:
        lease = Lease(
            holder=process_id,
            term=1,
            since=now,
            expires_at=expires_at,
            accounted_from=accounted_until,
            accounted_until=accounted_until,
        )
    elif lease.holder == process_id:
        lease = replace(lease, expires_at=expires_at, accounted_until=accounted_until, expired=False)
    elif not lease.holder or lease.expired:
        lease = replace(lease, holder=process_id, term=lease.term + 1, since=now, expires_at=expires_at, expired=False)
    else:
        return lease
    _write(connection, lease, span)
    return lease


def resign(connection: sqlite3.Connection, process_id: str, accounted_until: datetime) -> None:
    """Leave the lease to whoever comes first, if it is ours."""
    lease = read(connection)
    if lease is not None and lease.holder == process_id:
        now = whole_milliseconds(datetime.now(UTC))
        _write(connection, replace(lease, holder="", expires_at=now, accounted_until=accounted_until), timedelta(0))


def nudge(connection: sqlite3.Connection) -> None:
    """Count a nudge; who leads until when is left as it is."""
    found = connection.execute(_READ).fetchone()
    if found is not None:
        lease = decoded(records.decode_lease, [found[:2]])[0]
        document = row(records.encode_lease(replace(lease, nudges=lease.nudges + 1)))["document"]
        connection.execute("UPDATE leases SET document = ? WHERE id = 'leader'", (document,))


def _write(connection: sqlite3.Connection, lease: Lease, span: timedelta) -> None:
    span_ms = span // timedelta(milliseconds=1)
    lasting = {"term": lease.term, "boot": _boot(), "expires_ms": _steady_ms() + span_ms, "span_ms": span_ms}
    connection.execute(_WRITE, row(records.encode_lease(lease)) | lasting)


def must_lead(connection: sqlite3.Connection, term: int | None) -> None:
    """Look whether a leader's write may be made; without a term anybody's may.

    Raises:
        DeposedError: somebody has led after this term.
    """
    if term is None:
        return
    found = connection.execute("SELECT term FROM leases WHERE id = 'leader'").fetchone()
    if found is not None and found[0] > term:
        raise deposed(found[0], term)
