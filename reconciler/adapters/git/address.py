"""Which repository, ref and path a source's name stands for. Forbidden here: starting git, and any network.

A name that could be taken for an option, or that holds a password, is refused before git ever sees it.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from reconciler.adapters.git.refs import STEPS
from reconciler.core.suggest import did_you_mean
from reconciler.errors import SettingsError

PREFIX = "git+"
_SCHEMES = ("https", "http", "ssh", "git", "file")
_PARAMETERS = ("ref", "path")
_HELPER = re.compile(r"[A-Za-z0-9]+::")
# git-fetch(1), GIT URLS: user@host:path; and with a password before the @, which git itself knows no such form for.
_SCP = re.compile(r"\S+@[\w.\[\]-]+:|[^\s/@]+:\S*@")
# Where passwords and tokens stand, wherever the one who wrote them forgot to quote a character.
_SECRETS = re.compile(r"(?<=://)\S*@|^(?!\w+://)\S*@|\?.*|#.*")
# git check-ref-format(1): what no ref may hold.
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^/|/$|\.$|^@$")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitAddress:
    """A repository, and what of it is read.

    Attributes:
        url: what git fetches from; empty where the repository is read in its place.
        ref: branch, tag, commit or ``HEAD``; where it is read in its place also with steps from there, as ``main~1``.
        path: the folder or file of manifests within it, with ``/``; empty for all of it.
        local: the work tree's or bare repository's folder, for one that is read in its place.
    """

    url: str
    ref: str
    path: str
    local: Path | None = None

    @property
    def name(self) -> str:
        """For people: ``https://host/repo.git@main:manifests``."""
        return f"{self.local or self.url}@{self.ref}{f':{self.path}' if self.path else ''}"


