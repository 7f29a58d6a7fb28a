"""The JSON Schema of a manifest, for editors; generated from the models, so that it cannot lag behind them.

Forbidden here: a rule that stands in no model.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter

from schemas.access_token import AccessToken
from schemas.api import Api, ApiSpec
from schemas.application import Application, ApplicationSpec
from schemas.calendar import Calendar
from schemas.environment import Environment
from schemas.freeze_window import FreezeWindow

_Manifest = Annotated[
    Application | Api | Calendar | FreezeWindow | Environment | AccessToken, Field(discriminator="kind")
]


def manifest_schema() -> dict[str, Any]:
    """One schema (draft 2020-12) for a document of any kind, told apart by ``kind``."""
    generated = TypeAdapter(_Manifest).json_schema(by_alias=True, mode="validation")
    generated.pop("discriminator")  # OpenAPI's word: JSON Schema knows `oneOf` alone
    for definition in generated["$defs"].values():
        for declared in definition.get("properties", {}).values():
            declared.pop("title", None)  # made of the name by pydantic, and shown by editors instead of it
            if declared.get("default", ...) is None or isinstance(declared.get("default"), dict):
                del declared["default"]  # an editor that fills in nulls or whole mappings does nobody a service
    generated["$defs"]["Patch"] |= _fields_of_a_patch(generated["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:reconciler:manifest:v1",
        "title": "Reconciler manifest",
        "description": "An Application; an Api of one: an HTTP call and the schedule on which it is made; "
        "a Calendar of days on which jobs do not run, or run alone; a FreezeWindow in which nothing is called; "
        "an Environment in which some of it is different; an AccessToken that lets somebody read or trigger.",
        "type": "object",
        **generated,
    }


def _fields_of_a_patch(definitions: dict[str, Any]) -> dict[str, Any]:
    """Which fields a patch may name; not what they hold, because half a value and ``null`` will do there."""

    def spec(model: type[BaseModel]) -> dict[str, Any]:
        declared = definitions[model.__name__]["properties"].items()
        fields = {name: {"description": each.get("description", "")} for name, each in declared if name != "apis"}
        return {"properties": {"spec": {"properties": fields, "additionalProperties": False}}}

    return {"if": {"required": ["api"]}, "then": spec(ApiSpec), "else": spec(ApplicationSpec)}
