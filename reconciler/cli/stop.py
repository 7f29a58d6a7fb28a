"""The commands that stop jobs for a while: pause, resume, pauses.

Forbidden here: deciding anything about jobs.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from reconciler import settings
from reconciler.app import stopping, wiring
from reconciler.cli import console
from reconciler.cli.console import Cell, Output, OutputOption
from reconciler.cli.options import StoreOption
from reconciler.core import pauses as asked
from reconciler.core import views
from reconciler.core.damage import Damage
from reconciler.core.instants import absolute, relative
from reconciler.core.model import Pause
from reconciler.core.stops import covers_until

TargetArgument = Annotated[str, typer.Argument(metavar="APPLICATION[/API]")]


def pause(
    target: TargetArgument,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why. Required.")] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="INSTANT|DURATION",
            help="When it ends by itself: 2h, 18:00 or 2026-12-01T18:00:00Z; UTC unless it says. Required.",
        ),
    ] = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Stop an Application or a job for a while; its slots are skipped. Syncs never undo it, and it ends by itself."""
    now = datetime.now(UTC)
    said, end = asked.ordered(reason, until, now)
    url = settings.load(store=store).store
    written = asyncio.run(stopping.pause(url, target, reason=said, until=end, by=wiring.operator(), now=now))
    if output is Output.JSON or written.pause is None:
        console.print_json(_shape(written))
        return
    made = written.pause
    rows: list[list[Cell]] = [
        [("paused", "bold"), made.target],
        [("until", "bold"), asked.ends_in_words(made.until, now)],
        [("reason", "bold"), made.reason],
        [("by", "bold"), made.by],
    ]
    rows += [[("replaces", "bold"), _told(one)] for one in written.ended]
    _print(rows, written, "beside")


def resume(
    target: TargetArgument,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept beside who ended the pause.")
    ] = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """End a pause early. Exit 1 where just this is not paused."""
    now = datetime.now(UTC)
    by = wiring.operator()
    if reason is not None:
        by = f"{by} ({asked.reason_of(reason)})"
    url = settings.load(store=store).store
    written = asyncio.run(stopping.resume(url, target, by=by, now=now))
    if output is Output.JSON:
        console.print_json(_shape(written))
        return
    rows: list[list[Cell]] = [[("resumed", "bold"), _told(one)] for one in written.ended]
    _print(rows, written, "still")


def pauses(
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the pauses, open and past: who, why, since when, until when, ended by whom."""
    now = datetime.now(UTC)
    damage = Damage()
    found = asyncio.run(stopping.pauses(settings.load(store=store).store, damage))
    console.print_damage(damage)
    if output is Output.JSON:
        console.print_json({"items": [views.pause_view(one).shape() for one in found], "next": None})
        return
    console.print_table(
        [_row(one, now) for one in found],
        header=("TARGET", "STATE", "SINCE", "UNTIL", "BY", "REASON") if found else (),
    )
    if not found:
        console.print_lines([("", "No pauses.")])


def _row(one: Pause, now: datetime) -> list[Cell]:
    end = covers_until(one)
    if end > now:
        state: Cell = ("open" if end >= asked.FOREVER else f"open, ends {relative(end, now)}", "yellow")
    elif one.ended_by and one.ended_at == end:
        state = (f"ended {relative(end, now)} by {one.ended_by}", "dim")
    else:
        state = (f"ended by itself {relative(end, now)}", "dim")
    return [one.target, state, absolute(one.since), asked.ends_in_words(one.until), one.by, one.reason]


def _told(one: Pause) -> str:
    return f"{one.target}, paused by {one.by} until {asked.ends_in_words(one.until)}: {one.reason}"


def _print(rows: list[list[Cell]], written: stopping.Written, word: str) -> None:
    rows += [[(f"{word} paused", "yellow"), _told(one)] for one in written.others]
    console.print_table(rows)
    effect = (
        "A running reconciler takes it up within 2 seconds."
        if written.is_running
        else "No reconciler is running on this store; the next one will know."
    )
    console.print_lines([("", effect)])


def _shape(written: stopping.Written) -> dict[str, Any]:
    return {
        "pause": None if written.pause is None else views.pause_view(written.pause).shape(),
        "ended": [views.pause_view(one).shape() for one in written.ended],
        "others": [views.pause_view(one).shape() for one in written.others],
        "running": written.is_running,
    }
