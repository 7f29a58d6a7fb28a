"""Real repositories for tests, made with the git command line; quick enough for hundreds of commits."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from reconciler.adapters.git import GitSource
from reconciler.adapters.git.address import address_of

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A Developer",
    "GIT_AUTHOR_EMAIL": "developer@example.com",
    "GIT_COMMITTER_NAME": "A Developer",
    "GIT_COMMITTER_EMAIL": "developer@example.com",
}


class Repository:
    """A bare repository with one branch after another, written without a work tree."""

    def __init__(self, path: Path, *, branch: str = "main", object_format: str = "sha1") -> None:
        self.path = path
        self.branch = branch
        self.files: dict[str, str | bytes] = {}
        made = ("--quiet", "--bare", f"--initial-branch={branch}", f"--object-format={object_format}")
        self._run("init", *made, str(path), there=False)
        self._run("config", "uploadpack.allowFilter", "true")
        self._run("config", "gc.auto", "0")

    @property
    def url(self) -> str:
        return f"git+file://{self.path}?ref={self.branch}"

    def git(self, *arguments: str, given: bytes = b"", **environment: str) -> str:
        return self._run(*arguments, given=given, **environment).decode().strip()

    def _run(self, *arguments: str, given: bytes = b"", there: bool = True, **environment: str) -> bytes:
        words = ["git", *(["--git-dir", str(self.path)] if there else []), *arguments]
        done = subprocess.run(words, input=given, capture_output=True, check=False, env=ENVIRONMENT | environment)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def commit(
        self, subject: str = "Change", *, force: bool = False, author: str = "", **files: str | bytes | None
    ) -> str:
        """Commit ``files`` (name -> text, ``None`` removes; ``__`` in a name is a slash) in one process; the id."""
        named = {name.replace("__", "/"): text for name, text in files.items()}
        return self.write(subject, named, force=force, author=author)

    def write(
        self, subject: str, files: dict[str, str | bytes | None], *, force: bool = False, author: str = ""
    ) -> str:
        """As ``commit``, for any names; with ``force`` as a commit without a past."""
        if force:
            self.files = {}
        self.files |= {name: text for name, text in files.items() if text is not None}
        who = author or "A Developer <developer@example.com>"
        parts = [f"commit refs/heads/{self.branch}\nauthor {who} {int(time.time())} +0100\n".encode()]
        parts.append(f"committer A Developer <developer@example.com> {int(time.time())} +0000\n".encode())
        parts.append(f"data {len(subject.encode())}\n{subject}\n".encode())
        head = "" if force else self.head()
        if head:
            parts.append(f"from {head}\n".encode())
        for name, text in files.items():
            if text is None:
                parts.append(f'D "{name}"\n'.encode())
                self.files.pop(name, None)
            else:
                content = text.encode() if isinstance(text, str) else text
                parts.append(f'M 100644 inline "{name}"\ndata {len(content)}\n'.encode() + content + b"\n")
        self._run("fast-import", "--quiet", "--force", given=b"".join(parts))
        return self.head()

    def head(self) -> str:
        done = subprocess.run(
            ["git", "--git-dir", str(self.path), "rev-parse", "--verify", "--quiet", f"refs/heads/{self.branch}"],
            capture_output=True, text=True, check=False, env=ENVIRONMENT,
        )  # fmt: skip
        return done.stdout.strip()

    def tree(self, entries: bytes) -> str:
        """Commit a tree written by hand (mktree's format, NUL-terminated), whatever it holds; the commit's id."""
        tree = self._run("mktree", "-z", "--missing", given=entries).decode().strip()
        return self.adopt(tree)

    def adopt(self, tree: str) -> str:
        """Commit a tree as the branch's newest."""
        parents = ["-p", self.head()] if self.head() else []
        commit = self.git("commit-tree", tree, *parents, "-m", "By hand")
        self.git("update-ref", f"refs/heads/{self.branch}", commit)
        return commit

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", given=content)

    def remove(self) -> None:
        shutil.rmtree(self.path)


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@contextmanager
def daemon(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """``git daemon`` on loopback, serving every repository in a folder."""
    process = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", f"--port={port}", "--listen=127.0.0.1", "--export-all",
         f"--base-path={folder}", str(folder)],
        env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < end, "git daemon does not answer"
        time.sleep(0.02)
    try:
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def source_at(url: str, data: Path, *, ref: str | None = None, **options: Any) -> GitSource:
    """A source as the product makes it."""
    address = address_of(url, ref)
    assert address is not None, url
    options.setdefault("interval", 60.0)
    return GitSource(address, data, **options)


def alive_for(data: Path) -> list[str]:
    """The processes that work on a data folder: git is told it by argument, and tells its children by environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            told = [*process.cmdline(), process.environ().get("GIT_DIR", "")]
            if process.pid != os.getpid() and any(word.startswith(str(data)) for word in told):
                found.append(" ".join(process.cmdline()))
    return found


def none_alive_for(data: Path) -> bool:
    """Whether they are gone, where they may take a moment to be."""
    end = time.monotonic() + 2
    while alive_for(data):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def layout(folder: Path, *, but: Path | None = None) -> dict[str, tuple[int, int]]:
    """Every file of a folder with its size and time of change."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if but is None or not path.is_relative_to(but)
    }


class SilentServer:
    """Accepts every connection and never says a word."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class SlowServer:
    """Stands before ``git daemon`` and hands on what it says piece by piece, at most so many bytes, then nothing."""

    def __init__(self, upstream: int, *, at_most: int, piece: int = 1 << 16, pause: float = 0.0) -> None:
        self._upstream = upstream
        self._left = at_most
        self._piece = piece
        self._pause = pause
        self._open: list[socket.socket] = []
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in (self._socket, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with suppress(OSError):
            client, _ = self._socket.accept()
            server = socket.create_connection(("127.0.0.1", self._upstream))
            self._open += [client, server]
            threading.Thread(target=self._questions, args=(client, server), daemon=True).start()
            while self._left and (said := server.recv(min(self._piece, self._left))):
                client.sendall(said)
                self._left -= len(said)
                self._over.wait(self._pause)
            if self._left:
                client.shutdown(socket.SHUT_WR)

    @staticmethod
    def _questions(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while said := client.recv(1 << 16):
                server.sendall(said)
