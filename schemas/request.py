"""What is called, which answer is expected, and when a call is tried again.

Forbidden here: making a request, judging an answer, merging with an Application's defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from schemas.base import MAX_ITEMS, Few, LackingError, PositiveDuration, ShortText, Strict
from schemas.secret import AsReference, AsText, JsonBody, Secret, is_reference_or_text

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_STATUS = re.compile(r"[1-5]xx|([1-5]\d\d)(?:-([1-5]\d\d))?", re.ASCII)

# Set by the client itself from the URL and the body; a second value by hand is request smuggling at worst.
_OWNED_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def check_url(value: str) -> str:
    """Accept an absolute http or https URL without credentials, fragment or blanks.

    Raises:
        ValueError: saying which of these it offends.
    """
    if " " in value or not value.isprintable():  # the blank is the one space that counts as printable
        raise ValueError("a URL has no spaces or control characters; write %20 for a space")
    if value.split(":", 1)[0].lower() not in ("http", "https"):
        raise ValueError("a URL begins with http:// or https://")
    if "@" in re.split(r"[/?#]", value.split("//", 1)[-1], maxsplit=1)[0]:
        raise ValueError("a URL carries no credentials")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # its text may hold a part of the URL, such as a password without its @
        raise ValueError("not a URL: its host or port cannot be read") from None
    if not parts.hostname or "\\" in value:
        raise ValueError("the URL names no host")
    if port == 0:
        raise ValueError("the URL's port must be from 1 to 65535")
    if parts.fragment:
        raise ValueError("a URL that is called has no #fragment")
    return value


def check_path(value: str) -> str:
    """Accept a path to append to ``baseUrl``: it begins with one ``/`` and cannot change the host.

    Raises:
        ValueError: saying what is wrong.
    """
    if " " in value or not value.isprintable():  # the blank is the one space that counts as printable
        raise ValueError("a path has no spaces or control characters; write %20 for a space")
    if not value.startswith("/"):
        raise ValueError("a path begins with /")
    if "#" in value or "\\" in value:
        raise ValueError("a path has neither # nor \\")
    return value


def check_header_name(value: str) -> str:
    """Accept a header name (RFC 9110 token) that the client does not set by itself.

    Raises:
        ValueError: saying what is wrong.
    """
    if not _TOKEN.fullmatch(value):
        raise ValueError("not a header name")
    if value.lower() in _OWNED_HEADERS or value.lower().startswith("x-reconciler-"):
        raise ValueError("this header is set by the reconciler itself and cannot be declared")
    return value


def check_header_value(value: str) -> str:
    """Accept a header value: one line, no control characters, representable in Latin-1.

    Raises:
        ValueError: saying what is wrong.
    """
    if value.isascii() and value.isprintable():
        return value
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):  # noqa: PLR2004 - ASCII controls
        raise ValueError("a header is one line without control characters")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a header holds Latin-1 characters only") from None
    return value


def check_status(value: object) -> str:
    """Accept 200, ``"2xx"`` or ``"200-204"``.

    Raises:
        ValueError: not in one of these forms.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not (match := _STATUS.fullmatch(text)):
        raise ValueError("a status is a number like 200, a class like 2xx, or a range like 200-204")
    first, last = match.groups()
    if last is not None and last < first:
        raise ValueError("the range of statuses ends before it begins; write the lower one first")
    return text


