"""What the commands print, where a person is watching and where nobody is."""

import io

import pytest
from rich.console import Console

from reconciler.cli import console

HEADER = ("JOB", "REASON")
ROWS = [["a/b", "short"], ["a/c", "the target took its time and then said nothing"]]


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 30 columns; gives what stands on it."""
    screen = io.StringIO()
    made = Console(file=screen, force_terminal=True, color_system=None, width=30, soft_wrap=True, highlight=False)
    monkeypatch.setattr(console, "out", lambda: made)
    return screen.getvalue


def test_a_reason_that_does_not_fit_stands_whole_below_its_row(terminal):
    console.print_table(ROWS, header=HEADER)
    assert [line.rstrip() for line in terminal().splitlines()] == [
        "JOB  REASON",
        "a/b  short",
        "a/c",
        "    the target took its time and then said nothing",
    ]


def test_elsewhere_a_row_is_one_line(capsys):
    console.print_table(ROWS, header=HEADER)
    assert capsys.readouterr().out.splitlines() == [
        "JOB  REASON",
        "a/b  short",
        "a/c  the target took its time and then said nothing",
    ]


@pytest.mark.parametrize("hostile", ["a\x1b[2Jb", "a\nb", "a\x9bb"])
def test_hostile_text_is_shown_and_not_obeyed(hostile, capsys, terminal):
    console.print_table([["x", hostile]])
    console.print_lines([("red", hostile)])
    console.print_problems([hostile])
    console.print_error(ValueError(hostile))
    said = terminal() + capsys.readouterr().err
    assert not {"\x1b", "\x9b"} & set(said)
    assert len(said.splitlines()) <= 5
