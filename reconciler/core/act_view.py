"""What people and programs are shown of acts. Forbidden here: reading a store, a clock or a request."""

from __future__ import annotations

from reconciler.core.acts import Act
from reconciler.core.shapes import Instant, View


class ActView(View):
    """One act: who did what to what, when, from where, and what came of it."""

    id: str
    kind: str
    at: Instant
    who: str
    source: str
    target: str
    application: str
    api: str | None
    result: str
    detail: str
    run: str
    count: int


def act_view(act: Act) -> ActView:
    """Show an act."""
    return ActView(
        id=act.id,
        kind=act.kind.value,
        at=act.at,
        who=act.who,
        source=act.source,
        target=act.target,
        application=act.application,
        api=act.api,
        result=act.result,
        detail=act.detail,
        run=act.run,
        count=act.count,
    )
