"""Credentials, encrypted as they are kept. Forbidden here: decrypting one."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.adapters.sqlite.connected import Connected
from reconciler.adapters.sqlite.rows import row, stamp
from reconciler.core import records
from reconciler.core.model import SealedCredential
from reconciler.ports import OnDamaged


class Credentials(Connected):
    """Sealed credentials."""

    async def credential(self, credential_id: str) -> SealedCredential | None:
        """One credential, encrypted as it was kept."""
        sql = "SELECT id, document FROM credentials WHERE id = ?"
        return await self._one(records.decode_credential, sql, credential_id)

    async def credentials(self, damaged: OnDamaged | None = None) -> Sequence[SealedCredential]:
        """Every credential, ordered by id; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM credentials ORDER BY id"
        return await self._find(records.decode_credential, sql, damaged=damaged)

    async def keep_credential(self, credential: SealedCredential) -> None:
        """Write a credential whole, in place of what stands under its id."""
        values = row(records.encode_credential(credential)) | {"obtained_at": stamp(credential.obtained_at)}
        sql = "INSERT OR REPLACE INTO credentials VALUES (:_id, :obtained_at, :document)"
        await self._write(lambda connection: connection.execute(sql, values))

    async def drop_credential(self, credential_id: str) -> None:
        """Forget a credential; nothing where there is none."""
        await self._write(lambda c: c.execute("DELETE FROM credentials WHERE id = ?", (credential_id,)))
