"""What becomes of a run: its id, the verdict on an answer, whether and when to try again, its transitions.

Forbidden here: making a call, reading the time, and the lateness of slots, which ``core.timetable`` decides.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

from reconciler.core.model import (
    Attempt,
    Cause,
    Expectation,
    HttpRequest,
    JobKey,
    Outcome,
    Overrides,
    Reply,
    RetryPolicy,
    Run,
    SecretUse,
    StoredJob,
    whole_milliseconds,
)
from reconciler.core.redaction import Redactor
from reconciler.core.redirects import place
from reconciler.core.visible import visible
from reconciler.errors import OverridesError
from schemas.request import check_header_name, check_header_value, check_url

EXCERPT_BYTES = 4096
_WIDEST = 4  # bytes of a character

# The charsets that answers come in. Python knows more codecs, some of which (punycode, idna) take minutes over a MiB.
_CHARSETS = re.compile(
    r"ascii|utf-(8|16|32)(-[bl]e)?|iso8859-\d+|cp125\d|koi8-[ru]|shift_jis|euc_(jp|kr)|gb(k|2312|18030)|big5"
)
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST_SHOWN = 200
_RETRIED = frozenset({408, 429})
_SECONDS = re.compile(r"[0-9]+", re.ASCII)


def run_id(key: JobKey, slot: datetime, cause: Cause, nonce: str = "") -> str:
    """Name the run of a slot: always alike for one job, slot, cause and nonce, and ordered by slot.

    A UUID of version 8 (RFC 9562, section 5.8): the slot's Unix milliseconds in the first 48 bits as in version 7, then
    74 bits of a SHA-256 of the rest.
    """
    milliseconds = max(0, (slot - _EPOCH) // _MILLISECOND) & 0xFFFF_FFFF_FFFF
    digest = hashlib.sha256(f"{key.application}/{key.api}\0{cause.value}\0{nonce}".encode()).digest()
    noise = int.from_bytes(digest[:10], "big")
    number = (milliseconds << 80) | (8 << 76) | ((noise >> 68) << 64) | (2 << 62) | (noise & 0x3FFF_FFFF_FFFF_FFFF)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def slot_of(identifier: str) -> datetime:
    """Read the slot back from a run id.

    Raises:
        ValueError: the text is no run id.
    """
    return _EPOCH + int(identifier.replace("-", "")[:12], 16) * _MILLISECOND


def claim_of(  # noqa: PLR0913 - what a claim says; three of them have names at every call
    stored: StoredJob,
    slot: datetime,
    cause: Cause,
    owner: str,
    now: datetime,
    *,
    nonce: str = "",
    overrides: Sequence[str] = (),
    upstream: Run | None = None,
    term: int = 0,
) -> Run:
    """Write the run that claims a slot for ``owner``, before anything is sent.

    Of one that follows ``upstream``, that run's id is also the nonce: each end of a run starts one.
    """
    slot = whole_milliseconds(slot)
    job = stored.job
    return Run(
        id=run_id(job.key, slot, cause, nonce if upstream is None else upstream.id),
        key=job.key,
        slot=slot,
        cause=cause,
        outcome=Outcome.RUNNING,
        owner=owner,
        claimed_at=whole_milliseconds(now),
        revision=stored.revision,
        file=job.file,
        line=job.line,
        delivery=job.delivery,
        overrides=tuple(overrides),
        term=term,
        upstream="" if upstream is None else upstream.id,
        correlation="" if upstream is None else upstream.correlation or upstream.id,
    )


def ended(
    run: Run,
    outcome: Outcome,
    reason: str,
    now: datetime,
    *,
    attempts: Sequence[Attempt] | None = None,
    excerpt: str = "",
) -> Run:
    """End a run; ``attempts`` replaces those it had, and its start is that of the first of them."""
    attempts = run.attempts if attempts is None else tuple(attempts)
    return replace(
        run,
        outcome=outcome,
        reason=reason,
        finished_at=whole_milliseconds(now),
        started_at=attempts[0].started_at if attempts else None,
        attempts=attempts,
        excerpt=excerpt,
    )


def judge(reply: Reply, expectation: Expectation) -> tuple[Outcome, str]:
    """Say whether an answer is the expected one and, where it is not, why, in a sentence for whoever is on call."""
    if reply.error is not None:
        return Outcome.FAILED, reply.error
    if reply.status is None:
        return Outcome.FAILED, "no answer"
    if not _expected(reply.status, expectation.status):
        return Outcome.FAILED, _unexpected(reply, expectation)
    if expectation.contains is not None and expectation.contains not in _text(reply.body, reply.content_type):
        return Outcome.FAILED, f'body does not contain "{_short(expectation.contains)}"'
    return Outcome.SUCCEEDED, ""


@lru_cache(maxsize=1024)
def _expected(status: int, accepted: tuple[str, ...]) -> bool:
    return any(_matches(status, item) for item in accepted)


def _matches(status: int, item: str) -> bool:
    if item.endswith("xx"):
        return status // 100 == int(item[0])
    first, _, last = item.partition("-")
    return int(first) <= status <= int(last or first)


def _unexpected(reply: Reply, expectation: Expectation) -> str:
    if reply.location is not None and reply.status is not None and reply.status // 100 == 3:  # noqa: PLR2004 - 3xx
        return f"redirect to {place(reply.location)} is not followed"
    return f"status {reply.status}, expected {' or '.join(expectation.status)}"


def _short(text: str) -> str:
    text = visible(text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def retryable(reply: Reply, expectation: Expectation, delivery: str) -> bool:
    """Decide whether another attempt may help and is allowed.

    Worth it: connection errors, timeouts, 408, 429 and 5xx, unless such a status is the expected one. Under
    ``atMostOnce`` only where the request certainly never left, so that at most one call reaches the target.
    """
    if delivery == "atMostOnce" and reply.sent:
        return False
    if reply.error is not None:
        return reply.transient
    if reply.status is None:
        return True
    if _expected(reply.status, expectation.status):
        return False
    return reply.status in _RETRIED or reply.status // 100 == 5  # noqa: PLR2004 - 5xx


def retry_delay(
    policy: RetryPolicy, attempt: int, identifier: str, retry_after: str | None, now: datetime
) -> timedelta:
    """Say how long to wait after attempt number ``attempt`` (from 1) before the next.

    Exponential with equal jitter: half is fixed, half is drawn from the run's id, so that many runs that failed at once
    do not return at once and one run always waits alike. A ``Retry-After`` (RFC 9110, section 10.2.3) is a minimum;
    the policy's ``max_delay`` bounds everything.
    """
    longest = policy.max_delay.total_seconds()
    # 300 keeps a power of at most 10 within what a float holds.
    grown = policy.initial_delay.total_seconds() * policy.factor ** min(attempt - 1, 300)
    digest = hashlib.sha256(f"{identifier}\0{attempt}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 0x1_0000_0000
    delay = min(grown, longest) * (0.5 + share / 2)
    return timedelta(seconds=min(longest, max(delay, _asked_for(retry_after, now, longest))))


def _asked_for(retry_after: str | None, now: datetime, longest: float) -> float:
    """Read ``Retry-After`` as seconds from now; what cannot be read asks for nothing."""
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text) if len(text) < 10 else longest  # noqa: PLR2004 - centuries
    try:
        instant = parsedate_to_datetime(text)
        if instant.tzinfo is None:  # RFC 5322's -0000: UTC, of no known zone
            instant = instant.replace(tzinfo=UTC)
        return max(0.0, (instant - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def call_headers(run: Run, attempt: int) -> dict[str, str]:
    """The headers that say which run a call belongs to; the key is alike for every attempt of one run.

    The correlation is alike for every run of a chain: the id of its first, which sends its own.
    """
    return {
        "Idempotency-Key": run.id,
        "X-Reconciler-Job": f"{run.key.application}/{run.key.api}",
        "X-Reconciler-Scheduled-At": f"{run.slot.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
        "X-Reconciler-Attempt": str(attempt),
        "X-Reconciler-Correlation-Id": run.correlation or run.id,
    }


def excerpt(body: bytes, content_type: str | None = None, redactor: Redactor | None = None) -> str:
    """The first 4 KiB of a body as text that is safe to show: unreadable bytes replaced, control characters visible.

    What the redactor knows is masked, also where it begins within and ends beyond.
    """
    text = _text(body[:EXCERPT_BYTES], content_type, final=len(body) <= EXCERPT_BYTES)
    if redactor is not None and redactor.knows_any:
        beyond = EXCERPT_BYTES + redactor.longest * _WIDEST
        more = _text(body[:beyond], content_type, final=len(body) <= beyond)
        text = redactor.beginning(more, len(text))
    if text.isascii() and text.isprintable():
        return text[:EXCERPT_BYTES]  # a mask may be longer than what it hides
    kept = visible(text).encode()[:EXCERPT_BYTES]  # a replaced byte takes three
    return kept.decode("utf-8", "ignore")


def _text(body: bytes, content_type: str | None, *, final: bool = True) -> str:
    if body.isascii() and (content_type is None or "charset" not in content_type.lower()):
        return body.decode("ascii")
    return codecs.getincrementaldecoder(_charset(content_type))(errors="replace").decode(body, final)


@lru_cache(maxsize=256)
def _charset(content_type: str | None) -> str:
    """Find a media type's charset; UTF-8 where none is named that answers come in."""
    message = Message()
    try:
        message["Content-Type"] = content_type or "text/plain"
        name = codecs.lookup(message.get_content_charset("utf-8")).name
    except (LookupError, ValueError):
        name = "utf-8"
    return name if _CHARSETS.fullmatch(name) else "utf-8"


