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
from reconciler.cli.declare import StoreOption
from reconciler.core import views
from reconciler.core.instants import absolute, read_instant, relative, span
from reconciler.core.model import Cause, JobKey, Outcome, Run, RunQuery, StoredJob
from reconciler.core.plan import flatten
from reconciler.core.plural import plural
from reconciler.core.suggest import did_you_mean
from reconciler.core.timetable import words
from reconciler.errors import NotFoundError, SettingsError

_RUN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def status(store: StoreOption = None, output: OutputOption = Output.TEXT) -> None:
    """The whole at a glance: who runs, what was synced, what is held, how the last 24 hours went."""
    view = asyncio.run(reading.status(settings.load(store=store)))
    if output is Output.JSON:
        console.print_json(view.shape())
        return
    now = view.now
    console.print_table(
        [
            [("store", "bold"), view.store],
            [("processes", "bold"), _processes_text(view)],
            [("source", "bold"), f"{view.source or '(none yet)'} {_revision(view.revision)}".rstrip()],
            [("last sync", "bold"), _sync_text(view, now)],
            [("jobs", "bold"), _jobs_text(view)],
            [("in flight", "bold"), str(view.running)],
            [
                ("last 24 h", "bold"),
                ", ".join(f"{count} {name}" for name, count in view.last24_hours.items() if count) or "no runs",
            ],
        ]
    )
    if view.last_sync:
        console.print_lines(("yellow", problem) for problem in view.last_sync.problems)


def _revision(revision: str) -> str:
    return f"at {revision[:12]}" if revision else ""


def _processes_text(view: views.StatusView) -> str:
    if not view.processes:
        return "none is running"
    return ", ".join(
        f"{process.host}:{process.pid} {process.listen} up {span(view.now - process.started_at)}"
        for process in view.processes
    )


def _sync_text(view: views.StatusView, now: datetime) -> str:
    last = view.last_sync
    if last is None:
        return "never"
    changes = f"+{last.added} ~{last.changed} -{last.removed}"
    return f"{last.result} {relative(last.started_at, now)}, {changes} {last.error}".rstrip()


def _jobs_text(view: views.StatusView) -> str:
    counts = view.jobs
    parts = [f"{counts.total} in {plural(view.applications, 'Application')}"]
    if counts.suspended:
        parts.append(f"{counts.suspended} suspended")
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
    found, held, last = asyncio.run(reading.jobs(settings.load(store=store).store, application))
    if output is Output.JSON:
        items = [
            views.job_view(one, held=one.key.application in held, last=last.get(one.key), now=now).shape()
            for one in found
        ]
        console.print_json({"items": items, "next": None})
        return
    rows = [_job_row(one, one.key.application in held, last.get(one.key), now) for one in found]
    console.print_table(rows, header=("JOB", "NEXT", "LAST", "SCHEDULE") if rows else ())
    if not rows:
        console.print_lines([("", "No jobs. `reconciler run` or `reconciler sync` brings manifests into the store.")])


def _job_row(stored: StoredJob, held: bool, last: Run | None, now: datetime) -> list[Cell]:
    upcoming = views.next_runs(stored.job, now=now, count=1)
    due: Cell = relative(upcoming[0], now) if upcoming else ("suspended" if stored.job.suspend else "never", "dim")
    mark: Cell = (
        (f"{last.outcome.value} {relative(last.slot, now)}", STATUS_STYLES[last.outcome.value])
        if last
        else ("—", "dim")
    )
    note = "  (held)" if held else ""
    return [str(stored.key), due, mark, f"{words(stored.job.schedule)}{note}"]


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
    if cursor is not None and not _RUN_ID.fullmatch(cursor):
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
    if _RUN_ID.fullmatch(what):
        print_run(asyncio.run(reading.run(url, what)), output)
    elif "/" in what:
        _show_job(url, JobKey.parse(what), output)
    else:
        _show_application(url, what, output)


def _show_job(url: str, key: JobKey, output: Output) -> None:
    now = datetime.now(UTC)
    found, held, last = asyncio.run(reading.jobs(url, key.application))
    stored = next((one for one in found if one.key == key), None)
    if stored is None:
        raise NotFoundError(f"there is no job {key}{did_you_mean(str(key), [str(one.key) for one in found])}")
    view = views.job_view(stored, held=key.application in held, last=last.get(key), now=now, count=5)
    if output is Output.JSON:
        console.print_json(view.shape())
        return
    rows: list[list[Cell]] = [[("job", "bold"), str(key)]]
    rows += [[(name, "bold"), value] for name, value in flatten(stored.job).items()]
    rows.insert(2, [("", ""), words(stored.job.schedule)])
    zone = stored.job.schedule.zone
    rows += [
        [("next" if number == 0 else "", "bold"), f"{absolute(slot, zone)} ({relative(slot, now)})"]
        for number, slot in enumerate(view.next_runs)
    ]
    if view.last_run:
        reason = f": {view.last_run.reason}" if view.last_run.reason else ""
        rows.append([("last", "bold"), f"{view.last_run.status}{reason}, {relative(view.last_run.slot, now)}"])
    rows.append([("declared", "bold"), f"{view.file}:{view.line} at revision {view.revision[:12]}"])
    rows.append([("since", "bold"), f"{absolute(stored.since)} ({relative(stored.since, now)})"])
    if view.held:
        rows.append([("held", "yellow"), "its Application has problems; see `reconciler status`"])
    console.print_table(rows)


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
    state, count = asyncio.run(reading.application(url, name))
    if output is Output.JSON:
        console.print_json(views.application_view(state, jobs=count).shape())
        return
    now = datetime.now(UTC)
    rows: list[list[Cell]] = [
        [("application", "bold"), state.name],
        [("description", "bold"), state.description or "—"],
        [("baseUrl", "bold"), state.base_url or "—"],
        [("jobs", "bold"), str(count)],
        [("suspend", "bold"), str(state.suspend).lower()],
        [
            ("state", "bold"),
            f"{'held' if state.held else 'ready'} since {absolute(state.since)} ({relative(state.since, now)})",
        ],
        [("declared", "bold"), f"{state.file}:{state.line}"],
    ]
    console.print_table(rows)
    console.print_lines(("yellow", problem) for problem in state.problems)
