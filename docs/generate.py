"""Writes docs/manifests.md and docs/settings.md from the models; `make docs` runs it, a test compares.

Forbidden here: facts about fields. They stand in the models' descriptions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from reconciler.settings import PREFIX, Settings
from schemas.access_token import AccessTokenSpec
from schemas.annotations import OF_API, OF_APPLICATION
from schemas.api import ApiSpec
from schemas.application import ApplicationSpec, Defaults, History, Limits
from schemas.auth import ApiAuth, BasicAuth, BearerAuth, HandshakeAuth, HeaderAuth, HmacAuth, OAuth2Auth
from schemas.base import Metadata, format_duration
from schemas.calendar import CalendarSpec, Range
from schemas.environment import EnvironmentSpec, Patch
from schemas.freeze_window import FreezeWindowSpec
from schemas.request import Expect, ExpectBody, Request, Retry
from schemas.schedule import After, AtOnDays, CronOnDays, EveryOnDays, Following, FrequencyOnDays
from schemas.secret import SecretRef

FOLDER = Path(__file__).parent

_CALENDAR = """Days by name, so that schedules can leave them out (`except`) or run on them alone (`only`).

```yaml
apiVersion: reconciler/v1
kind: Calendar
metadata: {name: holidays}
spec:
  timeZone: Europe/Berlin
  dates: [12-25, 2026-12-28]
  weekly: [SUN]
  ranges: [{from: 12-30, to: 01-02}]
---
apiVersion: reconciler/v1
kind: Application
metadata: {name: reports}
spec:
  baseUrl: https://reports.example.com
  apis:
    - name: nightly
      schedule: "0 2 * * *"
      except: holidays
      request: {path: /nightly}
    - name: hourly
      schedule: {every: 1h, only: [holidays]}
      request: {path: /hourly}
```

`except` and `only` take one name or several, within a schedule or beside it. A slot is left out where any calendar of `except` names its day, or where `only` is
given and none of its calendars does. A day is one of the calendar's own zone, whatever the zone of the schedule. A slot that is left out is recorded as skipped, with
the calendar and the day. `next`, `plan`, `jobs`, `show` and `validate` show only slots that will run. `02-29` comes in leap years; a calendar may name no day at all.

The calendars become part of the jobs that refer to them: changing a calendar changes these jobs, and `plan` shows which runs appear and vanish for it.

When it is wrong: a name that no calendar has is a mistake like any other and holds the Application. A calendar with a mistake, or one of two with the same name,
holds every Application that refers to it; what ran before keeps running. Environments choose other calendars by patching `except` and `only`; they do not patch calendars."""

_AFTER = """A job that follows another one: for each of its runs that ends so, one run of this job, at once.

```yaml
apiVersion: reconciler/v1
kind: Application
metadata: {name: etl}
spec:
  baseUrl: https://etl.example.com
  apis:
    - {name: load, schedule: "@daily", request: {method: POST, path: /load}}
    - {name: report, schedule: {after: {job: load}}, request: {method: POST, path: /report}}
    - {name: alarm, schedule: {after: {job: etl/load, on: failure}}, request: {method: POST, path: /alarm}}
```

It has no slots of its own, so that `timeZone`, `startsAt` and `endsAt` are mistakes there; `except` and `only` are judged by the instant at which the other run ended.
A job that is not declared, and jobs that follow each other in a circle, are mistakes that hold their Applications: each member of a circle is told. A job of an
Application that is held counts as it last was; a change that would close a circle with it waits until it is mended."""

_REFERENCES = """Where a value in `headers`, `query`, `form` or `auth` is a credential, a reference stands in its place. In `json` it is written
`{$secret: {env: NAME}}`, at any depth, because there `{env: …}` could be data.

```yaml
apiVersion: reconciler/v1
kind: Application
metadata: {name: billing}
spec:
  baseUrl: https://billing.example.com
  defaults:
    headers: {X-Api-Key: {env: BILLING_KEY}}
  apis:
    - name: nightly
      schedule: "0 2 * * *"
      request: {method: POST, path: /run, query: {token: {file: billing/token}}, json: {user: {password: {$secret: {env: BILLING_PASSWORD}}}}}
```

The value is read just before each call and is masked wherever the reconciler says anything. Where it cannot be read the run fails, with a reason that names the reference, and nothing is sent.
`docs/security.md` says who can read what, and how values are sealed."""

_FREEZE_WINDOW = """A span of time that comes again and again, in which nothing is called (`mode: deny`), or outside which nothing is (`mode: allow`).

```yaml
apiVersion: reconciler/v1
kind: FreezeWindow
metadata: {name: year-end}
spec:
  description: Books are closed
  start: "0 18 23 12 *"
  duration: 9d6h
  timeZone: Europe/Berlin
  applications: [billing, "payments-*"]
  catchUp: latest
```

