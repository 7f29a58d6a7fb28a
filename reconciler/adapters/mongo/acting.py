"""Acts in MongoDB: kept, asked for, and removed when they are old. Forbidden here: deciding what is old enough."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection

from reconciler.adapters.mongo import questions
from reconciler.adapters.mongo.applying import addition
from reconciler.adapters.mongo.connected import Connected
from reconciler.adapters.mongo.expiring import remove
from reconciler.core.act_records import decode_act, encode_act
from reconciler.core.acts import KEPT_REFUSED, Act, ActKind, ActQuery
from reconciler.core.fields import Document
from reconciler.core.records import first_id
from reconciler.ports import OnDamaged


class Acts(Connected):
    """What people and processes have done."""

    async def act(self, acts: Sequence[Act]) -> None:
        """Keep acts, in one batch; one that is there already stays."""
        await self._bulk("acts", [addition(encode_act(act)) for act in acts])

    async def acts(self, query: ActQuery, damaged: OnDamaged | None = None) -> Sequence[Act]:
        """The acts that match, newest first; those that cannot be read are told to ``damaged``."""
        return await self._newest("acts", questions.for_acts(query), decode_act, query.limit, damaged)


async def expire(acts: AsyncCollection[Document], before: datetime) -> None:
    """Remove acts that are too old, and of refused attempts those that are too many, in small commands."""
    await remove(acts, {"_id": {"$lt": first_id(before)}}, hint=[("_id", 1)])
    refused: Document = {"kind": ActKind.REFUSED.value}
    order = [("kind", 1), ("_id", -1)]
    newest = await acts.find(refused, {"_id": 1}, sort=[("_id", -1)], skip=KEPT_REFUSED, limit=1).to_list()
    for first in newest:
        await remove(acts, {**refused, "_id": {"$lte": first["_id"]}}, hint=order)
