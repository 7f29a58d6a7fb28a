"""Access tokens: what a manifest declares, and every mistake in it; a mistake closes that token and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.core.changes import Action
from reconciler.core.desired_tokens import HAS_PROBLEMS, closed_token
from reconciler.core.model import AccessToken, Role
from reconciler.core.token_changes import described, notes, token_changes
from tests.unit.core.test_desired import api, application, desired

DIGEST = "0123456789abcdef" * 4
SPEC = f"{{role: viewer, sha256: '{DIGEST}'}}"


def token(spec: str = SPEC, name: str = "oncall") -> str:
    return f"apiVersion: reconciler/v1\nkind: AccessToken\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"


def with_spec(spec: str) -> AccessToken:
    result = desired(a=application(), t=token(spec))
    assert result.problems == ()
    return result.tokens["oncall"]


class TestValid:
    def test_everything_that_can_be_said_of_one(self):
        spec = f"""
  description: Whoever is on call
  role: operator
  applications: ["billing", "bil*"]
  expiresAt: 2027-01-01T00:00:00+01:00
  sha256: "{DIGEST}" """
        assert with_spec(spec) == AccessToken(
            name="oncall",
            role=Role.OPERATOR,
            applications=("billing", "bil*"),
            expires_at=datetime(2026, 12, 31, 23, tzinfo=UTC),
            sha256=DIGEST,
            description="Whoever is on call",
            file="t.yaml",
            line=1,
        )

    def test_it_is_for_all_applications_and_never_ends_unless_declared(self):
        found = with_spec(SPEC)
        assert (found.applications, found.expires_at, found.closed) == (("*",), None, "")

    def test_without_an_offset_its_end_is_in_utc(self):
        found = with_spec(f"{{role: admin, expiresAt: 2027-01-01, sha256: '{DIGEST}'}}")
        assert found.expires_at == datetime(2027, 1, 1, tzinfo=UTC)

    def test_its_digest_is_in_no_representation(self):
        assert DIGEST not in repr(with_spec(SPEC))

    def test_it_holds_no_application_and_is_none(self):
        result = desired(a=application() + api(), t=token(name="billing"))
        assert (list(result.tokens), list(result.applications), len(result.jobs)) == (["billing"], ["billing"], 1)


CASES = [
    (f"{{sha256: '{DIGEST}'}}", "4:7: spec.role: this field is required"),
    ("{role: viewer}", "4:7: spec.sha256: this field is required"),
    (
        f"{{role: amdin, sha256: '{DIGEST}'}}",
        "4:14: spec.role: must be viewer, operator or admin, not `amdin` (did you mean `admin`?)",
    ),
    (f"{{role: viewer, sha256: '{DIGEST[1:]}'}}", "4:30: spec.sha256: must be 64 hexadecimal digits, lower case"),
    (f"{{role: viewer, sha256: '{DIGEST.upper()}'}}", "4:30: spec.sha256: must be 64 hexadecimal digits, lower case"),
    (
        f"{{role: viewer, sha256: {'1' * 64}}}",
        "4:30: spec.sha256: must be 64 hexadecimal digits, lower case, in quotes",
    ),
    ("{role: viewer, sha256: rct_abc}", "4:30: spec.sha256: this looks like the token itself; write its SHA-256"),
    (f"{{role: viewer, sha256: '{DIGEST}', expiresAt: never}}", "4:109: spec.expiresAt: not an instant"),
    (
        f"{{role: viewer, sha256: '{DIGEST}', expiresAt: 9999-12-31T23:59:59-12:00}}",
        "4:109: spec.expiresAt: in UTC this is not within the years 1 to 9999",
    ),
    (f"{{role: viewer, sha256: '{DIGEST}', applications: []}}", "4:112: spec.applications: must have at least 1 item"),
    (f"{{role: viewer, sha256: '{DIGEST}', token: x}}", "4:98: spec.token: unknown field"),
]


class TestFlawed:
    @pytest.mark.parametrize(("spec", "expected"), CASES, ids=[each[-60:] for _, each in CASES])
    def test_a_mistake_is_told_at_its_place_and_closes_the_token_alone(self, spec, expected):
        result = desired(
            a=application() + api(), t=token(spec) + token(f"{{role: admin, sha256: '{'a' * 64}'}}", "other")
        )
        (problem,) = result.problems
        assert str(problem).startswith(f"t.yaml:{expected}")
        assert {name: each.closed for name, each in result.tokens.items()} == {"oncall": HAS_PROBLEMS, "other": ""}
        assert (result.held, result.broken, len(result.jobs)) == ({}, frozenset(), 1)

    def test_a_token_written_in_the_place_of_its_digest_is_in_no_problem(self):
        result = desired(t=token("{role: viewer, sha256: rct_a-secret-of-somebody}"))
        assert "a-secret-of-somebody" not in str(result.problems)

    def test_of_two_with_one_name_none_lets_anybody_in(self):
        result = desired(a=application(), t=token(), u=token(f"{{role: admin, sha256: '{'a' * 64}'}}"))
        assert [str(problem) for problem in result.problems] == [
            "t.yaml:3:18: metadata.name: another AccessToken has this name: u.yaml:3",
            "u.yaml:3:18: metadata.name: another AccessToken has this name: t.yaml:3",
        ]
        assert result.tokens["oncall"].closed == HAS_PROBLEMS

    def test_one_digest_under_two_names_lets_nobody_in(self):
        result = desired(a=application(), t=token() + token(name="other"))
        assert [str(problem).partition(": another")[0] for problem in result.problems] == [
            "t.yaml:4:30: spec.sha256",
            "t.yaml:9:30: spec.sha256",
        ]
        assert [each.closed for each in result.tokens.values()] == [HAS_PROBLEMS] * 2

    @pytest.mark.parametrize(
        ("pattern", "said"),
        [
            ("biling", "there is no Application `biling` (did you mean `billing`?)"),
            ("c*", "no Application matches `c*`"),
        ],
    )
    def test_an_application_that_is_not_there_is_told_and_closes_nothing(self, pattern, said):
        result = desired(
            a=application(), t=token(f"{{role: viewer, applications: [{pattern}, billing], sha256: '{DIGEST}'}}")
        )
        assert [problem.message for problem in result.problems] == [said]
        assert result.tokens["oncall"].closed == ""

    def test_a_star_is_for_whoever_will_be_there(self):
        assert desired(t=token(f"{{role: viewer, applications: ['*'], sha256: '{DIGEST}'}}")).problems == ()


ONE = AccessToken(name="oncall", role=Role.VIEWER, sha256=DIGEST, file="t.yaml")


class TestChanges:
    def test_what_is_declared_is_added_changed_and_removed(self):
        changed = replace(ONE, name="b", role=Role.ADMIN)
        found = token_changes({"b": replace(ONE, name="b"), "c": replace(ONE, name="c")}, {"a": ONE, "b": changed}, ())
        assert [(each.action, each.token.name) for each in found] == [
            (Action.ADD, "oncall"),
            (Action.CHANGE, "b"),
            (Action.REMOVE, "c"),
        ]
        assert token_changes({"a": ONE}, {"a": ONE}, ()) == ()

    def test_one_that_only_stands_elsewhere_is_written_and_not_shown(self):
        (change,) = token_changes({"a": ONE}, {"a": replace(ONE, line=9)}, ())
        assert (change.after.line, change.fields) == (9, ())
        assert list(notes([change])) == []

    def test_one_with_problems_keeps_its_digest_and_is_closed(self):
        (change,) = token_changes({"oncall": ONE}, {"oncall": closed_token("oncall", HAS_PROBLEMS, file="u.yaml")}, ())
        assert change.after == replace(ONE, closed=HAS_PROBLEMS, file="u.yaml")

    def test_one_that_may_stand_where_nothing_can_be_read_is_closed_and_not_forgotten(self):
        (change,) = token_changes({"oncall": ONE}, {}, {"z.yaml", "y.yaml"})
        assert change.after == replace(ONE, closed="y.yaml cannot be read; it may be declared there")

    def test_another_token_is_told_by_a_fingerprint_and_never_by_its_digest(self):
        (change,) = token_changes({"oncall": ONE}, {"oncall": replace(ONE, sha256="f" * 64)}, ())
        (field,) = change.fields
        assert (field.field, len(field.before), len(field.after)) == ("fingerprint", 8, 8)
        assert field.before not in DIGEST
        assert field.after != "f" * 8

    def test_what_a_sync_report_says_of_them(self):
        limited = replace(
            ONE, role=Role.OPERATOR, applications=("a", "b-*"), expires_at=datetime(2027, 1, 1, tzinfo=UTC)
        )
        found = token_changes({"oncall": ONE, "old": replace(ONE, name="old")}, {"oncall": limited, "x": ONE}, ())
        assert list(notes(found)) == [
            "access token old removed: viewer",
            "access token oncall changed: operator, a, b-* only, until 2027-01-01T00:00:00Z",
            "access token oncall added: viewer",
        ]
        assert described(replace(ONE, closed=HAS_PROBLEMS)) == "viewer, lets nobody in: its manifest has problems"


@pytest.mark.parametrize("role", Role)
def test_a_role_includes_those_before_it(role):
    order = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
    assert [role.includes(other) for other in order] == [order.index(other) <= order.index(role) for other in order]
