"""The Clock port on APScheduler 3.11: a timer over an in-memory job store, and nothing more.

One APScheduler job (here: appointment) stands for each distinct timetable; which jobs are due by it is looked up when
it comes. Lateness, overlap and duplicates are decided elsewhere: every slot is handed over, however late.

After a pause of the process or the machine at most the newest 100 slots of a timetable are handed over: older ones
would only hold up the others.

Forbidden here: calls, I/O, and any decision about a run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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

from reconciler.core.instants import stamp
from reconciler.core.model import Drift, JobKey, Schedule, StoredJob, whole_milliseconds
from reconciler.core.timetable import Timetable
from reconciler.errors import ReconcilerError
from reconciler.ports import Alignment, OnDue

LOG = logging.getLogger(__name__)

# How many slots of one timetable are handed over after a pause.
MOST_MISSED = 100

# In seconds. asyncio's timers do not count the time that a machine sleeps, nor see the wall clock being set.
LONGEST_SLEEP = 1.0

# APScheduler tells of every job that is added; with thousands of them that is noise.
_APSCHEDULER_LOG = LOG.getChild("apscheduler")
_APSCHEDULER_LOG.setLevel(logging.WARNING)


def _real_now() -> datetime:
    return datetime.now(UTC)


class ApsClock:
    """The time of day, and the waking at slots; for one event loop. Once stopped it stays stopped.

    Args:
        now: where the time of day comes from; tests pass their own.
    """

    def __init__(self, now: Callable[[], datetime] = _real_now) -> None:
        self._read = now
        self._on_due: OnDue | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entries: dict[Timetable, _Entry] = {}
        self._entry_of: dict[JobKey, _Entry] = {}
        self._stored: dict[JobKey, tuple[Schedule, datetime]] = {}
        self._aligned_at = self.now()
        self._origin: datetime | None = self._aligned_at  # until the first alignment
        self._scheduler = _Scheduler(self.now, self._hand_over)

    def now(self) -> datetime:
        """The present instant, aware, UTC, in whole milliseconds."""
        return whole_milliseconds(self._read())

    def steady(self) -> timedelta:
        """Time since the machine has booted, its sleep included where it has such a clock; nobody can set it."""
        clock = getattr(time, "CLOCK_BOOTTIME", None)  # clock_gettime(2), Linux
        return timedelta(seconds=time.monotonic() if clock is None else time.clock_gettime(clock))

    async def sleep(self, delay: timedelta) -> None:
        """Wait; a delay of zero or less returns at the next turn."""
        await asyncio.sleep(max(delay.total_seconds(), 0))

    def start(self, on_due: OnDue) -> None:
        """Begin waking; to be called on the event loop. ``on_due`` should only take note: it holds up the loop.

        Raises:
            RuntimeError: it was started before.
        """
        if self._loop is not None:
            raise RuntimeError("a clock starts once")
        self._on_due = on_due
        self._loop = asyncio.get_running_loop()
        self._scheduler.start()

    def stop(self) -> None:
        """Wake no more, not even for what is due already. What ``on_due`` has begun goes on. Idempotent."""
        if self._on_due is None or self._loop is None:
            return
        self._on_due = None
        if not self._loop.is_closed():
            self._scheduler.shutdown(wait=False)

    def next_due(self, key: JobKey) -> datetime | None:
        """When the job will next be due, as scheduled; ``None`` if never or not scheduled."""
        entry = self._entry_of.get(key)
        if entry is None or entry.due is None:
            return None
        since = entry.keys[key]
        return entry.due if entry.due > since else entry.timetable.next_after(since)

    def handed_until(self) -> datetime:
        """Every slot up to this instant has been handed over: now, or just before one that has come and has not."""
        now = self.now()
        due = min((entry.due for entry in self._entries.values() if entry.due is not None), default=None)
        return now if due is None or due > now else due - timedelta(milliseconds=1)

    def align(self, jobs: Iterable[StoredJob]) -> Alignment:
        """Make the entries those of the jobs that are not suspended; what has not changed is not touched.

        A job's slots count from its ``since``. A job that is older than the last alignment, but was not scheduled by
        it (it was suspended), counts from now; on the first alignment, from the making of this clock.
        """
        now = self.now()
        wanted, changed = self._compare(jobs)
        left = [self._leave(key) for key in self._gone(wanted)]
        joining: dict[Timetable, dict[JobKey, datetime]] = {}
        for key in changed:
            schedule, since = wanted[key]
            timetable = Timetable.of(schedule)
            before = self._entry_of.get(key)
            if before is not None and before.timetable == timetable:
                before.keys[key] = max(before.keys[key], since)
                continue
            if before is not None:
                left.append(self._leave(key))
            joining.setdefault(timetable, {})[key] = self._counts_from(since, now)
        entries = len(self._entries)
        with self._scheduler.at_once():
            added = sum(self._join(timetable, keys) for timetable, keys in joining.items())
            removed = sum(self._drop(entry) for entry in dict.fromkeys(left) if not entry.keys)
        self._stored, self._aligned_at, self._origin = wanted, now, None
        return Alignment(added=added, removed=removed, kept=entries - removed)

    def drift(self) -> Sequence[Drift]:
        """What is scheduled otherwise than the last ``align`` said, job by job; to be mended by ``realign``."""
        if self._has_stopped:
            return ()
        wrong, surplus = self._differences()
        found = [
            Drift(key=key, where="scheduler", found=_appointed(appointment), declared=_shown(entry.due))
            for entry, appointment in wrong
            for key in entry.keys
        ]
        return [*found, *(drift for appointment in surplus for drift in _of_nobody(appointment))]

    def realign(self) -> None:
        """Appoint anew what is appointed otherwise than it should be, and cancel what should not be.

        A slot that was handed over does not come again; one that came meanwhile is handed over late.
        """
        if self._has_stopped:
            return
        wrong, surplus = self._differences()
        if not (wrong or surplus):
            return
        with self._scheduler.at_once():
            for appointment in surplus:
                self._scheduler.remove_job(appointment.id)
            for entry, appointment in wrong:
                self._scheduler.reappoint(entry, appointment)

    @property
    def _has_stopped(self) -> bool:
        return self._loop is not None and self._on_due is None

    def _differences(self) -> tuple[list[tuple[_Entry, Appointment | None]], list[Appointment]]:
        """Entries with an appointment that is not theirs, or none; and appointments that no entry has."""
        appointments = {one.id: one for one in self._scheduler.get_jobs()}
        wrong = []
        for entry in self._entries.values():
            appointment = appointments.pop(entry.name, None)
            if not entry.stands_in(appointment):
                wrong.append((entry, appointment))
        return wrong, list(appointments.values())

    def _compare(self, jobs: Iterable[StoredJob]) -> tuple[dict[JobKey, tuple[Schedule, datetime]], list[JobKey]]:
        """What is to be scheduled, and which of it is not so already; quick, as most jobs pass here unchanged."""
        known = self._stored
        wanted: dict[JobKey, tuple[Schedule, datetime]] = {}
        changed = []
        for stored in jobs:
            job = stored.job
            if job.suspend:
                continue
            seen = known.get(job.key)
            if seen is None or seen[1] != stored.since or (seen[0] is not job.schedule and seen[0] != job.schedule):
                seen = (job.schedule, stored.since)
                changed.append(job.key)
            wanted[job.key] = seen
        return wanted, changed

    def _gone(self, wanted: dict[JobKey, tuple[Schedule, datetime]]) -> list[JobKey]:
        return [key for key in self._stored if key not in wanted]

    def _counts_from(self, since: datetime, now: datetime) -> datetime:
        return since if since > self._aligned_at else self._origin or now

    def _leave(self, key: JobKey) -> _Entry:
        entry = self._entry_of.pop(key)
        del entry.keys[key]
        return entry

    def _join(self, timetable: Timetable, keys: dict[JobKey, datetime]) -> bool:
        """Let jobs be due by a timetable; whether it needed a new entry."""
        entry = self._entries.get(timetable)
        is_new = entry is None
        if entry is None:
            entry = self._entries[timetable] = _Entry(timetable)
        first = _first_after(timetable, min(keys.values()))
        if first is not None and (entry.due is None or first < entry.due):
            # Slots that came for the others before these jobs joined, or before the wall clock was set back.
            entry.keys = {key: max(since, entry.handed or since) for key, since in entry.keys.items()}
            self._scheduler.appoint(entry, first)
        entry.keys.update(keys)
        self._entry_of.update(dict.fromkeys(keys, entry))
        return is_new

    def _drop(self, entry: _Entry) -> bool:
        del self._entries[entry.timetable]
        self._scheduler.cancel(entry)
        return True

    def _hand_over(self, entry: _Entry, slot: datetime) -> None:
        """Tell of a slot those jobs for which it counts. What goes wrong there must not stop the other timetables."""
        entry.handed = slot if entry.handed is None else max(entry.handed, slot)
        keys = [key for key, since in entry.keys.items() if since < slot]
        if self._on_due is None or not keys:
            return
        try:
            self._on_due(slot, keys)
        except Exception:
            LOG.exception("a slot could not be taken over: %s of %d jobs", slot, len(keys))


def _first_after(timetable: Timetable, instant: datetime) -> datetime | None:
    """The first slot; what another machine stored and this one cannot read must not stop the other jobs."""
    try:
        return timetable.next_after(instant)
    except ReconcilerError as error:
        LOG.error("not scheduled, %s: %s", error, timetable)  # noqa: TRY400 - a foreseen state, not a bug
        return None


def _shown(instant: datetime | None) -> str | None:
    return None if instant is None else stamp(instant)


def _appointed(appointment: Appointment | None) -> str | None:
    """When an appointment is, for people; ``None`` where there is none."""
    if appointment is None:
        return None
    said = _shown(appointment.next_run_time) or "paused"
    return said if isinstance(appointment.trigger, _Entry) else f"{said}, by a foreign trigger"


def _of_nobody(appointment: Appointment) -> list[Drift]:
    """An appointment that should not be, under the jobs that it would wake; under its own name where there are none."""
    keys = list(appointment.trigger.keys) if isinstance(appointment.trigger, _Entry) else []
    keys = keys or [JobKey("(scheduler)", str(appointment.id))]
    return [Drift(key=key, where="scheduler", found=_appointed(appointment), declared=None) for key in keys]


class _Entry(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
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

    def __init__(self, hand_over: Callable[[_Entry, datetime], None]) -> None:
        super().__init__()
        self._hand_over = hand_over

    def submit_job(self, job: Appointment, run_times: Sequence[datetime]) -> None:
        self._do_submit_job(job, run_times)

    def _do_submit_job(self, job: Appointment, run_times: Sequence[datetime]) -> None:
        for slot in run_times:
            self._hand_over(job.trigger, slot)


class _Scheduler(AsyncIOScheduler):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler's timer, appointments and job store, with the time of day passed in."""

    def __init__(self, now: Callable[[], datetime], hand_over: Callable[[_Entry, datetime], None]) -> None:
        self._read_now = now
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

    def appoint(self, entry: _Entry, first: datetime) -> None:
        """Wake for an entry at ``first`` and then by its timetable, whatever was appointed before."""
        self.cancel(entry)
        entry.due = first
        self.add_job(_nothing, entry, id=entry.name, name=entry.name, next_run_time=first)

    def reappoint(self, entry: _Entry, appointment: Appointment | None) -> None:
        """Wake for an entry when it is due, whatever stands in its place."""
        if appointment is not None:
            self.remove_job(appointment.id)
        if entry.due is not None:
            self.appoint(entry, entry.due)

    def cancel(self, entry: _Entry) -> None:
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
        if not isinstance(entry, _Entry):  # nobody that we know asked for it, and it would come again and again
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
