"""Sealing keys and sealed values from the command line: never a value in what is printed, and nothing by halves."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from tests.acceptance.command import environment, eventually
from tests.acceptance.target import Answer

VALUE = "sw0rdfish-sw0rdfish"
KEYS = {"RECONCILER_SEALING_KEYS": "first"}


@pytest.fixture
def keys(small_world):
    """A world with two pairs of keys."""
    for name in ("first", "second"):
        assert small_world.command("keygen", name).code == 0
    return small_world


def sealed(world, *args: str, key: str = "first.pub", value: str = VALUE) -> str:
    """What `seal` prints for a value from standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "seal", "--application", "shop", "--key", key, *args],
        cwd=world.path, env=environment(world.env), input=value, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert VALUE not in done.stdout + done.stderr
    return yaml.safe_load(done.stdout)["sealed"]


def with_keys(world, *args: str, keys: str = "first"):
    """A command that has these private keys."""
    world.env["RECONCILER_SEALING_KEYS"] = keys
    return world.command(*args)


def manifest(world, header: str, body: str, *, comment: str = "# as it is") -> str:
    text = (
        f"{comment}\napiVersion: reconciler/v1\nkind: Application\nmetadata:   {{name: shop}}\nspec:\n"
        f"  baseUrl: {world.target.url}\n  defaults:\n    headers:\n      X-Key: {{sealed: {header}}}   # keep\n"
        f"  apis:\n    - name: a\n      schedule: {{every: 1s}}\n"
        f"      request:\n        method: POST\n        path: /\n"
        f"        json: {{token: {{$secret: {{sealed: '{body}'}}}}}}\n"
    )
    world.write("shop.yaml", text)
    return text


def test_a_pair_is_made_once_and_the_private_key_is_ours_alone(keys):
    assert (keys.path / "first").stat().st_mode & 0o777 == 0o600
    again = keys.command("keygen", "first")
    assert (again.code, "is there already" in again.err) == (1, True)
    text = keys.command("keygen", "third", "--output", "json")
    assert text.json["keyId"] in (keys.path / "third.pub").read_text()
    assert (keys.path / "third").read_text().split()[2] not in text.text


def test_a_sealed_value_arrives_at_the_target_and_nowhere_else(keys, target):
    manifest(keys, sealed(keys, "--field", "header:X-Key"), sealed(keys, "--api", "a", "--field", "body:/token"))
    assert with_keys(keys, "validate").code == 0
    reconciler = keys.start(env=KEYS)
    reconciler.wait_for("run", outcome="succeeded")
    assert reconciler.end() == 0
    call = target.calls[0]
    assert (call.headers["x-key"], call.body) == (VALUE, f'{{"token":"{VALUE}"}}'.encode())
    assert VALUE not in reconciler.output
    assert VALUE.encode() not in b"".join(path.read_bytes() for path in keys.path.rglob("*") if path.is_file())


def test_without_its_key_the_job_fails_alone(keys, target):
    manifest(keys, sealed(keys, "--field", "header:X-Key"), sealed(keys, "--api", "a", "--field", "body:/token"))
    keys.declare("other", {"name": "b", "request": {"path": "/fine"}})
    reconciler = keys.start()
    failed = reconciler.wait_for("run", job="shop/a", outcome="failed")
    assert "RECONCILER_SEALING_KEYS names no key" in failed.event["reason"]
    reconciler.wait_for("run", job="other/b", outcome="succeeded")
    unreadable = eventually(lambda: reconciler.get("/api/v1/status").json()["processes"][0]["unreadable"])
    assert [text.partition(": ")[0] for text in unreadable] == ["shop/a header X-Key", "shop/a body /token"]
    shown = keys.command("status").out
    assert "unreadable" in shown
    assert "shop/a header X-Key: secret sealed, key " in shown
    assert reconciler.end() == 0
    assert {call.path for call in target.calls} == {"/fine"}


def test_check_names_what_cannot_be_read(keys):
    manifest(keys, sealed(keys, "--field", "header:X-Key"), sealed(keys, "--api", "a", "--field", "body:/token"))
    assert "every reference can be read" in with_keys(keys, "check", "--listen", "127.0.0.1:0").out
    (keys.path / "first").chmod(0o644)
    bad = with_keys(keys, "check", "--listen", "127.0.0.1:0")
    assert bad.code == 1
    assert "first: others can read it; `chmod 600 first`" in bad.out


