from datetime import timedelta

import pytest

from reconciler.core.model import Outcome, Process, SyncReport
from reconciler.errors import StoreError
from reconciler.web.paging import encode_cursor
from tests.fakes import START, stored_job
from tests.unit.web.conftest import a_run, run_id

PAGED = [
    "/api/v1/applications",
    "/api/v1/applications/billing/apis",
    "/api/v1/cronjobs",
    "/api/v1/cronjobs/billing/nightly/history",
    "/api/v1/runs",
    "/api/v1/syncs",
]
READING = [
    *PAGED,
    "/api/v1/status",
    "/api/v1/applications/billing",
    "/api/v1/cronjobs/billing/nightly",
    f"/api/v1/runs/{run_id(1)}",
    "/api/v1/stats",
]


def a_sync(number: int, **changes) -> SyncReport:
    fields = {"id": f"sync-{number:04}", "source": "manifests", "revision": f"r{number}", "result": "applied"}
    return SyncReport(**(fields | {"started_at": START + timedelta(minutes=number), "duration_ms": 12.5} | changes))


async def every_item(world, address: str) -> list:
    items, cursor = [], None
    while True:
        page = (await world.ask(address, params={"limit": 1} | ({"cursor": cursor} if cursor else {}))).json()
        assert len(page["items"]) <= 1
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


async def test_status_tells_the_whole_at_a_glance(world):
    await world.store.record(a_sync(1))
    await world.store.record(a_sync(2, result="failed", revision="", error="away"))
    process = Process(id="p1", role="run", host="h", pid=1, version="1", started_at=START, seen_at=START)
    await world.store.beat(process)
    world.reasons = ["the first sync has not ended"]

    status = (await world.ask("/api/v1/status")).json()

    assert status["version"] == "1.2.3"
    assert status["store"] == "memory"
    assert status["source"] == "manifests"
    assert status["revision"] == "r1", "a sync that read nothing does not change the revision"
    assert status["lastSync"]["result"] == "failed"
    assert status["jobs"] == {"total": 3, "suspended": 1, "paused": 0, "frozen": 0, "held": 1, "complete": 0}
    assert status["heldApplications"] == ["crm"]
    assert status["running"] == 1
    assert [run["id"] for run in status["runningRuns"]] == [run_id(5)]
    assert status["last24Hours"] == {"succeeded": 3, "failed": 1, "skipped": 0, "missed": 0, "unknown": 0}
    assert [process["id"] for process in status["processes"]] == ["p1"]
    assert status["ready"] is False
    assert status["reasons"] == ["the first sync has not ended"]


async def test_status_counts_no_run_older_than_a_day(world):
    world.now = START + timedelta(hours=24, minutes=2)
    status = (await world.ask("/api/v1/status")).json()
    assert status["last24Hours"]["succeeded"] == 2  # runs 3 and 4; run 1 is too old, run 2 failed
    assert status["last24Hours"]["failed"] == 1


async def test_applications_come_by_name_with_their_number_of_jobs(world):
    page = (await world.ask("/api/v1/applications")).json()
    assert [(one["name"], one["jobs"], one["held"]) for one in page["items"]] == [
        ("billing", 2, False),
        ("crm", 1, True),
    ]
    assert page["next"] is None


@pytest.mark.parametrize(("held", "names"), [("true", ["crm"]), ("false", ["billing"])])
async def test_applications_are_filtered_by_held(world, held, names):
    page = (await world.ask(f"/api/v1/applications?held={held}")).json()
    assert [one["name"] for one in page["items"]] == names


async def test_an_application_says_why_it_is_held(world):
    answer = await world.ask("/api/v1/applications/crm")
    assert answer.json()["problems"] == ["crm.yaml:3:5: spec: wrong"]
    assert answer.json()["jobs"] == 1


@pytest.mark.parametrize("name", ["nobody", "NOT-A-NAME", "%00", "a%0Ab", "%FF%FE", "x" * 300, "%F0%9F%98%80"])
async def test_an_unknown_application_is_not_found(world, name):
    for address in (f"/api/v1/applications/{name}", f"/api/v1/applications/{name}/apis"):
        answer = await world.ask(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "application-not-found")


async def test_the_apis_of_an_application_are_its_jobs_only(world):
    page = (await world.ask("/api/v1/applications/billing/apis")).json()
    assert [one["key"] for one in page["items"]] == ["billing/nightly", "billing/weekly"]


