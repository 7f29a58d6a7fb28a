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
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from apscheduler.job import Job as Appointment

from reconciler.adapters.clock.scheduler import MOST_MISSED, Entry, Scheduler
from reconciler.core.instants import stamp
from reconciler.core.model import Drift, JobKey, Schedule, StoredJob, whole_milliseconds
from reconciler.core.timetable import Timetable
from reconciler.errors import ReconcilerError
from reconciler.ports import Alignment, OnDue

__all__ = ["MOST_MISSED", "ApsClock"]

LOG = logging.getLogger(__name__)


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
        self._entries: dict[Timetable, Entry] = {}
        self._entry_of: dict[JobKey, Entry] = {}
        self._stored: dict[JobKey, tuple[Schedule, datetime]] = {}
        self._aligned_at = self.now()
        self._origin: datetime | None = self._aligned_at  # until the first alignment
        self._scheduler = Scheduler(self.now, self._hand_over, self._start_over)

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
        it (it was suspended), counts from now; on the first alignment, from the making of this clock. One that has only
        another name goes on where it was: a slot that has come and was not handed over comes under the new one.
        """
        now = self.now()
        wanted, changed = self._compare(jobs)
        inherited = {stored.key: since for stored in changed if (since := self._inherited(stored)) is not None}
        left = [self._leave(key) for key in self._gone(wanted)]
        joining: dict[Timetable, dict[JobKey, datetime]] = {}
        for key in (stored.key for stored in changed):
            schedule, since = wanted[key]
            timetable = Timetable.of(schedule)
            before = self._entry_of.get(key)
            if before is not None and before.timetable == timetable:
                before.keys[key] = max(before.keys[key], since)
                continue
            if before is not None:
                left.append(self._leave(key))
            joining.setdefault(timetable, {})[key] = inherited.get(key) or self._counts_from(since, now)
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

    def _differences(self) -> tuple[list[tuple[Entry, Appointment | None]], list[Appointment]]:
        """Entries with an appointment that is not theirs, or none; and appointments that no entry has."""
        appointments = {one.id: one for one in self._scheduler.get_jobs()}
        wrong = []
        for entry in self._entries.values():
            appointment = appointments.pop(entry.name, None)
            if not entry.stands_in(appointment):
                wrong.append((entry, appointment))
        return wrong, list(appointments.values())

    def _compare(self, jobs: Iterable[StoredJob]) -> tuple[dict[JobKey, tuple[Schedule, datetime]], list[StoredJob]]:
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
                changed.append(stored)
            wanted[job.key] = seen
        return wanted, changed

    def _gone(self, wanted: dict[JobKey, tuple[Schedule, datetime]]) -> list[JobKey]:
        return [key for key in self._stored if key not in wanted]

    def _counts_from(self, since: datetime, now: datetime) -> datetime:
        return since if since > self._aligned_at else self._origin or now

    def _inherited(self, stored: StoredJob) -> datetime | None:
        """From where on slots count for a job that was due under another name so far; ``None`` where it was not."""
        if not stored.job.derived_from:
            return None
        application, _, api = stored.job.derived_from.partition("/")
        entry = self._entry_of.get(before := JobKey(application, api))
        if entry is None or entry.timetable != Timetable.of(stored.job.schedule):
            return None
        since = entry.keys[before]
        return max(since, stored.since, entry.handed or since)

    def _leave(self, key: JobKey) -> Entry:
        entry = self._entry_of.pop(key)
        del entry.keys[key]
        return entry

    def _join(self, timetable: Timetable, keys: dict[JobKey, datetime]) -> bool:
        """Let jobs be due by a timetable; whether it needed a new entry."""
        entry = self._entries.get(timetable)
        is_new = entry is None
        if entry is None:
            entry = self._entries[timetable] = Entry(timetable)
        first = _first_after(timetable, min(keys.values()))
        if first is not None and (entry.due is None or first < entry.due):
            # Slots that came for the others before these jobs joined, or before the wall clock was set back.
            entry.keys = {key: max(since, entry.handed or since) for key, since in entry.keys.items()}
            self._scheduler.appoint(entry, first)
        entry.keys.update(keys)
        self._entry_of.update(dict.fromkeys(keys, entry))
        return is_new

    def _drop(self, entry: Entry) -> bool:
        del self._entries[entry.timetable]
        self._scheduler.cancel(entry)
        return True

    def _start_over(self, now: datetime) -> None:
        """The clock was wrong by far: slots count from now, also some that were handed over while it was."""
        LOG.warning("the clock was set back to %s: slots count from now on", stamp(now))
        with self._scheduler.at_once():
            for entry in self._entries.values():
                entry.handed = None
                entry.keys = {key: min(since, now) for key, since in entry.keys.items()}
                self._scheduler.cancel(entry)
                if (first := _first_after(entry.timetable, now)) is not None:
                    self._scheduler.appoint(entry, first)

    def _hand_over(self, entry: Entry, slot: datetime) -> None:
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
    return said if isinstance(appointment.trigger, Entry) else f"{said}, by a foreign trigger"


def _of_nobody(appointment: Appointment) -> list[Drift]:
    """An appointment that should not be, under the jobs that it would wake; under its own name where there are none."""
    keys = list(appointment.trigger.keys) if isinstance(appointment.trigger, Entry) else []
    keys = keys or [JobKey("(scheduler)", str(appointment.id))]
    return [Drift(key=key, where="scheduler", found=_appointed(appointment), declared=None) for key in keys]