def check_token(address: GitAddress) -> None:
    """Refuse to send a token where anybody on the way could read it.

    Raises:
        SettingsError: the repository is reached over plain HTTP, and not on this machine.
    """
    parts = urlsplit(address.url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise SettingsError(
            f"RECONCILER_GIT_TOKEN is sent over https only, and git+http://{parts.hostname} is not encrypted; "
            "write git+https://…, or unset the token"
        )


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine, whatever names are resolved to (RFC 6761, section 6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(text: str, ref: str | None) -> GitAddress | None:
    """Read a source's name; ``None`` where it names a folder or a file.

    Raises:
        SettingsError: it is meant as a repository, and cannot be one.
    """
    if not text.isprintable():
        raise SettingsError(f"{_shown(text)!r}: a source holds no control characters")
    if text.startswith(PREFIX):
        return _remote(text.removeprefix(PREFIX), ref)
    if text.startswith("-"):
        raise SettingsError(f"{_shown(text)!r}: a source does not begin with a dash")
    if _HELPER.match(text) or ((_SCP.match(text) or "://" in text) and not _is(Path.exists, Path(text))):
        raise SettingsError(
            f"{_shown(text)!r}: write a repository as git+https://host/repo.git or git+ssh://user@host/repo.git"
        )
    if ref is None:
        return GitAddress(url="", ref="HEAD", path="", local=Path(text)) if _is_bare(Path(text)) else None
    return _in_place(Path(text), _checked_revision(ref))


def _shown(text: str) -> str:
    """A source's name without what may be a secret in it."""
    return _SECRETS.sub(lambda found: "…@" if found[0].endswith("@") else "", text)


def _split(text: str) -> SplitResult:
    """The parts of an address. Why it has none is not told in Python's words: they may hold the password."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # looked at only now
    except ValueError:
        scheme = text.partition(":")[0] if "://" in text else "…"
        raise SettingsError(
            f"{PREFIX}{scheme}: the address is none: its host or port cannot be read; "
            "write git+https://host:port/repo.git, and credentials nowhere in it"
        ) from None
    return parts


def _remote(text: str, ref: str | None) -> GitAddress:
    parts = _split(text)
    if parts.scheme not in _SCHEMES:
        raise SettingsError(
            f"{PREFIX}{parts.scheme or '…'}: no repository is reached like this; write git+https, git+ssh, git+http, "
            "git+git or git+file"
        )
    _check_host(parts.scheme, parts.netloc, parts.hostname or "", parts.path, has_password=bool(parts.password))
    if parts.scheme != "file" and ("@" in parts.path or "#" in text):  # both may be what is left of a password
        raise SettingsError(f"git+{parts.scheme}: write @ and # in a repository's path as %40 and %23")
    query = parse_qsl(parts.query, keep_blank_values=True)
    for name, _ in query:
        if name not in _PARAMETERS:
            raise SettingsError(f"?{name}=: a repository's address has ref and path{did_you_mean(name, _PARAMETERS)}")
    given = dict(query)
    if len(given) < len(query):
        raise SettingsError("a repository's address says ref or path twice")
    if ref is not None and given.get("ref", ref) != ref:
        raise SettingsError(f"--ref {ref} and ?ref={given['ref']} differ; give one of them")
    return GitAddress(
        url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        ref=_checked_ref(ref or given.get("ref", "HEAD")),
        path=_checked_path(given.get("path", "")),
    )


def _check_host(scheme: str, netloc: str, host: str, path: str, *, has_password: bool) -> None:
    if scheme == "file":
        if netloc or not path.startswith("/"):
            raise SettingsError("git+file: write git+file:///absolute/path/of/repository")
        return
    if not host:
        raise SettingsError(f"git+{scheme}: the address names no host")
    if host.startswith("-") or netloc.startswith("-") or unquote(path).startswith(("-", "/-")):
        raise SettingsError(f"git+{scheme}: neither host nor repository begins with a dash")
    if has_password or (scheme in ("http", "https") and "@" in netloc):
        raise SettingsError(
            f"git+{scheme}: credentials do not belong into an address, which is logged; "
            "set RECONCILER_GIT_TOKEN, or use a credential helper of git"
        )


def _checked_ref(ref: str) -> str:
    if not _is_ref(ref):
        steps = STEPS.fullmatch(ref)
        hint = (
            "; steps from one, such as main~1, are only for a repository on this machine"
            if steps and (steps["at"] or steps["steps"])
            else ""
        )
        raise SettingsError(f"{ref!r} is no name of a branch, tag or commit{hint}")
    return ref


def _checked_revision(text: str) -> str:
    match = STEPS.fullmatch(text)
    if match is None or not (match["ref"] == "@" or (match["at"] and not match["ref"]) or _is_ref(match["ref"])):
        raise SettingsError(f"{text!r} is no name of a branch, tag or commit, nor steps from one, such as main~1")
    return text


def _is_ref(text: str) -> bool:
    return bool(text) and not text.startswith("-") and not _BAD_REF.search(text)


def _checked_path(path: str) -> str:
    parts = [part for part in path.strip("/").split("/") if part not in ("", ".")]
    odd = any(part in ("..", ".git") or part.startswith("-") or not part.isprintable() for part in parts)
    if path.startswith("/") or odd or "\\" in path or ":" in path:
        raise SettingsError(f"path={path!r}: write a folder within the repository, such as manifests")
    return "/".join(parts)


def _is_bare(path: Path) -> bool:
    return _is(Path.is_file, path / "HEAD") and _is(Path.is_dir, path / "objects") and _is(Path.is_dir, path / "refs")


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """What pathlib asks; no, where it raises: the name is too long, or the folder may not be looked into."""
    try:
        return kind(path)
    except OSError:
        return False


def _in_place(path: Path, ref: str) -> GitAddress:
    """A path to a repository, or to something within its work tree."""
    resolved = Path(os.path.realpath(path))
    for folder in (resolved, *resolved.parents):
        if _is(Path.exists, folder / ".git") or _is_bare(folder):
            inside = _checked_path(resolved.relative_to(folder).as_posix())
            return GitAddress(url="", ref=ref, path=inside, local=folder)
    raise SettingsError(f"--ref {ref}: {path} does not stand in a git repository")
