"""How many calls of each limited Application other processes have begun lately: a rate outlives whoever kept it.

Forbidden here: holding calls back, which is the turns' part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from reconciler.core.model import Outcome, Rate, Run, RunQuery, StoredJob
from reconciler.ports import Clock, Store

_CALLED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.RUNNING)
_MOST = 1000  # runs of an Application that are looked at
_NEVER = datetime.min.replace(tzinfo=UTC)

Began = Callable[[str, Rate, Iterable[timedelta]], None]


class Pace:
    """Finds out, each time when this process begins to lead, which calls the leaders before it have begun.

    Args:
        store: where their runs are.
        clock: the time, of both kinds.
        owner: this process's id; its own calls are counted where they begin.
        leads: whether this process leads at this very moment.
        began: told of an Application, its rate, and when calls of it began, by the steady clock.
    """

    def __init__(self, store: Store, clock: Clock, owner: str, leads: Callable[[], bool], began: Began) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._leads = leads
        self._began = began
        self._made_at = clock.now()
        self._learned_until = _NEVER
        self._is_known = True

    @property
    def is_unsure(self) -> bool:
        """Whether this process leads and does not know yet which calls were begun before."""
        return not self._is_known and self._leads()

    def forget(self) -> None:
        """This process begins to lead: others have made calls until now."""
        self._is_known = False

    async def learn(self, jobs: Iterable[StoredJob]) -> None:
        """Look at the newest runs of each limited Application, if that was not done since this process leads.

        Raises:
            StoreError: the store is away; it stays unknown.
        """
        if self._is_known:
            return
        now, steady, rates = self._clock.now(), self._clock.steady(), _rates(jobs)
        begun = {application: await self._begun(application, rate, now) for application, rate in rates.items()}
        for application, starts in begun.items():
            self._began(application, rates[application], [steady - (now - start) for start in starts])
        self._learned_until, self._is_known = now, True

    async def _begun(self, application: str, rate: Rate, now: datetime) -> Collection[datetime]:
        """When calls of an Application began that still count."""
        query = RunQuery(application=application, outcomes=_CALLED, limit=min(rate.calls, _MOST))
        runs = await self._store.runs(query)
        starts = [(run, min(start, now)) for run in runs for start in _starts(run, now)]
        return [start for run, start in starts if now - start < rate.per and self._is_news(run, start)]

    def _is_news(self, run: Run, start: datetime) -> bool:
        """Whether a call has not been counted here yet."""
        return start > self._learned_until and (run.owner != self._owner or start < self._made_at)


def _rates(jobs: Iterable[StoredJob]) -> Mapping[str, Rate]:
    return {stored.key.application: stored.job.max_rate for stored in jobs if stored.job.max_rate is not None}


def _starts(run: Run, now: datetime) -> Collection[datetime]:
    """When the calls of a run began; of one that nobody has told the end of, as late as it may have been."""
    starts = [attempt.started_at for attempt in run.attempts]
    if run.outcome is Outcome.RUNNING or (run.outcome is Outcome.UNKNOWN and not starts):
        starts.append(run.finished_at or now)
    return starts
