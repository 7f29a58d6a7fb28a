"""The request that a job makes, put together from what its Application and its Api say.

Forbidden here: sending it, and refusing it: whether there is an address to call is asked with ``address_fault`` first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from reconciler.core.model import HttpRequest, SecretRef, SecretUse
from schemas.request import Request
from schemas.secret import IN_JSON, references
from schemas.secret import SecretRef as DeclaredRef

Parameters = Mapping[str, str | tuple[str, ...] | DeclaredRef]
Headers = Mapping[str, str | DeclaredRef]

# What stays as it is written; the rest is percent-encoded as UTF-8 (WHATWG URL, path and query percent-encode sets).
_PATH_SAFE: Final = "!$%&'()*+,/:;=@[]|\\~"
_QUERY_SAFE: Final = _PATH_SAFE + "?`{}^"
_BARE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def address_fault(request: Request, base_url: str | None) -> str | None:
    """Why there is no address to call, if there is none."""
    if request.url is not None:
        return None
    if request.path is None:
        return (
            "give `path` or `url`" if base_url is not None else "give `url`, or `path` and the Application's `baseUrl`"
        )
    return "`path` needs the Application's `baseUrl`; give that, or `url`" if base_url is None else None


def compose(request: Request, *, base_url: str | None, headers: Headers, query: Parameters) -> HttpRequest:
    """Merge an Application's address, headers and query with an Api's request; what the Api says wins."""
    body, content_type = _body(request)
    secrets: list[SecretUse] = []
    return HttpRequest(
        method=request.method,
        url=_url(request, base_url, query, secrets),
        headers=_literal("header", _headers(request, headers, content_type), request.headers, secrets),
        body=body,
        follow_redirects=request.follow_redirects,
        secrets=(*secrets, *_in_body(request)),
    )


def _literal(where: str, merged: Mapping[str, Any], own: Mapping[str, Any], secrets: list[SecretUse]) -> dict[str, Any]:
    """What goes out as it is written; the references go to ``secrets``."""
    literal = {}
    for name, value in merged.items():
        if isinstance(value, DeclaredRef):
            secrets.append(use(f"{where}:{name}", value, shared=name not in own))
        else:
            literal[name] = value
    return literal


def use(place: str, declared: DeclaredRef, *, shared: bool = False) -> SecretUse:
    """A reference of a manifest, at its place; ``shared`` where the Application declares it for all its Apis."""
    ref = SecretRef(kind=declared.form, name=declared.name)
    return SecretUse(place=place, ref=ref, shared=shared and ref.kind == "sealed")  # what else does not depend on it


def _in_body(request: Request) -> list[SecretUse]:
    if request.form is not None:
        found: list[SecretUse] = []
        _literal("form", request.form, request.form, found)
        return found
    return [use(f"body:{pointer}", each) for pointer, each in references(request.json_body)]


def _url(request: Request, base_url: str | None, defaults: Parameters, secrets: list[SecretUse]) -> str:
    if request.url is not None:
        scheme, netloc, path, own_query, _ = urlsplit(request.url)
        queries = [own_query]
    else:
        scheme, netloc, base_path, base_query, _ = urlsplit(base_url or "")
        below, _, own_query = (request.path or "").partition("?")
        path = base_path.rstrip("/") + below
        queries = [base_query, own_query]
    taken = {name for name, _ in parse_qsl(own_query, keep_blank_values=True)} if own_query and defaults else set()
    queries = [_encoded(each, _QUERY_SAFE) for each in queries]
    merged = {name: value for name, value in defaults.items() if name not in taken} | dict(request.query)
    queries.append(encode_query(_literal("query", merged, request.query, secrets)))
    return urlunsplit((scheme, netloc, _encoded(path or "/", _PATH_SAFE), _joined(queries), ""))


def encode_query(parameters: Mapping[str, str | tuple[str, ...]]) -> str:
    """``a=1&a=2&b=x%20y``: a tuple repeats its name."""
    return urlencode(parameters, doseq=True, quote_via=quote, safe="") if parameters else ""


def _joined(queries: Iterable[str]) -> str:
    return "&".join(each.strip("&") for each in queries if each)


def _encoded(text: str, safe: str) -> str:
    return quote(_BARE_PERCENT.sub("%25", text), safe=safe)


def _headers(request: Request, defaults: Headers, content_type: str | None) -> Headers:
    own = request.headers
    if not own and content_type is None:
        return defaults
    named = {name.lower() for name in own}
    merged = {name: value for name, value in defaults.items() if name.lower() not in named}
    merged.update(own)
    if content_type is None or "content-type" in named:
        return merged
    inherited = [name for name in merged if name.lower() == "content-type"]
    if inherited and request.form is None and request.content_type is None:
        return merged  # the Application may send all its JSON as some vendor's type
    for name in inherited:
        del merged[name]
    merged["Content-Type"] = content_type
    return merged


def _body(request: Request) -> tuple[str | None, str | None]:
    """The body as it goes out, but for its secrets, and the media type that it has unless another is declared."""
    if "json_body" in request.model_fields_set:
        value = _without_secrets(request.json_body)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text, "application/json"
    if request.form is not None:
        return urlencode(_literal("form", request.form, {}, []), doseq=True), "application/x-www-form-urlencoded"
    if request.text is not None:
        return request.text, request.content_type or "text/plain; charset=utf-8"
    return None, None


def _without_secrets(value: Any) -> Any:
    """A JSON body with null at the place of each secret."""
    if isinstance(value, Mapping):
        return None if IN_JSON in value else {key: _without_secrets(each) for key, each in value.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, list | tuple) else value
