"""Writes docs/manifests.md and docs/settings.md from the models; `make docs` runs it, a test compares.

Forbidden here: facts about fields. They stand in the models' descriptions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from reconciler.settings import PREFIX, Settings
from schemas.api import ApiSpec
from schemas.application import ApplicationSpec, Defaults, Limits
from schemas.base import Metadata, format_duration
from schemas.request import Expect, ExpectBody, Request, Retry
from schemas.schedule import At, Cron, Every, Frequency

FOLDER = Path(__file__).parent

_SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("metadata", Metadata, "Of every manifest; an Api's also names its `application`."),
    ("Application: spec", ApplicationSpec, ""),
    ("Application: spec.defaults", Defaults, ""),
    ("Application: spec.limits", Limits, ""),
    ("Api: spec", ApiSpec, "Also the fields of each item of an Application's `apis`, beside `name` and `labels`."),
    (
        "schedule, as a cron expression with bounds",
        Cron,
        "Without bounds, the bare string will do: `schedule: '0 2 * * *'`.",
    ),
    ("schedule, as an interval", Every, ""),
    ("schedule, once", At, ""),
    ("schedule, as a frequency", Frequency, ""),
    ("request", Request, ""),
    ("expect", Expect, ""),
    ("expect.body", ExpectBody, ""),
    ("retry", Retry, ""),
)

_MANIFESTS_HEAD = """# Manifests

Made from the models by `make docs`; `reconciler schema` prints the same as JSON Schema, for editors.

Every manifest begins with `apiVersion: reconciler/v1` and a `kind`, `Application` or `Api`. Unknown fields are refused.
Durations are whole numbers with units, largest first: `90s`, `2h30m`, `1d`, `250ms`. Instants are ISO 8601; without an offset they are
wall time in the schedule's time zone.

An Api starts from its Application's `defaults`. Headers and query parameters are merged by name and the Api's win; `expect` and `retry` are merged
field by field; everything else is replaced. What neither declares has the default that the field's description names.

`retry` applies to connection errors, timeouts, 408, 429 and 5xx, unless `expect.status` names them as success. Under `delivery: atMostOnce`, which
is the default of POST and PATCH, a call is only tried again where it is certain that the request never left, for at most one call may
reach the target; declare `delivery: atLeastOnce` where the target can bear a second one. Every attempt of a run carries the same `Idempotency-Key`.

`catchUp` is read, checked and kept, but nothing acts on it yet: slots that pass while no reconciler runs are neither made up nor recorded.
"""

_SETTINGS_HEAD = """# Settings

Made from the model by `make docs`. A flag wins over a variable, a variable over the default; an empty variable counts as not set.
`reconciler check` says whether they are usable, and names `RECONCILER_*` variables that set nothing.

| variable | default | what it sets |
| --- | --- | --- |
"""


def manifests() -> str:
    """The text of docs/manifests.md."""
    parts = [_MANIFESTS_HEAD]
    for title, model, note in _SECTIONS:
        parts.append(
            f"\n## {title}\n\n{note or _first_line(model)}\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n"
        )
        parts.extend(_rows(model))
    return "".join(parts)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").splitlines()[0]


def _rows(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema()
    definitions, required = schema.get("$defs", {}), schema.get("required", [])
    rows = []
    for name, field in schema["properties"].items():
        default = "**required**" if name in required else _default(field.get("default"))
        meaning = field.get("description") or _resolved(field, definitions).get("description", "")
        rows.append(f"| `{name}` | {_type(field, definitions)} | {default} | {' '.join(meaning.split())} |\n")
    return rows


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref") or next((one["$ref"] for one in field.get("anyOf", ()) if "$ref" in one), None)
    return definitions[reference.rpartition("/")[2]] if reference else field


def _default(value: Any) -> str:
    if value in (None, "", {}, []) or isinstance(value, dict):
        return ""
    return (
        f"`{str(value).lower() if isinstance(value, bool) else ', '.join(value) if isinstance(value, list) else value}`"
    )


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "enum" in field or "const" in field:
        return " \\| ".join(f"`{value}`" for value in field.get("enum") or [field["const"]])
    if "anyOf" in field or "oneOf" in field:
        options = field.get("anyOf") or field["oneOf"]
        return " or ".join(dict.fromkeys(_type(one, definitions) for one in options if one.get("type") != "null"))
    if "$ref" in field:
        return _type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    kind = field.get("type", "any")
    if "pattern" in field and "d)?" in field["pattern"]:
        return "duration"
    if kind == "array":
        return f"list of {_type(field.get('items', {}), definitions)}"
    return " or ".join(kind) if isinstance(kind, list) else {"object": "mapping"}.get(kind, kind)


def settings() -> str:
    """The text of docs/settings.md."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        text = (
            "" if default is None else format_duration(default) if hasattr(default, "total_seconds") else str(default)
        )
        if name == "max_prune":
            text = f"{default:.0%}"
        rows.append(f"| `{PREFIX}{name.upper()}` | {f'`{text}`' if text else 'none'} | {field.description} |\n")
    return _SETTINGS_HEAD + "".join(rows)


def main() -> None:
    """Write both files."""
    (FOLDER / "manifests.md").write_text(manifests(), encoding="utf-8")
    (FOLDER / "settings.md").write_text(settings(), encoding="utf-8")


if __name__ == "__main__":
    main()
