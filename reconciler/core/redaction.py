"""Masking: of values, whatever a secret reference has yielded in this process; and by name, of usual credentials.

A value is known in every form that it takes on the way: as it is, in JSON, in URLs, in HTML, in base64 (also within
something longer) and in hexadecimal. Values of fewer than six characters are not masked: they are no secrets, and
masking them would garble everything else. Forbidden here: keeping a value for any other end than masking it.
"""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

from reconciler.core.escapes import layers
from reconciler.core.visible import visible, visible_line

T = TypeVar("T", bound=Any)  # a frozen dataclass

MASK: Final = "***"
SHORTEST: Final = 6  # characters

_SHORTEST_LINE: Final = 16  # of a value of several lines, such as a key in PEM, each is masked by itself
_MOST_VALUES: Final = 10_000  # tokens are renewed for ever; those not met for longest are let go of
_CUT: Final = "…"
_PIECE: Final = re.compile(r"[A-Za-z0-9_-]{16,}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]+")  # nobody writes these otherwise
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAMES: Final = re.compile(
    r"token|secret|passw|passphrase|pwd|apikey|authorization|cookie|signature|credential|jwt|csrf|xsrf|saml|session"
)
_WORDS: Final = frozenset({"auth", "key", "sig", "sid"})
_FORM: Final = re.compile(r"[^=&\s]+=[^&\s]*(?:&[^=&\s]+=[^&\s]*)*")
_HARMLESS: Final = frozenset({"idempotency-key"})


class _Alike(NamedTuple):
    """Forms with one beginning, as tokens of one service often are: looked up by their lengths, the longest first."""

    lengths: list[int]
    forms: set[str]


