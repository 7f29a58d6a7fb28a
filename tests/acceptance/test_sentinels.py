"""Secrets made up at random, in every place where one can stand, looked for byte for byte in everything that is said.

The target gives back whatever it is sent: in its body as it came, in base64, in hexadecimal and encoded for URLs, in
its headers, in the reason of its status and in the address of a redirect.
"""

from __future__ import annotations

import base64
import html
import json
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import yaml

from reconciler.adapters.secrets.keys import read_public
from reconciler.core.sealed import field_of
from tests.acceptance.command import Reconciler, environment, eventually
from tests.acceptance.target import Answer, Behaviour, Call

pytestmark = pytest.mark.timeout(300)  # dozens of commands, one after the other

TOKEN = "made-up-token-of-a-test"
# One of each sort of character that is written otherwise in JSON, URLs or HTML; none that a header cannot hold.
SPICE = "/+\"<&' ü%\\="
PIECES = 3


def sentinel(name: str) -> str:
    """A value like no other; what it is called can be read in it where it turns up.

    None of its random pieces is long enough to be masked by itself, whatever becomes of what stands around it.
    """
    return f"{name}{SPICE}{'+/:'.join(secrets.token_hex(5) for _ in range(PIECES))}"


def forms(value: str) -> dict[str, bytes]:
    """How a value could turn up, written without the product's help."""
    raw = value.encode()
    return {
        "as it is": raw,
        "in Latin-1": value.encode("latin-1"),
        "in JSON": json.dumps(value)[1:-1].encode(),
        "in JSON, UTF-8": json.dumps(value, ensure_ascii=False)[1:-1].encode(),
        "in a URL": quote(value, safe="").encode(),
        "in base64": base64.b64encode(raw).rstrip(b"="),
        "in base64 for URLs": base64.urlsafe_b64encode(raw).rstrip(b"="),
        "in hexadecimal": raw.hex().encode(),
    } | {f"its random piece {piece}": piece.encode() for piece in pieces(value)}


def pieces(value: str) -> list[str]:
    """What of a value is random."""
    return value.rpartition("=")[2].split("+/:")


