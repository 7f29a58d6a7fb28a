"""The reference page at ``/docs``: the OpenAPI document as HTML, without scripts and without anything from elsewhere.

Forbidden here: a text that is not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from reconciler.web.problems import CODES

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; }
pre { background: #8881; border-radius: 4px; max-height: 24rem; overflow: auto; padding: 0.7rem; }
table { border-collapse: collapse; margin: 0.5rem 0; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: 0.25rem 0.6rem 0.25rem 0; text-align: left; vertical-align: top; }
h2 { border-bottom: 2px solid #8886; margin-top: 2.5rem; text-transform: capitalize; }
h3 code { font-size: 1.05em; }
summary { cursor: pointer; }
.method { border-radius: 4px; background: #2563eb; color: #fff; padding: 0.1rem 0.5rem; }
.post { background: #15803d; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def render(document: Mapping[str, Any]) -> str:
    """The page for this OpenAPI document."""
    info = document["info"]
    parts = [
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        _paragraphs(info.get("description", "")),
        '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>',
        _contents(document),
    ]
    for tag in document.get("tags", ()):
        parts.append(f"<h2>{escape(tag['name'])}</h2>{_paragraphs(tag.get('description', ''))}")
        parts += [
            _operation(path, method, operation, document["components"]["schemas"])
            for path, method, operation in _operations(document)
            if tag["name"] in operation.get("tags", ())
        ]
    parts.append(_problems())
    title = escape(info["title"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _operations(document: Mapping[str, Any]) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _contents(document: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<li><a href="#{_anchor(operation)}"><code>{method.upper()} {escape(path)}</code></a> '
        f"{escape(operation.get('summary', ''))}</li>"
        for path, method, operation in _operations(document)
    )
    return f"<ul>{rows}</ul>"


def _anchor(operation: Mapping[str, Any]) -> str:
    return escape(operation["operationId"], quote=True)


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part)


def _operation(path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    return "".join(
        (
            f'<section id="{_anchor(operation)}"><h3><span class="method {method}">{method.upper()}</span> ',
            f"<code>{escape(path)}</code> {escape(operation.get('summary', ''))}</h3>",
            _paragraphs(operation.get("description", "")),
            _parameters(operation.get("parameters", ()), schemas),
            f"<pre>{escape(_curl(path, method, operation))}</pre>",
            "".join(_answer(status, answer) for status, answer in operation["responses"].items()),
            "</section>",
        )
    )


def _parameters(parameters: Iterable[Mapping[str, Any]], schemas: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{escape(_type(one['schema'], schemas))}</td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in parameters
    )
    heads = "<tr><th>parameter</th><th>in</th><th>takes</th><th>meaning</th></tr>"
    return f"<table>{heads}{rows}</table>" if rows else ""


def _type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """A schema in a few words: its type, choices, bounds and default."""
    if "$ref" in schema:
        return _type(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return _type(next(one for one in schema["anyOf"] if one.get("type") != "null"), schemas)
    words = [schema["type"]]
    if "items" in schema:
        words.append(f"of {_type(schema['items'], schemas)}")
    if "enum" in schema:
        words = [" | ".join(map(str, schema["enum"]))]
    if "minimum" in schema and "maximum" in schema:
        words.append(f"{schema['minimum']} to {schema['maximum']}")
    if schema.get("default") not in (None, []):
        words.append(f"(default {schema['default']})")
    return " ".join(words)


def _curl(path: str, method: str, operation: Mapping[str, Any]) -> str:
    """A command that can be pasted: the parameters of the path filled with their examples."""
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one["schema"]["examples"][0]))
    lines = [f"curl http://127.0.0.1:8080{path}"]
    if method == "post":
        body = json.dumps(operation["requestBody"]["content"]["application/json"]["example"])
        lines[0] = f"curl -X POST http://127.0.0.1:8080{path}"
        lines += [*_proof(operation), "-H 'Content-Type: application/json'", f"-d '{body}'"]
    return " \\\n  ".join(lines)


def _proof(operation: Mapping[str, Any]) -> list[str]:
    """The header by which an operation knows who asks: a token, or else the one that has an example."""
    if operation.get("security"):
        return ["-H 'Authorization: Bearer TOKEN'"]
    return [f"-H '{one['name']}: {one['example']}'" for one in operation.get("parameters", ()) if "example" in one]


def _answer(status: str, answer: Mapping[str, Any]) -> str:
    found: list[Any] = []
    for content in answer["content"].values():
        found += [content["example"]] if "example" in content else []
        found += [one["value"] for one in content.get("examples", {}).values()]
    shown = "\n".join(one if isinstance(one, str) else json.dumps(one, indent=2, ensure_ascii=False) for one in found)
    heading = f"<summary><b>{escape(status)}</b> {escape(answer['description'])}</summary>"
    return f"<details>{heading}<pre>{escape(shown)}</pre></details>"


def _problems() -> str:
    rows = "".join(
        f'<tr id="problem-{code}"><td><code>{code}</code></td><td>{status}</td><td>{escape(title)}</td></tr>'
        for code, (status, title) in CODES.items()
    )
    heads = "<tr><th>code</th><th>status</th><th>title</th></tr>"
    return f"<h2>Problems</h2><table>{heads}{rows}</table>"