It begins at every slot of `start`, which may be written in any form of a schedule that goes by the clock, without calendars, and lasts for `duration`. One that begins again before it is over goes on.
A slot that falls into a window that denies, or outside all windows that allow, is recorded as skipped, with the window's name. Where both kinds name an
Application, deny wins. An Application that no window names is never frozen. `catchUp: latest` makes up for what was frozen: once it is over, each job
that had a slot in it runs once. In `applications`, `*` stands for any characters.

When it is wrong: no Application is held for a window. A window with a mistake, or one of two with the same name, is not applied; what the store holds
of that name stays in force until it is mended. A name that no Application has, or a pattern that none matches, is such a mistake (a bare `*` never is).
Where a file cannot be read, or a document cannot be attributed, no window is removed, for it may be declared there."""

_ACCESS = """Lets whoever has the token read status, or trigger runs, over HTTP. The token itself stands in no manifest: only its SHA-256 does, so that the
repository may be read by many. `reconciler token new oncall --role operator --application billing --expires 90d` makes one, prints it once, and prints
this manifest to commit.

```yaml
apiVersion: reconciler/v1
kind: AccessToken
metadata: {name: oncall}
spec:
  role: operator
  applications: [billing]
  expiresAt: 2027-02-19T00:00:00Z
  sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
```

A `viewer` reads; an `operator` also triggers; an `admin` also sees configuration: headers, bodies and query of the requests, and settings.
`docs/security.md` says what each may do, and what holds while no token is declared. In `applications`, `*` stands for any characters.

When it is wrong: a token with a mistake, one of two with the same name or the same SHA-256, and one whose file cannot be read, lets nobody in until that
is mended; nothing else is touched. A name that no Application has is told, and opens nothing."""

_ENVIRONMENT = """What is different in one environment, so that one repository serves several. `--environment staging` (or `RECONCILER_ENVIRONMENT`) chooses one.

```yaml
apiVersion: reconciler/v1
kind: Environment
metadata: {name: staging}
spec:
  patches:
    - application: "*"
      api: "*"
      spec: {suspend: true}
    - application: billing
      spec:
        baseUrl: https://staging.example.com
        defaults: {headers: {X-Env: staging}}
    - application: billing
      api: nightly-invoices
      spec: {schedule: "0 4 * * *", suspend: false, request: {query: {dry: true}}}
```

Patches apply in the order written, and the later one wins. Each is merged into the `spec` of what it names: mappings key by key, lists and everything else
replace what was there, `null` removes a field, so that it has its default again. Within `json` it is the same, so a patch cannot put a `null` there.
Where only one of several fields can be given, a patch that names another one replaces it: another form of `schedule` (or another `frequency`) replaces the whole
schedule; `url` replaces `path` and `path` replaces `url`; `json`, `form` and `text` replace each other; `on` and `day`; a `timeZone`, `startsAt` or `endsAt`
beside a schedule and the one within it. A `contentType` goes when its `text` does. A header is replaced whatever its capitals. `apis`, names, labels and annotations cannot be patched;
FreezeWindows and Calendars cannot either.

When it is wrong: the merged result is checked like any manifest. A mistake is told at the patch and holds the Applications that it is for. A patch that
names no Application, no Api, or a pattern that matches none, is a mistake too: it holds the Application that it names, or the one whose name is so much like it that it is probably meant.
An environment that is chosen and not declared, declared twice, or not valid holds every Application, so that nothing meant for production is called from
elsewhere. Mistakes in environments that are not chosen are told and hold nobody."""

_ANNOTATIONS = """
## annotations

Keys that begin with `reconciler/` are the reconciler's own; one that it does not know, on the wrong kind or with a wrong value, is a mistake like any other
and holds the Application. All other keys are free.

```yaml
apiVersion: reconciler/v1
kind: Application
metadata:
  name: billing
  annotations: {reconciler/prune: never}
spec:
  baseUrl: https://billing.example.com
  apis:
    - name: invoices
      annotations: {reconciler/renamed-from: billing/nightly-invoices}
      schedule: "H 2 * * *"
      request: {method: POST, path: /invoices/run}
```

| annotation | on | value | meaning |
| --- | --- | --- | --- |
"""

_RENAMED = """
For as long as `reconciler/renamed-from` stands, what is derived from a job's key, `H` in a cron pattern and `jitter`, is derived from the old one, so that the next run
stays where it was; taking the annotation away lets them be derived anew. Several names in a row take several commits. It is a mistake, which holds the Application, to name a job
that is declared still, the job itself, or a job that another one is renamed from too.
"""

_AUTH = """How calls authenticate to their target: exactly one of these, for an Application or, in its place, for one Api. `none` is for an Api alone.

