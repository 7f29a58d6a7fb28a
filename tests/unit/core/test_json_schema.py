"""The published JSON Schema is valid, describes every field and agrees with the models."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from reconciler.core.json_schema import manifest_schema
from reconciler.core.manifests import parse
from reconciler.core.yaml import read
from schemas.access_token import AccessToken, AccessTokenSpec
from schemas.api import Api, InlineApi, Policies
from schemas.application import Application, Defaults, History, Limits
from schemas.calendar import Calendar, CalendarSpec, Range
from schemas.environment import Environment, EnvironmentSpec, Patch
from schemas.freeze_window import FreezeWindow, FreezeWindowSpec
from schemas.request import Expect, Request, Retry
from schemas.schedule import (
    After,
    At,
    AtOnDays,
    Cron,
    CronOnDays,
    Every,
    EveryOnDays,
    Following,
    Frequency,
    FrequencyOnDays,
    Schedule,
)
from tests.unit.core.test_manifests import EXAMPLE

VALIDATOR = Draft202012Validator(manifest_schema())
SHIPPED = Path(__file__).parents[3] / "manifests"


def errors(document: object) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(document)]


def test_it_is_a_schema():
    Draft202012Validator.check_schema(manifest_schema())
    assert manifest_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "model",
    [
        *(Api, Application, InlineApi, Policies, Defaults, Limits, Request, Expect, Retry, Cron, Every, At, Frequency),
        *(AccessToken, AccessTokenSpec, Environment, EnvironmentSpec, Patch, FreezeWindow, FreezeWindowSpec),
        *(Calendar, CalendarSpec, Range, History, After, Following),
        *(CronOnDays, EveryOnDays, AtOnDays, FrequencyOnDays),
    ],
)
def test_every_model_has_a_schema_of_its_own(model):
    assert set(model.model_json_schema()["properties"]) == {field.alias for field in model.model_fields.values()}


def test_the_forms_of_a_schedule_have_a_schema():
    assert len(TypeAdapter(Schedule).json_schema()["oneOf"]) == 6


def test_every_field_is_described_to_whoever_hovers_over_it():
    definitions = manifest_schema()["$defs"]
    silent = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        for field, declared in definition["properties"].items()
        if not (declared | definitions.get(declared.get("$ref", "").rpartition("/")[2], {})).get("description")
    ]
    assert silent == []


PAGE = (SHIPPED.parent / "docs" / "manifests.md").read_text(encoding="utf-8")
BLOCKS = [block.partition("```")[0] for block in PAGE.split("```yaml\n")[1:]]


@pytest.mark.parametrize("text", [EXAMPLE, *BLOCKS, *(path.read_text() for path in sorted(SHIPPED.glob("*.yaml")))])
def test_manifests_that_are_valid_are_valid_by_the_schema(text):
    documents = [document.value for document in read("f.yaml", text.encode())]  # as editors do: YAML 1.2
    assert documents
    for document in documents:
        assert errors(document) == []


@pytest.mark.parametrize("text", BLOCKS)
def test_the_examples_of_the_reference_have_no_problems(text):
    assert parse("f.yaml", text.encode()).problems == ()


@pytest.mark.parametrize(
    "change",
    [
        {"apiVersion": "reconciler/v2"},
        {"kind": "Aplication"},
        {"metadata": {"name": "Billing"}},
        {"metadata": {"name": "billing", "nam": "x"}},
        {"spec": {"baseUrl": 5}},
        {"spec": {"apis": [{"name": "a"}]}},
        {"spec": {"apis": [{"name": "a", "schedule": {"every": "5"}}]}},
        {"spec": {"apis": [{"name": "a", "schedule": {"evry": "5s"}}]}},
        {"spec": {"apis": [{"name": "a", "schedule": "@daily", "request": {"method": "get"}}]}},
        {"spec": {"apis": [{"name": "a", "schedule": "@daily", "timeout": 5}]}},
        {"spec": {"limits": {"concurrency": 0}}},
        {"specs": {}},
    ],
)
def test_manifests_with_mistakes_are_refused_by_the_schema(change):
    valid = {"apiVersion": "reconciler/v1", "kind": "Application", "metadata": {"name": "billing"}, "spec": {}}
    assert errors(valid) == []
    assert errors(valid | change) != []


def test_an_api_without_its_application_is_refused():
    document = {"apiVersion": "reconciler/v1", "kind": "Api", "metadata": {"name": "a"}, "spec": {"schedule": "@daily"}}
    assert errors(document) != []


HEAD = {"apiVersion": "reconciler/v1", "metadata": {"name": "a"}}


def window(**spec: object) -> dict[str, object]:
    return HEAD | {"kind": "FreezeWindow", "spec": {"start": "@daily", "duration": "1h"} | spec}


def token(**spec: object) -> dict[str, object]:
    return HEAD | {"kind": "AccessToken", "spec": {"role": "viewer", "sha256": "0" * 64} | spec}


def environment(*patches: object) -> dict[str, object]:
    return HEAD | {"kind": "Environment", "spec": {"patches": list(patches)}}


def annotated(kind: str, **annotations: str) -> dict[str, object]:
    names = {f"reconciler/{name.replace('_', '-')}": value for name, value in annotations.items()}
    owner = {"application": "b"} if kind == "Api" else {}
    spec = {"Api": {"schedule": "@daily"}, "Application": {}, "FreezeWindow": {"start": "@daily", "duration": "1h"}}
    return HEAD | {"kind": kind, "metadata": {"name": "a", "annotations": names} | owner, "spec": spec[kind]}


@pytest.mark.parametrize(
    "document",
    [
        window(),
        window(mode="allow", start={"at": "2026-12-23"}, applications=["a", "b-*"], catchUp="latest", timeZone="UTC"),
        environment(),
        environment({"application": "*", "spec": {"baseUrl": "https://x.example", "suspend": None}}),
        environment(
            {"application": "a", "api": "b*", "spec": {"schedule": {"timeZone": "UTC"}, "request": {"query": None}}}
        ),
        token(),
        token(role="admin", applications=["a", "b-*"], expiresAt="2027-01-01"),
        annotated("Application", prune="never"),
        annotated("Api", renamed_from="a/b"),
        HEAD
        | {"kind": "Application", "metadata": {"name": "a", "annotations": {"example.com/prune": "x"}}, "spec": {}},
    ],
)
def test_the_other_kinds_are_valid_by_the_schema(document):
    assert errors(document) == []


@pytest.mark.parametrize(
    "document",
    [
        token(role="root"),
        token(sha256="rct_x"),
        token(sha256=None),
        token(applications=[]),
        window(mode="block"),
        window(duration=5),
        window(applications=[]),
        window(applications=["A"]),
        window(labels={}),
        HEAD | {"kind": "FreezeWindow", "spec": {}},
        environment({"application": "a"}),
        environment({"spec": {}}),
        environment({"application": "a", "spec": {"timeout": "5s"}}),
        environment({"application": "a", "spec": {"apis": []}}),
        environment({"application": "a", "api": "b", "spec": {"timout": "5s"}}),
        environment({"application": "a", "api": "b", "spec": {"baseUrl": "https://x.example"}}),
        annotated("Application", prun="never"),
        annotated("Application", prune="no"),
        annotated("Application", renamed_from="a/b"),
        annotated("Api", prune="never"),
        annotated("Api", renamed_from="b"),
        annotated("FreezeWindow", prune="never"),
    ],
)
def test_mistakes_in_the_other_kinds_are_refused_by_the_schema(document):
    assert errors(document) != []
