"""Who did what, for an admin: ``/api/v1/acts``. Forbidden here: writing anything."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from reconciler.core.act_view import ActView, act_view
from reconciler.core.damage import unheard
from reconciler.core.views import Page
from reconciler.web import examples
from reconciler.web.access import Admin
from reconciler.web.documented import READING, answers
from reconciler.web.paging import page
from reconciler.web.questions import ActsQuestion
from reconciler.web.state import State

router = APIRouter(prefix="/api/v1")


@router.get("/acts", tags=["acts"], summary="Who did what", responses=answers(examples.page_of(examples.ACT), *READING))
async def list_acts(state: State, _admin: Admin, question: Annotated[ActsQuestion, Query()]) -> Page[ActView]:
    """Triggers, pauses, removals, hooks, the use of tokens and refused attempts, newest first."""
    found = await state.store.acts(question.query(), unheard)
    return page(found, question.limit, kind=question.kind, position=lambda act: act.id, show=act_view)