class Redactor:
    """Masks the values that it has learnt; as long as there are none it returns every text untouched.

    Every form is kept under its first six characters: looking for thousands of values takes no longer than for one.
    """

    __slots__ = ("_forms", "_values", "longest")

    def __init__(self) -> None:
        self.longest = 0  # characters, of all forms
        self._values: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._forms: dict[str, _Alike] = {}  # by their beginnings

    @property
    def knows_any(self) -> bool:
        """Whether there is anything to be masked."""
        return bool(self._forms)

    def learn(self, value: str) -> None:
        """Mask this value from now on; quick where it is known already."""
        if value in self._values:
            self._values.move_to_end(value)
            return
        self._values[value] = forms(value)
        if len(self._values) > _MOST_VALUES:
            self._forget()
        for form in self._values[value]:
            self._keep(form)

    def _keep(self, form: str) -> None:
        alike = self._forms.setdefault(form[:SHORTEST], _Alike([], set()))
        alike.forms.add(form)
        if len(form) not in alike.lengths:
            alike.lengths.append(len(form))
            alike.lengths.sort(reverse=True)
            self.longest = max(self.longest, len(form))

    def _forget(self) -> None:
        for _ in range(_MOST_VALUES // 2):
            self._values.popitem(last=False)
        self._forms = {}
        self.longest = 0
        for known in self._values.values():
            for form in known:
                self._keep(form)

    def masked(self, text: str) -> str:
        """The text with ``***`` at the place of every value; also of one that is cut off by ``…`` or by the end."""
        return self.beginning(text, len(text)) if self._forms else text

    def beginning(self, text: str, length: int) -> str:
        """Mask the first so many characters of a text; a value that is cut off there is masked whole."""
        parts: list[str] = []
        done = 0
        for start, end in self._found(text, length):
            parts += [text[done:start], MASK]
            done = end
        return "".join([*parts, text[done:length]])

    def _found(self, text: str, length: int) -> Iterator[tuple[int, int]]:
        """Where values stand that begin before ``length``, in order; what overlaps is one place."""
        found = list(self._written_in(text, length))
        for layer in layers(text[: length + self.longest]):
            within = bisect_left(layer.places, length)
            found += [(layer.places[start], layer.ends[end - 1]) for start, end in self._written_in(layer.text, within)]
        return _apart(found)

    def _written_in(self, text: str, length: int) -> Iterator[tuple[int, int]]:
        """Where forms stand in a text as it is; of those at one place, the longest. Others may begin within one."""
        known, last = self._forms, min(length, len(text) - SHORTEST + 1)
        for place in [place for place in range(last) if text[place : place + SHORTEST] in known]:  # twice as fast
            if length_there := _length_of(known[text[place : place + SHORTEST]], text, place):
                yield place, place + length_there

    def masked_deep(self, value: Any) -> Any:
        """Mask every text within lists, tuples and mappings (not their keys); numbers and the like stay."""
        if isinstance(value, str):
            return self.masked(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {key: self.masked_deep(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked_deep(each) for each in value]
        return self.masked(str(value))

    def masked_fields(self, record: T, *names: str) -> T:
        """A record with these fields masked: texts, and lists of texts or of records with fields of these names."""
        if not self._forms:
            return record
        there = {name: getattr(record, name) for name in names if hasattr(record, name)}
        changes = {name: self._masked_field(value, names) for name, value in there.items()}
        return replace(record, **{name: value for name, value in changes.items() if value != there[name]})

    def _masked_field(self, value: Any, names: tuple[str, ...]) -> Any:
        if isinstance(value, tuple):
            return tuple(self._masked_field(each, names) for each in value)
        if isinstance(value, str):
            return self.masked(value)
        return value if value is None else self.masked_fields(value, *names)


def _apart(found: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Places in order, those that overlap as one."""
    found.sort()
    while found:
        start, end = found.pop(0)
        while found and found[0][0] < end:
            end = max(end, found.pop(0)[1])
        yield start, end


def _length_of(alike: _Alike, text: str, place: int) -> int:
    """How many characters at this place belong to one of these forms; of the longest, also where it is cut off."""
    pieces = (text[place : place + each] for each in alike.lengths)
    whole = next((len(piece) for piece in pieces if piece in alike.forms), 0)
    tail = text[place : place + alike.lengths[0]].partition(_CUT)[0]
    ends = place + len(tail) == len(text) or text.startswith(_CUT, place + len(tail))
    return len(tail) if ends and len(tail) > whole and any(form.startswith(tail) for form in alike.forms) else whole


def forms(value: str) -> frozenset[str]:
    """Every form in which a value is looked for."""
    found = {value, *(line for line in value.splitlines() if len(line) >= _SHORTEST_LINE)}
    if len(value) < SHORTEST:
        return frozenset()
    found |= {form for one in tuple(found) if not _PLAIN.fullmatch(one) for form in _written(one)}
    found |= {form for one in tuple(found) if not one.isascii() for form in _misread(one)}
    found |= {piece for piece in _PIECE.findall(value) if _is_random(piece)}
    found |= {value.encode().hex(), value.encode().hex().upper(), *_in_base64(value.encode())}
    return frozenset(one for one in found if len(one) >= SHORTEST)


def _written(value: str) -> Iterator[str]:
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
    for safe in ("", "/", "~", "!'()*~", "!$&'()*+,;=:@/?~"):  # which characters stay is handled differently everywhere
        encoded = quote(value, safe=safe)
        yield encoded
        yield re.sub(r"%..", lambda match: match[0].lower(), encoded)
    yield quote_plus(value)
    yield html.escape(value)
    yield html.escape(value, quote=False)
    yield html.escape(value).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    yield repr(value)[1:-1]
    yield visible(value)
    yield visible_line(value)


def _misread(value: str) -> Iterator[str]:
    """What becomes of it where one side writes another charset than the other one reads."""
    yield value.encode().decode("latin-1")
    yield value.encode("latin-1", "replace").decode("utf-8", "replace")
    yield value.encode("ascii", "replace").decode()


def _is_random(piece: str) -> bool:
    """Whether it is most likely no word: it is masked by itself, for what stands around it is escaped in many ways."""
    kinds = (str.islower, str.isupper, str.isdigit)
    return sum(any(is_kind(one) for one in piece) for is_kind in kinds) > 1


def _in_base64(value: bytes) -> Iterator[str]:
    """As base64 of its own, and what is always the same of it wherever it stands within something longer."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            text = encode(bytes(before) + value).decode()
            first = (0, 2, 3)[before]  # characters that depend on what stands before
            last = len(text) if (before + len(value)) % 3 == 0 else (before + len(value)) // 3 * 4
            yield text[first:last]
        whole = encode(value).decode()
        yield whole
        yield whole.rstrip("=")


def is_secret_name(name: str) -> bool:
    """Whether a header or a parameter of this name usually holds a credential."""
    if name.lower() in _HARMLESS:
        return False
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return _NAMES.search(plain) is not None or any(word.lower() in _WORDS for word in _WORD.findall(name))


def masked_body(body: str | None) -> str | None:
    """A body as it is shown: in JSON and in forms, the values of fields that usually hold credentials are masked."""
    if not body:
        return body
    try:
        tree = json.loads(body)
        masked = _masked_tree(tree)
    except ValueError:
        return "&".join(map(_masked_pair, body.split("&"))) if _FORM.fullmatch(body) else body
    except RecursionError:  # what cannot be looked at is not shown
        return MASK
    return body if masked == tree else json.dumps(masked, ensure_ascii=False, separators=(",", ":"))


def _masked_tree(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {
            name: _masked_leaf(value) if is_secret_name(name) else _masked_tree(value) for name, value in tree.items()
        }
    return [_masked_tree(each) for each in tree] if isinstance(tree, list) else tree


def _masked_leaf(value: Any) -> Any:
    """What stands under such a name: texts and numbers, also in lists and mappings; nothing and flags tell nothing."""
    if isinstance(value, dict):
        return {name: _masked_leaf(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked_leaf(each) for each in value]
    return value if value is None or isinstance(value, bool) or value == "" else MASK


def masked_url(url: str) -> str:
    """A URL as it is shown: the values of parameters that usually hold credentials are masked."""
    if "?" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(map(_masked_pair, parts.query.split("&")))))


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={MASK}" if equals and value and is_secret_name(unquote_plus(name)) else pair
