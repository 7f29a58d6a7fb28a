"""Every mistake in a manifest is said at once, with its place, its field and what to write instead."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.manifests import ParsedFile, parse
from reconciler.core.model import JobKey
from reconciler.core.yaml import Place

API = "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: fetch, application: billing}\nspec:\n"
DAILY = API + "  schedule: '@daily'\n"
APPLICATION = "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: billing}\nspec:\n"

EXAMPLE = """\
apiVersion: reconciler/v1
kind: Application
metadata:
  name: billing
  labels: {team: payments}
spec:
  description: Invoices and dunning
  baseUrl: https://billing.example.com
  suspend: false
  defaults:
    timeZone: Africa/Lagos
    timeout: 10s
    headers: {Accept: application/json}
    retry: {limit: 3}
  limits: {concurrency: 20}
  apis:
    - name: nightly-invoices
      schedule: "0 2 * * *"
      request: {method: POST, path: /invoices/run, json: {dryRun: false}}
---
apiVersion: reconciler/v1
kind: Api
metadata: {name: fetch-user-data, application: billing, labels: {tier: gold}}
spec:
  schedule: {frequency: weekly, on: SUN, time: "09:45"}
  timeZone: US/Eastern
  request: {method: GET, path: /users, query: {active: true}}
  expect: {status: [2xx], body: {contains: '"ok"'}}
  retry: {limit: 5, initialDelay: 1s, factor: 2, maxDelay: 5m}
  concurrencyPolicy: Forbid
  startingDeadline: 1h
  catchUp: latest
  delivery: atMostOnce
  jitter: 30s
  suspend: false
