import asyncio
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.web import bodies
from reconciler.web.app import create
from reconciler.web.server import HttpServer, bind
from tests.unit.web import deliveries
from tests.unit.web.conftest import SECRET, World
from tests.unit.web.deliveries import COMMIT, body_of, deliver, generic, github

HTTP_MD = Path(__file__).parents[3] / "docs" / "http.md"
MIB = 1 << 20


async def pushed(world, body, **options):
    return await deliver(world, body, github(body), **options)


def ignored(answer, world, reason):
    assert (answer.status_code, answer.json()) == (200, {"result": "ignored", "reason": reason})
    assert world.woken == 0
    return True


def refused(answer, world, status, code, said=""):
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert said in answer.json()["detail"]
    assert world.woken == 0
    return True


async def unread():
    raise AssertionError("the body was read")
    yield b""


# Off until a secret is set


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_a_secret_the_hook_is_off_and_says_what_to_set(secret):
    world = World(secret=secret)
    for headers in ({}, github(body_of()), deliveries.gitlab(secret=""), generic(body_of(), secret="")):
        answer = await deliver(world, unread(), headers)
        assert refused(answer, world, 403, "hook-disabled", "RECONCILER_HOOK_SECRET")


async def test_the_token_of_the_trigger_opens_nothing_here(world):
    answer = await world.ask("/hooks/git", "POST", headers={"Authorization": f"Bearer {world.token}"})
    assert refused(answer, world, 401, "signature-invalid")


async def test_the_hook_is_not_for_reading(world):
    assert refused(await world.ask("/hooks/git"), world, 405, "method-not-allowed")


# What wakes the source


@pytest.mark.parametrize(
    "change",
    [{}, {"after": "0" * 40, "deleted": True}, {"forced": True}, {"after": "f" * 64}],
    ids=["push", "deletion", "force-push", "sha256-repository"],
)
async def test_whatever_happens_to_the_ref_that_is_followed_wakes_the_source(world, change):
    answer = await pushed(world, body_of(**change))
    assert (answer.status_code, answer.json()) == (202, {"result": "woken"})
    assert world.woken == 1


async def test_a_deleted_branch_of_gitea_wakes_the_source(world):
    body = b'{"ref": "main", "ref_type": "branch"}'
    assert (await deliver(world, body, deliveries.gitea(body, "delete"))).json() == {"result": "woken"}


async def test_a_push_of_several_refs_wakes_the_source_once(world):
    changes = [{"new": {"type": "branch", "name": name}} for name in ("other", "main", "more")]
    body = json.dumps({"changes": changes}).encode()
    assert (await deliver(world, body, deliveries.bitbucket(body))).status_code == 202
    assert world.woken == 1


async def test_every_new_push_wakes_the_source(world):
    for number in range(3):
        await pushed(world, body_of(after=f"{number:040x}"))
    assert world.woken == 3


# What is ignored


@pytest.mark.parametrize("ref", ["refs/heads/other", "refs/tags/main", "refs/heads/main2", "refs/heads/MAIN", "refs/"])
async def test_a_push_to_another_ref_is_ignored(world, ref):
    assert ignored(await pushed(world, body_of(ref=ref)), world, "nothing that is read here was pushed")


@pytest.mark.parametrize("event", ["issues", "create", "", " push", "Push Hook", "\xff", "x" * 5000])
async def test_an_event_that_is_not_a_push_is_ignored(world, event):
    answer = await deliver(world, b"whatever", github(b"whatever", event or "workflow_run"))
    assert ignored(answer, world, "the event is not a push")


async def test_a_ping_is_answered_and_wakes_nothing(world):
    body = b'{"zen": "Keep it logically awesome.", "hook_id": 1}'
    for _ in range(2):
        answer = await deliver(world, body, github(body, "ping"))
        assert (answer.status_code, answer.json()) == (200, {"result": "pong"})
    assert world.woken == 0


async def test_a_ping_needs_a_signature_too(world):
    body = b"{}"
    assert refused(await deliver(world, body, github(body, "ping", "x" * 32)), world, 401, "signature-invalid")


@pytest.mark.parametrize("again", [github, deliveries.forgejo, generic])
async def test_a_delivery_that_came_before_is_ignored_in_whatever_form_it_comes(world, again):
    body = body_of()
    assert (await pushed(world, body)).status_code == 202
    answer = await deliver(world, body, again(body))
    assert (answer.status_code, answer.json()["reason"]) == (200, "this delivery came before")
    assert world.woken == 1


