"""What is sent, and what comes back. Forbidden here: decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from reconciler.core.model.secrets import SecretUse


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request with nothing left to resolve but its secrets, whose values stand nowhere in it.

    Attributes:
        url: absolute, the query included.
        headers: as they go out, besides those that the run adds; names as declared.
        body: as it goes out, in UTF-8; ``None`` for no body.
        follow_redirects: at most so many, one after the other; 0 for none.
        secrets: what is put in just before a call: a header, a parameter, a null within the JSON body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    follow_redirects: int = 0
    secrets: tuple[SecretUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Which answer is a success: one of the statuses (``200``, ``2xx``, ``200-204``) and a text in the body."""

    status: tuple[str, ...] = ("2xx",)
    contains: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """At most ``limit`` further attempts after the first; each delay at most ``max_delay``."""

    limit: int = 0
    initial_delay: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    max_delay: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back from one call: an answer, or why there is none.

    Attributes:
        status: ``None`` where no complete answer came.
        body: at most the cap; content codings that we bound are undone.
        retry_after: the header's text, if there was one.
        content_type: the header's text, if there was one.
        cache_control: the header's text, if there was one.
        location: where a redirect leads, if the answer is one.
        error: what went wrong: a timeout, a reset, a body over the cap; ``None`` for a complete answer.
        sent: False only where it is certain that the request never left.
        transient: False where an error would be the same again, such as a refused address.
        latency_ms: from sending to the last byte, or to the failure.
    """

    status: int | None = None
    body: bytes = b""
    retry_after: str | None = None
    content_type: str | None = None
    cache_control: str | None = None
    location: str | None = None
    error: str | None = None
    sent: bool = True
    transient: bool = True
    latency_ms: float = 0.0
