"""The commands that look at what is declared: validate, plan, next, schema.

None but ``plan`` needs a store. Forbidden here: changing anything anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

import typer

from reconciler import settings
from reconciler.app import reading, wiring
from reconciler.cli import console
from reconciler.cli.console import Output, OutputOption
from reconciler.core import plan as planning
from reconciler.core import plan_text
from reconciler.core.desired import Desired
from reconciler.core.instants import absolute, read_instant, relative, stamp
from reconciler.core.json_schema import manifest_schema
from reconciler.core.model import Job, JobKey, Problem, Schedule, Snapshot
from reconciler.core.plan import Action, Plan
from reconciler.core.plural import plural
from reconciler.core.schedules import resolve
from reconciler.core.suggest import did_you_mean
from reconciler.core.timetable import Timetable, words
from reconciler.errors import NotFoundError, ReconcilerError, SettingsError, SourceError
from reconciler.services.declarations import Declarations
from schemas.base import check_zone

SourceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[SOURCE]", help="Folder or file of manifests [RECONCILER_SOURCE; manifests/].", show_default=False
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="sqlite:///path or mongodb://host/database [RECONCILER_STORE]."),
]
SHOWN_SLOTS = 3


def read(source: str) -> tuple[Snapshot, Desired, tuple[Problem, ...]]:
    """Read a source once, with a progress bar where it takes long.

    Raises:
        SourceError: it cannot be read as a whole.
    """
    declarations = Declarations(source)
    snapshot = asyncio.run(wiring.open_source(source).fetch({}))
    with console.Progress("Reading manifests") as progress:
        desired = declarations.update(snapshot, progress.step)
    return snapshot, desired, declarations.problems


def validate(source: SourceArgument = None, output: OutputOption = Output.TEXT) -> None:
    """Check manifests; say each job's schedule in words with its next runs. Exit 0, or 1 with every problem."""
    chosen = settings.load(source=source)
    now = datetime.now(UTC)
    try:
        snapshot, desired, problems = read(chosen.source)
    except SourceError as error:
        snapshot, desired = Snapshot(revision="", files={}, texts={}), None
        problems = (Problem(file=chosen.source, line=1, column=1, field="", message=str(error)),)
    jobs = desired.jobs if desired else {}
    if output is Output.JSON:
        console.print_json(_validation(snapshot, jobs, problems, now))
    else:
        console.print_lines(_job_lines(jobs, now))
        console.print_problems(problems)
        _conclude(snapshot, desired, problems)
    raise typer.Exit(1 if problems else 0)


def _conclude(snapshot: Snapshot, desired: Desired | None, problems: tuple[Problem, ...]) -> None:
    jobs = plural(len(desired.jobs) if desired else 0, "job")
    files = plural(len(snapshot.files), "file")
    if problems:
        held = sorted(desired.held) if desired else []
        names = f"; held: {', '.join(held[:10])}{' …' if len(held) > 10 else ''}" if held else ""  # noqa: PLR2004
        console.err().print(f"{plural(len(problems), 'problem')} in {files}, {jobs} valid{names}")
    else:
        applications = plural(len(desired.applications) if desired else 0, "Application")
        console.print_lines(
            [("green", f"Valid: {jobs} of {applications} in {files}, revision {snapshot.revision[:12]}")]
        )


@lru_cache(maxsize=4096)
def _outlook(schedule: Schedule, now: datetime) -> tuple[str, tuple[datetime, ...]]:
    """A schedule in words and its next slots; many jobs share one."""
    return words(schedule), tuple(Timetable.of(schedule).upcoming(now, SHOWN_SLOTS))


def _job_lines(jobs: Mapping[JobKey, Job], now: datetime) -> list[tuple[str, str]]:
    lines = []
    for key, job in jobs.items():
        said, slots = _outlook(job.schedule, now)
        lines.append(("bold", f"{key}  {job.file}:{job.line}"))
        lines.append(("", f"    {said}"))
        lines.append(("dim", f"    {_slots_text(job, slots, now)}"))
    return lines


def _slots_text(job: Job, slots: tuple[datetime, ...], now: datetime) -> str:
    if job.suspend:
        return "suspended: never due"
    if not slots:
        return "complete: never due again"
    return ", ".join(f"{absolute(slot, job.schedule.zone)} ({relative(slot, now)})" for slot in slots)


