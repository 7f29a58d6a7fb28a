"""What is wrong is found, named, made small and told; shown on subjects that are wrong on purpose."""

from __future__ import annotations

import os
import time
from random import Random

import pytest

from tests.fuzz import campaign, subjects, trial
from tests.fuzz.__main__ import main
from tests.fuzz.campaign import Campaign, Order, Tally, work
from tests.fuzz.subjects import Manifests, without_parts
from tests.fuzz.trial import attempt, case_of, shrunk


class Wrong(Manifests):
    """Fails in a way of its own for some bytes."""

    def make(self, random: Random) -> bytes:
        return random.choice((b"fine", b"a good deal of text with X in it", b"and this one has an O", b"and Y and Z"))

    def check(self, case: bytes) -> str:
        if b"X" in case:
            raise KeyError(case)
        assert b"Y" not in case or b"Z" not in case, f"together: {case!r}"
        begin = time.thread_time()
        while b"O" in case and time.thread_time() - begin < trial.LONGEST * 1.1:
            pass
        return "clean"


class Deadly(Manifests):
    """Ends its process at one case."""

    name = "deadly"

    def make(self, random: Random) -> bytes:
        return b"%d" % random.randrange(10)

    def check(self, case: bytes) -> str:
        if case == b"7":
            os._exit(9)
        return "clean"


def wrongly(case: bytes) -> str:
    return attempt(Wrong(), case).fault


def test_each_way_to_fail_has_a_name():
    assert wrongly(b"fine") == ""
    assert wrongly(b"X").startswith("KeyError at check:")
    assert wrongly(b"Y Z") == "together"
    assert wrongly(b"O") == "too slow"


def test_a_case_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr("tests.fuzz.trial.ENDLESS", 0.05)
    assert wrongly(b"O") == "endless"


def test_what_fails_is_made_as_small_as_fails_alike():
    assert shrunk(Wrong(), b"a good deal of text with X in it, and Y", wrongly(b"X")) == b"X"
    assert shrunk(Wrong(), b"Y and then a lot of text, and Z", "together") == b"YZ"


def test_parts_are_left_out_from_halves_to_bytes():
    assert [*without_parts(b"abcd")] == [b"cd", b"ab", b"bcd", b"acd", b"abd", b"abc"]
    assert [*without_parts(b"")] == []


def test_a_case_is_the_same_whenever_it_is_made():
    for name in subjects.SUBJECTS:
        subject = subjects.SUBJECTS[name]()
        assert [case_of(subject, "s", number) for number in range(20)] == [
            case_of(subject, "s", number) for number in range(20)
        ]
        assert case_of(subject, "s", 1) != case_of(subject, "t", 1)


def test_each_failure_is_kept_once_and_counted_every_time(monkeypatch):
    monkeypatch.setattr(campaign, "SUBJECTS", {"wrong": Wrong})
    monkeypatch.setattr("tests.fuzz.trial.LONGEST", 0.05)
    monkeypatch.setattr("tests.fuzz.trial.PATIENCE", 1.0)
    whole = Tally()
    work(Order(subject="wrong", seed="s", count=12), whole.add)
    assert whole.cases == 12
    assert whole.results["failed"] > len(whole.failures) > 1
    assert all(len(each.content) <= 2 for each in whole.failures)
    assert len({each.fault for each in whole.failures}) == len(whole.failures)


def test_a_process_that_dies_is_a_failure_and_the_rest_is_tried_all_the_same(monkeypatch):
    monkeypatch.setattr(campaign, "SUBJECTS", {"deadly": Deadly})
    told = Campaign(Order(subject="deadly", seed="s", count=30), 2, print, start="fork")
    told.run()
    dead = sum(case_of(Deadly(), "s", number) == b"7" for number in range(30))
    assert dead > 1
    assert (told.tally.cases, told.tally.results["failed"]) == (30, dead)
    (failure,) = told.tally.failures
    assert (failure.fault, failure.content) == ("the process ended with 9", b"7")


def test_one_case_can_be_tried_again(monkeypatch, capsysbinary):
    monkeypatch.setattr("sys.argv", ["fuzz", "manifests", "3"])
    monkeypatch.setenv("SEED", "s")
    assert main() == 0
    told = capsysbinary.readouterr().out
    assert case_of(Manifests(), "s", 3) in told


@pytest.mark.parametrize("name", subjects.SUBJECTS)
def test_a_smaller_case_is_another_one(name):
    subject = subjects.SUBJECTS[name]()
    case = case_of(subject, "s", 5)
    assert all(smaller != case for smaller in list(subject.smaller(case))[:20])
