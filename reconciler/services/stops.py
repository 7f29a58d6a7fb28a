"""What is paused and frozen, kept in memory: every slot asks. And the catching up once a freeze has ended.

Pauses are read from the store again and again; windows are handed in by whoever syncs. A store that is away leaves what
was known last. Forbidden here: writing a pause (``app.stopping``), and the rules (``core.stops``, ``core.thaw``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.core.damage import damage_text, unheard
from reconciler.core.model import FreezeWindow, JobKey, Pause, Stop, StoredJob
from reconciler.core.pauses import ends_in_words
from reconciler.core.stops import Stoppages, covers_until
from reconciler.core.windows import Occurrences
from reconciler.errors import ReconcilerError, StoreError
from reconciler.ports import Clock, Store
from reconciler.services.run import Runner
from reconciler.services.thaws import Thaws

BEAT = timedelta(seconds=2)

PAUSED, RESUMED, ENDED = "paused", "resumed", "pause ended"

# A slot may be looked at late, after a machine has slept: what was paused at it must still be known.
_REMEMBERED = timedelta(days=1)

log = logging.getLogger(__name__)

OnChange = Callable[[str, Pause], None]


class Stops:
    """Knows what stops a job.

    Args:
        store: where pauses are.
        clock: the time, and the waiting.
        runner: makes the runs that are owed after a freeze.
        jobs: every job as it stands now.
        on_change: told of each pause that begins (``paused``) or ends, early (``resumed``) or by itself (``pause
            ended``); also of those that are open at the start.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        runner: Runner,
        *,
        jobs: Callable[[], Collection[StoredJob]],
        on_change: OnChange = lambda _event, _pause: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_change = on_change
        self._thaws = Thaws(store, clock, runner, jobs)
        self._open: dict[str, Pause] = {}
        self._past: list[Pause] = []
        self._given: list[FreezeWindow] = []
        self._stoppages = Stoppages()
        self._is_away = False
        self._one_at_a_time = asyncio.Lock()
        self._damaged: set[str] = set()  # told already

    @property
    def stoppages(self) -> Stoppages:
        """Every pause and window that counts, to be asked about any instant."""
        return self._stoppages

    def stopped(self, key: JobKey, at: datetime) -> Stop | None:
        """What stops a slot of a job; ``None`` if nothing does."""
        return self._stoppages.stop_of(key, at)

    def windows(self, windows: Iterable[FreezeWindow]) -> None:
        """These are the freeze windows from now on; quick where they are so already."""
        given = sorted(windows, key=lambda window: window.name)
        if given != self._given:
            self._given = given
            self._stoppages = Stoppages(self._stoppages.pauses, [one for one in given if self._is_usable(one)])
            self._thaws.windows_changed()

    def look_from(self, instant: datetime) -> None:
        """Look again for what freezes left that ended after this instant; whoever led until then may not have."""
        self._thaws.look_from(instant)

    def _is_usable(self, window: FreezeWindow) -> bool:
        """Whether this machine can tell when a window is open; one that it cannot must not stop every job."""
        try:
            Occurrences(window).spell(self._clock.now())
        except ReconcilerError as error:
            log.error("the freeze window %s freezes nothing: %s", window.name, error)  # noqa: TRY400 - a foreseen state
            return False
        return True

    async def load(self) -> None:
        """Read everything that is stored; to be done before the first slot. Tells as ``read`` does.

        Raises:
            StoreError: the store is away or refuses.
        """
        async with self._one_at_a_time:
            now = self._clock.now()
            everything = await self._stored(now)
            gone = [everything.get(name, replace(pause, ended_at=now)) for name, pause in self._open.items()]
            gone = [pause for pause in gone if covers_until(pause) <= now]
            self._past = [pause for pause in everything.values() if covers_until(pause) <= now]
            self._note({name: pause for name, pause in everything.items() if covers_until(pause) > now}, now)
            self._tell_ends(gone)
        self.windows(await self._store.windows(unheard))  # the first sync tells of those that cannot be read

    async def keep(self) -> None:
        """Follow pauses and freezes for as long as the process lives; never ends by itself."""
        while True:
            await self.step()
            change = self._stoppages.next_change(self._clock.now())
            await self._clock.sleep(BEAT if change is None else min(BEAT, change - self._clock.now()))

    async def step(self) -> None:
        """Do once what is due now."""
        try:
            await self.read()
            await self._thaws.look(self._stoppages)
            self._is_away = False
        except StoreError as error:
            if not self._is_away:
                log.warning("pauses are those last known: %s", error)
            self._is_away = True
        except Exception:
            log.exception("a bug in stops")

    async def read(self) -> None:
        """Read which pauses are open, and tell of those that have begun or ended since.

        Raises:
            StoreError: the store is away or refuses.
        """
        async with self._one_at_a_time:
            now = self._clock.now()
            found = await self._stored(now, ending_after=now)
            gone = [pause for pause in self._open.values() if pause.id not in found]
            if found == self._open:
                return
            if any(pause.until > now for pause in gone):  # somebody ended it: who, and when?
                stored = await self._stored(now)
                gone = [stored.get(pause.id, replace(pause, ended_at=now)) for pause in gone]
            self._past += gone
            self._note(found, now)
            self._tell_ends(gone)

    def _tell_ends(self, gone: Iterable[Pause]) -> None:
        for pause in gone:
            self._on_change(RESUMED if covers_until(pause) < pause.until else ENDED, pause)

    async def _stored(self, now: datetime, *, ending_after: datetime | None = None) -> dict[str, Pause]:
        """The pauses that are stored; of a record that somebody has damaged since, what it said before."""
        damaged: dict[str, str] = {}
        stored = await self._store.pauses(ending_after=ending_after, damaged=damaged.__setitem__)
        found = {pause.id: pause for pause in stored}
        found |= {name: self._open[name] for name in damaged if name in self._open and self._open[name].until > now}
        for name in damaged.keys() - self._damaged:
            log.error("%s", damage_text("pause", name, damaged[name], _becomes_of(found.get(name))))
        self._damaged |= damaged.keys()
        return found

    def _note(self, found: dict[str, Pause], now: datetime) -> None:
        begun = [pause for pause in found.values() if pause.id not in self._open]
        self._open = found
        self._past = [pause for pause in self._past if now - covers_until(pause) < _REMEMBERED]
        self._stoppages = self._stoppages.with_pauses([*found.values(), *self._past])
        for pause in begun:
            self._on_change(PAUSED, pause)


def _becomes_of(pause: Pause | None) -> str:
    if pause is None:
        return "what it paused is not known and is not paused: pause it again"
    return f"{pause.target} stays paused until {ends_in_words(pause.until)}"
