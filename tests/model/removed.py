"""The core without one of its protections: what the model must find broken, or else it proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from reconciler.core.model import Lease, Run
from reconciler.errors import DeposedError
from tests.model.machine import Machine
from tests.model.replica import Link, Replica


class BelievingLink(Link):
    """No claim: whatever the store says, every run is ours."""

    async def claim(self, runs: Sequence[Run], **how: Any) -> frozenset[str]:
        with suppress(DeposedError):
            await self.__getattr__("claim")(runs, **how)
        return frozenset(run.id for run in runs)


class AlwaysLeadingLink(Link):
    """No term: the lease can always be taken, and claims do not say under which term they are made."""

    async def lease(self) -> Lease | None:
        lease = await self.__getattr__("lease")()
        return None if lease is None else replace(lease, holder="")

    async def lead(self, process_id: str, *rest: Any) -> Lease:
        return replace(await self.__getattr__("lead")(process_id, *rest), holder=process_id)

    async def claim(self, runs: Sequence[Run], **_: Any) -> frozenset[str]:
        return await self.__getattr__("claim")(runs)


class WithoutClaims(Replica):
    link_of = BelievingLink


class WithoutTerms(Replica):
    link_of = AlwaysLeadingLink


class WithoutArrears(Replica):
    """Nobody looks for owed slots."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.arrears.look = self._overlook

    async def _overlook(self, _since: datetime) -> None:
        self.arrears._behind = None
        self.arrears._hold()


class WithoutMark(Replica):
    """The mark is always now, whatever is still to be recorded."""

    def _accounted_until(self) -> datetime:
        return self.clock.now()


class WithoutClaimsMachine(Machine):
    replica = WithoutClaims


class WithoutTermsMachine(Machine):
    replica = WithoutTerms


class WithoutArrearsMachine(Machine):
    replica = WithoutArrears


class WithoutMarkMachine(Machine):
    replica = WithoutMark


REMOVED = {
    "claims": WithoutClaimsMachine,
    "terms": WithoutTermsMachine,
    "arrears": WithoutArrearsMachine,
    "mark": WithoutMarkMachine,
}
