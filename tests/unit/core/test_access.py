"""Who asks, and what they may do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core import access
from reconciler.core.access import Principal, Refused, digest_of, is_loopback, person_of, reading_is_open, recognised
from reconciler.core.model import AccessToken, Role

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ONCALL = AccessToken(
    name="oncall", role=Role.OPERATOR, applications=("billing",), sha256=digest_of("a"), expires_at=NOW + timedelta(1)
)
ADMIN = AccessToken(name="platform", role=Role.ADMIN, sha256=digest_of("b"))
TOKENS = (ONCALL, ADMIN)


def test_a_token_says_who_asks_what_they_may_and_for_what():
    oncall = Principal(who="access token oncall", role=Role.OPERATOR, applications=("billing",))
    assert recognised("a", TOKENS, NOW) == oncall
    assert recognised("b", TOKENS, NOW) == Principal(who="access token platform", role=Role.ADMIN)


@pytest.mark.parametrize("sent", ["", "c", "A", "a ", digest_of("a"), "\udcff", "é"])
def test_anything_else_is_nobodys(sent):
    assert recognised(sent, TOKENS, NOW) is None


def test_every_token_is_compared_in_constant_time(monkeypatch):
    compared = []
    real = access.hmac.compare_digest
    monkeypatch.setattr(access.hmac, "compare_digest", lambda *pair: compared.append(pair) or real(*pair))
    recognised("a", TOKENS, NOW)
    assert [first for first, _ in compared] == [each.sha256.encode() for each in TOKENS]


@pytest.mark.parametrize(("late", "lets_in"), [(timedelta(0), False), (timedelta(milliseconds=-1), True)])
def test_it_lets_nobody_in_from_its_end_on(late, lets_in):
    found = recognised("a", TOKENS, ONCALL.expires_at + late)
    assert isinstance(found, Principal) is lets_in
    if not lets_in:
        assert found == Refused(reason="access token oncall has expired at 2026-03-02T00:00:00Z")


def test_one_that_is_closed_lets_nobody_in_and_says_why():
    closed = replace(ADMIN, closed="its manifest has problems")
    assert recognised("b", (closed,), NOW) == Refused(
        reason="access token platform lets nobody in: its manifest has problems"
    )
    assert recognised("b", (ADMIN, replace(closed, name="other")), NOW).reason.startswith("access token other")


def test_one_whose_digest_is_not_known_is_nobodys():
    assert recognised("", (replace(ADMIN, sha256=""),), NOW) is None


def test_tokens_of_settings_are_compared_whole():
    assert access.is_same("abc", "abc")
    assert not access.is_same("abc", "abd")
    assert not access.is_same("", "abc")


def test_what_somebody_sees_is_what_they_are_limited_to():
    limited = Principal(who="x", role=Role.VIEWER, applications=("billing", "crm-*"))
    assert [limited.sees(name) for name in ("billing", "crm-eu", "billing-2", "crm")] == [True, True, False, False]
    assert limited.is_limited
    assert limited.names(["crm-eu", "shop"]) == ("billing", "crm-eu")
    assert not Principal(who="x", role=Role.VIEWER).is_limited
    assert Principal(who="x", role=Role.VIEWER).sees("anything")


def test_an_operator_may_do_what_a_viewer_may_and_not_the_other_way_round():
    assert Principal(who="x", role=Role.OPERATOR).may(Role.VIEWER)
    assert not Principal(who="x", role=Role.OPERATOR).may(Role.ADMIN)


CLOSED = replace(ADMIN, closed="its manifest has problems")


@pytest.mark.parametrize(
    ("tokens", "has_issuer", "reachable", "open_read", "is_open"),
    [
        ((), False, False, False, True),
        ((), False, True, False, False),
        ((), True, False, False, False),
        ((ADMIN,), False, False, False, False),
        ((CLOSED,), False, False, False, False),
        ((), False, True, True, True),
        ((ADMIN,), True, True, True, True),
    ],
)
def test_reading_is_open_on_loopback_while_no_token_is_declared_or_where_it_was_said(
    tokens, has_issuer, reachable, open_read, is_open
):
    assert reading_is_open(tokens, has_issuer=has_issuer, reachable=reachable, open_read=open_read) is is_open


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "::ffff:127.0.0.1", "::1%lo"])
def test_what_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0", "example.com", ""])  # noqa: S104 - nothing listens
def test_what_is_not(host):
    assert not is_loopback(host)


def test_roles_of_groups_are_read():
    assert access.parse_roles(" sre=operator, cn=a=admin ,") == {"sre": Role.OPERATOR, "cn=a": Role.ADMIN}
    assert access.parse_roles("") == {}


@pytest.mark.parametrize("text", ["sre", "sre=", "=admin", "sre=root", "sre=admin,x"])
def test_roles_of_groups_that_say_nothing_are_refused(text):
    with pytest.raises(ValueError, match="write VALUE=ROLE"):
        access.parse_roles(text)


PERSON = {"sub": "1234", "email": "anna@example.com", "roles": ["x", "viewer", "operator", 5]}


def test_a_person_has_the_highest_of_its_roles():
    assert person_of(PERSON, role_claim="roles") == Principal(who="person anna@example.com (1234)", role=Role.OPERATOR)


def test_a_name_with_half_a_character_in_it_can_be_written():
    found = person_of({"sub": "\ud800x", "roles": ["viewer"]}, role_claim="roles")
    assert isinstance(found, Principal)
    assert found.who.encode() == b"person ?x"


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"groups": "viewer"}, "groups"),
        ({"scope": "openid viewer email"}, "scope"),
        ({"realm_access": {"roles": ["viewer"]}}, "realm_access.roles"),
        ({"https://example.com/roles": ["viewer"]}, "https://example.com/roles"),
    ],
)
def test_a_role_is_found_in_a_text_a_list_or_below(claims, claim):
    assert person_of({"sub": "1"} | claims, role_claim=claim) == Principal(who="person 1", role=Role.VIEWER)


@pytest.mark.parametrize("value", [None, 5, {}, [], "Viewer", ["viewers"], {"viewer": True}, [["viewer"]]])
def test_without_a_role_nobody_is_let_in(value):
    found = person_of({"sub": "1", "roles": value}, role_claim="roles")
    assert found == Refused(reason="person 1 has no role here: none of the values of its claim roles stands for one")
    assert isinstance(person_of({"sub": "1", "roles": value}, role_claim="roles.deeper"), Refused)


def test_groups_stand_for_roles_where_that_is_set_and_then_nothing_else_does():
    roles = {"sre": Role.ADMIN}
    assert person_of({"sub": "1", "roles": ["sre"]}, role_claim="roles", roles=roles).role is Role.ADMIN
    assert isinstance(person_of({"sub": "1", "roles": ["admin"]}, role_claim="roles", roles=roles), Refused)


def test_a_person_s_name_can_be_shown():
    claims = {"sub": "1", "preferred_username": "a\x1b[2J\n" + "x" * 500, "roles": "viewer"}
    found = person_of(claims, role_claim="roles")
    assert found.who.isprintable()
    assert len(found.who) == 200
    assert person_of({"sub": "a@b", "email": "a@b", "roles": "viewer"}, role_claim="roles").who == "person a@b"
