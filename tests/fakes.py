"""Fakes of our own ports: time that is passed in, a store in memory, a caller that follows a script.

They obey the same contracts as the real adapters (``MemoryStore`` passes the contract suite of stores). Forbidden here:
real time, real files, real sockets, and a fake of anything that is not ours.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.core.acts import KEEP_ACTS, KEPT_REFUSED, Act, ActKind, ActQuery
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    Cause,
    Drift,
    Era,
    Expectation,
    FreezeWindow,
    HttpRequest,
    Job,
    JobKey,
    Lease,
    Outcome,
    Pause,
    Process,
    Reply,
    Retention,
    RetryPolicy,
    Run,
    RunQuery,
    Schedule,
    SealedCredential,
    StoredJob,
    SyncReport,
    Tally,
    Writing,
)
from reconciler.core.renames import carried_by
from reconciler.errors import DeposedError, StoreError, StoreUnavailableError
from reconciler.ports import Alignment, OnDamaged, OnDue

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday


def job_of(name: str = "billing/nightly", **changes) -> Job:
    """A job with everything filled in; ``changes`` replaces fields."""
    fields = {
        "key": JobKey.parse(name),
        "schedule": Schedule(declared="* * * * *", cron="* * * * *"),
        "request": HttpRequest(method="GET", url="http://127.0.0.1:1/"),
        "expect": Expectation(),
        "retry": RetryPolicy(),
        "file": "billing.yaml",
        "line": 7,
    }
    return Job(**(fields | changes))


def stored_job(name: str = "billing/nightly", *, revision: str = "r1", since: datetime = START, **changes) -> StoredJob:
    """A job as it stands in a store."""
    return StoredJob(job=job_of(name, **changes), revision=revision, since=since)


async def settle(turns: int = 50) -> None:
    """Let every task run until it waits for time or for somebody else."""
    for _ in range(turns):
        await asyncio.sleep(0)


class FakeClock:
    """A clock that stands until it is moved; ``advance`` wakes sleepers in order of their time.

    ``jump`` sets the wall clock alone.

    ``drifted`` is what ``drift`` answers; ``realign`` empties it and counts in ``realigned``.
    """

    def __init__(self, now: datetime = START) -> None:
        self._begin = self._now = now
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._on_due: OnDue | None = None
        self.aligned: dict[JobKey, StoredJob] = {}
        self.stopped = False
        self.slept: list[timedelta] = []
        self.drifted: list[Drift] = []
        self.realigned = 0
        self._jumped = timedelta(0)

    def now(self) -> datetime:
        return self._now + self._jumped

    def steady(self) -> timedelta:
        return self._now - self._begin

    def jump(self, delta: timedelta) -> None:
        """Set the wall clock, forward or back; no time passes, and nobody is woken."""
        self._jumped += delta

    async def sleep(self, delay: timedelta) -> None:
        self.slept.append(delay)
        if delay <= timedelta(0):
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + delay, next(self._order), future))
        await future

    async def advance(self, delay: timedelta | float) -> None:
        """Move on by a timedelta or by seconds, stopping at every sleeper on the way."""
        end = self._now + (delay if isinstance(delay, timedelta) else timedelta(seconds=delay))
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            instant, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, instant)
            if not future.done():
                future.set_result(None)
                await settle()
        self._now = end
        await settle()

    @property
    def sleeping(self) -> int:
        """How many wait for time to pass."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def start(self, on_due: OnDue) -> None:
        self._on_due = on_due

    def due(self, *names: str, at: datetime | None = None) -> None:
        """Say that these jobs (``application/api``) are due, at the present instant unless told."""
        assert self._on_due is not None, "the clock was not started"
        self._on_due(at or self.now(), [JobKey.parse(name) for name in names])

    def align(self, jobs: Iterable[StoredJob]) -> Alignment:
        wanted = {job.key: job for job in jobs if not job.job.suspend}
        kept = sum(self.aligned.get(key) == job for key, job in wanted.items())
        removed = len(self.aligned) - kept
        self.aligned = wanted
        return Alignment(added=len(wanted) - kept, removed=removed, kept=kept)

    def next_due(self, key: JobKey) -> datetime | None:
        return self.now() + timedelta(minutes=1) if key in self.aligned else None

    def handed_until(self) -> datetime:
        return self.now()

    def drift(self) -> Sequence[Drift]:
        return list(self.drifted)

    def realign(self) -> None:
        self.realigned += 1
        self.drifted.clear()

    def stop(self) -> None:
        self.stopped = True


