"""Whatever the OpenAPI document allows, and much that it does not: no answer of 500, and none that is not documented.

``FUZZ=5000`` (``make fuzz``) asks each operation so often; here it is asked a few hundred times.
"""

import os

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance
from structlog.testing import capture_logs

from reconciler.core.access import digest_of
from reconciler.core.model import AccessToken, Role
from reconciler.web.app import create
from tests.unit.web.conftest import World, run_id

EXAMPLES = int(os.environ.get("FUZZ", "100"))
TOKEN = "rct_made-up-here"
KNOWN = {"application": "billing", "api": "nightly", "run_id": run_id(1)}


class Untiring:
    """Time goes on by an hour with each look, so that nobody asks too often."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 3600
        return self.now


def _app() -> FastAPI:
    admin = AccessToken(name="admin", role=Role.ADMIN, sha256=digest_of(TOKEN))
    world = World(tokens=[admin])
    world.fill()
    for allowance in (world.state.triggers, world.state.deliveries, world.access._failures):
        allowance._steady = Untiring()
    app = create(world.state)
    app.state.web = world.state
    return app


APP = _app()
SCHEMA = schemathesis.openapi.from_dict(APP.openapi())
SCHEMA.app = APP
SCHEMA.config.update(base_url="http://localhost")


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 100,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.timeout(7200 if EXAMPLES > 100 else 120)
def test_nothing_that_is_asked_is_a_bug_or_answered_otherwise_than_documented(case):
    if len(str(case.query) + str(case.body)) % 2:  # names are hardly ever guessed
        case.path_parameters = {name: KNOWN[name] for name in case.path_parameters or {}}
    with capture_logs():
        answer = case.call(headers={**dict(case.headers or {}), "Authorization": f"Bearer {TOKEN}"})
    case.validate_response(answer, checks=[not_a_server_error, status_code_conformance])
