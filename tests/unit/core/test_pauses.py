from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from reconciler.core.model import JobKey, Pause
from reconciler.core.pauses import (
    FOREVER,
    ends_in_words,
    must_be_known,
    not_paused,
    ordered,
    reason_of,
    target_of,
    until_of,
)
from reconciler.errors import NotFoundError, SettingsError
from tests.unit.core.timetables import utc

NOW = utc("2026-11-21 16:30")
JOBS = [JobKey("billing", "nightly"), JobKey("shop", "stock")]


def pause(target: str) -> Pause:
    application, _, api = target.partition("/")
    return Pause(
        id="1",
        application=application,
        api=api or None,
        reason="migration",
        by="ops@host",
        since=NOW,
        until=NOW + timedelta(hours=1),
    )


class TestUntil:
    @pytest.mark.parametrize(
        ("text", "end"),
        [
            ("2h", "2026-11-21 18:30"),
            ("1d12h", "2026-11-23 04:30"),
            ("366d", "2027-11-22 16:30"),
            ("18:00", "2026-11-21 18:00"),
            ("16:00", "2026-11-22 16:00"),
            ("16:30", "2026-11-22 16:30"),
            ("18:00:05", "2026-11-21 18:00:05"),
            ("18:00Z", "2026-11-21 18:00"),
            ("18:00+01:00", "2026-11-21 17:00"),
            ("00:30-08:00", "2026-11-22 08:30"),
            ("2026-11-22", "2026-11-22"),
            ("2026-11-22T18:00", "2026-11-22 18:00"),
            (" 2026-11-22T18:00+01:00 ", "2026-11-22 17:00"),
        ],
    )
    def test_is_a_duration_a_time_or_an_instant(self, text, end):
        assert until_of(text, NOW) == utc(end)

    def test_is_a_whole_second(self):
        assert until_of("1500ms", NOW + timedelta(microseconds=1)) == NOW + timedelta(seconds=2)

    def test_no_time_at_all_is_no_end_also_between_two_seconds(self):
        with pytest.raises(SettingsError, match="has passed"):
            until_of("0s", NOW + timedelta(microseconds=1))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (None, "say when it ends"),
            ("  ", "say when it ends"),
            ("soon", "'soon' is no end"),
            ("25:00", "'25:00' is no end"),
            ("18:00+99:00", "is no end"),
            ("2026-02-30", "is no end"),
            ("0s", "2026-11-21T16:30:00Z has passed"),
            ("2026-11-20", "2026-11-20T00:00:00Z has passed"),
            ("367d", "2027-11-23T16:30:00Z is more than 366 days away"),
            ("9999-12-31T23:59:59-23:59", "is no end"),
        ],
    )
    def test_what_is_no_end_of_a_pause_is_refused_with_what_is(self, text, said):
        with pytest.raises(SettingsError, match=said):
            until_of(text, NOW)

    def test_a_duration_beyond_the_calendar_is_refused(self):
        with pytest.raises(SettingsError, match="is no end"):
            until_of("3650d", datetime.max.replace(tzinfo=NOW.tzinfo))


class TestReason:
    def test_is_one_line(self):
        assert reason_of(" database\n\tmigration ") == "database migration"

    @pytest.mark.parametrize(
        ("text", "said"),
        [(None, "say why"), (" \n", "say why"), ("x" * 501, "at most 500 characters"), ("a\x1b[2J", r"U\+001B")],
        ids=["none", "blank", "long", "control"],
    )
    def test_must_be_said_and_be_readable(self, text, said):
        with pytest.raises(SettingsError, match=said):
            reason_of(text)


class TestOrders:
    def test_name_a_reason_and_an_end(self):
        assert ordered("migration", "2h", NOW) == ("migration", NOW + timedelta(hours=2))

    def test_what_is_wrong_is_said_at_once_with_an_example(self):
        with pytest.raises(SettingsError) as refused:
            ordered(None, None, NOW)
        first, second, last = str(refused.value).splitlines()
        assert first.startswith("--reason: ")
        assert second.startswith("--until: ")
        assert last == 'for example: reconciler pause billing --reason "database migration" --until 2h'


class TestTargets:
    def test_are_applications_and_jobs(self):
        assert target_of("billing") == ("billing", None)
        assert target_of("billing/nightly") == ("billing", "nightly")

    @pytest.mark.parametrize("text", ["billing/", "/nightly", "a/b/c"])
    def test_nothing_else_is_one(self, text):
        with pytest.raises(NotFoundError, match="APPLICATION/API"):
            target_of(text)

    @pytest.mark.parametrize("target", ["billing", "billing/nightly", "held"])
    def test_what_is_declared_can_be_paused_also_what_is_held(self, target):
        must_be_known(target, ["held"], JOBS)

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ("biling", r"no Application biling \(did you mean `billing`\?\)"),
            ("billing/nigthly", r"no job billing/nigthly \(did you mean `billing/nightly`\?\)"),
            ("held/job", "no job held/job$"),
        ],
    )
    def test_what_is_not_declared_is_refused_with_what_was_meant(self, target, said):
        with pytest.raises(NotFoundError, match=said):
            must_be_known(target, ["held"], JOBS)


class TestNothingToResume:
    @pytest.mark.parametrize(
        ("target", "others", "said"),
        [
            (
                "billing/nightly",
                ["billing", "shop"],
                "billing/nightly is not paused by itself; billing is paused as a whole: `reconciler resume billing`",
            ),
            (
                "billing",
                ["billing/b", "billing/a", "billing2/c"],
                "billing is not paused as a whole; paused are billing/a, billing/b: `reconciler resume billing/a`",
            ),
            ("billing", [], "billing is not paused; nothing is"),
            ("shpo", ["shop", "mail"], "shpo is not paused (did you mean `shop`?); paused are mail, shop"),
        ],
    )
    def test_says_what_is_paused_instead(self, target, others, said):
        assert str(not_paused(target, [pause(other) for other in others])) == said


class TestTheEndInWords:
    def test_is_an_instant_and_how_far_away_that_is(self):
        assert ends_in_words(NOW) == "2026-11-21 16:30:00 UTC"
        assert ends_in_words(NOW, NOW - timedelta(hours=2)) == "2026-11-21 16:30:00 UTC (in 2h)"

    def test_is_its_resumption_where_it_does_not_end_by_itself(self):
        assert ends_in_words(FOREVER, NOW) == ends_in_words(None) == "resumed"
