"""The commands for sealed values: keygen, seal, unseal --check, rotate. None of them ever prints a value.

Forbidden here: taking a value from the command line, where every process of the machine could read it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reconciler import settings
from reconciler.cli import console
from reconciler.cli.console import Output, OutputOption
from reconciler.core.plural import plural
from reconciler.errors import SealingError, SettingsError

_MOST_BYTES = 64 * 1024


def keygen(
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where the private key goes; the public one goes to FILE.pub.")
    ] = "sealing-key",
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a pair of sealing keys: the private one for the reconciler alone, the public one for the repository."""
    from reconciler.app import sealing  # noqa: PLC0415 - cryptography costs time that the other commands need not pay

    private, public, key_id = sealing.make_pair(Path(file))
    if output is Output.JSON:
        console.print_json({"keyId": key_id, "private": str(private), "public": str(public)})
        return
    console.print_table([[("private", "bold"), f"{private}, key {key_id}"], [("public", "bold"), str(public)]])
    console.print_lines(
        [
            ("", f"Name {private} in RECONCILER_SEALING_KEYS, before older ones; never commit it."),
            ("", f"Commit {public}: whoever has it can seal, and nobody can open with it."),
        ]
    )


def seal(
    application: Annotated[str, typer.Option("--application", metavar="NAME", help="For this Application alone.")],
    field: Annotated[
        str,
        typer.Option(
            "--field",
            metavar="PLACE",
            help="For this place alone: header:NAME, query:NAME, form:NAME, body:/json/pointer, auth:FIELD.",
        ),
    ],
    api: Annotated[
        str | None,
        typer.Option("--api", metavar="NAME", help="The Api that it is in; without it, the Application's own."),
    ] = None,
    key: Annotated[str, typer.Option("--key", metavar="FILE", help="The public key.")] = "sealing-key.pub",
    output: OutputOption = Output.TEXT,
) -> None:
    """Seal a value, read from standard input or asked for without an echo, and print what goes into the manifest."""
    from reconciler.app import sealing  # noqa: PLC0415 - as above

    for name, text in (("--application", application), ("--api", api)):
        if text is not None and (not text or "*" in text or "/" in text):
            raise SettingsError(f"{name}: a sealed value is for one {name[2:].title()}; give its name")
    prepared = sealing.Seal(Path(key), application=application, api=api, place=field)
    text = prepared.of(_value())  # asked for last, so that nobody types one in vain
    if output is Output.JSON:
        console.print_json({"sealed": text})
    else:
        sys.stdout.write(f"sealed: {text}\n")


def _value() -> str:
    """The value; one newline at its end does not count."""
    if sys.stdin.isatty():
        return str(typer.prompt("Value", hide_input=True, err=True))
    content = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise SealingError("the value is larger than 64 KiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SealingError("the value is no text in UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def unseal(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder or file of manifests.")] = "manifests/",
    check: Annotated[bool, typer.Option("--check", help="Only say whether each value opens.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say of each sealed value whether it opens with RECONCILER_SEALING_KEYS. Exit 0 where all do, 1 where not."""
    from reconciler.app import sealing  # noqa: PLC0415 - as above

    if not check:
        raise SettingsError("values are never printed; `reconciler unseal --check` says whether they open")
    found = sealing.Folder(Path(folder), settings.load())
    checked = found.check()
    if output is Output.JSON:
        items = [
            {
                "file": each.value.file,
                "line": each.value.line,
                "column": each.value.column,
                "field": each.value.field,
                "application": each.value.application,
                "boundTo": each.value.bound,
                "opens": not each.complaint,
                "reason": each.complaint,
            }
            for each in checked
        ]
        problems = [str(problem) for problem in found.problems]
        console.print_json({"items": items, "problems": problems, "keys": list(found.complaints_of_keys)})
    else:
        console.print_problems(found.problems)
        console.print_problems(found.complaints_of_keys)
        console.print_problems(each.value.problem(each.complaint) for each in checked if each.complaint)
        opens, bad = sealing.summary(checked)
        console.print_lines([("bold", f"{plural(opens, 'value')} open{'s' if opens == 1 else ''}, {bad} not")])
    raise typer.Exit(1 if found.problems or any(each.complaint for each in checked) else 0)


def rotate(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder or file of manifests.")],
    to: Annotated[str, typer.Option("--to", metavar="PUBLIC_KEY", help="The file of the new public key.")],
    output: OutputOption = Output.TEXT,
) -> None:
    """Seal every value of a folder to a new key, in place; nothing else in the files changes."""
    from reconciler.app import sealing  # noqa: PLC0415 - as above

    made = sealing.Folder(Path(folder), settings.load()).rotate(Path(to))
    if output is Output.JSON:
        console.print_json({"sealed": made.sealed, "kept": made.kept, "files": list(made.files)})
        return
    console.print_lines(("", file) for file in made.files)
    values, files = plural(made.sealed, "value"), plural(len(made.files), "file")
    console.print_lines([("bold", f"{values} sealed anew in {files}, {made.kept} had the new key already")])
