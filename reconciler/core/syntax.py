"""Why a file cannot be read as YAML, in plain words that say what to do.

libyaml's own messages name its inner states ("did not find expected key"); people see a tab or a missing quote.
Forbidden here: building values. ``reconciler.core.yaml`` asks this module only where reading fails.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from yaml.error import Mark, MarkedYAMLError

from reconciler.core.suggest import excerpt

Failure = tuple[int, int, str]  # line and column, from 1, and what is wrong

# Not allowed in YAML even within quotes (YAML 1.2.2, production 1); found by position only once libyaml has refused.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_TAG_DIRECTIVE: Final = re.compile(rb"^%TAG\b", re.MULTILINE)
_TAB: Final = "tab character used for indentation; use spaces"
_TAB_BEFORE: Final = "tab character before a value; use spaces"
_UNCLOSED: Final = {
    "while parsing a flow sequence": "a list that begins with [ is not closed, or lacks a comma",
    "while parsing a flow mapping": "a mapping that begins with { is not closed, or lacks a comma",
    "while scanning a quoted scalar": "a quoted text is not closed",
}
_SIGNS: Final = {"while scanning an alias": "*", "while scanning an anchor": "&"}
_MESSAGES: Final = {
    "mapping values are not allowed in this context": (
        "a colon cannot stand here: quote text that holds a colon and a blank, and check the indentation"
    ),
    "block sequence entries are not allowed in this context": (
        "a list item cannot begin here: put `- ` on a line of its own, and check the indentation"
    ),
    "could not find expected ':'": "a key without a colon; write `key: value`",
    "did not find expected '-' indicator": "a list goes on here without `- `; check the indentation",
    "did not find expected key": "this does not fit the lines above: check the indentation, and quotes within quotes",
    "did not find expected node content": "a value is missing here; quote text that begins with one of , ] }",
    "did not find expected <document start>": "a new document begins with a line of three dashes",
    "did not find expected comment or line break": "after | or > the text begins on the next line",
    "found unknown escape character": "not an escape sequence; in double quotes write \\\\ for a backslash",
    "found invalid Unicode character escape code": "not the code of a character",
    "found undefined alias": "an alias of an anchor that is not defined; quote text that begins with *",
    "second occurrence": "this anchor is defined twice; give each a name of its own",
    "found undefined tag handle": "tags are not understood here; quote text that begins with !",
    "did not find expected tag URI": "tags are not understood here; quote text that begins with !",
    "found incompatible YAML document": "only YAML 1.1 and 1.2 are understood; remove the %YAML line",
    "found unknown directive name": "a line that begins with % is a directive; only %YAML is understood",
}


def explain_encoding(content: bytes) -> Failure | None:
    """What forbids to begin reading at all, if anything does: UTF-16, or tag directives."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return 1, 1, "the file is UTF-16; save it as UTF-8"
    # libyaml compares each of them with each other one: a megabyte would take it seconds.
    if b"%TAG" in content and (match := _TAG_DIRECTIVE.search(content)):
        return content.count(b"\n", 0, match.start()) + 1, 1, "tags are not understood here; remove the %TAG line"
    return None


def explain(error: MarkedYAMLError | None, content: bytes) -> Failure:
    """Say what is wrong, given what libyaml says; ``None`` stands for an error without a place, as of the encoding."""
    if error is None or error.problem_mark is None:
        return _explain_characters(content)
    where = error.context_mark or error.problem_mark
    if error.context in _UNCLOSED and "escape" not in str(error.problem):
        return _at(where, _UNCLOSED[error.context])
    if error.problem == "could not find expected ':'":
        return _at(where, _MESSAGES[error.problem])
    return _explain_place(error, error.problem_mark, content)


def _explain_place(error: MarkedYAMLError, mark: Mark, content: bytes) -> Failure:
    """The same, where the text at the place says more than libyaml does."""
    lines = content.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation:
        return mark.line + 1, indentation.index("\t") + 1, _TAB
    if error.context in _SIGNS:
        sign = _SIGNS[error.context]
        return _at(error.context_mark or mark, f'text that begins with {sign} must be quoted, as in "{sign} …"')
    if error.problem == "found character that cannot start any token":
        first = line[mark.column : mark.column + 1]
        return _at(mark, _TAB_BEFORE if first == "\t" else f"a value cannot begin with {excerpt(first)}; quote it")
    if (
        error.context == "while parsing a flow node"
        and not line[mark.column :] + "".join(lines[mark.line + 1 :]).strip()
    ):
        return _at(mark, "the file ends within a list or mapping that is not closed")
    return _at(mark, _MESSAGES.get(str(error.problem), f"not YAML: {error.problem}"))


def _at(mark: Mark, message: str) -> Failure:
    return mark.line + 1, mark.column + 1, message


def _explain_characters(content: bytes) -> Failure:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        return *_position(before), f"not UTF-8: byte 0x{content[error.start]:02x}; save the file as UTF-8"
    match = _UNPRINTABLE.search(text)
    if match is None:  # pragma: no cover - libyaml refuses nothing else; a sentence is better than a traceback
        return 1, 1, "the file cannot be read as YAML"
    code = ord(match.group())
    hint = "; is it a binary file, or UTF-16?" if code == 0 else "; remove it, or write it as an escape in quotes"
    return *_position(text[: match.start()]), f"the control character U+{code:04X} is not allowed in YAML{hint}"


def _position(before: str) -> tuple[int, int]:
    last = before.rfind("\n")
    return before.count("\n") + 1, len(before) - last
