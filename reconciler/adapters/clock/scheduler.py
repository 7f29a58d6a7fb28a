"""APScheduler's part of the clock: the timer, the appointments, and handing slots over as they come.

Forbidden here: knowing which jobs are scheduled, and any decision about a run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job as Appointment
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.base import STATE_RUNNING
from apscheduler.triggers.base import BaseTrigger

from reconciler.core.model import JobKey
from reconciler.core.timetable import Timetable

# How many slots of one timetable are handed over after a pause.
MOST_MISSED = 100

# A clock that is set back by less hands nothing over twice. Further back it has been wrong for so long, most likely by
# months or years, that no job would be due before the wrong time has come: then slots count from now again.
FARTHEST_BACK = timedelta(days=1)

# In seconds. asyncio's timers do not count the time that a machine sleeps, nor see the wall clock being set.
LONGEST_SLEEP = 1.0

# APScheduler tells of every job that is added; with thousands of them that is noise.
_APSCHEDULER_LOG = logging.getLogger("reconciler.adapters.clock.apscheduler")
_APSCHEDULER_LOG.setLevel(logging.WARNING)


class Entry(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """A timetable, the jobs that are due by it, and where it stands.

    Attributes:
        keys: the jobs, each with the instant from which its slots count.
        due: the next slot to hand over; ``None`` if there is none.
        handed: the latest slot handed over.
    """

    __slots__ = ("due", "handed", "keys", "name", "timetable")

    _numbers = count(1)

    def __init__(self, timetable: Timetable) -> None:
        self.timetable = timetable
        self.name = f"timetable-{next(self._numbers):08}"  # also the order of what is due at one instant
        self.keys: dict[JobKey, datetime] = {}
        self.due: datetime | None = None
        self.handed: datetime | None = None

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """APScheduler's question."""
        return self.timetable.next_after(previous_fire_time or now)

    def stands_in(self, appointment: Appointment | None) -> bool:
        """Whether an appointment is this entry's, at its time; without a next slot there must be none."""
        if appointment is None:
            return self.due is None
        return appointment.trigger is self and self.due is not None and appointment.next_run_time == self.due

    def take(self, now: datetime) -> tuple[datetime, ...]:
        """The slots that have come, oldest first and bounded; moves ``due`` on to the next that has not."""
        if self.due is None or self.due > now:
            return ()
        slots: tuple[datetime, ...] = (self.due,)
        self.due = self.get_next_fire_time(self.due, now)
        if self.due is not None and self.due <= now:
            slots = (*slots, *self.timetable.newest(slots[0], now, MOST_MISSED))[-MOST_MISSED:]
            self.due = self.get_next_fire_time(slots[-1], now)
        return slots


class _HandOver(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """Hands slots over, at once and on the event loop; whoever takes them owns what follows.

    As it is over when it returns, no instances are counted and none can be too many; nothing is left to cancel.
    """

    def __init__(self, hand_over: Callable[[Entry, datetime], None]) -> None:
        super().__init__()
        self._hand_over = hand_over

    def submit_job(self, job: Appointment, run_times: Sequence[datetime]) -> None:
        self._do_submit_job(job, run_times)

    def _do_submit_job(self, job: Appointment, run_times: Sequence[datetime]) -> None:
        for slot in run_times:
            self._hand_over(job.trigger, slot)


class Scheduler(AsyncIOScheduler):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler's timer, appointments and job store, with the time of day passed in.

    Args:
        now: the time of day.
        hand_over: told of each slot that comes.
        set_back: told of the time of day when it has been set back far.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        hand_over: Callable[[Entry, datetime], None],
        set_back: Callable[[datetime], None],
    ) -> None:
        self._read_now = now
        self._latest = now()
        self._set_back = set_back
        super().__init__(
            logger=_APSCHEDULER_LOG,
            timezone=UTC,
            jobstores={"default": MemoryJobStore()},
            executors={"default": _HandOver(hand_over)},
            # Lateness and number of what is handed over are not APScheduler's to decide.
            job_defaults={"misfire_grace_time": None, "coalesce": False, "max_instances": 1},
        )

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Make many changes and look at them once; APScheduler would wake itself for each."""
        if self.state != STATE_RUNNING:
            yield
            return
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def appoint(self, entry: Entry, first: datetime) -> None:
        """Wake for an entry at ``first`` and then by its timetable, whatever was appointed before."""
        self.cancel(entry)
        entry.due = first
        self.add_job(_nothing, entry, id=entry.name, name=entry.name, next_run_time=first)

    def reappoint(self, entry: Entry, appointment: Appointment | None) -> None:
        """Wake for an entry when it is due, whatever stands in its place."""
        if appointment is not None:
            self.remove_job(appointment.id)
        if entry.due is not None:
            self.appoint(entry, entry.due)

    def cancel(self, entry: Entry) -> None:
        """Wake for an entry no more."""
        if entry.due is not None:
            with suppress(JobLookupError):  # shut down: it has forgotten everything
                self.remove_job(entry.name)
        entry.due = None

    def _process_jobs(self) -> float | None:
        """Hand over what is due; the seconds until the next look.

        In APScheduler's place: it would read the wall clock itself, list every instant missed, and sleep until the
        next one however long that is.
        """
        if self.state != STATE_RUNNING:
            return None
        now = self._read_now()
        if now < self._latest - FARTHEST_BACK:
            self._set_back(now)
        self._latest = now
        store = self._lookup_jobstore("default")
        for appointment in store.get_due_jobs(now):
            self._serve(appointment, store, now)
        coming: datetime | None = store.get_next_run_time()
        if coming is None:
            return None  # whoever adds an appointment wakes us
        return min(max((coming - self._read_now()).total_seconds(), 0), LONGEST_SLEEP)

    def _serve(self, appointment: Appointment, store: MemoryJobStore, now: datetime) -> None:
        # The appointment is moved on first: those who take the slots over may align.
        entry = appointment.trigger
        if not isinstance(entry, Entry):  # nobody that we know asked for it, and it would come again and again
            store.remove_job(appointment.id)
            return
        slots = entry.take(now)
        if not slots:  # cancelled by whoever took over an earlier slot, or not yet due
            self._put_off(appointment, store)
            return
        if entry.due is None:
            store.remove_job(entry.name)
        else:
            appointment.next_run_time = entry.due
            store.update_job(appointment)
        self._lookup_executor("default").submit_job(appointment, slots)

    def _put_off(self, appointment: Appointment, store: MemoryJobStore) -> None:
        """Appoint for its time what somebody has appointed for earlier; it would come again at once."""
        entry = appointment.trigger
        if store.lookup_job(appointment.id) is not appointment:
            return
        if entry.due is None:
            store.remove_job(appointment.id)
        else:
            appointment.next_run_time = entry.due
            store.update_job(appointment)


def _nothing() -> None:
    """What APScheduler would run; the executor hands the slot over instead."""
