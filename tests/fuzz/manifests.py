"""Manifests by chance, and what holds for every one on the whole way from its bytes to a plan.

Forbidden here: counting, saving and shrinking cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from zlib import crc32

from reconciler.core.applied import application_states, eras_of, stored_jobs
from reconciler.core.desired import build
from reconciler.core.manifests import parse
from reconciler.core.model import Problem
from reconciler.core.plan import diff
from reconciler.core.yaml import Document, read
from tests.fuzz.mutate import BYTES, CHARACTERS, NUMBERS, inserting, mutated, splicing
from tests.fuzz.samples import BASE, DOCUMENTS, FILES, SENTINEL
from tests.fuzz.trees import SCALARS, copied, slots, varied

FILE: Final = "fuzzed.yaml"
GIANT: Final = 1 << 16  # bytes
NOW: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
ENVIRONMENTS: Final = (None, "staging", "made", "nowhere")
LONGEST_MESSAGE: Final = 2_000  # characters of one problem: enough for every field of a kind, and no more

_WORDS: Final = tuple(
    word.encode()
    for word in (
        *(
            "&a ",
            "*a",
            "&a [*a, *a]",
            "<<: *a\n",
            "<<: [*a, *b]\n",
            "!!binary ",
            "!!python/object:os.system ",
            "!",
            "!x ",
        ),
        *("!!timestamp ", "!!float ", "!<x> ", "? ", "?\n: ", ": ", " #", "- ", "-\n", "---\n", "...\n", "%YAML 1.3\n"),
        *("%TAG ! x\n", "\t", "  ", "\n", "|\n", ">+9\n", "|2-\n", "'", '"', '"\\ud800"', '"\\x00"', '"\\u202e"', "\\"),
        *("{", "}", "[", "]", ",", "{a: ", "[" * 100, "{a: " * 80, "`", "@", "yes", "No", "~", "null", "2026-11-21"),
        *("2026-02-30T25:61", "0001-01-01", "9999-12-31T23:59:59.999999999Z", "12:30:45", "1_000", "=", "<<"),
        *("kind: Api\n", "kind: Calendar\n", "kind: AccessToken\n", "spec:\n", "apis: []\n", "name: x\n", "auth: {}\n"),
        *("{env: K}", "{file: /x}", "{sealed: v1.x}", "password: {env: K}", "metadata: {name: billing}\n"),
        *NUMBERS,
        *CHARACTERS,
    )
)
_MUTATIONS: Final = (*BYTES, inserting(_WORDS), inserting(_WORDS), splicing(DOCUMENTS), splicing(DOCUMENTS))

# Where a secret's value would stand if somebody wrote it instead of its name: below one of these.
_SECRET_FIELDS: Final = frozenset(
    ("password", "token", "clientSecret", "secret", "secrets", "value", "sealed", "headers", "query", "form", "json")
)
_ADDRESSES: Final = frozenset(("baseUrl", "url", "tokenUrl"))


def make(random: Random) -> bytes:
    """One file: mostly one document near to a right one, sometimes several, seldom anything at all."""
    return random.choices(_MAKERS, _WEIGHTS)[0](random)


def check(content: bytes) -> str:
    """Read it with the rest, plan it, and look at every problem.

    Returns:
        How it went, in one word: ``clean``, ``problems`` or ``unreadable``.

    Raises:
        AssertionError: something does not hold that should; any other exception is a crash.
    """
    parsed = parse(FILE, content)
    environment = ENVIRONMENTS[crc32(content) % len(ENVIRONMENTS)]
    desired = build({**_PARSED, FILE: parsed}, _BUILT, environment, "manifests")
    plan = diff(_STORED, desired, applications=_APPLICATIONS)
    stored_jobs(plan, _STORED, revision="r2", now=NOW)
    eras_of(plan, revision="r2", now=NOW)
    application_states(plan, desired, _APPLICATIONS, now=NOW)
    look_at(content, desired.problems)
    ours = any(problem.file == FILE for problem in desired.problems)
    return "unreadable" if parsed.broken else "problems" if ours else "clean"


def look_at(content: bytes, problems: Iterable[Problem]) -> None:
    """What holds for every problem."""
    lines = len(content.decode("utf-8", "replace").splitlines()) + 1
    secret = SENTINEL.encode() in content
    for problem in problems:
        assert problem.file in (FILE, "manifests", *BASE), f"a problem of no file: {problem}"
        assert problem.line >= 1, f"a line before the first: {problem}"
        assert problem.column >= 1, f"a column before the first: {problem}"
        assert problem.file != FILE or problem.line <= lines, f"a line behind the last: {problem}"
        assert problem.message.strip(), f"nothing is said: {problem}"
        assert str(problem).isprintable(), f"what is said moves the cursor: {str(problem)!r}"
        assert len(str(problem)) <= LONGEST_MESSAGE, f"too much is said: {str(problem)[:200]}"
        assert not (secret and _tells(problem, content)), f"a secret's value is said: {problem}"


def _tells(problem: Problem, content: bytes) -> bool:
    """Whether it quotes the sentinel, which stands nowhere but where secrets do."""
    told = str(problem)
    if SENTINEL not in told and SENTINEL[:12] not in told:
        return False
    documents = [*read(FILE, content)]
    values = [each.value for each in documents if isinstance(each, Document)]
    return content.count(SENTINEL.encode()) == sum(_secrets(value) for value in values)


def _secrets(tree: Any, *, below: bool = False) -> int:
    """How often the sentinel is a value at a secret's place."""
    if isinstance(tree, dict):
        return sum(_secrets(value, below=below or key in _SECRET_FIELDS | _ADDRESSES) for key, value in tree.items())
    if isinstance(tree, list):
        return sum(_secrets(value, below=below) for value in tree)
    return tree.count(SENTINEL) if below and isinstance(tree, str) else 0


