"""Reading what a client sends: bounded in size and time, and as strict JSON. Forbidden here: addresses."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from fastapi import HTTPException, Request

from reconciler.web.problems import Reason, invalid, refuse

DEADLINE = 10.0  # seconds that a client has to send its body

_KIB, _MIB = 1 << 10, 1 << 20
_JSON_TYPE = re.compile(r"application/(json|[\w.+-]+\+json)(\s*;\s*charset=\"?utf-8\"?)?\s*", re.IGNORECASE)


def too_large(cap: int) -> str:
    """What to tell who sends more than ``cap`` bytes."""
    return f"A body may have at most {f'{cap // _MIB} MiB' if cap >= _MIB else f'{cap // _KIB} KiB'}."


def must_be_json(request: Request, detail: str) -> None:
    """Refuse, with this detail, a body that is not declared as JSON in UTF-8, or is compressed."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity" or not _JSON_TYPE.fullmatch(request.headers.get("content-type", "")):
        raise refuse("unsupported-media-type", detail)


async def read_body(request: Request, cap: int) -> bytes:
    """Read the body; whoever sends more than ``cap`` bytes, or too slowly, is refused at once."""
    body = bytearray()
    try:
        async with asyncio.timeout(DEADLINE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > cap:
                    raise refuse("body-too-large", too_large(cap), headers={"Connection": "close"})
    except TimeoutError:
        detail = f"The body did not arrive within {DEADLINE:g} seconds."
        raise refuse("request-timeout", detail, headers={"Connection": "close"}) from None
    return bytes(body)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; anything else is refused with the reason."""
    try:
        content = parse_json(body)
    except (ValueError, RecursionError) as error:
        raise _invalid(_not_json(error)) from None
    if not isinstance(content, dict):
        raise _invalid("the body must be a JSON object")
    return content


def _invalid(message: str) -> HTTPException:
    return invalid([Reason(field="", message=message)])


def parse_json(body: bytes) -> Any:
    """Read strict JSON (RFC 8259): UTF-8, no NaN, no duplicate names, nothing that could not be written again.

    Raises:
        ValueError: it is not that.
        RecursionError: it is nested too deeply.
    """
    content = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    # An unpaired surrogate or a number beyond every double can be read, but not sent.
    json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return content


def _not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"the body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, UnicodeError):
        return "the body is not UTF-8"
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    return f"the body is not JSON: {error}"
