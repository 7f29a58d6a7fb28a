"""The OpenAPI document: how operations say what they answer, and what is put right before it is served.

Forbidden here: routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from reconciler.core.model import Role
from reconciler.web.access import role_needed
from reconciler.web.problems import CODES, MEDIA_TYPE, Problem

_SCHEME = "bearer"
_SCHEMES = {
    _SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, declared by a manifest of kind AccessToken, or a JWT of the issuer of logins. "
        "A viewer reads; an operator also triggers; an admin also sees configuration.",
    }
}

Responses = dict[int | str, dict[str, Any]]

ANYWHERE = ("host-not-allowed", "invalid-request", "body-too-large", "internal-error")
GUARDED = (*ANYWHERE, "unauthorized", "forbidden", "too-many-requests", "not-ready", "issuer-unavailable")
READING = (*GUARDED, "store-unavailable")

DESCRIPTION = """Calls over HTTP on a schedule, declared as manifests and accounted for run by run.

Everything here is for reading, but for the trigger and the hook. Instants are RFC 3339 in UTC. Lists are paged:
take `next` of a page as `cursor` of the following one. Errors are problem documents (RFC 9457) with a stable `code`."""

TAGS = [
    {"name": "status", "description": "The whole at a glance, and what syncs did."},
    {"name": "jobs", "description": "What is declared, as it stands in the store."},
    {"name": "runs", "description": "What became of every slot and every trigger."},
    {"name": "trigger", "description": "Run a job now. Needs a token."},
    {"name": "hook", "description": "A push wakes the source. Needs a signature."},
    {"name": "acts", "description": "Who did what. For an admin."},
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


def install(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Serve the document with the shape of problems in it, and without FastAPI's own shape of errors."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, routers)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to adapt it


def _document(app: FastAPI, routers: Iterable[APIRouter]) -> dict[str, Any]:
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
    for route in routes_of(routers):
        role = role_needed(route.dependant)
        if role is not None and route.include_in_schema:
            for method in route.methods or ():
                _say_role(document["paths"][route.path_format][method.lower()], role)
    document["components"]["securitySchemes"] = _SCHEMES
    return document


def routes_of(routers: Iterable[APIRouter]) -> Iterator[APIRoute]:
    """Every address that is served."""
    return (route for router in routers for route in router.routes if isinstance(route, APIRoute))


def _say_role(operation: dict[str, Any], role: Role) -> None:
    """Who may: in words, and as OpenAPI says it; what a viewer may is open while no token is declared."""
    operation["security"] = [{_SCHEME: []}, *([{}] if role is Role.VIEWER else [])]
    operation["x-role"] = role.value
    described = operation.get("description", "")
    operation["description"] = f"{described}\n\nNeeds the role `{role.value}`.".strip()


def _drop_foreign_422(responses: dict[str, Any]) -> None:
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
