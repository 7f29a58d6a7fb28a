"""What calls authenticate with, wired together for one process. Forbidden here: using it."""

from __future__ import annotations

from reconciler.adapters.encryption import FernetEncryption
from reconciler.app.masking import REDACTOR
from reconciler.ports import Caller, Clock, Encryption, Store
from reconciler.services.authentication import Authentication
from reconciler.services.credentials import Credentials
from reconciler.services.secrets import SecretValues
from reconciler.settings import Settings


def encryption(settings: Settings) -> Encryption | None:
    """What encrypts credentials at rest; ``None`` where there is no key."""
    keys = settings.encryption_keys.get_secret_value() if settings.encryption_keys else ""
    named = [key.strip() for key in keys.split(",") if key.strip()]
    return FernetEncryption(named) if named else None


def credentials(settings: Settings, *, store: Store, clock: Clock, caller: Caller, values: SecretValues) -> Credentials:
    """The credentials of this process."""
    return Credentials(
        store=store, clock=clock, caller=caller, values=values, redactor=REDACTOR, encryption=encryption(settings)
    )


def authentication(values: SecretValues, kept: Credentials, clock: Clock) -> Authentication:
    """What makes requests ready to be sent."""
    return Authentication(values, kept, clock, REDACTOR)
