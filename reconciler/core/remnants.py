"""What stays of a document without what is wrong in it, so that the rest of it can be judged at the same time.

What is absent where something was taken away may be just what was meant there: ``ulr`` is ``url`` misspelt, and nobody
is to be told that there is neither ``url`` nor ``path``. Forbidden here: a remnant that becomes a job, or anything else
but a reason to say more about its document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.core.declared import Path
from reconciler.core.wording import path_of
from schemas.api import Api, ApiSpec
from schemas.application import Application
from schemas.base import LackingError
from schemas.environment import Patch
from schemas.freeze_window import FreezeWindow, FreezeWindowSpec

# What stands for what cannot be judged; nothing is wrong with it.
_SOME_SCHEDULE: Final = "@daily"
_SOME_REQUEST: Final = {"url": "http://localhost/"}
_SOME_WINDOW: Final = {"start": _SOME_SCHEDULE, "duration": "1h"}
_NO_AUTH: Final = {"none": True}
ANY: Final = "*"

_ADDRESSES: Final = frozenset({"url", "path"})
_API_FIELDS: Final = frozenset(field.alias or name for name, field in ApiSpec.model_fields.items())
_WINDOW_FIELDS: Final = frozenset({"start", "duration", "timeZone", "startsAt", "endsAt"})


class Remnant:
    """A document, or a part of one, without what is wrong in it.

    Attributes:
        model: of the whole value.
        value: with ``None`` for each item of a list that was taken, so that the others stay where they are.
        errors: what pydantic finds now and could not find before, and what does not merely follow from what was taken.
    """

    def __init__(
        self, model: type[BaseModel], value: Any, errors: Iterable[ErrorDetails], besides: Iterable[Path] = ()
    ) -> None:
        """Take away what is wrong.

        Args:
            model: of the whole value.
            value: in plain values.
            errors: of pydantic.
            besides: where something is wrong besides.
        """
        taken = dict.fromkeys(besides, True)  # whether it may be another field, misspelt
        taken |= {path_of(each, value): each["type"] == "extra_forbidden" for each in errors}
        self.model = model
        self.value = _without(value, taken)
        self._taken = taken
        self._lacking = {path[:-1] for path in taken}
        self._strange = {path[:-1] for path, strange in taken.items() if strange}
        left = [(path_of(each, self.value), each) for each in errors_of(model, self.value)]
        self._wrong: dict[Path, set[str | int]] = {}  # path -> what is wrong directly in it or deeper
        for path, _ in left:
            for end, step in enumerate(path):
                self._wrong.setdefault(path[:end], set()).add(step)
        self.errors = [each for path, each in left if path not in taken and self._is_certain(path, each)]

    def _is_certain(self, path: Path, error: ErrorDetails) -> bool:
        if error["type"] != "value_error":  # it lacks what was taken
            return False
        return not (isinstance(error["ctx"]["error"], LackingError) and path in self._lacking)

    def may_have(self, path: Path, name: str | int) -> bool:
        """Whether a field that ``at`` does not have may be meant to stand there."""
        return path in self._strange or (*path, name) in self._taken or name in self._wrong.get(path, ())

    def at(self, path: Path) -> Mapping[str, Any] | None:
        """What is sound of the mapping at a path; ``None`` where there is none."""
        found = found_at(self.value, path)
        if not isinstance(found, dict):
            return None
        wrong = self._wrong.get(path, ())
        return {name: each for name, each in found.items() if name not in wrong}

    def items(self, path: Path) -> list[Any]:
        """The items of the list at a path, ``None`` for each that is not sound at all; none where there is no list."""
        found = found_at(self.value, path)
        return found if isinstance(found, list) else []


def found_at(value: Any, path: Path) -> Any:
    """What stands at a path; ``None`` where nothing does."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, TypeError):
            return None
    return value


def errors_of(model: type[BaseModel], value: Any) -> list[ErrorDetails]:
    """Everything that pydantic has against a value."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False)
    return []


def sound_api(remnant: Remnant, path: Path) -> ApiSpec | None:
    """The Api at a path as far as it is sound; ``None`` where there is none.

    What cannot be judged is replaced by something about which nothing is wrong.
    """
    found = remnant.at(path)
    if found is None:
        return None
    spec = {"schedule": _SOME_SCHEDULE} | {name: found[name] for name in _API_FIELDS & found.keys()}
    request = spec.get("request", {})
    places = [(*path, "request", name) for name in _ADDRESSES] if "request" in spec else [(*path, "request")]
    if not _ADDRESSES & request.keys() and any(remnant.may_have(place[:-1], place[-1]) for place in places):
        spec["request"] = request | _SOME_REQUEST
    if "auth" not in spec and remnant.may_have(path, "auth"):
        spec["auth"] = _NO_AUTH
    return ApiSpec.model_validate(spec)


def sound_schedules(remnant: Remnant) -> Iterator[tuple[Path, ApiSpec | FreezeWindowSpec]]:
    """Whatever holds a schedule, by its path."""
    yield from sound_apis(remnant)
    if remnant.model is FreezeWindow and (window := sound_window(remnant)) is not None:
        yield ("spec",), window


def sound_apis(remnant: Remnant) -> Iterator[tuple[Path, ApiSpec]]:
    """Every Api of a document, as far as it is sound, by the path of its spec."""
    paths: list[Path] = [("spec",)] if remnant.model is Api else []
    if remnant.model is Application:
        paths = [("spec", "apis", index) for index in range(len(remnant.items(("spec", "apis"))))]
    for path in paths:
        if (api := sound_api(remnant, path)) is not None:
            yield path, api


def sound_window(remnant: Remnant) -> FreezeWindowSpec | None:
    """The spec of a freeze window as far as it is sound, but for its Applications; ``None`` where there is none."""
    found = remnant.at(("spec",))
    if found is None:
        return None
    fields = _WINDOW_FIELDS & found.keys()
    return FreezeWindowSpec.model_validate(_SOME_WINDOW | {name: found[name] for name in fields})


def sound_patches(remnant: Remnant) -> Iterator[tuple[int, Patch]]:
    """The patches of an environment as far as they are sound, by their index."""
    for index in range(len(remnant.items(("spec", "patches")))):
        path: Path = ("spec", "patches", index)
        found = remnant.at(path)
        if found is None:
            continue
        application, api, spec = found.get("application", ANY), found.get("api"), found.get("spec", {})
        if api is None and remnant.may_have(path, "api"):
            api, spec = ANY, {}  # it may be for an Application, or for an Api
        if application == ANY and api is not None:
            api = ANY
        yield index, Patch(application=application, api=api, spec=spec)


def _without(value: Any, paths: Iterable[Path]) -> Any:
    """A copy without what stands at some paths; what lies on no way to them is shared."""
    tree: dict[str | int, Any] = {}
    for path in paths:
        branch: dict[str | int, Any] | None = tree
        for step in path[:-1]:
            if branch is not None:
                branch = branch.setdefault(step, {})
        if branch is not None and path:
            branch[path[-1]] = None
    return _pruned(value, tree)


def _pruned(value: Any, tree: Mapping[str | int, Any]) -> Any:
    """``tree`` has an entry for each step to be taken, ``None`` for each to be left out."""
    if isinstance(value, dict):
        kept = ((name, each) for name, each in value.items() if tree.get(name, tree) is not None)
        return {name: _pruned(each, tree[name]) if name in tree else each for name, each in kept}
    if isinstance(value, list):
        return [
            each if index not in tree else None if tree[index] is None else _pruned(each, tree[index])
            for index, each in enumerate(value)
        ]
    return value
