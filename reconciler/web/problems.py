"""Errors as problem documents (RFC 9457), each with a stable ``code``; ``docs/http.md`` lists them.

Forbidden here: a traceback, a value that the client sent other than a name, anything of an unforeseen error's text.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from reconciler.core.suggest import did_you_mean
from reconciler.core.views import View
from reconciler.errors import IdempotencyConflictError, NotFoundError, OverridesError, StoreUnavailableError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "5"}

CODES: Mapping[str, tuple[int, str]] = {
    "invalid-request": (400, "The request is not valid"),
    "unauthorized": (401, "A valid token is needed"),
    "signature-invalid": (401, "A valid signature is needed"),
    "forbidden": (403, "The role does not suffice"),
    "trigger-disabled": (403, "Triggering is off"),
    "hook-disabled": (403, "The hook is off"),
    "unknown-address": (404, "There is no such address"),
    "application-not-found": (404, "There is no such Application"),
    "job-not-found": (404, "There is no such job"),
    "run-not-found": (404, "There is no such run"),
    "method-not-allowed": (405, "This address does not take this method"),
    "request-timeout": (408, "The request came too slowly"),
    "body-too-large": (413, "The request's body is too large"),
    "unsupported-media-type": (415, "The request's body is not JSON"),
    "host-not-allowed": (421, "This host is not served here"),
    "idempotency-conflict": (422, "This Idempotency-Key was used for another request"),
    "invalid-overrides": (422, "What is to be replaced cannot be sent"),
    "too-many-requests": (429, "Too many requests"),
    "internal-error": (500, "Something went wrong here"),
    "store-unavailable": (503, "The store is away"),
    "issuer-unavailable": (503, "Logins cannot be checked"),
    "not-ready": (503, "Not ready"),
}


# pydantic speaks of Python's types; whoever sends JSON knows its own.
_WORDS = {
    "dict_type": "must be a JSON object",
    "mapping_type": "must be a JSON object",
    "string_type": "must be a string",
    "too_short": "must not be empty",
}


class Reason(View):
    """One thing wrong with a request: where, and what."""

    field: str
    message: str


class Problem(View):
    """A problem document; ``errors`` come with ``invalid-request``, ``reasons`` with ``not-ready`` and status's own."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: tuple[Reason, ...] | None = None
    reasons: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not served; travels as the detail of an ``HTTPException``."""

    code: str
    detail: str
    errors: tuple[Reason, ...] | None = None
    reasons: tuple[str, ...] | None = None


def refuse(
    code: str,
    detail: str,
    *,
    errors: Iterable[Reason] = (),
    reasons: Iterable[str] = (),
    headers: Mapping[str, str] | None = None,
) -> HTTPException:
    """An exception that becomes the problem document of this code."""
    refusal = Refusal(code=code, detail=detail, errors=tuple(errors) or None, reasons=tuple(reasons) or None)
    return HTTPException(CODES[code][0], refusal, headers)


def invalid(reasons: Sequence[Reason]) -> HTTPException:
    """All that is wrong with a request, at once."""
    return refuse("invalid-request", _detail(reasons), errors=reasons)


def problem(
    code: str,
    detail: str,
    *,
    path: str,
    errors: tuple[Reason, ...] | None = None,
    reasons: tuple[str, ...] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that carries a problem document."""
    status, title = CODES[code]
    document = Problem(
        type=f"/docs#problem-{code}",
        title=title,
        status=status,
        detail=detail,
        instance=quote(path[:2048], errors="replace"),
        code=code,
        errors=errors,
        reasons=reasons,
    )
    content = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def reasons_of(errors: Iterable[Any], known: Collection[str], *, what: str) -> tuple[Reason, ...]:
    """Turn pydantic's errors into reasons, without the inputs that caused them.

    Args:
        errors: as ``ValidationError.errors()`` gives them.
        known: names that are allowed where an unknown one was met.
        what: what an unknown name is called: ``parameter``, ``field``.
    """
    return tuple(_reason(error, known, what) for error in errors)


def _reason(error: Mapping[str, Any], known: Collection[str], what: str) -> Reason:
    place = [str(part) for part in error["loc"] if part != "[key]"]
    message = _WORDS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = f"there is no such {what}{did_you_mean(place[-1], known)}"
    return Reason(field=".".join(place), message=message)


def _detail(reasons: Sequence[Reason]) -> str:
    return "; ".join(f"{reason.field}: {reason.message}" if reason.field else reason.message for reason in reasons)


def install(app: FastAPI) -> None:
    """Make every error that a route can raise a problem document."""
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StoreUnavailableError, _store_away)
    app.add_exception_handler(NotFoundError, _not_found)
    app.add_exception_handler(IdempotencyConflictError, _conflict)
    app.add_exception_handler(OverridesError, _not_sendable)


def masked(request: Request, refusal: Refusal) -> Refusal:
    """Without values of secrets: names, and errors of what lies behind, come from outside."""
    redactor = request.app.state.web.redactor
    errors = refusal.errors and tuple(
        Reason(field=redactor.masked(each.field), message=redactor.masked(each.message)) for each in refusal.errors
    )
    reasons = refusal.reasons and tuple(map(redactor.masked, refusal.reasons))
    return replace(refusal, detail=redactor.masked(refusal.detail), errors=errors, reasons=reasons)


def _told(code: str, request: Request, error: Exception) -> Response:
    refusal = masked(request, Refusal(code=code, detail=str(error)))
    return problem(code, refusal.detail, path=request.scope["path"])


async def _refused(request: Request, error: Exception) -> Response:
    error = cast("StarletteHTTPException", error)
    path = request.scope["path"]
    refusal: Any = error.detail
    if isinstance(refusal, Refusal):
        refusal = masked(request, refusal)
        return problem(
            refusal.code,
            refusal.detail,
            path=path,
            errors=refusal.errors,
            reasons=refusal.reasons,
            headers=error.headers,
        )
    if error.status_code == 405:  # noqa: PLR2004 - HTTP's own number
        detail = f"{request.method} is not possible here."
        return problem("method-not-allowed", detail, path=path, headers=error.headers)
    return problem("unknown-address", "The addresses are listed at /docs.", path=path)


async def _invalid(request: Request, error: Exception) -> Response:
    found = cast("RequestValidationError", error).errors()
    errors = [{**one, "loc": one["loc"][1:]} for one in found]  # without the word "query"
    reasons = reasons_of(errors, _parameters(request), what="parameter")
    refusal = masked(request, Refusal(code="invalid-request", detail=_detail(reasons), errors=reasons))
    return problem(refusal.code, refusal.detail, path=request.scope["path"], errors=refusal.errors)


def _parameters(request: Request) -> set[str]:
    """The query parameters that the address called takes."""
    hints = typing.get_type_hints(inspect.unwrap(request.scope["endpoint"]))
    models = [hint for hint in hints.values() if isinstance(hint, type) and issubclass(hint, BaseModel)]
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


async def _store_away(request: Request, _error: Exception) -> Response:
    detail = "The store cannot be reached right now. Calls that were made are kept; try again soon."
    return problem("store-unavailable", detail, path=request.scope["path"], headers=RETRY_AFTER)


async def _not_found(request: Request, error: Exception) -> Response:
    return _told("job-not-found", request, error)


async def _conflict(request: Request, error: Exception) -> Response:
    return _told("idempotency-conflict", request, error)


async def _not_sendable(request: Request, error: Exception) -> Response:
    return _told("invalid-overrides", request, error)
