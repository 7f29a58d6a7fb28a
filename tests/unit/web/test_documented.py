"""What the OpenAPI document and docs/http.md say is compared with what is served."""

import re
from pathlib import Path

import pytest

from reconciler.core import views
from reconciler.core.act_view import ActView
from reconciler.core.stats import StatsView
from reconciler.web import examples, questions
from reconciler.web.access import role_needed
from reconciler.web.app import ROUTERS
from reconciler.web.documented import routes_of
from reconciler.web.hook import HookAnswer
from reconciler.web.problems import CODES
from reconciler.web.reading import SettingsView
from reconciler.web.trigger import Accepted, OverridesBody

HTTP_MD = Path(__file__).parents[3] / "docs" / "http.md"

ADDRESSES = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /api/v1/status",
    "GET /api/v1/applications",
    "GET /api/v1/applications/{application}",
    "GET /api/v1/applications/{application}/apis",
    "GET /api/v1/cronjobs",
    "GET /api/v1/cronjobs/{application}/{api}",
    "GET /api/v1/cronjobs/{application}/{api}/history",
    "POST /api/v1/cronjobs/{application}/{api}/trigger",
    "POST /hooks/git",
    "GET /api/v1/runs",
    "GET /api/v1/runs/{run_id}",
    "GET /api/v1/syncs",
    "GET /api/v1/stats",
    "GET /api/v1/settings",
    "GET /api/v1/acts",
}


@pytest.fixture
def document(world):
    return world.app.openapi()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


async def test_the_document_is_served(world):
    answer = await world.ask("/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == world.app.openapi()


def test_every_address_is_documented_and_no_other(document):
    assert {name for name, _ in operations(document)} == ADDRESSES


def test_every_operation_has_summary_tag_description_and_an_example_of_every_answer(document):
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name
        for status, answer in operation["responses"].items():
            for content in answer["content"].values():
                assert "example" in content or content["examples"], f"{name} {status}"


def test_every_parameter_is_described(document):
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), f"{name} {parameter['name']}"


def test_no_shape_of_errors_but_ours_is_documented(document):
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert set(answer["content"]) == {"application/problem+json"}, name


def test_every_reference_in_the_document_leads_somewhere(document):
    def references(node):
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "$ref")
        for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from references(inner)

    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_document_says_which_role_an_operation_needs(document):
    roles = {name: operation.get("x-role") for name, operation in operations(document)}
    assert [name for name, role in roles.items() if role is None] == ["POST /hooks/git", "GET /healthz", "GET /readyz"]
    assert [name for name, role in roles.items() if role == "operator"] == [
        "POST /api/v1/cronjobs/{application}/{api}/trigger"
    ]
    assert [name for name, role in roles.items() if role == "admin"] == [
        "GET /api/v1/settings",
        "GET /api/v1/acts",
    ]
    for name, operation in operations(document):
        if roles[name] is not None:
            optional = [{}] if roles[name] == "viewer" else []
            assert operation["security"] == [{"bearer": []}, *optional], name
            assert operation["description"].endswith(f"Needs the role `{roles[name]}`."), name
            assert {"401", "403", "429"} <= set(operation["responses"]), name
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_address_has_a_guard_but_these(world):
    unguarded = {route.path for route in routes_of(ROUTERS) if role_needed(route.dependant) is None}
    assert unguarded == {"/healthz", "/readyz", "/hooks/git"}


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (views.RunView, examples.RUN),
        (views.JobView, examples.JOB),
        (views.ApplicationView, examples.APPLICATION),
        (views.SyncView, examples.SYNC),
        (ActView, examples.ACT),
        (views.StatusView, examples.STATUS),
        (StatsView, examples.STATS),
        (Accepted, examples.ACCEPTED),
        (HookAnswer, examples.IGNORED),
    ],
)
def test_every_example_has_exactly_the_fields_of_its_shape(model, example):
    assert set(example) == {field.alias or name for name, field in model.model_fields.items()}


def test_the_example_of_overrides_is_accepted():
    assert OverridesBody.model_validate(examples.OVERRIDES).model_fields_set == {"query", "headers", "json_body"}


def test_the_page_of_http_lists_every_code_with_its_status():
    listed = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", HTTP_MD.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(listed) == {code: str(status) for code, (status, _) in CODES.items()}


def test_the_page_of_http_lists_every_address():
    text = HTTP_MD.read_text(encoding="utf-8").replace("{id}", "{run_id}")
    listed = set(re.findall(r"^### `((?:GET|POST) [^`]+)`", text, re.MULTILINE))
    assert listed == ADDRESSES | {"GET /docs", "GET /openapi.json"}


def test_the_page_of_http_names_every_parameter():
    text = HTTP_MD.read_text(encoding="utf-8")
    models = [one for one in vars(questions).values() if isinstance(one, type) and issubclass(one, questions.Question)]
    for model in models:
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in text, name


def test_the_page_of_http_names_every_field_of_every_shape():
    text = HTTP_MD.read_text(encoding="utf-8")
    shapes = [one for one in vars(views).values() if isinstance(one, type) and issubclass(one, views.View)]
    for model in [*shapes, ActView, SettingsView, StatsView, Accepted, HookAnswer]:
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in text, f"{model.__name__}.{name}"


def test_the_page_of_http_names_every_metric(world):
    text = HTTP_MD.read_text(encoding="utf-8")
    for family in world.metrics.registry.collect():
        if family.name.startswith("reconciler_"):
            assert f"`{family.name}" in text, family.name
