"""What a listing of a tree says: which entries are manifests, and which are refused. Forbidden here: starting git.

Names in a tree are bytes that anybody may have written. They are only ever shown and compared, never opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reconciler.core.files import SUFFIXES
from reconciler.core.model import Problem
from reconciler.core.visible import escaped

_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)
_FILES = (b"100644 blob ", b"100755 blob ", b"100664 blob ")
_REFUSED = {
    b"120000": "a symbolic link is refused; put the file itself here, or begin its name with a dot",
    b"160000": "a submodule is refused; put the files themselves here, or begin its name with a dot",
}
_ODD = frozenset((b".", b"..", b".git", b""))


class Listing(NamedTuple):
    """The manifests of a tree, path -> object id, and what is refused."""

    files: dict[str, str]
    problems: tuple[Problem, ...]


def listing_of(listed: bytes) -> Listing:
    """Read what ``git ls-tree -r -z`` prints."""
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for entry in listed.split(b"\0"):
        head, _, name = entry.partition(b"\t")
        if not name:
            continue
        if (name[0] == 46 or b"/." in name or b"//" in name) and not _ODD.isdisjoint(name.split(b"/")):  # noqa: PLR2004 - a dot
            problems.append(_problem(name, "a name that leads elsewhere is refused"))
        elif name[0] == 46 or b"/." in name:  # noqa: PLR2004 - hidden, as in a folder
            continue
        elif head.startswith(_FILES):
            if name.endswith(_SUFFIXES):
                problems.extend(_taken(files, name, head[12:].decode("ascii")))
        elif name.endswith(_SUFFIXES) or b"." not in name.rpartition(b"/")[2]:
            problems.append(_problem(name, _REFUSED.get(head[:6], "this is no regular file")))
    return Listing(files, tuple(problems))


def _taken(files: dict[str, str], name: bytes, blob: str) -> Iterator[Problem]:
    """Keep a file, or say why not."""
    try:
        path = name.decode()
    except UnicodeDecodeError:
        yield _problem(name, "the file's name is not UTF-8")
        return
    if "\\" in path or not path.isprintable():
        yield _problem(name, "the file's name holds a backslash or a character that cannot be seen")
        return
    files[path] = blob


def _problem(name: bytes, message: str) -> Problem:
    return Problem(file=escaped(name.decode("utf-8", "replace")), line=1, column=1, field="", message=message)
