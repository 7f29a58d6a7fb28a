from __future__ import annotations

import time
from collections import Counter
from datetime import datetime

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.cron import normalise, parsed
from reconciler.errors import ScheduleError

SEED = "billing/nightly"


def wall(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001 - wall time, of no zone


def refusal(expression: str) -> str:
    with pytest.raises(ScheduleError) as caught:
        normalise(expression, SEED)
    return str(caught.value)


def values(field: str) -> set[int]:
    return {int(value) for value in field.split(",")}


def first_slots(text: str, count: int, *begin: int) -> list[datetime]:
    walls = CronSim(text, wall(*begin or (2026, 1, 1)))
    return [next(walls) for _ in range(count)]


@pytest.mark.parametrize(
    "expression",
    ["* * * * *", "0 2 * * *", "*/15 9-17 * * 1-5", "30 0 2 * * *", "0 0 L * *", "0 0 LW * *", "0 0 * * 5L",
     "0 0 * * 1#2", "0,30 8-18/2 1,15 * 0", "5/15 * * * *", "0 0 1-7 * 7", "*/60 */24 * */12 *"],
)  # fmt: skip
def test_what_cronsim_reads_already_keeps_its_meaning(expression):
    assert first_slots(normalise(expression, SEED), 20) == first_slots(expression, 20)


@pytest.mark.parametrize(
    ("macro", "fields"),
    [("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@weekly", "0 0 * * 0"),
     ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"), ("  @Daily ", "0 0 * * *")],
)  # fmt: skip
def test_macros_stand_for_fields(macro, fields):
    assert normalise(macro, SEED) == fields


@pytest.mark.parametrize(
    ("macro", "words"),
    [("@reboot", "a restart is not one"), ("@every 5m", "`every: 2h30m`"), ("@EVERY", "`every: 2h30m`"),
     ("@dayly", "write one of @hourly, @daily"), ("@", "'@' is not known"), ("@daily 5", "'@daily 5' is not known")],
)  # fmt: skip
def test_other_macros_are_refused_with_what_to_write_instead(macro, words):
    assert words in refusal(macro)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("0 0 * jan mon", "0 0 * JAN MON"),
        ("0 0 * JAN-mar Mon-Fri", "0 0 * JAN-MAR MON-FRI"),
        ("0 0 ? * ?", "0 0 * * *"),
        ("0 0 ?/2 * *", "0 0 */2 * *"),
        ("0 0 * * fril", "0 0 * * 5L"),
        ("0 0 * * 7L", "0 0 * * 0L"),
        ("0 0 * * MON#2,3#1", "0 0 * * 1#2,3#1"),
        ("0 0 * * SUN#5", "0 0 * * 0#5"),
        ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
        ("0 22-4/3 * * *", "0 22,1,4 * * *"),
        ("50-10/10 * * * *", "50,0,10 * * * *"),
        ("0 0 28-3 * *", "0 0 28,29,30,31,1,2,3 * *"),
        ("0 0 * NOV-FEB *", "0 0 * 11,12,1,2 *"),
        ("0 0 * nov-feb/2 *", "0 0 * 11,1 *"),
        ("0 0 * * FRI-MON", "0 0 * * 5,6,0,1"),
        ("0 0 * * FRI-SUN", "0 0 * * 5,6,0"),
        ("0 0 * * SAT-MON/2", "0 0 * * 6,1"),
        ("0 0 * * 7-2", "0 0 * * 0,1,2"),
        ("0 0 * * 5-7", "0 0 * * 5-7"),
        ("0 0 * * 1/2", "0 0 * * 1,3,5"),
        ("0 0 * * 7/2", "0 0 * * 7"),
        ("10/20 * * * *", "10,30,50 * * * *"),
    ],
)
def test_spellings_that_cronsim_does_not_know_are_spelled_out(expression, text):
    assert normalise(expression, SEED) == text


@pytest.mark.parametrize("weekday", ["0", "7", "SUN", "sun"])
def test_0_and_7_are_sunday(weekday):
    slots = first_slots(normalise(f"0 0 * * {weekday}", SEED), 3)
    assert slots == [wall(2026, 1, 4), wall(2026, 1, 11), wall(2026, 1, 18)]


