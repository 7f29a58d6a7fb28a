"""Pausing and resuming: what is written to the store, and what a running reconciler will make of it.

Forbidden here: words for people, beyond errors.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.app import wiring
from reconciler.app.masking import REDACTOR
from reconciler.core.acts import paused, resumed
from reconciler.core.damage import PAUSE, Damage, unheard
from reconciler.core.model import Pause, whole_milliseconds
from reconciler.core.pauses import must_be_known, not_paused, target_of
from reconciler.ports import Store
from reconciler.services import acts
from reconciler.services.upkeep import SILENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What pausing or resuming has done.

    Attributes:
        pause: the new one; ``None`` where something was resumed.
        ended: the pauses of the same target that are over now.
        others: further open pauses that still stop it, or a part of it.
        is_running: whether a reconciler works on this store.
    """

    pause: Pause | None
    ended: tuple[Pause, ...]
    others: tuple[Pause, ...]
    is_running: bool


async def pause(url: str, target: str, *, reason: str, until: datetime, by: str, now: datetime) -> Written:
    """Pause an Application or a job; an open pause of the same target is replaced.

    Raises:
        NotFoundError: there is no such Application or job.
        StoreError: the store is away or refuses.
    """
    application, api = target_of(target)
    now = whole_milliseconds(now)
    identifier = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{uuid.uuid4().hex[:8]}"
    made = Pause(id=identifier, application=application, api=api, reason=reason, by=by, since=now, until=until)
    async with wiring.opened_to_read(url) as store:  # a store that nobody has made has nothing to pause
        states, jobs = await store.applications(unheard), await store.jobs(unheard)
        must_be_known(target, [state.name for state in states], [stored.key for stored in jobs])
        same, others = await _open_pauses(store, target, now)
        await store.pause(made)  # first: at no instant is it not paused
        ended = await _end(store, same, by, now)
        await acts.keep(store, [paused(made, at=now)], REDACTOR)
        return Written(pause=made, ended=ended, others=others, is_running=await _is_running(store, now))


async def resume(url: str, target: str, *, by: str, now: datetime) -> Written:
    """End every open pause of exactly this target, which need not be declared any more.

    Raises:
        NotFoundError: there is none.
        StoreError: the store is away or refuses.
    """
    target_of(target)
    now = whole_milliseconds(now)
    async with wiring.opened_to_read(url) as store:
        same, others = await _open_pauses(store, target, now)
        if not same:
            raise not_paused(target, await store.pauses(ending_after=now, damaged=unheard))
        ended = await _end(store, same, by, now)
        await acts.keep(store, [resumed(same[0], at=now, by=by)], REDACTOR)
        return Written(pause=None, ended=ended, others=others, is_running=await _is_running(store, now))


async def pauses(url: str, damage: Damage) -> Sequence[Pause]:
    """Every pause that is remembered, open or past, newest first; ``damage`` is told of those that cannot be read."""
    async with wiring.opened_to_read(url) as store:
        return await store.pauses(damaged=damage.of("pause", PAUSE))


async def _open_pauses(store: Store, target: str, now: datetime) -> tuple[tuple[Pause, ...], tuple[Pause, ...]]:
    """Those of the target, and those of what contains it or is contained."""
    found = await store.pauses(ending_after=now, damaged=unheard)
    same = tuple(one for one in found if one.target == target)
    application = target.partition("/")[0]
    others = (
        one for one in found if one.target == application or (target == application and one.application == application)
    )
    return same, tuple(one for one in others if one not in same)


async def _end(store: Store, found: Sequence[Pause], by: str, now: datetime) -> tuple[Pause, ...]:
    ended = tuple(replace(one, ended_at=max(now, one.since), ended_by=by) for one in found)
    for one in ended:
        await store.pause(one)
    return ended


async def _is_running(store: Store, now: datetime) -> bool:
    return any(one.role == "run" and now - one.seen_at < SILENCE for one in await store.processes())