"""


def read(text: str) -> ParsedFile:
    return parse("f.yaml", text.encode())


def complaints(text: str) -> list[str]:
    return [str(problem).removeprefix("f.yaml:") for problem in read(text).problems]


def test_valid_documents_are_declared_with_their_places():
    parsed = read(EXAMPLE)
    assert parsed.problems == ()
    assert not parsed.broken
    (application,) = parsed.applications
    assert (application.name, application.file, application.line, application.column) == ("billing", "f.yaml", 1, 1)
    assert application.name_place == Place(4, 9)
    inline, document = parsed.apis
    assert (inline.key, inline.line, inline.column, inline.field) == (
        JobKey("billing", "nightly-invoices"),
        17,
        7,
        "spec.apis[0]",
    )
    assert inline.place_of("schedule") == Place(18, 17)
    assert inline.place_of("endsAt") == Place(17, 7)  # not given: where the Api begins
    assert (document.key, document.line, document.field) == (JobKey("billing", "fetch-user-data"), 21, "spec")
    assert document.labels == {"tier": "gold"}
    assert document.place_of("application") == Place(23, 48)
    assert document.place_of("request") == Place(27, 12)


def test_a_file_without_manifests_declares_nothing():
    assert read("# later\n---\n") == ParsedFile(file="f.yaml")


DNS = "a name is a DNS label: lower-case letters, digits and dashes between them, at most 63 characters"
FORMS = "a schedule is a cron string, or a mapping with exactly one of cron, every, at, frequency, after"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"
OWNED = "this header is set by the reconciler itself and cannot be declared"
KINDS = "must be Application, Api, Calendar, FreezeWindow, Environment or AccessToken"
REQUIRED = "this field is required"
PARAMETER = "must be a string, a number, true or false, or a list of these"

DOCUMENTS = [
    ("- a\n", ["1:1: a manifest is a mapping with apiVersion, kind, …, not a list"]),
    ("foo\n", ["1:1: a manifest is a mapping with apiVersion, kind, …, not a string"]),
    ("~\n", ["1:1: a manifest is a mapping with apiVersion, kind, …, not empty"]),
    ("a: 1\n", [f"1:1: apiVersion: {REQUIRED}", f"1:1: kind: {REQUIRED}"]),
    (
        "kind: Aplication\n",
        [
            f"1:1: apiVersion: {REQUIRED}",
            f"1:7: kind: {KINDS}, not `Aplication` (did you mean `Application`?)",
        ],
    ),
    (
        "apiVersion: apps/v1\nkind: Deployment\n",
        [
            "1:13: apiVersion: must be reconciler/v1, not `apps/v1`",
            f"2:7: kind: {KINDS}, not `Deployment`",
        ],
    ),
    (
        "apiVersion: reconciler/v1\nkind: 5\n",
        [f"2:7: kind: {KINDS}, not a number"],
    ),
    (
        "apiVersion: reconciler/v2\nkind: Application\nmetadata: {name: a}\nspec: {}\n",
        ["1:13: apiVersion: must be reconciler/v1, not `reconciler/v2` (did you mean `reconciler/v1`?)"],
    ),
    (
        "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: a}\nspec: []\n",
        [f"3:11: metadata.application: {REQUIRED}", "4:7: spec: must be a mapping, not a list"],
    ),
    (
        "apiVersion: reconciler/v1\nkind: Api\nmetadata: {name: Fetch_Data, application: 5}\nspec:\n",
        [
            f"3:18: metadata.name: `Fetch_Data` is not a name (did you mean `fetch-data`?); {DNS}",
            "3:43: metadata.application: must be a string, not a number; quote it",
            "4:6: spec: must be a mapping, and is empty",
        ],
    ),
    (
        (
            "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: '--', labels: {a: 1, 'b\u200ec': d}}\n"
            "spec: {}\n"
        ),
        [
            f"3:18: metadata.name: `--` is not a name; {DNS}",
            "3:36: metadata.labels.a: must be a string, not a number; quote it",
            '3:39: metadata.labels."b\\u200ec": the key contains the invisible character U+200E',
        ],
    ),
    (
        "apiVersion: reconciler/v1\nkind: Application\nmetadata: {name: " + "a" * 64 + "}\nspec: {}\n",
        [f"3:18: metadata.name: `{'a' * 47}…` is not a name (did you mean `{'a' * 63}`?); {DNS}"],
    ),
]

SPECS = [
    (
        DAILY + "  request: {query: {'': x, " + "k" * 254 + ": y z}}\n",
        [
            '6:21: spec.request.query."": must have at least 1 character',
            f'6:28: spec.request.query."{"k" * 47}…": must have at most 253 characters',
        ],
    ),
    (
        API + "  schedul: '@daily'\n",
        [f"5:3: spec.schedule: {REQUIRED}", "5:3: spec.schedul: unknown field (did you mean `schedule`?)"],
    ),
    (API + "  schedule: 5\n", [f"5:13: spec.schedule: {FORMS}"]),
    (API + "  schedule: {evry: 5s}\n", [f"5:13: spec.schedule: {FORMS} (did you mean `every`?)"]),
    (API + "  schedule: {xyz: 5s}\n", [f"5:13: spec.schedule: {FORMS}"]),
    (API + "  schedule: {every: 5s, at: x}\n", [f"5:13: spec.schedule: {FORMS}"]),
    (API + "  schedule: ''\n", ["5:13: spec.schedule: must have at least 1 character"]),
    (API + f"  schedule: {'x' * 256}\n", ["5:13: spec.schedule: must have at most 255 characters"]),
    (
        API + "  schedule: {every: 5}\n",
        ["5:21: spec.schedule.every: a duration is a string with a unit, such as 90s, 2h30m or 1d"],
    ),
    (
        API + "  schedule: {every: 5x}\n",
        ["5:21: spec.schedule.every: not a duration; write it like 90s, 2h30m or 1d, largest unit first"],
    ),
    (
        API + "  schedule: {every: 5s, time_zone: UTC}\n",
        ["5:25: spec.schedule.time_zone: unknown field (did you mean `timeZone`?)"],
    ),
    (
        API + "  schedule: {at: 2026-02-30}\n",
        ["5:18: spec.schedule.at: 2026-02-30 does not exist: day is out of range for month"],
    ),
    (
        API + "  schedule: {frequency: weekley, on: SUN}\n",
        [
            (
                "5:25: spec.schedule.frequency: must be daily, weekly, monthly, quarterly or yearly, not `weekley` "
                "(did you mean `weekly`?)"
            )
        ],
    ),
    (API + "  schedule: {frequency: weekly}\n", ["5:13: spec.schedule: weekly needs `on`, for example `on: SUN`"]),
    (
        API + "  schedule: {frequency: weekly, on: [SUN, FOO], time: 945}\n",
        [
            (
                "5:43: spec.schedule.on[1]: not a weekday; write SUN, MON, TUE, WED, THU, FRI, SAT, "
                "or MON#2 and FRI#L within a month"
            ),
            '5:55: spec.schedule.time: not a time of day; write it like "09:45"',
        ],
    ),
    (
        API + "  schedule: {frequency: monthly, day: 32}\n",
        ["5:39: spec.schedule.day: must be a day of the month, from 1 to 31, or last"],
    ),
    (
        DAILY + "  timeZone: Europe/Berln\n",
        ["6:13: spec.timeZone: there is no time zone `Europe/Berln` (did you mean `Europe/Berlin`?)"],
    ),
    (
        DAILY + "  timeZone: Nowhere\n",
        ["6:13: spec.timeZone: there is no time zone `Nowhere`; zones are named like Europe/Berlin"],
    ),
    (
        DAILY + f"  timeZone: {'x' * 3000}\n",
        [f"6:13: spec.timeZone: there is no time zone `{'x' * 47}…`; zones are named like Europe/Berlin"],
    ),
    (DAILY + "  timeZone: 5\n", ["6:13: spec.timeZone: must be a string, not a number; quote it"]),
    (
        DAILY + "  timeZone: NO\n",
        ["6:13: spec.timeZone: `NO` means true or false to some YAML readers: quote it, or write true or false"],
    ),
    (
        DAILY + "  request: {method: get}\n",
        [f"6:21: spec.request.method: must be {METHODS}, not `get` (did you mean `GET`?)"],
    ),
    (DAILY + "  request: {method: [GET]}\n", [f"6:21: spec.request.method: must be {METHODS}, not a list"]),
    (DAILY + "  request: {url: 'https://u:secret@x'}\n", ["6:18: spec.request.url: a URL carries no credentials"]),
    (
        DAILY + "  request: {url: 'https://u:secret'}\n",
        ["6:18: spec.request.url: not a URL: its host or port cannot be read"],
    ),
    (
        DAILY + "  request: {url: 'https://x/a b'}\n",
        ["6:18: spec.request.url: a URL has no spaces or control characters; write %20 for a space"],
    ),
    (
        DAILY + "  request: {url: 'file:///etc/passwd'}\n",
        ["6:18: spec.request.url: a URL begins with http:// or https://"],
    ),
    (
        DAILY + "  request: {url: 'https://x', path: /x}\n",
        ["6:12: spec.request: give either `url` or `path`, not both"],
    ),
    (
        DAILY + '  request: {headers: {Host: x, A: "b\\nc", "a b": c, N: 5, content-length: "5"}}\n',
        [
            f"6:23: spec.request.headers.Host: {OWNED}",
            "6:35: spec.request.headers.A: a header is one line without control characters",
            '6:43: spec.request.headers."a b": not a header name',
            "6:56: spec.request.headers.N: must be a string, not a number; quote it",
            f"6:59: spec.request.headers.content-length: {OWNED}",
        ],
    ),
    (
        DAILY + "  request: {headers: {Aa: x, aA: z}}\n",
        ["6:22: spec.request.headers: a header stands here twice; capitals make no difference"],
    ),
    (
        DAILY + f"  request: {{headers: {{{'A' * 129}: x}}}}\n",
        [f'6:23: spec.request.headers."{"A" * 47}…": must have at most 128 characters'],
    ),
    (
        DAILY + "  request: {query: {a: {b: c}, d: [1, [2]], e: }}\n",
        [
            "6:24: spec.request.query.a: a secret value is named by exactly one of env, file and sealed: {env: NAME}",
            f"6:35: spec.request.query.d: {PARAMETER}",
            f"6:48: spec.request.query.e: {PARAMETER}",
        ],
    ),
    (
        DAILY + "  request: {method: POST, json: {a: .nan}}\n",
        ["6:37: spec.request.json.a: `.nan` is not a finite number; quote it if text is meant"],
    ),
    (
        DAILY + "  request: {timeout: 5s}\n",
        ["6:13: spec.request.timeout: unknown field here; `timeout` belongs in spec"],
    ),
    (DAILY + "  requests: {}\n", ["6:3: spec.requests: unknown field (did you mean `request`?)"]),
    (
        DAILY + "  request: {xx: 1}\n",
        [
            (
                "6:13: spec.request.xx: unknown field; the fields here are contentType, followRedirects, form, "
                "headers, json, method, path, query, text, url"
            )
        ],
    ),
    (DAILY + "  request:\n", ["6:11: spec.request: must be a mapping, and is empty"]),
    (DAILY + "  suspend: 'true'\n", ["6:12: spec.suspend: must be true or false, not a string"]),
    (DAILY + "  description: true\n", ["6:16: spec.description: must be a string, not true; quote it"]),
    (
        DAILY + "  retry: {limit: 21, factor: 0.5, initialDelay: 0s}\n",
        [
            "6:18: spec.retry.limit: must be at most 20",
            "6:30: spec.retry.factor: must be at least 1.0",
            "6:49: spec.retry.initialDelay: must be longer than zero",
        ],
    ),
    (
        DAILY + "  retry: {limit: 1.5}\n",
        ["6:18: spec.retry.limit: must be a whole number, not a number with a fraction"],
    ),
    (
        DAILY + "  expect: {status: [], body: {contains: ''}}\n",
        [
            "6:20: spec.expect.status: must have at least 1 item",
            "6:41: spec.expect.body.contains: must have at least 1 character",
        ],
    ),
    (
        DAILY + "  expect: {status: [2x]}\n",
        ["6:21: spec.expect.status[0]: a status is a number like 200, a class like 2xx, or a range like 200-204"],
    ),
    (DAILY + "  expect: {status: 200}\n", ["6:20: spec.expect.status: must be a list, not a number"]),
    (
        APPLICATION + "  apis:\n    - name: x\n      schedule: '@daily'\n      request: {pth: /}\n"
        "    - {name: y_, schedul: 5}\n    - 7\n  timeZone: UTC\n",
        [
            "8:17: spec.apis[0].request.pth: unknown field (did you mean `path`?)",
            f"9:7: spec.apis[1].schedule: {REQUIRED}",
            f"9:14: spec.apis[1].name: `y_` is not a name (did you mean `y`?); {DNS}",
            "9:18: spec.apis[1].schedul: unknown field (did you mean `schedule`?)",
            "10:7: spec.apis[2]: must be a mapping, not a number",
            "11:3: spec.timeZone: unknown field here; `timeZone` belongs in spec.defaults",
        ],
    ),
    (
        APPLICATION + "  baseUrl: ftp://x\n  limits: {concurrency: 0}\n  defaults: {header: {}}\n",
        [
            "5:12: spec.baseUrl: a URL begins with http:// or https://",
            "6:25: spec.limits.concurrency: must be at least 1",
            "7:14: spec.defaults.header: unknown field (did you mean `headers`?)",
        ],
    ),
    # strict reading and validation speak together, and once about one place
    (
        API + "  schedule: '@daily'\n  schedule: 5\n  timeZone: !x 5\n  timeout: 1\n",
        [
            "6:3: spec.schedule: `schedule` stands here twice; the first is on line 5",
            "7:13: spec.timeZone: tags such as !x are not understood here; remove it",
            "8:12: spec.timeout: a duration is a string with a unit, such as 90s, 2h30m or 1d",
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), DOCUMENTS + SPECS, ids=lambda case: str(case)[-50:])
def test_every_mistake_is_said_with_its_place_and_remedy(text, expected):
    started = time.perf_counter()
    parsed = read(text)
    elapsed = time.perf_counter() - started
    assert [str(problem).removeprefix("f.yaml:") for problem in parsed.problems] == expected
    assert parsed.apis == parsed.applications == ()
    assert elapsed < 0.5


@pytest.mark.parametrize("text", [text for text, _ in SPECS])
def test_a_document_whose_owner_is_plain_holds_that_one_and_leaves_nothing_unknown(text):
    parsed = read(text)
    assert not parsed.broken
    (flawed,) = parsed.flawed
    assert flawed.application == "billing"
    assert flawed.kind == ("Application" if "kind: Application" in text else "Api")
    assert flawed.problems == parsed.problems


@pytest.mark.parametrize(
    ("text", "owners"),
    [
        ("- a\n", []),
        ("a: 1\n", []),
        ("kind: Ap\nmetadata: {name: a, application: billing}\n", [("Api", "billing")]),
        ("kind: Aplication\nmetadata: {name: billing}\n", [("Application", "billing")]),
        ("kind: Application\nmetadata: {name: Billing}\n", []),
        ("kind: Api\nmetadata: {name: a}\n", []),
        ("kind: Api\nmetadata: {name: A, application: billing}\n", [("Api", "billing")]),
        ("kind: Application\nmetadata: [billing]\n", []),
        (APPLICATION.replace("billing}", "billing, name: dunning}") + "  {}\n", [("Application", "billing")]),
        ("a: [\n", []),
        ("a: &a [*a]\nkind: Application\nmetadata: {name: billing}\n", [("Application", "billing")]),
    ],
)
def test_where_the_owner_is_uncertain_the_file_counts_as_not_fully_known(text, owners):
    parsed = read(text)
    assert [(each.kind, each.application) for each in parsed.flawed] == owners
    assert parsed.broken is ("*a" not in text)


def test_documents_before_unreadable_text_are_declared_and_the_file_is_broken():
    parsed = read(EXAMPLE + "---\nkind: Api\n\tmetadata: {}\n")
    assert parsed.broken
    assert len(parsed.applications) == 1
    assert len(parsed.apis) == 2
    assert [str(each) for each in parsed.problems] == ["f.yaml:38:1: tab character used for indentation; use spaces"]


def test_problems_without_end_are_cut_short_and_counted():
    found = complaints(APPLICATION + "".join(f"  f{i}: 1\n" for i in range(300)))
    assert len(found) == 101
    assert found[-1] == "1:1: and 200 more problems in this document"


def test_no_value_is_repeated_that_could_be_a_secret():
    secret = "hunter2-hunter2"
    text = DAILY + (
        f"  description: [{secret}]\n  timeout: {secret}\n  startsAt: {secret}\n"
        f"  request: {{url: 'ftp://{secret}', headers: {{A: '{secret}\\n', Host: {secret}}}, text: [{secret}]}}\n"
        f"  retry: {{limit: {secret}}}\n  expect: {{status: [{secret}], body: {{contains: [{secret}]}}}}\n"
    )
    found = complaints(text)
    assert len(found) >= 8
    assert secret not in "\n".join(found)


LINES = EXAMPLE.splitlines(keepends=True)
MUTATION = st.tuples(
    st.integers(0, len(LINES) - 1),
    st.integers(0, 60),
    st.sampled_from(
        ["", "- ", "[", "}", ": ", "NO", "1", "\t", "!x ", "&a ", "*a", "null", '"', "<<: ", "\n", "  ", "é"]
    ),
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(MUTATION, min_size=1, max_size=4))
def test_no_mutilated_manifest_raises_and_every_problem_has_a_place(mutations):
    lines = list(LINES)
    for index, column, piece in mutations:
        lines[index] = lines[index][:column] + piece + lines[index][column + len(piece) :]
    parsed = read("".join(lines))
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in parsed.problems)
    assert parsed.problems or (parsed.applications and parsed.apis)