async def test_jobs_come_with_their_next_runs_and_their_last_one(world):
    items = {one["key"]: one for one in (await world.ask("/api/v1/cronjobs")).json()["items"]}
    assert list(items) == ["billing/nightly", "billing/weekly", "crm/refresh"]
    nightly = items["billing/nightly"]
    assert nightly["nextRuns"] == [f"2026-03-02T11:0{minute}:00.000Z" for minute in (1, 2, 3)]
    assert nightly["nextDue"] == "2026-03-02T11:00:30.000Z"
    assert nightly["lastRun"]["id"] == run_id(5)
    assert items["billing/weekly"]["nextRuns"] == [], "a suspended job has no next run"
    assert items["billing/weekly"]["lastRun"] is None
    assert items["crm/refresh"]["held"] is True


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("application=crm", ["crm/refresh"]),
        ("application=nobody", []),
        ("suspend=true", ["billing/weekly"]),
        ("suspend=false&application=billing", ["billing/nightly"]),
        ("status=running", ["billing/nightly"]),
        ("status=running&status=succeeded", ["billing/nightly", "crm/refresh"]),
        ("status=missed", []),
    ],
)
async def test_jobs_are_filtered(world, query, keys):
    page = (await world.ask(f"/api/v1/cronjobs?{query}")).json()
    assert [one["key"] for one in page["items"]] == keys


async def test_a_job_shows_what_its_manifest_says(world):
    job = (await world.ask("/api/v1/cronjobs/billing/nightly")).json()
    assert job["description"] == "Invoices"
    assert job["labels"] == {"tier": "gold"}
    assert (job["method"], job["url"], job["timeout"]) == ("GET", "http://127.0.0.1:1/", "30s")
    assert job["retry"] == {"limit": 0, "initialDelay": "1s", "factor": 2.0, "maxDelay": "5m"}
    assert (job["revision"], job["file"], job["line"]) == ("r1", "billing.yaml", 7)
    assert job["schedule"]["cron"] == "* * * * *"


@pytest.mark.parametrize("name", ["billing/nothing", "nobody/nightly", "billing/%00", "billing/N", "a%2Fb/%FF"])
async def test_an_unknown_job_is_not_found(world, name):
    for address in (f"/api/v1/cronjobs/{name}", f"/api/v1/cronjobs/{name}/history"):
        answer = await world.ask(address)
        assert answer.status_code == 404
        assert answer.json()["code"] in ("job-not-found", "unknown-address")


async def test_a_jobs_history_is_its_runs_newest_first(world):
    page = (await world.ask("/api/v1/cronjobs/billing/nightly/history")).json()
    assert [one["id"] for one in page["items"]] == [run_id(number) for number in (5, 4, 2, 1)]


async def test_a_job_that_is_gone_keeps_its_history(world):
    world.store.seed(a_run(9, "billing/old"))
    page = (await world.ask("/api/v1/cronjobs/billing/old/history?status=failed")).json()
    assert page["items"] == []
    page = (await world.ask("/api/v1/cronjobs/billing/old/history")).json()
    assert [one["id"] for one in page["items"]] == [run_id(9)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("application=crm", [3]),
        ("status=failed", [2]),
        ("status=failed&status=running", [5, 2]),
        ("cause=manual", [4]),
        ("from=2026-03-02T09:03:00Z", [5, 4, 3]),
        ("to=2026-03-02T09:03:00Z", [2, 1]),
        ("from=2026-03-02T10:02:00%2B01:00&to=2026-03-02T09:04Z", [3, 2]),
        ("from=2026-03-02T10:02:00+01:00&to=2026-03-02T09:04Z", [3, 2]),
        ("from=2026-03-02&to=2026-03-03", [5, 4, 3, 2, 1]),
        ("from=2026-03-03", []),
    ],
)
async def test_runs_are_filtered(world, query, numbers):
    page = (await world.ask(f"/api/v1/runs?{query}")).json()
    assert [one["id"] for one in page["items"]] == [run_id(number) for number in numbers]


async def test_a_run_tells_its_attempts_and_who_declared_it(world):
    for written in (run_id(2), run_id(2).upper()):
        run = (await world.ask(f"/api/v1/runs/{written}")).json()
        assert run["job"] == "billing/nightly"
        assert (run["status"], run["reason"]) == ("failed", "status 500")
        assert (run["revision"], run["file"], run["line"]) == ("r1", "billing.yaml", 7)
        assert (run["latenessMs"], run["latencyMs"]) == (5.0, 20.0)
        assert [attempt["status"] for attempt in run["attempts"]] == [200]


