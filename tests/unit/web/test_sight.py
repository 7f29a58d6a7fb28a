"""A token that is limited to one Application, at every address: what is another's is nowhere to be read."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.access import digest_of
from reconciler.core.acts import Act, ActKind
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    Commit,
    Drift,
    FreezeWindow,
    JobKey,
    Outcome,
    Pause,
    Process,
    Role,
    Schedule,
    SyncReport,
)
from tests.fakes import START, stored_job
from tests.unit.web.conftest import World, a_run, run_id

OWN, OTHERS = JobKey("billing", "nightly"), JobKey("zebra", "stripes")
WORDS = ("zebra", "stripes", "MISSING_Z")  # all that is the other's has one of these
START_OF_WINDOW = Schedule(declared="0 12 * * *", cron="0 12 * * *")
PLACES = {"application": OWN.application, "api": OWN.api, "run_id": run_id(1)}
UNLISTED = ("/docs", "/openapi.json")


def token(name: str, role: Role, *applications: str) -> AccessToken:
    return AccessToken(name=name, role=role, sha256=digest_of(name), applications=applications or ("*",))


def window(name: str, *applications: str) -> FreezeWindow:
    return FreezeWindow(
        name=name, mode="deny", start=START_OF_WINDOW, duration=timedelta(hours=1), applications=applications
    )


def report(number: int, **changes) -> SyncReport:
    stays = "2 of 3 jobs would go, more than 50%"
    made = SyncReport(
        id=f"{number:08d}",
        source="manifests",
        revision="r1",
        result="applied",
        started_at=START,
        duration_ms=5.0,
        held=("billing", "zebra"),
        problems=("zebra.yaml:3:5: spec: wrong",),
        kept=("billing/weekly", "zebra/stripes"),
        kept_reasons=(f"billing/weekly stays: {stays}", f"zebra/stripes stays: {stays}"),
        notes=("the removal of zebra/stripes was allowed",),
        commit=Commit(id="c" * 40, author="A <a@example.com>", date=START, subject="Remove zebra"),
        drift=(
            Drift(key=OTHERS, where="store", field="url", found="a", declared="b", put_back=False),
            Drift(key=OWN, where="store", field="suspend", found="a", declared="b"),
            Drift(key=JobKey("zebra", ""), where="store", kind="Application", field="labels", found="a", declared="b"),
            Drift(key=JobKey("billing", ""), where="store", kind="freeze window", field="applications", found="zebra"),
            Drift(key=JobKey("billing", ""), where="store", kind="access token", field="applications", found="zebra"),
        ),
    )
    return replace(made, **changes)


@pytest.fixture
async def both():
    """A world of two Applications, in which each leaves its traces wherever it can."""
    world = World()
    store = world.store
    for key in (OWN, JobKey("billing", "weekly"), OTHERS):
        store.stored_jobs[key] = stored_job(str(key))
    told = (
        "billing.yaml:3:5: schedule.after: there is no job `zebra/stripe` (did you mean `zebra/stripes`?)",
        "billing.yaml:9:5: metadata.name: Application zebra has it already, and `zebra` stays",
    )
    store.stored_applications = {
        "billing": ApplicationState(name="billing", since=START, held=True, problems=told),
        "zebra": ApplicationState(name="zebra", since=START, held=True, problems=("zebra.yaml:3:5: spec: wrong",)),
    }
    for number, key in ((1, OWN), (2, OTHERS)):
        run = a_run(number, str(key))
        store.seed(run, a_run(number + 10, str(key), outcome=Outcome.RUNNING, finished_at=None))
        world.metrics.observe_run(run)
        until = START + timedelta(days=9)
        await store.pause(
            Pause(id=f"p{number}", application=key.application, reason="a move", by="a@h", since=START, until=until)
        )
        await store.act(
            [
                Act(
                    id=f"a{number}",
                    kind=ActKind.TRIGGER,
                    at=START,
                    who="anybody",
                    source="1.2.3.4",
                    subject=str(key),
                    result="started",
                )
            ]
        )
    windows = (window("shared", "billing", "zebra"), window("wide", "*", "zeb*"), window("theirs", "zeb*"))
    store.stored_windows = {one.name: one for one in windows}
    texts = tuple(
        f"{key} auth header:X-Setup: secret env MISSING_{key.application[0].upper()}: not set" for key in (OWN, OTHERS)
    )
    await store.beat(
        Process(id="p", role="run", host="h", pid=1, version="1", started_at=START, seen_at=START, unreadable=texts)
    )
    for number in range(3):
        await store.record(report(number))
    world.tokens = [
        token("all", Role.ADMIN),
        token("viewer", Role.VIEWER, "billing"),
        token("pattern", Role.OPERATOR, "bill*"),
        token("admin", Role.ADMIN, "billing"),
    ]
    return world


def addresses(world: World) -> list[str]:
    """Every address that can be read, with the names of what is its own where one is asked for."""
    listed = [path for path, operations in world.app.openapi()["paths"].items() if "get" in operations]
    return [re.sub(r"\{(\w+)\}", lambda found: PLACES[found[1]], path) for path in (*listed, *UNLISTED)]


async def read(world: World, address: str, who: str):
    return await world.client.get(address, headers={"Authorization": f"Bearer {who}"})


@pytest.mark.parametrize("who", ["viewer", "pattern", "admin"])
async def test_no_address_names_what_is_another_s(both, who):
    for address in addresses(both):
        answer = await read(both, address, who)
        assert answer.status_code in (200, 403), f"{address}: {answer.text}"
        found = [word for word in WORDS if word in answer.text or word in str(answer.headers)]
        assert not found, f"{address}: {answer.text}"


async def test_whoever_sees_all_is_told_of_the_other_at_each_of_these(both):
    """What the walk above looks for is there to be found."""
    told = {address for address in addresses(both) if "zebra" in (await read(both, address, "all")).text}
    assert told == {
        "/metrics",
        "/api/v1/acts",
        "/api/v1/applications",
        "/api/v1/applications/billing",
        "/api/v1/cronjobs",
        "/api/v1/runs",
        "/api/v1/status",
        "/api/v1/syncs",
    }


async def test_what_is_its_own_stays(both):
    status = (await read(both, "/api/v1/status", "viewer")).json()
    assert status["processes"][0]["unreadable"] == [
        "billing/nightly auth header:X-Setup: secret env MISSING_B: not set"
    ]
    assert [(one["name"], one["applications"]) for one in status["windows"]] == [
        ("shared", ["billing"]),
        ("wide", ["*"]),
    ]
    assert [one["application"] for one in status["pauses"]] == ["billing"]
    assert [one["job"] for one in status["lastSync"]["drift"]] == ["billing/nightly"]
    (application,) = (await read(both, "/api/v1/applications", "viewer")).json()["items"]
    assert application["problems"] == [
        "billing.yaml:3:5: schedule.after: there is no job `…/…` (did you mean `…/…`?)",
        "billing.yaml:9:5: metadata.name: Application … has it already, and `…` stays",
    ]
    (degraded,) = (one for one in application["conditions"] if one["type"] == "Degraded")
    assert not degraded["status"]


async def test_why_its_own_jobs_stay_is_told(both):
    both.store.stored_applications["billing"] = replace(
        both.store.stored_applications["billing"], held=False, problems=()
    )
    await both.store.record(report(9, held=()))
    application = (await read(both, "/api/v1/applications/billing", "viewer")).json()
    (degraded,) = (one for one in application["conditions"] if one["type"] == "Degraded")
    assert degraded["reason"] == "1 job would be removed and stays: 2 of 3 jobs would go, more than 50%"
