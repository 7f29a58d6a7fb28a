"""Patches are merged as one would expect, and what rules another thing out replaces it."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.merge import merge

KEYS = st.sampled_from(
    ["schedule", "request", "headers", "Headers", "defaults", "timeZone", "cron", "every", "frequency", "on", "day"]
) | st.sampled_from(["url", "path", "json", "form", "text", "contentType", "a"])
LEAVES = st.one_of(st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
VALUES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
SPECS = st.dictionaries(KEYS, VALUES, max_size=5)
PATCHES = st.dictionaries(KEYS, st.one_of(st.none(), VALUES, st.dictionaries(KEYS, st.none(), max_size=2)), max_size=5)
QUICK = settings(max_examples=300, deadline=None, derandomize=True, database=None)


@QUICK
@given(SPECS)
def test_an_empty_patch_changes_nothing(spec):
    assert merge(spec, {}) == spec


@QUICK
@given(SPECS, PATCHES)
def test_merging_twice_is_merging_once_and_changes_neither(spec, patch):
    before = copy.deepcopy((spec, patch))
    once = merge(spec, patch)
    assert merge(once, patch) == once
    assert (spec, patch) == before


@QUICK
@given(SPECS, PATCHES)
def test_null_removes_and_what_is_no_mapping_replaces(spec, patch):
    merged = merge(spec, patch)
    for key, value in patch.items():
        if value is None:
            assert key not in merged
        elif not isinstance(value, dict):
            assert merged[key] == value


@QUICK
@given(SPECS, st.dictionaries(KEYS, st.none()))
def test_a_patch_of_nulls_removes_these_and_nothing_else(spec, patch):
    assert merge(spec, patch) == {key: value for key, value in spec.items() if key not in patch}


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": 1, "c": None}}, {"a": {"b": 1}}),
    ],
    ids=["key by key", "null within", "lists", "a mapping for a scalar"],
)
def test_mappings_are_merged_and_everything_else_is_replaced(base, patch, merged):
    assert merge(base, patch) == merged


@pytest.mark.parametrize(
    ("schedule", "patch", "merged"),
    [
        ("0 2 * * *", "0 4 * * *", "0 4 * * *"),
        ("0 2 * * *", {"every": "5m"}, {"every": "5m"}),
        ("0 2 * * *", {"timeZone": "UTC"}, {"cron": "0 2 * * *", "timeZone": "UTC"}),
        ("0 2 * * *", {"cron": "0 4 * * *"}, {"cron": "0 4 * * *"}),
        ({"every": "5m", "startsAt": "x"}, "0 4 * * *", "0 4 * * *"),
        ({"every": "5m", "startsAt": "x"}, {"every": "6m"}, {"every": "6m", "startsAt": "x"}),
        ({"every": "5m", "startsAt": "x"}, {"at": "y"}, {"at": "y"}),
        (
            {"frequency": "weekly", "on": "SUN", "time": "1:00"},
            {"time": "2:00"},
            {"frequency": "weekly", "on": "SUN", "time": "2:00"},
        ),
        ({"frequency": "weekly", "on": "SUN"}, {"frequency": "daily"}, {"frequency": "daily"}),
        (
            {"frequency": "weekly", "on": "SUN"},
            {"frequency": "weekly", "time": "2:00"},
            {"frequency": "weekly", "on": "SUN", "time": "2:00"},
        ),
        ({"frequency": "monthly", "on": "MON#2"}, {"day": 3}, {"frequency": "monthly", "day": 3}),
        ({"frequency": "monthly", "day": 3}, {"on": "MON#2"}, {"frequency": "monthly", "on": "MON#2"}),
    ],
    ids=str,
)
def test_another_form_of_schedule_replaces_the_whole(schedule, patch, merged):
    assert merge({"schedule": schedule}, {"schedule": patch}) == {"schedule": merged}


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        (
            {"schedule": {"every": "5m", "timeZone": "UTC"}},
            {"timeZone": "Asia/Tokyo"},
            {"schedule": {"every": "5m"}, "timeZone": "Asia/Tokyo"},
        ),
        (
            {"schedule": {"every": "5m"}, "timeZone": "Asia/Tokyo"},
            {"schedule": {"timeZone": "UTC"}},
            {"schedule": {"every": "5m", "timeZone": "UTC"}},
        ),
        (
            {"schedule": {"every": "5m", "timeZone": "UTC"}},
            {"timeZone": None},
            {"schedule": {"every": "5m", "timeZone": "UTC"}},
        ),
    ],
    ids=["beside", "within", "removed beside"],
)
def test_a_zone_stands_in_the_schedule_or_beside_it(base, patch, merged):
    assert merge(base, patch) == merged


@pytest.mark.parametrize(
    ("request_", "patch", "merged"),
    [
        ({"path": "/a", "query": {"b": 1}}, {"url": "https://x"}, {"url": "https://x", "query": {"b": 1}}),
        ({"url": "https://x"}, {"path": "/a"}, {"path": "/a"}),
        ({"url": "https://x"}, {"path": None}, {"url": "https://x"}),
        ({"json": {"a": 1, "b": 2}}, {"json": {"b": 3}}, {"json": {"a": 1, "b": 3}}),
        ({"json": None}, {"json": {"b": 3}}, {"json": {"b": 3}}),
        ({"json": {"a": 1}}, {"form": {"b": 2}}, {"form": {"b": 2}}),
        ({"text": "x", "contentType": "text/csv"}, {"json": [1]}, {"json": [1]}),
        ({"text": "x", "contentType": "text/csv"}, {"text": "y"}, {"text": "y", "contentType": "text/csv"}),
        (
            {"text": "x", "contentType": "text/csv"},
            {"method": "PUT"},
            {"text": "x", "contentType": "text/csv", "method": "PUT"},
        ),
        ({"headers": {"X-A": "1", "B": "2"}}, {"headers": {"x-a": "3"}}, {"headers": {"x-a": "3", "B": "2"}}),
        ({"headers": {"X-A": "1"}}, {"headers": {"x-a": None}}, {"headers": {}}),
        ({"headers": {"b": "1"}}, {"headers": {"X": "1", "x": "2"}}, {"headers": {"b": "1", "X": "1", "x": "2"}}),
        ({"query": {"A": 1}}, {"query": {"a": 2}}, {"query": {"A": 1, "a": 2}}),
    ],
    ids=str,
)
def test_an_address_a_body_and_a_header_rule_out_their_rivals(request_, patch, merged):
    assert merge({"request": request_}, {"request": patch}) == {"request": merged}


def test_the_default_headers_of_an_application_know_no_capitals_either():
    base, patch = {"defaults": {"headers": {"X-A": "1"}}}, {"defaults": {"headers": {"x-a": "2"}}}
    assert merge(base, patch) == {"defaults": {"headers": {"x-a": "2"}}}
