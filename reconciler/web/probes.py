"""Addresses for machines: liveness, readiness, metrics; and the reference page. Forbidden here: asking the store."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from reconciler.core.views import View
from reconciler.web.access import UnlimitedViewer, Viewer
from reconciler.web.documented import ANYWHERE, GUARDED, answers
from reconciler.web.problems import problem
from reconciler.web.reference import STYLE_HASH, render
from reconciler.web.state import State

router = APIRouter()

_CSP = f"default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Alive(View):
    """The process serves HTTP."""

    status: str = "ok"


@router.get("/healthz", tags=["process"], summary="Alive", responses=answers({"status": "ok"}, *ANYWHERE))
async def read_health() -> Alive:
    """200 as long as the process serves HTTP; says nothing about the store."""
    return Alive()


@router.get("/readyz", tags=["process"], summary="Ready", responses=answers({"status": "ok"}, *ANYWHERE, "not-ready"))
async def read_readiness(state: State, request: Request) -> Response:
    """200 once calls are made on time; 503 with all reasons why not."""
    reasons = tuple(map(state.redactor.masked, await state.readiness()))
    if reasons and not state.access.is_open():
        reasons = ("why is told to whoever may read, at /api/v1/status",)
    if reasons:
        return problem("not-ready", "; ".join(reasons), path=request.scope["path"], reasons=reasons)
    return Response(Alive().model_dump_json(), media_type="application/json")


@router.get(
    "/metrics",
    tags=["process"],
    summary="Metrics",
    response_class=Response,
    responses=answers(
        'reconciler_runs_total{application="billing",outcome="succeeded"} 118.0', *GUARDED, media_type="text/plain"
    ),
)
async def read_metrics(state: State, _: UnlimitedViewer, request: Request) -> Response:
    """What Prometheus scrapes; OpenMetrics where `Accept` asks for it."""
    content, content_type = state.metrics.render(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": content_type})


@router.get("/docs", include_in_schema=False)
async def read_reference(_: Viewer, request: Request) -> Response:
    """The OpenAPI document as a page; nothing in it is loaded from elsewhere."""
    page = render(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": _CSP, "Cache-Control": "no-cache"})


@router.get("/openapi.json", include_in_schema=False)
async def read_document(_: Viewer, request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi())


router.add_api_route("/healthz", read_health, methods=["HEAD"], include_in_schema=False)
router.add_api_route("/readyz", read_readiness, methods=["HEAD"], include_in_schema=False)
