"""Access tokens in a plan: shown in every form, and never kept open by what stops other removals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from reconciler.core import plan as planning
from reconciler.core.model import AccessToken, Role
from reconciler.core.plan_json import as_json
from reconciler.core.plan_markdown import as_markdown
from reconciler.core.plan_text import lines, summary
from reconciler.core.plan_view import Side, SideKind, plan_view
from tests.fakes import stored_job
from tests.unit.core.test_desired import application, desired
from tests.unit.core.test_desired_tokens import DIGEST, token

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STORED = AccessToken(name="oncall", role=Role.ADMIN, sha256=DIGEST)


def plan_of(tokens=(), **files):
    return planning.diff({}, desired(**files), tokens={each.name: each for each in tokens})


def view_of(plan):
    side = Side(kind=SideKind.STORE, name="state.db")
    return plan_view(plan, NOW, before=side, after=replace(side, kind=SideKind.SOURCE), problems=(), environment="")


def text_of(plan):
    return [text for _, text in lines(plan, NOW) if text]


def test_a_new_token_is_shown_with_role_and_end_and_without_its_digest():
    plan = plan_of(a=application(), t=token(f"{{role: operator, expiresAt: 2027-01-01, sha256: '{DIGEST}'}}"))
    assert text_of(plan) == [
        "+ access token oncall: operator, until 2027-01-01T00:00:00Z",
        "Plan: 0 to add, 0 to change, 0 to remove; 1 access token to change",
    ]
    assert plan.changes_anything
    shown = as_json(view_of(plan))["accessTokens"]
    assert [(each["action"], each["name"], each["role"], each["expiresAt"]) for each in shown] == [
        ("add", "oncall", "operator", "2027-01-01T00:00:00Z")
    ]
    page = as_markdown(view_of(plan))
    assert "| + add | <code>oncall</code> | <code>operator, until 2027-01-01T00&#58;00&#58;00Z</code> |" in page
    assert DIGEST not in page + str(shown) + str(text_of(plan))


def test_a_changed_one_is_shown_by_what_differs():
    plan = plan_of([STORED], a=application(), t=token())
    assert text_of(plan)[0] == "~ access token oncall: role admin → viewer"
    assert "<code>role</code> <code>admin</code> → <code>viewer</code>" in as_markdown(view_of(plan))


def test_a_removed_one_is_shown():
    assert text_of(plan_of([STORED], a=application()))[0] == "- access token oncall: admin"


def test_one_that_is_closed_is_shown_so():
    plan = plan_of([STORED], a=application(), t=token("{role: viewer}"))
    assert text_of(plan)[0] == "~ access token oncall: closed (none) → its manifest has problems"


def test_one_that_only_stands_elsewhere_is_nothing_to_show():
    stored = replace(STORED, role=Role.VIEWER, file="elsewhere.yaml")
    plan = plan_of([stored], a=application(), t=token())
    assert not plan.changes_anything
    assert summary(plan) == "Plan: 0 to add, 0 to change, 0 to remove"
    assert [change.after.file for change in plan.token_changes] == ["t.yaml"]


def braked(found, tokens=(STORED,), **options):
    stored = {one.key: one for one in (stored_job("billing/a"), stored_job("billing/b"))}
    plan = planning.diff(stored, found, tokens={each.name: each for each in tokens})
    return planning.brake(plan, declares_nothing=not found.applications, allow_prune=False, **options)


def test_the_brake_on_jobs_keeps_no_token_open():
    plan = braked(desired(a=application("other")))
    assert plan.braked
    assert [change.action.value for change in plan.token_changes] == ["remove"]


def test_a_source_that_declares_nothing_at_all_says_nothing_about_tokens_either():
    plan = braked(desired())
    assert (plan.braked, plan.token_changes) == (True, ())


def test_a_source_that_declares_tokens_alone_does():
    plan = braked(desired(t=token()), [STORED, replace(STORED, name="gone")])
    assert plan.braked
    assert [(change.action.value, change.token.name) for change in plan.token_changes] == [
        ("remove", "gone"),
        ("change", "oncall"),
    ]
