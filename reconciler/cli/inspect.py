"""The commands that read the store: status, jobs, runs, show. They work beside a running reconciler and without one.

Forbidden here: writing to the store.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from reconciler import settings
from reconciler.app import reading
from reconciler.cli import console
from reconciler.cli.console import STATUS_STYLES, Cell, Output, OutputOption
from reconciler.cli.options import StoreOption
from reconciler.core import views
from reconciler.core.changes import shown
from reconciler.core.completion import completed_at
from reconciler.core.damage import Damage
from reconciler.core.drift import describe, key_of
from reconciler.core.instants import absolute, read_instant, relative, span
from reconciler.core.model import Cause, Drift, Job, JobKey, Outcome, Run, RunQuery, StopKind, StoredJob, SyncReport
from reconciler.core.pauses import ends_in_words
from reconciler.core.plural import plural
from reconciler.core.suggest import did_you_mean
from reconciler.core.timetable import words
from reconciler.errors import NotFoundError, SettingsError
from schemas.base import format_duration

_SHOWN = 20
RUN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def status(store: StoreOption = None, output: OutputOption = Output.TEXT) -> None:
    """The whole at a glance: who runs, what was synced, what is held, how the last 24 hours went."""
    damage = Damage()
    view = asyncio.run(reading.status(settings.load(store=store), damage))
    console.print_damage(damage)
    if output is Output.JSON:
        console.print_json(view.shape())
        return
    now = view.now
    console.print_table(
        [
            [("store", "bold"), view.store],
            *_process_rows(view),
            [("source", "bold"), _source_text(view)],
            [("last sync", "bold"), _sync_text(view, now)],
            *_degraded_rows(view),
            [("jobs", "bold"), _jobs_text(view)],
            *_stop_rows(view),
            *_unreadable_rows(view),
            [("in flight", "bold"), str(view.running)],
            [
                ("last 24 h", "bold"),
                ", ".join(f"{count} {name}" for name, count in view.last24_hours.items() if count) or "no runs",
            ],
        ]
    )
    if view.last_sync:
        console.print_lines(("yellow", problem) for problem in view.last_sync.problems)
        console.print_lines(("yellow", text) for text in view.last_sync.kept_reasons[:_SHOWN])
        console.print_lines(("yellow", drift_text(one)) for one in view.last_sync.drift[:_SHOWN] if not one.put_back)


def _source_text(view: views.StatusView) -> str:
    if not view.source:
        return "(none yet)"
    at = f" at {view.revision[:12]}" if view.revision else ""
    environment = f", environment {view.environment}" if view.environment else ""
    return f"{view.source}{at}{environment}"


def _degraded_rows(view: views.StatusView) -> list[list[Cell]]:
    """Where the source cannot be read: since when, and what that means."""
    condition = view.degraded
    if not condition.status or condition.since is None:
        return []
    since = f"since {absolute(condition.since)} ({relative(condition.since, view.now)})"
    return [
        [("degraded", "yellow"), (f"{since}: {condition.reason}", "yellow")],
        ["", "what was declared last keeps running; it is tried again by itself"],
    ]


def _unreadable_rows(view: views.StatusView) -> list[list[Cell]]:
    """Secrets that a process cannot read, each once however many processes say so."""
    found = list(dict.fromkeys(text for process in view.processes for text in process.unreadable))
    rows: list[list[Cell]] = [
        [("unreadable" if number == 0 else "", "yellow"), (text, "yellow")]
        for number, text in enumerate(found[:_SHOWN])
    ]
    return [*rows, ["", f"and {len(found) - _SHOWN} more"]] if len(found) > _SHOWN else rows


def _stop_rows(view: views.StatusView) -> list[list[Cell]]:
    """Operational stops, beside the declared ones that the jobs' line counts."""
    rows: list[list[Cell]] = []
    for number, pause in enumerate(view.pauses):
        until = f"until {ends_in_words(pause.until, view.now)}"
        text = f"{pause.target} {until}, by {pause.by}: {pause.reason}"
        rows.append([("paused" if number == 0 else "", "yellow"), (text, "yellow")])
    return rows


def revision_text(report: SyncReport) -> str:
    """A revision, and for a commit its subject and author."""
    commit = report.commit
    return f"{report.revision[:12]}{f' ({commit.subject}, {commit.author})' if commit else ''}"


def drift_text(drift: views.DriftView) -> str:
    """One field that stands otherwise than declared."""
    return describe(
        Drift(
            key=key_of(drift.job),
            kind=drift.kind,
            where=drift.where,
            field=drift.field,
            found=drift.found,
            declared=drift.declared,
            put_back=drift.put_back,
        )
    )