class Sentinels:
    """The values, and what was found of them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.searched: dict[str, int] = {}

    def new(self, name: str) -> str:
        return self.values.setdefault(name, sentinel(name))

    def search(self, where: str, content: bytes | str) -> None:
        """No form of any value is in it, and there is something in it to be searched."""
        content = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
        assert content, f"{where} is empty: nothing would ever be found there"
        self.searched[where] = self.searched.get(where, 0) + len(content)
        for name, value in self.values.items():
            for form, written in forms(value).items():
                assert written not in content, f"{name} {form} stands in {where}"


def echo(status: int = 200) -> Behaviour:
    """Answer with all that was sent, however it can be written."""

    def behave(call: Call, _connection: object) -> Answer:
        sent = [call.target, unquote(call.target), call.body.decode(), *call.headers.values()]
        raw = "\n".join(sent).encode("latin-1", "replace") + b"\n" + call.body
        escaped = quote(json.dumps(html.escape(raw.decode("latin-1"))), safe=":@!$,;")
        encoded = b"\n".join([base64.encodebytes(raw), raw.hex().encode(), quote(raw).encode(), escaped.encode()])
        headers = {"Content-Type": "text/plain", "X-Echo": quote("|".join(sent))[:3000]}
        headers |= (
            {"Location": f"http://other.example/{quote(sent[-1], safe='')}{call.target}"} if status == 302 else {}
        )
        return Answer(status=status, body=raw + b"\n" + encoded, headers=headers)

    return behave


@pytest.fixture
def sentinels() -> Sentinels:
    return Sentinels()


@pytest.fixture
def haunted(small_world, sentinels, target) -> Haunted:
    """A world whose jobs refer to a secret in every place, in every way."""
    made = Haunted(small_world, sentinels)
    for path, status in (("/ok", 200), ("/bad", 400), ("/worse", 503), ("/away", 302)):
        target.say(path, echo(status))
    return made


class Haunted:
    def __init__(self, world, sentinels: Sentinels) -> None:
        self.world, self.sentinels = world, sentinels
        assert world.command("keygen", "sealing-key").code == 0
        self.env = {"RECONCILER_SEALING_KEYS": "sealing-key", "RECONCILER_SECRETS_DIR": str(world.path / "secrets")}
        (world.path / "secrets").mkdir()
        world.env.update(self.env)
        self.key = read_public(world.path / "sealing-key.pub")
        self.sealed_by_command = False
        self.declare()

    def ref(self, kind: str, place: str, api: str | None) -> dict[str, str]:
        """A reference of this kind, and its value where it is found."""
        name = f"{kind}-{api or 'all'}-{place.partition(':')[0]}".replace("-", "_").upper()
        value = self.sentinels.new(name)
        if kind == "env":
            self.env[name] = value
            return {"env": name}
        if kind == "file":
            (self.world.path / "secrets" / name).write_text(f"{value}\n", encoding="utf-8")
            return {"file": name}
        if not self.sealed_by_command:
            return self.seal_by_command(value, place, api)
        return {"sealed": self.key.seal(value, application="shop", field=field_of(place, api))}

    def seal_by_command(self, value: str, place: str, api: str | None) -> dict[str, str]:
        self.sealed_by_command = True
        args = ["--application", "shop", "--field", place, *(["--api", api] if api else [])]
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", "seal", *args],
            cwd=self.world.path, env=environment(self.world.env), input=value.encode(),
            capture_output=True, timeout=30, check=True,
        )  # fmt: skip
        self.sentinels.search("what seal prints", done.stdout + done.stderr)
        return yaml.safe_load(done.stdout)

    def declare(self) -> None:
        apis = []
        for kind in ("env", "file", "sealed"):
            for path in ("ok", "bad", "worse", "away"):
                apis += [
                    self.json_api(f"{kind}-json-{path}", kind, path),
                    self.form_api(f"{kind}-form-{path}", kind, path),
                ]
        defaults = {
            "headers": {f"X-{kind}": self.ref(kind, f"header:X-{kind}", None) for kind in ("env", "file", "sealed")},
            "query": {f"q{kind}": self.ref(kind, f"query:q{kind}", None) for kind in ("env", "file", "sealed")},
            "retry": {"limit": 1, "initialDelay": "10ms"},
        }
        self.world.declare("shop", *apis, defaults=defaults)

    def json_api(self, name: str, kind: str, path: str) -> dict[str, object]:
        body = {"deep": [{"$secret": self.ref(kind, "body:/deep/0", name)}]}
        return self.api(name, kind, path, json=body)

    def form_api(self, name: str, kind: str, path: str) -> dict[str, object]:
        return self.api(name, kind, path, form={"password": self.ref(kind, "form:password", name)})

    def api(self, name: str, kind: str, path: str, **body: object) -> dict[str, object]:
        request = {
            "method": "PUT",
            "path": f"/{path}",
            "headers": {"Authorization": self.ref(kind, "header:Authorization", name)},
            "query": {"token": self.ref(kind, "query:token", name)},
            **body,
        }
        return {"name": name, "schedule": {"every": "1s"}, "request": request}

    def start(self) -> Reconciler:
        return self.world.start(env=self.env | {"RECONCILER_TRIGGER_TOKEN": TOKEN})


JOBS = [f"shop/{kind}-{body}-{path}" for kind in ("env", "file", "sealed") for body in ("json", "form")
        for path in ("ok", "bad", "worse", "away")]  # fmt: skip


def test_no_secret_is_found_in_anything_that_is_said_kept_or_shown(haunted, sentinels, target):
    world = haunted.world
    with_secrets = {"env": environment(world.env | haunted.env)}
    reconciler = haunted.start()
    for job in JOBS:
        outcome = "succeeded" if job.endswith("-ok") else "failed"
        reconciler.wait_for("run", job=job, outcome=outcome, within=90)
    sent = "".join(f"{call.target}{call.headers}{call.body.decode()}" for call in target.calls)
    for name, value in sentinels.values.items():  # else there would be nothing to find
        assert all(piece in sent for piece in pieces(value)), name

    arguments = Path(f"/proc/{reconciler.process.pid}/cmdline").read_bytes()
    sentinels.search("process arguments", arguments)
    for path in addresses(reconciler):
        sentinels.search(f"HTTP {path}", answer(reconciler, path))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    triggered = reconciler.post("/api/v1/cronjobs/shop/env-json-bad/trigger", headers=headers)
    sentinels.search("HTTP trigger", triggered.content + str(triggered.headers).encode())
    for args in commands(world):
        ended = subprocess.run(  # noqa: PLW1510 - some of them have something to complain about
            [sys.executable, "-m", "reconciler", *args], cwd=world.path, capture_output=True, timeout=60, **with_secrets
        )
        sentinels.search(f"reconciler {args[0]}", ended.stdout + ended.stderr)
        assert b"Traceback" not in ended.stderr
    assert reconciler.end() == 0
    sentinels.search("the log", reconciler.output)
    kept = [path for path in world.path.glob("*.db*") if path.stat().st_size]
    for path in kept:
        sentinels.search("the store", path.read_bytes())
    assert kept
    assert "***" in reconciler.output + "".join(path.read_bytes().decode("utf-8", "replace") for path in kept)


def addresses(reconciler: Reconciler) -> list[str]:
    """Every address that can be read, with every run that there is by its own."""
    runs = reconciler.get("/api/v1/runs", params={"limit": 100}).json()["items"]
    return [
        "/api/v1/status", "/api/v1/applications", "/api/v1/applications/shop", "/api/v1/applications/shop/apis",
        "/api/v1/cronjobs?limit=500", *(f"/api/v1/cronjobs/{job}" for job in JOBS),
        *(f"/api/v1/cronjobs/{job}/history" for job in JOBS[:6]), "/api/v1/runs?limit=500",
        *(f"/api/v1/runs/{run['id']}" for run in runs), "/api/v1/syncs", "/api/v1/stats", "/metrics", "/healthz",
        "/readyz", "/docs", "/openapi.json", "/api/v1/runs?from=nonsense", "/api/v1/cronjobs/shop/away",
    ]  # fmt: skip


def answer(reconciler: Reconciler, path: str) -> bytes:
    found = reconciler.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
    return found.content + str(found.headers).encode()


def commands(world) -> list[list[str]]:
    store, source = ["--store", world.store], str(world.folder)
    elsewhere = world.path / "empty"
    elsewhere.mkdir()
    return [
        ["status", *store], ["status", *store, "--output", "json"], ["jobs", *store, "--output", "json"],
        ["runs", *store, "--limit", "1000", "--output", "json"], ["runs", *store, "--limit", "1000"],
        ["show", "shop", *store], *(["show", job, *store] for job in JOBS[:2]),
        ["show", JOBS[0], *store, "--output", "json"], ["syncs", *store], ["audit", *store, "--from", "1h ago"],
        ["validate", source], ["plan", source, "--store", f"sqlite:///{world.path}/none.db"],
        ["plan", source, "--store", f"sqlite:///{world.path}/none.db", "--output", "markdown"],
        ["plan", source, "--store", f"sqlite:///{world.path}/none.db", "--output", "json"],
        ["plan", str(elsewhere), *store], ["check", source, *store, "--listen", "127.0.0.1:0"],
        ["unseal", "--check", source], ["trigger", "shop/sealed-json-bad", *store],
        ["trigger", "shop/file-form-away", *store, "--output", "json"],
    ]  # fmt: skip


def test_no_secret_is_found_in_the_output_of_a_crash(haunted, sentinels):
    """A bug, right after a value was read, whose error holds it in its text."""
    world = haunted.world
    script = world.path / "crash.py"
    script.write_text(
        "from reconciler import cli\n"
        "import reconciler.services.secrets as services\n"
        "def crash(request, values):\n"
        "    raise LookupError('a bug met ' + ' '.join([*values.values(), repr(values)]))\n"
        "services.filled = crash\n"
        "cli.main()\n",
        encoding="utf-8",
    )
    crashes = world.path / "crashes"
    crashes.mkdir()
    env = environment(world.env | haunted.env | {"TMPDIR": str(crashes)})
    for args in (["check", str(world.folder)], ["run", str(world.folder), "--listen", "127.0.0.1:0"]):
        process = subprocess.Popen(
            [sys.executable, str(script), *args, "--store", world.store],
            cwd=world.path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if args[0] == "check":
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 3, output
            (log,) = crashes.iterdir()
            assert "a bug met" in log.read_text()
            sentinels.search("the log of a crash", log.read_bytes())
        else:
            try:
                output = until(process, b"a bug met")
            finally:
                process.kill()
                output += process.communicate(timeout=30)[0]
        sentinels.search("the output of a crash", output)
    shutil.rmtree(crashes)


def until(process: subprocess.Popen[bytes], text: bytes) -> bytes:
    """The output of a process, until this stands in it."""
    assert process.stdout is not None
    read = bytearray()

    def found() -> bool:
        read.extend(process.stdout.readline())
        return text in read

    eventually(found, 30, text.decode())
    return bytes(read)