# What is made


def _text(random: Random) -> bytes:
    return mutated(random, random.choice(DOCUMENTS), _MUTATIONS)


def _file(random: Random) -> bytes:
    if random.random() < 0.5:
        return mutated(random, random.choice(FILES), _MUTATIONS)
    chosen = random.choices(DOCUMENTS, k=random.randint(2, 5))
    return mutated(random, b"\n---\n".join(chosen), _MUTATIONS)


def _tree(random: Random) -> bytes:
    tree = varied(random, random.choice(_TREES), _TREES)
    return json.dumps(tree, ensure_ascii=random.random() < 0.3).encode("utf-8", "surrogatepass")


def _torn_tree(random: Random) -> bytes:
    return mutated(random, _tree(random), _MUTATIONS, most=2)


def _secret_tree(random: Random) -> bytes:
    """A tree with the sentinel wherever a secret's value could have been written."""
    tree = copied(random.choice(_TREES))
    places = [(owner, step) for owner, step in slots(tree) if step in _SECRET_FIELDS | _ADDRESSES]
    for owner, step in places:
        if random.random() < 0.6:
            owner[step] = f"https://me:{SENTINEL}@x" if step in _ADDRESSES else random.choice(_SLIPS)(SENTINEL)
    return json.dumps(varied(random, tree, _TREES, most=2)).encode()


def _soup(random: Random) -> bytes:
    return b"".join(random.choices(_ALPHABET, k=random.randint(0, 60)))


def _noise(random: Random) -> bytes:
    return random.randbytes(random.randint(0, 300))


