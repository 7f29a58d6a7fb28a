from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.core.declared_records import encode_job
from reconciler.core.known_jobs import KnownJobs
from reconciler.errors import StoreError
from tests.fakes import stored_job


class Counted:
    """Parses JSON, and notes what for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, raw: bytes) -> dict:
        self.names.append(name)
        return json.loads(raw) | {"_id": name}


def raw_of(stored, **changes) -> tuple[str, bytes]:
    document = encode_job(stored) | changes
    return str(stored.key), json.dumps(document, default=lambda value: value.isoformat()).encode()


def read(known: KnownJobs, *rows, damaged=None) -> list:
    reading = known.begin(tolerant=damaged is not None)
    reading.add(rows)
    reading.tell(damaged)
    return known.end(reading)


def test_what_has_not_changed_is_not_decoded_again():
    parse = Counted()
    known = KnownJobs(parse)
    jobs = [stored_job("a/b"), stored_job("a/a")]
    first = read(known, *map(raw_of, jobs))
    again = read(known, *map(raw_of, jobs))
    assert first == again == sorted(jobs, key=lambda stored: stored.key)
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert parse.names == ["a/b", "a/a"]


def test_what_has_changed_is_decoded_again_and_what_is_gone_is_forgotten():
    parse = Counted()
    known = KnownJobs(parse)
    old, new, other = stored_job("a/b"), stored_job("a/b", line=99), stored_job("a/c")
    read(known, raw_of(old), raw_of(other))
    assert read(known, raw_of(new)) == [new]
    assert read(known, raw_of(other)) == [other]
    assert parse.names == ["a/b", "a/c", "a/b", "a/c"]


def test_the_same_bytes_under_another_name_are_another_record():
    known = KnownJobs(Counted())
    _, raw = raw_of(stored_job("a/b"))
    read(known, ("a/b", raw))
    with pytest.raises(StoreError, match="job 'a/c' cannot be read: it says that it is a/b"):
        read(known, ("a/c", raw))


def test_a_damaged_record_is_told_each_time_and_the_others_are_read():
    known, told = KnownJobs(Counted()), []
    good, bad = raw_of(stored_job("a/b")), raw_of(stored_job("a/c"), timeout="soon")
    for _ in range(2):
        assert read(known, bad, good, damaged=lambda *why: told.append(why)) == [stored_job("a/b")]
    assert [name for name, _ in told] == ["a/c", "a/c"]
    assert all("not a duration" in why for _, why in told)


def test_a_damaged_record_is_refused_where_nobody_is_to_be_told():
    known = KnownJobs(Counted())
    with pytest.raises(StoreError, match="the store's job 'a/c' cannot be read: url is missing"):
        read(known, raw_of(stored_job("a/c"), request={"method": "GET"}))


def test_a_reading_that_was_refused_forgets_nothing():
    parse = Counted()
    known = KnownJobs(parse)
    good = raw_of(replace(stored_job("a/b"), revision="r9"))
    read(known, good)
    with pytest.raises(StoreError):
        read(known, ("a/c", b"{}"))
    read(known, good)
    assert parse.names == ["a/b", "a/c"]
