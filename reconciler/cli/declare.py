"""The commands that look at what is declared: validate, plan, next, schema.

None but ``plan`` needs a store. Forbidden here: changing anything anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

import typer

from reconciler import settings
from reconciler.cli import compare, console
from reconciler.cli.console import Output, OutputOption
from reconciler.cli.options import EnvironmentOption, MaxPruneOption, RefOption, SourceArgument, StoreOption
from reconciler.cli.sources import Reading, read
from reconciler.core import plan_text
from reconciler.core.calendars import Agenda
from reconciler.core.completion import completed_at
from reconciler.core.instants import absolute, read_instant, relative, stamp
from reconciler.core.json_schema import manifest_schema
from reconciler.core.model import Job, JobKey, Problem, Schedule, Snapshot
from reconciler.core.plan_json import as_json
from reconciler.core.plan_markdown import as_markdown
from reconciler.core.plan_view import PlanView
from reconciler.core.plural import plural
from reconciler.core.schedules import resolve
from reconciler.core.suggest import did_you_mean
from reconciler.core.timetable import words
from reconciler.errors import NotFoundError, ReconcilerError, SettingsError, SourceError
from reconciler.settings import Settings
from schemas.base import check_zone

SHOWN_SLOTS = 3
_SHOWN_HELD = 10


class PlanOutput(StrEnum):
    """How ``plan`` prints its result."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def validate(
    source: SourceArgument = None,
    ref: RefOption = None,
    environment: EnvironmentOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check manifests; say each job's schedule in words with its next runs. Exit 0, or 1 with every problem."""
    chosen = settings.load(source=source, ref=ref, environment=environment)
    now = datetime.now(UTC)
    found: Reading | None = None
    try:
        found = read(chosen)
        problems = found.problems
    except SourceError as error:
        problems = (Problem(file=chosen.source, line=1, column=1, field="", message=str(error)),)
    jobs = found.desired.jobs if found else {}
    if output is Output.JSON:
        snapshot = found.snapshot if found else Snapshot(revision="", files={}, texts={})
        console.print_json(_validation(snapshot, jobs, problems, now) | {"environment": chosen.environment})
    else:
        console.print_lines(_job_lines(jobs, now))
        console.print_problems(problems)
        _conclude(found, problems, chosen.environment)
    raise typer.Exit(1 if problems else 0)


def _conclude(found: Reading | None, problems: tuple[Problem, ...], environment: str | None) -> None:
    desired = found.desired if found else None
    jobs = plural(len(desired.jobs) if desired else 0, "job")
    files = plural(len(found.snapshot.files) if found else 0, "file")
    ending = f", environment {environment}" if environment else ""
    if problems or found is None or desired is None:
        held = sorted(desired.held) if desired else []
        names = f"; held: {', '.join(held[:_SHOWN_HELD])}{' …' if len(held) > _SHOWN_HELD else ''}" if held else ""
        console.err().print(f"{plural(len(problems), 'problem')} in {files}{ending}, {jobs} valid{names}")
        return
    applications = plural(len(desired.applications), "Application")
    beside = [plural(len(desired.calendars), "calendar")] if desired.calendars else []
    beside += [plural(len(desired.windows), "freeze window")] if desired.windows else []
    what = f"{jobs} of {applications}{''.join(f' and {each}' for each in beside)} in {files}"
    console.print_lines([("green", f"Valid: {what}, revision {found.snapshot.revision[:12]}{ending}")])


@lru_cache(maxsize=4096)
def _outlook(schedule: Schedule, now: datetime) -> tuple[str, tuple[datetime, ...]]:
    """A schedule in words and its next slots that will run; many jobs share one."""
    return words(schedule), Agenda.of(schedule).upcoming(now, SHOWN_SLOTS)


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
        return _never(job.schedule, now)
    return ", ".join(f"{absolute(slot, job.schedule.zone)} ({relative(slot, now)})" for slot in slots)


def _never(schedule: Schedule, now: datetime) -> str:
    """Why a schedule has no slot to come."""
    if schedule.after is not None:
        return "whenever that happens: it has no slots of its own"
    if completed_at(schedule, now) is not None:
        return "complete: never due again"
    return "never due: its calendars leave out every slot"


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