def _scalar(value: object) -> str:
    """Query and form values may be written as numbers and booleans; they are sent as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("must be a string, a number, true or false, or a list of these")


def _parameter(value: object) -> str | tuple[str, ...]:
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        raise ValueError("a reference to a secret value stands alone, not in a list")
    return tuple(map(_scalar, value)) if isinstance(value, list | tuple) else _scalar(value)


def _once_each(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header stands here twice; capitals make no difference")
    return headers


Url = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(check_url),
    WithJsonSchema({"type": "string", "format": "uri"}),
]
Path = Annotated[str, StringConstraints(max_length=2048), AfterValidator(check_path)]
HeaderName = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(check_header_name)]
HeaderValue = Annotated[str, StringConstraints(max_length=8192), AfterValidator(check_header_value)]
HeaderOrSecret = Annotated[
    Annotated[HeaderValue, AsText] | Annotated[Secret, AsReference],
    is_reference_or_text,
]
PlainHeaders = Annotated[Mapping[HeaderName, HeaderValue], AfterValidator(_once_each)]  # for what is no manifest
Headers = Annotated[Mapping[HeaderName, HeaderOrSecret], AfterValidator(_once_each)]
_PARAMETER_SCHEMA = {"type": ["string", "number", "boolean"]}
Scalar = Annotated[str, PlainValidator(_scalar), WithJsonSchema(_PARAMETER_SCHEMA)]
Parameter = Annotated[
    str | tuple[str, ...],
    PlainValidator(_parameter),
    WithJsonSchema({"anyOf": [_PARAMETER_SCHEMA, {"type": "array", "items": _PARAMETER_SCHEMA}]}),
]
ParameterOrSecret = Annotated[
    Annotated[Parameter, AsText] | Annotated[Secret, AsReference],
    is_reference_or_text,
]
Parameters = Mapping[ShortText, ParameterOrSecret]
Status = Annotated[
    str,
    BeforeValidator(check_status),
    WithJsonSchema({"type": ["integer", "string"], "examples": [200, "2xx", "200-204"]}),
]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _redirects(value: object) -> object:
    """``true`` is as many as there may be."""
    return _MOST_REDIRECTS * value if isinstance(value, bool) else value


_MOST_REDIRECTS = 5  # one leads to https, one to the right host, one to the right path; more is most often a loop
Redirects = Annotated[
    int,
    BeforeValidator(_redirects),
    Field(ge=0, le=_MOST_REDIRECTS),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": _MOST_REDIRECTS}]}),
]


class Request(Strict):
    """One HTTP request. The address is ``url``, or ``path`` below the Application's ``baseUrl``."""

    method: Method = Field(default="GET", description="The HTTP method.")
    url: Url | None = Field(default=None, description="An absolute address, instead of `path`.")
    path: Path | None = Field(default=None, description="Appended to the Application's `baseUrl`.")
    query: Parameters = Field(
        default={}, description="Query parameters; a list repeats the name; a value may be a secret."
    )
    headers: Headers = Field(
        default={}, description="Sent besides the Application's default headers; a value may be a secret."
    )
    json_body: JsonBody = Field(
        default=None, alias="json", description="The body, as JSON; `{$secret: {env: NAME}}` stands for a secret."
    )
    form: Parameters | None = Field(
        default=None, description="The body, as application/x-www-form-urlencoded; a value may be a secret."
    )
    text: str | None = Field(default=None, description="The body as it stands: XML and others.")
    content_type: HeaderValue | None = Field(
        default=None, description="The media type of `text`; text/plain unless declared."
    )
    follow_redirects: Redirects = Field(
        default=0,
        description="How many redirects are followed, one after the other: 0 to 5; true is 5, false none. "
        "Credentials never go to another scheme, host or port, and never from https to http.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Request:
        if self.url is not None and self.path is not None:
            raise ValueError("give either `url` or `path`, not both")
        bodies = self.model_fields_set & {"json_body", "form", "text"}
        if len(bodies) > 1:
            raise ValueError("give one body: `json`, `form` or `text`")
        if bodies and self.method in ("GET", "HEAD", "OPTIONS"):
            kind = ValueError if "method" in self.model_fields_set else LackingError
            raise kind(f"a {self.method} request carries no body")
        if self.content_type is not None and "text" not in bodies:
            raise LackingError("`contentType` goes with `text`")
        if self.content_type is not None and any(name.lower() == "content-type" for name in self.headers):
            raise ValueError("give the content type once: as `contentType` or among `headers`")
        return self


class ExpectBody(Strict):
    """What the answer's body must hold."""

    contains: Annotated[str, StringConstraints(min_length=1, max_length=4096)] = Field(
        description="This text must stand in the body."
    )


class Expect(Strict):
    """Which answer counts as success."""

    status: Annotated[tuple[Status, ...], Field(strict=False, min_length=1, max_length=MAX_ITEMS), Few] = Field(
        default=("2xx",), description="Statuses that count as success."
    )
    body: ExpectBody | None = Field(default=None, description="What the answer's body must hold.")


class Retry(Strict):
    """Trying again after connection errors, timeouts, 408, 429 and 5xx: exponential and jittered."""

    limit: Annotated[int, Field(ge=0, le=20)] = Field(
        default=0, description="How many times to try again after the first attempt."
    )
    initial_delay: PositiveDuration = Field(
        default="1s", validate_default=True, description="Before the second attempt."
    )
    factor: Annotated[float, Field(ge=1, le=10)] = Field(
        default=2.0, description="By how much each further delay is longer."
    )
    max_delay: PositiveDuration = Field(
        default="5m", validate_default=True, description="Bounds each delay, and a server's Retry-After."
    )
