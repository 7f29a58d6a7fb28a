"""Run a job now. The one address that makes anything happen, hence closed until a token is set.

Forbidden here: making the run; that is the app's callable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, ValidationError

from reconciler.core.acts import triggered
from reconciler.core.model import Overrides
from reconciler.core.views import View
from reconciler.web import examples
from reconciler.web.access import Operator, source_of, too_often
from reconciler.web.bodies import must_be_json, read_body, read_object
from reconciler.web.documented import GUARDED, answers
from reconciler.web.guard import BODY_CAP
from reconciler.web.problems import Reason, invalid, reasons_of, refuse
from reconciler.web.questions import job_key
from reconciler.web.reading import ApiName, ApplicationName
from reconciler.web.state import State
from schemas.base import ShortText, Strict
from schemas.request import PlainHeaders, Scalar

router = APIRouter(prefix="/api/v1")

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


class OverridesBody(Strict):
    """What a trigger replaces for its one run; everything is optional."""

    query: Mapping[ShortText, Scalar] = Field(default={}, description="Each parameter replaces the one of its name.")
    headers: PlainHeaders = Field(default={}, description="Each header replaces the one of its name.")
    json_body: Any = Field(default=None, alias="json", description="Replaces the body. Not for GET, HEAD, OPTIONS.")


class Accepted(View):
    """The run that was started, or that stands for this Idempotency-Key."""

    run_id: str
    href: str
    status: str


_DOCUMENTED = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 255},
            "description": "The same key with the same request answers with the same run.",
            "example": "incident-42",
        }
    ],
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": OverridesBody.model_json_schema(by_alias=True),
                "example": examples.OVERRIDES,
            }
        },
    },
}


@router.post(
    "/cronjobs/{application}/{api}/trigger",
    tags=["trigger"],
    summary="Run a job now",
    status_code=202,
    response_model=Accepted,
    openapi_extra=_DOCUMENTED,
    responses=answers(
        examples.ACCEPTED,
        *GUARDED,
        "trigger-disabled",
        "job-not-found",
        "request-timeout",
        "unsupported-media-type",
        "idempotency-conflict",
        "invalid-overrides",
        "store-unavailable",
        status=202,
    ),
)
async def trigger_job(
    state: State,
    principal: Operator,
    request: Request,
    response: Response,
    application: ApplicationName,
    api: ApiName,
) -> Accepted:
    """Start one manual run, with the request's parts replaced for this one run if the body says so.

    The answer names the run; read it until its status is no longer `running`. A suspended job may be triggered.
    """
    if left := state.triggers.take(source_of(request)):
        raise too_often("This address triggers too often.", left)
    idempotency_key = _idempotency_key(request)
    key = job_key(application, api)
    body = _overrides(request, await read_body(request, BODY_CAP))
    if key is None or not principal.sees(key.application):
        raise refuse("job-not-found", "No job of this name is stored.")
    overrides = Overrides(
        query=dict(body.query),
        headers=dict(body.headers),
        json=body.json_body,
        has_json="json_body" in body.model_fields_set,
    )
    run = await state.trigger(key, overrides, idempotency_key)
    state.acts.note(triggered(run.key, run.id, at=state.now(), who=principal.who, source=source_of(request)))
    href = f"/api/v1/runs/{run.id}"
    response.headers["Location"] = href
    return Accepted(run_id=run.id, href=href, status=run.outcome.value)


def _idempotency_key(request: Request) -> str | None:
    sent = request.headers.getlist("idempotency-key")
    if not sent:
        return None
    if len(sent) > 1 or not _IDEMPOTENCY_KEY.fullmatch(sent[0]):
        message = "one value of 1 to 255 visible ASCII characters"
        raise invalid([Reason(field="Idempotency-Key", message=message)])
    return sent[0]


def _overrides(request: Request, body: bytes) -> OverridesBody:
    if not body:
        return OverridesBody()
    must_be_json(request, "Send JSON in UTF-8, uncompressed, as Content-Type: application/json.")
    content = read_object(body)
    try:
        return OverridesBody.model_validate(content)
    except ValidationError as error:
        known = {field.alias or name for name, field in OverridesBody.model_fields.items()}
        raise invalid(reasons_of(error.errors(include_input=False), known, what="field")) from None
