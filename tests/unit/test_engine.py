"""The parts of a process are given what the settings say."""

import socket

from reconciler import settings
from reconciler.adapters.caller import HttpCaller
from reconciler.app.engine import Engine
from reconciler.app.parts import Parts
from reconciler.core.egress import Policy
from reconciler.services.reconcile import SyncOptions
from tests.fakes import MemoryStore


async def test_as_many_connections_can_be_open_as_calls_are_meant(tmp_path):
    meant = []

    def caller(policy: Policy, max_in_flight: int) -> HttpCaller:
        meant.append(max_in_flight)
        return HttpCaller(policy, max_in_flight)

    chosen = settings.load(source=str(tmp_path), max_in_flight=7)
    with socket.socket() as listening:
        Engine(chosen, MemoryStore(), listening, SyncOptions(), Parts(caller=caller))
    assert meant == [7]
