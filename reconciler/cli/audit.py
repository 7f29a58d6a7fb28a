"""The command that proves the record: audit.

Forbidden here: judging a slot, and writing to the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from reconciler import settings
from reconciler.app import auditing, wiring
from reconciler.cli import console
from reconciler.cli.console import STATUS_STYLES, Cell, Output, OutputOption
from reconciler.cli.options import StoreOption
from reconciler.core.audit_view import AuditView, DifferenceView, audit_view
from reconciler.core.eras import Span
from reconciler.core.instants import absolute, read_instant, span
from reconciler.core.model import Retention
from reconciler.errors import SettingsError

_DAY = timedelta(days=1)
_STYLES = STATUS_STYLES | {"missing": "red", "surplus": "red", "unfinished": "red"}
_INCOMPLETE = 1


def audit(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[APPLICATION[/API]]", help="Only this Application or job.", show_default=False),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="Slots after it; a day before the end unless given.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Slots up to it; now unless given.")] = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Compare every slot that was due with the runs recorded, and name each difference. Exit 1 where there is one."""
    now = datetime.now(UTC)
    asked = _asked(from_, to, now)
    view = asyncio.run(_view(settings.load(store=store), asked, target, now))
    if output is Output.JSON:
        console.print_json(view.shape())
    else:
        _print(view)
    if not view.complete:
        raise typer.Exit(_INCOMPLETE)


def _asked(from_: str | None, to: str | None, now: datetime) -> Span:
    until = read_instant(to) if to else now
    after = read_instant(from_) if from_ else until - _DAY
    if after >= until:
        raise SettingsError(f"--from: {absolute(after)} is not before the end, {absolute(until)}")
    return Span(after, until)


async def _view(given: settings.Settings, asked: Span, target: str | None, now: datetime) -> AuditView:
    retention = Retention(
        keep_for=given.keep_runs, keep_failures_for=given.keep_failures, keep_per_job=given.keep_runs_per_job
    )
    async with wiring.opened_to_read(given.store) as store:
        with console.Progress("jobs audited") as progress:
            found = await auditing.audit(store, asked, target=target, retention=retention, now=now, step=progress.step)
    return audit_view(
        span=found.span,
        jobs=found.jobs,
        outcomes=found.outcomes,
        beside=found.beside,
        differences=found.differences,
        notes=found.notes,
        unreadable=found.unreadable,
    )


def _print(view: AuditView) -> None:
    length = span(view.until - view.after)
    rows: list[list[Cell]] = [
        [("slots after", "bold"), absolute(view.after)],
        [("and up to", "bold"), f"{absolute(view.until)} ({length} later)"],
        [("jobs", "bold"), f"{view.jobs:,}"],
        [("slots", "bold"), f"{view.slots:,}"],
    ]
    rows += [[(fate, _STYLES[fate]), f"{number:,}"] for fate, number in view.outcomes.items() if number]
    if view.beside:
        rows.append([("beside", "dim"), (f"{view.beside:,} manual or caught up after a freeze", "dim")])
    console.print_table(rows)
    if view.differences:
        console.print_lines([("", "")])
        header = ("WHAT", "JOB", "SLOT", "THROUGH", "SLOTS", "RUN", "REASON")
        console.print_table([_row(one) for one in view.differences], header=header)
    console.print_lines([("", ""), *_words(view)])


def _row(one: DifferenceView) -> list[Cell]:
    several = one.through > one.slot
    return [
        (one.kind, _STYLES[one.kind]),
        one.job,
        absolute(one.slot),
        absolute(one.through) if several else "—",
        f"{one.slots:,}",
        (one.run or "—", "dim"),
        one.reason,
    ]


def _words(view: AuditView) -> Iterator[tuple[str, str]]:
    yield from (("red", f"cannot be judged: {one}") for one in view.unreadable)
    yield from (("dim", f"note: {one}") for one in view.notes)
    yield ("green" if view.complete else "red", view.verdict)
