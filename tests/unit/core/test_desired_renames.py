"""A job takes over another one's history and hours, if that one is declared no more and nobody else takes it over."""

from __future__ import annotations

import pytest

from reconciler.core.model import JobKey
from tests.unit.core.test_desired import api, application, desired

FIELD = 'metadata.annotations."reconciler/renamed-from"'


def taker(name: str = "new", old: str = "billing/old", owner: str = "billing", schedule: str = "H H * * *") -> str:
    head = f"apiVersion: reconciler/v1\nkind: Api\nmetadata:\n  {{name: {name}, application: {owner}, "
    spec = f"{{schedule: {schedule}, request: {{path: /}}}}"
    return f"{head}annotations: {{reconciler/renamed-from: {old}}}}}\nspec: {spec}\n---\n"


def test_it_runs_when_the_old_one_did_for_as_long_as_the_annotation_stands():
    (old,) = desired(a=application(), b=api(name="old", schedule="H H * * *")).jobs.values()
    (plain,) = desired(a=application(), b=api(name="new", schedule="H H * * *")).jobs.values()
    result = desired(a=application(), b=taker())
    (new,) = result.jobs.values()
    assert result.problems == ()
    assert result.renames == {JobKey("billing", "new"): JobKey("billing", "old")}
    assert new.schedule == old.schedule != plain.schedule
    assert (new.derived_from, plain.derived_from) == ("billing/old", "")


def test_it_may_come_from_another_application():
    result = desired(a=application(), b=taker(old="dunning/old"))
    assert result.renames == {JobKey("billing", "new"): JobKey("dunning", "old")}


def test_an_api_within_its_application_may_take_over_too():
    inline = (
        "{baseUrl: 'https://x.example', apis: [{name: new, schedule: '@daily', request: {path: /}, "
        "annotations: {reconciler/renamed-from: billing/old}}]}"
    )
    assert desired(a=application(spec=inline)).renames == {JobKey("billing", "new"): JobKey("billing", "old")}


STILL = "billing/old is declared still, at {}; remove it or the annotation"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"b": taker(old="billing/new")}, "billing/new cannot be renamed from itself; remove the annotation"),
        ({"b": taker(), "c": api(name="old")}, STILL.format("c.yaml:1")),
        ({"b": taker(), "c": "\n" + api(name="old", schedule="5")}, STILL.format("c.yaml:2")),
        ({"b": taker(), "c": api(name="old", schedule="'61 * * * *'")}, STILL.format("c.yaml:1")),
    ],
    ids=["itself", "still declared", "still declared, with a mistake", "still declared, without meaning"],
)
def test_what_stands_in_the_way_is_a_problem_and_holds_the_application(texts, message):
    result = desired(a=application(), **texts)
    assert f"b.yaml:4:76: {FIELD}: {message}" in [str(each) for each in result.problems]
    assert set(result.held) == {"billing"}
    assert (result.jobs, result.renames) == ({}, {})


def test_an_old_job_whose_application_is_gone_is_declared_all_the_same():
    result = desired(a=application(), b=taker(old="zzz/old"), c=api(name="old", owner="zzz"))
    assert any("zzz/old is declared still, at c.yaml:1" in str(each) for each in result.problems)


def test_two_cannot_take_over_one():
    result = desired(a=application() + application("dunning"), b=taker(), c=taker(name="other", owner="dunning"))
    assert [str(each) for each in result.problems] == [
        f"b.yaml:4:76: {FIELD}: dunning/other is renamed from billing/old too (c.yaml:1); only one can take it over",
        f"c.yaml:4:78: {FIELD}: billing/new is renamed from billing/old too (b.yaml:1); only one can take it over",
    ]
    assert set(result.held) == {"billing", "dunning"}
    assert result.renames == {}


def test_a_held_application_renames_nothing():
    result = desired(
        a=application() + application("fine"), b=taker() + api(schedule="5"), c=taker(owner="fine", old="fine/old")
    )
    assert result.renames == {JobKey("fine", "new"): JobKey("fine", "old")}


def test_a_chain_takes_two_commits_because_the_middle_one_is_declared():
    result = desired(a=application(), b=taker(name="b", old="billing/a"), c=taker(name="c", old="billing/b"))
    (problem,) = result.problems
    assert problem.message == "billing/b is declared still, at b.yaml:1; remove it or the annotation"
