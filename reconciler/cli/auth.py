"""The commands for what calls authenticate with: auth test, auth keygen, auth rotate.

Forbidden here: printing a credential, or a part of one.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler import settings
from reconciler.cli import console
from reconciler.cli.console import Output, OutputOption
from reconciler.cli.options import (
    EgressAllowOption,
    EgressDenyOption,
    EgressOption,
    EnvironmentOption,
    RefOption,
    StoreOption,
)
from reconciler.cli.sources import read
from reconciler.core.auth import plain_fields
from reconciler.core.instants import relative, stamp
from reconciler.core.plural import plural
from reconciler.core.redaction import masked_url
from reconciler.core.suggest import did_you_mean
from reconciler.errors import NotFoundError

if TYPE_CHECKING:
    from reconciler.app.auth_trial import Trial

app = typer.Typer(name="auth", help="Try out and look after what calls authenticate with.", no_args_is_help=True)


@app.command(name="test")
def try_out(
    application: Annotated[str, typer.Argument(metavar="APPLICATION", help="As declared in the source.")],
    source: Annotated[str | None, typer.Option("--source", help="Where it is declared.")] = None,
    ref: RefOption = None,
    environment: EnvironmentOption = None,
    egress: EgressOption = None,
    egress_allow: EgressAllowOption = None,
    egress_deny: EgressDenyOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Ask for an Application's credentials now, and say what came back, but not its values. Exit 1 where none did.

    Its Apis are not called, and nothing is stored. It needs the secrets that the reconciler has.
    """
    from reconciler.app import auth_trial  # noqa: PLC0415 - what calls costs time that other commands need not pay

    chosen = settings.load(
        source=source,
        ref=ref,
        environment=environment,
        egress=egress,
        egress_allow=egress_allow,
        egress_deny=egress_deny,
    )
    found = read(chosen)
    declared = found.desired.applications.get(application)
    if declared is None or application in found.desired.held:
        console.print_problems(found.desired.held.get(application, ()))
        hint = did_you_mean(application, list(found.desired.applications))
        raise NotFoundError(f"{found.name} declares no valid Application {application}{hint}")
    jobs = [job for job in found.desired.jobs.values() if job.key.application == application]
    trials = asyncio.run(auth_trial.try_out(chosen, auth_trial.subjects(declared, jobs)))
    if output is Output.JSON:
        console.print_json({"application": application, "items": [_shape(trial) for trial in trials]})
    elif trials:
        now = datetime.now(UTC)
        for trial in trials:
            console.print_table(_rows(trial, now))
    else:
        console.print_lines([("", f"the calls of {application} do not authenticate")])
    raise typer.Exit(1 if any(trial.reason for trial in trials) else 0)


def _request(trial: Trial) -> str | None:
    request = trial.subject.auth.request
    return None if request is None else f"{request.method} {masked_url(request.url)}"


def _references(trial: Trial) -> dict[str, str]:
    found: dict[str, str] = {}
    for use in trial.subject.auth.secrets:
        place = use.place.removeprefix("auth:").replace(":", " ", 1)
        found[place] = f"{found[place]}, {use.ref}" if place in found else str(use.ref)
    return found


def _shape(trial: Trial) -> dict[str, Any]:
    return {
        "kind": trial.subject.auth.kind,
        "apis": [key.api for key in trial.subject.keys if key.api],
        "request": _request(trial),
        "secrets": _references(trial),
        "works": not trial.reason,
        "reason": trial.reason,
        "status": trial.status,
        "credential": trial.credential or None,
        "expiresAt": None if trial.expires_at is None else stamp(trial.expires_at),
    }


def _rows(trial: Trial, now: datetime) -> list[list[tuple[str, str]]]:
    shown = dict(plain_fields(trial.subject.auth))
    rows = [("auth", trial.subject.auth.kind), ("request", _request(trial))]
    rows += [(name.removeprefix("auth "), value) for name, value in shown.items() if name in _SHOWN]
    rows += list(_references(trial).items())
    apis = [key.api for key in trial.subject.keys if key.api]
    rows.append(("used by", f"{', '.join(apis[:_MOST])}{', …' if len(apis) > _MOST else ''}" or None))
    if trial.credential:
        ends = f"expires {stamp(trial.expires_at)}, {relative(trial.expires_at, now)}" if trial.expires_at else "no end"
        rows.append(("answer", f"status {trial.status}, {trial.credential}, *** ({ends})"))
    table = [[(name, "bold"), (value, "")] for name, value in rows if value is not None]
    good = "a credential came back" if trial.credential else "every secret can be read"
    verdict = (trial.reason, "red") if trial.reason else (good, "green")
    return [*table, [("verdict", "bold"), verdict]]


_SHOWN = frozenset({"auth username", "auth clientId", "auth name", "auth audience", "auth scopes"})
_MOST = 10


@app.command()
def keygen() -> None:
    """Print a new key for RECONCILER_ENCRYPTION_KEYS. Put it before the older ones, then run `auth rotate`."""
    from reconciler.app import auth_trial  # noqa: PLC0415 - cryptography costs time

    sys.stdout.write(f"{auth_trial.new_key()}\n")


@app.command()
def rotate(store: StoreOption = None, output: OutputOption = Output.TEXT) -> None:
    """Encrypt every stored credential with the newest of RECONCILER_ENCRYPTION_KEYS; older keys may go then."""
    from reconciler.app import auth_trial  # noqa: PLC0415 - as above

    made = asyncio.run(auth_trial.rotate(settings.load(store=store)))
    if output is Output.JSON:
        console.print_json({"encrypted": made.encrypted, "kept": made.kept, "dropped": dict(made.dropped)})
        return
    console.print_problems(f"{name}: dropped, and asked for anew: {reason}" for name, reason in made.dropped.items())
    anew, kept = plural(made.encrypted, "credential"), made.kept
    console.print_lines([("bold", f"{anew} encrypted anew, {kept} had the newest key already")])
