"""What pydantic finds wrong with a manifest, as sentences that name the field and say what to do.

Forbidden here: echoing a value that is not a name, a choice or a zone; anything else could be what nobody should see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, get_args
from zoneinfo import available_timezones

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from reconciler.core.suggest import closest, did_you_mean, excerpt
from schemas.access_token import AccessToken, AccessTokenSpec
from schemas.api import Api, ApiMetadata, ApiSpec, InlineApi
from schemas.application import Application, ApplicationSpec, Defaults, Limits
from schemas.base import Metadata
from schemas.calendar import Calendar, CalendarSpec
from schemas.environment import Environment, EnvironmentSpec, Patch
from schemas.freeze_window import FreezeWindow, FreezeWindowSpec
from schemas.request import Request
from schemas.secret import TAGS

Path = tuple[str | int, ...]

_SCHEDULE_FORMS: Final = ("text", "cron", "every", "at", "frequency", "after")  # tags of the union in schemas.schedule
_SCHEDULES: Final = frozenset({"schedule", "start"})  # where it stands
_NAMES: Final = frozenset({"name", "application"})
_NAMED_IN: Final = frozenset({"except", "only"})  # lists of names
_MISNAMED: Final = frozenset({"string_pattern_mismatch", "string_too_long", "string_too_short"})
_WANTED: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
}
_DESCRIBED: Final[Mapping[type, str]] = {
    str: "a string",
    int: "a number",
    float: "a number with a fraction",
    list: "a list",
    dict: "a mapping",
}
_TOO: Final = {
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than_equal": ("must be at most {}", "le"),
    "string_too_long": ("must have at most {} character", "max_length"),
    "string_too_short": ("must have at least {} character", "min_length"),
    "too_long": ("must have at most {} item", "max_length"),
    "too_short": ("must have at least {} item", "min_length"),
}
# Where each kind's fields belong, for the field that stands in the wrong mapping.
_HOMES: Final[Mapping[type[BaseModel], Sequence[tuple[str, type[BaseModel]]]]] = {
    Api: (("spec", ApiSpec), ("spec.request", Request), ("metadata", ApiMetadata)),
    Application: (
        ("spec", ApplicationSpec),
        ("spec.defaults", Defaults),
        ("metadata", Metadata),
        ("an entry of spec.apis", InlineApi),
        ("the request of an Api", Request),
    ),
    FreezeWindow: (("spec", FreezeWindowSpec), ("metadata", Metadata)),
    Calendar: (("spec", CalendarSpec), ("metadata", Metadata)),
    AccessToken: (("spec", AccessTokenSpec), ("metadata", Metadata)),
    Environment: (
        ("spec", EnvironmentSpec),
        ("an entry of spec.patches", Patch),
        ("the spec of a patch", ApplicationSpec),
        ("the spec of a patch with `api`", ApiSpec),
        ("metadata", Metadata),
    ),
    # as they stand in a patch
    ApplicationSpec: (
        ("defaults", Defaults),
        ("limits", Limits),
        ("a patch with `api`", ApiSpec),
        ("`request` of a patch with `api`", Request),
    ),
    ApiSpec: (("the spec itself", ApiSpec), ("request", Request), ("a patch without `api`", ApplicationSpec)),
}


class Fault(NamedTuple):
    """What is wrong at which path; ``at_key`` where the key is wrong and not its value."""

    path: Path
    at_key: bool
    message: str


def explain(error: ErrorDetails, model: type[BaseModel], value: Any) -> Fault | None:
    """Put one of pydantic's errors into words; ``model`` and ``value`` are those of the whole document.

    ``None`` for an error that merely follows from another.
    """
    kind = error["type"]
    path, at_key = path_of(error, value), error["loc"][-1:] == ("[key]",)
    if kind == "missing":
        return Fault(path, at_key, "this field is required")
    if kind == "extra_forbidden":
        return Fault(path, True, _unknown_field(path, model))  # noqa: FBT003 - a field of the tuple
    found = path[-1] if at_key else _at(value, path)
    if kind == "too_short" and isinstance(found, list | str) and found:
        return None  # items that are wrong themselves do not count
    if (
        path
        and (path[-1] in _NAMES or _NAMED_IN.intersection(path[-2:]))
        and kind in _MISNAMED
        and isinstance(found, str)
    ):
        return Fault(path, at_key, _not_a_name(found))
    if kind == "value_error" and path and path[-1] == "timeZone" and isinstance(found, str):
        return Fault(path, at_key, f"there is no time zone `{excerpt(found)}`{_zone_hint(found)}")
    return Fault(path, at_key, _message(error, found))


def did_you_mean_choice(found: object, choices: Sequence[str]) -> str:
    """``must be Application or Api (did you mean …?)``."""
    listed = choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
    hint = did_you_mean(found, choices) if isinstance(found, str) else ""
    shown = f", not `{excerpt(found)}`" if isinstance(found, str) else f", not {describe(found)}"
    return f"must be {listed}{shown}{hint}"


def describe(value: object) -> str:
    """What a value is, without saying which: ``a number``, ``a list``."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return _DESCRIBED[type(value)]


