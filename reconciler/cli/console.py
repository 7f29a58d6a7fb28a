"""What the commands print: aligned columns, colour only on a terminal, JSON when asked, and never a traceback.

Forbidden here: knowing what any command is about.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from time import monotonic
from typing import Annotated, Any, Self, TextIO

import rich.progress
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from reconciler.core.damage import Damage
from reconciler.core.visible import visible, visible_line


class Output(StrEnum):
    """How a command prints its result."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for programs.")]

Cell = str | tuple[str, str]

STATUS_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "missed": "yellow",
    "unknown": "yellow",
    "skipped": "dim",
    "running": "cyan",
}


def out() -> Console:
    """Standard output; lines are never wrapped."""
    return Console(highlight=False, markup=False, soft_wrap=True, emoji=False)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True, emoji=False)


def print_json(value: Any) -> None:
    """One JSON document, indented on a terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
    sys.stdout.write(f"{text}\n")


def print_table(rows: Sequence[Sequence[Cell]], *, header: Sequence[str] = ()) -> None:
    """Rows in aligned columns, two blanks apart.

    On a terminal, the last cell of a list's row stands below the others where it does not fit beside them: a reason
    that is cut off helps nobody. Elsewhere a row is always one line, for grep.
    """
    lines: list[Sequence[Cell]] = [[(title, "bold") for title in header], *rows] if header else list(rows)
    if not lines:
        return
    widths = [max(len(_text(cell)) for cell in column) for column in zip(*lines, strict=True)]
    console = out()
    if not console.is_terminal:
        for row in lines:
            padded = (f"{_text(cell):<{width}}" for cell, width in zip(row, widths, strict=True))
            sys.stdout.write("  ".join(padded).rstrip() + "\n")
        return
    for row in lines:
        cells = [Text(f"{_text(cell):<{width}}", style=_style(cell)) for cell, width in zip(row, widths, strict=True)]
        line = Text("  ").join(cells)
        line.rstrip()
        if header and len(cells) > 1 and line.cell_len > console.width and _text(row[-1]):
            line = Text("  ").join(cells[:-1]) + Text("\n    ") + Text(_text(row[-1]), style=_style(row[-1]))
        console.print(line)


def _text(cell: Cell) -> str:
    return visible_line(cell if isinstance(cell, str) else cell[0])


def _style(cell: Cell) -> str:
    return "" if isinstance(cell, str) else cell[1]


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Lines that come with a style each."""
    _write(out(), sys.stdout, lines)


def print_error(error: Exception) -> None:
    """An error in words, on standard error."""
    err().print(f"error: {visible(str(error))}")


def print_problems(problems: Iterable[object]) -> None:
    """Every problem on standard error, one a line."""
    _write(err(), sys.stderr, (("red", str(problem)) for problem in problems))


def print_damage(damage: Damage) -> None:
    """Every record of the store that cannot be read, on standard error, one a line."""
    _write(err(), sys.stderr, (("yellow", line) for line in damage.lines))


def _write(console: Console, stream: TextIO, lines: Iterable[tuple[str, str]]) -> None:
    """Rich for a terminal; elsewhere plainly, a hundred times faster."""
    if console.is_terminal:
        for style, line in lines:
            console.print(Text(visible_line(line), style=style))
    else:
        stream.writelines(f"{visible_line(line)}\n" for _, line in lines)


class Progress:
    """A progress bar on standard error: only where a person is watching, and only once it has taken a second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._console = err()
        self._began = monotonic()
        self._bar: rich.progress.Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, done: int, total: int) -> None:
        """Say how far it is."""
        if self._bar is None:
            if not self._console.is_terminal or monotonic() - self._began < 1:
                return
            columns = (TextColumn(self._what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = rich.progress.Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(self._what, total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)
