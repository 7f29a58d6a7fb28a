"""Who may ask for what over HTTP."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.access import digest_of
from reconciler.core.model import AccessToken, Drift, HttpRequest, JobKey, Pause, Role, SyncReport
from reconciler.errors import IssuerUnavailableError, TokenRefusedError
from tests.fakes import START, stored_job
from tests.unit.web.conftest import TOKEN, World, run_id

TOKENS = {role.value: f"rct_{role.value}-made-up-here" for role in Role}
DECLARED = [AccessToken(name=f"the-{role.value}", role=role, sha256=digest_of(TOKENS[role.value])) for role in Role]
LIMITED = AccessToken(
    name="limited", role=Role.OPERATOR, sha256=digest_of("rct_limited"), applications=("billing", "bill-*")
)
TRIGGER = "/api/v1/cronjobs/billing/nightly/trigger"
READING = [
    *("/metrics", "/docs", "/openapi.json", "/api/v1/status", "/api/v1/applications", "/api/v1/applications/billing"),
    *("/api/v1/applications/billing/apis", "/api/v1/cronjobs", "/api/v1/cronjobs/billing/nightly"),
    *("/api/v1/cronjobs/billing/nightly/history", "/api/v1/runs", "/api/v1/syncs", "/api/v1/stats"),
    "/api/v1/runs/00000001-0000-8000-8000-000000000000",
]


def bearer(token):
    return {"headers": {"Authorization": f"Bearer {token}"}}


@pytest.fixture
def world():
    made = World(token=None, tokens=[*DECLARED, LIMITED])
    made.fill()
    return made


def code(answer):
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("address", READING)
async def test_every_reading_address_needs_a_token_once_one_is_declared(world, address):
    answer = await world.ask(address)
    assert code(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="reconciler"'
    assert (await world.ask(address, **bearer(TOKENS["viewer"]))).status_code == 200


@pytest.mark.parametrize("address", READING)
async def test_nothing_may_be_read_on_a_public_address_while_no_token_is_declared(address):
    world = World(tokens=[], reachable=True)
    world.fill()
    assert code(await world.ask(address)) == (401, "unauthorized")
    opened = World(tokens=[], reachable=True, open_read=True)
    opened.fill()
    assert (await opened.ask(address)).status_code == 200


async def test_a_public_address_does_not_open_when_the_last_token_goes(world):
    public = World(token=None, tokens=[*DECLARED], reachable=True)
    public.fill()
    assert (await public.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))).status_code == 200
    public.tokens.clear()
    assert code(await public.ask("/api/v1/runs")) == (401, "unauthorized")
    assert code(await public.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))) == (401, "unauthorized")


async def test_a_token_with_a_mistake_opens_nothing_on_loopback_either():
    closed = World(tokens=[replace(DECLARED[0], closed="its manifest has problems")])
    assert code(await closed.ask("/api/v1/runs")) == (401, "unauthorized")
    answer = await closed.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))
    assert code(answer) == (401, "unauthorized")
    assert answer.json()["detail"] == "Access token the-viewer lets nobody in: its manifest has problems."


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
async def test_probes_are_open_to_all(world, address):
    assert (await world.ask(address)).status_code == 200


async def test_why_a_process_is_not_ready_is_told_to_whoever_may_read(world):
    world.reasons = ["the store is away: db.internal refuses"]
    assert "db.internal" not in (await world.ask("/readyz")).text
    world.tokens.clear()
    assert "db.internal" in (await world.ask("/readyz")).text


async def test_before_it_is_known_who_may_ask_nobody_is_let_in():
    world = World(token=TOKEN, tokens=None)
    world.fill()
    for options in ({}, bearer(TOKENS["viewer"])):
        answer = await world.ask("/api/v1/runs", **options)
        assert code(answer) == (503, "not-ready")
        assert answer.headers["retry-after"] == "1"
    assert (await world.ask("/api/v1/runs", **bearer(TOKEN))).status_code == 200


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 202), ("admin", 202)])
async def test_triggering_needs_an_operator(world, role, status):
    answer = await world.ask(TRIGGER, "POST", **bearer(TOKENS[role]))
    assert answer.status_code == status
    if status == 403:
        assert code(answer) == (403, "forbidden")
        assert answer.headers["www-authenticate"].endswith('error="insufficient_scope"')
        assert answer.json()["detail"] == "This needs the role operator; access token the-viewer has the role viewer."
    assert len(world.triggered) == (status == 202)


async def test_whoever_may_only_read_because_reading_is_open_is_asked_for_a_token():
    world = World(tokens=[], open_read=True)
    world.fill()
    assert code(await world.ask(TRIGGER, "POST")) == (401, "unauthorized")


async def test_the_token_of_the_settings_is_an_operators_for_all_applications():
    world = World(tokens=[*DECLARED])
    world.fill()
    assert (await world.ask("/api/v1/runs", **bearer(TOKEN))).status_code == 200
    assert (await world.ask(TRIGGER, "POST", **bearer(TOKEN))).status_code == 202
    assert code(await world.ask("/api/v1/settings", **bearer(TOKEN))) == (403, "forbidden")


async def test_a_token_that_has_expired_lets_nobody_in(world):
    world.tokens[:] = [replace(DECLARED[0], expires_at=world.now)]
    answer = await world.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))
    assert code(answer) == (401, "unauthorized")
    assert "has expired" in answer.json()["detail"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="reconciler", error="invalid_token"'
    world.now -= timedelta(milliseconds=1)
    assert (await world.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer"},
        {"Authorization": TOKENS["viewer"]},
        [("Authorization", f"Bearer {TOKENS['viewer']}"), ("Authorization", f"Bearer {TOKENS['admin']}")],
        {"Authorization": b"Bearer \xff"},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": f"Bearer {digest_of(TOKENS['viewer'])}"},
    ],
)
async def test_anything_else_is_refused(world, headers):
    assert code(await world.ask("/api/v1/runs", headers=headers)) == (401, "unauthorized")


async def test_failed_attempts_are_logged_without_the_token(world, logged):
    await world.ask("/api/v1/runs", **bearer("rct_guess-of-somebody"))
    (line,) = logged
    assert (line["event"], line["act"], line["source"], line["target"]) == (
        "audit",
        "refused",
        "127.0.0.1",
        "/api/v1/runs",
    )
    assert "guess" not in str(logged)


async def test_who_comes_from_where_for_the_first_time_and_who_triggers_is_told_to_the_log(world, logged):
    for _ in range(2):
        await world.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))
    await world.ask(TRIGGER, "POST", **bearer(TOKENS["operator"]))
    acts = [(line["act"], line["who"], line["source"]) for line in logged if line["event"] == "audit"]
    assert acts == [
        ("token", "access token the-viewer", "127.0.0.1"),
        ("token", "access token the-operator", "127.0.0.1"),
        ("trigger", "access token the-operator", "127.0.0.1"),
    ]
    assert (logged[-1]["target"], logged[-1]["run"]) == ("billing/nightly", run_id(901))
    assert TOKENS["operator"] not in str(logged)


async def test_failed_attempts_are_limited_and_a_good_token_still_lets_in(world, logged):
    answers = [await world.ask("/api/v1/runs", **bearer(f"rct_{n}")) for n in range(12)]
    assert [each.status_code for each in answers] == [401] * 10 + [429] * 2
    assert code(answers[-1]) == (429, "too-many-requests")
    assert answers[-1].headers["retry-after"] == "6"
    assert len(logged) == 10
    assert (await world.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))).status_code == 200
    world.steady += 6
    assert (await world.ask("/api/v1/runs", **bearer("rct_x"))).status_code == 401


async def test_a_source_may_trigger_so_often_and_no_more(world):
    statuses = [(await world.ask(TRIGGER, "POST", **bearer(TOKENS["operator"]))).status_code for _ in range(61)]
    assert statuses == [202] * 60 + [429]
    world.steady += 1
    assert (await world.ask(TRIGGER, "POST", **bearer(TOKENS["operator"]))).status_code == 202


class TestLimited:
    """A token for ``billing`` alone: what belongs to ``crm`` is not there for it."""

    async def read(self, world, address):
        answer = await world.ask(address, **bearer("rct_limited"))
        assert answer.status_code == 200, answer.text
        assert "crm" not in answer.text
        return answer.json()

    async def test_lists_leave_the_others_out(self, world):
        assert [one["name"] for one in (await self.read(world, "/api/v1/applications"))["items"]] == ["billing"]
        assert {one["application"] for one in (await self.read(world, "/api/v1/cronjobs"))["items"]} == {"billing"}
        assert {one["application"] for one in (await self.read(world, "/api/v1/runs"))["items"]} == {"billing"}

    async def test_the_runs_of_another_are_none(self, world):
        answer = await world.ask("/api/v1/runs?application=crm", **bearer("rct_limited"))
        assert answer.json() == {"items": [], "next": None}

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("/api/v1/applications/crm", "application-not-found"),
            ("/api/v1/applications/crm/apis", "application-not-found"),
            ("/api/v1/cronjobs/crm/refresh", "job-not-found"),
            ("/api/v1/cronjobs/crm/refresh/history", "job-not-found"),
            ("/api/v1/runs/00000003-0000-8000-8000-000000000000", "run-not-found"),
            ("/api/v1/stats?application=crm", "application-not-found"),
            ("/api/v1/stats?application=crm&api=refresh", "job-not-found"),
        ],
    )
    async def test_what_belongs_to_another_is_not_found(self, world, address, expected):
        assert (await world.ask(address, **bearer(TOKENS["viewer"]))).status_code == 200
        hidden = await world.ask(address, **bearer("rct_limited"))
        assert code(hidden) == (404, expected)
        missing = await world.ask(address.replace("crm", "nobody").replace("3-", "9-"), **bearer("rct_limited"))
        assert missing.json()["detail"] == hidden.json()["detail"]

    async def test_a_job_of_another_cannot_be_triggered(self, world):
        answer = await world.ask("/api/v1/cronjobs/crm/refresh/trigger", "POST", **bearer("rct_limited"))
        assert code(answer) == (404, "job-not-found")
        assert (await world.ask(TRIGGER, "POST", **bearer("rct_limited"))).status_code == 202
        assert [str(key) for key, *_ in world.triggered] == ["billing/nightly"]

    async def test_status_and_figures_count_its_own_alone(self, world):
        status = await self.read(world, "/api/v1/status")
        assert (status["jobs"]["total"], status["applications"], status["running"]) == (2, 1, 1)
        assert status["heldApplications"] == []
        assert (await self.read(world, "/api/v1/stats"))["total"] == 3

    async def test_syncs_and_pauses_of_others_are_not_told(self, world):
        world.store.reports["s"] = SyncReport(
            id="s",
            source="manifests",
            revision="r",
            result="applied",
            started_at=START,
            duration_ms=1.0,
            held=("crm",),
            kept=("crm/refresh", "billing/old"),
            problems=("crm.yaml:3:5: spec: wrong",),
            notes=("access token crm-oncall added",),
            drift=(
                Drift(key=JobKey("crm", "refresh"), where="store"),
                Drift(key=JobKey("billing", "a"), where="store"),
            ),
        )
        for application in ("crm", "billing"):
            pause = Pause(
                id=application, application=application, reason="x", by="a@b", since=START, until=START + timedelta(9)
            )
            world.store.stored_pauses[pause.id] = pause
        (sync,) = (await self.read(world, "/api/v1/syncs"))["items"]
        assert (sync["kept"], [one["job"] for one in sync["drift"]]) == (["billing/old"], ["billing/a"])
        status = await self.read(world, "/api/v1/status")
        assert [pause["target"] for pause in status["pauses"]] == ["billing"]

    @pytest.mark.parametrize("address", ["/metrics", "/api/v1/settings"])
    async def test_what_concerns_all_is_refused(self, world, address):
        world.tokens.append(replace(LIMITED, name="x", role=Role.ADMIN, sha256=digest_of("rct_limited-admin")))
        answer = await world.ask(address, **bearer("rct_limited-admin"))
        assert code(answer) == (403, "forbidden")
        assert "limited to some" in answer.json()["detail"]


SECRETIVE = HttpRequest(
    method="POST",
    url="https://billing.example.com/run?customer=4711",
    headers={"X-Team": "payments", "X-Api-Key": "made-up-key"},
    body='{"customer": 4711}',
)


class TestConfiguration:
    @pytest.fixture(autouse=True)
    def job(self, world):
        stored = stored_job("billing/nightly", request=SECRETIVE)
        world.store.stored_jobs[stored.key] = stored

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    async def test_headers_bodies_and_queries_are_not_shown_to_others(self, world, role):
        for address in ("/api/v1/cronjobs", "/api/v1/cronjobs/billing/nightly", "/api/v1/applications/billing/apis"):
            answer = await world.ask(address, **bearer(TOKENS[role]))
            assert "4711" not in answer.text
            assert "payments" not in answer.text
        assert answer.json()["items"][0]["url"] == "https://billing.example.com/run?…"
        assert answer.json()["items"][0]["request"] is None

    async def test_an_admin_sees_them_without_usual_credentials(self, world):
        answer = await world.ask("/api/v1/cronjobs/billing/nightly", **bearer(TOKENS["admin"]))
        assert answer.json()["url"] == SECRETIVE.url
        assert answer.json()["request"] == {
            "headers": {"X-Team": "payments", "X-Api-Key": "***"},
            "body": '{"customer": 4711}',
        }

    async def test_the_query_of_an_applications_address_is_not_shown_to_others_nor_a_credential_to_anybody(self, world):
        address = "http://h.example/?tenant=4711&api_key=literal"
        found = world.store.stored_applications
        found["billing"] = replace(found["billing"], base_url=address)
        for url, find in (
            ("/api/v1/applications", lambda answer: answer["items"][0]),
            ("/api/v1/applications/billing", lambda answer: answer),
        ):
            shown = {
                role: find((await world.ask(url, **bearer(TOKENS[role]))).json())["baseUrl"]
                for role in ("viewer", "operator", "admin")
            }
            hidden = "http://h.example/?…"
            assert shown == {
                "viewer": hidden,
                "operator": hidden,
                "admin": "http://h.example/?tenant=4711&api_key=***",
            }

    async def test_values_that_drifted_are_shown_to_an_admin_alone(self, world):
        drift = (
            Drift(key=JobKey("billing", "nightly"), where="store", field="header X-Team", found="evil", declared="pay"),
            Drift(key=JobKey("billing", "nightly"), where="store", field="body", found="evil"),
            Drift(key=JobKey("billing", "nightly"), where="store", field="timeout", found="5s", declared="6s"),
        )
        world.store.reports["s"] = SyncReport(
            id="s", source="m", revision="r", result="applied", started_at=START, duration_ms=1.0, drift=drift
        )
        for address in ("/api/v1/syncs", "/api/v1/status"):
            assert "evil" in (await world.ask(address, **bearer(TOKENS["admin"]))).text
            text = (await world.ask(address, **bearer(TOKENS["viewer"]))).text
            assert "evil" not in text
            assert '"found":"5s"' in text

    async def test_settings_are_shown_to_an_admin_alone(self, world):
        assert code(await world.ask("/api/v1/settings", **bearer(TOKENS["operator"]))) == (403, "forbidden")
        answer = await world.ask("/api/v1/settings", **bearer(TOKENS["admin"]))
        assert answer.json() == {"settings": {"LISTEN": "127.0.0.1:8080", "TRIGGER_TOKEN": "***"}}


JWT = "aaaa.bbbb.cccc"


class TestLogins:
    def world(self, claims):
        async def found(_token):
            if isinstance(claims, Exception):
                raise claims
            return claims

        made = World(token=None, tokens=[], claims=found)
        made.fill()
        return made

    async def test_a_person_may_what_the_claim_says(self):
        world = self.world({"sub": "1", "roles": ["operator"]})
        assert code(await world.ask("/api/v1/runs")) == (401, "unauthorized")
        assert (await world.ask("/api/v1/runs", **bearer(JWT))).status_code == 200
        assert (await world.ask(TRIGGER, "POST", **bearer(JWT))).status_code == 202
        assert code(await world.ask("/api/v1/settings", **bearer(JWT))) == (403, "forbidden")

    async def test_without_a_role_nobody_is_let_in_and_the_reason_is_told(self):
        answer = await self.world({"sub": "1", "roles": []}).ask("/api/v1/runs", **bearer(JWT))
        assert code(answer) == (401, "unauthorized")
        assert answer.json()["detail"].startswith("Person 1 has no role here")

    async def test_a_token_that_is_not_good_is_refused_with_the_reason(self, logged):
        answer = await self.world(TokenRefusedError("the login's token has expired")).ask("/api/v1/runs", **bearer(JWT))
        assert code(answer) == (401, "unauthorized")
        assert answer.json()["detail"] == "The login's token has expired."
        assert JWT not in str(logged)

    async def test_while_the_issuer_is_away_access_tokens_still_work(self):
        world = self.world(IssuerUnavailableError("no answer of login.example.com"))
        world.tokens = [*DECLARED]
        answer = await world.ask("/api/v1/runs", **bearer(JWT))
        assert code(answer) == (503, "issuer-unavailable")
        assert "login.example.com" not in answer.text
        assert (await world.ask("/api/v1/runs", **bearer(TOKENS["viewer"]))).status_code == 200

    async def test_who_has_failed_too_often_is_not_looked_at(self):
        looked = []

        async def found(token):
            looked.append(token)
            raise TokenRefusedError("no")

        world = World(token=None, tokens=[], claims=found)
        statuses = [(await world.ask("/api/v1/runs", **bearer(JWT))).status_code for _ in range(130)]
        assert statuses == [401] * 10 + [429] * 120  # the reason is told ten times
        assert len(looked) == 100

    async def test_others_failures_from_the_same_address_keep_no_login_out(self):
        async def found(token):
            if not token.startswith("good"):
                raise TokenRefusedError("no")
            return {"sub": "1", "roles": ["viewer"]}

        world = World(token=None, tokens=[], claims=found)
        world.fill()
        for _ in range(12):
            await world.ask("/api/v1/runs", **bearer("unknown"))
        assert (await world.ask("/api/v1/runs", **bearer("good.bbbb.cccc"))).status_code == 200
        for _ in range(130):
            await world.ask("/api/v1/runs", **bearer(JWT))
        assert (await world.ask("/api/v1/runs", **bearer("good.bbbb.cccc"))).status_code == 200
        assert (await world.ask("/api/v1/runs", **bearer("good.other.cccc"))).status_code == 429