```yaml
apiVersion: reconciler/v1
kind: Application
metadata: {name: prices}
spec:
  baseUrl: https://prices.example.com
  auth:
    handshake:
      headers: {X-Setup-Key: {env: PRICES_SETUP_KEY}}
  apis:
    - name: refresh
      schedule: "*/10 * * * *"
      request: {method: PUT, path: /prices}
    - name: announce
      schedule: "@hourly"
      auth: {hmac: {secret: {env: PRICES_SIGNING_SECRET}}}
      request: {method: PUT, path: /announcements, json: {fresh: true}}
    - name: opening-hours
      schedule: "@daily"
      auth: {none: true}
      request: {path: /opening-hours}
```

`reconciler auth test prices` tries it out and says what came back, but not its values. A header that is set so may not be declared among `headers` too; whoever triggers a run
by hand may replace it for that run. What `oauth2` and `handshake` fetch is used until 30 s before its end (a tenth of its life, where that is less), or until the target answers
401: then it is fetched once more and the call repeated once, beside `retry.limit`, and also under `delivery: atMostOnce`, because a call that is refused has not been
made. One is fetched at a time for an Application, however many jobs wait. While none is to be had the runs fail with that reason, nothing is sent, and it is tried again after 1 s, doubling to 5 min.
A job's `timeout` bounds waiting and call together. [security.md](security.md#credentials-for-targets) says where they are kept."""

_HMAC = """Requests are signed by [Standard Webhooks](https://www.standardwebhooks.com): `webhook-id` is the run's id, alike for all attempts; `webhook-timestamp` that of the attempt;
`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, with two secrets two of these, with a blank between them."""

_HANDSHAKE = """The target answers with JSON: `{"authType": "BearerToken", "token": "…"}`, or `{"authType": "Basic", "username": "…", "password": "…"}`, each with `expiresIn` (seconds) or
`expiresAt` (an instant) if it ends. Everything else fails the run, with a reason."""

_SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    (
        "metadata",
        Metadata,
        "Of every manifest; an Api's also names its `application`. Applications and Apis have annotations of the reconciler's own, see below.",
    ),
    ("Application: spec", ApplicationSpec, ""),
    ("Application: spec.defaults", Defaults, ""),
    (
        "Application: spec.limits",
        Limits,
        "Shared by all its jobs. A call that has to wait longer than its `startingDeadline` is recorded as missed.",
    ),
    ("Application: spec.history", History, ""),
    ("Api: spec", ApiSpec, "Also the fields of each item of an Application's `apis`, beside `name` and `labels`."),
    (
        "schedule, as a cron expression with bounds or calendars",
        CronOnDays,
        "Without bounds, the bare string will do: `schedule: '0 2 * * *'`.",
    ),
    ("schedule, as an interval", EveryOnDays, ""),
    ("schedule, once", AtOnDays, ""),
    ("schedule, as a frequency", FrequencyOnDays, ""),
    ("schedule, after another job", After, _AFTER),
    ("schedule.after", Following, ""),
    ("request", Request, ""),
    ("A secret value", SecretRef, _REFERENCES),
    ("auth", ApiAuth, _AUTH),
    ("auth.basic", BasicAuth, ""),
    ("auth.bearer", BearerAuth, ""),
    ("auth.header", HeaderAuth, ""),
    ("auth.oauth2", OAuth2Auth, ""),
    ("auth.hmac", HmacAuth, _HMAC),
    ("auth.handshake", HandshakeAuth, _HANDSHAKE),
    ("expect", Expect, ""),
    ("expect.body", ExpectBody, ""),
    ("retry", Retry, ""),
    ("Calendar: spec", CalendarSpec, _CALENDAR),
    ("Calendar: spec.ranges", Range, ""),
    ("FreezeWindow: spec", FreezeWindowSpec, _FREEZE_WINDOW),
    ("Environment: spec", EnvironmentSpec, _ENVIRONMENT),
    ("Environment: spec.patches", Patch, "One patch."),
    ("AccessToken: spec", AccessTokenSpec, _ACCESS),
)

