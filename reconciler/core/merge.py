"""Merging a patch into the spec of an Application or an Api, both in plain values.

Mappings are merged key by key, ``None`` removes a field, everything else replaces it (as in RFC 7396). Where one of
several alternatives is declared, a patch that names another one does not have to remove the first by hand.
Forbidden here: knowing whether the result is valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.auth import KINDS, OFF
from schemas.secret import FORMS as _REFERENCES
from schemas.secret import IN_JSON

Values = Mapping[str, Any]
Path = tuple[str, ...]

_FORMS: Final = ("cron", "every", "at", "frequency", "after")
_BOUNDS: Final = ("timeZone", "startsAt", "endsAt", "except", "only")  # stand in a schedule or beside it
_BODIES: Final = ("json", "form", "text")
_HANDSHAKE: Final = ("auth", "handshake")
_VALUES: Final = frozenset(
    {("request", "headers"), ("request", "query"), ("request", "form"), ("defaults", "headers"), ("defaults", "query")}
    | {(*_HANDSHAKE, "headers"), (*_HANDSHAKE, "query")}
    | {("auth", kind) for kind in KINDS if kind != "handshake"}
)
_HEADERS: Final = frozenset({("request", "headers"), ("defaults", "headers"), (*_HANDSHAKE, "headers")})
# Of which only one can stand there, by path.
_RIVALS: Final[Mapping[Path, tuple[tuple[str, ...], ...]]] = {
    ("auth",): ((*KINDS, OFF),),
    ("auth", "hmac"): (("secret", "secrets"),),
    _HANDSHAKE: (("url", "path"),),
}


def merge(base: Values, patch: Values) -> dict[str, Any]:
    """A spec with a patch merged in; neither is changed. Merging the same patch again changes nothing."""
    return _merged(_one_place_for_bounds(base, patch), patch, ())


def _merged(base: Values, patch: Values, path: Path) -> dict[str, Any]:
    result = dict(base)
    for key, value in patch.items():
        if path in _HEADERS:
            _drop_other_capitals(result, key, patch)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            here = (*path, key)
            result[key] = _merged(_ready(result.get(key), value, here), value, here)
        else:
            result[key] = value
    return result


def _ready(base: Any, patch: Values, path: Path) -> Values:
    """What a mapping is merged into: the old one without the alternatives that the patch replaces."""
    if path == ("schedule",):
        return _ready_schedule({"cron": base} if isinstance(base, str) else base or {}, patch)
    if not isinstance(base, dict) or (IN_JSON in base) != (IN_JSON in patch):  # a secret, and data: no halves of both
        return {}
    if path[:-1] in _VALUES or path[-1] == IN_JSON:
        return _without_rivals(base, patch, _REFERENCES)
    for rivals in _RIVALS.get(path, ()):
        base = _without_rivals(base, patch, rivals)
    return _ready_request(base, patch) if path == ("request",) else base


def _ready_schedule(base: Values, patch: Values) -> Values:
    if _form(patch) not in (None, _form(base)):
        return {}
    return _without_rivals(base, patch, ("on", "day"))


def _form(schedule: Values) -> object:
    """Which alternative a schedule is; one frequency is no other."""
    form = next((form for form in _FORMS if schedule.get(form) is not None), None)
    return schedule[form] if form == "frequency" else form


def _ready_request(base: Values, patch: Values) -> Values:
    result = _without_rivals(_without_rivals(base, patch, ("url", "path")), patch, _BODIES)
    if "contentType" in result and patch.get("text") is None and _named(patch, _BODIES):
        result = {key: value for key, value in result.items() if key != "contentType"}  # it goes with `text`
    return result


def _without_rivals(base: Values, patch: Values, rivals: tuple[str, ...]) -> Values:
    if not (named := _named(patch, rivals)):
        return base
    return {key: value for key, value in base.items() if key not in rivals or key in named}


def _named(patch: Values, keys: tuple[str, ...]) -> list[str]:
    return [key for key in keys if patch.get(key) is not None]


def _one_place_for_bounds(base: Values, patch: Values) -> Values:
    """A zone or a bound stands once: a patch that gives it beside the schedule takes it out of it, and the reverse."""
    schedule, patched = base.get("schedule"), patch.get("schedule")
    inner = _named(patched, _BOUNDS) if isinstance(patched, dict) else []
    result = {key: value for key, value in base.items() if key not in inner}
    if isinstance(schedule, dict) and (outer := _named(patch, _BOUNDS)):
        result["schedule"] = {key: value for key, value in schedule.items() if key not in outer}
    return result


def _drop_other_capitals(headers: dict[str, Any], name: str, patch: Values) -> None:
    """Capitals make no difference in a header's name; one that a patch gives twice stays the mistake that it is."""
    for other in [each for each in headers if each not in patch and each.lower() == name.lower()]:
        del headers[other]
