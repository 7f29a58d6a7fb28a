"""Puts the addresses together into one ASGI app. Forbidden here: what any of them does."""

from __future__ import annotations

from fastapi import FastAPI

from reconciler.web import acts, documented, hook, probes, problems, reading, trigger
from reconciler.web.door import Doorway
from reconciler.web.guard import Guard
from reconciler.web.state import WebState

ROUTERS = (reading.router, acts.router, trigger.router, hook.router, probes.router)


def create(state: WebState) -> FastAPI:
    """The app for this process; ``HttpServer`` serves it, tests call it in memory."""
    app = FastAPI(
        title="cron-reconciler",
        version=state.version or "0",
        description=documented.DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.web = state
    app.add_middleware(Doorway)
    app.add_middleware(Guard, body_caps={hook.PATH: hook.BODY_CAP})
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    documented.install(app, ROUTERS)
    return app
