"""What the MongoDB store makes of answers that a single test server never gives."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from reconciler.adapters.mongo.address import Address
from reconciler.adapters.mongo.refusals import taken, translation
from reconciler.adapters.mongo.schema import concern, is_replicated
from reconciler.errors import SettingsError, StoreError, StoreUnavailableError

DUPLICATE = {"index": 1, "code": 11000, "errmsg": "E11000 duplicate key", "op": {"excerpt": "private"}}
TOO_LARGE = {"index": 0, "code": 10334, "errmsg": "BSONObj size is invalid", "op": {"excerpt": "private"}}


def _bulk(*write_errors, unconfirmed=()):
    return BulkWriteError({"writeErrors": list(write_errors), "writeConcernErrors": list(unconfirmed)})


def _retryable() -> OperationFailure:
    error = OperationFailure("shutting down", 91)
    error._add_error_label("RetryableWriteError")
    return error


@pytest.mark.parametrize(
    "error",
    [
        ServerSelectionTimeoutError("nobody there"),
        AutoReconnect("connection closed"),
        NetworkTimeout("timed out"),
        NotPrimaryError("stepped down"),
        WTimeoutError("waiting for replication timed out", 64),
        WriteConcernError("not enough servers", 100),
        _retryable(),
        _bulk(unconfirmed=[{"code": 64, "errmsg": "waiting for replication timed out"}]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_unavailable(error):
    told = translation(error, "db.example/reconciler", is_srv=False)
    assert type(told) is StoreUnavailableError
    assert str(told).startswith("db.example/reconciler: MongoDB ")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OperationFailure("Authentication failed.", 18), "does not allow this user"),
        (OperationFailure("not authorized on reconciler", 13), "does not allow this user"),
        (OperationFailure("unknown operator", 2), "refuses: unknown operator"),
        (_bulk(TOO_LARGE), "refuses a write: BSONObj size is invalid"),
        (PyMongoError("something else"), "refuses: something else"),
        (ConfigurationError("unusable"), "refuses: unusable"),
    ],
    ids=str,
)
def test_what_will_not_pass_is_refused(error, text):
    told = translation(error, "db.example/reconciler", is_srv=False)
    assert type(told) is StoreError
    assert text in str(told)


def test_hosts_that_cannot_be_looked_up_may_be_found_later():
    error = ConfigurationError("The DNS query name does not exist")
    assert type(translation(error, "x/y", is_srv=True)) is StoreUnavailableError


def test_a_message_tells_neither_documents_nor_the_whole_topology():
    assert "private" not in str(translation(_bulk(TOO_LARGE), "x/y", is_srv=False))
    long = ServerSelectionTimeoutError(
        "db:27017: refused (configured timeouts: socketTimeoutMS: 1ms), Timeout: 3.0s, Topology Description: <…>"
    )
    assert str(translation(long, "x/y", is_srv=False)) == "x/y: MongoDB does not answer: db:27017: refused"


def test_only_duplicates_say_that_a_slot_is_taken():
    assert taken(_bulk(DUPLICATE, DUPLICATE | {"index": 4})) == {1, 4}


@pytest.mark.parametrize("error", [_bulk(DUPLICATE, TOO_LARGE), _bulk(DUPLICATE, unconfirmed=[{"code": 64}])])
def test_a_claim_is_not_believed_where_anything_else_went_wrong(error):
    with pytest.raises(BulkWriteError):
        taken(error)


@pytest.mark.parametrize(
    ("hello", "replicated"),
    [({"isWritablePrimary": True}, False), ({"setName": "rs0"}, True), ({"msg": "isdbgrid"}, True)],
)
def test_a_replica_set_and_a_router_are_told_from_a_single_server(hello, replicated):
    assert is_replicated(hello) is replicated


def test_writes_wait_for_the_journal_and_where_there_are_several_servers_for_a_majority():
    assert concern(replicated=False).document == {"w": 1, "j": True}
    assert concern(replicated=True).document == {"w": "majority", "j": True, "wtimeout": 10_000}


@pytest.mark.parametrize(
    ("url", "place", "database", "is_srv"),
    [
        ("mongodb://db.example/reconciler", "db.example/reconciler", "reconciler", False),
        ("mongodb://bob:secret@a:1,b:2/x?replicaSet=rs0", "a:1,b:2/x", "x", False),
        ("mongodb+srv://bob:secret@cluster.example.com/x", "cluster.example.com/x", "x", True),
        ("mongodb://%2Frun%2Fdb.sock/x", "%2Frun%2Fdb.sock/x", "x", False),
        ("mongodb://db.example/x?appName=a@b", "db.example/x", "x", False),
    ],
)
def test_a_url_is_named_by_hosts_and_database(url, place, database, is_srv):
    address = Address(url)
    assert (address.place, address.database, address.is_srv) == (place, database, is_srv)


def test_the_url_has_the_last_word_on_options():
    address = Address("mongodb://h/x?serverSelectionTimeoutMS=1&APPNAME=mine&w=2")
    ours = address.options(timedelta(seconds=3))
    assert ours == {"connectTimeoutMS": 3000, "socketTimeoutMS": 20_000}
    assert address.sets_concern
    assert not Address("mongodb://h/x?wait=1").sets_concern


@pytest.mark.parametrize("url", ["mongodb://u:pass?word@h/x", "mongodb://u:pass/word@h", "mongodb://u:password@h/a b"])
def test_a_url_that_may_hold_a_password_is_not_repeated(url):
    with pytest.raises(SettingsError) as caught:
        Address(url)
    assert "pass" not in str(caught.value)
    assert "word" not in str(caught.value)
