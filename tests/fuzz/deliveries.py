"""Deliveries by chance, as requests to the hook in this process, and what holds for every answer.

Forbidden here: counting, saving and shrinking cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from structlog.testing import capture_logs

from reconciler.web.hook import BODY_CAP, PATH
from tests.fuzz.mutate import BYTES, CHARACTERS, NUMBERS, inserting, mutated, splicing
from tests.fuzz.trees import varied
from tests.unit.web import deliveries
from tests.unit.web.conftest import SECRET, World

NOW: Final = World().now
DOCUMENTED: Final = frozenset({200, 202, 400, 401, 403, 404, 413, 415, 429})
_HOST: Final = (b"host", b"reconciler")
_JSON: Final = (b"content-type", b"application/json")
_ZEROS: Final = "0" * 40

_BODIES: Final[tuple[Any, ...]] = (
    {"ref": "refs/heads/main", "after": deliveries.COMMIT, "before": _ZEROS, "commits": [{"id": deliveries.COMMIT}]},
    {"ref": "refs/heads/main", "after": _ZEROS, "deleted": True, "repository": {"full_name": "a/b", "size": 12}},
    {"ref": "refs/tags/v1", "after": "f" * 64, "pusher": {"name": "me", "email": None}},
    {"ref": "main", "ref_type": "branch"},
    {"event_name": "push", "ref": "refs/heads/main", "after": deliveries.COMMIT, "total_commits_count": 1},
    {"push": {"changes": []}, "changes": [{"new": {"type": "branch", "name": "main"}, "old": None}]},
    {"changes": [{"ref": {"id": "refs/heads/main"}, "type": "UPDATE"}, {"ref": {"id": "refs/heads/x"}}]},
    {"zen": "Keep it logically awesome", "hook_id": 1},
    {"test": True},
)
_EVENTS: Final = (
    "push",
    "delete",
    "ping",
    "diagnostics:ping",
    "repo:push",
    "repo:refs_changed",
    "Push Hook",
    "x" * 300,
)
_GITLAB: Final = ("Push Hook", "Tag Push Hook", "System Hook", "Job Hook")
_SAMPLES: Final = tuple(json.dumps(each).encode() for each in _BODIES)
_WORDS: Final = tuple(
    word.encode()
    for word in (
        *(
            "{",
            "}",
            "[",
            "]",
            '"',
            "\\",
            ",",
            ":",
            "null",
            "NaN",
            "-Infinity",
            "true",
            '"\\ud800"',
            '"\\u0000"',
            "\\u202e",
        ),
        *('"ref":', '"ref": null,', '"changes": [', "[" * 2000, '{"a":' * 2000, '"' + "a" * 5000 + '"', "1" * 5000),
        *('"refs/heads/main"', '"after":', "//", "/**/", "'", "\t", "\r\n", "\x0c"),
        *NUMBERS,
        *CHARACTERS,
    )
)
_MUTATIONS: Final = (*BYTES, inserting(_WORDS), splicing(_SAMPLES))
_VALUES: Final = tuple(
    word.encode()
    for word in (
        *(
            "",
            " ",
            "0",
            "-1",
            "1",
            "1048577",
            "99999999999999999999",
            "1_000",
            "²",
            "sha256=",
            "sha1=",
            "v1,",
            "v1a,x v1,x",
        ),
        *("sha256=" + "0" * 64, "sha256=" + "é" * 64, "0" * 64, "v1," + "A" * 43 + "=", "msg.1", "nan", "inf", "1e9"),
        *(
            "application/json",
            "text/plain",
            "application/json; charset=utf-16",
            "application/x+json",
            "gzip",
            "identity",
        ),
        *("chunked", "100-continue", "a" * 8000, "127.0.0.1", "[::1]", "unknown, ,1.2.3.4", "push", "null", "\t", "é"),
    )
)
_NAMES: Final = (
    *(b"x-hub-signature-256", b"x-hub-signature", b"x-gitea-signature", b"x-forgejo-signature", b"x-signature-256"),
    *(b"x-gitlab-token", b"x-gitlab-event", b"x-github-event", b"x-gitea-event", b"x-forgejo-event", b"x-event-key"),
    *(b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"idempotency-key", b"x-gitlab-event-uuid"),
    *(b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"x-forwarded-for", b"origin"),
    *(b"authorization", b"expect", b"accept", b"cookie", b"x", b"traceparent", b"x-http-method-override", b"upgrade"),
)
# Of an unknown address; the hook has no others.
_PATHS: Final = (
    PATH + "/",
    "/hooks",
    "/hooks/gi",
    PATH + "\u202e",
    "/hooks//git",
    "/HOOKS/git",
    PATH + "%00",
    "/" + "é" * 900,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request, as a server hands it on: the body in chunks, and whether the sender leaves before its end."""

    path: str = PATH
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...]
    chunks: tuple[bytes, ...]
    leaves: bool = False
    waits: float = 2.0  # seconds since the one before it

    @property
    def body(self) -> bytes:
        """What is sent."""
        return b"".join(self.chunks)