def _process_rows(view: views.StatusView) -> list[list[Cell]]:
    """Who leads and since when, and who stands by; versions, because replicas are brought up to date one by one."""
    leader = view.leader
    rows: list[list[Cell]] = []
    for process in sorted(view.processes, key=lambda one: not one.leads):
        place = f"{process.host}:{process.pid} {process.listen}"
        text = f"{place} up {span(view.now - process.started_at)}, version {process.version}"
        if process.leads and leader is not None:
            text += f", leads since {absolute(leader.since)} ({relative(leader.since, view.now)}), term {leader.term}"
        rows.append([("leader" if process.leads else "stands by", "bold"), text])
    if not any(process.leads for process in view.processes):
        said = "nobody leads: no call is made by schedule" if view.processes else "none is running"
        rows.insert(0, [("leader", "bold"), (said, "yellow" if view.processes else "")])
    return rows


def _sync_text(view: views.StatusView, now: datetime) -> str:
    last = view.last_sync
    if last is None:
        return "never"
    changes = f"+{last.added} ~{last.changed} -{last.removed}"
    ended = last.started_at + timedelta(milliseconds=last.duration_ms)
    by = f", {last.commit.subject} ({last.commit.author})" if last.commit else ""
    return f"{last.result} {relative(ended, now)}, {changes}{by} {last.error}".rstrip()


def _jobs_text(view: views.StatusView) -> str:
    counts = view.jobs
    parts = [f"{counts.total} in {plural(view.applications, 'Application')}"]
    stopped = [(counts.suspended, "suspended"), (counts.paused, "paused"), (counts.frozen, "frozen")]
    stopped.append((counts.complete, "complete"))
    parts += [f"{count} {word}" for count, word in stopped if count]
    if view.held_applications:
        parts.append(f"held: {', '.join(view.held_applications)}")
    return ", ".join(parts)