def test_when_both_day_fields_are_restricted_either_matches():
    # The 13th, and Fridays; APScheduler's CronTrigger would want both at once.
    slots = first_slots(normalise("0 0 13 * FRI", SEED), 4, 2026, 1, 8)
    assert slots == [wall(2026, 1, 9), wall(2026, 1, 13), wall(2026, 1, 16), wall(2026, 1, 23)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L 2 *", [wall(2026, 2, 28), wall(2027, 2, 28), wall(2028, 2, 29)]),
        ("0 0 LW 1,2 *", [wall(2026, 1, 30), wall(2026, 2, 27), wall(2027, 1, 29)]),
        ("0 0 * * FRIL", [wall(2026, 1, 30), wall(2026, 2, 27), wall(2026, 3, 27)]),
        ("0 0 * * MON#2", [wall(2026, 1, 12), wall(2026, 2, 9), wall(2026, 3, 9)]),
        ("0 0 29 2 *", [wall(2028, 2, 29), wall(2032, 2, 29), wall(2036, 2, 29)]),
    ],
)
def test_last_and_nth_days(expression, expected):
    assert first_slots(normalise(expression, SEED), 3) == expected


class TestH:
    def test_is_stable_and_a_matter_of_the_seed(self):
        assert normalise("H H H H H", SEED) == normalise("H H H H H", SEED) == "27 20 27 6 4"
        assert normalise("H H * * *", SEED) != normalise("H H * * *", "billing/weekly")

    def test_differs_from_field_to_field(self):
        minute, hour, *_ = normalise("H(0-23) H * * *", SEED).split()
        assert (minute, hour) != (hour, hour)

    @given(st.text())
    def test_keeps_to_its_fields(self, seed):
        second, minute, hour, day, month, weekday = (int(field) for field in normalise("H H H H H H", seed).split())
        assert 0 <= second <= 59
        assert 0 <= minute <= 59
        assert 0 <= hour <= 23
        assert 1 <= day <= 28
        assert 1 <= month <= 12
        assert 0 <= weekday <= 6

    @given(st.text())
    def test_keeps_to_a_range_of_numbers_or_names(self, seed):
        minute, _, _, month, weekday = normalise("h(10-19) 0 * H(JUN-AUG) H(MON-FRI)", seed).split()
        assert 10 <= int(minute) <= 19
        assert 6 <= int(month) <= 8
        assert 1 <= int(weekday) <= 5

    @given(st.text())
    def test_steps_from_a_place_of_its_own(self, seed):
        minute, hour, *_ = normalise("H/15 H(8-17)/4 * * *", seed).split()
        minutes, hours = sorted(values(minute)), sorted(values(hour))
        assert minutes == list(range(minutes[0], 60, 15))
        assert 0 <= minutes[0] < 15
        assert hours == list(range(hours[0], 18, 4))
        assert 8 <= hours[0] < 12

    def test_takes_a_step_wider_than_its_range(self):
        assert values(normalise("H(0-4)/30 * * * *", SEED).split()[0]) <= set(range(5))

    def test_spreads_jobs_over_the_hour(self):
        minutes = Counter(normalise("H * * * *", f"shop/job-{number}").split()[0] for number in range(3000))
        assert len(minutes) == 60
        assert max(minutes.values()) < 100

    def test_spreads_steps_over_the_step(self):
        begins = Counter(normalise("H/15 * * * *", f"shop/job-{number}").split(",")[0] for number in range(1500))
        assert len(begins) == 15

    @pytest.mark.parametrize("field", ["H5", "H(5)", "H(0-29", "H(0-99)", "H-5", "H()", "H(-)", "HH", "H(20-10)"])
    def test_is_refused_in_other_forms(self, field):
        assert "minute" in refusal(f"{field} * * * *")