async def test_a_commit_that_is_taken_back_and_pushed_again_wakes_the_source_again(world):
    body, now = body_of(), world.state.now().timestamp()
    event = {"X-Gitlab-Event": "Push Hook"}
    proven = [
        event | deliveries.standard(body, now, identity="1"),
        event | deliveries.standard(body, now, identity="2"),
        deliveries.gitlab() | {"X-Gitlab-Event-UUID": "3"},
        deliveries.gitlab() | {"X-Gitlab-Event-UUID": "4", "Idempotency-Key": "5"},
    ]
    for headers in proven:
        assert (await deliver(world, body, headers)).json()["result"] == "woken"
    again = [*proven, deliveries.gitlab() | {"X-Gitlab-Event-UUID": "6", "Idempotency-Key": "5"}]
    for headers in again:
        assert (await deliver(world, body, headers)).json()["result"] == "ignored"


@pytest.mark.parametrize("sign", [github, deliveries.gitea, generic])
async def test_an_id_that_nobody_has_signed_makes_no_delivery_new(world, sign):
    body = body_of()
    for name in ("1", "2"):
        ids = {"X-GitHub-Delivery": name, "X-Gitea-Delivery": name, "Idempotency-Key": name, "webhook-id": name}
        await deliver(world, body, sign(body) | ids)
    assert world.woken == 1


async def test_a_body_is_remembered_only_once_it_was_rightly_signed(world):
    body = body_of()
    assert (await deliver(world, body, github(body, secret="x" * 32))).status_code == 401
    assert (await pushed(world, body)).status_code == 202


async def test_what_wakes_nothing_makes_nothing_forgotten(world):
    body = body_of()
    await pushed(world, body)
    for number in range(5):
        await pushed(world, body_of(ref=f"refs/heads/{number}"))
    assert len(world.state.replays._seen) == 1
    assert (await pushed(world, body)).json()["result"] == "ignored"


# Bodies that cannot be


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"ref": None}, "ref", "must not be null"),
        ({"ref": 1}, "ref", "must be a string"),
        ({"ref": "main"}, "ref", "refs/heads/main"),
        ({"after": None}, "after", "must not be null"),
        ({"after": "HEAD"}, "after", "commit id"),
    ],
)
@pytest.mark.parametrize("sign", [github, deliveries.gitea, deliveries.forgejo, generic])
async def test_a_wrong_field_is_named(world, sign, change, field, said):
    body = body_of(**change)
    answer = await deliver(world, body, sign(body))
    assert refused(answer, world, 400, "invalid-request", said)
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_all_missing_fields_are_named_at_once(world):
    answer = await pushed(world, b"{}")
    assert refused(answer, world, 400, "invalid-request")
    assert [(one["field"], one["message"]) for one in answer.json()["errors"]] == [
        ("ref", "is missing"),
        ("after", "is missing"),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "line 1, column 2"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"refs/heads/main"', "must be a JSON object"),
        (b"\xff{}", "not UTF-8"),
        (b'{"ref": NaN}', "NaN is not JSON"),
        (b'{"ref": "refs/heads/main", "ref": "refs/heads/main"}', "twice"),
        (b'{"ref": "\\ud800"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"ref": ' + b"9" * 10_000 + b"}", "not JSON"),
    ],
)
async def test_a_body_that_is_no_strict_json_object_is_refused(world, body, said):
    assert refused(await pushed(world, body), world, 400, "invalid-request", said)


@pytest.mark.parametrize("signed", [github(body_of()), deliveries.forgejo(body_of()), deliveries.gitlab()])
async def test_the_header_that_names_the_event_must_stand_there_once(world, signed):
    name = next(name for name in ("X-Forgejo-Event", "X-GitHub-Event", "X-Gitlab-Event") if name in signed)
    pairs = [(key, value) for key, value in signed.items() if key != name]
    for events, said in (([], "is missing"), ([(name, "")], "once"), ([(name, "push")] * 2, "once")):
        answer = await deliver(world, body_of(), pairs + events)
        assert refused(answer, world, 400, "invalid-request", said)
        assert answer.json()["errors"][0]["field"] == name


@pytest.mark.parametrize("sign", [github, deliveries.gitea, deliveries.forgejo, deliveries.bitbucket])
async def test_without_a_right_signature_nothing_else_is_told_to_be_wrong(world, sign):
    signed = {name: value for name, value in sign(body_of(), secret="x" * 32).items() if "vent" not in name}
    assert refused(await deliver(world, body_of(), signed), world, 401, "signature-invalid")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "", "text/plain", "application/json; charset=latin-1"]
)
async def test_a_form_is_refused_and_says_what_to_choose_in_the_forge(world, content_type):
    body = b"payload=%7B%7D"
    answer = await deliver(world, unread(), github(body), content_type=content_type)
    assert refused(answer, world, 415, "unsupported-media-type", "choose application/json")


