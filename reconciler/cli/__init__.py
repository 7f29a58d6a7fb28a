"""What people type: the commands, their flags, and what they print.

Exit codes: 0 done; 1 manifests or what was asked for are wrong; 2 settings, source or store are unusable (for ``plan``
that is 1, too, and 2 says that there are changes); 3 a bug, with a log; 130 interrupted. Forbidden here: deciding
anything about jobs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from reconciler.app.masking import REDACTOR
from reconciler.cli import act, acts, audit, auth, console, declare, inspect, sealing, stop, token
from reconciler.cli.usage import PlanCommand
from reconciler.errors import ReconcilerError

app = typer.Typer(
    name="reconciler",
    help="HTTP calls on a schedule, declared as YAML manifests and accounted for run by run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

_COMMANDS: tuple[Callable[..., None], ...] = (
    act.run,
    declare.validate,
    declare.plan,
    act.sync,
    declare.next_,
    inspect.status,
    inspect.jobs,
    inspect.runs,
    inspect.show,
    inspect.syncs,
    acts.acts,
    audit.audit,
    act.trigger,
    stop.pause,
    stop.resume,
    stop.pauses,
    act.check,
    sealing.keygen,
    sealing.seal,
    sealing.unseal,
    sealing.rotate,
    declare.schema,
)
for command in _COMMANDS:
    app.command(name=command.__name__.rstrip("_"), cls=PlanCommand if command is declare.plan else None)(command)


app.add_typer(token.app, name="token")
app.add_typer(auth.app, name="auth")


def _version(wanted: bool) -> None:
    if wanted:
        from reconciler.version import VERSION  # noqa: PLC0415 - reading it costs a look at the disk

        typer.echo(f"cron-reconciler {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """HTTP calls on a schedule, declared as YAML manifests and accounted for run by run."""


def main() -> None:
    """Run a command; every foreseen error is one line, a bug is a log and exit code 3."""
    try:
        app()
    except ReconcilerError as error:
        console.print_error(ReconcilerError(REDACTOR.masked(str(error))))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader has seen enough: `reconciler runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception:  # noqa: BLE001 - the last line of defence: whatever else happens is a bug of ours
        console.err().print(f"This is a bug in the reconciler. What happened is written to {_crash_log()}")
        sys.exit(3)


def _crash_log() -> Path:
    """Write the traceback, without the values of variables and without secrets, to a file of its own."""
    name = f"reconciler-crash-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-"
    with tempfile.NamedTemporaryFile("w", prefix=name, suffix=".log", delete=False, encoding="utf-8") as file:
        file.write(REDACTOR.masked(traceback.format_exc()))
    return Path(file.name)
