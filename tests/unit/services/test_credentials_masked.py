"""A credential is known to whatever masks before anybody can say it, wherever it has come from."""

from __future__ import annotations

import base64
import logging

import pytest

from reconciler.adapters.encryption import FernetEncryption, new_key
from reconciler.core.model import Reply
from reconciler.errors import CredentialError
from tests.unit.services.test_credentials import CLIENT, OAUTH2, World, token

TOKEN = "made-up-token-4711"


@pytest.fixture
def encryption() -> FernetEncryption:
    return FernetEncryption([new_key()])


async def _handed_on(encryption: FernetEncryption, reply: Reply) -> World:
    """A process that takes over what another one has been given and stored."""
    first = World(reply, encryption=encryption)
    await first.get()
    second = World(encryption=encryption)
    second.store = first.store
    second.credentials = second.keeper()
    return second


async def test_one_that_another_process_was_given_is_masked(encryption):
    world = await _handed_on(encryption, token(TOKEN))
    assert world.redactor.masked(TOKEN) == TOKEN
    assert await world.get() == TOKEN
    assert world.asked == 0
    assert TOKEN not in world.redactor.masked(f"Authorization: Bearer {TOKEN}")


async def test_why_there_is_none_says_nothing_of_what_was_sent_along(caplog):
    secret = World().secrets.known[CLIENT.ref.name]
    pair = base64.b64encode(f"me:{secret}".encode()).decode()
    world = World(Reply(error=f"the server broke off after {secret} and {pair}", latency_ms=1.0))
    with caplog.at_level(logging.WARNING), pytest.raises(CredentialError) as caught:
        await world.get(OAUTH2)
    for said in (str(caught.value), caplog.text):
        assert "the server broke off after" in said
        assert secret not in said
        assert pair not in said
