"""YAML text to plain values, strictly: whatever two readers of YAML could understand differently is a problem.

libyaml composes the nodes and this module builds the values, because that is several times faster than PyYAML's own
constructor and because positions, duplicate keys and bombs can be seen only before values are built. Plain scalars
are resolved by the YAML 1.2 core schema as far as JSON goes: true, false, null, ints and floats; the rest is text.

Forbidden here: knowledge of manifests, and an exception that leaves ``read``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple, TypeAlias, cast

from yaml._yaml import CParser  # what yaml.cyaml offers, which its type stubs forget to export
from yaml.error import MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.core.model import Problem
from reconciler.core.suggest import excerpt
from reconciler.core.syntax import explain, explain_encoding
from schemas.base import clean_text

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
MAX_ALIASES: Final = 100
MAX_EXPANSION: Final = 10_000  # nodes that aliases may add, 64 characters of text counting as one
MAX_MERGE_NESTING: Final = 10
MAX_PROBLEMS: Final = 100  # of one document: beyond that it is no manifest with mistakes but another kind of file
MAX_DIGITS: Final = 64

Path: TypeAlias = Sequence[str | int]

_WORDS: Final = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_AMBIGUOUS: Final = frozenset({"y", "n", "yes", "no", "on", "off"})  # booleans in YAML 1.1, text in 1.2
# What every word, number and ambiguous text begins with; a scalar that begins otherwise is text.
_SUSPECT: Final = frozenset({"", *"0123456789-+.~tTfFnNyYoO"})
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

    __slots__ = ("_root", "problems", "value", "whole")

    def __init__(
        self, root: Node, value: Any, problems: tuple[tuple[Path, Place, str], ...] = (), *, whole: bool = True
    ) -> None:
        self._root = root
        self.value = value
        self.problems = problems
        self.whole = whole

    @property
    def place(self) -> Place:
        """Where the document's first key stands."""
        return _place(self._root)

    def value_at(self, path: Path) -> Place:
        """Where the value at ``path`` begins, or the innermost value on the way that there is."""
        return _place(_walk(self._root, path)[1])

    def key_at(self, path: Path) -> Place:
        """Where the key that ``path`` ends with stands; the place of the value where there is no such key."""
        key, value = _walk(self._root, path)
        return _place(key or value)

    def entries(self, *path: str | int) -> Iterator[tuple[str, Place]]:
        """The keys of the mapping at ``path`` with the places of their values, or nothing."""
        node = _walk(self._root, path)[1]
        if node.__class__ is MappingNode:
            for key, value in node.value:
                yield key.value, _place(value)

    def items_at(self, *path: str | int) -> int:
        """How many items the list at ``path`` has."""
        node = _walk(self._root, path)[1]
        return len(node.value) if node.__class__ is SequenceNode else 0


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
            root = cast("Node", composer.get_node())
        except (YAMLError, _TooDeepError, ValueError) as error:
            yield _problem(file, *_explain_failure(error, content))
            return
        if not _is_empty(root):
            yield _document(root, _SharingBuilder() if anchored else _Builder())


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


class _TooDeepError(Exception):
    """Raised within the composer, which recurses in C: 20,000 levels would end the process."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


class _Composer(CParser):
    """libyaml's composer with nothing to resolve, and a bound on its recursion.

    It leaves in ``node.tag`` the tag as written, and no string where there is none.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.depth = 0

    def resolve(self, _kind: type, _value: str | None, implicit: object) -> object:
        return implicit

    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH and parent is not None:
            raise _TooDeepError(_place(parent))

    def ascend_resolver(self) -> None:
        self.depth -= 1


