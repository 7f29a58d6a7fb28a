"""What a process does beside its runs: signs of life, abandoned runs, retention.

Each step survives a store that is away and is done again later. Forbidden here: making calls, which are the runner's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.core.acts import KEEP_ACTS
from reconciler.core.model import Outcome, Process, Retention, Run, StoredJob, whole_milliseconds
from reconciler.core.stops import said
from reconciler.errors import StoreError
from reconciler.ports import Clock, Store
from reconciler.services.run import ABANDONED, Runner

BEAT = timedelta(seconds=2)
SILENCE = timedelta(seconds=6)
RETENTION = timedelta(hours=1)

log = logging.getLogger(__name__)


class Upkeep:
    """Keeps one process's part of the store in order.

    Args:
        store: where the signs of life are.
        clock: the time, and the pauses.
        runner: sends runs again, and records those that are not.
        process: who we are.
        alive: whether a process with this id number runs on our own host.
        leads: whether this process leads: others only watch, so that they know who is silent when they lead.
        retention: how long ended runs are kept.
        keep_acts: how long acts are kept.
        applications: those that keep theirs otherwise, and how long; asked each time.
        look_back: how far back whoever leads looks for ends that nothing has followed; asked each time.
        unreadable: references to secrets that this process cannot read at present; told with each sign of life.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        *,
        store: Store,
        clock: Clock,
        runner: Runner,
        process: Process,
        alive: Callable[[int], bool] | None = None,
        leads: Callable[[], bool] = lambda: True,
        retention: Retention = Retention(),  # noqa: B008 - it is frozen
        keep_acts: timedelta = KEEP_ACTS,
        applications: Callable[[], Mapping[str, Retention]] = dict,
        look_back: Callable[[], timedelta] = timedelta,
        unreadable: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runner = runner
        self._process = process
        self._alive = alive
        self._leads = leads
        self._retention = retention
        self._keep_acts = keep_acts
        self._applications = applications
        self._look_back = look_back
        self._unreadable = unreadable
        # By the steady clock: whatever the wall clock is set to, a run must not stay open for it.
        self._expired_at: timedelta | None = None
        self._stepped_at: timedelta | None = None
        # Owner -> the sign of life that stood in the store, and since when on our own clock. Other hosts' clocks may be
        # wrong, so that only whether a sign changes counts, not what it says.
        self._noticed: dict[str, tuple[datetime | None, timedelta]] = {}

    async def keep(self) -> None:
        """Beat, recover and expire for as long as the process lives; never ends by itself."""
        while True:
            await self.step()
            await self._clock.sleep(BEAT)

    async def step(self) -> None:
        """Do once what is due now."""
        try:
            await self._beat()
            if self._process.role == "run":
                await self._recover()
                if self._leads():
                    await self._expire()
        except StoreError as error:
            # While it is away nobody can show life: nobody is thought dead for the silence of that time.
            self._noticed.clear()
            log.warning("upkeep waits for the store: %s", error)
        except Exception:
            self._noticed.clear()
            log.exception("a bug in upkeep")

    async def farewell(self) -> None:
        """Say that this process ends in good order."""
        with suppress(StoreError):
            await self._store.farewell(self._process.id)

    async def _beat(self) -> None:
        now = whole_milliseconds(self._clock.now())
        self._process = replace(self._process, seen_at=now, unreadable=tuple(self._unreadable()))
        await self._store.beat(self._process)

    async def _recover(self) -> None:
        processes = {process.id: process for process in await self._store.processes()}
        now = self._clock.steady()
        if self._stepped_at is not None and now - self._stepped_at > SILENCE:
            self._noticed.clear()  # it was we who slept: the others' signs are not known
        self._stepped_at = now
        # Our own may be thousands at a busy moment, and none of them is abandoned.
        others = await self._store.unfinished(but_not_of=self._process.id)
        unfinished = [run for run in others if not self._runner.knows(run.id)]
        silent = self._silent({run.owner for run in unfinished}, processes, now)
        abandoned = [run for run in unfinished if run.owner in silent and self._leads()]
        self._runner.elsewhere({run.key: run.id for run in unfinished if run.owner not in silent or not self._leads()})
        for run in abandoned:
            if self._leads():
                await self._settle(run)

    def _silent(self, owners: Collection[str], processes: Mapping[str, Process], now: timedelta) -> Collection[str]:
        """Those of the owners who are gone for certain, or show no life any more."""
        self._noticed = {owner: sign for owner, sign in self._noticed.items() if owner in owners}
        silent = set()
        for owner in owners:
            process = processes.get(owner)
            sign = None if process is None else process.seen_at
            if owner not in self._noticed or self._noticed[owner][0] != sign:
                self._noticed[owner] = (sign, now)
            if now - self._noticed[owner][1] >= SILENCE or (process is not None and self._is_gone(process)):
                silent.add(owner)
        return silent

    def _is_gone(self, process: Process) -> bool:
        """Whether a process of our own host has ended; its number may be ours by now, as in a restarted container."""
        if process.host != self._process.host or self._alive is None:
            return False
        return process.pid == self._process.pid or not self._alive(process.pid)

    async def _settle(self, run: Run) -> None:
        """Send an abandoned run again where its job says so and it can be done, or else record it as unknown."""
        stored = await self._store.job(run.key) if run.delivery == "atLeastOnce" else None
        if stored is None or not self._may_send(run, stored):
            self._runner.conclude(run, Outcome.UNKNOWN, ABANDONED)
        elif (stop := self._runner.stop_of(run.key)) is not None:
            # Sent again it would be a call that somebody has just asked not to be made; whether the first one was made
            # nobody knows. Waiting for the end of the stop would only leave it open, most often past its deadline.
            self._runner.conclude(run, Outcome.UNKNOWN, f"{ABANDONED}; not sent again: {said(stop)}")
        elif stored.job.concurrency_policy == "Allow" or not self._runner.is_busy(run.key):
            log.warning("run %s of %s was abandoned and is sent again", run.id, run.key)
            self._runner.resume(stored, run)

    def _may_send(self, run: Run, stored: StoredJob) -> bool:
        # What a trigger replaced is not kept, so that such a call cannot be made again as it was.
        return (
            not run.overrides
            and not stored.job.suspend
            and stored.job.delivery == "atLeastOnce"
            and self._clock.now() - run.slot <= stored.job.starting_deadline
        )

    async def _expire(self) -> None:
        now = self._clock.steady()
        if self._expired_at is not None and now - self._expired_at < RETENTION:
            return
        applications = self._applications()
        removed = await self._store.expire(
            now=self._clock.now(),
            retention=self._retention,
            applications=applications,
            keep_acts=self._keep_acts,
            look_back=self._look_back(),
        )
        self._expired_at = now
        if removed:
            log.info("%d old runs were removed", removed)