def _large(random: Random) -> bytes:
    """One value or key of tens of thousands of characters, or very many of them."""
    document = random.choice(DOCUMENTS)
    place = random.randrange(len(document) + 1)
    unit = random.choice((*_WORDS, *_UNITS))
    return document[:place] + unit * (random.choice((2_000, 20_000)) // len(unit) + 1) + document[place:]


def _giant(random: Random) -> bytes:
    """One thing over and over, in a file larger than people write; what 1 MiB of tokens costs is libyaml's to say."""
    unit = random.choice(_UNITS)
    head, foot = random.choice(((b"", b""), (_HEAD, b""), (_HEAD + b"  x: [", b"]"), (b"{", b"}"), (b"x: '", b"'")))
    if b"%d" not in unit:
        return head + unit * (GIANT // len(unit)) + foot
    many = GIANT // (len(unit) + 4)
    return head + b"".join(unit.replace(b"%d", b"%d" % number) for number in range(many)) + foot


_SLIPS: Final[tuple[Callable[[str], Any], ...]] = (
    lambda value: value,
    lambda value: {"env": value},
    lambda value: {"sealed": value},
    lambda value: {"value": value},
    lambda value: [value],
    lambda value: {"env": "K", "value": value},
    lambda value: {"$secret": value},
    lambda value: {"$secret": {"env": value}},
    lambda value: {"X-Key": value + "\n"},
    lambda value: {"x": [value, None]},
)
_HEAD: Final = (
    b"apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: giant}\nspec:\n  baseUrl: http://x.example.com\n"
)
_OF_KIND: Final = b"---\napiVersion: reconciler/v1\nkind: %s\n"
_UNITS: Final = (
    *(
        b"a",
        b" ",
        b"\n",
        b"- ",
        b"[",
        b"{",
        b"- a\n",
        b"---\n",
        b"--- a\n",
        b"? ",
        b": ",
        b"#",
        b"'",
        b'"',
        b"&a ",
        b"*a ",
    ),
    *(
        b"a%d: b\n",
        b"  a%d: b\n",
        b"&a%d x, ",
        b"a%d: &a%d [*a%d]\n",
        b"! ",
        b"%TAG !a%d! x\n",
        b"\\",
        b"\t",
        b"\xe2\x80\xa8",
    ),
    *(
        b"- &a%d a\n",
        b"a: b\n",
        b"a%d, ",
        b"{a: b}, ",
        b"kind: Api\n---\n",
        b"\xc3\xa9",
        b"|\n",
        b"\r",
        b"-\n",
        b"? a%d\n",
    ),
    b"---\nkind: Calendar\nmetadata: {name: c%d}\n",
    _OF_KIND % b"Api" + b"metadata: {name: a%d, application: giant}\nspec: {schedule: '@daily', request: {path: /}}\n",
    _OF_KIND % b"Api" + b"metadata: {name: a%d, application: b%d}\nspec: {schedule: x, only: y, requets: {}}\n",
    _OF_KIND % b"Environment" + b"metadata: {name: staging}\nspec: {patches: [{application: a%d, spec: {}}]}\n",
    _OF_KIND % b"Environment" + b"metadata: {name: e%d}\nspec: {patches: [{application: a%d, spec: {}}]}\n",
    _OF_KIND % b"AccessToken" + b"metadata: {name: t%d}\nspec: {role: viewer, applications: [a%d], sha256: x}\n",
)
_ALPHABET: Final = (*_WORDS, *(str(each).encode("utf-8", "surrogatepass") for each in SCALARS if len(str(each)) < 200))

_MAKERS: Final[tuple[Callable[[Random], bytes], ...]] = (
    *(_text, _tree, _secret_tree, _torn_tree, _file, _soup, _noise, _large, _giant),
)
_WEIGHTS: Final = (30, 30, 15, 10, 8, 3, 2, 1, 0.1)


def _trees() -> Iterator[Any]:
    for document in DOCUMENTS:
        yield from (each.value for each in read(FILE, document) if isinstance(each, Document))


_TREES: Final = [*_trees()]
_PARSED: Final = {name: parse(name, content) for name, content in BASE.items()}
_BUILT: Final = build(_PARSED)
_PLAN: Final = diff({}, _BUILT)
_STORED: Final = {each.key: each for each in stored_jobs(_PLAN, {}, revision="r1", now=NOW)}
_APPLICATIONS: Final = {each.name: each for each in application_states(_PLAN, _BUILT, {}, now=NOW)[0]}