@pytest.mark.parametrize("name", [run_id(77), "5", "%00", "x" * 3000, "..%2e", "%ED%A0%80"])
async def test_an_unknown_run_is_not_found(world, name):
    answer = await world.ask(f"/api/v1/runs/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "run-not-found")


async def test_syncs_come_newest_first(world):
    for number in (1, 2, 3):
        await world.store.record(a_sync(number))
    page = (await world.ask("/api/v1/syncs")).json()
    assert [one["revision"] for one in page["items"]] == ["r3", "r2", "r1"]


async def test_every_list_can_be_walked_page_by_page(world):
    for number in (1, 2, 3):
        await world.store.record(a_sync(number))
    for address in PAGED:
        at_once = (await world.ask(address)).json()
        assert len(at_once["items"]) > 1
        assert at_once["next"] is None
        assert await every_item(world, address) == at_once["items"], address


async def test_a_page_is_not_shifted_by_what_came_since(world):
    first = (await world.ask("/api/v1/runs?limit=2")).json()
    world.store.seed(a_run(6))
    second = (await world.ask(f"/api/v1/runs?limit=2&cursor={first['next']}")).json()
    assert [one["id"] for one in second["items"]] == [run_id(3), run_id(2)]


async def test_a_list_of_jobs_that_fits_exactly_has_no_next_page(world):
    assert (await world.ask("/api/v1/cronjobs?limit=3")).json()["next"] is None
    assert (await world.ask("/api/v1/cronjobs?limit=2")).json()["next"] is not None


async def test_the_cursor_sorts_jobs_as_keys_and_not_as_text(world):
    for name in ("a-b/x", "a/x", "a/z"):
        stored = stored_job(name)
        world.store.stored_jobs[stored.key] = stored
    keys = [one["key"] for one in await every_item(world, "/api/v1/cronjobs")]
    assert keys[:3] == ["a/x", "a/z", "a-b/x"]


async def test_stats_sum_up_the_last_seven_days(world):
    stats = (await world.ask("/api/v1/stats")).json()
    assert (stats["from"], stats["to"]) == ("2026-02-23T11:00:00.000Z", "2026-03-02T11:00:00.000Z")
    assert stats["total"] == 4
    assert stats["successRate"] == 0.75
    assert stats["latency"]["p99"] == 20
    assert len(stats["days"]) == 8
    assert stats["hours"][9]["total"] == 4


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("application=crm", 1),
        ("application=billing&api=nightly", 3),
        ("application=billing&api=weekly", 0),
        ("from=2026-03-02T09:02:00Z", 3),
        ("from=2026-03-02&to=2026-03-02T09:02:00Z", 1),
        ("from=2027-01-01&to=2027-01-02", 0),
    ],
)
async def test_stats_are_filtered(world, query, total):
    assert (await world.ask(f"/api/v1/stats?{query}")).json()["total"] == total


@pytest.mark.parametrize(
    ("query", "code"),
    [("application=nobody", "application-not-found"), ("application=billing&api=nothing", "job-not-found")],
)
async def test_stats_of_a_name_that_never_was_are_not_found(world, query, code):
    answer = await world.ask(f"/api/v1/stats?{query}")
    assert (answer.status_code, answer.json()["code"]) == (404, code)


async def test_stats_of_an_application_that_is_gone_are_those_of_its_runs(world):
    world.store.seed(a_run(9, "gone/job"))
    answer = await world.ask("/api/v1/stats?application=gone&to=2026-03-01")
    assert (answer.status_code, answer.json()["total"]) == (200, 0)


BAD = [
    ("limit=0", "limit"),
    ("limit=501", "limit"),
    ("limit=-1", "limit"),
    ("limit=ten", "limit"),
    ("limit=" + "9" * 5000, "limit"),
    ("limit=1e3", "limit"),
    ("cursor=", "cursor"),
    ("cursor=%00", "cursor"),
    ("cursor=!!!", "cursor"),
    ("cursor=AAAA", "cursor"),
    ("cursor=_____w", "cursor"),
    ("cursor=" + "A" * 1000, "cursor"),
    ("cursor=%FF%FE", "cursor"),
]


