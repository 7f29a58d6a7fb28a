"""``reconciler token new``: a token, said once, and the manifest by which it is known.

Forbidden here: keeping a token anywhere.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from reconciler.cli import console
from reconciler.cli.console import Output, OutputOption
from reconciler.core.access import digest_of
from reconciler.core.instants import read_instant, stamp
from reconciler.errors import SettingsError
from schemas.access_token import TOKEN_PREFIX, AccessToken
from schemas.base import API_VERSION, parse_duration

_BYTES: Final = 32

app = typer.Typer(
    help="Access tokens: who may read and trigger over HTTP.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _root() -> None:
    """Access tokens: who may read and trigger over HTTP."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[str, typer.Option("--role", metavar="viewer|operator|admin", help="What whoever has it may do.")],
    application: Annotated[
        list[str] | None,
        typer.Option("--application", metavar="NAME", help="Limit it to this one, or a pattern; may be repeated."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="90d", help="When it ends: after so long, or at an instant.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="For people.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a token, print it once, and print the manifest to commit. Nothing is stored: whoever loses it makes another.

    The token goes to standard error and the manifest to standard output, so that the latter can be sent to a file.
    """
    now = datetime.now(UTC)
    made = f"{TOKEN_PREFIX}{secrets.token_urlsafe(_BYTES)}"
    spec: dict[str, object] = {"role": role}
    spec |= {"applications": application} if application else {}
    spec |= {"expiresAt": stamp(_end(expires, now))} if expires else {}
    spec |= {"description": description} if description else {}
    spec["sha256"] = digest_of(made)
    manifest = {"apiVersion": API_VERSION, "kind": "AccessToken", "metadata": {"name": name}, "spec": spec}
    _check(manifest)
    if output is Output.JSON:
        console.print_json({"token": made, "manifest": manifest})
        return
    typer.echo(f"The token, which is shown this once:\n\n  {made}\n\nThe manifest to commit:\n", err=True)
    typer.echo(_as_yaml(manifest))


def _end(text: str, now: datetime) -> datetime:
    try:
        end = now + parse_duration(text)
    except (ValueError, OverflowError):
        try:
            end = read_instant(text)
        except SettingsError:
            raise SettingsError(f"--expires: {text!r}: write 90d, or an instant such as 2027-01-01") from None
    if end <= now:
        raise SettingsError(f"--expires: {text} is over")
    return end.replace(microsecond=0)


def _check(manifest: Mapping[str, object]) -> None:
    try:
        AccessToken.model_validate(manifest)
    except ValidationError as error:
        flags = {"role": "--role", "applications": "--application", "description": "--description", "name": "NAME"}
        reasons = [
            f"{next((flags[part] for part in one['loc'] if part in flags), 'token')}: "
            f"{str(one['msg']).removeprefix('Value error, ')}"
            for one in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("\n".join(reasons)) from None


def _as_yaml(manifest: Mapping[str, object], indent: str = "") -> str:
    """As people write it; every scalar as JSON writes it, which YAML reads the same."""
    lines = []
    for key, value in manifest.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", _as_yaml(value, indent + "  ")]
        else:
            plain = isinstance(value, str) and key in ("apiVersion", "kind", "role")
            lines.append(f"{indent}{key}: {value if plain else json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines)
