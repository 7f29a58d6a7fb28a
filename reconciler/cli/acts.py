"""The command that lists who did what: acts.

Forbidden here: writing to the store.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from reconciler import settings
from reconciler.app import reading
from reconciler.cli import console
from reconciler.cli.console import Cell, Output, OutputOption
from reconciler.cli.inspect import RUN_ID
from reconciler.cli.options import StoreOption
from reconciler.core.act_view import act_view
from reconciler.core.acts import Act, ActKind, ActQuery
from reconciler.core.damage import Damage
from reconciler.core.instants import absolute, read_instant, relative
from reconciler.core.model import JobKey
from reconciler.errors import SettingsError

_STYLES = {ActKind.REFUSED: "red", ActKind.LOST: "red", ActKind.PRUNE: "yellow", ActKind.PAUSE: "yellow"}


def acts(
    kind: Annotated[list[ActKind] | None, typer.Option("--kind", help="Only these; may be repeated.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="Done at or after.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Done before.")] = None,
    application: Annotated[
        str | None,
        typer.Option(
            "--application",
            metavar="APPLICATION[/API]",
            help="Only what was done to it; to an Api also what was done to the whole of its Application.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000)] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Acts older than this id.")] = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List acts, newest first: who triggered, paused, resumed, removed, came in or was refused, when and from where."""
    query = _query(kind, from_, to, application, cursor, limit)
    damage = Damage()
    found = asyncio.run(reading.acts(settings.load(store=store).store, query, damage))
    console.print_damage(damage)
    if output is Output.JSON:
        follows = found[-1].id if len(found) == limit else None
        console.print_json({"items": [act_view(act).shape() for act in found], "next": follows})
        return
    now = datetime.now(UTC)
    header = ("WHEN", "", "ACT", "WHO", "FROM", "TARGET", "RESULT", "DETAIL") if found else ()
    console.print_table([_row(act, now) for act in found], header=header)
    if not found:
        console.print_lines([("", "No acts.")])


def _query(
    kinds: list[ActKind] | None,
    from_: str | None,
    to: str | None,
    target: str | None,
    cursor: str | None,
    limit: int,
) -> ActQuery:
    if cursor is not None and not RUN_ID.fullmatch(cursor):  # of one form with it
        raise SettingsError(f"--cursor: {cursor!r} is not the id of an act")
    application, api = JobKey.parse(target) if target and "/" in target else (target, None)
    return ActQuery(
        kinds=tuple(kinds or ()),
        application=application or None,
        api=api,
        since=read_instant(from_) if from_ else None,
        until=read_instant(to) if to else None,
        before=cursor,
        limit=limit,
    )


def _row(act: Act, now: datetime) -> list[Cell]:
    return [
        absolute(act.at.replace(microsecond=0)),
        (relative(act.at, now), "dim"),
        (act.kind.value, _STYLES.get(act.kind, "")),
        act.who,
        act.source,
        act.target or "—",
        act.result,
        "; ".join(text for text in (f"run {act.run}" if act.run else "", act.detail) if text),
    ]
