"""Freeze windows and pauses in a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciler.core.model import FreezeWindow, Retention, Schedule, Writing
from tests.contract.samples import ODD, full_window, pause_of
from tests.fakes import START, stored_job

HOUR = timedelta(hours=1)


async def test_a_window_comes_back_as_it_was_with_every_field(store):
    await store.apply(Writing(windows=[full_window()]))
    assert list(await store.windows()) == [full_window()]


async def test_a_window_with_every_field_at_its_default_comes_back(store):
    plain = FreezeWindow(name="w", mode="deny", start=Schedule(declared="@daily", cron="0 0 * * *"), duration=HOUR)
    await store.apply(Writing(windows=[plain]))
    assert list(await store.windows()) == [plain]


async def test_windows_are_ordered_by_name_and_written_whole(store):
    await store.apply(Writing(windows=[full_window("b"), full_window("a"), full_window("c")]))
    changed = replace(full_window("b"), mode="allow", applications=("crm",))
    await store.apply(Writing(windows=[changed], removed_windows=["c", "never-was"]))
    assert list(await store.windows()) == [full_window("a"), changed]


async def test_windows_and_jobs_do_not_touch_each_other(store):
    await store.apply(Writing(jobs=[stored_job()], windows=[full_window()]))
    await store.apply(Writing(removed_windows=["easter"]))
    assert list(await store.jobs()) == [stored_job()]
    await store.apply(Writing(windows=[full_window()]))
    await store.apply(Writing(removed_jobs=[stored_job().key]))
    assert list(await store.windows()) == [full_window()]


async def test_a_fresh_store_holds_neither_windows_nor_pauses(store):
    assert list(await store.windows()) == []
    assert list(await store.pauses()) == []
    assert list(await store.pauses(ending_after=START)) == []


async def test_a_pause_comes_back_as_it_was_with_every_field_and_odd_characters(store):
    full = replace(pause_of("1"), reason=ODD, by=ODD, ended_at=START + HOUR, ended_by=ODD)
    await store.pause(full)
    assert list(await store.pauses()) == [full]


async def test_a_pause_written_again_is_replaced_whole(store):
    await store.pause(pause_of("1"))
    over = replace(pause_of("1"), ended_at=START + HOUR, ended_by="ops@desk")
    for _ in range(2):
        await store.pause(over)
        assert list(await store.pauses()) == [over]


async def test_pauses_come_newest_first(store):
    for number in "2", "1", "3":
        await store.pause(pause_of(number))
    assert [pause.id for pause in await store.pauses()] == ["3", "2", "1"]


async def test_open_pauses_are_those_that_nobody_ended_and_whose_end_is_later(store):
    until = START + 2 * HOUR
    for number, ended_at in (("1", None), ("2", START + HOUR), ("3", START + 9 * HOUR), ("4", None)):
        await store.pause(replace(pause_of(number), until=until, ended_at=ended_at))
    before, after = until - timedelta(milliseconds=1), until + timedelta(milliseconds=1)
    assert [pause.id for pause in await store.pauses(ending_after=before)] == ["4", "1"]
    assert list(await store.pauses(ending_after=until)) == []
    assert list(await store.pauses(ending_after=after)) == []
    assert len(await store.pauses()) == 4


async def test_a_pause_goes_when_it_ended_long_ago_by_itself_or_by_somebody(store):
    bound = START + 10 * HOUR
    kept = {
        "open": replace(pause_of("open"), until=bound + HOUR),
        "at the bound": replace(pause_of("at the bound"), until=bound),
        "ended at the bound": replace(pause_of("ended at the bound"), until=bound + HOUR, ended_at=bound),
        "ended after": replace(pause_of("ended after"), until=START, ended_at=bound + HOUR),
    }
    gone = {
        "over": replace(pause_of("over"), until=bound - timedelta(milliseconds=1)),
        "ended": replace(pause_of("ended"), until=bound + HOUR, ended_at=bound - timedelta(milliseconds=1)),
    }
    for pause in (kept | gone).values():
        await store.pause(pause)
    for _ in range(2):
        retention = Retention(keep_failures_for=90 * 24 * HOUR)
        assert await store.expire(now=bound + 90 * 24 * HOUR, retention=retention, applications={}) == 0
        assert {pause.id: pause for pause in await store.pauses()} == kept