_MANIFESTS_HEAD = """# Manifests

Made from the models by `make docs`; `reconciler schema` prints the same as JSON Schema, for editors.

Every manifest begins with `apiVersion: reconciler/v1` and a `kind`: `Application`, `Api`, `Calendar`,
`FreezeWindow`, `Environment` or `AccessToken`. Unknown fields are refused. A file may have 1 MiB and 60,000 keys and values, which is
2,000 Apis of 30 each; a list may have 10,000 items.
Durations are whole numbers with units, largest first: `90s`, `2h30m`, `1d`, `250ms`. Instants are ISO 8601; without an offset they are
wall time in the schedule's time zone.

An Api starts from its Application's `defaults`. Headers and query parameters are merged by name and the Api's win; `expect` and `retry` are merged
field by field; everything else is replaced. What neither declares has the default that the field's description names.

`retry` applies to connection errors, timeouts, 408, 429 and 5xx, unless `expect.status` names them as success. Under `delivery: atMostOnce`, which
is the default of POST and PATCH, a call is only tried again where it is certain that the request never left, for at most one call may
reach the target; declare `delivery: atLeastOnce` where the target can bear a second one. Every attempt of a run carries the same `Idempotency-Key`.
Every call carries `X-Reconciler-Correlation-Id` too: alike for all runs of a chain, the id of the first of them.

`catchUp` says what becomes of slots that passed while nobody could run them, because no reconciler ran, the store was away, or the machine slept:
`none` records them as missed; `latest` runs the newest one and records the others as missed; `all` runs every one, the newest 100 at most. Only slots that
are no older than `startingDeadline` are made up. Of more than 100 such slots of a job the older ones are counted in one record. A job that was edited, resumed
or unfrozen owes nothing from before; what was due by a schedule that was edited, suspended or removed in such a time is recorded as missed, for that reason. A FreezeWindow has a `catchUp` of its own.
"""

_SETTINGS_HEAD = """# Settings

Made from the model by `make docs`. A flag wins over a variable, a variable over the default; an empty variable counts as not set.
`reconciler check` says whether they are usable, and names `RECONCILER_*` variables that set nothing.

| variable | default | what it sets |
| --- | --- | --- |
"""


def manifests() -> str:
    """The text of docs/manifests.md."""
    parts = [_MANIFESTS_HEAD]
    for title, model, note in _SECTIONS:
        parts.append(
            f"\n## {title}\n\n{note or _first_line(model)}\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n"
        )
        parts.extend(_rows(model))
        if model is Metadata:
            parts.extend(_annotations())
    return "".join(parts)


def _annotations() -> list[str]:
    parts = [_ANNOTATIONS]
    for kind, known in (("Application", OF_APPLICATION), ("Api", OF_API)):
        for key, rule in known.items():
            value = " \\| ".join(f"`{each}`" for each in rule["enum"]) if "enum" in rule else "`application/api`"
            parts.append(f"| `{key}` | {kind} | {value} | {rule['description']} |\n")
    return [*parts, _RENAMED]


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").splitlines()[0]


def _rows(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema()
    definitions, required = schema.get("$defs", {}), schema.get("required", [])
    rows = []
    for name, field in schema["properties"].items():
        default = "**required**" if name in required else _default(field.get("default"))
        meaning = field.get("description") or _resolved(field, definitions).get("description", "")
        rows.append(f"| `{name}` | {_type(field, definitions)} | {default} | {' '.join(meaning.split())} |\n")
    return rows


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref") or next((one["$ref"] for one in field.get("anyOf", ()) if "$ref" in one), None)
    return definitions[reference.rpartition("/")[2]] if reference else field


def _default(value: Any) -> str:
    if value in (None, "", {}, []) or isinstance(value, dict):
        return ""
    return (
        f"`{str(value).lower() if isinstance(value, bool) else ', '.join(value) if isinstance(value, list) else value}`"
    )


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "enum" in field or "const" in field:
        return " \\| ".join(f"`{value}`" for value in field.get("enum") or [field["const"]])
    if "anyOf" in field or "oneOf" in field:
        options = field.get("anyOf") or field["oneOf"]
        return " or ".join(dict.fromkeys(_type(one, definitions) for one in options if one.get("type") != "null"))
    if "$ref" in field:
        return _type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    kind = field.get("type", "any")
    if "pattern" in field and "d)?" in field["pattern"]:
        return "duration"
    if kind == "array":
        return f"list of {_type(field.get('items', {}), definitions)}"
    return " or ".join(kind) if isinstance(kind, list) else {"object": "mapping"}.get(kind, kind)


def settings() -> str:
    """The text of docs/settings.md."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        text = (
            "" if default is None else format_duration(default) if hasattr(default, "total_seconds") else str(default)
        )
        if name == "max_prune":
            text = f"{default:.0%}"
        rows.append(f"| `{PREFIX}{name.upper()}` | {f'`{text}`' if text else 'none'} | {field.description} |\n")
    return _SETTINGS_HEAD + "".join(rows)


def main() -> None:
    """Write both files."""
    (FOLDER / "manifests.md").write_text(manifests(), encoding="utf-8")
    (FOLDER / "settings.md").write_text(settings(), encoding="utf-8")


if __name__ == "__main__":
    main()
