"""Putting secret values where a request refers to them, just before it is sent.

Forbidden here: finding a value; keeping one; a value, or a part of it, in an error's text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from reconciler.core.model import HttpRequest, SecretUse
from reconciler.errors import SecretError
from schemas.request import check_header_value

Values = Mapping[str, str]


def filled(request: HttpRequest, values: Values) -> HttpRequest:
    """The request as it goes out; its ``secrets`` still say which places hold values, for redirects.

    Args:
        request: as it is declared.
        values: by place, for every one of its secrets but those of ``auth``, which are not put in here.

    Raises:
        SecretError: a value cannot stand where it is meant to.
    """
    headers, query, form, body = dict(request.headers), [], [], request.body
    pointers: dict[str, str] = {}
    for use in request.secrets:
        where, _, name = use.place.partition(":")
        if where == "header":
            headers[name] = header_value(use, values[use.place])
        elif where == "query":
            query.append((name, values[use.place]))
        elif where == "form":
            form.append((name, values[use.place]))
        elif where == "body":
            pointers[name] = values[use.place]
    if pointers:
        body = _with_values(body or "null", pointers)
    if form:
        body = "&".join(part for part in (body, urlencode(form)) if part)
    return replace(request, url=_with_query(request.url, query), headers=headers, body=body)


def header_value(use: SecretUse, value: str) -> str:
    """A value as a header can hold it.

    Raises:
        SecretError: it cannot.
    """
    if value != value.strip(" "):
        raise SecretError(use.ref, "it begins or ends with a blank, which a header cannot keep")
    try:
        return check_header_value(value)
    except ValueError as error:
        raise SecretError(use.ref, f"it cannot be sent as a header: {error}") from None


def _with_query(url: str, parameters: list[tuple[str, str]]) -> str:
    if not parameters:
        return url
    parts = urlsplit(url)
    added = urlencode(parameters, quote_via=quote, safe="")
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def _with_values(body: str, pointers: Mapping[str, str]) -> str:
    """The JSON body with a text at the place of each pointer (RFC 6901)."""
    root = [json.loads(body)]
    for pointer, value in pointers.items():
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        holder: Any = root
        last: Any = 0
        for step in steps:
            holder = holder[last]
            last = int(step) if isinstance(holder, list) else step
        holder[last] = value
    return json.dumps(root[0], ensure_ascii=False, separators=(",", ":"))
