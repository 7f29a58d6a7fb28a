"""What mutations begin with: the manifests of this repository, and one of each kind with everything in it.

``SENTINEL`` stands wherever a secret's value might be written by mistake. Forbidden here: chance.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SENTINEL: Final = "Zq7!sentinel-of-a-secret"  # neither a name nor a variable's name, so no message has to quote it
_DIGEST: Final = "0123456789abcdef" * 4
_SEALED: Final = f"v1.0a1b2c3d.{'A' * 64}"

_HEAD: Final = "apiVersion: reconciler/v1\n"

AUTHS: Final = (
    "{basic: {username: me, password: {env: PASSWORD}}}",
    "{basic: {username: {file: user}, password: {file: /run/secrets/password}}}",
    f"{{bearer: {{token: {{sealed: {_SEALED}}}}}}}",
    "{header: {name: X-Api-Key, value: {env: KEY}}}",
    "{oauth2: {tokenUrl: 'https://id.example.com/token', clientId: me, clientSecret: {env: ID}, scopes: [read]}}",
    "{oauth2: {tokenUrl: 'http://a.example/', clientId: {env: I}, clientSecret: {env: S}, audience: b, style: body}}",
    "{hmac: {secrets: [{env: NEW}, {env: OLD}]}}",
    "{handshake: {path: /login, headers: {X-Id: {env: ID}}, json: {u: me, password: {$secret: {env: PASSWORD}}}}}",
    "{handshake: {url: 'https://x.example', method: PUT, query: {token: {file: t}, a: [1, 2]}}}",
)

_APPLICATION: Final = (
    _HEAD
    + """kind: Application
metadata: {name: NAME, labels: {team: payments}, annotations: {reconciler/prune: allow}}
spec:
  description: Everything that calls share
  baseUrl: https://NAME.example.com/api
  auth: AUTH
  defaults:
    timeZone: Europe/Berlin
    timeout: 10s
    headers: {Accept: application/json, X-Key: {env: HEADER_KEY}}
    retry: {limit: 3, initialDelay: 1s, factor: 2, maxDelay: 5m}
  limits: {concurrency: 20, rate: 100/1m}
  history: {keepFor: 60d, keepFailuresFor: 365d, keepPerJob: 5000}
  apis:
    - name: one
      schedule: {every: 2h30m, startsAt: 2027-01-04T08:00:00, endsAt: 2027-06-30T00:00:00}
      request: {method: POST, path: /one, json: {a: [1, 2.5, null, true], p: {$secret: {file: /p}}}}
      auth: {none: true}
    - name: two
      schedule: {after: {job: one, on: failure}}
      stopAfterFailures: 0
      request: {method: PUT, path: /two, form: {u: me, p: {env: FORM_KEY}}, query: {t: {env: QUERY_KEY}}}
"""
)

MADE: Final = (
    *(_APPLICATION.replace("NAME", f"made-{index}").replace("AUTH", auth) for index, auth in enumerate(AUTHS)),
    _HEAD
    + """kind: Api
metadata: {name: made, application: billing, annotations: {reconciler/renamed-from: billing/older}}
spec:
  schedule: {frequency: monthly, on: FRI#L, time: "16:00"}
  timeZone: Asia/Tokyo
  only: [made-calendar, bank-holidays]
  except: year-end
  request: {method: PATCH, url: 'https://user@other.example.com/', text: hello, contentType: text/plain}
  auth: {bearer: {token: {env: TOKEN}}}
  expect: {status: [2xx, 404], body: {contains: ok}}
""",
    _HEAD
    + """kind: Calendar
metadata: {name: made-calendar}
spec:
  timeZone: Europe/Berlin
  dates: [01-01, 12-25, 2027-03-26]
  weekly: [MON, TUE]
  ranges: [{from: 12-24, to: 01-02}]
""",
    _HEAD
    + """kind: FreezeWindow
metadata: {name: made-window}
spec: {start: "0 22 * * FRI", duration: 2d, mode: deny, applications: ["bil*"], timeZone: UTC, catchUp: latest}
""",
    _HEAD
    + f"""kind: AccessToken
metadata: {{name: made-token}}
spec: {{role: operator, applications: ["billing", "bil*"], expiresAt: 2027-01-01T00:00:00+01:00, sha256: "{_DIGEST}"}}
""",
    _HEAD
    + """kind: Environment
metadata: {name: staging}
spec:
  patches:
    - application: billing
      spec: {baseUrl: https://s.example.com, auth: {basic: {username: s, password: {env: STAGING}}}}
    - application: "*"
      api: "*"
      spec: {schedule: "0 4 * * *", retry: {limit: 0}, request: {headers: {X-Key: {env: K}}}}
""",
    _HEAD
    + """kind: Application
metadata: &m {name: anchored}
spec:
  baseUrl: https://x.example.com
  apis:
    - &a {name: a, schedule: '@daily', request: &r {path: /}}
    - {<<: *a, name: b}
    - {name: c, schedule: H H * * *, request: *r}
""",
)


def _documents(text: str) -> list[str]:
    return [each.lstrip("\n") for each in re.split(r"^---$", text, flags=re.MULTILINE) if each.strip()]


def _published() -> list[str]:
    """The examples, and every block of YAML in the documentation, fragments too."""
    files = [path.read_text() for path in sorted((ROOT / "manifests").glob("*.yaml"))]
    pages = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)]
    return [*files, *blocks]


FILES: Final = tuple(text.encode() for text in _published())
DOCUMENTS: Final = tuple(
    dict.fromkeys(document.encode() for text in (*_published(), *MADE) for document in _documents(text))
)
BASE: Final[dict[str, bytes]] = {path.name: path.read_bytes() for path in sorted((ROOT / "manifests").glob("*.yaml"))}