def plan(
    source: SourceArgument = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="REF|FOLDER", help="What the changes begin from, instead of the store."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="REF|FOLDER", help="What they lead to, with --from; SOURCE as it is now."),
    ] = None,
    ref: RefOption = None,
    environment: EnvironmentOption = None,
    store: StoreOption = None,
    max_prune: MaxPruneOption = None,
    output: Annotated[
        PlanOutput, typer.Option("--output", "-o", help="text for people, json for programs, markdown for a comment.")
    ] = PlanOutput.TEXT,
) -> None:
    """Show what a sync would change, field by field. Exit 0 for nothing, 2 for changes, 1 for problems."""
    try:
        chosen = settings.load(source=source, store=store, ref=ref, environment=environment, max_prune=max_prune)
        view = _plan_view(chosen, from_, to, names_store=store is not None)
    except ReconcilerError as error:  # 2 would say that there are changes
        console.print_error(error)
        raise typer.Exit(1) from None
    if output is PlanOutput.JSON:
        console.print_json(as_json(view))
    elif output is PlanOutput.MARKDOWN:
        sys.stdout.write(as_markdown(view))
    else:
        console.print_problems(f"{one} (not new)" if one in view.known else one for one in view.problems)
        console.print_lines(plan_text.view_lines(view))
    raise typer.Exit(view.exit_code)


def _plan_view(chosen: Settings, from_: str | None, to: str | None, *, names_store: bool) -> PlanView:
    now = datetime.now(UTC)
    if from_ is None and to is None:
        return compare.with_store(chosen, now)
    if from_ is None:
        raise SettingsError(
            "--to goes with --from: say also what the changes begin from; --ref plans against the store"
        )
    if names_store:
        raise SettingsError("--store: a plan from one revision to another looks at no store; leave out one of the two")
    return compare.between(chosen, from_, to, now)


def next_(
    job: Annotated[str | None, typer.Argument(metavar="[APPLICATION/API]", show_default=False)] = None,
    cron: Annotated[str | None, typer.Option("--cron", help="A cron expression instead of a job.")] = None,
    time_zone: Annotated[str | None, typer.Option("--time-zone", help="IANA zone of --cron; UTC.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="Slots after this instant; now.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many slots.")] = 5,
    source: Annotated[str | None, typer.Option("--source", help="Where the job is declared.")] = None,
    ref: RefOption = None,
    environment: EnvironmentOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say when a job, or a cron expression, is next due. Needs no store."""
    if cron is not None and (source or ref or environment):
        raise SettingsError("--source, --ref and --environment go with a job; --cron is declared nowhere")
    chosen = settings.load(source=source, ref=ref, environment=environment)
    schedule = _schedule(job, cron, time_zone, chosen)
    now = datetime.now(UTC)
    begin = read_instant(from_, zone=schedule.zone) if from_ else now
    slots = Agenda.of(schedule).upcoming(begin, count)
    if output is Output.JSON:
        console.print_json({"slots": [stamp(slot) for slot in slots]})
        return
    console.print_lines([("bold", words(schedule))])
    console.print_table([[absolute(slot, schedule.zone), stamp(slot), relative(slot, now)] for slot in slots])
    if not slots:
        console.print_lines([("", _never(schedule, begin))])


def _schedule(job: str | None, cron: str | None, time_zone: str | None, chosen: Settings) -> Schedule:
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
    return _declared_job(JobKey.parse(job or ""), chosen).schedule


def _declared_job(key: JobKey, chosen: Settings) -> Job:
    found = read(chosen)
    desired = found.desired
    if key in desired.jobs:
        return desired.jobs[key]
    console.print_problems(problem for problem in found.problems if problem in desired.held.get(key.application, ()))
    raise NotFoundError(
        f"{found.name} declares no valid job {key}{did_you_mean(str(key), [str(one) for one in desired.jobs])}"
    )


def schema() -> None:
    """Print the JSON Schema of manifests, for editors."""
    console.print_json(manifest_schema())