async def test_a_compressed_body_is_refused(world):
    answer = await deliver(world, unread(), github(b"") | {"Content-Encoding": "gzip"})
    assert refused(answer, world, 415, "unsupported-media-type")


# Size and time


async def test_a_body_of_one_mebibyte_is_read(world):
    empty = len(body_of(pad=""))
    body = body_of(pad="x" * (MIB - empty))
    assert len(body) == MIB
    assert (await pushed(world, body)).status_code == 202


async def test_a_body_declared_one_byte_longer_is_refused_before_it_is_read(world, logged):
    headers = github(b"") | {"Content-Length": str(MIB + 1)}
    answer = await deliver(world, unread(), headers)
    assert refused(answer, world, 413, "body-too-large", "1 MiB")
    assert answer.headers["connection"] == "close"
    assert [(line["code"], line["path"]) for line in logged] == [("body-too-large", "/hooks/git")]


async def test_other_addresses_keep_their_cap(world):
    answer = await world.ask("/hooks/gitx", "POST", headers={"Content-Length": str(64 * 1024 + 1)})
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert "64 KiB" in answer.json()["detail"]


async def test_a_body_that_does_not_say_its_length_is_refused_once_it_is_too_long(world):
    read = 0

    async def chunks():
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b" " * (1 << 16)

    answer = await deliver(world, chunks(), github(b""))
    assert refused(answer, world, 413, "body-too-large")
    assert read <= 18, "the rest is not read"


async def test_a_body_that_never_comes_is_not_waited_for(world, monkeypatch):
    monkeypatch.setattr(bodies, "DEADLINE", 0.01)

    async def chunks():
        yield b"{"
        await asyncio.Event().wait()

    answer = await deliver(world, chunks(), github(b""))
    assert refused(answer, world, 408, "request-timeout")


# The log


async def test_every_delivery_leaves_one_line(world, logged):
    body = body_of()
    await pushed(world, body)
    await pushed(world, body)
    await pushed(world, body_of(ref="refs/heads/x"))
    await deliver(world, b"{}", github(b"{}", "ping"))
    assert [(line["event"], line["result"], line["forge"], line["ref"]) for line in logged] == [
        ("hook", "woken", "github", "refs/heads/main"),
        ("hook", "ignored", "github", "refs/heads/main"),
        ("hook", "ignored", "github", "refs/heads/x"),
        ("hook", "pong", "github", ""),
    ]


async def test_every_refusal_leaves_one_line_with_its_reason(world, logged):
    await deliver(world, b"", {})
    await pushed(world, b"{}")
    assert [(line["event"], line["log_level"], line["code"]) for line in logged] == [
        ("hook_refused", "warning", "signature-invalid"),
        ("hook_refused", "warning", "invalid-request"),
    ]
    assert logged[1]["reason"] == "ref: is missing; after: is missing"


async def test_neither_signature_nor_secret_nor_anything_else_of_the_body_is_logged(world, logged):
    for body in (body_of(message="hunter2"), b'{"ref": "hunter2"}', b'{"hunter2": "'):
        await pushed(world, body)
        await deliver(world, body, deliveries.gitlab())
        await deliver(world, body, generic(body, "x" * 32))
        signature = github(body)["X-Hub-Signature-256"].removeprefix("sha256=")
        assert signature not in str(logged)
    assert "hunter2" not in str(logged)
    assert COMMIT not in str(logged)
    assert SECRET not in str(logged)


async def test_a_hostile_ref_is_made_visible_and_short(world, logged):
    await pushed(world, body_of(ref="refs/heads/\x1b[2J\n\u202e" + "x" * 5000))
    assert logged[0]["ref"].startswith("refs/heads/\u241b[2J\u240a" + "x")
    assert len(logged[0]["ref"]) == 200


# Anything at all

