"""What the driver complains about, as errors of ours. Forbidden here: recovering from it."""

from __future__ import annotations

import re

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WTimeoutError,
)

from reconciler.errors import StoreError, StoreUnavailableError

DUPLICATE = 11000
_NOT_ALLOWED = (13, 18)  # Unauthorized, AuthenticationFailed (the server's error_codes.yml)
_LONGEST = 300


def taken(error: BulkWriteError) -> set[int]:
    """Places, in the batch, of the runs that stand in the store already.

    Raises:
        BulkWriteError: anything else went wrong as well.
    """
    wrong = error.details
    if wrong.get("writeConcernErrors") or any(one["code"] != DUPLICATE for one in wrong["writeErrors"]):
        raise error
    return {one["index"] for one in wrong["writeErrors"]}


def translation(error: PyMongoError, place: str, *, is_srv: bool) -> StoreError:
    """The error of ours that says what the driver's means."""
    if isinstance(error, BulkWriteError):
        return _bulk_translation(error, place)
    if error.timeout or isinstance(error, (ConnectionFailure, WTimeoutError)):
        return StoreUnavailableError(f"{place}: MongoDB does not answer: {_short(error)}")
    looked_up_in_vain = isinstance(error, ConfigurationError) and is_srv
    if looked_up_in_vain or isinstance(error, WriteConcernError) or error.has_error_label("RetryableWriteError"):
        return StoreUnavailableError(f"{place}: MongoDB cannot do it now: {_short(error)}")
    if isinstance(error, OperationFailure) and error.code in _NOT_ALLOWED:
        return StoreError(f"{place}: MongoDB does not allow this user to: {_short(error)}")
    return StoreError(f"{place}: MongoDB refuses: {_short(error)}")


def _bulk_translation(error: BulkWriteError, place: str) -> StoreError:
    """The first reason; ``details`` holds whole documents, which belong in no message."""
    wrong = error.details
    if wrong.get("writeErrors"):
        first = wrong["writeErrors"][0]
        return StoreError(
            f"{place}: MongoDB refuses a write: {first.get('errmsg', '')[:_LONGEST]} ({first.get('code')})"
        )
    return StoreUnavailableError(f"{place}: MongoDB cannot confirm a write by a majority")


def _short(error: PyMongoError) -> str:
    """What the driver says, without its description of the whole topology and without the server's document."""
    return re.split(r", Timeout: |, full error: | \(configured timeouts:|, Topology Description:", str(error))[0][
        :_LONGEST
    ]
