"""References to secret values, and where each is put in. Forbidden here: decisions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Where a secret value is found; never the value.

    Attributes:
        kind: ``env``, ``file`` or ``sealed``.
        name: the variable, the path, the sealed text.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind != "sealed" else f"sealed, key {self.name.split('.')[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """A place of a request at which a secret value goes out.

    Attributes:
        place: ``header:NAME``, ``query:NAME``, ``form:NAME``, ``body:/json/pointer`` or ``auth:FIELD``; in the request
            of a handshake ``auth:`` and one of these.
        shared: it is sealed for the Application, which declares it for all its Apis.
    """

    place: str
    ref: SecretRef
    shared: bool = False

    def field(self, api: str) -> str:
        """What a sealed value is bound to, beside the Application: ``api/nightly/header:x-key``, ``header:x-key``."""
        where, colon, name = self.place.rpartition("header:")  # capitals make no difference in its name
        place = f"{where}{colon}{name.lower()}" if colon and where in ("", "auth:") else self.place
        return place if self.shared else f"api/{api}/{place}"