class _Builder:
    """Builds the value of a tree of nodes, and collects what is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[tuple[Node, str]] = []
        self.refused = False

    def build(self, node: Node) -> Any:
        if node.tag.__class__ is str:
            self._tagged(node)
        if node.__class__ is ScalarNode:
            text = node.value
            return self._plain(node, text) if text[:1] in _SUSPECT and node.style == "" else text
        return self._mapping(node) if node.__class__ is MappingNode else [self.build(item) for item in node.value]

    def _fault(self, node: Node, message: str) -> None:
        if len(self.faults) < MAX_PROBLEMS:
            self.faults.append((node, message))

    def _tagged(self, node: Node) -> None:
        tag = excerpt(node.tag.replace("tag:yaml.org,2002:", "!!"))
        self._fault(node, f"tags such as {tag} are not understood here; remove it")

    def _plain(self, node: Node, text: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if match := _NUMBER.fullmatch(text):
            return self._number(node, text, whole=match.group(1) is match.group(2) is None)
        if text.lower() in _AMBIGUOUS:
            self._fault(node, f"`{text}` means true or false to some YAML readers: quote it, or write true or false")
        elif _NOT_FINITE.fullmatch(text):
            self._fault(node, f"`{text}` is not a finite number; quote it if text is meant")
        return text

    def _number(self, node: Node, text: str, *, whole: bool) -> int | float | None:
        if len(text) > MAX_DIGITS:
            self._fault(node, f"a number of more than {MAX_DIGITS} characters; quote it if text is meant")
            return None
        if whole:
            return int(text)
        if isfinite(number := float(text)):
            return number
        self._fault(node, f"`{excerpt(text)}` is too large for a number; quote it if text is meant")
        return None

    def _mapping(self, node: Node) -> dict[str, Any]:
        built: dict[str, Any] = {}
        sources: Node | None = None
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key == "<<" and key_node.style == "":
                if sources is not None:
                    self._fault(key_node, "`<<` stands here twice; give one list of what is merged")
                sources = value_node
            elif key is not None:
                if key in built:
                    self._fault(key_node, _twice(node, key))
                else:
                    built[key] = self.build(value_node)
        if sources is not None:
            self._merge(node, built, sources)
        return built

    def _key(self, node: Node) -> str | None:
        if node.__class__ is not ScalarNode:
            self._fault(node, "a key must be a string, not a list or a mapping; text that begins with { or [ is quoted")
            return None
        text: str = node.value
        if node.tag.__class__ is str:
            self._tagged(node)
        if text[:1] in _SUSPECT and node.style == "" and (text in _WORDS or _NUMBER.fullmatch(text)):
            self._fault(node, f'a key must be a string: write "{text[:40]}" in quotes' if text else "a key is missing")
        elif not (text.isascii() and text.isprintable()):
            try:
                clean_text(text)
            except ValueError as error:
                self._fault(node, f"the key {error}")
        return text

    def _merge(self, _node: Node, built: dict[str, Any], sources: Node) -> None:
        for source in _sources(sources):
            merged = self.build(source)
            if isinstance(merged, dict):
                for key, value in merged.items():
                    built.setdefault(key, value)
            elif merged is not None or source.__class__ is ScalarNode:
                self._fault(source, "`<<` merges mappings; quote it if a key of that name is meant")


class _Built(NamedTuple):
    value: Any
    weight: int
    height: int


class _SharingBuilder(_Builder):
    """Builds a graph, in which aliases make one node stand in several places; each is built once.

    The expansion is counted instead of made, so that a bomb costs no more than its text.
    """

    def __init__(self) -> None:
        super().__init__()
        self._built: dict[int, _Built | None] = {}
        self._around: list[Node] = []
        self._weight = 0
        self._deepest = 0
        self._aliases = 0
        self._expansion = 0
        self._merges: dict[int, int] = {}

    def build(self, node: Node) -> Any:
        if id(node) in self._built:
            return self._alias(self._built[id(node)])
        self._built[id(node)] = None
        outer_weight, outer_deepest = self._weight, self._deepest
        self._around.append(node)
        self._weight = 1 + (len(node.value) // 64 if node.__class__ is ScalarNode else 0)
        self._deepest = len(self._around)
        value = super().build(node)
        self._around.pop()
        self._built[id(node)] = _Built(value, self._weight, self._deepest - len(self._around))
        self._weight += outer_weight
        self._deepest = max(self._deepest, outer_deepest)
        return value

    def _alias(self, built: _Built | None) -> Any:
        self._aliases += 1
        if built is None:
            return self._refuse("an anchor stands within itself; write the value out")
        self._expansion += built.weight
        self._weight += built.weight
        self._deepest = max(self._deepest, len(self._around) + built.height)
        if self._aliases > MAX_ALIASES:
            return self._refuse(f"more than {MAX_ALIASES} aliases in one document; write the values out")
        if self._expansion > MAX_EXPANSION:
            return self._refuse("aliases make this document grow beyond measure; write the values out")
        if self._deepest > MAX_DEPTH:
            return self._refuse(f"aliases nest values more than {MAX_DEPTH} levels deep")
        return built.value

    def _refuse(self, message: str) -> None:
        if not self.refused:  # one of them is reason enough, and a bomb would have thousands
            self.refused = True
            self._fault(self._around[-1], message)

    def _merge(self, node: Node, built: dict[str, Any], sources: Node) -> None:
        super()._merge(node, built, sources)
        nesting = 1 + max((self._merges.get(id(source), 0) for source in _sources(sources)), default=0)
        self._merges[id(node)] = nesting
        if nesting > MAX_MERGE_NESTING:
            self._refuse(f"merge keys are nested more than {MAX_MERGE_NESTING} deep; write the values out")


def _twice(mapping: Node, key: str) -> str:
    line = next(each.start_mark.line for each, _ in mapping.value if each.value == key) + 1
    return f"`{excerpt(key)}` stands here twice; the first is on line {line}"


def _sources(merged: Node) -> list[Node]:
    """What stands behind `<<`: one mapping, or a list of them."""
    return merged.value if merged.__class__ is SequenceNode else [merged]


def _is_empty(root: Node) -> bool:
    return root.__class__ is ScalarNode and root.style == "" and root.value == "" and root.tag.__class__ is not str


def _document(root: Node, builder: _Builder) -> Document:
    value = builder.build(root)
    if not builder.faults:
        return Document(root, value)
    paths = _paths(root)
    problems = tuple((paths.get(id(node), ()), _place(node), message) for node, message in builder.faults)
    return Document(root, value, problems, whole=not builder.refused)


def _explain_failure(error: Exception, content: bytes) -> tuple[int, int, str]:
    if isinstance(error, _TooDeepError):
        return *error.place, f"values are nested more than {MAX_DEPTH} levels deep"
    return explain(error if isinstance(error, MarkedYAMLError) else None, content)


def _place(node: Node) -> Place:
    mark = node.start_mark
    return Place(mark.line + 1, mark.column + 1)


def _walk(node: Node, path: Path) -> tuple[Node | None, Node]:
    """The key and the value that stand at ``path``; where it leads nowhere, the last key and value on the way."""
    key: Node | None = None
    for step in path:
        found = _step(node, step)
        if found is None:
            break
        key, node = found
    return key, node


def _step(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(step, int):
        items = node.value if node.__class__ is SequenceNode else ()
        return (None, items[step]) if step < len(items) else None
    if node.__class__ is not MappingNode:
        return None
    merged: Node | None = None
    for key, value in node.value:
        if key.value == step:
            return key, value
        if key.value == "<<":
            merged = value
    sources = _sources(merged) if merged is not None else []
    return next((found for source in sources if (found := _step(source, step))), None)


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