def make(random: Random) -> Delivery:
    """Mostly one that a forge could send, signed, with a little that is wrong; seldom anything at all."""
    body = _body(random)
    headers = [*_signed(random, body if random.random() < 0.9 else _body(random)), _JSON]
    for _ in range(random.choice((0, 0, 0, 1, 1, 3))):
        _vary(random, headers)
    random.shuffle(headers)
    return Delivery(
        path=random.choice(_PATHS) if random.random() < 0.02 else PATH,
        query=random.randbytes(20) if random.random() < 0.02 else b"",
        headers=(_HOST, *headers),
        chunks=_chunks(random, body),
        leaves=random.random() < 0.02,
        waits=random.choice((0.0, 2.0, 2.0)),
    )


class Hook:
    """The app with its world; every delivery comes to the same, as in life."""

    def __init__(self) -> None:
        self._world = World()
        off = World(secret=None)
        self._states = (self._world.state, off.state)
        self._steady = 1000.0
        self._world.steady = off.steady = self._steady
        self._off = off

    async def check(self, delivery: Delivery) -> str:
        """Deliver it, and look at the answer.

        Returns:
            The status, or ``none`` where the sender left before there was one.

        Raises:
            AssertionError: it is none that is documented, or tells what it should not.
        """
        self._steady += delivery.waits
        self._world.steady = self._off.steady = self._steady
        self._world.app.state.web = self._states[len(delivery.body) % 97 == 0]
        with capture_logs() as lines:
            status, headers, content = await ask(self._world.app, delivery)
        assert "request_failed" not in {line["event"] for line in lines}, (
            f"the app raised: {lines[-1].get('exc_info')!r}"
        )
        if status is None:
            assert delivery.leaves, "there is no answer"
            return "none"
        look_at(status, headers, content)
        assert SECRET not in str(lines), "the log tells the secret"
        return str(status)


def look_at(status: int, headers: dict[bytes, bytes], content: bytes) -> None:
    """What holds for every answer."""
    assert status in DOCUMENTED, f"undocumented: {status} {content[:200]!r}"
    assert SECRET.encode() not in content, "the answer tells the secret"
    kind = headers[b"content-type"].split(b";")[0]
    document = json.loads(content)
    if status < 300:
        assert kind == b"application/json", f"{status} as {kind!r}"
        assert document["result"] in ("woken", "ignored", "pong"), f"no result: {content[:200]!r}"
    else:
        assert kind == b"application/problem+json", f"{status} as {kind!r}"
        assert document["status"] == status, f"two statuses: {status} and {document['status']}"
        assert document["detail"], "nothing is said"


async def ask(app: Any, delivery: Delivery) -> tuple[int | None, dict[bytes, bytes], bytes]:
    """What a server does: the request in, the answer out."""
    chunks = [*delivery.chunks]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        if not chunks:
            return {"type": "http.disconnect"}
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks) or delivery.leaves}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope_of(app, delivery), receive, send)
    if not sent:
        return None, {}, b""
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), content