def test_a_value_copied_elsewhere_is_found(keys):
    text = sealed(keys, "--field", "header:X-Key")
    manifest(keys, text, text)
    checked = with_keys(keys, "unseal", "--check", str(keys.folder))
    assert checked.code == 1
    assert "1 value opens, 1 not" in checked.out
    assert "shop.yaml:16:" in checked.err
    assert "it was sealed for something else than api/a/body:/token of shop" in checked.err
    items = with_keys(keys, "unseal", "--check", str(keys.folder), "--output", "json").json["items"]
    assert [item["opens"] for item in items] == [True, False]
    refused = with_keys(keys, "rotate", str(keys.folder), "--to", "second.pub")
    assert refused.code == 1
    assert "nothing was written" in refused.err
    assert text in (keys.folder / "shop.yaml").read_text()


def test_a_rotation_changes_the_sealed_values_and_nothing_else(keys):
    old = sealed(keys, "--field", "header:X-Key"), sealed(keys, "--api", "a", "--field", "body:/token")
    text = manifest(keys, *old, comment="# über alles\t\r")
    made = with_keys(keys, "rotate", str(keys.folder), "--to", "second.pub", "--output", "json")
    assert made.json == {"sealed": 2, "kept": 0, "files": ["shop.yaml"]}
    rewritten = (keys.folder / "shop.yaml").read_bytes().decode()
    spec = yaml.safe_load(rewritten)["spec"]
    new = (
        spec["defaults"]["headers"]["X-Key"]["sealed"],
        spec["apis"][0]["request"]["json"]["token"]["$secret"]["sealed"],
    )
    assert rewritten == text.replace(old[0], new[0]).replace(old[1], new[1])
    again = with_keys(keys, "rotate", str(keys.folder), "--to", "second.pub")
    assert "2 had the new key already" in again.out
    assert (keys.folder / "shop.yaml").read_bytes().decode() == rewritten
    assert "2 values open, 0 not" in with_keys(keys, "unseal", "--check", str(keys.folder), keys="second,first").out
    assert with_keys(keys, "rotate", str(keys.folder / "shop.yaml"), "--to", "first.pub", keys="second").code == 0
    assert "2 values open" in with_keys(keys, "unseal", "--check", str(keys.folder)).out


def test_a_rotation_tells_every_reason_at_once_and_writes_nothing(keys):
    text = manifest(keys, sealed(keys, "--field", "header:X-Key"), sealed(keys, "--api", "a", "--field", "query:t"))
    keys.write("broken.yaml", "a: [")
    refused = with_keys(keys, "rotate", str(keys.folder), "--to", "second.pub")
    assert refused.code == 1
    assert "broken.yaml:" in refused.err
    assert "shop.yaml:16:" in refused.err
    assert (keys.folder / "shop.yaml").read_text() == text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--field", "header:X", "--key", "first"), "this is a private key"),
        (("--field", "header:X", "--key", "away"), "away: cannot be read: No such file"),
        (("--field", "head:X"), "no place for a secret"),
        (("--field", "form:p"), "name it with --api"),
        (("--field", "header:X", "--api", "a*"), "--api: a sealed value is for one Api"),
        (("--field", "header:X"), "the value is empty"),
    ],
)
def test_what_cannot_be_sealed_is_said(keys, args, said):
    refused = keys.command("seal", "--application", "shop", "--key", "first.pub", *args)
    assert refused.code in (1, 2)
    assert said in refused.err


def test_values_are_never_printed(keys):
    refused = keys.command("unseal", str(keys.folder))
    assert (refused.code, "values are never printed" in refused.err) == (2, True)


def test_a_trigger_needs_the_value_too(keys, target):
    target.say("/", Answer())
    manifest(keys, sealed(keys, "--field", "header:X-Key"), sealed(keys, "--api", "a", "--field", "body:/token"))
    assert keys.command("sync").code == 0
    assert "names no key" in keys.command("trigger", "shop/a").out
    assert target.calls == []
    assert with_keys(keys, "trigger", "shop/a").code == 0
    assert target.calls[0].headers["x-key"] == VALUE
