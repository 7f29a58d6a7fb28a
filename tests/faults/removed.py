"""The product without one of its protections: what the campaign must find broken, or else it proves nothing.

Forbidden here: use in any process but one that a test of the campaign has started.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.adapters.clock import ApsClock
from reconciler.core.model import Lease, Run, Writing
from reconciler.errors import DeposedError
from reconciler.ports import Store


class BelievingStore:
    """No claim: whatever the store says, every run is ours."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim(self, runs: Sequence[Run], **how: Any) -> frozenset[str]:
        with suppress(DeposedError):
            await self._store.claim(runs, **how)
        return frozenset(run.id for run in runs)


class AlwaysLeadingStore:
    """No term: the lease is always ours, and no write says under which term it was made."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def lease(self) -> Lease | None:
        lease = await self._store.lease()
        return None if lease is None else replace(lease, holder="")

    async def lead(self, process_id: str, span: timedelta, accounted_until: datetime) -> Lease:
        lease = await self._store.lead(process_id, span, accounted_until)
        return replace(lease, holder=process_id)

    async def claim(self, runs: Sequence[Run], **_: Any) -> frozenset[str]:
        return await self._store.claim(runs)

    async def apply(self, writing: Writing, **_: Any) -> None:
        await self._store.apply(writing)


class StandingClock(ApsClock):
    """No deadline: the steady clock stands still, as if no time passed between a renewal and what follows."""

    def steady(self) -> timedelta:
        return timedelta(0)
