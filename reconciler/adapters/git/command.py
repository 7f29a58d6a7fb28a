"""Starting git so that nothing in a repository, and nothing in our own environment, makes it do more than we ask.

No hook, submodule, external transport or prompt ever runs; every process has a bound on time and on what it says, is
ended with all its children, and does not outlive us. Forbidden here: knowing what is asked of git.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import IO
from urllib.parse import urlsplit

from reconciler.adapters.git.complaints import shown
from reconciler.errors import SourceError, SourceUnavailableError

_MOST_SAID = 8192  # bytes of what git complains that are kept
_STEP = 0.5  # seconds between looks of a watch
_ASKING = 10.0  # seconds
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=10"
# A command that talks to the network would go on for ever where nobody ends it, and its children too. So a shell stands
# beside it that holds the other end of our pipe: when we are gone, however suddenly, it ends them all, itself included.
_GUARD = """exec 3<&0 </dev/null
"$@" 3<&- &
git=$!
{ read -r _; kill -s KILL 0; } <&3 >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait "$git"
code=$?
exec 2>/dev/null
kill -s KILL "$guard"
exit "$code"
"""
_PROGRESS = re.compile(r"(remote: )?([A-Z][a-z]+ [a-z]+: +\d+(%|,|$)|Total \d+ \(delta )")
TOKEN_VARIABLE = "RECONCILER_GIT_TOKEN"  # noqa: S105 - the name of a variable

# What operators set for git as a whole and is theirs to say; everything else (GIT_DIR in a hook!) would mislead it.
_KEPT = re.compile(
    r"GIT_(SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|SSL_.*|PROXY_.*|CONFIG_GLOBAL|CONFIG_SYSTEM|HTTP_USER_AGENT)"
)
_SAFE = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "credential.interactive": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.showForcedUpdates": "false",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "protocol.fd.allow": "never",
    "transfer.bundleURI": "false",
}
_HELPER = f"""!f() {{ test "$1" = get && printf 'username=x-access-token\\npassword=%s\\n' "${TOKEN_VARIABLE}"; }}; f"""


class Git:
    """Starts git in one repository.

    Args:
        where: its arguments that name the repository.
        config: configuration for every command, handed over in the environment, where no other user sees it.
        token: for the login at the URL's host.
        url: what may be talked to, by commands that are allowed to.
    """

    def __init__(
        self, where: Sequence[str], config: Mapping[str, str] | None = None, *, url: str = "", token: str | None = None
    ) -> None:
        self._where = tuple(where)
        self._config = dict(config or {})
        self._url = url
        self._token = token
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._asked: dict[str, str] | None = None
        self.started = 0

    def stop(self) -> None:
        """End what runs now, and let nothing start any more until ``resume``."""
        self._stopped = True
        if self._running is not None:
            _kill(self._running)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing may start any more."""
        return self._stopped

    def resume(self) -> None:
        """Let commands start again."""
        self._stopped = False

    def run(
        self,
        *arguments: str,
        within: float,
        most: int = 1 << 20,
        network: Mapping[str, str] | None = None,
        watch: Callable[[int], str] | None = None,
        allowed: Sequence[int] | None = (0,),
        lock: int | None = None,
    ) -> tuple[int, bytes, str]:
        """Run a command to its end.

        Args:
            arguments: the command and its own arguments.
            within: seconds after which it is ended.
            most: bytes that it may print.
            network: more configuration, for a command that may talk to the URL; ``None`` forbids it to talk at all.
            watch: asked now and then, with the number of bytes on standard error so far; says why the command must
                end, or nothing.
            lock: a locked file's descriptor: it stays locked for as long as any of its processes lives, whatever
                becomes of us.
            allowed: exit codes that are no error; ``None`` where the caller judges by what it said.

        Returns:
            Its exit code, what it printed, and what it complained of, line by line and without secrets.

        Raises:
            SourceError: it printed too much.
            SourceUnavailableError: it took too long, the watch ended it, or it failed.
        """
        with self.process(*arguments, within=within, network=network, watch=watch, lock=lock) as started:
            printed = _read(started.out, most)
        said = self.clean(started.said())
        if started.ended:
            raise SourceUnavailableError(started.ended)
        if len(printed) > most:
            raise SourceError(f"the repository is too large: git {arguments[0]} prints over {most >> 20} MiB")
        if allowed is not None and started.code not in allowed:
            raise SourceUnavailableError(shown(said) or f"git {arguments[0]} ended with code {started.code}")
        return started.code, printed, said

    @contextmanager
    def process(
        self,
        *arguments: str,
        within: float,
        network: Mapping[str, str] | None = None,
        watch: Callable[[int], str] | None = None,
        lock: int | None = None,
    ) -> Iterator[Started]:
        """Start a command to talk with; on leaving it is over, whatever it was doing."""
        if self._stopped:
            raise SourceUnavailableError("the reconciler is stopping")
        if shutil.which("git") is None:
            raise SourceError("git is not installed; a repository as a source needs git 2.36 or newer")
        guard = () if network is None else ("/bin/sh", "-c", _GUARD, "sh")
        with TemporaryFile() as complaints:
            process = subprocess.Popen(  # noqa: S603 - a list, and nothing in it begins with a dash; the shell reads none
                [*guard, "git", *self._where, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=self._environment(network),
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )
            self.started += 1
            self._running = process
            if self._stopped:  # meanwhile, and missed this one
                _kill(process)
            started = Started(process, complaints, is_guarded=bool(guard))
            watchdog = threading.Thread(target=started.watch, args=(within, watch), daemon=True)
            watchdog.start()
            try:
                yield started
            finally:
                self._running = None
                started.close()
                watchdog.join()

    def _environment(self, network: Mapping[str, str] | None) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "RECONCILER_")) or _KEPT.fullmatch(name)
        }
        scheme = urlsplit(self._url).scheme
        kept |= {
            "GCM_INTERACTIVE": "never",
            "GIT_ALLOW_PROTOCOL": ":".join(dict.fromkeys(("https", "ssh", scheme))) if network is not None else "none",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        if network is None:  # a fetch itself may need what the filter left out: the server sends deltas against it
            kept["GIT_NO_LAZY_FETCH"] = "1"
        if network is not None and scheme == "ssh" and not kept.keys() & {"GIT_SSH", "GIT_SSH_COMMAND"}:
            kept |= self._ssh()
        settings = [*_SAFE.items(), *self._config.items(), *(network or {}).items()]
        if network is not None and self._token and scheme in ("http", "https"):
            host = f"{scheme}://{urlsplit(self._url).netloc}"
            settings += [(f"credential.{host}.helper", ""), (f"credential.{host}.helper", _HELPER)]
            kept[TOKEN_VARIABLE] = self._token
        kept["GIT_CONFIG_COUNT"] = str(len(settings))
        for number, (name, value) in enumerate(settings):
            kept |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return kept

    def _ssh(self) -> dict[str, str]:
        """How ssh is started where the operator's configuration of git does not say it. That is asked once."""
        if self._asked is None:
            code, _, _ = self.run("config", "--get", "core.sshCommand", within=_ASKING, allowed=None)
            self._asked = {} if code == 0 else {"GIT_SSH_COMMAND": _SSH}
        return self._asked

    def clean(self, said: str) -> str:
        """The lines of a complaint, without progress, control characters and credentials."""
        text = re.sub(r"://[^/@\s]+@", "://", said.replace("\r", "\n"))
        if self._token:
            text = text.replace(self._token, "…")
        lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines()]
        return "\n".join(line for line in lines if line and not _PROGRESS.match(line))