Script = Reply | Callable[[HttpRequest], Reply | Awaitable[Reply]] | BaseException


class ScriptedCaller:
    """Answers with the next line of its script, the last line for ever; notes what it was asked.

    A line is a Reply, an exception to raise, or a function of the request (plain or async).
    """

    def __init__(self, *script: Script) -> None:
        self._script = list(script) or [Reply(status=200, body=b"ok", latency_ms=1.0)]
        self.requests: list[HttpRequest] = []
        self.timeouts: list[timedelta] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.cancelled = 0
        self.closed = False

    async def call(self, request: HttpRequest, timeout: timedelta) -> Reply:  # noqa: ASYNC109 - the port's own word
        self.requests.append(request)
        self.timeouts.append(timeout)
        line = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(line, request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1

    async def _answer(self, line: Script, request: HttpRequest) -> Reply:
        if isinstance(line, BaseException):
            raise line
        if isinstance(line, Reply):
            await asyncio.sleep(0)
            return line
        answer = line(request)
        return answer if isinstance(answer, Reply) else await answer

    async def close(self) -> None:
        self.closed = True


class Gate:
    """A script line that answers only once it is opened: ``ScriptedCaller(gate)``."""

    def __init__(self, reply: Reply | None = None) -> None:
        self._reply = reply or Reply(status=200, latency_ms=1.0)
        self._open = asyncio.Event()

    async def __call__(self, request: HttpRequest) -> Reply:
        await self._open.wait()
        return self._reply

    def open(self) -> None:
        self._open.set()


class MemoryStore:
    """The Store port in dictionaries.

    ``away`` makes every verb raise; ``lose_answers`` makes the next so many writes happen and then raise, as when the
    database's reply is lost. ``calls`` counts verbs, ``batches`` notes the sizes of claims and finishes.
    ``damaged_jobs`` (id -> why) are records of jobs that cannot be read, until they are written anew or removed;
    ``damaged`` holds those of ``applications``, ``windows``, ``access_tokens``, ``pauses``, ``syncs``, ``acts``.
    ``clock`` is what the lease is judged by: its steady time.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.stored_lease: Lease | None = None
        self.away = False
        self.lose_answers = 0
        self.calls: Counter[str] = Counter()
        self.batches: list[tuple[str, int]] = []
        self.stored_jobs: dict[JobKey, StoredJob] = {}
        self.damaged_jobs: dict[str, str] = {}
        self.damaged: dict[str, dict[str, str]] = {}
        self.stored_applications: dict[str, ApplicationState] = {}
        self.stored_windows: dict[str, FreezeWindow] = {}
        self.stored_access_tokens: dict[str, AccessToken] = {}
        self.stored_pauses: dict[str, Pause] = {}
        self.stored_eras: dict[str, Era] = {}
        self.carried: dict[str, str] = {}
        self.reports: dict[str, SyncReport] = {}
        self.stored_runs: dict[str, Run] = {}
        self.tokens: dict[str, tuple[str, str, datetime]] = {}
        self.stored_processes: dict[str, Process] = {}
        self.stored_credentials: dict[str, SealedCredential] = {}
        self.stored_acts: dict[str, Act] = {}
        self.opened = False

    async def _enter(self, verb: str) -> None:
        self.calls[verb] += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("the store is away")

    def _leave(self) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailableError("the store's answer was lost")

    async def open(self) -> None:
        await self._enter("open")
        self.opened = True

    async def close(self) -> None:
        self.opened = False

    async def check(self) -> str:
        await self._enter("check")
        return "memory"

    async def jobs(self, damaged: OnDamaged | None = None) -> Sequence[StoredJob]:
        await self._enter("jobs")
        for name, why in sorted(self.damaged_jobs.items()):
            if damaged is None:
                raise StoreError(f"the store's job {name!r} cannot be read: {why}")
            damaged(name, why)
        return [self.stored_jobs[key] for key in sorted(self.stored_jobs) if str(key) not in self.damaged_jobs]

    async def job(self, key: JobKey) -> StoredJob | None:
        await self._enter("job")
        if str(key) in self.damaged_jobs:
            raise StoreError(f"the store's job {str(key)!r} cannot be read: {self.damaged_jobs[str(key)]}")
        return self.stored_jobs.get(key)

    async def applications(self, damaged: OnDamaged | None = None) -> Sequence[ApplicationState]:
        await self._enter("applications")
        return self._readable("applications", self.stored_applications, sorted(self.stored_applications), damaged)

    def _readable(self, kind: str, stored: Mapping, ids: Iterable[str], damaged: OnDamaged | None) -> list:
        """Those that are not damaged; the damaged ones are told, or the first of them refused."""
        bad = self.damaged.get(kind, {})
        found = []
        for name in ids:
            if name not in bad:
                found.append(stored[name])
            elif damaged is None:
                raise StoreError(f"the store's record {name!r} of {kind} cannot be read: {bad[name]}")
            else:
                damaged(name, bad[name])
        return found

    def _mended(self, kind: str, *names: str) -> None:
        for name in names:
            self.damaged.get(kind, {}).pop(name, None)

    async def apply(self, writing: Writing, *, term: int | None = None) -> None:
        if not writing:
            return
        await self._enter("apply")
        self._must_lead(term)
        self._carry_over(writing.renamed, writing.jobs)
        self._add_eras(writing.eras, carried_by(writing.renamed, writing.jobs))
        self.stored_jobs.update({job.key: job for job in writing.jobs})
        self.stored_applications.update({state.name: state for state in writing.applications})
        self.stored_windows.update({window.name: window for window in writing.windows})
        self.stored_access_tokens.update({token.name: token for token in writing.access_tokens})
        for key in writing.removed_jobs:
            self.stored_jobs.pop(key, None)
        for name in (*writing.removed_records, *map(str, (*writing.removed_jobs, *(job.key for job in writing.jobs)))):
            self.damaged_jobs.pop(name, None)
        self._mended("applications", *writing.removed_applications, *(state.name for state in writing.applications))
        self._mended("windows", *writing.removed_windows, *(window.name for window in writing.windows))
        self._mended("access_tokens", *writing.removed_access_tokens, *(one.name for one in writing.access_tokens))
        for name in writing.removed_applications:
            self.stored_applications.pop(name, None)
        for name in writing.removed_windows:
            self.stored_windows.pop(name, None)
        for name in writing.removed_access_tokens:
            self.stored_access_tokens.pop(name, None)
        self._leave()

    def _carry_over(self, renamed: Mapping[JobKey, JobKey], jobs: Sequence[StoredJob]) -> None:
        mark = carried_by(renamed, jobs)
        for run in list(self.stored_runs.values()):
            if run.key in renamed and (mark is None or self.carried.get(run.id) != mark):
                self.stored_runs[run.id] = replace(run, key=renamed[run.key])
                self.carried[run.id] = mark or ""
        for pause in list(self.stored_pauses.values()):
            new = renamed.get(JobKey(pause.application, pause.api or ""))
            if new is not None and (mark is None or self.carried.get(pause.id) != mark):
                self.stored_pauses[pause.id] = replace(pause, application=new.application, api=new.api)
                self.carried[pause.id] = mark or ""
        for era_id, era in list(self.stored_eras.items()):
            if era.key in renamed and (mark is None or self.carried.get(era_id) != mark):
                self.stored_eras[era_id] = replace(era, key=renamed[era.key])
                self.carried[era_id] = mark or ""

    def _add_eras(self, eras: Iterable[Era], mark: str | None) -> None:
        for era in eras:
            if era.id not in self.stored_eras:
                self.stored_eras[era.id] = era
                self.carried[era.id] = mark or ""

    async def eras(
        self,
        *,
        since: datetime,
        until: datetime,
        keys: Collection[JobKey] | None = None,
        changed: bool = False,
    ) -> Sequence[Era]:
        await self._enter("eras")
        if since >= until:
            return []
        began: dict[JobKey, datetime] = {}  # the era of each job that stood at ``since``
        for era in self.stored_eras.values():
            if era.begin <= since:
                began[era.key] = max(began.get(era.key, era.begin), era.begin)
        begun = {era.key for era in self.stored_eras.values() if since < era.begin < until}
        holding = (
            era
            for era in self.stored_eras.values()
            if (keys is None or era.key in keys)
            and (not changed or era.key in begun)
            and began.get(era.key, era.begin) <= era.begin < until
        )
        return sorted(holding, key=lambda era: (era.key, era.begin))

    async def windows(self, damaged: OnDamaged | None = None) -> Sequence[FreezeWindow]:
        await self._enter("windows")
        return self._readable("windows", self.stored_windows, sorted(self.stored_windows), damaged)

    async def access_tokens(self, damaged: OnDamaged | None = None) -> Sequence[AccessToken]:
        await self._enter("access_tokens")
        stored = self.stored_access_tokens
        return self._readable("access_tokens", stored, sorted(stored), damaged)

    async def pause(self, pause: Pause) -> None:
        await self._enter("pause")
        self.stored_pauses[pause.id] = pause
        self._mended("pauses", pause.id)
        self._leave()

    async def pauses(
        self, *, ending_after: datetime | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[Pause]:
        """One that is damaged says nothing any more, as in MongoDB where a document was emptied."""
        await self._enter("pauses")
        return [
            pause
            for pause in self._readable("pauses", self.stored_pauses, sorted(self.stored_pauses, reverse=True), damaged)
            if ending_after is None or (pause.ended_at is None and pause.until > ending_after)
        ]

    async def record(self, report: SyncReport) -> None:
        await self._enter("record")
        self.reports[report.id] = report
        for old in sorted(self.reports)[:-1000]:
            del self.reports[old]
        self._leave()

    async def syncs(
        self, limit: int, *, before: str | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[SyncReport]:
        await self._enter("syncs")
        ids = sorted((i for i in self.reports if before is None or i < before), reverse=True)
        return self._readable("syncs", self.reports, ids[:limit], damaged)

    def _store_time(self) -> datetime:
        return START + self.clock.steady()

    async def lease(self) -> Lease | None:
        await self._enter("lease")
        lease = self.stored_lease
        return None if lease is None else replace(lease, expired=lease.expires_at <= self._store_time())

    async def lead(self, process_id: str, span: timedelta, accounted_until: datetime) -> Lease:
        await self._enter("lead")
        now, lease = self._store_time(), self.stored_lease
        if lease is None:
            lease = Lease(
                holder=process_id, term=1, since=now, expires_at=now + span,
                accounted_from=accounted_until, accounted_until=accounted_until,
            )  # fmt: skip
        elif lease.holder == process_id:
            lease = replace(lease, expires_at=now + span, accounted_until=accounted_until)
        elif not lease.holder or lease.expires_at <= now:
            lease = replace(lease, holder=process_id, term=lease.term + 1, since=now, expires_at=now + span)
        self.stored_lease = lease
        self._leave()
        return lease

    async def nudge(self) -> None:
        await self._enter("nudge")
        if self.stored_lease is not None:
            self.stored_lease = replace(self.stored_lease, nudges=self.stored_lease.nudges + 1)
        self._leave()

    async def resign(self, process_id: str, accounted_until: datetime) -> None:
        await self._enter("resign")
        lease = self.stored_lease
        if lease is not None and lease.holder == process_id:
            self.stored_lease = replace(
                lease, holder="", expires_at=self._store_time(), accounted_until=accounted_until
            )
        self._leave()

    def _must_lead(self, term: int | None) -> None:
        if term is not None and self.stored_lease is not None and self.stored_lease.term > term:
            raise DeposedError(f"another process leads by now, with term {self.stored_lease.term}; ours was {term}")

    async def claim(self, runs: Sequence[Run], *, term: int | None = None) -> frozenset[str]:
        await self._enter("claim")
        self._must_lead(term if runs else None)
        self.batches.append(("claim", len(runs)))
        for run in runs:
            self.stored_runs.setdefault(run.id, run)
        self._leave()
        stored = self.stored_runs
        return frozenset(
            run.id for run in runs if (stored[run.id].owner, stored[run.id].claimed_at) == (run.owner, run.claimed_at)
        )

    async def finish(self, runs: Sequence[Run]) -> None:
        await self._enter("finish")
        self.batches.append(("finish", len(runs)))
        for run in runs:
            stored = self.stored_runs.get(run.id)
            if stored is not None and stored.outcome is Outcome.RUNNING and stored.term <= run.term:
                self.stored_runs[run.id] = replace(run, key=stored.key)
        self._leave()

    async def release(self, runs: Sequence[Run]) -> None:
        await self._enter("release")
        for run in runs:
            if self.stored_runs.get(run.id) == run:
                del self.stored_runs[run.id]
        self._leave()

    async def run_ids(self, since: datetime) -> frozenset[str]:
        await self._enter("run_ids")
        return frozenset(run.id for run in self.stored_runs.values() if run.slot >= since)

    async def run(self, run_id: str) -> Run | None:
        await self._enter("run")
        return self.stored_runs.get(run_id)

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        await self._enter("runs")
        found = [run for run in self._matching(query) if query.before is None or run.id < query.before]
        return sorted(found, key=lambda run: run.id, reverse=True)[: query.limit]

    def _matching(self, query: RunQuery) -> list[Run]:
        return [
            run
            for run in self.stored_runs.values()
            if (query.application is None or run.key.application == query.application)
            and (query.api is None or run.key.api == query.api)
            and (query.applications is None or run.key.application in query.applications)
            and (not query.outcomes or run.outcome in query.outcomes)
            and (query.cause is None or run.cause is query.cause)
            and (query.since is None or run.slot >= query.since)
            and (query.until is None or run.slot < query.until)
        ]

    async def unfinished(self, *, but_not_of: str | None = None) -> Sequence[Run]:
        await self._enter("unfinished")
        running = (run for run in self.stored_runs.values() if run.outcome is Outcome.RUNNING)
        return sorted((run for run in running if but_not_of is None or run.owner != but_not_of), key=lambda run: run.id)

    async def last_runs(self, keys: Collection[JobKey] | None = None) -> Mapping[JobKey, Run]:
        await self._enter("last_runs")
        newest: dict[JobKey, Run] = {}
        for run in self.stored_runs.values():
            if (keys is None or run.key in keys) and (run.key not in newest or newest[run.key].id < run.id):
                newest[run.key] = run
        return newest

    async def tally(self, query: RunQuery) -> Sequence[Tally]:
        await self._enter("tally")
        counts: Counter[tuple[datetime, Outcome, int | None]] = Counter()
        for run in self._matching(query):
            if run.outcome is not Outcome.RUNNING:
                hour = run.slot.replace(minute=0, second=0, microsecond=0)
                latency = None if run.latency_ms is None else round(run.latency_ms)
                counts[hour, run.outcome, latency] += 1
        return [Tally(hour, outcome, latency, n) for (hour, outcome, latency), n in counts.items()]

    async def remember(self, token: str, fingerprint: str, run_id: str, at: datetime) -> tuple[str, str]:
        await self._enter("remember")
        stands = self.tokens.setdefault(token, (fingerprint, run_id, at))
        self._leave()
        return stands[0], stands[1]

    async def credential(self, credential_id: str) -> SealedCredential | None:
        await self._enter("credential")
        found = (
            self._readable("credentials", self.stored_credentials, [credential_id], None)
            if (credential_id in self.stored_credentials)
            else []
        )
        return found[0] if found else None

    async def credentials(self, damaged: OnDamaged | None = None) -> Sequence[SealedCredential]:
        await self._enter("credentials")
        return self._readable("credentials", self.stored_credentials, sorted(self.stored_credentials), damaged)

    async def keep_credential(self, credential: SealedCredential) -> None:
        await self._enter("keep_credential")
        self.stored_credentials[credential.id] = credential
        self._mended("credentials", credential.id)
        self._leave()

    async def drop_credential(self, credential_id: str) -> None:
        await self._enter("drop_credential")
        self.stored_credentials.pop(credential_id, None)
        self._leave()

    async def beat(self, process: Process) -> None:
        await self._enter("beat")
        self.stored_processes[process.id] = process
        self._leave()

    async def processes(self) -> Sequence[Process]:
        await self._enter("processes")
        return sorted(self.stored_processes.values(), key=lambda process: process.seen_at, reverse=True)

    async def farewell(self, process_id: str) -> None:
        await self._enter("farewell")
        self.stored_processes.pop(process_id, None)

    async def act(self, acts: Sequence[Act]) -> None:
        if acts:
            await self._enter("act")
            self.batches.append(("act", len(acts)))
            self.stored_acts = {act.id: act for act in acts} | self.stored_acts
            self._leave()

    async def acts(self, query: ActQuery, damaged: OnDamaged | None = None) -> Sequence[Act]:
        await self._enter("acts")
        found = (
            act.id
            for act in self.stored_acts.values()
            if (not query.kinds or act.kind in query.kinds)
            and (query.application is None or act.application == query.application)
            and (query.application is None or query.api is None or act.api in (query.api, None))
            and (query.since is None or act.at >= query.since)
            and (query.until is None or act.at < query.until)
            and (query.before is None or act.id < query.before)
        )
        return self._readable("acts", self.stored_acts, sorted(found, reverse=True)[: max(0, query.limit)], damaged)

    async def expire(
        self,
        *,
        now: datetime,
        retention: Retention,
        applications: Mapping[str, Retention],
        keep_acts: timedelta = KEEP_ACTS,
        look_back: timedelta = timedelta(0),
    ) -> int:
        await self._enter("expire")
        mark = None if self.stored_lease is None else self.stored_lease.accounted_until
        by_job: dict[JobKey, list[Run]] = {}
        for run in sorted(self.stored_runs.values(), key=lambda run: run.id):
            by_job.setdefault(run.key, []).append(run)
        gone = [
            run.id
            for key, runs in by_job.items()
            for run in _expiring(runs, now, applications.get(key.application, retention), mark, look_back)
        ]
        for run_id in gone:
            del self.stored_runs[run_id]
        before = now - retention.keep_failures_for
        self.tokens = {token: kept for token, kept in self.tokens.items() if kept[2] >= before}
        self.stored_processes = {i: p for i, p in self.stored_processes.items() if p.seen_at >= before}
        self.stored_credentials = {i: c for i, c in self.stored_credentials.items() if c.obtained_at >= before}
        before = min(before, mark or before)
        self.stored_pauses = {i: p for i, p in self.stored_pauses.items() if (p.ended_at or p.until) >= before}
        self.stored_eras = {i: era for i, era in self.stored_eras.items() if not self._is_followed(era, before)}
        self.stored_acts = {i: act for i, act in self.stored_acts.items() if act.at >= now - keep_acts}
        refused = sorted(i for i, act in self.stored_acts.items() if act.kind is ActKind.REFUSED)
        for act_id in refused[: max(0, len(refused) - KEPT_REFUSED)]:
            del self.stored_acts[act_id]
        return len(gone)

    def _is_followed(self, era: Era, by: datetime) -> bool:
        """Whether another era of the job has begun until then: before ``by``."""
        return any(other.key == era.key and era.begin < other.begin < by for other in self.stored_eras.values())

    def seed(self, *runs: Run) -> None:
        """Put runs in as they are, without a claim."""
        self.stored_runs.update({run.id: replace(run) for run in runs})


def _expiring(
    runs: Sequence[Run], now: datetime, retention: Retention, mark: datetime | None, look_back: timedelta
) -> list[Run]:
    """Of a job's runs, oldest first, those that are too old or too many and are not needed."""
    failures = (Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN)
    followed_from = min(now - look_back, mark or now)
    following = [run for run in runs if run.cause in {Cause.AFTER, Cause.CATCH_UP} and run.slot >= followed_from]
    needed = [run.id for run in [*following, *(run for run in runs if mark is not None and run.slot >= mark)]]
    ended = [run for run in runs[:-1] if run.outcome is not Outcome.RUNNING and run.id not in needed]
    spans = {True: retention.keep_failures_for, False: retention.keep_for}
    aged = [run for run in ended if run.slot < now - spans[run.outcome in failures]]
    left = sorted((run for run in ended if run not in aged), key=lambda run: run.outcome in failures)
    return aged + left[: max(0, len(runs) - len(aged) - retention.keep_per_job)]


async def finished(clock: FakeClock, work: Awaitable, *, within: float = 120.0):
    """The result of ``work``, with time moved on in small steps until it has ended."""
    task = asyncio.ensure_future(work)
    await settle()
    for _ in range(round(within / 0.05)):
        if task.done():
            break
        await clock.advance(0.05)
    assert task.done(), "it waits for more than time"
    return task.result()
