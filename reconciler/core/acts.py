"""Acts: who did what to what, when, from where, and what came of it. What is known of people's doings, not of runs.

Forbidden here: a secret, a clock, and deciding who may do what.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from reconciler.core.fields import utf8
from reconciler.core.model import JobKey, Pause, whole_milliseconds
from reconciler.core.pauses import ends_in_words
from reconciler.core.plural import plural
from reconciler.core.redaction import MASK, Redactor
from reconciler.core.visible import visible_line

KEEP_ACTS: Final = timedelta(days=365)
KEPT_REFUSED: Final = 10_000  # whoever is refused decides how often: the newest stay, whatever their age

COMMAND_LINE: Final = "command line"
UNKNOWN: Final = "unknown"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST: Final = {"who": 200, "source": 200, "subject": 200, "result": 100, "detail": 500}  # characters
_SHOWN_JOBS: Final = 10
_SHORT_REVISION: Final = 12
# An access token of ours, or a JWT (RFC 7519), wherever somebody has put it by mistake.
_TOKEN: Final = re.compile(r"rct_[\w-]+|eyJ[\w-]+\.[\w-]+(\.[\w-]*)?")


class ActKind(StrEnum):
    """What was done."""

    TRIGGER = "trigger"
    PAUSE = "pause"
    RESUME = "resume"
    PRUNE = "prune"
    HOOK = "hook"
    TOKEN = "token"  # noqa: S105 - a token was used here for the first time, not its text
    REFUSED = "refused"
    ROTATE = "rotate"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act of somebody.

    Attributes:
        id: unique, ordered by time (``act_id``); empty until it is noted.
        at: of several that are counted together, the last.
        who: a person at a host, an access token's name, a login, an author; never a token.
        source: from where: an address, ``command line``, or the source of manifests.
        application: to whose jobs it was done; empty where it concerns none.
        api: to which; ``None`` for the whole Application.
        subject: to what else it was done: an address of ours, a ref.
        result: what came of it, in a word or two.
        detail: why, until when, how much.
        run: the id of the run that it made; empty where it made none.
        count: how many alike it stands for.
    """

    kind: ActKind
    at: datetime
    who: str
    source: str
    application: str = ""
    api: str | None = None
    subject: str = ""
    result: str = ""
    detail: str = ""
    run: str = ""
    count: int = 1
    id: str = ""

    @property
    def target(self) -> str:
        """What it was done to, as people write it: ``app/api``, ``app``, an address, a ref."""
        if not self.application:
            return self.subject
        return self.application if self.api is None else f"{self.application}/{self.api}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActQuery:
    """Which acts are asked for; what is ``None`` or empty does not filter.

    Attributes:
        api: also those that were done to the whole of ``application``, without which it does not filter.
        since: at or after this instant.
        until: before this instant.
        before: only acts whose id is below this one: the cursor.
        limit: at most so many, newest first.
    """

    kinds: tuple[ActKind, ...] = ()
    application: str | None = None
    api: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = 50


def act_id(at: datetime, nonce: str) -> str:
    """Name an act: ordered by its instant, unlike any other of another nonce.

    A UUID of version 8 (RFC 9562, section 5.8), made as a run's id is: 48 bits of Unix milliseconds, then a hash.
    """
    milliseconds = max(0, (at - _EPOCH) // _MILLISECOND) & 0xFFFF_FFFF_FFFF
    noise = int.from_bytes(hashlib.sha256(nonce.encode()).digest()[:10], "big")
    number = (milliseconds << 80) | (8 << 76) | ((noise >> 68) << 64) | (2 << 62) | (noise & 0x3FFF_FFFF_FFFF_FFFF)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def plain(act: Act, redactor: Redactor) -> Act:
    """The act as it may be kept and told: in whole milliseconds, every text without secrets, visible and bounded."""
    texts = {name: _plain(getattr(act, name), longest, redactor) for name, longest in _LONGEST.items()}
    return replace(act, at=whole_milliseconds(act.at), **texts)  # type: ignore[arg-type]  # each is a text


def _plain(text: str, longest: int, redactor: Redactor) -> str:
    shown = visible_line(utf8(redactor.masked(_TOKEN.sub(MASK, text))))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def paused(pause: Pause, *, at: datetime, source: str = COMMAND_LINE) -> Act:
    """Somebody has paused something, or the reconciler itself has."""
    return Act(
        kind=ActKind.PAUSE,
        at=at,
        who=pause.by,
        source=source,
        application=pause.application,
        api=pause.api,
        result="paused",
        detail=f"until {ends_in_words(pause.until)}: {pause.reason}",
    )


def resumed(pause: Pause, *, at: datetime, by: str) -> Act:
    """Somebody has ended a pause."""
    return Act(
        kind=ActKind.RESUME,
        at=at,
        who=by,
        source=COMMAND_LINE,
        application=pause.application,
        api=pause.api,
        result="resumed",
        detail=f"paused by {pause.by}: {pause.reason}",
    )


def triggered(key: JobKey, run_id: str, *, at: datetime, who: str, source: str) -> Act:
    """Somebody has had a run made."""
    return Act(
        kind=ActKind.TRIGGER,
        at=at,
        who=who,
        source=source,
        application=key.application,
        api=key.api,
        result="started",
        run=run_id,
    )


def pruned(  # noqa: PLR0913 - what there is to say of a removal
    removals: Iterable[JobKey],
    *,
    at: datetime,
    source: str,
    revision: str,
    author: str,
    operator: str,
    policies: Mapping[str, str],
) -> Iterator[Act]:
    """A sync has removed jobs: one act for each Application.

    Args:
        removals: the jobs.
        at: when.
        source: what declares them no more.
        revision: of it.
        author: whoever has made that revision; empty where nobody knows.
        operator: whoever has said that its removals are meant; empty where nobody has.
        policies: by Application, what ``reconciler/prune`` says.
    """
    gone: dict[str, list[str]] = {}
    for key in sorted(removals):
        gone.setdefault(key.application, []).append(key.api)
    for application, apis in gone.items():
        more = f" and {len(apis) - _SHOWN_JOBS} more" if len(apis) > _SHOWN_JOBS else ""
        names = f"{plural(len(apis), 'job')} at revision {revision[:_SHORT_REVISION]}: {', '.join(apis[:_SHOWN_JOBS])}"
        by_annotation = policies.get(application) == "allow"
        allowed = "--allow-prune" if operator else "reconciler/prune: allow" if by_annotation else ""
        yield Act(
            kind=ActKind.PRUNE,
            at=at,
            who=operator or author or UNKNOWN,
            source=source,
            application=application,
            result="removed",
            detail=f"allowed by {allowed}; {names}{more}" if allowed else f"{names}{more}",
        )