def _validation(
    snapshot: Snapshot, jobs: Mapping[JobKey, Job], problems: tuple[Problem, ...], now: datetime
) -> dict[str, Any]:
    return {
        "valid": not problems,
        "revision": snapshot.revision,
        "files": len(snapshot.files),
        "problems": [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "field": problem.field,
                "message": problem.message,
            }
            for problem in problems
        ],
        "jobs": [_job_json(job, now) for job in jobs.values()],
    }


def _job_json(job: Job, now: datetime) -> dict[str, Any]:
    said, slots = _outlook(job.schedule, now)
    return {
        "job": str(job.key),
        "file": job.file,
        "line": job.line,
        "schedule": job.schedule.declared,
        "words": said,
        "timeZone": job.schedule.zone,
        "suspend": job.suspend,
        "nextRuns": [] if job.suspend else [stamp(slot) for slot in slots],
    }


def plan(source: SourceArgument = None, store: StoreOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show what a sync would change, field by field. Exit 0 for nothing, 2 for changes, 1 for problems."""
    try:
        chosen = settings.load(source=source, store=store)
        made, problems = _make_plan(chosen)
    except ReconcilerError as error:  # 2 would say that there are changes
        console.print_error(error)
        raise typer.Exit(1) from None
    now = datetime.now(UTC)
    if output is Output.JSON:
        console.print_json(plan_text.as_json(made, now, problems))
    else:
        console.print_problems(problems)
        console.print_lines(plan_text.lines(made, now))
    changes = any(made.count(action) for action in Action)
    raise typer.Exit(1 if problems or made.braked else 2 if changes else 0)


def _make_plan(chosen: settings.Settings) -> tuple[Plan, tuple[Problem, ...]]:
    snapshot, desired, problems = read(chosen.source)
    stored, applications = asyncio.run(reading.state(chosen.store))
    made = planning.diff(
        {one.key: one for one in stored},
        desired,
        unread=snapshot.problems,
        applications={state.name: state for state in applications},
    )
    return planning.brake(
        made, declares_nothing=not desired.applications, allow_prune=False, max_prune=chosen.max_prune
    ), problems


def next_(
    job: Annotated[str | None, typer.Argument(metavar="[APPLICATION/API]", show_default=False)] = None,
    cron: Annotated[str | None, typer.Option("--cron", help="A cron expression instead of a job.")] = None,
    time_zone: Annotated[str | None, typer.Option("--time-zone", help="IANA zone of --cron; UTC.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="Slots after this instant; now.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many slots.")] = 5,
    source: Annotated[str | None, typer.Option("--source", help="Where the job is declared.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say when a job, or a cron expression, is next due. Needs no store."""
    schedule = _schedule(job, cron, time_zone, source)
    now = datetime.now(UTC)
    begin = read_instant(from_, zone=schedule.zone) if from_ else now
    slots = Timetable.of(schedule).upcoming(begin, count)
    if output is Output.JSON:
        console.print_json({"slots": [stamp(slot) for slot in slots]})
        return
    console.print_lines([("bold", words(schedule))])
    console.print_table([[absolute(slot, schedule.zone), stamp(slot), relative(slot, now)] for slot in slots])
    if not slots:
        console.print_lines([("", "never due again")])


def _schedule(job: str | None, cron: str | None, time_zone: str | None, source: str | None) -> Schedule:
    if (job is None) == (cron is None):
        raise SettingsError("name a job (APPLICATION/API) or give --cron, one of the two")
    if cron is not None:
        try:
            zone = check_zone(time_zone or "UTC")
        except ValueError as error:
            raise SettingsError(f"--time-zone: {error}") from None
        return resolve(cron, zone=zone, starts_at=None, ends_at=None, seed="")
    if time_zone is not None:
        raise SettingsError("--time-zone goes with --cron; a job has its own")
    return _declared_job(JobKey.parse(job or ""), settings.load(source=source).source).schedule


def _declared_job(key: JobKey, source: str) -> Job:
    _, desired, problems = read(source)
    if key in desired.jobs:
        return desired.jobs[key]
    console.print_problems(problem for problem in problems if problem in desired.held.get(key.application, ()))
    raise NotFoundError(
        f"{source} declares no valid job {key}{did_you_mean(str(key), [str(one) for one in desired.jobs])}"
    )


def schema() -> None:
    """Print the JSON Schema of manifests, for editors."""
    console.print_json(manifest_schema())
