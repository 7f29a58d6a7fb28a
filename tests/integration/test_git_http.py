"""Repositories over HTTP: plain files, and git's own server behind a login."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler
from threading import Thread
from typing import ClassVar

import pytest

from reconciler.errors import SettingsError, SourceUnavailableError
from tests.integration.repositories import ENVIRONMENT, Repository, source_at

TOKEN = "a-token-for-tests"


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Be quiet."""


class Smart(BaseHTTPRequestHandler):
    """``git http-backend`` for whoever knows the token."""

    root: ClassVar[Path]
    seen: ClassVar[list[str]]

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, body: bytes) -> None:
        scheme, _, login = self.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(login).decode().partition(":")
        self.seen.append(f"{scheme} {user}".strip())
        if password != TOKEN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        head, _, content = self._backend(body).partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _backend(self, body: bytes) -> bytes:
        path, _, query = self.path.partition("?")
        environment = ENVIRONMENT | {
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_LENGTH": str(len(body)),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": "tester",
            "REQUEST_METHOD": self.command,
        }
        command = ["git", "http-backend"]
        return subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True, env=environment).stdout


@contextmanager
def served(handler: Callable[..., BaseRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repositories" / "repo.git")
    made.write("Begin", {"a.yaml": "a: 1\n", "teams/b.yaml": "b: 1\n"})
    return made


@pytest.fixture
def smart(repository: Repository) -> Iterator[tuple[str, list[str]]]:
    """The address behind a login, and who asked."""
    seen: list[str] = []
    handler = type("Here", (Smart,), {"root": repository.path.parent, "seen": seen})
    with served(handler) as port:
        yield f"git+http://127.0.0.1:{port}/repo.git?ref=main", seen


async def test_a_repository_that_is_only_files_on_a_web_server_is_read_and_followed(repository, tmp_path):
    repository.git("update-server-info")
    with served(partial(Files, directory=str(repository.path.parent))) as port:
        source = source_at(f"git+http://127.0.0.1:{port}/repo.git?ref=main", tmp_path / "data")
        first = await source.fetch({})
        repository.write("Change", {"a.yaml": "a: 2\n"})
        repository.git("update-server-info")
        second = await source.fetch(first.files)
        restarted = source_at(f"git+http://127.0.0.1:{port}/repo.git?ref=main", tmp_path / "data")
        assert (await restarted.fetch({})).files == second.files

    assert set(first.files) == {"a.yaml", "teams/b.yaml"}
    assert second.texts == {"a.yaml": b"a: 2\n"}


async def test_with_the_token_the_login_succeeds(repository, tmp_path, smart):
    url, seen = smart

    source = source_at(url, tmp_path / "data", token=TOKEN)
    first = await source.fetch({})
    repository.write("Change", {"a.yaml": "a: 2\n"})

    assert set(first.files) == {"a.yaml", "teams/b.yaml"}
    assert (await source.fetch(first.files)).texts == {"a.yaml": b"a: 2\n"}
    assert "Basic x-access-token" in seen


@pytest.mark.parametrize("token", [None, "another-token"], ids=["none", "wrong"])
async def test_a_refused_login_is_said_and_nothing_is_asked_at_the_terminal(tmp_path, smart, token):
    url, _ = smart

    with pytest.raises(SourceUnavailableError, match="login was refused") as refused:
        await source_at(url, tmp_path / "data", token=token).fetch({})

    assert "RECONCILER_GIT_TOKEN" in str(refused.value)
    assert "another-token" not in str(refused.value)


async def test_the_token_is_written_nowhere(tmp_path, smart):
    data = tmp_path / "data"
    await source_at(smart[0], data, token=TOKEN).fetch({})

    written = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert written == []


async def test_over_plain_http_to_another_machine_the_token_is_refused_before_anything_is_asked(tmp_path):
    with pytest.raises(SettingsError, match="https only"):
        source_at("git+http://git.example.com/repo.git?ref=main", tmp_path / "data", token=TOKEN)

    source_at("git+http://git.example.com/repo.git?ref=main", tmp_path / "data")
