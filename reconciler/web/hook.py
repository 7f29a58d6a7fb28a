"""A forge says that something was pushed. All that comes of it is that the source is read soon.

Closed until a secret is set. Forbidden here: using anything of a body but the refs, and logging anything else of it.
"""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, HTTPException, Request, Response
from structlog import get_logger

from reconciler.core.acts import UNKNOWN, Act, ActKind
from reconciler.core.deliveries import EVENT_HEADERS, Forge, Reader, is_ping, reader_of
from reconciler.core.views import View
from reconciler.core.visible import visible_line
from reconciler.web import examples
from reconciler.web.access import source_of, too_often
from reconciler.web.bodies import must_be_json, read_body, read_object
from reconciler.web.documented import ANYWHERE, answers
from reconciler.web.problems import Reason, Refusal, invalid, refuse
from reconciler.web.signatures import SECRET_VARIABLE, Signatures, check_signatures, read_signatures
from reconciler.web.state import State, WebState

router = APIRouter()

PATH = "/hooks/git"
BODY_CAP = 1 << 20  # bytes

_SHOWN_REF = 200  # characters
_MEDIA_TYPE = "Send JSON, uncompressed: choose application/json as the content type in the forge's settings."

_log = get_logger(__name__)


class HookAnswer(View):
    """What came of a delivery: ``woken``, ``ignored`` or ``pong``; and why it was ignored."""

    result: str
    reason: str | None = None


def _header(name: str, description: str, **more: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": description,
        **more,
    }


_HEX = "HMAC-SHA256 of the body as it is sent, in hexadecimal"
_DOCUMENTED = {
    "parameters": [
        _header("X-Signature-256", f"Anybody, such as a CI job: `sha256=` and the {_HEX}.", example=examples.SIGNATURE),
        _header("X-Hub-Signature-256", f"GitHub: `sha256=` and the {_HEX}."),
        _header("X-Gitlab-Token", "GitLab, secret token: the secret itself."),
        _header("webhook-signature", "GitLab, signing token (Standard Webhooks): `v1,` and the HMAC-SHA256 in Base64."),
        _header("webhook-id", "Goes with `webhook-signature`: signed too."),
        _header("webhook-timestamp", "Goes with `webhook-signature`: signed too; seconds, at most 5 minutes off."),
        _header("X-Gitea-Signature", f"Gitea: the {_HEX}."),
        _header("X-Forgejo-Signature", f"Forgejo: the {_HEX}."),
        _header("X-Hub-Signature", f"Bitbucket: `sha256=` and the {_HEX}."),
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["ref", "after"],
                    "properties": {"ref": {"type": "string"}, "after": {"type": "string"}},
                },
                "example": examples.PUSH,
            }
        },
    },
}
_DOCUMENTED_ANSWERS = {
    **answers(
        examples.WOKEN,
        *ANYWHERE,
        "invalid-request",
        "signature-invalid",
        "hook-disabled",
        "too-many-requests",
        "request-timeout",
        "unsupported-media-type",
        status=202,
    ),
    **answers(examples.IGNORED),
}


@router.post(
    PATH,
    tags=["hook"],
    summary="Something was pushed",
    status_code=202,
    response_model=HookAnswer,
    response_model_exclude_none=True,
    openapi_extra=_DOCUMENTED,
    responses=_DOCUMENTED_ANSWERS,
)
async def receive_delivery(state: State, request: Request, response: Response) -> HookAnswer:
    """Read the source soon, if what was pushed or deleted is the ref that is followed: 202, `woken`.

    Other events, other refs and deliveries that came before are `ignored`, and a ping gets its `pong`, with 200.
    Every signature that is sent must be right. Nothing else of the delivery is used.
    """
    try:
        answer = await _receive(state, request)
    except HTTPException as error:
        refusal = cast("Refusal", error.detail)
        _log_refusal(refusal)
        if refusal.code == "signature-invalid":
            said = {"who": UNKNOWN, "subject": PATH, "result": "refused", "detail": refusal.detail}
            state.acts.note(_act(state, source_of(request), ActKind.REFUSED, **said), told=True)
        if "transfer-encoding" in request.headers:  # who does not say where the body ends may never end it
            error.headers = {**(error.headers or {}), "Connection": "close"}
        raise
    response.status_code = 202 if answer.result == "woken" else 200
    return answer


async def _receive(state: WebState, request: Request) -> HookAnswer:
    """What headers alone show to be wrong is refused before the body is read; what it says, once it is proven."""
    if left := state.deliveries.take(source_of(request)):
        raise too_often("This address says too often that something was pushed.", left)
    secret = state.hook_secret.get_secret_value() if state.hook_secret else ""
    if not secret:
        raise refuse("hook-disabled", f"Nothing is woken until {SECRET_VARIABLE} is set where the reconciler runs.")
    signatures = read_signatures(request.headers, secret, state.now())
    must_be_json(request, _MEDIA_TYPE)
    body = await read_body(request, BODY_CAP)
    check_signatures(signatures, secret, body)
    return _decide(state, source_of(request), signatures, _event(request, signatures), body)


def _event(request: Request, signatures: Signatures) -> str:
    name = EVENT_HEADERS.get(signatures.forge)
    if name is None:
        return ""
    values = request.headers.getlist(name)
    if len(values) == 1 and values[0]:
        return values[0]
    raise invalid([Reason(field=name, message="must stand there once" if values else "is missing")])


def _decide(state: WebState, source: str, signatures: Signatures, event: str, body: bytes) -> HookAnswer:
    forge = signatures.forge
    reader = reader_of(forge, event)
    if reader is None:
        return _told(forge, "pong") if is_ping(forge, event) else _told(forge, "ignored", "the event is not a push")
    refs = _refs(reader, body)
    ours = [ref for ref in refs if state.concerns(ref)]
    if not ours:
        return _told(forge, "ignored", "nothing that is read here was pushed", refs)
    if not state.replays.is_new(body, signatures.identity):
        return _told(forge, "ignored", "this delivery came before", ours)
    state.wake()
    by = f"whoever signs as {forge.value}"
    state.acts.note(_act(state, source, ActKind.HOOK, who=by, subject=", ".join(ours), result="woken"), told=True)
    return _told(forge, "woken", refs=ours)


def _refs(reader: Reader, body: bytes) -> list[str]:
    reading = reader(read_object(body))
    if reading.faults:
        raise invalid([Reason(field=fault.field, message=fault.message) for fault in reading.faults])
    return list(reading.refs)


def _told(forge: Forge, result: str, reason: str | None = None, refs: list[str] | None = None) -> HookAnswer:
    shown = visible_line(", ".join(refs or ()))[:_SHOWN_REF]
    _log.info("hook", result=result, reason=reason or "", forge=forge.value, ref=shown)
    return HookAnswer(result=result, reason=reason)


def _act(state: WebState, source: str, kind: ActKind, **said: str) -> Act:
    return Act(kind=kind, at=state.now(), source=source, **said)  # type: ignore[arg-type]  # each is a text


def _log_refusal(refusal: Refusal) -> None:
    """Without the forge: who cannot show a signature may claim to be any."""
    _log.warning("hook_refused", code=refusal.code, reason=refusal.detail)
