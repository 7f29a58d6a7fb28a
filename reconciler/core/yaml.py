"""YAML text to plain values, strictly: whatever two readers of YAML could understand differently is a problem.

libyaml composes the nodes and ``yaml_values`` builds the values, because that is several times faster than PyYAML's
own constructor and because positions, duplicate keys and bombs can be seen only before values are built.

Forbidden here: knowledge of manifests, and an exception that leaves ``read``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from yaml._yaml import CParser  # what yaml.cyaml offers, which its type stubs forget to export
from yaml.error import MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.core.model import Problem
from reconciler.core.suggest import excerpt
from reconciler.core.syntax import explain, explain_encoding
from reconciler.core.yaml_values import MAX_DEPTH, Builder, SharingBuilder, sources_of

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 60_000  # keys, values, lists and mappings of one file: 2,000 Apis of 30 each; half a second's work

Path: TypeAlias = Sequence[str | int]

_WIDE: Final = 32  # entries of a mapping beyond which they are looked up by key

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class Place(NamedTuple):
    """A position in a file; both count from 1."""

    line: int
    column: int


class Document:
    """One YAML document: its value, what is wrong with it, and where its parts stand.

    It holds the composed nodes; let go of it once the places are known.

    Attributes:
        value: of str, int, float, bool, None, list and dict with string keys.
        problems: path, place and message of each.
        whole: False where aliases were refused: the value has holes, and its places must not be asked for.
    """

    __slots__ = ("_entries", "_root", "problems", "value", "whole")

    def __init__(
        self, root: Node, value: Any, problems: tuple[tuple[Path, Place, str], ...] = (), *, whole: bool = True
    ) -> None:
        self._root = root
        self._entries: dict[int, dict[str, tuple[Node, Node]]] = {}  # of wide mappings, by the node's id
        self.value = value
        self.problems = problems
        self.whole = whole

    @property
    def place(self) -> Place:
        """Where the document's first key stands."""
        return _place(self._root)

    def value_at(self, path: Path) -> Place:
        """Where the value at ``path`` begins, or the innermost value on the way that there is."""
        return _place(self._walk(path)[1])

    def key_at(self, path: Path) -> Place:
        """Where the key that ``path`` ends with stands; the place of the value where there is no such key."""
        key, value = self._walk(path)
        return _place(key or value)

    def entries(self, *path: str | int) -> Iterator[tuple[str, Place]]:
        """The keys of the mapping at ``path`` with the places of their values, or nothing."""
        node = self._walk(path)[1]
        if node.__class__ is MappingNode:
            for key, value in node.value:
                yield key.value, _place(value)

    def _walk(self, path: Path) -> tuple[Node | None, Node]:
        """The key and the value that stand at ``path``; where it leads nowhere, the last key and value on the way."""
        key: Node | None = None
        node = self._root
        for step in path:
            found = self._step(node, step)
            if found is None:
                break
            key, node = found
        return key, node

    def _step(self, node: Node, step: str | int) -> tuple[Node | None, Node] | None:
        if isinstance(step, int):
            items = node.value if node.__class__ is SequenceNode else ()
            return (None, items[step]) if step < len(items) else None
        if node.__class__ is not MappingNode:
            return None
        found = self._entry(node, step)
        if found is not None:
            return found
        merged = self._entry(node, "<<")
        sources = sources_of(merged[1]) if merged is not None else []
        return next((inner for source in sources if (inner := self._step(source, step))), None)

    def _entry(self, node: Node, key: str) -> tuple[Node, Node] | None:
        """The first entry of a key; thousands are asked for where a mapping has thousands of mistakes."""
        if len(node.value) <= _WIDE:
            return next((entry for entry in node.value if entry[0].value == key), None)
        entries = self._entries.get(id(node))
        if entries is None:
            entries = self._entries[id(node)] = {
                each.value: (each, value) for each, value in reversed(node.value) if each.__class__ is ScalarNode
            }
        return entries.get(key)


