from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.arrears import Older
from reconciler.core.bygone import Bygone, bygone, lapse, stored_of
from reconciler.core.eras import Span
from reconciler.core.model import After, Era, JobKey, Outcome, Schedule, Stop, StopKind
from reconciler.core.stops import said
from tests.fakes import START, stored_job

KEY, OTHER = JobKey("billing", "nightly"), JobKey("billing", "weekly")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MINUTELY = Schedule(declared="* * * * *", cron="* * * * *")
CHAINED = Schedule(declared="after", after=After(key=OTHER, on="success"))
MARK, NOW = START + HOUR, START + 9 * HOUR
LOOKED_AT = Span(MARK, NOW)
PAUSED = Stop(kind=StopKind.PAUSED, by="ops@host", reason="a move")


def era(hours: int, schedule: Schedule | None = MINUTELY, key: JobKey = KEY) -> Era:
    return Era(key=key, begin=START + hours * HOUR, schedule=schedule, revision="abc", file="billing.yaml", line=3)


def found(*eras: Era, since: int | None = None, span: Span = LOOKED_AT) -> list[tuple[Era, Span, str]]:
    """What is over, where the job stands since so many hours; it is gone where nothing is told."""
    jobs = {} if since is None else {KEY: stored_job(since=START + since * HOUR)}
    return [(one.era, one.span, one.end) for one in bygone(eras, jobs, span)]


def hours(after: int, until: int) -> Span:
    return Span(START + after * HOUR, START + until * HOUR)


class TestWhatIsOver:
    def test_an_era_is_over_where_another_has_followed(self):
        assert found(era(0), era(2), since=2) == [(era(0), hours(1, 2), "edited")]
        assert found(era(0), since=0) == []
        assert found() == []

    def test_what_ended_it_is_told(self):
        assert found(era(0), era(2, None), since=2)[0][2] == "suspended"
        assert found(era(0), era(2, None))[0][2] == "removed"
        assert found(era(0), era(2, None), era(3), since=3)[0][2] == "suspended or removed"

    def test_the_newest_comes_first_for_each_job(self):
        other = [era(0, key=OTHER), era(4, None, key=OTHER)]
        assert found(era(0), era(2), era(5, None), era(6), *other, since=6) == [
            (era(2), hours(2, 5), "suspended or removed"),
            (era(0), hours(1, 2), "edited"),
            (other[0], hours(1, 4), "removed"),
        ]

    def test_what_has_no_slots_is_left_out(self):
        assert found(era(0, None), era(2), since=2) == []
        assert found(era(0, CHAINED), era(2), since=2) == []

    def test_nothing_outside_of_what_is_looked_at(self):
        assert found(era(0), era(1), since=1) == []
        assert found(era(3), era(12), since=12) == [(era(3), hours(3, 9), "edited")]
        assert found(era(10), era(12), since=12) == []

    def test_what_the_present_schedule_covers_is_owed_in_the_usual_way(self):
        assert found(era(0), era(4), since=0) == []
        assert found(era(0), era(4), since=2) == [(era(0), hours(1, 2), "edited")]


class TestWhatBecomesOfIt:
    PAST = Bygone(era=era(0), span=hours(1, 2), end="edited")

    def fates(self, *slots, older=None, stopped=lambda _key, _slot: None, end="edited"):
        return lapse(replace(self.PAST, end=end), slots, older, stopped)

    @pytest.mark.parametrize("end", ["edited", "suspended", "removed"])
    def test_nothing_runs_and_the_reason_says_what_became_of_the_job(self, end):
        (fate,) = self.fates(MARK, end=end)
        reason = f"not caught up: the job was {end} before this slot could be taken on"
        assert fate == (MARK, Outcome.MISSED, reason, False, 1, None)

    def test_what_was_stopped_then_is_skipped_for_that_reason(self):
        slots = MARK, MARK + MINUTE
        fates = self.fates(*slots, stopped=lambda key, slot: PAUSED if (key, slot) == (KEY, MARK) else None)
        assert [(fate.slot, fate.outcome) for fate in fates] == [
            (MARK, Outcome.SKIPPED),
            (MARK + MINUTE, Outcome.MISSED),
        ]
        assert fates[0].reason == said(PAUSED)

    def test_older_ones_share_one_record(self):
        older = Older(slots=30, first=MARK, last=MARK + 29 * MINUTE, asked=30, stops={StopKind.PAUSED: 2})
        counted, single = self.fates(MARK + HOUR, older=older)
        reason = "not caught up: the job was edited before these 30 slots could be taken on; of these 2 paused were not"
        reason += " to run"
        assert counted == (
            MARK,
            Outcome.MISSED,
            reason,
            False,
            30,
            MARK + 29 * MINUTE,
        )
        assert (single.slot, single.slots) == (MARK + HOUR, 1)

    def test_a_single_older_one_is_a_slot_like_others(self):
        (counted,) = self.fates(older=Older(slots=1, first=MARK, last=MARK))
        assert counted.reason == "not caught up: the job was edited before this slot could be taken on"
        assert (counted.slots, counted.through) == (1, None)


def test_the_record_says_who_declared_the_slot():
    stored = stored_of(era(0))
    assert (stored.key, stored.revision, stored.since) == (KEY, "abc", START)
    assert (stored.job.schedule, stored.job.file, stored.job.line) == (MINUTELY, "billing.yaml", 3)
    with pytest.raises(ValueError, match="no slots"):
        stored_of(era(0, None))
