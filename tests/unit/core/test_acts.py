"""Acts: their ids, what may be kept of them, and what a removal is told as."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.act_view import act_view
from reconciler.core.acts import Act, ActKind, act_id, paused, plain, pruned, resumed, triggered
from reconciler.core.model import JobKey, Pause
from reconciler.core.records import first_id
from reconciler.core.redaction import Redactor
from reconciler.core.runs import slot_of
from tests.fakes import START

AN_ACT = Act(kind=ActKind.REFUSED, at=START, who="unknown", source="192.0.2.7", subject="/api/v1/runs")
PAUSE = Pause(id="1", application="billing", reason="migration", by="ops@desk", since=START, until=START)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=20_000)), st.text(), st.text())
def test_ids_are_ordered_by_time_to_the_millisecond_and_told_apart_by_their_nonce(later, nonce, another):
    at = START + timedelta(milliseconds=later // timedelta(milliseconds=1))
    found = act_id(at, nonce)
    assert slot_of(found) == at
    assert first_id(at) < found < first_id(at + timedelta(milliseconds=1))
    assert found[14] == "8"
    assert found[19] in "89ab"
    assert (found == act_id(at, another)) == (nonce == another)


def test_no_secret_and_nothing_invisible_is_kept():
    redactor = Redactor()
    redactor.learn("correct-horse")
    told = "\x1b[2J correct-horse\n rct_abc-DEF_1 and eyJhbGciOi.eyJzdWIi.c2ln"
    act = plain(
        Act(kind=ActKind.REFUSED, at=START, who=told, source=told, subject=told, result=told, detail=told), redactor
    )
    for text in (act.who, act.source, act.subject, act.result, act.detail):
        assert text == "␛[2J ***␊ *** and ***"


def test_long_texts_are_cut_and_instants_are_whole_milliseconds():
    at = START + timedelta(microseconds=1234)
    act = plain(Act(kind=ActKind.TOKEN, at=at, who="w" * 300, source="s", detail="d" * 500), Redactor())
    assert (len(act.who), act.who[-1], len(act.detail), act.detail[-1]) == (200, "…", 500, "d")
    assert act.at == START + timedelta(milliseconds=1)


def test_bytes_that_are_no_unicode_are_replaced():
    assert plain(Act(kind=ActKind.TOKEN, at=START, who="caf\udce9", source=""), Redactor()).who == "caf?"


def test_what_an_act_was_done_to_is_written_as_people_do():
    assert triggered(JobKey("a", "b"), "r", at=START, who="w", source="s").target == "a/b"
    assert paused(PAUSE, at=START).target == "billing"
    assert AN_ACT.target == "/api/v1/runs"


def test_a_pause_and_its_end_say_until_when_why_and_whose_it_was():
    act = paused(PAUSE, at=START)
    assert (act.kind, act.who, act.source, act.detail) == (
        "pause",
        "ops@desk",
        "command line",
        "until 2026-03-02 09:00:00 UTC: migration",
    )
    act = resumed(PAUSE, at=START, by="me@here")
    assert (act.kind, act.who, act.detail) == ("resume", "me@here", "paused by ops@desk: migration")


def prunes(*names, **said):
    facts = {"source": "manifests", "revision": "4f2c1d0" * 6, "author": "", "operator": "", "policies": {}}
    return list(pruned(map(JobKey.parse, names), at=START, **(facts | said)))


def test_a_removal_is_one_act_for_each_application_with_the_jobs_and_the_revision():
    first, second = prunes("b/one", "a/two", "a/one", author="Dev <dev@example.com>")
    assert (first.target, second.target) == ("a", "b")
    assert (first.kind, first.who, first.source, first.result) == (
        "prune",
        "Dev <dev@example.com>",
        "manifests",
        "removed",
    )
    assert first.detail == "2 jobs at revision 4f2c1d04f2c1: one, two"
    assert prunes() == []


def test_a_removal_says_by_whom_and_by_what_it_was_allowed():
    (act,) = prunes("a/one", operator="ops@desk", author="Dev", policies={"a": "allow"})
    assert (act.who, act.detail) == ("ops@desk", "allowed by --allow-prune; 1 job at revision 4f2c1d04f2c1: one")
    (act,) = prunes("a/one", policies={"a": "allow"})
    assert (act.who, act.detail.partition(";")[0]) == ("unknown", "allowed by reconciler/prune: allow")


def test_of_many_removed_jobs_the_first_are_named_and_the_rest_is_counted():
    (act,) = prunes(*(f"a/j{number}" for number in range(15)))
    assert act.detail.endswith("and 5 more")


def test_an_act_is_shown_with_every_field():
    shown = act_view(triggered(JobKey("a", "b"), "r", at=START, who="w", source="s")).shape()
    assert shown == {
        "id": "",
        "kind": "trigger",
        "at": "2026-03-02T09:00:00.000Z",
        "who": "w",
        "source": "s",
        "target": "a/b",
        "application": "a",
        "api": "b",
        "result": "started",
        "detail": "",
        "run": "r",
        "count": 1,
    }
