"""What may befall a world, in any order: time, crashes, freezes, a store that fails, edits, pauses, a wrong clock.

Forbidden here: knowing what must hold.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reconciler.app.auditing import audit
from reconciler.core.eras import Span
from reconciler.core.model import Pause
from tests.model.promises import MARKED, Promises
from tests.model.reference import Declared
from tests.model.replica import KEPT, Replica
from tests.model.world import ZERO, Standing, Window, World

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MOST_REPLICAS = 2
_PATIENCE = 30  # minutes in which a healthy world settles

# When the clocks of a zone change, in 2026.
CHANGES = {
    "2026-03-29T01:00:00": "Europe/Berlin",
    "2026-10-25T01:00:00": "Europe/Berlin",
    "2026-03-08T07:00:00": "America/New_York",
    "2026-11-01T06:00:00": "America/New_York",
    "2026-04-04T15:00:00": "Australia/Lord_Howe",
    "2026-10-03T15:30:00": "Australia/Lord_Howe",
}
CRONS = (
    "* * * * *", "*/20 * * * * *", "*/5 * * * *", "0 */2 * * *", "15 * * * *", "*/10 2 * * *",
    "30 2 * * *", "0,30 1,2 * * *", "15 0-3 * * *", "45 1 * * *", "10 2,3 * * *", "30 10 * * * *",
)  # fmt: skip
NAMES = ("shop/a", "shop/b", "bank/c")
FIXED = "bank/beat"  # a source that declares nothing is another matter

zones = st.shared(st.sampled_from(sorted(CHANGES)), key="change").map(CHANGES.__getitem__)
times = st.one_of(
    st.sampled_from(CRONS).map(lambda text: {"cron": text, "every": 0}),
    st.sampled_from((15, 60, 90, 420, 3600)).map(lambda seconds: {"cron": "", "every": seconds}),
)
catch_ups = st.sampled_from(("latest", "all", "none"))
deadlines = st.sampled_from((3600, 20, 120, 600, 86_400))
methods = st.sampled_from(("POST", "GET"))
policies = st.sampled_from(("Forbid", "Allow", "Replace"))


@st.composite
def declarations(draw: st.DrawFn) -> Declared:
    """A job of any kind."""
    zone = draw(st.sampled_from(("UTC", draw(zones))))
    return Declared(
        **draw(times), zone=zone, catch_up=draw(catch_ups), deadline=draw(deadlines), method=draw(methods),
        policy=draw(policies), jitter=draw(st.sampled_from((0, 0, 0, 20))), retries=draw(st.sampled_from((0, 1))),
    )  # fmt: skip


def manifests(
    declared: dict[str, Declared],
    windows: dict[str, tuple[Window, str]],
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The manifests that say so; ``renamed`` says of new names which were the old ones."""
    files = {f"{name}.yaml": _application(name, declared, renamed) for name in ("shop", "bank")}
    return files | {f"{name}.yaml": _window(name, *one) for name, one in windows.items()}


def _application(application: str, declared: dict[str, Declared], renamed: Mapping[str, str]) -> str:
    keys = [(name.partition("/"), one) for name, one in sorted(declared.items())]
    apis = "".join(_api(key[2], one, renamed.get("/".join(key[::2]))) for key, one in keys if key[0] == application)
    return f"""apiVersion: reconciler/v1
kind: Application
metadata: {{name: {application}}}
spec:
  baseUrl: http://{application}.example.com
  apis:{apis or " []"}
"""


def _window(name: str, window: Window, catch_up: str) -> str:
    return f"""apiVersion: reconciler/v1
kind: FreezeWindow
metadata: {{name: {name}}}
spec:
  start: {window.start.cron!r}
  duration: {window.duration // SECOND}s
  applications: [{window.application!r}]
  catchUp: {catch_up}
"""


def _api(name: str, one: Declared, old: str | None) -> str:
    noted = f"\n      annotations: {{reconciler/renamed-from: {old}}}" if old else ""
    schedule = f"{one.cron!r}" if one.cron else f"{{every: {one.every}s}}"
    zone = f"\n      timeZone: {one.zone}" if one.cron else ""
    return f"""
    - name: {name}{noted}
      schedule: {schedule}{zone}
      request: {{method: {one.method}, path: /{name[0]}}}
      retry: {{limit: {one.retries}}}
      concurrencyPolicy: {one.policy}
      startingDeadline: {one.deadline}s
      catchUp: {one.catch_up}
      jitter: {one.jitter}s
      suspend: {str(one.suspend).lower()}"""


