"""Acts over HTTP: what is noted there, and who may read them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.access import digest_of
from reconciler.core.acts import ActKind, act_id, triggered
from reconciler.core.model import AccessToken, JobKey, Role
from tests.fakes import START
from tests.unit.web.conftest import World, run_id
from tests.unit.web.deliveries import body_of, generic

TOKENS = {role.value: f"rct_{role.value}-made-up-here" for role in Role}
DECLARED = [AccessToken(name=f"the-{role.value}", role=role, sha256=digest_of(TOKENS[role.value])) for role in Role]
ACTS = "/api/v1/acts"
TRIGGER = "/api/v1/cronjobs/billing/nightly/trigger"


def bearer(token):
    return {"headers": {"Authorization": f"Bearer {token}"}}


def an_act(number, job="billing/nightly", **changes):
    at = START + timedelta(minutes=number)
    act = triggered(JobKey.parse(job), run_id(number), at=at, who="access token oncall", source="192.0.2.7")
    return replace(act, id=act_id(at, str(number)), **changes)


@pytest.fixture
def world():
    made = World(token=None, tokens=[*DECLARED])
    made.fill()
    return made


async def read(world, question=""):
    answer = await world.ask(f"{ACTS}{question}", **bearer(TOKENS["admin"]))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def fill(world, *acts):
    await world.store.act(acts or [an_act(number) for number in range(5)])


async def test_who_came_who_was_refused_and_who_triggered_is_kept(world):
    await world.ask(TRIGGER, "POST", **bearer(TOKENS["operator"]))
    for _ in range(3):
        await world.ask("/api/v1/runs", **bearer("rct_guess-of-somebody"))
    await world.acts.write()
    found = (await read(world))["items"]
    by_kind = {act["kind"]: (act["who"], act["source"], act["target"], act["result"]) for act in found}
    assert by_kind == {
        "token": ("access token the-operator", "127.0.0.1", "", "first use"),
        "trigger": ("access token the-operator", "127.0.0.1", "billing/nightly", "started"),
        "refused": ("unknown", "127.0.0.1", "/api/v1/runs", "refused"),
    }
    assert {act["run"] for act in found} == {run_id(901), ""}
    assert {act["count"] for act in found} == {3, 1}
    assert "guess" not in str(found)


async def test_a_push_that_wakes_the_source_is_kept_and_so_is_a_wrong_signature(world):
    body, json = body_of(), {"Content-Type": "application/json"}
    for headers, status in ((generic(body), 202), (generic(body, "another-secret-of-somebody"), 401)):
        assert (await world.ask("/hooks/git", "POST", content=body, headers=headers | json)).status_code == status
    await world.acts.write()
    by_kind = {act["kind"]: act for act in (await read(world))["items"]}
    assert (by_kind["hook"]["target"], by_kind["hook"]["result"]) == ("refs/heads/main", "woken")
    assert (by_kind["refused"]["target"], by_kind["refused"]["source"]) == ("/hooks/git", "127.0.0.1")


async def test_a_token_in_a_path_is_not_kept():
    world = World(token="made-up-token-of-a-test", tokens=[*DECLARED])
    for path in ("made-up-token-of-a-test", "rct_of-somebody", "%1b%5b2J"):
        await world.ask(f"/api/v1/runs/{path}", **bearer("wrong"))
        await world.acts.end()
    found = sorted(act.subject for act in world.store.stored_acts.values())
    assert found == ["/api/v1/runs/***", "/api/v1/runs/***", "/api/v1/runs/␛[2J"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_only_an_admin_of_all_applications_reads_acts(world, role):
    assert (await world.ask(ACTS)).status_code == 401
    assert (await world.ask(ACTS, **bearer(TOKENS[role]))).status_code == 403
    limited = AccessToken(name="l", role=Role.ADMIN, sha256=digest_of("rct_limited"), applications=("billing",))
    world.tokens.append(limited)
    assert (await world.ask(ACTS, **bearer("rct_limited"))).status_code == 403
    assert (await read(world))["items"] == []


async def test_where_anybody_may_read_nobody_reads_acts_without_a_token():
    assert (await World(tokens=[], open_read=True).ask(ACTS)).status_code == 401


async def test_acts_come_newest_first_a_page_at_a_time(world):
    await fill(world)
    first = await read(world, "?limit=2")
    assert [act["id"] for act in first["items"]] == [an_act(4).id, an_act(3).id]
    second = await read(world, f"?limit=3&cursor={first['next']}")
    assert [act["id"] for act in second["items"]] == [an_act(2).id, an_act(1).id, an_act(0).id]
    assert second["next"] is None


async def test_acts_are_filtered_by_kind_time_application_and_api(world):
    acts = [an_act(0), an_act(1, "billing/weekly"), an_act(2, "crm/refresh"), an_act(3, api=None, kind=ActKind.PAUSE)]
    await fill(world, *acts)

    async def ids(question):
        return [int(act["run"][:8], 16) for act in (await read(world, question))["items"]]

    assert await ids("?kind=pause") == [3]
    assert await ids("?kind=pause&kind=trigger&application=crm") == [2]
    assert await ids("?application=billing") == [3, 1, 0]
    assert await ids("?application=billing&api=nightly") == [3, 0]
    assert await ids("?from=2026-03-02T09:01:00Z&to=2026-03-02T09:03:00Z") == [2, 1]


@pytest.mark.parametrize(
    "question",
    [
        "?kind=none",
        "?api=nightly",
        "?from=2026-03-02&to=2026-03-01",
        "?cursor=x",
        "?limit=0",
        "?application=A",
        "?who=x",
    ],
)
async def test_what_cannot_be_asked_is_refused(world, question):
    answer = await world.ask(f"{ACTS}{question}", **bearer(TOKENS["admin"]))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")


async def test_a_cursor_of_another_list_is_refused(world):
    await fill(world)
    world.store.seed()
    runs = (await world.ask("/api/v1/runs?limit=1", **bearer(TOKENS["admin"]))).json()
    answer = await world.ask(f"{ACTS}?cursor={runs['next']}", **bearer(TOKENS["admin"]))
    assert answer.status_code == 400


async def test_reading_goes_on_while_the_store_takes_no_act(world):
    async def never(_acts):
        raise AssertionError("reading waits for no act")

    world.store.act = never
    assert (await world.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))).status_code == 200


async def test_a_store_that_is_away_is_told_so(world):
    world.store.away = True
    answer = await world.ask(ACTS, **bearer(TOKENS["admin"]))
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
