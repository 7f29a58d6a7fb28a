"""Who did what, as the real command keeps and lists it."""

from __future__ import annotations

import getpass
import platform
from datetime import UTC, datetime, timedelta

import yaml

from reconciler.core.access import digest_of
from tests.acceptance.command import eventually

ADMIN, OPERATOR, GUESS = "rct_admin-of-a-test", "rct_operator-of-a-test", "rct_guess-of-somebody"
NEVER = {"at": "2099-01-01T00:00:00"}
ME = f"{getpass.getuser()}@{platform.node()}"


def tokens(world) -> None:
    manifests = [
        {
            "apiVersion": "reconciler/v1",
            "kind": "AccessToken",
            "metadata": {"name": role},
            "spec": {"role": role, "sha256": digest_of(token)},
        }
        for role, token in (("admin", ADMIN), ("operator", OPERATOR))
    ]
    world.write("tokens.yaml", yaml.safe_dump_all(manifests))


def bearer(token: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def listed(world, *flags: str) -> list[dict]:
    return world.command("acts", "--output", "json", *flags).json["items"]


def test_what_people_did_is_listed_with_who_when_and_from_where(world, target):
    world.declare("shop", {"name": "ping", "schedule": NEVER}, {"name": "pong", "schedule": NEVER})
    tokens(world)
    reconciler = world.start()
    assert reconciler.get("/api/v1/runs", **bearer(GUESS)).status_code == 401
    answer = reconciler.post("/api/v1/cronjobs/shop/ping/trigger", **bearer(OPERATOR))
    assert answer.status_code == 202
    assert world.command("pause", "shop", "--reason", "moving house", "--until", "1h").code == 0
    assert world.command("resume", "shop").code == 0
    assert world.command("trigger", "shop/pong").code == 0
    world.declare("shop", {"name": "ping", "schedule": NEVER})
    reconciler.wait_for("audit", act="prune")

    found = eventually(lambda: acts if len(acts := listed(world)) >= 7 else [])
    by_kind = {act["kind"]: act for act in found if act["who"] != "access token admin"}
    assert len(found) == 7
    assert (by_kind["refused"]["source"], by_kind["refused"]["target"]) == ("127.0.0.1", "/api/v1/runs")
    assert (by_kind["token"]["who"], by_kind["token"]["source"]) == ("access token operator", "127.0.0.1")
    triggers = {(act["who"], act["source"], act["target"]) for act in found if act["kind"] == "trigger"}
    assert triggers == {("access token operator", "127.0.0.1", "shop/ping"), (ME, "command line", "shop/pong")}
    assert answer.json()["runId"] in {act["run"] for act in found}
    assert (by_kind["pause"]["who"], by_kind["pause"]["target"]) == (ME, "shop")
    assert by_kind["pause"]["detail"].endswith(": moving house")
    assert (by_kind["resume"]["who"], by_kind["resume"]["result"]) == (ME, "resumed")
    assert (by_kind["prune"]["target"], by_kind["prune"]["detail"].partition(" at ")[0]) == ("shop", "1 job")
    assert all(abs(datetime.now(UTC) - datetime.fromisoformat(act["at"])) < timedelta(minutes=5) for act in found)
    assert [act["id"] for act in found] == sorted((act["id"] for act in found), reverse=True)

    text = world.command("acts", "--kind", "pause", "--kind", "resume", "--application", "shop/ping").out.splitlines()
    assert text[0].split() == ["WHEN", "ACT", "WHO", "FROM", "TARGET", "RESULT", "DETAIL"]
    assert ["resumed" in line for line in text[1:]] == [True, False]
    assert len({line.index("command line") for line in text[1:]}) == 1
    page = listed(world, "--limit", "3")
    assert listed(world, "--cursor", page[-1]["id"]) == found[3:]
    assert listed(world, "--from", "2099-01-01") == []

    over_http = reconciler.get("/api/v1/acts?kind=pause", **bearer(ADMIN))
    assert over_http.json() == {"items": [by_kind["pause"]], "next": None}
    assert reconciler.get("/api/v1/acts", **bearer(OPERATOR)).status_code == 403
    assert reconciler.end() == 0
    assert GUESS not in reconciler.output + str(found)
    assert "access token admin" in {act["who"] for act in listed(world)}  # what came last was written at the end


def test_what_cannot_be_asked_is_refused_in_words(world):
    for flags in (("--kind", "none"), ("--from", "soon"), ("--cursor", "x"), ("--application", "Shop/x/y")):
        ended = world.command("acts", *flags)
        assert ended.code in (1, 2), flags
    assert world.command("acts").out == "No acts.\n"
