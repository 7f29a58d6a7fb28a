"""What answers by HTTP in a long-lived process, wired together: who may come, what is shown, and whether it is ready.

Forbidden here: what an answer says.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from reconciler.app import admitting
from reconciler.app.calling import Calling
from reconciler.app.context import Context
from reconciler.app.deciding import Deciding
from reconciler.app.descriptors import most_connections
from reconciler.app.leading import Leading
from reconciler.app.masking import REDACTOR
from reconciler.app.remembered import Remembered
from reconciler.core.instants import absolute
from reconciler.errors import StoreUnavailableError
from reconciler.services.reconcile import Reconciliation
from reconciler.version import VERSION
from reconciler.web.access import Access, AccessRules
from reconciler.web.app import create
from reconciler.web.connections import Bounds
from reconciler.web.server import HttpServer
from reconciler.web.state import WebState
from reconciler.web.tls import tls_context


class Answering:
    """The parts that answer.

    Args:
        context: of the process.
        calling: asks whoever issues logins.
        reconciliation: knows what is declared.
        deciding: makes the runs that are triggered.
        leading: knows since when the store is away.
        listening: the address that is listened on.
    """

    def __init__(
        self,
        context: Context,
        calling: Calling,
        reconciliation: Reconciliation,
        deciding: Deciding,
        leading: Leading,
        listening: socket.socket,
    ) -> None:
        self._context = context
        self._reconciliation = reconciliation
        self._leadership = leading.leadership
        self._rules = self._access_rules(calling, host=listening.getsockname()[0])
        settings, self._door = context.settings, admitting.door(context.settings)
        self.server = HttpServer(
            create(self._web_state(deciding)),
            listening,
            tls=tls_context(settings.tls_cert, settings.tls_key),
            bounds=Bounds(most=most_connections(settings.max_in_flight), proxies=self._door.proxies),
        )

    def _access_rules(self, calling: Calling, *, host: str) -> AccessRules:
        issuer = admitting.issuer(self._context.settings, calling.caller, self._context.clock)
        return admitting.access_rules(
            self._context.settings,
            tokens=lambda: self._reconciliation.access_tokens,
            claims=None if issuer is None else issuer.claims,
            host=host,
        )

    def _web_state(self, deciding: Deciding) -> WebState:
        context = self._context
        return WebState(
            store=context.store,
            declared=Remembered(self._reconciliation),
            now=context.clock.now,
            trigger=deciding.runner.trigger,
            readiness=self.readiness,
            metrics=context.metrics,
            access=Access(self._rules, context.clock.now, context.acts),
            acts=context.acts,
            door=self._door,
            settings=context.settings.shown(),
            redactor=REDACTOR,
            hook_secret=context.settings.hook_secret,
            wake=context.wake.set,
            concerns=context.source.concerns,
            version=VERSION,
            source=context.source.name,
            next_due=context.clock.next_due,
        )

    def must_be_closed(self) -> None:
        """Refuse to go on where nobody has said who may read, and others than this machine may come.

        Raises:
            SettingsError: saying what to do.
        """
        admitting.must_be_closed(self._context.settings, self._rules)

    async def readiness(self) -> Sequence[str]:
        """Why this process is not ready."""
        if self._reconciliation.checked_at is None:
            return ["the first sync has not ended"]
        try:
            await self._context.store.check()
        except StoreUnavailableError as error:
            self._context.metrics.observe_store(up=False)
            since = self._leadership.away_since
            return [f"the store is away{'' if since is None else f' since {absolute(since)}'}: {error}"]
        self._context.metrics.observe_store(up=True)
        return []
