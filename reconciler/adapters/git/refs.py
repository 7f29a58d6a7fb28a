"""Which full names a ref may stand for, in the order in which they are tried. Forbidden here: starting git.

Git itself takes a tag before a branch of the same name (gitrevisions(7)). We take the branch first: it is branches that
forges protect, and whoever may push a tag must not decide what runs.
"""

from __future__ import annotations

import re

# gitrevisions(7), as far as it names one commit by steps from a ref: main~2, HEAD^, @{upstream}.
STEPS = re.compile(r"(?P<ref>.*?)(?P<at>@\{(?:u|upstream|push|-?\d{1,9})\})?(?P<steps>(?:[~^]\d{0,9})*)")
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HALF = ("heads/", "tags/", "remotes/")  # what people leave the refs/ before away of


def full_names(ref: str) -> tuple[str, ...]:
    """What a ref may be called in full: a branch, then a tag, then anything else below ``refs/``.

    ``HEAD``, the name of an object, and what is written out in full stand for themselves.
    """
    if ref == "HEAD" or ref.startswith("refs/") or _ID.fullmatch(ref):
        return (ref,)
    own, other = f"refs/{ref}", (f"refs/heads/{ref}", f"refs/tags/{ref}")
    if ref.startswith(_HALF):
        return (own, *other)
    return (*other, own) if "/" in ref else other


def revisions(text: str) -> tuple[str, ...]:
    """As ``full_names``, for a repository on this machine.

    With steps; with the branches of others that were fetched into it (``origin/main``), which come before tags; and at
    last as git itself understands it.
    """
    match = STEPS.fullmatch(text)
    if match is None or match["ref"] in ("", "@") or (match["at"] and not match["at"][2:-1].isdigit()):
        return (text,)  # the branch that is checked out, or the one upstream of a branch
    ref, rest = match["ref"], text[len(match["ref"]) :]
    names = list(full_names(ref))
    if len(names) > 1 and "/" in ref:
        names.insert(1, f"refs/remotes/{ref}")
    return (*dict.fromkeys([*(f"{name}{rest}" for name in names), text]),)


def is_meant(ref: str, pushed: str) -> bool:
    """Whether a push to ``pushed``, a full name, may change what ``ref`` stands for."""
    match = STEPS.fullmatch(ref)
    name = match["ref"] if match else ref
    if name in ("", "@", "HEAD"):
        return pushed == "HEAD" or pushed.startswith("refs/heads/")
    return pushed == name or pushed in full_names(name)
