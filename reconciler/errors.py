"""The whole exception tree, in one place. Open to every room; it imports nothing of the project.

    ReconcilerError                 anything we foresaw; its text is written for the user
    ├── SettingsError               settings, flags or environment are unusable        exit 2
    ├── SourceError                 the source cannot be read as a whole               exit 2
    │   ├── SourceUnavailableError  …for now: retried with backoff
    │   └── PathNotFoundError       the repository has no such path at this revision
    ├── StoreError                  the store refused or is not usable                 exit 2
    │   ├── StoreUnavailableError  …for now: away, locked, timing out
    │   └── DeposedError            a write of a leader after whom another one leads
    ├── ScheduleError               a schedule that can never be understood            a problem at its place
    ├── NotFoundError               a job, a run, a zone that does not exist           exit 1
    ├── UnsafePlanError             the prune brake: too much would be removed         exit 1
    ├── SecretError                 a secret value cannot be had, or not used: the run fails, nothing is sent
    ├── CredentialError             no credential for a target can be had: the run fails, nothing is sent   exit 1
    ├── SealingError                a key or a sealed value cannot be used             exit 1
    ├── OverridesError              a manual trigger asks for what cannot be sent      exit 1, HTTP 422
    ├── IdempotencyConflictError    an Idempotency-Key met again with another request  HTTP 422
    ├── TokenRefusedError           a login's token is not good: expired, of others    HTTP 401
    ├── IssuerUnavailableError      whoever issues logins does not answer usably       HTTP 503
    └── ListenError                 the HTTP address cannot be bound                   exit 2

Foreign errors are translated at the adapter that meets them (``raise … from``). Forbidden here: behaviour,
and a value of a secret in a message.
"""

from __future__ import annotations


class ReconcilerError(Exception):
    """Base of every error that is foreseen; the message says what is wrong and what to do."""

    exit_code = 2


class SettingsError(ReconcilerError):
    """A flag, an environment variable or their combination cannot be used."""


class SourceError(ReconcilerError):
    """The source cannot be read as a whole, for example because the folder does not exist."""


class SourceUnavailableError(SourceError):
    """The source cannot be read right now; trying again may help."""


class PathNotFoundError(SourceError):
    """The repository can be read, and at this revision it has nothing at the path."""


class StoreError(ReconcilerError):
    """The store refused an operation, or holds a schema that this version cannot read."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached right now; trying again may help."""


class DeposedError(StoreError):
    """Another process leads by now, so that what this one wanted to write as the leader was refused."""


class ScheduleError(ReconcilerError):
    """A schedule that has no meaning: a bad cron field, a date that no year has."""

    exit_code = 1


class NotFoundError(ReconcilerError):
    """What was asked for does not exist."""

    exit_code = 1


class UnsafePlanError(ReconcilerError):
    """Applying the plan would remove more than the prune brake lets pass."""

    exit_code = 1


class SecretError(ReconcilerError):
    """A secret value cannot be had or not be used; the text names the reference and never the value.

    Attributes:
        reference: as people write it: ``env BILLING_KEY``.
        reason: why.
    """

    exit_code = 1

    def __init__(self, reference: object, reason: str) -> None:
        super().__init__(f"secret {reference}: {reason}")
        self.reference = str(reference)
        self.reason = reason


class CredentialError(ReconcilerError):
    """A handshake or a token endpoint gives no credential; the text says why, and nothing of what it has answered."""

    exit_code = 1


class SealingError(ReconcilerError):
    """A sealing key cannot be used, or a sealed value does not open with it."""

    exit_code = 1


class OverridesError(ReconcilerError):
    """What a manual trigger wants replaced cannot be sent: a header that is not ours to set, a body for a GET."""

    exit_code = 1


class IdempotencyConflictError(ReconcilerError):
    """An ``Idempotency-Key`` was used before with a different request."""


class TokenRefusedError(ReconcilerError):
    """A token of an issuer of logins is not good; the text says why, without anything of the token."""


class IssuerUnavailableError(ReconcilerError):
    """The issuer of logins does not answer, or not usably, so that its tokens cannot be checked now."""


class ListenError(ReconcilerError):
    """The address for HTTP cannot be bound."""
