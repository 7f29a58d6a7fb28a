"""The OpenAPI document: how operations say what they answer, and what is put right before it is served.

Forbidden here: routes.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from reconciler.web.problems import CODES, MEDIA_TYPE, Problem

Responses = dict[int | str, dict[str, Any]]

ANYWHERE = ("body-too-large", "internal-error")
READING = (*ANYWHERE, "invalid-request", "store-unavailable")

DESCRIPTION = """Calls over HTTP on a schedule, declared as manifests and accounted for run by run.

Everything here is for reading, but for the trigger and the hook. Instants are RFC 3339 in UTC. Lists are paged:
take `next` of a page as `cursor` of the following one. Errors are problem documents (RFC 9457) with a stable `code`."""

TAGS = [
    {"name": "status", "description": "The whole at a glance, and what syncs did."},
    {"name": "jobs", "description": "What is declared, as it stands in the store."},
    {"name": "runs", "description": "What became of every slot and every trigger."},
    {"name": "trigger", "description": "Run a job now. Needs a token."},
    {"name": "hook", "description": "A push wakes the source. Needs a signature."},
    {"name": "process", "description": "For probes and Prometheus."},
]


def answers(example: Any, *codes: str, status: int = 200, media_type: str = "application/json") -> Responses:
    """The documented answers of an operation: its success with an example, and its problems by code."""
    documented: Responses = {status: {"content": {media_type: {"example": example}}}}
    for code in sorted(codes, key=lambda code: (CODES[code][0], code)):
        number, title = CODES[code]
        answer = documented.setdefault(number, {"description": title, "content": {MEDIA_TYPE: _empty()}})
        answer["content"][MEDIA_TYPE]["examples"][code] = {"value": _example(code)}
    return documented


def _empty() -> dict[str, Any]:
    return {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}


def _example(code: str) -> dict[str, Any]:
    number, title = CODES[code]
    document: dict[str, Any] = {
        "type": f"/docs#problem-{code}",
        "title": title,
        "status": number,
        "detail": f"{title}.",
        "instance": "/api/v1/…",
        "code": code,
    }
    if code == "invalid-request":
        document["detail"] = "limit: Input should be less than or equal to 500"
        document["errors"] = [{"field": "limit", "message": "Input should be less than or equal to 500"}]
    if code == "not-ready":
        document["reasons"] = ["the first sync has not ended yet"]
    return document


def install(app: FastAPI) -> None:
    """Serve the document with the shape of problems in it, and without FastAPI's own shape of errors."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to adapt it


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
    )
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            _drop_foreign_422(operation["responses"])
    document["components"]["securitySchemes"] = {"triggerToken": {"type": "http", "scheme": "bearer"}}
    return document


def _drop_foreign_422(responses: dict[str, Any]) -> None:
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
