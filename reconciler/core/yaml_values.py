"""Composed YAML nodes to plain values; whatever two readers of YAML could understand differently is a fault.

Plain scalars are resolved by the core schema of YAML 1.2 as far as JSON goes: true, false, null, ints and floats;
the rest is text. Forbidden here: reading text, and knowledge of manifests.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any, Final, NamedTuple

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.core.suggest import excerpt
from schemas.base import clean_text

MAX_DEPTH: Final = 64
MAX_ALIASES: Final = 100
MAX_EXPANSION: Final = 10_000  # nodes that aliases may add, 64 characters of text counting as one
MAX_MERGE_NESTING: Final = 10
MAX_PROBLEMS: Final = 100  # of one document: beyond that it is no manifest with mistakes but another kind of file
MAX_DIGITS: Final = 64

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


class Builder:
    """Builds the value of a tree of nodes, and collects what is wrong with it.

    Attributes:
        faults: each with the node where it stands.
        refused: aliases went beyond a bound; the value has holes.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[Node, str]] = []
        self.refused = False

    def build(self, node: Node) -> Any:
        """The value of a node: str, int, float, bool, None, or a list or dict of these."""
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
                    self._twice(node, key_node, key)
                else:
                    built[key] = self.build(value_node)
        if sources is not None:
            self._merge(node, built, sources)
        return built

    def _twice(self, mapping: Node, node: Node, key: str) -> None:
        if len(self.faults) < MAX_PROBLEMS:  # the search would take long where thousands stand twice
            first = next(each for each, _ in mapping.value if each.value == key)
            self._fault(node, f"`{excerpt(key)}` stands here twice; the first is on line {first.start_mark.line + 1}")

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
        for source in sources_of(sources):
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


class SharingBuilder(Builder):
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
        """The same; a node met again is an alias."""
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
        nesting = 1 + max((self._merges.get(id(source), 0) for source in sources_of(sources)), default=0)
        self._merges[id(node)] = nesting
        if nesting > MAX_MERGE_NESTING:
            self._refuse(f"merge keys are nested more than {MAX_MERGE_NESTING} deep; write the values out")


def sources_of(merged: Node) -> list[Node]:
    """What stands behind `<<`: one mapping, or a list of them."""
    return merged.value if merged.__class__ is SequenceNode else [merged]
