import json
from dataclasses import replace

import pytest

from reconciler.core.redaction import Redactor
from reconciler.web.problems import CODES
from tests.unit.web.conftest import run_id


@pytest.mark.parametrize(
    "address", ["/", "/api", "/api/v1", "/api/v1/nothing", "/healthz/", "/%00", "/%FF", "/api/v1/runs/", "//"]
)
async def test_an_unknown_address_is_a_problem(world, address):
    answer = await world.client.get(f"http://reconciler{address}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-address")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_problem_has_every_member_of_its_standard(world):
    problem = (await world.ask(f"/api/v1/runs/{run_id(77)}")).json()
    assert problem == {
        "type": "/docs#problem-run-not-found",
        "title": "There is no such run",
        "status": 404,
        "detail": "No run of this id is stored.",
        "instance": f"/api/v1/runs/{run_id(77)}",
        "code": "run-not-found",
    }


async def test_the_type_of_a_problem_leads_to_its_explanation(world):
    page = (await world.ask("/docs")).text
    for code in CODES:
        assert f'id="problem-{code}"' in page


async def test_the_instance_is_an_address_whatever_was_sent(world):
    answer = await world.client.get("http://reconciler/%C3%A9%0A%22%20x")
    assert answer.json()["instance"] == "/%C3%A9%0A%22%20x"


@pytest.mark.parametrize("host", ["[", "a b", "[::1", "", "evil.example.com:99999", "\xff"])
async def test_a_host_that_cannot_be_is_no_bug(world, host):
    answer = await world.client.get("/api/v1/runs?limit=0", headers={"Host": host.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (421, "host-not-allowed")


SENTINEL = "sentinel-0123456789"


@pytest.fixture
def knowing(world):
    redactor = Redactor()
    redactor.learn(SENTINEL)
    world.app.state.web = replace(world.state, redactor=redactor)
    yield world
    world.app.state.web = world.state


@pytest.mark.parametrize(
    "path",
    [f"/api/v1/cronjobs/billing/{SENTINEL}", f"/api/v1/runs?{SENTINEL}=1", f"/api/v1/runs?status={SENTINEL}"],
    ids=["job", "parameter", "value"],
)
async def test_no_problem_document_says_the_value_of_a_secret(knowing, path):
    answer = await knowing.client.get(path)
    document = answer.json()
    assert answer.status_code in (400, 404)
    assert SENTINEL not in json.dumps([document["detail"], document.get("errors")])


async def test_nor_does_the_reason_why_it_is_not_ready(knowing):
    knowing.reasons.append(f"the source said {SENTINEL}")
    document = (await knowing.client.get("/readyz")).json()
    assert document["reasons"] == ["the source said ***"]
    assert SENTINEL not in document["detail"]