def read(file: str, content: bytes) -> Iterator[Document | Problem]:
    """Compose and build one document after the other; empty ones are passed over.

    A ``Problem`` instead of a document says that the rest of the file cannot be read, and is the last one.
    """
    if len(content) > MAX_BYTES:
        yield Problem(file=file, line=1, column=1, field="", message="the file is larger than 1 MiB; split it")
        return
    if refused := explain_encoding(content):
        yield _problem(file, *refused)
        return
    anchored = b"&" in content
    composer = _Composer(content)
    while True:
        try:
            if not composer.check_node():
                return
            root = composer.compose()
        except (YAMLError, _BeyondError, ValueError) as error:
            yield _problem(file, *_explain_failure(error, content))
            return
        if not _is_empty(root):
            yield _document(root, SharingBuilder() if anchored else Builder())


def field_name(path: Path) -> str:
    """A path as people read it: ``spec.apis[0].schedule.every``."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            shown = step if _BARE_KEY.fullmatch(step) and len(step) < MAX_DEPTH else f'"{excerpt(step)}"'
            parts.append(f".{shown}" if parts else shown)
    return "".join(parts)


def _problem(file: str, line: int, column: int, message: str) -> Problem:
    return Problem(file=file, line=line, column=column, field="", message=message)


class _BeyondError(Exception):
    """Raised within the composer, where the file goes beyond a bound."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


class _Composer(CParser):
    """libyaml's composer with nothing to resolve, and bounds on what it makes.

    It recurses in C, so that 20,000 levels would end the process; and a file of nothing but tiny values would take
    seconds to be looked at. It leaves in ``node.tag`` the tag as written, and no string where there is none.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.depth = 0
        self.nodes = 0
        self._root: Node | None = None

    def resolve(self, _kind: type, _value: str | None, implicit: object) -> object:
        return implicit

    def compose(self) -> Node:
        """The next document."""
        self._root = cast("Node", self.get_node())
        return self._root

    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH and parent is not None:
            raise _BeyondError(_place(parent), f"values are nested more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            raise _BeyondError(self._reached(parent), f"the file has more than {MAX_NODES:,} keys and values; split it")

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def _reached(self, parent: Node | None) -> Place:
        """About how far it has come: where the value before this one stands, or else what is around it."""
        if parent is None:
            return _place(self._root) if self._root is not None else Place(1, 1)
        if not parent.value:
            return _place(parent)
        return _place(parent.value[-1] if parent.__class__ is SequenceNode else parent.value[-1][0])


def _is_empty(root: Node) -> bool:
    return root.__class__ is ScalarNode and root.style == "" and root.value == "" and root.tag.__class__ is not str


def _document(root: Node, builder: Builder) -> Document:
    value = builder.build(root)
    if not builder.faults:
        return Document(root, value)
    paths = _paths(root)
    problems = tuple((paths.get(id(node), ()), _place(node), message) for node, message in builder.faults)
    return Document(root, value, problems, whole=not builder.refused)


def _explain_failure(error: Exception, content: bytes) -> tuple[int, int, str]:
    if isinstance(error, _BeyondError):
        return *error.place, str(error)
    return explain(error if isinstance(error, MarkedYAMLError) else None, content)


def _place(node: Node) -> Place:
    mark = node.start_mark
    return Place(mark.line + 1, mark.column + 1)


def _paths(root: Node) -> dict[int, Path]:
    """The first path that leads to each key and each value."""
    paths: dict[int, Path] = {id(root): ()}
    open_nodes: list[Node] = [root]
    while open_nodes:
        node = open_nodes.pop()
        if node.__class__ is ScalarNode:
            continue
        path = paths[id(node)]
        if node.__class__ is MappingNode:
            children = [(child, key.value) for key, value in node.value for child in (key, value)]
        else:
            children = [(child, index) for index, child in enumerate(node.value)]
        for child, step in children:
            if id(child) not in paths:
                paths[id(child)] = (*path, step) if isinstance(step, str | int) else path
                open_nodes.append(child)
    return paths