def scope_of(app: Any, delivery: Delivery) -> dict[str, Any]:
    """The request as ASGI describes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": delivery.path,
        "raw_path": delivery.path.encode(),
        "root_path": "",
        "query_string": delivery.query,
        "headers": [*delivery.headers],
        "client": ("192.0.2.7", 50000),
        "server": ("reconciler", 80),
        "app": app,
        "state": {},
    }


# What is made


def _body(random: Random) -> bytes:
    return random.choices(_MAKERS, _WEIGHTS)[0](random)


def _as_it_is(random: Random) -> bytes:
    return json.dumps({**random.choice(_BODIES), "number": random.randrange(1 << 40)}).encode()


def _tree(random: Random) -> bytes:
    tree = varied(random, random.choice(_BODIES), _BODIES)
    return json.dumps(tree, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _torn(random: Random) -> bytes:
    return mutated(random, random.choice(_SAMPLES), _MUTATIONS)


def _noise(random: Random) -> bytes:
    return random.randbytes(random.randint(0, 500))


def _large(random: Random) -> bytes:
    size = random.choice((1 << 16, BODY_CAP - 40, BODY_CAP, BODY_CAP + 1, BODY_CAP + 70_000))
    unit = random.choice(
        (b"[", b'{"a":', b'{"ref": "refs/heads/main"},', b"1", b" ", b'"', b"\\", b"\xff", b'{"changes":[{},')
    )
    filled = unit * (size // len(unit) + 1)
    head = random.choice(
        (b"", b'{"ref": "refs/heads/main", "changes": [', b'{"ref": "', b'{"changes": [{}, ' + b"{}," * 20_000)
    )
    return (head + filled)[:size]


_MAKERS: Final[tuple[Callable[[Random], bytes], ...]] = (_as_it_is, _tree, _torn, _noise, _large)
_WEIGHTS: Final = (15, 45, 35, 4, 1)


def _signed(random: Random, body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a forge, for this body."""
    event = random.choice(_EVENTS)
    form = random.randrange(7)
    if form == 0:
        signed = deliveries.gitlab(random.choice(_GITLAB))
    elif form == 1:
        at = NOW.timestamp() + random.choice((0, 0, 1, -299, 301, -1e6))
        gitlab = {"X-Gitlab-Event": random.choice(_GITLAB)} if random.random() < 0.5 else {}
        signed = deliveries.standard(body, at, identity=f"msg-{random.randrange(1 << 30)}") | gitlab
    elif form == 2:
        signed = deliveries.generic(body)
    elif form == 3:
        signed = deliveries.bitbucket(body, event)
    else:
        signed = (deliveries.github, deliveries.gitea, deliveries.forgejo)[form - 4](body, event)
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in signed.items()]


def _vary(random: Random, headers: list[tuple[bytes, bytes]]) -> None:
    """One header is missing, there twice, another one, or damaged."""
    if not headers or random.random() < 0.3:
        headers.append((random.choice(_NAMES), random.choice(_VALUES)))
        return
    place = random.randrange(len(headers))
    name, value = headers[place]
    kind = random.randrange(5)
    if kind == 0:
        del headers[place]
    elif kind == 1:
        headers.append((name, value))
    elif kind == 2:
        headers[place] = (name, random.choice(_VALUES))
    elif kind == 3:
        headers[place] = (random.choice(_NAMES), value)
    else:
        headers[place] = (name, _sendable(mutated(random, value, BYTES, most=2)))


def _sendable(value: bytes) -> bytes:
    """Without what no server lets through in a header: controls but the tab (RFC 9110, section 5.5)."""
    return bytes(each for each in value if (each >= 0x20 and each != 0x7F) or each == 0x09)


def _chunks(random: Random, body: bytes) -> tuple[bytes, ...]:
    if not body or random.random() < 0.7:
        return (body,)
    size = random.randint(max(1, len(body) // 20), len(body))
    return tuple(body[begin : begin + size] for begin in range(0, len(body), size))
