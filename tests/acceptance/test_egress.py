"""Where calls may go, as whoever runs the command says it, and redirects as whoever writes the manifest does."""

from __future__ import annotations

from tests.acceptance.conftest import World
from tests.acceptance.target import Answer, Target

NEVER = {"at": "2099-01-01T00:00:00"}


def ready(world: World, **request) -> None:
    world.declare("shop", {"name": "stock", "schedule": NEVER, "request": request, "retry": {"limit": 2}})
    assert world.command("sync").code == 0


def trigger(world: World, *flags: str):
    return world.command("trigger", "shop/stock", *flags, "--output", "json")


def test_a_target_that_is_shut_is_not_called_and_not_tried_again(small_world: World, target: Target):
    ready(small_world, path="/stock")
    ended = trigger(small_world, "--egress", "public")
    run = ended.json
    assert (ended.code, run["status"], len(run["attempts"]), target.calls) == (1, "failed", 1, [])
    assert run["reason"] == ("address 127.0.0.1 is refused: loopback, and egress is public; see --egress-allow")


def test_the_operator_opens_and_shuts_by_flags_and_variables(small_world: World, target: Target):
    ready(small_world, path="/stock")
    place = target.url.removeprefix("http://")
    assert trigger(small_world).code == 0
    small_world.env["RECONCILER_EGRESS"] = "public"
    assert trigger(small_world).code == 1
    assert trigger(small_world, "--egress-allow", place).code == 0
    denied = trigger(small_world, "--egress-allow", place, "--egress-deny", "10.0.0.0/8,127.0.0.0/8")
    assert "denied by 127.0.0.0/8; see --egress-deny" in denied.json["reason"]
    assert len(target.calls) == 2


def test_a_rule_without_meaning_ends_the_command_with_what_to_write(small_world: World):
    ended = small_world.command("run", "--egress-allow", "10.0.0.1/8,fine.example", "--egress", "shut")
    assert ended.code == 2
    assert "--egress-allow: '10.0.0.1/8': the address has bits beyond its prefix; write 10.0.0.0/8" in ended.text
    assert "--egress: " in ended.text


def test_the_long_lived_process_keeps_to_it_too(small_world: World, target: Target):
    small_world.declare("shop", {"name": "stock", "schedule": {"every": "1s"}, "request": {"path": "/stock"}})
    reconciler = small_world.run("--egress-deny", "localhost,127.0.0.1").ready()
    reconciler.wait_for("run", outcome="failed")
    assert reconciler.end() == 0
    assert "denied by 127.0.0.1; see --egress-deny" in small_world.runs()[0]["reason"]
    assert target.calls == []


def test_redirects_are_followed_where_the_request_says_so_and_only_there(small_world: World, target: Target):
    target.say("/stock", Answer(302, headers={"Location": "/moved?token=abc"}))
    ready(small_world, path="/stock")
    plain = trigger(small_world).json
    assert plain["reason"] == "redirect to /moved is not followed"
    ready(small_world, path="/stock", followRedirects=True)
    assert trigger(small_world).json["attempts"][0]["status"] == 200
    assert [call.path for call in target.calls] == ["/stock", "/stock", "/moved"]
    target.say("/stock", Answer(302, headers={"Location": "http://169.254.169.254/latest?token=abc"}))
    metadata = trigger(small_world).json["reason"]
    assert metadata == (
        "redirected to http://169.254.169.254/latest: "
        "address 169.254.169.254 is refused: link-local; see --egress-allow"
    )