NAMES = [
    "X-Hub-Signature-256",
    "X-Hub-Signature",
    "X-Signature-256",
    "X-Gitea-Signature",
    "X-Forgejo-Signature",
    "X-Gitlab-Token",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "X-GitHub-Event",
    "X-Gitlab-Event",
    "X-Gitea-Event",
    "X-Forgejo-Event",
    "X-Event-Key",
    "Content-Encoding",
]
EVENTS = ["push", "delete", "ping", "Push Hook", "System Hook", "repo:push", "repo:refs_changed", SECRET]
VALUES = st.binary(max_size=80) | st.sampled_from(EVENTS).map(str.encode)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("refs/heads/main"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ref", "after", "ref_type", "changes", "new", "old", "name", "type", "id", "event_name"]),
            inner,
        )
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())
SIGNERS = [
    None,
    github,
    generic,
    deliveries.gitea,
    deliveries.forgejo,
    deliveries.bitbucket,
    lambda body: github(body, "delete"),
    lambda body: deliveries.bitbucket(body, "repo:refs_changed"),
    lambda _: deliveries.gitlab(),
    lambda _: deliveries.gitlab("System Hook"),
]


@settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=BODIES, headers=HEADERS, sign=st.sampled_from(SIGNERS))
async def test_nothing_that_is_sent_is_a_bug(world, body, headers, sign):
    pairs = [*(sign(body).items() if sign else ()), *headers]
    world.steady += 1  # no faster than one source may
    answer = await deliver(world, body, pairs)
    assert answer.status_code in (200, 202, 400, 401, 415)


# Through the real server


@pytest.fixture
async def server(world):
    made = HttpServer(create(world.state), bind("127.0.0.1", 0))
    await made.start()
    yield made
    await made.stop()


async def sent(server, *pieces: bytes) -> tuple[bytes, asyncio.StreamWriter, asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in pieces:
        writer.write(piece)
    await writer.drain()
    return await asyncio.wait_for(reader.readline(), 10), writer, reader


def head(**headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /hooks/git HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


SIGNED = {"X_Signature_256": "sha256=" + "0" * 64, "Content_Type": "application/json"}


async def flood(writer, reader) -> int:
    """Send chunks without end; returns how many bytes went out before the other side hung up."""
    chunk, count = b"10000\r\n" + b"x" * 65536 + b"\r\n", 0
    try:
        while count < 64 * MIB:
            writer.write(chunk)
            count += len(chunk)
            await asyncio.wait_for(writer.drain(), 10)
    except ConnectionError:
        return count
    finally:
        writer.transport.abort()
    return count


@pytest.mark.parametrize(("signed", "status"), [(SIGNED, b"413"), ({}, b"401")], ids=["signed", "unsigned"])
async def test_chunks_without_end_are_answered_and_hung_up_on(server, world, signed, status):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head(Transfer_Encoding="chunked", **signed))
    flooding = asyncio.create_task(flood(writer, reader))
    answer = await asyncio.wait_for(reader.readline(), 10)
    assert status in answer
    assert await flooding < 32 * MIB
    assert world.woken == 0


async def test_a_gigabyte_is_refused_by_what_it_declares(server):
    answer, writer, _ = await sent(server, head(Content_Length=str(1 << 30), **SIGNED))
    assert b"413" in answer
    writer.close()


@pytest.mark.parametrize(
    "lines",
    [
        {"X_Signature_256": "sha256=\xff\xfe"},
        {"X_Gitlab_Token": "\xe9" * 40, "X_Gitlab_Event": "Push Hook"},
        {"webhook_signature": "\xb2", "webhook_id": "\xff", "webhook_timestamp": "\xb9"},
    ],
    ids=["generic", "gitlab", "standard"],
)
async def test_headers_beyond_ascii_are_refused(server, lines):
    answer, writer, _ = await sent(server, head(Content_Length="0", **lines))
    assert b"401" in answer
    writer.close()


async def run(command: str, folder: Path, **environment: str) -> str:
    made = await asyncio.create_subprocess_exec(
        *("sh", "-ec", command),
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(made.communicate(), 30)
    assert made.returncode == 0, complained
    return said.decode()


async def test_the_command_of_the_page_wakes_the_source(server, world, tmp_path):
    section = HTTP_MD.read_text(encoding="utf-8").partition("### `POST /hooks/git`")[2]
    command = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1].replace("http://127.0.0.1:8080", server.url)
    identity = "-c user.name=x -c user.email=x@example.com"
    await run(f"git init -q . && git {identity} commit -q --allow-empty -m x", tmp_path)
    assert json.loads(await run(command, tmp_path, RECONCILER_HOOK_SECRET=SECRET)) == {"result": "woken"}
    assert world.woken == 1
    refusal = json.loads(await run(command, tmp_path, RECONCILER_HOOK_SECRET="x" * 32))
    assert refusal["code"] == "signature-invalid"