def jobs(
    application: Annotated[str | None, typer.Argument(help="Only this Application's.", show_default=False)] = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the jobs: schedule, next run, last run."""
    now = datetime.now(UTC)
    damage = Damage()
    found = asyncio.run(reading.jobs(settings.load(store=store).store, application, damage))
    console.print_damage(damage)
    if output is Output.JSON:
        console.print_json({"items": [_job_view(one, found, now).shape() for one in found.jobs], "next": None})
        return
    rows = [_job_row(one, found, now) for one in found.jobs]
    console.print_table(rows, header=("JOB", "NEXT", "LAST", "SCHEDULE") if rows else ())
    if not rows:
        console.print_lines([("", "No jobs. `reconciler run` or `reconciler sync` brings manifests into the store.")])


def _job_view(stored: StoredJob, found: reading.Jobs, now: datetime, count: int = 3) -> views.JobView:
    return views.job_view(
        stored,
        held=stored.key.application in found.held,
        last=found.last.get(stored.key),
        now=now,
        count=count,
        stops=found.stoppages.stops_of(stored.key, now, suspend=stored.job.suspend),
    )


def _job_row(stored: StoredJob, found: reading.Jobs, now: datetime) -> list[Cell]:
    last = found.last.get(stored.key)
    upcoming = views.next_runs(stored.job, now=now, count=1)
    due: Cell = relative(upcoming[0], now) if upcoming else (_never(stored.job, now), "dim")
    if (stop := found.stoppages.stop_of(stored.key, now)) is not None:
        due = (stop.kind.value, "yellow")
    mark: Cell = (
        (f"{last.outcome.value} {relative(last.slot, now)}", STATUS_STYLES[last.outcome.value])
        if last
        else ("—", "dim")
    )
    note = "  (held)" if stored.key.application in found.held else ""
    return [str(stored.key), due, mark, f"{words(stored.job.schedule)}{note}"]


def _never(job: Job, now: datetime) -> str:
    """Why there is no next run, in a word."""
    if completed_at(job.schedule, now) is not None:
        return "complete"
    if job.suspend:
        return "suspended"
    return "follows" if job.schedule.after is not None else "never"


def runs(
    job: Annotated[str | None, typer.Argument(metavar="[APPLICATION[/API]]", show_default=False)] = None,
    status: Annotated[list[Outcome] | None, typer.Option("--status", help="Only these; may be repeated.")] = None,
    cause: Annotated[Cause | None, typer.Option("--cause", help="schedule or manual.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="Slots at or after.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Slots before.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000)] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Runs older than this run id.")] = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List runs, newest first: what ran, what did not, and why."""
    application, api = JobKey.parse(job) if job and "/" in job else (job, None)
    if cursor is not None and not RUN_ID.fullmatch(cursor):
        raise SettingsError(f"--cursor: {cursor!r} is not a run id")
    query = RunQuery(
        application=application or None,
        api=api,
        outcomes=tuple(status or ()),
        cause=cause,
        since=read_instant(from_) if from_ else None,
        until=read_instant(to) if to else None,
        before=cursor,
        limit=limit,
    )
    found = asyncio.run(reading.runs(settings.load(store=store).store, query))
    if output is Output.JSON:
        follows = found[-1].id if len(found) == limit else None
        console.print_json({"items": [views.run_view(run).shape() for run in found], "next": follows})
        return
    now = datetime.now(UTC)
    console.print_table(
        [_run_row(run, now) for run in found],
        header=("SLOT", "", "JOB", "STATUS", "HTTP", "TOOK", "LATE", "RUN", "REASON") if found else (),
    )
    if not found:
        console.print_lines([("", "No runs.")])


def _run_row(run: Run, now: datetime) -> list[Cell]:
    answered = next((str(attempt.status) for attempt in reversed(run.attempts) if attempt.status), "—")
    return [
        absolute(run.slot),
        (relative(run.slot, now), "dim"),
        str(run.key),
        (run.outcome.value, STATUS_STYLES[run.outcome.value]),
        answered,
        "—" if run.latency_ms is None else f"{run.latency_ms:.0f} ms",
        "—" if run.lateness_ms is None else span(timedelta(milliseconds=max(run.lateness_ms, 0))),
        (run.id, "dim"),
        run.reason,
    ]


def show(
    what: Annotated[str, typer.Argument(metavar="APPLICATION[/API] | RUN-ID")],
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one job, one Application or one run whole: who declared it, where, and what it does."""
    url = settings.load(store=store).store
    if RUN_ID.fullmatch(what):
        print_run(asyncio.run(reading.run(url, what)), output)
    elif "/" in what:
        _show_job(url, JobKey.parse(what), output)
    else:
        _show_application(url, what, output)


def _show_job(url: str, key: JobKey, output: Output) -> None:
    now = datetime.now(UTC)
    damage = Damage()
    try:
        found = asyncio.run(reading.jobs(url, key.application, damage))
    finally:
        console.print_damage(damage)
    stored = next((one for one in found.jobs if one.key == key), None)
    if stored is None:
        raise NotFoundError(f"there is no job {key}{did_you_mean(str(key), [str(one.key) for one in found.jobs])}")
    view = _job_view(stored, found, now, 5)
    if output is Output.JSON:
        console.print_json(view.shape())
        return
    rows: list[list[Cell]] = [[("job", "bold"), str(key)]]
    rows += [[(name, "bold"), value] for name, value in shown(stored.job).items()]
    rows.insert(2, [("", ""), words(stored.job.schedule)])
    zone = stored.job.schedule.zone
    rows += [
        [("next" if number == 0 else "", "bold"), f"{absolute(slot, zone)} ({relative(slot, now)})"]
        for number, slot in enumerate(view.next_runs)
    ]
    if view.completed_at is not None:
        ended = f"{absolute(view.completed_at, zone)} ({relative(view.completed_at, now)})"
        rows.append([("complete", "bold"), f"no further run; the last slot was {ended}"])
    if view.last_run:
        reason = f": {view.last_run.reason}" if view.last_run.reason else ""
        rows.append([("last", "bold"), f"{view.last_run.status}{reason}, {relative(view.last_run.slot, now)}"])
    rows += [[("stopped", "yellow"), (_stop_text(stop, now), "yellow")] for stop in view.stops]
    rows += _provenance(stored, now)
    if view.held:
        rows.append([("held", "yellow"), "its Application has problems; see `reconciler status`"])
    console.print_table(rows)


def _stop_text(stop: views.StopView, now: datetime) -> str:
    by = f" by {stop.by}" if stop.by else ""
    until = f" until {absolute(stop.until)} ({relative(stop.until, now)})" if stop.until else ""
    if stop.kind == StopKind.PAUSED.value:
        until = f" until {ends_in_words(stop.until, now)}"
    return f"{stop.kind}{by}{until}{f': {stop.reason}' if stop.reason else ''}"


def _provenance(stored: StoredJob, now: datetime) -> list[list[Cell]]:
    """Who declared it, where, when, and since when it is live."""
    commit, live = stored.commit, stored.applied_at or stored.since
    rows: list[list[Cell]] = [
        [("declared", "bold"), f"{stored.job.file}:{stored.job.line} at revision {stored.revision[:12]}"]
    ]
    if commit is not None:
        rows.append([("by", "bold"), f"{commit.author}, {absolute(commit.date)} ({relative(commit.date, now)})"])
        rows.append([("commit", "bold"), f"{commit.subject}"])
    rows.append([("live since", "bold"), f"{absolute(live)} ({relative(live, now)})"])
    rows.append([("slots since", "bold"), f"{absolute(stored.since)} ({relative(stored.since, now)})"])
    return rows


def syncs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 20,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List syncs, newest first: which commit by whom, what it changed, what it held, what had drifted."""
    damage = Damage()
    found = asyncio.run(reading.syncs(settings.load(store=store).store, limit, damage))
    console.print_damage(damage)
    if output is Output.JSON:
        console.print_json({"items": [views.sync_view(one).shape() for one in found], "next": None})
        return
    now = datetime.now(UTC)
    header = ("WHEN", "", "RESULT", "REVISION", "CHANGES", "BY", "WHAT") if found else ()
    console.print_table([_sync_row(one, now) for one in found], header=header)
    if not found:
        console.print_lines([("", "No syncs.")])


def _sync_row(report: SyncReport, now: datetime) -> list[Cell]:
    styles = {"applied": "green", "refused": "yellow", "failed": "red"}
    commit = report.commit
    told = [commit.subject] if commit else []
    told += [report.error] if report.error else []
    told += [f"held: {', '.join(report.held)}"] if report.held else []
    told += [f"{plural(len(report.kept), 'removal')} stopped"] if report.kept else []
    told += [f"drift: {', '.join(sorted({one.name for one in report.drift}))}"] if report.drift else []
    changes = f"+{report.added} ~{report.changed} -{report.removed}"
    return [
        absolute(report.started_at.replace(microsecond=0)),
        (relative(report.started_at, now), "dim"),
        (report.result, styles.get(report.result, "dim")),
        report.revision[:12] or "—",
        changes + (f" →{report.renamed}" if report.renamed else ""),
        commit.author.partition(" <")[0] if commit else "—",
        "; ".join([*told, *report.notes]),
    ]


def print_run(run: Run, output: Output) -> None:
    """One run whole, attempt by attempt."""
    if output is Output.JSON:
        console.print_json(views.run_view(run).shape())
        return
    now = datetime.now(UTC)
    rows: list[list[Cell]] = [
        [("run", "bold"), run.id],
        [("job", "bold"), str(run.key)],
        [("slot", "bold"), f"{absolute(run.slot)} ({relative(run.slot, now)}), {run.cause.value}"],
        [("outcome", "bold"), f"{run.outcome.value}{': ' + run.reason if run.reason else ''}"],
        [("claimed", "bold"), f"{absolute(run.claimed_at)} by {run.owner}"],
        [("declared", "bold"), f"{run.file}:{run.line} at revision {run.revision[:12]}"],
    ]
    if run.overrides:
        rows.append([("overrides", "bold"), ", ".join(run.overrides)])
    for attempt in run.attempts:
        answer = f"{attempt.status or '—'}  {attempt.latency_ms:.0f} ms  {attempt.error or ''}".rstrip()
        rows.append([(f"attempt {attempt.number}", "bold"), f"{absolute(attempt.started_at)}  {answer}"])
    console.print_table(rows)
    if run.excerpt:
        console.print_lines([("bold", "body"), *(("", f"    {line}") for line in run.excerpt.splitlines())])


def _show_application(url: str, name: str, output: Output) -> None:
    now = datetime.now(UTC)
    damage = Damage()
    try:
        view = asyncio.run(reading.application(url, name, now, damage))
    finally:  # it may be its very record that cannot be read
        console.print_damage(damage)
    if output is Output.JSON:
        console.print_json(view.shape())
        return
    rows: list[list[Cell]] = [
        [("application", "bold"), view.name],
        [("description", "bold"), view.description or "—"],
        [("baseUrl", "bold"), view.base_url or "—"],
        [("jobs", "bold"), str(view.jobs)],
        [("suspend", "bold"), str(view.suspend).lower()],
    ]
    rows += [[("prune", "bold"), view.prune]] if view.prune else []
    if view.history is not None:
        kept = view.history
        days = f"{format_duration(kept.keep_for)}, failures {format_duration(kept.keep_failures_for)}"
        rows.append([("history", "bold"), f"{days}, at most {plural(kept.keep_per_job, 'run')} of a job"])
    rows += [_condition_row(one, now) for one in view.conditions]
    rows += [[("stopped", "yellow"), (_stop_text(stop, now), "yellow")] for stop in view.stops]
    rows.append([("declared", "bold"), f"{view.file}:{view.line}"])
    console.print_table(rows)
    console.print_lines(("yellow", problem) for problem in view.problems)


def _condition_row(condition: views.ConditionView, now: datetime) -> list[Cell]:
    good = condition.status == (condition.type == "Ready")
    since = f" since {absolute(condition.since)} ({relative(condition.since, now)})" if condition.since else ""
    revision = f" at {condition.revision[:12]}" if condition.revision else ""
    reason = f": {condition.reason}" if condition.reason else ""
    text = f"{'yes' if condition.status else 'no'}{since}{revision}{reason}"
    return [(condition.type, "bold"), (text, "" if good else "yellow")]
