"""What is MongoDB's own: a URL that may hold a password, a server that may be away, indexes, a person with a shell."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from bson import DatetimeMS, ObjectId
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import CommandListener
from pymongo.uri_parser import parse_uri

from reconciler.adapters.mongo import MongoStore
from reconciler.core.model import JobKey, Retention, RunQuery, Writing
from reconciler.errors import DeposedError, SettingsError, StoreError, StoreUnavailableError
from tests.contract.relay import Relay
from tests.contract.samples import claim_of, ended, era_of, full_job, full_window, pause_of
from tests.fakes import START

# Where connecting is cancelled, as by closing a store whose server is away, pymongo forgets the socket that it made; it
# is closed when it is collected: here, and not in a test that knows nothing of it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _sockets_collected() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _database(client: MongoClient, url: str):
    return client[parse_uri(url)["database"]]


async def test_mongodb_says_what_answers_and_where(opened, mongodb_url):
    store = await opened(MongoStore(mongodb_url))
    answer = await store.check()
    assert answer.startswith("MongoDB ")
    assert answer.endswith("/" + parse_uri(mongodb_url)["database"])


async def test_mongodb_refuses_a_newer_schema_and_leaves_it_as_it_is(opened, mongodb_url, mongodb_client):
    store = await opened(MongoStore(mongodb_url))
    await store.close()
    meta = _database(mongodb_client, mongodb_url)["meta"]
    meta.update_one({"_id": "schema"}, {"$set": {"version": 5}})
    with pytest.raises(StoreError, match=r"was written by a newer reconciler \(schema 5.*upgrade"):
        await store.open()
    assert meta.find_one({"_id": "schema"}) == {"_id": "schema", "version": 5}


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_mongodb_of_an_older_version_is_raised_so_that_an_older_reconciler_refuses_it(
    opened, mongodb_url, mongodb_client, version
):
    meta = _database(mongodb_client, mongodb_url)["meta"]
    meta.insert_one({"_id": "schema", "version": version})
    await asyncio.gather(*(opened(MongoStore(mongodb_url)) for _ in range(4)))
    assert meta.find_one({"_id": "schema"}) == {"_id": "schema", "version": 4}


async def test_mongodb_refuses_another_programs_meta(mongodb_url, mongodb_client):
    _database(mongodb_client, mongodb_url)["meta"].insert_one({"_id": "schema", "theirs": True})
    with pytest.raises(StoreError, match="another program's"):
        await MongoStore(mongodb_url).open()


async def test_mongodb_has_the_indexes_that_the_questions_need(opened, mongodb_url, mongodb_client):
    store = await opened(MongoStore(mongodb_url))
    await store.claim([ended(claim_of(f"a/{i}")) for i in range(5)])
    await store.close()
    database = _database(mongodb_client, mongodb_url)
    for condition in ({"job": "a/1"}, {"application": "a"}, {"outcome": "failed"}, {"_id": {"$lt": "1"}}):
        plan = str(database["runs"].find(condition).sort("_id", -1).limit(5).explain())
        assert "IXSCAN" in plan
        assert "'stage': 'SORT'" not in plan
    await store.open()
    await store.pause(pause_of("1"))
    for condition in (
        {"endedAt": None, "until": {"$gt": START}},
        {"endedAt": {"$lt": START}},
        {"application": "a", "api": "b"},
    ):
        assert "IXSCAN" in str(database["pauses"].find(condition).explain())
    await store.apply(Writing(eras=[era_of()]))
    assert "IXSCAN" in str(database["eras"].find({"job": "a/b", "begin": {"$lte": START}}).explain())
    ids = database["runs"].find({"_id": {"$gte": "0"}}, {"_id": 1}).explain()
    assert "'stage': 'FETCH'" not in str(ids)
    last = [{"$sort": {"job": 1, "_id": -1}}, {"$group": {"_id": "$job", "newest": {"$first": "$$ROOT"}}}]
    explained = database.command("explain", {"aggregate": "runs", "pipeline": last, "cursor": {}})
    assert "DISTINCT_SCAN" in str(explained)


async def test_mongodb_reads_what_a_person_has_added_or_written_with_a_shell(opened, mongodb_url, mongodb_client):
    store = await opened(MongoStore(mongodb_url))
    await store.apply(Writing(jobs=[full_job()]))
    jobs = _database(mongodb_client, mongodb_url)["jobs"]
    jobs.update_one({}, {"$set": {"note": "mine", "line": 42.0, "request.extra": 1}})  # a shell's numbers are doubles
    assert list(await store.jobs()) == [full_job()]
    jobs.update_one({}, {"$unset": {"request.url": 1}})
    with pytest.raises(StoreError, match=r"billing/nightly.*url is missing"):
        await store.jobs()


async def test_mongodb_tells_records_that_a_shell_has_put_there_and_reads_the_rest(opened, mongodb_url, mongodb_client):
    store = await opened(MongoStore(mongodb_url))
    await store.apply(Writing(jobs=[full_job("a/b"), full_job("a/c"), full_job("a/d")]))
    jobs = _database(mongodb_client, mongodb_url)["jobs"]
    odd = ObjectId()
    jobs.insert_one({"_id": odd, "note": "mine"})
    jobs.insert_one({"_id": {"a": 1}})
    jobs.update_one({"_id": "a/c"}, {"$set": {"since": DatetimeMS(10**15)}})  # a year that Python does not know
    told: dict[str, str] = {}
    assert list(await store.jobs(told.__setitem__)) == [full_job("a/b"), full_job("a/d")]
    assert told == {
        "a/c": "since is not an instant",
        str(odd): "application is missing",
        "{'a': 1}": "application is missing",
    }
    with pytest.raises(StoreError, match="since is not an instant"):
        await store.job(full_job("a/c").key)


@pytest.mark.parametrize("exchanged", [False, True])
async def test_a_rename_whose_answers_are_lost_is_completed_by_the_same_call(
    opened, mongodb_url, relay, relayed_url, exchanged
):
    beside = await opened(MongoStore(mongodb_url))
    old, new = JobKey("a", "old"), JobKey("a", "new")
    mine = [ended(claim_of("a/old", START + timedelta(hours=hour))) for hour in range(3)]
    theirs = [ended(claim_of("a/new", START + timedelta(hours=hour))) for hour in range(2)] if exchanged else []
    await beside.claim(mine + theirs)
    await beside.apply(Writing(jobs=[full_job("a/old")]))
    renamed = {old: new, new: old} if exchanged else {old: new}
    change = {
        "jobs": [full_job(str(key)) for key in renamed.values()],
        "removed_jobs": [] if exchanged else [old],
        "windows": [full_window()],
        "renamed": renamed,
    }
    store = await opened(MongoStore(relayed_url, patience=timedelta(seconds=1)))
    relay.loses_answers = True  # the first write is done, and nothing after it
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await store.apply(Writing(**change))
    relay.loses_answers = False
    await store.apply(Writing(**change))
    assert {run.id for run in await beside.runs(RunQuery(application="a", api="new"))} == {run.id for run in mine}
    assert {run.id for run in await beside.runs(RunQuery(application="a", api="old"))} == {run.id for run in theirs}
    assert {stored.key for stored in await beside.jobs()} == set(renamed.values())
    assert list(await beside.windows()) == [full_window()]


async def test_a_mongodb_that_is_away_is_unavailable_within_seconds_and_no_password_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    store = MongoStore(f"mongodb://bob:hunter2@127.0.0.1:{port}/reconciler")
    began = time.perf_counter()
    with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{port}/reconciler: MongoDB does not answer") as caught:
        await store.open()
    assert time.perf_counter() - began < 5
    assert "hunter2" not in _everything_told(caught.value)


@pytest.fixture
async def relay(mongodb_url) -> AsyncIterator[Relay]:
    made = Relay(*parse_uri(mongodb_url)["nodelist"][0])
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def relayed_url(mongodb_url: str, relay: Relay) -> str:
    """The same database, by way of the relay."""
    users, database, options = re.fullmatch(r"mongodb://(.*@)?[^/@]+/([^?]*)\??(.*)", mongodb_url).groups("")
    others = [option for option in options.split("&") if option and not option.startswith("directConnection")]
    return f"mongodb://{users}127.0.0.1:{relay.port}/{database}?{'&'.join(['directConnection=true', *others])}"


async def test_a_mongodb_that_goes_away_is_unavailable_and_usable_when_it_is_back(opened, relay, relayed_url):
    store = await opened(MongoStore(relayed_url, patience=timedelta(seconds=1)))
    before, meanwhile, after = (claim_of(f"a/{when}") for when in ("before", "meanwhile", "after"))
    await store.claim([before])
    await relay.close()
    for verb in (store.claim([meanwhile]), store.finish([ended(before)]), store.runs(RunQuery()), store.last_runs()):
        with pytest.raises(StoreUnavailableError):
            await verb
    await relay.open()
    assert await store.claim([after]) == {after.id}
    assert set(await store.unfinished()) == {before, after}


@pytest.mark.parametrize("loses_answers", [False, True], ids=["gone", "answers lost"])
async def test_clearing_away_waits_no_longer_for_a_mongodb_that_is_away(opened, relay, relayed_url, loses_answers):
    store = await opened(MongoStore(relayed_url, patience=timedelta(seconds=1)))
    many = [claim_of("a/old", START + timedelta(seconds=second)) for second in range(20)]
    await store.claim(many)
    await store.finish([ended(run) for run in many])
    if loses_answers:
        relay.loses_answers = True
    else:
        await relay.close()
    began = time.perf_counter()
    with pytest.raises(StoreUnavailableError):
        await store.expire(now=START, retention=Retention(keep_per_job=1), applications={})
    assert time.perf_counter() - began < 10
    relay.loses_answers = False
    if not loses_answers:
        await relay.open()
    await store.expire(now=START, retention=Retention(keep_per_job=1), applications={})
    assert await store.runs(RunQuery()) == [ended(many[-1])]


async def test_a_claim_whose_answer_is_lost_stands_and_is_ours_when_repeated(opened, mongodb_url, relay, relayed_url):
    beside = await opened(MongoStore(mongodb_url))
    theirs = claim_of("a/taken", owner="there")
    await beside.claim([theirs])
    store = await opened(MongoStore(relayed_url, patience=timedelta(seconds=1)))
    runs = [claim_of("a/free"), claim_of("a/taken")]
    relay.loses_answers = True
    with pytest.raises(StoreUnavailableError):
        await store.claim(runs)
    assert set(await beside.unfinished()) == {theirs, runs[0]}
    relay.loses_answers = False
    assert await store.claim(runs) == {runs[0].id}


async def test_a_finish_whose_answer_is_lost_stands_and_may_be_repeated(opened, mongodb_url, relay, relayed_url):
    store = await opened(MongoStore(relayed_url, patience=timedelta(seconds=1)))
    beside = await opened(MongoStore(mongodb_url))
    run = claim_of()
    await store.claim([run])
    relay.loses_answers = True
    with pytest.raises(StoreUnavailableError):
        await store.finish([ended(run)])
    relay.loses_answers = False
    assert await beside.run(run.id) == ended(run)
    await store.finish([ended(run)])
    assert await beside.run(run.id) == ended(run)


async def test_a_lease_whose_answers_are_lost_is_ours_with_one_term_and_the_mark_that_was_left(
    opened, mongodb_url, relay, relayed_url
):
    beside = await opened(MongoStore(mongodb_url))
    await beside.lead("old", timedelta(0), START)
    store = await opened(MongoStore(relayed_url, patience=timedelta(seconds=1)))
    relay.loses_answers = True
    with pytest.raises(StoreUnavailableError):
        await store.lead("new", timedelta(hours=1), START)
    relay.loses_answers = False
    lease = await store.lead("new", timedelta(hours=1), START)
    assert (lease.holder, lease.term, lease.accounted_until) == ("new", 2, START)


async def test_a_fenced_claim_whose_answer_is_lost_stands_and_is_ours_when_repeated(
    opened, mongodb_url, relay, relayed_url
):
    beside = await opened(MongoStore(mongodb_url))
    await beside.lead("here", timedelta(hours=1), START)
    theirs = claim_of("a/taken", owner="there")
    await beside.claim([theirs])
    store = await opened(MongoStore(relayed_url, patience=timedelta(seconds=1)))
    runs = [claim_of("a/free", term=1), claim_of("a/taken", term=1)]
    relay.loses_answers = True
    with pytest.raises(StoreUnavailableError):
        await store.claim(runs, term=1)
    assert set(await beside.unfinished()) == {theirs, runs[0]}
    relay.loses_answers = False
    assert await store.claim(runs, term=1) == {runs[0].id}


async def test_a_fenced_claim_is_refused_where_somebody_has_removed_the_lease(opened, mongodb_url, mongodb_client):
    store = await opened(MongoStore(mongodb_url))
    await store.lead("here", timedelta(hours=1), START)
    _database(mongodb_client, mongodb_url)["leases"].drop()
    with pytest.raises(DeposedError, match="the lease is gone; ours was 1"):
        await store.claim([claim_of(term=1)], term=1)
    with pytest.raises(DeposedError, match="the lease is gone; ours was 1"):
        await store.apply(Writing(jobs=[full_job()]), term=1)
    assert list(await store.unfinished()) == list(await store.jobs()) == []


async def test_what_mongodb_cannot_hold_is_refused_under_a_term_too_and_the_store_stays_usable(opened, mongodb_url):
    store = await opened(MongoStore(mongodb_url))
    await store.lead("here", timedelta(hours=1), START)
    with pytest.raises(StoreError, match="cannot hold this"):
        await store.claim([replace(claim_of(term=1), revision="\udc80")], term=1)
    assert await store.claim([claim_of(term=1)], term=1) == {claim_of().id}


class _Commands(CommandListener):
    """Counts what is asked of the server."""

    def __init__(self):
        self.names = []

    def started(self, event):
        if event.command_name not in ("hello", "isMaster", "endSessions"):
            self.names.append(event.command_name)

    def succeeded(self, event):
        pass

    def failed(self, event):
        pass


async def test_a_fenced_batch_of_claims_takes_two_round_trips_and_one_of_results_one(opened, mongodb_url):
    store = await opened(MongoStore(mongodb_url))
    await store.lead("here", timedelta(hours=1), START)
    commands = _Commands()
    await store._client.close()
    store._client = AsyncMongoClient(mongodb_url, event_listeners=[commands])
    store._opened = store._client[store._address.database].with_options(codec_options=store._opened.codec_options)
    runs = [claim_of(f"a/{number}", term=1) for number in range(1000)]
    assert len(await store.claim(runs, term=1)) == 1000
    await store.finish([ended(run) for run in runs])
    assert Counter(commands.names) == {"aggregate": 2, "update": 1}


def _everything_told(error: BaseException) -> str:
    """The texts of an error and of all that caused it, as a crash would print them."""
    told = []
    while error is not None:
        told += [str(error), repr(error)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(told)


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://bob:hunter2@127.0.0.1:1",
        "mongodb://bob:hunter2@127.0.0.1:1/",
        "mongodb://bob:hunter2@127.0.0.1:1/a.b",
        "mongodb://bob:hunter2@127.0.0.1:port/reconciler",
        "mongodb://bob:%hunter2@127.0.0.1:1/reconciler",
        "mongodb://bob:hun/ter2@127.0.0.1:1/reconciler",
        "mongodb://bob:hunter2/x?@127.0.0.1:1/reconciler",
        "mongodb://bob:hunter2@127.0.0.1:1/reconciler?authMechanism=hunter2",
        "mongodb://bob:hunter2@127.0.0.1:1/reconciler?noSuchOption=hunter2",
    ],
)
async def test_a_url_that_cannot_be_used_is_a_wrong_setting_and_no_password_is_told(url):
    with pytest.raises(SettingsError) as caught:
        await MongoStore(url).open()
    told = _everything_told(caught.value)
    assert "hun" not in told
    assert "ter2" not in told


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mongodb://localhost", "mongodb://localhost: the URL does not name a database; write mongodb://host/database"),
        ("mongodb://", "the URL cannot be read; write mongodb://host/database"),
        ("mongodb+srv://cluster.example.com/?w=1", "does not name a database"),
    ],
)
def test_a_url_without_a_database_says_what_to_write(url, complaint):
    with pytest.raises(SettingsError) as caught:
        MongoStore(url)
    assert complaint in str(caught.value)


async def test_an_option_that_mongodb_does_not_know_is_refused_and_not_passed_over():
    with pytest.raises(SettingsError, match=r"(?i)nosuchoption"):
        await MongoStore("mongodb://127.0.0.1:1/reconciler?noSuchOption=1").open()