def apply_overrides(request: HttpRequest, overrides: Overrides) -> HttpRequest:
    """Replace for one manual run what its trigger names: query parameters, headers, the body as JSON.

    Parameters and headers that are not named stay as declared, to the byte.

    Raises:
        OverridesError: a header that the reconciler owns or that is malformed, a body for a method that has none, a
            value that JSON cannot hold.
    """
    try:
        url = _with_query(request.url, overrides.query) if overrides.query else request.url
        headers = _with_headers(request.headers, overrides.headers)
        request = replace(request, secrets=_secrets_left(request, overrides))
        if not overrides.has_json:
            return replace(request, url=url, headers=headers)
        if request.method in _BODYLESS:
            raise OverridesError(f"json: a {request.method} request carries no body")
        body = json.dumps(overrides.json, ensure_ascii=False, allow_nan=False)
        body.encode()  # a lone surrogate has no UTF-8
        if "content-type" not in {name.lower() for name in overrides.headers}:
            headers = _with_headers(headers, {"Content-Type": "application/json"})
        return replace(request, url=url, headers=headers, body=body)
    except (ValueError, TypeError, RecursionError) as error:
        raise OverridesError(f"the overrides cannot be sent: {error}") from error


def _secrets_left(request: HttpRequest, overrides: Overrides) -> tuple[SecretUse, ...]:
    """Those whose places are not replaced."""
    if not request.secrets:
        return ()
    gone = {f"header:{name.lower()}" for name in overrides.headers} | {f"query:{name}" for name in overrides.query}
    wheres = ("body:", "form:") if overrides.has_json else ()
    return tuple(
        use
        for use in request.secrets
        if not use.place.startswith(wheres)
        and (use.place.lower() if use.place.startswith("header:") else use.place) not in gone
    )


def fingerprint(overrides: Overrides) -> str:
    """Tell overrides apart without keeping them: they may be secret."""
    parts = [dict(overrides.query), dict(overrides.headers), overrides.has_json, overrides.json]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _with_query(url: str, replaced: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    kept = [item for item in parts.query.split("&") if item and unquote_plus(item.partition("=")[0]) not in replaced]
    query = "&".join([*kept, urlencode(replaced)])
    return check_url(urlunsplit(parts._replace(query=query)))


def _with_headers(headers: Mapping[str, str], replaced: Mapping[str, str]) -> dict[str, str]:
    named = {check_header_name(name).lower(): name for name in replaced}
    kept = {name: value for name, value in headers.items() if name.lower() not in named}
    return kept | {name: check_header_value(replaced[name]) for name in named.values()}