def _message(error: ErrorDetails, found: object) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _WANTED:
        quote = "; quote it" if kind == "string_type" and isinstance(found, int | float) else ""
        return f"must be {_WANTED[kind]}, {'and is' if found is None else 'not'} {describe(found)}{quote}"
    if kind in _TOO:
        template, bound = _TOO[kind]
        text = template.format(context[bound])
        if isinstance(found, str):  # pydantic speaks of items once a validator of ours came first
            text = text.replace("item", "character")
        return f"{text}s" if bound.endswith("length") and context[bound] != 1 else text
    if kind == "literal_error":
        return did_you_mean_choice(found, [each.strip("'") for each in _choices(context["expected"])])
    if kind == "schedule_form" and isinstance(found, dict):
        hints = (did_you_mean(key, _SCHEDULE_FORMS[1:]) for key in found)
        return error["msg"] + next(filter(None, hints), "")
    if kind == "value_error":
        return str(context["error"])
    return error["msg"]


def _choices(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ")


def _not_a_name(found: str) -> str:
    fitting = "".join(each if each.isascii() and each.isalnum() else "-" for each in found.lower()).strip("-")[:63]
    hint = f" (did you mean `{fitting.strip('-')}`?)" if fitting else ""
    rule = "a name is a DNS label: lower-case letters, digits and dashes between them, at most 63 characters"
    return f"`{excerpt(found)}` is not a name{hint}; {rule}"


def path_of(error: ErrorDetails, value: Any) -> Path:
    """Where in a document, as it is written, one of pydantic's errors stands."""
    return _standing(value, _path(error["loc"]))


def _path(loc: Sequence[str | int]) -> Path:
    """Pydantic's ``loc`` without what does not stand in the document: tags of unions and ``[key]`` marks."""
    return tuple(
        step
        for index, step in enumerate(loc)
        if step != "[key]"
        and step not in TAGS  # of a text, or a reference to a secret
        and not (index and loc[index - 1] in _SCHEDULES and step in _SCHEDULE_FORMS)
    )


def _standing(value: Any, path: Path) -> Path:
    """The path as it stands in the document, where one text will do for a list of one."""
    for index, step in enumerate(path):
        if isinstance(value, str) and isinstance(step, int):
            return path[:index]
        try:
            value = value[step]
        except (KeyError, TypeError):  # something is missing on the way, or is no mapping
            break
    return path


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _unknown_field(path: Path, model: type[BaseModel]) -> str:
    name = str(path[-1])
    known = _fields_at(model, tuple(step for step in path[:-1] if isinstance(step, str)))
    homes = [home for home, owner in _homes(model) if name in _aliases(owner)]
    if not homes and (found := _closest_field(name, known)):
        return f"unknown field (did you mean `{found}`?)"
    if homes:
        return f"unknown field here; `{name}` belongs in {homes[0]}"
    return f"unknown field; the fields here are {', '.join(known)}"


@lru_cache(maxsize=256)
def _fields_at(model: type[BaseModel], steps: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({alias for each in _models_at(model, steps) for alias in _aliases(each)}))


@lru_cache(maxsize=1024)
def _closest_field(name: str, known: tuple[str, ...]) -> str | None:
    return closest(name, known)  # one mistake is often made many times


def _homes(model: type[BaseModel]) -> Sequence[tuple[str, type[BaseModel]]]:
    return next(homes for kind, homes in _HOMES.items() if issubclass(model, kind))


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_at(model: type[BaseModel], steps: Sequence[str]) -> list[type[BaseModel]]:
    """The models that may stand at a path: one, or several where a union has not been told apart."""
    models = [model]
    for step in steps:
        annotations = [
            field.annotation for each in models for name, field in each.model_fields.items() if field.alias == step
        ]
        models = [found for annotation in annotations for found in _models_in(annotation)]
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


_zones: Callable[[], set[str]] = lru_cache(maxsize=1)(available_timezones)


@lru_cache(maxsize=256)
def _zone_hint(found: str) -> str:
    hint = did_you_mean(found, _zones())
    return hint or "; zones are named like Europe/Berlin"
