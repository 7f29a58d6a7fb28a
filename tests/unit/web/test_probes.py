import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.web.conftest import a_run


async def test_healthz_says_ok_without_asking_the_store(world):
    world.store.away = True
    for method in ("GET", "HEAD"):
        answer = await world.ask("/healthz", method)
        assert answer.status_code == 200
    assert (await world.ask("/healthz")).json() == {"status": "ok"}
    assert not world.store.calls


async def test_readyz_says_ok_when_there_is_no_reason_against_it(world):
    for method in ("GET", "HEAD"):
        assert (await world.ask("/readyz", method)).status_code == 200
    assert (await world.ask("/readyz")).json() == {"status": "ok"}


async def test_readyz_tells_every_reason_against_it(world):
    world.reasons = ["the store is away", "the first sync has not ended"]
    answer = await world.ask("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not-ready")
    assert answer.json()["reasons"] == world.reasons


async def test_a_readiness_that_breaks_is_a_problem(world, monkeypatch):
    monkeypatch.setattr(type(world), "_readiness", None)
    object.__setattr__(world.state, "readiness", None)
    answer = await world.ask("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")


async def test_metrics_are_what_prometheus_reads(world):
    world.metrics.observe_run(a_run(1))
    answer = await world.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, sample.labels.get("outcome")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["reconciler_runs_total", "succeeded"] == 1


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=1.0.0",
        "application/openmetrics-text",
        "*/*",
        ";;;=,",
        "\xff",
        "text/plain;version=x;escaping=y",
    ],
)
async def test_metrics_answer_whatever_is_accepted(world, accept):
    answer = await world.client.get("/metrics", headers={"Accept": accept.encode("latin-1")})
    assert answer.status_code == 200
    assert ("# EOF" in answer.text) == accept.startswith("application/openmetrics")


async def test_the_reference_loads_nothing_from_elsewhere(world):
    answer = await world.ask("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|@import|url\()|<script|<link|<img|<iframe", answer.text)
    assert set(re.findall(r'href="([^"#][^"]*)"', answer.text)) == {"/openapi.json"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_the_reference_shows_every_operation_with_a_command_and_its_answers(world):
    text = (await world.ask("/docs")).text
    for path, operations in world.app.openapi()["paths"].items():
        for method, operation in operations.items():
            section = text.partition(f'<section id="{operation["operationId"]}">')[2].partition("</section>")[0]
            assert path in section
            assert method.upper() in section
            assert operation["summary"] in section
            assert "curl " in section
            assert "{" not in re.search(r"<pre>(curl [^<\s]*)", section)[1], "the command can be pasted"
            for status in operation["responses"]:
                assert f"<b>{status}</b>" in section


async def test_the_reference_escapes_what_it_shows(world):
    text = (await world.ask("/docs")).text
    assert "&quot;" in text
    assert "APPLICATION/API" not in re.findall(r"<[^>]*>", text)


async def test_the_reference_says_what_a_parameter_takes(world):
    text = (await world.ask("/docs")).text
    assert "array of running | succeeded | failed | skipped | missed | unknown" in text
    assert "<td>schedule | manual | catchUp | after</td>" in text
    assert "<td>integer 1 to 500 (default 50)</td>" in text


async def test_the_reference_shows_how_to_prove_who_asks(world):
    text = (await world.ask("/docs")).text
    commands = {
        found[1]: found[2] for found in re.finditer(r"<pre>curl -X POST \S+8080(\S+) (.*?)</pre>", text, re.DOTALL)
    }
    assert set(commands) == {"/api/v1/cronjobs/billing/nightly-invoices/trigger", "/hooks/git"}
    assert "X-Signature-256: sha256=SIGNATURE" in commands.pop("/hooks/git")
    assert "Authorization: Bearer TOKEN" in commands.popitem()[1]