class Bugs(logging.Handler):
    """Takes note of what a process logs as its own mistake."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


def _is_anybody_alive(machine: Machine) -> bool:
    return bool(machine._alive())


class Machine(RuleBasedStateMachine):
    """One world, and what befalls it."""

    replica: Callable[..., Replica] = Replica

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.bugs: Bugs | None = None
        self.windows: dict[str, tuple[Window, str]] = {}
        self.names: dict[str, str] = {}  # what those of NAMES are called now that have been renamed
        self.renamed: dict[str, str] = {}
        self.numbers = 0

    # The beginning

    @initialize(
        change=st.shared(st.sampled_from(sorted(CHANGES)), key="change"),
        before=st.sampled_from((30 * SECOND, 5 * MINUTE, HOUR, 10 * HOUR)),
        jobs=st.lists(declarations(), min_size=1, max_size=3),
        knows_neighbours=st.booleans(),
        replicas=st.integers(1, MOST_REPLICAS),
        places=st.sampled_from((100, 2)),
    )
    def begin(self, change, before, jobs, knows_neighbours, replicas, places):
        begin = datetime.fromisoformat(change).replace(tzinfo=UTC) - before
        self.world = World(begin)
        self.knows_neighbours, self.places = knows_neighbours, places
        self.bugs = Bugs(self.world.bugs)
        logging.getLogger("reconciler").addHandler(self.bugs)
        self.declared = {FIXED: Declared(every=3600), **dict(zip(NAMES, jobs, strict=False))}
        self._commit()
        for _ in range(replicas):
            self._start()
            self._pass(SECOND)

    def _commit(self) -> None:
        self.world.source.commit(manifests(self.declared, self.windows, self.renamed), self.declared)

    def _start(self) -> None:
        self.numbers += 1
        one = self.replica(self.world, self.numbers, knows_neighbours=self.knows_neighbours, places=self.places)
        self.world.replicas = [*(each for each in self.world.replicas if not each.is_dead), one]
        one.context.run(one.start)
        self._settle()

    def _pass(self, span: timedelta, quantum: timedelta = ZERO) -> None:
        self.world.run(self.world.pass_time(span, quantum))

    def _settle(self) -> None:
        self.world.run(asyncio.sleep(0))

    def _alive(self) -> list[Replica]:
        return [one for one in self.world.replicas if not one.is_dead]

    def _one(self, number: int) -> Replica:
        alive = self._alive()
        return alive[number % len(alive)]

    # Time

    @rule(span=st.integers(1, 90))
    def time_passes(self, span):
        self._pass(span * SECOND)

    @rule(milliseconds=st.integers(1, 900))
    def a_moment_passes(self, milliseconds):
        self._pass(timedelta(milliseconds=milliseconds))

    @rule(span=st.integers(1, 8), quantum=st.sampled_from((0.3, 1.0, 2.0)))
    def time_passes_on_a_slow_machine(self, span, quantum):
        self._pass(span * MINUTE, timedelta(seconds=quantum))

    @rule(span=st.sampled_from((15 * SECOND, 3 * MINUTE, 50 * MINUTE, 3 * HOUR, 30 * HOUR)), replicas=st.integers(1, 2))
    def nobody_lives_for_a_while(self, span, replicas):
        for one in self._alive():
            self.world.run(one.kill())
        self.world.note("kill")
        self._pass(span)
        for _ in range(replicas):
            self._start()

    @rule(span=st.sampled_from((15 * SECOND, 3 * MINUTE, 50 * MINUTE, 3 * HOUR)))
    def the_machine_sleeps(self, span):
        for one in self._alive():
            one.freeze()
        self._pass(span)
        for one in self._alive():
            one.thaw()
        self.world.note("sleep")
        self._settle()

    @rule(by=st.sampled_from((90 * SECOND, -90 * SECOND, HOUR, -HOUR)))
    def the_wall_clock_is_set(self, by):
        self.world.jump(by)

    @rule(by=st.sampled_from((-90 * SECOND, -10 * MINUTE, HOUR)))
    def the_machine_starts_anew_with_a_clock_that_is_wrong(self, by):
        for one in self._alive():
            self.world.run(one.kill())
        self.world.note("kill")
        self.world.jump(by)
        self._start()
        self._pass(2 * MINUTE, SECOND)

    @precondition(lambda self: all(one.is_rare for one in self.declared.values()))  # a year is counted through
    @precondition(lambda self: not any(what == "year" for _, what in self.world.disturbances))
    @rule(by=st.sampled_from((365 * DAY, -365 * DAY)), back=st.booleans())
    def the_wall_clock_is_wrong_by_a_year(self, by, back):
        self.world.note("year")
        self.world.jump(by)
        self._pass(20 * SECOND)
        if back:
            self.world.jump(-by)

    # Processes

    @precondition(lambda self: len(self._alive()) < MOST_REPLICAS)
    @rule()
    def one_more_starts(self):
        self._start()

    @precondition(_is_anybody_alive)
    @rule(number=st.integers(0, 1))
    def one_is_killed(self, number):
        one = self._one(number)
        self.world.note("kill")
        self.world.run(one.kill())

    @precondition(_is_anybody_alive)
    @rule(number=st.integers(0, 1))
    def one_is_told_to_end(self, number):
        one = self._one(number)
        if not one.is_ending:
            self.world.note("end")
            one.terminate()
            self._settle()

    @precondition(_is_anybody_alive)
    @rule(number=st.integers(0, 1))
    def one_is_frozen(self, number):
        self.world.note("freeze")
        self._one(number).freeze()

    @precondition(_is_anybody_alive)
    @rule(number=st.integers(0, 1))
    def one_goes_on(self, number):
        one = self._one(number)
        if one.is_frozen:
            self.world.note("thaw")
            one.thaw()
            self._settle()

    # The store and the target

    @precondition(_is_anybody_alive)
    @rule(is_cut=st.booleans(), number=st.sampled_from((None, 0, 1)))
    def the_store_is_cut_off(self, is_cut, number):
        for one in self._alive() if number is None else [self._one(number)]:
            one.link.is_cut = is_cut
        self.world.note("store")

    @precondition(_is_anybody_alive)
    @rule(lost=st.integers(1, 3), number=st.integers(0, 1))
    def answers_are_lost(self, lost, number):
        self._one(number).link.lost = lost
        self.world.note("lost")

    @precondition(_is_anybody_alive)
    @rule(latency=st.sampled_from((0.0, 0.02, 0.5, 2.0)), number=st.integers(0, 1))
    def the_store_is_slow(self, latency, number):
        self._one(number).link.latency = timedelta(seconds=latency)
        self.world.most_latency = max(self.world.most_latency, timedelta(seconds=latency))
        self.world.note("slow")

    @rule(mode=st.sampled_from(("good", "slow", "hangs", "fails", "refuses", "resets")))
    def the_target_changes(self, mode):
        self.world.target.mode = mode

    # People

    @rule(name=st.sampled_from(NAMES), declared=declarations())
    def a_job_is_declared(self, name, declared):
        self.declared[self._named(name)] = declared
        self._commit()

    @rule(name=st.sampled_from(NAMES), change=times)
    def its_schedule_is_edited(self, name, change):
        self._edit(name, **change)

    @rule(name=st.sampled_from(NAMES), catch_up=catch_ups, deadline=deadlines, method=methods)
    def its_rules_are_edited(self, name, catch_up, deadline, method):
        self._edit(name, catch_up=catch_up, deadline=deadline, method=method)

    @rule(name=st.sampled_from(NAMES), suspend=st.booleans())
    def it_is_suspended_or_resumed(self, name, suspend):
        self._edit(name, suspend=suspend)

    def _edit(self, name: str, **changes) -> None:
        name = self._named(name)
        if name in self.declared:
            self.declared[name] = replace(self.declared[name], **changes)
            self._commit()

    def _named(self, name: str) -> str:
        """What a job is called by whoever writes manifests."""
        return self.names.get(name, name)

    def _stored(self, name: str) -> str | None:
        """What it is called in the store, where it is there."""
        stored = (str(key) for key in self.world.store.stored_jobs)
        return next((each for each in stored if each.partition("-")[0] == name), None)

    @rule(name=st.sampled_from(NAMES))
    def it_is_renamed(self, name):
        old = self._named(name)
        if old not in self.declared or self._stored(name) != old:
            return  # nobody knows it yet by the name that it would give up
        self.numbers += 1
        new = self.names[name] = f"{name}-{self.numbers}"
        self.declared = {new if each == old else each: one for each, one in self.declared.items()}
        self.renamed[new] = old
        self._commit()

    @rule(name=st.sampled_from(NAMES))
    def it_is_removed(self, name):
        if self.declared.pop(self._named(name), None) is not None:
            self.names[name] = self._stored(name) or self._named(name)
            self.renamed.pop(self.names[name], None)
            self._commit()

    @rule(name=st.sampled_from((*NAMES, "shop", FIXED)), minutes=st.sampled_from((1, 10, 300)))
    def somebody_pauses(self, name, minutes):
        application, _, api = (self._stored(name) or self._named(name)).partition("/")
        now = self.world.now()
        identifier = f"{now:%Y%m%dT%H%M%S}-{len(self.world.pauses):08}"
        self._write_pause(
            Pause(
                id=identifier, application=application, api=api or None, reason="work", by="op@host",
                since=now, until=now + minutes * MINUTE,
            )
        )  # fmt: skip

    @rule(number=st.integers(0, 3))
    def somebody_resumes(self, number):
        is_open = [one for one, _ in self.world.pauses.values() if not one.ended_at and one.until > self.world.now()]
        if is_open:
            pause = is_open[number % len(is_open)]
            pause = self.world.store.stored_pauses[pause.id]  # its job may have another name by now
            self._write_pause(replace(pause, ended_at=self.world.now(), ended_by="op@host"))

    def _write_pause(self, pause: Pause) -> None:
        self.world.pauses[pause.id] = (pause, self.world.elapsed)
        self.world.run(self.world.store.pause(pause))

    @rule(
        application=st.sampled_from(("shop", "*")),
        start=st.sampled_from(("*/10 * * * *", "*/30 * * * *", "5 * * * *")),
        minutes=st.sampled_from((1, 4, 20)),
        catch_up=st.sampled_from(("none", "latest")),
    )
    def a_window_is_declared(self, application, start, minutes, catch_up):
        window = Window(application=application, start=Declared(cron=start), duration=minutes * MINUTE)
        self._declare_windows({"window": (window, catch_up)})

    @precondition(lambda self: self.windows)
    @rule()
    def the_window_is_removed(self):
        self._declare_windows({})

    def _declare_windows(self, windows: dict[str, tuple[Window, str]]) -> None:
        self.windows, elapsed = windows, self.world.elapsed
        for standing in self.world.windows:
            standing.until = elapsed if standing.until is None else standing.until
        self.world.windows += [Standing(window=window, since=elapsed) for window, _ in windows.values()]
        self._commit()

    # What must hold

    @invariant()
    def nothing_is_broken(self):
        if self.world is not None:
            broken = list(Promises(self.world).broken_now())
            assert not broken, "\n".join(broken)

    @rule()
    def everything_settles(self):
        self._settle_everything()

    def _settle_everything(self) -> None:
        self._heal()
        for _ in range(_PATIENCE):
            self._pass(MINUTE, SECOND / 2)
            if self._is_settled():
                break
        broken = [*Promises(self.world).broken(), *self._audited()]
        assert not broken, "\n".join(broken[:20])

    def _heal(self) -> None:
        self.world.target.mode = "good"
        for one in self._alive():
            one.link.is_cut, one.link.lost, one.link.latency = False, 0, ZERO
            if one.is_frozen:
                one.thaw()
        self.world.note("healed")
        self._pass(20 * SECOND)
        if not self._alive():
            self._start()

    def _is_settled(self) -> bool:
        lease = self.world.store.stored_lease
        running = [run for run in self.world.store.stored_runs.values() if run.finished_at is None]
        recent = self.world.now() - MARKED
        return lease is not None and lease.accounted_until >= recent and not running

    def _audited(self) -> list[str]:
        """What the product's own audit says."""
        now = self.world.now()
        asked = Span(max(self.world.lived.segments[0].begin, now - 3 * DAY), now)
        found = self.world.run(audit(self.world.store, asked, retention=KEPT, now=now))
        promises = Promises(self.world)
        said = [
            f"audit: {one.kind.value} {one.key} {one.slot} x{one.slots}: {one.said}"
            for one in found.differences
            if not promises.is_out_of_order(str(one.key)) and len(self.world.lived.through(one.slot, one.through)) < 2
        ]
        return [*said, *found.unreadable]

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            self._settle_everything()
        finally:
            logging.getLogger("reconciler").removeHandler(self.bugs)
            self.world.close()
