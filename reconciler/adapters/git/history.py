"""Who last changed a file, and whether a history was rewritten. What is not certain is not said.

Forbidden here: the network. Where a shallow history ends, nothing is known of what came before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

from reconciler.adapters.git.command import Git
from reconciler.adapters.git.objects import Objects
from reconciler.core.model import Commit
from reconciler.errors import SourceUnavailableError

_MOST_STEPS = 2000
_LOG_BYTES = 256 << 20


def origin(objects: Objects, commit_id: str, path: str, boundary: Collection[str]) -> Commit | None:
    """The commit that gave a file its present content, as git simplifies history: follow whoever has the same.

    Args:
        objects: the repository.
        commit_id: where to begin.
        path: from the repository's root.
        boundary: commits whose parents were not fetched.
    """
    here = next(objects.info([f"{commit_id}:{path}"]))
    for _ in range(_MOST_STEPS):
        node = objects.node(commit_id)
        if here is None or node is None or commit_id in boundary:
            return None
        same = None
        for parent, there in zip(
            node.parents, list(objects.info([f"{one}:{path}" for one in node.parents])), strict=True
        ):
            if there is None and objects.node(parent) is None:
                return None  # the parent itself is not here
            if there is not None and there.id == here.id:
                same = parent
                break
        if same is None:
            return node.commit
        commit_id = same
    return None


def origins(
    git: Git, commit_id: str, blobs: Mapping[str, str], boundary: Collection[str], within: float
) -> dict[str, Commit]:
    """As ``origin``, for many files in one walk over the history, for as long as it may take.

    Args:
        git: the repository.
        commit_id: where to begin.
        blobs: path from the root -> the file's present content.
        boundary: commits whose parents were not fetched.
        within: seconds.
    """
    arguments = (
        "log",
        "--topo-order",
        "-c",
        "--raw",
        "-z",
        "--no-abbrev",
        "--no-renames",
        "--format=%x01%H",
        commit_id,
    )
    try:
        _, text, _ = git.run(*arguments, within=within, most=_LOG_BYTES)
    except SourceUnavailableError:
        return {}
    credited: dict[str, str] = {}
    current = ""
    tokens = iter(text.decode("utf-8", "replace").split("\0"))
    for raw in tokens:
        token = raw.lstrip("\n")
        if token.startswith("\x01"):
            current = token[1:].strip()
        elif token.startswith(":"):
            parents = len(token) - len(token.lstrip(":"))
            blob = token.split(" ")[2 * parents + 1]
            path = next(tokens, "")
            if path not in credited and blobs.get(path) == blob:
                credited[path] = current
    wanted = sorted({one for one in credited.values() if one not in boundary})
    with Objects.of(git, within) as objects:
        nodes = {one: objects.node(one) for one in wanted}
    return {path: node.commit for path, one in credited.items() if (node := nodes.get(one)) is not None}


def is_rewritten(objects: Objects, git: Git, former: str, now: str, within: float) -> bool:
    """Whether ``former`` is no ancestor of ``now``; False also where that cannot be told."""
    if objects.node(former) is None:
        return False
    seen, waiting = {now}, deque([now])
    while waiting and len(seen) < _MOST_STEPS:
        node = objects.node(waiting.popleft())
        for parent in node.parents if node else ():
            if parent == former:
                return False
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    code, _, _ = git.run("merge-base", "--is-ancestor", former, now, within=within, allowed=(0, 1, 128))
    return code == 1
