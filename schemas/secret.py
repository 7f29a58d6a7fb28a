"""References to secret values, never the values: where a credential stands, a manifest says only where to find it.

Forbidden here: reading a secret; echoing what a malformed reference holds, for it may be the value itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from schemas.base import Strict, clean_text

FORMS: Final = ("env", "file", "sealed")
IN_JSON: Final = "$secret"  # in a JSON body, where {env: …} could be data

# Tags of the union below; no name of a field can be like these.
TEXT: Final = "[a text]"
REFERENCE: Final = "[a reference]"
TAGS: Final = frozenset({TEXT, REFERENCE})

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,252}", re.ASCII)
_OWN_VARIABLES: Final = "RECONCILER_"
_SEALED: Final = re.compile(r"v1\.[0-9a-f]{8}\.[A-Za-z0-9_-]{64,131072}", re.ASCII)
_LONGEST_PATH: Final = 1024


def check_variable(name: object) -> str:
    """Accept the name of an environment variable that is not one of the reconciler's own settings.

    Raises:
        ValueError: saying what is wrong.
    """
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise ValueError("`env` names a variable: letters, digits and _, such as BILLING_KEY")
    if name.upper().startswith(_OWN_VARIABLES):
        raise ValueError("the reconciler's own variables (RECONCILER_…) are sent to nobody")
    return name


def check_file(path: object) -> str:
    """Accept a path without ``..`` in it.

    Raises:
        ValueError: saying what is wrong.
    """
    if not isinstance(path, str) or not path or len(path) > _LONGEST_PATH or path.endswith("/"):
        raise ValueError("`file` is the path of a file, such as /run/secrets/billing-key")
    clean_text(path)
    if ".." in path.split("/"):
        raise ValueError("the path of a `file` has no .. in it")
    return path


def check_sealed(text: object) -> str:
    """Accept the form of a sealed value; whether it opens is seen by whoever has the key.

    Raises:
        ValueError: it cannot be one, or not a whole one.
    """
    if not isinstance(text, str) or not _SEALED.fullmatch(text):
        raise ValueError("`sealed` is one line that `reconciler seal` has printed: v1., a key id, and the sealed value")
    return text


CHECKS: Final[Mapping[str, Callable[[object], str]]] = {
    "env": check_variable,
    "file": check_file,
    "sealed": check_sealed,
}


def check_reference(value: object) -> object:
    """Accept a mapping with exactly one of ``env``, ``file`` and ``sealed``.

    Raises:
        ValueError: saying what is wrong, without any of the values.
    """
    if isinstance(value, SecretRef):
        return value
    if not isinstance(value, Mapping) or len(value) != 1 or not value.keys() <= CHECKS.keys():
        raise ValueError("a secret value is named by exactly one of env, file and sealed: {env: NAME}")
    for form, name in value.items():
        CHECKS[form](name)
    return value


class SecretRef(Strict):
    """Where a secret value is found: exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    env: Annotated[str | None, WithJsonSchema({"type": "string", "pattern": f"^{_VARIABLE.pattern}$"})] = Field(
        default=None, description="An environment variable of the reconciler's process, by name."
    )
    file: Annotated[str | None, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _LONGEST_PATH})] = Field(
        default=None,
        description="A file of the reconciler's machine, 64 KiB at most, read anew when it changes; one newline at its "
        "end does not count. A relative path is one within `RECONCILER_SECRETS_DIR`.",
    )
    sealed: Annotated[str | None, WithJsonSchema({"type": "string", "pattern": f"^{_SEALED.pattern}$"})] = Field(
        default=None, description="The value itself, encrypted by `reconciler seal` for this field of this Application."
    )

    @property
    def form(self) -> str:
        """Which of the three it is."""
        return next(form for form in FORMS if getattr(self, form) is not None)

    @property
    def name(self) -> str:
        """What is named: the variable, the path, the sealed text."""
        return str(getattr(self, self.form))


Secret = Annotated[SecretRef, BeforeValidator(check_reference)]


def text_or_reference(value: object) -> str:
    """Which of the two is meant; for pydantic's ``Discriminator``."""
    return REFERENCE if isinstance(value, Mapping | SecretRef) else TEXT


is_reference_or_text: Final = Discriminator(text_or_reference)
AsText: Final = Tag(TEXT)
AsReference: Final = Tag(REFERENCE)


def references(value: Any, pointer: str = "") -> Iterator[tuple[str, SecretRef]]:
    """The references within a JSON body, each with its JSON pointer (RFC 6901).

    Raises:
        ValueError: one is malformed, or looks like a reference and is none; the message begins with the pointer.
    """
    if isinstance(value, Mapping):
        if IN_JSON in value:
            yield pointer, _reference_in(value, pointer)
            return
        _must_be_data(value, pointer)
        for key, each in value.items():
            yield from references(each, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from references(each, f"{pointer}/{index}")


def _reference_in(value: Mapping[str, Any], pointer: str) -> SecretRef:
    if len(value) > 1:
        raise ValueError(f"{_at(pointer)}`$secret` stands alone in its mapping: {{$secret: {{env: NAME}}}}")
    try:
        return SecretRef.model_validate(check_reference(value[IN_JSON]))
    except ValueError as error:
        raise ValueError(f"{_at(pointer)}{error}") from None


def _must_be_data(value: Mapping[str, Any], pointer: str) -> None:
    """A slip of the pen in ``$secret`` must not send a reference as if it were data."""
    if len(value) != 1:
        return
    (key, inner), *_ = value.items()
    if key.startswith("$") and isinstance(inner, Mapping) and len(inner) == 1 and inner.keys() <= CHECKS.keys():
        raise ValueError(f"{_at(pointer)}a secret value in `json` is written {{$secret: {{env: NAME}}}}")


def _at(pointer: str) -> str:
    """The place, in one line: a key may hold anything, also what moves a terminal's cursor."""
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in pointer)
    return f"{shown}: " if shown else ""


def check_json(value: Any) -> Any:
    """Accept a JSON body whose references are well formed.

    Raises:
        ValueError: as ``references``.
    """
    for _pointer, _reference in references(value):
        pass
    return value


JsonBody = Annotated[Any, AfterValidator(check_json)]
