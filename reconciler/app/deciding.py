"""What decides over the runs of a long-lived process, wired together: each part asks and tells the others.

The runner makes runs; arrears, chains and stops hand it those that are owed; strikes count how they ended; upkeep
settles what other processes left. Forbidden here: the decisions themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from reconciler.app import wiring
from reconciler.app.calling import Calling
from reconciler.app.context import Context
from reconciler.app.masking import REDACTOR
from reconciler.core.calendars import stop_of
from reconciler.core.model import Job, JobKey, Lease, Retention, Run, Stop, StoredJob
from reconciler.core.retention import look_back
from reconciler.services.arrears import Arrears
from reconciler.services.chains import Chains
from reconciler.services.reconcile import Reconciliation
from reconciler.services.run import Runner
from reconciler.services.stops import Stops
from reconciler.services.strikes import Strikes
from reconciler.services.upkeep import Upkeep
from reconciler.settings import Settings

_MILLISECOND: Final = timedelta(milliseconds=1)

Term = Callable[[], int | None]


class Deciding:
    """The parts that decide over runs.

    Args:
        context: of the process.
        calling: makes the calls.
        reconciliation: knows what is declared.
        term: under which slots may be taken on at this very moment; ``None`` where they may not.
    """

    def __init__(self, context: Context, calling: Calling, reconciliation: Reconciliation, *, term: Term) -> None:
        self._context = context
        self._reconciliation = reconciliation
        self._term = term
        store, clock = context.store, context.clock
        self.runner = self._runner(calling)
        self.stops = Stops(store, clock, self.runner, jobs=self._jobs, on_change=context.telling.pause)
        self.arrears = Arrears(
            store,
            clock,
            self.runner,
            self._jobs,
            term=term,
            stopped=self._stopped,
            halted=self.stops.stopped,
            renaming=reconciliation.renaming,
        )
        self.chains = Chains(store, clock, self.runner, self._jobs, term)
        self.strikes = Strikes(
            store, clock, reconciliation.job, self._jobs, self.stops.read, context.acts.note, term=term
        )
        context.metrics.watch_calls(lambda: self.runner.in_flight)

    def _runner(self, calling: Calling) -> Runner:
        return Runner(
            store=self._context.store,
            clock=self._context.clock,
            caller=calling.caller,
            owner=self._context.process.id,
            jobs=self._reconciliation.job,
            observer=self._ended,
            max_in_flight=self._context.settings.max_in_flight,
            stopped=self._stopped,
            successor=self._reconciliation.successor,
            renaming=self._reconciliation.renaming,
            term=self._term,
            late=self._late,
            prepare=calling.authentication.prepare,
            answered=calling.authentication.answered,
            redactor=REDACTOR,
        )

    def upkeep(self, *, unreadable: Callable[[], Sequence[str]]) -> Upkeep:
        """What shows life, settles what others left and removes what is old; tells others what is ``unreadable``."""
        context = self._context
        return Upkeep(
            store=context.store,
            clock=context.clock,
            runner=self.runner,
            process=context.process,
            alive=wiring.is_alive,
            leads=lambda: self._term() is not None,
            retention=_retention(context.settings),
            keep_acts=context.settings.keep_acts,
            applications=self._histories,
            look_back=lambda: look_back(self._jobs()),
            unreadable=unreadable,
        )

    # What is told to all of them

    def lead(self, lease: Lease) -> None:
        """This process leads from now on."""
        self.arrears.lead_from(lease.accounted_until)
        self.strikes.lead()

    def jobs_changed(self) -> None:
        """What is declared may have become another."""
        self.chains.jobs_changed()
        self.stops.windows(self._reconciliation.windows)

    # What they ask and tell each other

    def accounted_until(self) -> datetime:
        """Up to which slot everything has its record, whatever is owed for it."""
        owed = self.chains.oldest()
        mark = self.runner.accounted_until()
        return mark if owed is None else min(mark, owed - _MILLISECOND)

    def _jobs(self) -> Collection[StoredJob]:
        return self._reconciliation.jobs

    def _histories(self) -> Mapping[str, Retention]:
        applications = self._reconciliation.applications
        return {state.name: state.history for state in applications if state.history is not None}

    def _stopped(self, key: JobKey, slot: datetime) -> Stop | None:
        stored = self._reconciliation.job(key)
        excluded = None if stored is None else stop_of(stored.job.schedule, slot)
        return excluded or self.stops.stopped(key, slot)

    def _late(self, slot: datetime) -> None:
        self.arrears.behind(slot)

    def _ended(self, _: Job | None, run: Run) -> None:
        self._context.metrics.observe_run(run)
        self._context.telling.run(run)
        self.chains.ended(run)
        self.strikes.ended(run)


def _retention(settings: Settings) -> Retention:
    return Retention(
        keep_for=settings.keep_runs,
        keep_failures_for=settings.keep_failures,
        keep_per_job=settings.keep_runs_per_job,
    )
