"""The sealed values of a manifest file: where each stands, and what it must be sealed for. Also: putting others there.

Files are looked at as YAML and no more, so that values can be checked and sealed anew in manifests that are not valid.
Forbidden here: keys, and anything but the text of sealed values in what is rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from reconciler.core.model import Problem
from reconciler.core.sealed import use_at
from reconciler.core.yaml import Document, field_name, read
from schemas.secret import IN_JSON

_FORM: Final = "sealed"
_REQUEST: Final = {"headers": "header", "query": "query", "form": "form"}
_DEFAULTS: Final = {"headers": "header", "query": "query"}
_KEY_AND_VALUE: Final = 2

Path = tuple[str | int, ...]


class SealedValue(NamedTuple):
    """One sealed value.

    Attributes:
        file, line, column, field: where it stands.
        text: the sealed value.
        application: for which it must be sealed; empty where that cannot be told, and ``fault`` says why.
        bound: the field that it must be sealed for.
        fault: why it can be used for nothing.
    """

    file: str
    line: int
    column: int
    field: str
    text: str
    application: str = ""
    bound: str = ""
    fault: str = ""

    def problem(self, message: str) -> Problem:
        """Something wrong with it, at its place."""
        return Problem(file=self.file, line=self.line, column=self.column, field=self.field, message=message)


def sealed_values(file: str, content: bytes) -> Iterator[SealedValue | Problem]:
    """Every sealed value of a file; a ``Problem`` where something cannot be read, so that there may be more."""
    for document in read(file, content):
        if isinstance(document, Problem):
            yield document
            continue
        for path, place, message in document.problems:
            yield Problem(
                file=file, line=place.line, column=place.column, field=field_name(tuple(path)), message=message
            )
        if document.whole:
            yield from _in_document(file, document)


def _in_document(file: str, document: Document) -> Iterator[SealedValue]:
    for path, text in _texts(document.value, ()):
        place = document.value_at(path)
        found = SealedValue(file, place.line, place.column, field_name(path), text)
        target = _target(document.value, path[:-1])
        if isinstance(target, str):
            yield found._replace(fault=target)
        else:
            application, api, where = target
            yield found._replace(application=application, bound=use_at(where, api).field(api or ""))


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Mapping):
        text = value.get(_FORM)
        if len(value) == 1 and isinstance(text, str) and not _is_data(path):
            yield (*path, _FORM), text
            return
        for key, each in value.items():
            yield from _texts(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(each, (*path, index))


def _is_data(path: Path) -> bool:
    """Whether it stands in a JSON body without ``$secret``."""
    bodies = [at for at, step in enumerate(path) if step == "json" and at and path[at - 1] in ("request", "handshake")]
    return bool(bodies) and path[-1] != IN_JSON


def _target(value: Any, path: Path) -> tuple[str, str | None, str] | str:
    """The Application, the Api (``None`` for the Application itself) and the place; or why there is none."""
    kind, metadata = value.get("kind"), value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    owner = metadata.get("application") if isinstance(metadata, Mapping) else None
    match kind, path:
        case "Application", ("spec", "apis", int(index), *rest):
            api = value["spec"]["apis"][index]
            return _of(name, api.get("name") if isinstance(api, Mapping) else None, rest)
        case "Application", ("spec", *rest):
            return _of(name, None, rest, of_application=True)
        case "Api", ("spec", *rest):
            return _of(owner, name, rest)
        case "Environment", ("spec", "patches", int(index), "spec", *rest):
            patch = value["spec"]["patches"][index]
            return _of(patch.get("application"), patch.get("api"), rest, of_application="api" not in patch)
    return "no secret can stand here"


def _of(
    application: Any, api: Any, path: Sequence[str | int], *, of_application: bool = False
) -> tuple[str, str | None, str] | str:
    names = [application] if of_application else [application, api]
    if any(not isinstance(name, str) or not name for name in names):
        return "it cannot be told for whom it is: the name is missing"
    if any("*" in name for name in names):
        return "a sealed value is for one Application and one Api; name them instead of a pattern"
    where = _place(path, of_application=of_application)
    if where is None:
        return "no secret can stand here"
    return application, None if of_application else api, where


def _place(path: Sequence[str | int], *, of_application: bool) -> str | None:
    match path:
        case ["auth", "handshake", *rest]:
            inner = _in_request(rest)
            return None if inner is None else f"auth:{inner}"
        case ["auth", "hmac", "secrets", int()]:
            return "auth:secret"
        case ["auth", str(), str(field)]:
            return f"auth:{field}"
        case ["defaults", "headers" | "query" as where, str(name)] if of_application:
            return f"{_DEFAULTS[str(where)]}:{name}"
        case ["request", *rest] if not of_application:
            return _in_request(rest)
    return None


def _in_request(path: Sequence[str | int]) -> str | None:
    if path and path[0] == "json" and path[-1] == IN_JSON:
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path[1:-1])
        return f"body:{''.join(f'/{step}' for step in steps)}"
    if len(path) == _KEY_AND_VALUE and path[0] in _REQUEST:
        return f"{_REQUEST[str(path[0])]}:{path[1]}"
    return None


def resealed(content: bytes, texts: Mapping[str, str]) -> bytes | str:
    """A file with other sealed values in the places of the old ones; everything else stays to the byte.

    Returns:
        The content; or one of the old values that does not stand in it in one piece.
    """
    for old, new in texts.items():
        if old.encode() not in content:
            return old
        content = content.replace(old.encode(), new.encode())
    return content
