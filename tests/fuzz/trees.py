"""Plain values to other plain values: wrong types, missing and foreign fields, subtrees that stand elsewhere.

Forbidden here: text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

from tests.fuzz.mutate import CHARACTERS

Slot = tuple[Any, Any]  # a list or mapping, and the index or key in it

SCALARS: Final = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 2**31, 2**63, -(2**63) - 1, 10**63, 255, 65536),
    *(
        "",
        " ",
        "~",
        "null",
        "true",
        "yes",
        "0",
        "1",
        "-1s",
        "1s",
        "0s",
        "5m",
        "1h1h",
        "9" * 60 + "d",
        "1e9h",
        "*",
        "a*",
    ),
    *("* * * * *", "*/0 * * * *", "0 0 31 2 *", "0 0 30 2 *", "H H(0-7) * * *", "60 24 32 13 8", "@hourly", "@reboot"),
    *("0-59/7,3 0 1-7,LW * MON#5", "* * * * * * *", "0 0 29 2 MON#5", "59 59 23 31 12 SUN", "H/0 * * * *", "@every 1s"),
    *("2026-02-30", "2026-02-29T25:61:61", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "02-29", "02-30"),
    *("2026-03-29T02:30:00", "10000-01-01", "24:00", "23:59", "00:00:60", "Europe/Berlin", "Europe/Berln", "../../etc"),
    *("UTC", "local", "MON", "MON#5", "MON#6", "FRI#L", "LW", "last", "weekly", "quarterly", "latest", "Forbid"),
    *("http://", "https://[::1]:99999/", "https://[fe80::1%25eth0]/", "http://x.example.com:0", "file:///etc/passwd"),
    *("https://user:Zq7@x.example.com/", "https://xn--ß.example", "//x", "/..", "/%zz", "/a b", "/" + "a" * 3000),
    *("2xx", "6xx", "99", "200-299", "GET", "get", "TRACE", "X-Api-Key", "Host", "Content-Length", "a\r\nb: c", "é"),
    *("100/1m", "1/0s", "0/1s", "billing", "billing/nightly", "billing/", "/", "made-0", "a" * 63, "a" * 64, "-a", "A"),
    *("whsec_", "whsec_?", "rct_abc", "0" * 64, "{{ x }}", "${HOME}", "$secret", "<<", "=", "\ud800", "x" * 20_000),
    *CHARACTERS,
)
_TREES: Final[tuple[Any, ...]] = (
    *([], {}, [[]], [{}], {"": ""}, {"env": "K"}, {"env": "K", "file": "/x"}, {"file": "../x"}, {"env": "1"}, [None]),
    *({"$secret": {"env": "K"}}, {"$secret": "x"}, {"$secrets": {"env": "K"}}, {"sealed": "v1.0a1b2c3d." + "A" * 64}),
    *({"after": {"job": "billing/one"}}, {"every": "1s"}, {"at": "2027-01-01T00:00:00"}, {"cron": "* * * * *"}),
    *({"from": "12-24", "to": "01-02"}, ["MON", "MON"], [1, "a", None], ["a"] * 2000, {str(i): i for i in range(500)}),
)


def slots(tree: Any) -> list[Slot]:
    """Every place in a tree at which a value stands, but its root."""
    return [*_slots(tree)]


def _slots(tree: Any) -> Iterator[Slot]:
    steps = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for step in steps:
        yield tree, step
        yield from _slots(tree[step])


def varied(random: Random, tree: Any, others: Sequence[Any], most: int = 3) -> Any:
    """A copy of a tree with up to so many changes, parts of ``others`` among what is put in."""
    tree = copied(tree)
    for _ in range(min(random.randint(0, most), random.randint(1, most))):
        found = slots(tree)
        if not found:
            return copied(random.choice(others))
        owner, step = random.choice(found)
        random.choice(_CHANGES)(random, owner, step, others)
    return tree


def copied(tree: Any) -> Any:
    """A tree of its own; what is no list and no mapping is shared."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return [copied(value) for value in tree] if isinstance(tree, list) else tree


def _scalar(random: Random, owner: Any, step: Any, _others: Sequence[Any]) -> None:
    owner[step] = random.choice(SCALARS)


def _tree(random: Random, owner: Any, step: Any, _others: Sequence[Any]) -> None:
    owner[step] = copied(random.choice(_TREES))


def _remove(_random: Random, owner: Any, step: Any, _others: Sequence[Any]) -> None:
    del owner[step]


def _foreign(random: Random, owner: Any, step: Any, others: Sequence[Any]) -> None:
    """What stands at a like place elsewhere, or else anywhere."""
    found = slots(random.choice(others))
    alike = [slot for slot in found if slot[1] == step] or found
    if alike:
        source, key = random.choice(alike)
        owner[step] = copied(source[key])


def _add(random: Random, owner: Any, _step: Any, others: Sequence[Any]) -> None:
    """A field or an item more, of another tree."""
    found = slots(random.choice(others))
    if found:
        source, key = random.choice(found)
        if isinstance(owner, list):
            owner.insert(random.randrange(len(owner) + 1), copied(source[key]))
        else:
            owner[str(key)] = copied(source[key])


def _rename(random: Random, owner: Any, step: Any, _others: Sequence[Any]) -> None:
    """A field has a name that nobody knows, or nearly the right one."""
    if not isinstance(owner, dict):
        return
    place = random.randrange(len(step) + 1)
    names = (step[:place] + random.choice("aZ-_ 7") + step[place + 1 :], step.upper(), random.choice(SCALARS))
    owner[str(random.choice(names))] = owner.pop(step)


def _within(random: Random, owner: Any, step: Any, _others: Sequence[Any]) -> None:
    """It stands deeper than it should."""
    for _ in range(random.choice((1, 1, 2, 30, 70))):
        owner[step] = random.choice(([owner[step]], {"env": owner[step]}, {"spec": owner[step]}))


_CHANGES: Final = (_scalar, _scalar, _scalar, _tree, _remove, _foreign, _foreign, _add, _rename, _within)
