"""What leads or stands by in a long-lived process, wired together: its part in the lead, and what it attends to.

Forbidden here: when to sync, and what follows from the lead; ``app.attending`` and the services know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reconciler.app.attending import Attending
from reconciler.app.context import Context
from reconciler.app.deciding import Deciding
from reconciler.app.following import Occasion, Occasions
from reconciler.core.model import Lease, SyncReport
from reconciler.errors import DeposedError
from reconciler.services.leading import Leadership
from reconciler.services.reconcile import Reconciliation


class Leading:
    """The parts that lead.

    Args:
        context: of the process.
        deciding: told of the lead; knows up to where everything has its record.
        reconciliation: syncs, or follows.
        synced: told of each sync.
        known: called whenever what is declared may have become another.
    """

    def __init__(
        self,
        context: Context,
        deciding: Deciding,
        reconciliation: Reconciliation,
        *,
        synced: Callable[[SyncReport], None],
        known: Callable[[], None],
    ) -> None:
        self._context = context
        self._deciding = deciding
        self.leadership = self._leadership()
        led = asyncio.Event()
        self.attending = Attending(
            reconciliation=reconciliation,
            leadership=self.leadership,
            clock=context.clock,
            stops=deciding.stops,
            occasions=_occasions(context, reconciliation, led),
            led=led,
            nudge=context.store.nudge,
            synced=synced,
            known=known,
            metrics=context.metrics,
        )

    def _leadership(self) -> Leadership:
        context = self._context
        return Leadership(
            store=context.store,
            clock=context.clock,
            process_id=context.process.id,
            span=context.settings.lease,
            accounted_until=self._deciding.accounted_until,
            on_lead=self._lead,
            on_lost=context.telling.leads_no_more,
            on_nudge=context.wake.set,
        )

    def _lead(self, lease: Lease) -> None:
        self.attending.leads(lease)
        self._deciding.lead(lease)
        self._context.telling.leads(lease)

    def writing_term(self) -> int:
        """The term that every write carries.

        Raises:
            DeposedError: this process may not write.
        """
        term = self.leadership.term
        if term is None:
            raise DeposedError("this process does not lead, or cannot know whether it does; nothing was written")
        return term


def _occasions(context: Context, reconciliation: Reconciliation, led: asyncio.Event) -> Occasions:
    return Occasions(
        context.source,
        context.clock,
        {Occasion.HOOK: context.wake, Occasion.LEAD: led},
        reconciliation.is_behind,
        context.settings.drift_interval,
    )
