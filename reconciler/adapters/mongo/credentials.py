"""Credentials, encrypted as they are kept. Forbidden here: decrypting one."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import DeleteOne

from reconciler.adapters.mongo.applying import replacement
from reconciler.adapters.mongo.connected import Connected
from reconciler.core import records
from reconciler.core.model import SealedCredential
from reconciler.ports import OnDamaged


class Credentials(Connected):
    """Sealed credentials."""

    async def credential(self, credential_id: str) -> SealedCredential | None:
        """One credential, encrypted as it was kept."""
        return await self._one("credentials", credential_id, records.decode_credential)

    async def credentials(self, damaged: OnDamaged | None = None) -> Sequence[SealedCredential]:
        """Every credential, ordered by id; those that cannot be read are told to ``damaged``."""
        return await self._find("credentials", {}, records.decode_credential, sort=[("_id", 1)], damaged=damaged)

    async def keep_credential(self, credential: SealedCredential) -> None:
        """Write a credential whole, in place of what stands under its id."""
        await self._bulk("credentials", [replacement(records.encode_credential(credential))])

    async def drop_credential(self, credential_id: str) -> None:
        """Forget a credential; nothing where there is none."""
        await self._bulk("credentials", [DeleteOne({"_id": credential_id})])
