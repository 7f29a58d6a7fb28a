"""What git complains of: the lines that tell the reason, what to do about it, and whether a copy may be damaged.

What the other side says (``remote:``) and what stands in quotes (addresses, paths) is shown and never judged by: who
names a repository broken-jobs.git has broken nothing. Forbidden here: starting git.
"""

from __future__ import annotations

import re

_MOST_LINES = 3
_MOST_SHOWN = 500
# Said after every reason, and no reason itself.
_BOILERPLATE = re.compile(
    r"fatal: Could not read from remote repository\.|Please make sure you have the correct access rights"
    r"|and the repository exists\.|To add an exception for this directory, call:|git config --global --add safe\..*"
    r"|@+|fatal: the remote end hung up unexpectedly"
)
_ADVICE = (
    (
        re.compile(r"detected dubious ownership"),
        (
            "the repository belongs to another user than the reconciler's; if it is to be trusted, let that user run "
            "git config --global --add safe.directory, with the folder that git names here"
        ),
    ),
    (
        re.compile(r"Host key verification failed"),
        (
            "the server's key is unknown, or not the one that is known; check it, and put it into the known_hosts of "
            "the reconciler's user"
        ),
    ),
    (
        re.compile(
            r"^fatal: (Authentication failed for|could not read (Username|Password) for)"
            r"|^(fatal|error): .*(returned error: |HTTP )(401|403)\b"
            r"|Permission denied \([\w,-]+\)|^Permission denied, please try again",
        ),
        "the login was refused; set RECONCILER_GIT_TOKEN, or a key or helper of git",
    ),
)
_MISSING = re.compile(
    r"^fatal: couldn't find remote ref|^(error|fatal): .*(no such remote ref|unadvertised object|not our ref)"
)
_DAMAGE = re.compile(
    r"corrupt|bad object|bad tree|bad shallow line|unable to read|loose object|packfile|object file|truncated"
    r"|index file|did not send all necessary|shallow file|invalid sha1|inflate|not a git repository: |is empty$",
    re.IGNORECASE,
)


def shown(said: str) -> str:
    """The reason in a complaint of many lines, in one."""
    lines = [line for line in said.splitlines() if line]
    telling = [line for line in lines if not _BOILERPLATE.fullmatch(line)]
    return "; ".join((telling or lines)[-_MOST_LINES:])[:_MOST_SHOWN]


def advice(said: str) -> str:
    """What to do about it; empty where only the words themselves can tell."""
    lines = _own(said)
    return next((advised for known, advised in _ADVICE if any(known.search(line) for line in lines)), "")


def is_missing(said: str) -> bool:
    """Whether the repository was reached and has no such ref."""
    return any(_MISSING.search(line) for line in _own(said))


def may_be_damage(said: str) -> bool:
    """Whether it can come of damage in our own copy. It can come of damage on the other side just as well."""
    return any(_DAMAGE.search(line) for line in _own(said))


def _own(said: str) -> list[str]:
    """The lines of our own side, without what they quote."""
    return [re.sub(r"'[^']*'", "''", line) for line in said.splitlines() if not line.startswith("remote: ")]
