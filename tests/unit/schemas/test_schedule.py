"""The four forms of a schedule: which shapes are accepted, and what their fields mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.schedule import AtOnDays, CronOnDays, EveryOnDays, FrequencyOnDays, Instant, Schedule, parse_instant

SCHEDULE = TypeAdapter(Schedule)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0 2 * * *", "0 2 * * *"),
        ({"cron": "@daily", "timeZone": "UTC"}, CronOnDays(cron="@daily", timeZone="UTC")),
        ({"every": "2h30m"}, EveryOnDays(every=timedelta(hours=2, minutes=30))),
        ({"at": "2026-12-01"}, AtOnDays(at=datetime(2026, 12, 1))),  # noqa: DTZ001 - wall time has no zone yet
        ({"frequency": "weekly", "on": "sun"}, FrequencyOnDays(frequency="weekly", on=("SUN",))),
    ],
)
def test_each_form_is_told_by_its_own_field(value, expected):
    assert SCHEDULE.validate_python(value) == expected


def test_a_schedule_that_was_read_is_accepted_again():
    assert SCHEDULE.validate_python(EveryOnDays(every=timedelta(1))) == EveryOnDays(every=timedelta(1))


def test_an_interval_is_no_load_generator():
    assert SCHEDULE.validate_python({"every": "100ms"}) == EveryOnDays(every=timedelta(milliseconds=100))
    with pytest.raises(ValidationError, match="shorter than 100ms"):
        SCHEDULE.validate_python({"every": "99ms"})


@pytest.mark.parametrize("value", [5, None, [], {}, {"evry": "5s"}, {"every": "5s", "cron": "@daily"}])
def test_what_is_none_of_the_forms_is_refused(value):
    with pytest.raises(ValidationError, match="exactly one of cron, every, at, frequency"):
        SCHEDULE.validate_python(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-01", datetime(2026, 12, 1)),  # noqa: DTZ001 - wall time has no zone yet
        ("2026-12-01T10:00", datetime(2026, 12, 1, 10)),  # noqa: DTZ001 - as above
        ("2026-12-01 10:00:30.5", datetime(2026, 12, 1, 10, 0, 30, 500_000)),  # noqa: DTZ001 - as above
        ("2026-12-01t10:00z", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ("2026-12-01T10:00:00+02:00", datetime(2026, 12, 1, 10, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_instants_are_iso_8601(text, expected):
    found = parse_instant(text)
    assert (found, found.utcoffset()) == (expected, expected.utcoffset())
    assert parse_instant(found) is found
    assert TypeAdapter(Instant).dump_json(found) == f'"{expected.isoformat()}"'.encode()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-02-30", "2026-02-30 does not exist"),
        ("2026-12-01T25:00", "does not exist"),
        ("2026-12-01T10:00+99:00", "does not exist"),
        ("0000-01-01", "does not exist"),
        ("tomorrow", "not an instant"),
        ("2026-12-01T10:00:00 ", "not an instant"),
        (20261201, "not an instant"),
        (None, "not an instant"),
    ],
)
def test_what_is_no_instant_is_refused(value, said):
    with pytest.raises(ValueError, match=said):
        parse_instant(value)


@pytest.mark.parametrize(
    "fields",
    [
        {"frequency": "daily", "time": "9:45"},
        {"frequency": "weekly", "on": ["mon", "FRI"], "time": "23:59:30"},
        {"frequency": "monthly"},
        {"frequency": "monthly", "day": "last"},
        {"frequency": "monthly", "on": "MON#2"},
        {"frequency": "quarterly", "month": 3, "day": 31},
        {"frequency": "yearly", "month": 12, "on": ["FRI#L"]},
    ],
)
def test_frequencies_that_fit_together(fields):
    assert FrequencyOnDays.model_validate(fields).frequency == fields["frequency"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"frequency": "daily", "day": 1}, "daily takes `time` only"),
        ({"frequency": "daily", "on": "SUN"}, "daily takes `time` only"),
        ({"frequency": "daily", "month": 1}, "daily takes `time` only"),
        ({"frequency": "weekly"}, "weekly needs `on`"),
        ({"frequency": "weekly", "on": "SUN", "day": 1}, "neither `day` nor `month`"),
        ({"frequency": "weekly", "on": "SUN", "month": 1}, "neither `day` nor `month`"),
        ({"frequency": "weekly", "on": "SUN#1"}, "plain weekdays"),
        ({"frequency": "monthly", "on": "SUN#1", "day": 1}, "either `day` or `on`"),
        ({"frequency": "monthly", "on": "SUN"}, "weekdays with their place"),
        ({"frequency": "monthly", "month": 1}, "monthly takes no `month`"),
        ({"frequency": "quarterly", "month": 4}, "within the quarter"),
        ({"frequency": "yearly", "month": 13}, "less than or equal to 12"),
        ({"frequency": "monthly", "day": 0}, "from 1 to 31"),
        ({"frequency": "monthly", "day": True}, "from 1 to 31"),
        ({"frequency": "monthly", "day": "first"}, "from 1 to 31"),
        ({"frequency": "weekly", "on": "SUNDAY"}, "not a weekday"),
        ({"frequency": "weekly", "on": "MON#6"}, "not a weekday"),
        ({"frequency": "weekly", "on": [5]}, "valid string"),
        ({"frequency": "weekly", "on": 5}, "valid tuple"),
        ({"frequency": "daily", "time": "24:00"}, "not a time of day"),
        ({"frequency": "daily", "time": 945}, "not a time of day"),
        ({"frequency": "hourly"}, "Input should be"),
    ],
)
def test_frequencies_that_do_not_fit_together_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        FrequencyOnDays.model_validate(fields)
