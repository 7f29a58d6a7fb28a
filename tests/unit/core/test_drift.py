"""What stands in the store otherwise than it was declared, and how that is said."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import drift
from reconciler.core.declared_records import decode_job, encode_job
from reconciler.core.inherit import digest
from reconciler.core.model import Drift, JobKey
from tests.fakes import job_of
from tests.unit.core.plans import application, declared, stored

ONE, TWO, X = JobKey("a", "one"), JobKey("a", "two"), JobKey("x", "y")
DESIRED = declared(a=application("a", "one", "two"))


def edited(known, key, **changes):
    """The stored jobs with one of them changed behind our back."""
    return known | {key: replace(known[key], job=replace(known[key].job, **changes))}


def found(known, desired=DESIRED, damaged=None, *, same=True, kept=()):
    return drift.found(known, desired, damaged or {}, same_revision=same, kept=kept)


def test_what_was_just_synced_has_not_drifted_whatever_was_shared_or_read_again():
    known = stored(DESIRED)
    assert found(known) == ()
    read = {key: decode_job(encode_job(one)) for key, one in known.items()}
    assert found(read) == ()


@pytest.mark.parametrize("same", [True, False])
def test_an_edited_job_is_told_field_by_field_against_what_is_declared(same):
    known = edited(stored(DESIRED), ONE, timeout=timedelta(seconds=5), description="mine")
    assert found(known, same=same) == (
        Drift(key=ONE, where="store", field="timeout", found="5s", declared="30s"),
        Drift(key=ONE, where="store", field="description", found="mine"),
    )


def test_an_edited_schedule_is_told_where_it_was_edited():
    known = stored(DESIRED)
    known = edited(known, ONE, schedule=replace(known[ONE].job.schedule, cron="0 3 * * *"))
    assert found(known) == (
        Drift(key=ONE, where="store", field="schedule.cron", found="0 3 * * *", declared="0 2 * * *"),
    )


def test_a_changed_declaration_is_no_drift():
    assert found(stored(DESIRED), declared(a=application("a", "one", "two").replace("0 2", "0 3")), same=False) == ()


def test_an_edited_job_that_nobody_declares_is_told_as_a_whole_unless_it_goes_anyway():
    after = declared(a=application("a", "two"))
    known = edited(stored(DESIRED), ONE, timeout=timedelta(seconds=5))
    assert found(known, after) == (Drift(key=ONE, where="store", found=drift.EDITED),)
    unsure = replace(after, broken=frozenset(["b.yaml"]))
    assert found(known, unsure) == (Drift(key=ONE, where="store", found=drift.EDITED, put_back=False),)
    assert found(known, after, same=False) == ()


def test_an_edited_job_of_a_held_application_is_told_and_its_other_jobs_are_not():
    held = declared(a=application("a", "one").replace("0 2", "0 99"))
    known = edited(stored(DESIRED), ONE, timeout=timedelta(seconds=5))
    assert [one.key for one in found(known, held)] == [ONE]
    assert [one.key for one in found(known, held, same=False)] == [ONE]
    assert found({}, held) == ()


def test_at_the_same_revision_missing_and_surplus_jobs_are_somebodys_doing():
    known = dict(stored(DESIRED))
    del known[ONE]
    made = job_of(str(X))
    known[X] = replace(known[TWO], job=replace(made, digest=digest(made)))
    assert found(known) == (
        Drift(key=ONE, where="store", declared="a.yaml:7"),
        Drift(key=X, where="store", found=drift.SURPLUS),
    )
    assert found(known, same=False) == ()
    assert found(known, kept={str(X)}) == (Drift(key=ONE, where="store", declared="a.yaml:7"),)


def test_while_a_file_cannot_be_read_nothing_is_missing_or_surplus():
    assert found({}, declared(a=application("a", "one"), b="{")) == ()


def test_a_job_that_waits_to_be_renamed_is_not_missing():
    known = stored(declared(a=application("a", "two")))
    assert found(known, replace(DESIRED, renames={ONE: TWO})) == ()


def test_a_damaged_record_is_told_with_its_reason_and_mended_where_it_is_declared():
    known = dict(stored(DESIRED))
    del known[ONE]
    assert found(known, damaged={"a/one": "timeout: not a duration", "rubbish": "no job"}) == (
        Drift(key=ONE, where="store", found="timeout: not a duration", declared="a.yaml:7"),
        Drift(key=JobKey("rubbish", ""), where="store", found="no job"),
    )


def test_a_damaged_record_stays_where_it_may_be_declared_in_what_cannot_be_read():
    damaged = {"x/y": "it says that it is a/one", "a/one": "no timeout"}
    held = replace(DESIRED, held={"a": ()})
    assert [one.put_back for one in found({}, held, damaged)] == [False, True]
    unsure = replace(DESIRED, broken=frozenset(["b.yaml"]))
    assert [one.put_back for one in found({}, unsure, damaged)] == [True, False]


@pytest.mark.parametrize("other", ["", "2-" + "0" * 32, "0" * 64])
def test_a_digest_of_another_version_proves_nothing(other):
    known = edited(stored(DESIRED), ONE, digest=other, timeout=timedelta(seconds=5))
    assert not drift.is_edited(known[ONE].job)
    assert found(known) == ()


def test_the_digest_is_what_it_was():
    """Where this fails, every stored job looks edited by hand: give digests another form than 32 hexadecimal digits."""
    assert digest(job_of()) == "7b75b637497258bbcb5524c9f3742d21"


def test_differences_are_said_in_words():
    assert drift.describe(Drift(key=ONE, where="store", field="schedule", found="0 3 * * *", declared="0 2 * * *")) == (
        'a/one: schedule is "0 3 * * *" in the store, declared is "0 2 * * *"; put back'
    )


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({"field": "body", "declared": "a\nb", "put_back": False},
         'a/one: body is missing in the store, declared is "a⏎b"; left as it is'),
        ({"field": "body", "found": "x" * 101},
         f'a/one: body is "{"x" * 100}…" in the store, it is not declared; put back'),
        ({"declared": "a.yaml:7"}, "a/one: is missing in the store (a.yaml:7); put back"),
        ({"found": drift.SURPLUS}, "a/one: was made by hand in the store, and no manifest declares it; put back"),
        ({"found": drift.EDITED, "put_back": False},
         "a/one: was edited by hand in the store, and no manifest declares it; left as it is"),
        ({"found": "no timeout", "declared": "a.yaml:7"},
         "a/one: cannot be read in the store: no timeout; put back"),
        ({"found": "no timeout"},
         "a/one: cannot be read in the store: no timeout, and no manifest declares it; removed"),
        ({"kind": "freeze window", "key": JobKey("easter", ""), "field": "mode", "found": "allow", "declared": "deny"},
         'freeze window easter: mode is "allow" in the store, declared is "deny"; put back'),
        ({"where": "scheduler", "found": "every 1s"},
         'a/one: is "every 1s" in the scheduler, it is not declared; put back'),
        ({"where": "scheduler", "found": "every 1s", "declared": "every 2s"},
         'a/one: is "every 1s" in the scheduler, declared is "every 2s"; put back'),
    ],
    ids=["missing-field", "surplus-field", "missing", "surplus", "edited", "damaged", "stray", "window", "extra-entry",
         "other-entry"],
)  # fmt: skip
def test_every_kind_of_difference_has_its_words(one, said):
    assert drift.describe(Drift(**({"key": ONE, "where": "store"} | one))) == said