class Started:
    """A process of git that runs."""

    def __init__(self, process: subprocess.Popen[bytes], complaints: IO[bytes], *, is_guarded: bool) -> None:
        assert process.stdin is not None, "it was asked for"  # noqa: S101 - Popen's type cannot say so
        assert process.stdout is not None, "it was asked for"  # noqa: S101 - as above
        self.process = process
        self.into: IO[bytes] = process.stdin
        self.out: IO[bytes] = process.stdout
        self.ended = ""
        self.code = 0
        self._complaints = complaints
        self._is_guarded = is_guarded
        self._over = threading.Event()
        self._said = ""

    def watch(self, within: float, watch: Callable[[int], str] | None) -> None:
        """End the process where it takes too long, or where the watch says so."""
        end = monotonic() + within
        while not self._over.wait(min(_STEP if watch else within, max(0.0, end - monotonic()))):
            self.ended = (watch(os.fstat(self._complaints.fileno()).st_size) if watch else "") or (
                f"git did not end within {within:g} s" if monotonic() >= end else ""
            )
            if self.ended:
                _kill(self.process)
                return

    def close(self) -> None:
        """Let it end, or end it where it does not of itself."""
        if not self._is_guarded:  # to a guard it would mean that we are gone
            self._hang_up()
        if self.process.poll() is None and self.out.closed is False and self.out.read(1):
            _kill(self.process)  # it had more to say than we want to hear
        self.code = self.process.wait()
        self._hang_up()
        self._over.set()
        self.out.close()
        self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, self._complaints.tell() - _MOST_SAID))
        self._said = self._complaints.read().decode("utf-8", "replace")

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.into.close()

    def said(self) -> str:
        """What it complained of."""
        return self._said


def _read(stream: IO[bytes], most: int) -> bytes:
    """All that a stream holds, but at most one byte over the bound."""
    return stream.read(most + 1)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def in_place(folder: Path) -> tuple[str, ...]:
    """The arguments that name a repository of somebody else's, a work tree or a bare one."""
    return ("-C", str(folder)) if (folder / ".git").exists() else ("--git-dir", str(folder))
