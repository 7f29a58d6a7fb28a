"""What makes the calls of a long-lived process: the caller, the secrets in a call, and what it authenticates with.

Forbidden here: when a call is made, and what becomes of its answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.adapters.caller import HttpCaller
from reconciler.app import wiring
from reconciler.app.authenticating import authentication, credentials
from reconciler.app.context import Context
from reconciler.app.masking import REDACTOR
from reconciler.app.parts import Parts
from reconciler.services.authentication import Authentication
from reconciler.services.credentials import Credentials
from reconciler.services.reconcile import Reconciliation
from reconciler.services.secrets import Readability, SecretValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """What makes calls.

    Attributes:
        values: of the secrets that a request refers to.
        credentials: what handshakes and token endpoints gave.
        authentication: makes a request ready to be sent.
    """

    caller: HttpCaller
    values: SecretValues
    credentials: Credentials
    authentication: Authentication


def calling_of(context: Context, parts: Parts) -> Calling:
    """What makes the calls of this process.

    Raises:
        SettingsError: what may be called, or a key, is not understood.
    """
    settings, store, clock = context.settings, context.store, context.clock
    caller = parts.caller(wiring.egress(settings), settings.max_in_flight)
    values = SecretValues(parts.secrets(settings), REDACTOR)
    kept = credentials(settings, store=store, clock=clock, caller=caller, values=values)
    return Calling(caller=caller, values=values, credentials=kept, authentication=authentication(values, kept, clock))


def readability(context: Context, calling: Calling, reconciliation: Reconciliation) -> Readability:
    """What looks whether the secrets of all jobs can be read here."""
    return Readability(
        calling.values,
        context.clock,
        jobs=lambda: (reconciliation.latest and reconciliation.latest.id, reconciliation.jobs),
    )