@pytest.mark.parametrize("address", PAGED)
@pytest.mark.parametrize(("query", "field"), BAD)
async def test_a_bad_page_is_refused(world, address, query, field):
    answer = await world.ask(f"{address}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_a_cursor_of_another_list_is_refused(world):
    cursor = (await world.ask("/api/v1/runs?limit=1")).json()["next"]
    answer = await world.ask(f"/api/v1/cronjobs?cursor={cursor}")
    assert answer.status_code == 400
    assert "not a cursor of this list" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status.0"),
        ("status=succeeded&status=SUCCEEDED", "status.1"),
        ("cause=me", "cause"),
        ("application=Not%20A%20Name", "application"),
        ("application=%00", "application"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=2026-03-02T25:00:00Z", "from"),
        ("from=0001-01-01T00:00:00%2B14:00", "from"),
        ("to=9999-12-31T23:59:59-14:00", "to"),
        ("to=2026-03-02T09:00:00", "to"),
        ("to=%D9%A2026-03-02", "to"),
        ("from=1969-12-31", "from"),
        ("from=2026-03-02T09:00:00.123456789Z&to=9999-06-01", "to"),
        (f"cursor={encode_cursor('run', 'no-run-id')}", "cursor"),
        ("from=2026-03-02T09:00:00%2B99:00", "from"),
    ],
)
async def test_a_bad_filter_is_refused(world, query, field):
    answer = await world.ask(f"/api/v1/runs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_a_window_that_ends_before_it_begins_is_refused(world):
    for address in ("/api/v1/runs", "/api/v1/stats"):
        answer = await world.ask(f"{address}?from=2026-03-03&to=2026-03-02")
        assert answer.status_code == 400
        assert "before" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["from=1970-01-01", "from=2020-01-01&to=2026-01-01", "api=nightly"])
async def test_stats_that_cannot_be_are_refused(world, query):
    answer = await world.ask(f"/api/v1/stats?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")


async def test_all_faults_are_told_at_once_with_a_hint(world):
    answer = await world.ask("/api/v1/runs?limit=0&cause=me&aplication=crm")
    problem = answer.json()
    assert {one["field"] for one in problem["errors"]} == {"limit", "cause", "aplication"}
    assert "did you mean `application`?" in problem["detail"]


@pytest.mark.parametrize("address", READING)
async def test_a_store_that_is_away_is_said_so_with_a_time_to_come_back(world, address):
    world.store.away = True
    answer = await world.ask(address)
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
    assert answer.headers["retry-after"] == "5"


async def test_status_says_of_a_store_that_is_away_what_this_process_knows(world):
    world.store.away = True
    world.reasons = ["the store is away since 2026-03-02 09:00:00 UTC: db.internal: refused"]
    answer = await world.ask("/api/v1/status")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["reasons"]) == (503, "store-unavailable", world.reasons)
    assert problem["detail"] == world.reasons[0]


async def test_status_says_why_where_the_store_went_away_just_now(world):
    world.store.away = True
    assert (await world.ask("/api/v1/status")).json()["reasons"] == ["the store is away: the store is away"]


async def test_no_secret_stands_in_what_status_says_of_a_store_that_is_away(world):
    world.store.away = True
    world.reasons = ["the store is away: db-hunter2-42.internal"]
    world.state.redactor.learn("hunter2-42")
    text = (await world.ask("/api/v1/status")).text
    assert "db-" in text
    assert "hunter2-42" not in text


@pytest.mark.parametrize("address", READING)
async def test_a_bug_is_a_problem_without_a_traceback(world, address, monkeypatch, logged):
    async def broken(*_args, **_options):
        raise StoreError("password hunter2 in a traceback")

    for verb in ("check", "jobs", "job", "applications", "runs", "run", "syncs", "tally"):
        monkeypatch.setattr(world.store, verb, broken)
    answer = await world.ask(address)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "hunter2" not in answer.text
    assert [(line["event"], line["path"]) for line in logged] == [("request_failed", address)]


@pytest.mark.parametrize("address", READING)
async def test_reading_addresses_take_no_other_method(world, address):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await world.ask(address, method)
        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
        assert answer.headers["allow"] == "GET"


async def test_every_outcome_can_be_asked_for(world):
    for outcome in Outcome:
        assert (await world.ask(f"/api/v1/runs?status={outcome.value}")).status_code == 200