class TestRefusals:
    def test_name_field_value_and_what_is_allowed(self):
        assert refusal("61 * * * *").startswith("minute '61': '61' is out of range; allowed: 0-59")
        assert refusal("0 0 * foo *").startswith("month 'foo': 'FOO' is not understood; allowed: 1-12 or JAN-DEC")
        assert refusal("0 0 * * 8").startswith("day-of-week '8': '8' is out of range; allowed: 0-7 or SUN-SAT")
        assert refusal("99 0 0 * * *").startswith("second '99'")

    def test_name_all_fields_at_once(self):
        message = refusal("60 24 0 13 MOO")
        for field in ("minute '60'", "hour '24'", "day-of-month '0'", "month '13'", "day-of-week 'MOO'"):
            assert field in message

    @pytest.mark.parametrize("expression", ["", "   ", "*", "* * * *", "* * * * * * *", "daily"])
    def test_another_number_of_fields(self, expression):
        assert "five fields" in refusal(expression)

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ("*/0 * * * *", "the step '0' is not one of 1-60"),
            ("*/61 * * * *", "the step '61' is not one of 1-60"),
            ("*/90 * * * *", "the step '90'"),
            ("* */25 * * *", "1-24"),
            ("* * * * */8", "1-7"),
            ("*/ * * * *", "the step ''"),
            ("*/x * * * *", "the step 'X'"),
            ("*/1/2 * * * *", "the step '1/2'"),
            ("1-99999999999 * * * *", "'99999999999' is out of range"),
            ("99999999999999999999-1 * * * *", "out of range"),
            ("1,,2 * * * *", "a value is missing beside a comma"),
            (", * * * *", "a value is missing"),
            ("1- * * * *", "not understood"),
            ("-1 * * * *", "not understood"),
            ("1-2-3 * * * *", "'2-3' is not understood"),
            ("1.5 * * * *", "not understood"),
            ("٣ * * * *", "not understood"),
            ("² * * * *", "not understood"),
            ("? * * * *", "not understood"),
            ("L * * * *", "not understood"),
            ("JAN * * * *", "not understood"),
            ("* * 15W * *", "LW is the last weekday"),
            ("* * L-3 * *", "not understood"),
            ("* * L/2 * *", "takes no step"),
            ("* * * * L", "such as 5L or FRIL"),
            ("* * * * 8L", "out of range"),
            ("* * * * MON#6", "#6 is not one of #1-#5"),
            ("* * * * MON#L", "written 5L or FRIL"),
            ("* * * * MON#", "is not one of"),
            ("* * * * #1", "not understood"),
            ("* * * * MON#1/2", "takes no step"),
            ("* * * * MONDAY", "not understood"),
            ("*5 * * * *", "not understood"),
        ],
    )
    def test_what_no_field_takes(self, expression, words):
        assert words in refusal(expression)

    @pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30,31 FEB ?", "0 0 31 APR */2"])
    def test_dates_that_no_year_has(self, expression):
        assert refusal(expression).startswith("no year has such a date: day-of-month 3")

    def test_what_matches_nothing_in_50_years(self):
        # A star in either day field means that both must match: the 1st is never a fifth Monday.
        assert "no year has such a date: day-of-month */31, month *, day-of-week 1#5" in refusal("0 0 */31 * MON#5")

    def test_february_30th_is_allowed_where_a_weekday_matches_instead(self):
        assert first_slots(normalise("0 0 30 2 MON", SEED), 1) == [wall(2026, 2, 2)]

    @pytest.mark.parametrize(
        "expression",
        ["1," * 1_000_000 + "1 * * * *", "*/0 " * 100_000, "9" * 1_000_000, "0 0 */31 * MON#5",
         " ".join(["1-59/1," * 8 + "1"] * 5)],
    )  # fmt: skip
    def test_are_quick_however_hostile_the_expression(self, expression):
        begin = time.perf_counter()
        message = refusal(expression)
        assert time.perf_counter() - begin < 0.5
        assert len(message) < 1000

    def test_show_no_more_than_a_line_of_a_long_value(self):
        assert "'" + "x" * 37 + "...'" in refusal("x" * 200 + " * * * *")


@given(st.text(alphabet="0123456789*/,-#?LWH()@ JANMOSU", max_size=30))
def test_whatever_is_written_is_read_by_cronsim_or_refused(expression):
    try:
        text = normalise(expression, SEED)
    except ScheduleError:
        return
    assert next(CronSim(text, wall(2026, 1, 1)))
    assert normalise(text, SEED) == text


def test_iterators_over_one_expression_do_not_disturb_each_other():
    one, other = parsed("0 0 * * *"), parsed("0 0 * * *")
    one.dt, other.dt = wall(2026, 1, 1), wall(2030, 1, 1)
    assert (next(one), next(other)) == (wall(2026, 1, 2), wall(2030, 1, 2))
    assert next(one) == wall(2026, 1, 3)
