"""Beginning to attend while the store comes and goes."""

import asyncio
from types import SimpleNamespace

import pytest

from reconciler.app.attending import Attending
from reconciler.errors import StoreUnavailableError
from tests.fakes import FakeClock


class Following:
    """A standby's reconciliation, on a store that does not answer for so many times."""

    def __init__(self, silent: int) -> None:
        self.silent = silent

    async def follow(self) -> bool:
        if self.silent:
            self.silent -= 1
            raise StoreUnavailableError("no answer")
        return True


def attending(reconciliation: Following, known: list[str]) -> Attending:
    """A standby's."""
    return Attending(
        reconciliation=reconciliation,
        leadership=SimpleNamespace(term=None),
        clock=FakeClock(),
        stops=None,
        occasions=None,
        led=asyncio.Event(),
        nudge=None,
        synced=None,
        known=lambda: known.append("known"),
        metrics=None,
    )


async def test_a_store_that_went_away_again_after_it_was_opened_is_waited_for():
    known = []
    await attending(Following(silent=1), known).begin(wait=True)
    assert known == ["known"]


async def test_where_nobody_wants_to_wait_that_is_the_end():
    with pytest.raises(StoreUnavailableError):
        await attending(Following(silent=1), []).begin(wait=False)
