from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import act_records, declared_records, fields, records
from reconciler.core.acts import Act, ActKind
from reconciler.core.model import (
    After,
    ApplicationState,
    Attempt,
    Auth,
    Calendar,
    Cause,
    Commit,
    Drift,
    Era,
    Expectation,
    FreezeWindow,
    HttpRequest,
    Job,
    JobKey,
    Lease,
    Outcome,
    Pause,
    Process,
    Rate,
    Retention,
    RetryPolicy,
    Run,
    Schedule,
    SealedCredential,
    SecretRef,
    SecretUse,
    StoredJob,
    SyncReport,
    whole_milliseconds,
)
from reconciler.core.pauses import FOREVER
from reconciler.core.runs import run_id
from reconciler.errors import StoreError

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[3] / "docs" / "state.md"

words = st.text(max_size=20)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
mappings = st.dictionaries(words, words, max_size=3)
lists = st.lists(words, max_size=3).map(tuple)
counts = st.integers(min_value=-(2**53), max_value=2**53)
numbers = st.floats(allow_nan=False, allow_infinity=False)
EARLIEST = datetime(1, 1, 2)  # noqa: DTZ001 - hypothesis adds the zone itself
LATEST = datetime(9999, 12, 30)  # noqa: DTZ001 - as above
instants = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)).map(whole_milliseconds)
spans = st.integers(min_value=0, max_value=3650 * 86_400_000).map(lambda ms: timedelta(milliseconds=ms))
keys = st.builds(JobKey, names, names)


def maybe(strategy):
    return st.none() | strategy


calendars = st.builds(
    Calendar,
    name=words,
    zone=words,
    dates=lists,
    weekly=lists,
    ranges=st.lists(st.tuples(words, words), max_size=3).map(tuple),
)
schedules = st.builds(
    Schedule,
    declared=words,
    cron=maybe(words),
    every=maybe(spans),
    at=maybe(instants),
    zone=words,
    starts_at=maybe(instants),
    ends_at=maybe(instants),
    after=maybe(st.builds(After, key=keys, on=words)),
    but_not=st.lists(calendars, max_size=2).map(tuple),
    only=st.lists(calendars, max_size=2).map(tuple),
)
secrets = st.builds(SecretUse, place=words, ref=st.just(SecretRef(kind="env", name="KEY")), shared=st.booleans())
auth_requests = st.builds(HttpRequest, method=words, url=words, headers=mappings, body=maybe(words))
auths = st.builds(
    Auth,
    kind=st.sampled_from(["basic", "bearer", "header", "hmac"]),
    username=words,
    header=words,
    secrets=st.lists(secrets, max_size=2).map(tuple),
) | st.builds(
    Auth,
    kind=st.sampled_from(["oauth2", "handshake"]),
    username=words,
    request=auth_requests,
    scopes=lists,
    audience=words,
    style=words,
    secrets=st.lists(secrets, max_size=2).map(tuple),
)
commits = st.builds(Commit, id=words, author=words, date=instants, subject=words)
jobs = st.builds(
    StoredJob,
    job=st.builds(
        Job,
        key=keys,
        description=words,
        labels=mappings,
        schedule=schedules,
        request=st.builds(HttpRequest, method=words, url=words, headers=mappings, body=maybe(words)),
        expect=st.builds(Expectation, status=lists, contains=maybe(words)),
        retry=st.builds(RetryPolicy, limit=counts, initial_delay=spans, factor=numbers, max_delay=spans),
        timeout=spans,
        concurrency_policy=words,
        starting_deadline=spans,
        catch_up=words,
        delivery=words,
        jitter=spans,
        suspend=st.booleans(),
        max_concurrency=maybe(counts),
        max_rate=maybe(st.builds(Rate, counts, spans)),
        stop_after_failures=maybe(counts),
        file=words,
        line=counts,
        digest=words,
        derived_from=words,
        auth=maybe(auths),
    ),
    revision=words,
    since=instants,
    applied_at=maybe(instants),
    commit=maybe(commits),
)
applications = st.builds(
    ApplicationState,
    name=words,
    description=words,
    labels=mappings,
    base_url=maybe(words),
    suspend=st.booleans(),
    file=words,
    line=counts,
    held=st.booleans(),
    problems=lists,
    since=instants,
    revision=words,
    prune=words,
    history=maybe(st.builds(Retention, keep_for=spans, keep_failures_for=spans, keep_per_job=counts)),
)
eras = st.builds(Era, key=keys, begin=instants, schedule=maybe(schedules), revision=words, file=words, line=counts)
windows = st.builds(
    FreezeWindow,
    name=words,
    mode=words,
    start=schedules,
    duration=spans,
    applications=lists,
    catch_up=words,
    description=words,
    file=words,
    line=counts,
)
pauses = st.builds(
    Pause,
    id=words,
    application=words,
    api=maybe(words),
    reason=words,
    by=words,
    since=instants,
    until=instants,
    ended_at=maybe(instants),
    ended_by=words,
)
attempts = st.builds(
    Attempt,
    number=counts,
    started_at=instants,
    latency_ms=numbers,
    status=maybe(counts),
    error=maybe(words),
    sent=st.booleans(),
)
runs = st.builds(
    Run,
    id=words,
    key=keys,
    slot=instants,
    cause=st.sampled_from(Cause),
    outcome=st.sampled_from(Outcome),
    reason=words,
    owner=words,
    claimed_at=instants,
    started_at=maybe(instants),
    finished_at=maybe(instants),
    attempts=st.lists(attempts, max_size=3).map(tuple),
    excerpt=words,
    revision=words,
    file=words,
    line=counts,
    delivery=words,
    overrides=lists,
    term=counts,
    slots=counts,
    through=maybe(instants),
    upstream=words,
    correlation=words,
)
leases = st.builds(
    Lease,
    holder=words,
    term=counts,
    since=instants,
    expires_at=instants,
    accounted_from=instants,
    accounted_until=instants,
)
drifts = st.builds(
    Drift,
    key=keys,
    where=words,
    field=words,
    found=maybe(words),
    declared=maybe(words),
    put_back=st.booleans(),
)
reports = st.builds(
    SyncReport,
    id=words,
    source=words,
    revision=words,
    result=words,
    started_at=instants,
    duration_ms=numbers,
    files=counts,
    parsed=counts,
    jobs=counts,
    added=counts,
    changed=counts,
    removed=counts,
    held=lists,
    problems=lists,
    kept=lists,
    error=words,
    renamed=counts,
    commit=maybe(commits),
    notes=lists,
    drift=st.lists(drifts, max_size=3).map(tuple),
    environment=words,
)
processes = st.builds(
    Process,
    id=words,
    role=words,
    host=words,
    pid=counts,
    version=words,
    source=words,
    listen=words,
    started_at=instants,
    seen_at=instants,
    unreadable=st.lists(words).map(tuple),
)
credentials = st.builds(
    SealedCredential,
    id=words,
    application=words,
    kind=words,
    digest=words,
    sealed=words,
    obtained_at=instants,
    expires_at=maybe(instants),
)

acts = st.builds(
    Act,
    id=words,
    kind=st.sampled_from(ActKind),
    at=instants,
    who=words,
    source=words,
    application=words,
    api=maybe(words),
    subject=words,
    result=words,
    detail=words,
    run=words,
    count=counts,
)

KINDS = {
    "acts": (acts, act_records.encode_act, act_records.decode_act),
    "jobs": (jobs, declared_records.encode_job, declared_records.decode_job),
    "applications": (applications, declared_records.encode_application, declared_records.decode_application),
    "eras": (eras, declared_records.encode_era, declared_records.decode_era),
    "windows": (windows, declared_records.encode_window, declared_records.decode_window),
    "runs": (runs, records.encode_run, records.decode_run),
    "syncs": (reports, records.encode_report, records.decode_report),
    "pauses": (pauses, records.encode_pause, records.decode_pause),
    "leases": (leases, records.encode_lease, records.decode_lease),
    "processes": (processes, records.encode_process, records.decode_process),
    "credentials": (credentials, records.encode_credential, records.decode_credential),
}


def a_run(**changes) -> Run:
    described = {
        "id": "019b76da-a800-86e6-a87e-2d2ab667fd21",
        "key": JobKey("billing", "nightly"),
        "slot": START + timedelta(minutes=59, seconds=59, milliseconds=999),
        "cause": Cause.SCHEDULE,
        "outcome": Outcome.SUCCEEDED,
        "claimed_at": START,
        "attempts": (Attempt(number=1, started_at=START, latency_ms=12.6, status=200),),
    }
    return Run(**(described | changes))


SECRET = SecretUse(place="header:X", ref=SecretRef(kind="env", name="KEY"))


def some_documents() -> dict[str, fields.Document]:
    """A document of each kind, with every optional part filled."""
    plain = Schedule(declared="x", cron="x", every=timedelta(1), at=START, starts_at=START, ends_at=START)
    calendar = Calendar(name="c", dates=("12-25",), weekly=("SUN",), ranges=(("12-27", "01-02"),))
    job = Job(
        key=JobKey("billing", "nightly"),
        schedule=replace(plain, after=After(key=JobKey("a", "b")), but_not=(calendar,)),
        request=HttpRequest(method="GET", url="x", headers={"a": "b"}, body="x", secrets=(SECRET,)),
        expect=Expectation(contains="x"),
        max_concurrency=1,
        max_rate=Rate(1, timedelta(1)),
        stop_after_failures=1,
        auth=Auth(kind="oauth2", request=HttpRequest(method="POST", url="x", headers={"a": "b"}), secrets=(SECRET,)),
    )
    run = a_run(started_at=START, finished_at=START, term=1, slots=2, through=START)
    commit = Commit(id="c0ffee", author="A <a@example.com>", date=START, subject="s")
    drift = Drift(key=JobKey("billing", "nightly"), where="store", field="timeout", found="1s", declared="2s")
    report = SyncReport(id="1", source="s", revision="r", result="applied", started_at=START, duration_ms=1.5)
    window = FreezeWindow(name="w", mode="deny", start=plain, duration=timedelta(1))
    pause = Pause(id="1", application="a", api="b", reason="r", by="me", since=START, until=START, ended_at=START)
    return {
        "jobs": declared_records.encode_job(
            StoredJob(job=job, revision="r", since=START, applied_at=START, commit=commit)
        ),
        "applications": declared_records.encode_application(
            ApplicationState(name="billing", base_url="x", since=START, history=Retention())
        ),
        "eras": declared_records.encode_era(Era(key=job.key, begin=START, schedule=plain)),
        "windows": declared_records.encode_window(window),
        "runs": records.encode_run(run),
        "syncs": records.encode_report(replace(report, commit=commit, drift=(drift,))),
        "pauses": records.encode_pause(pause),
        "acts": act_records.encode_act(Act(id="1", kind=ActKind.PAUSE, at=START, who="me", source="here")),
        "processes": records.encode_process(
            Process(
                id="p",
                role="run",
                host="h",
                pid=1,
                version="1",
                started_at=START,
                seen_at=START,
                unreadable=("x",),
            )
        ),
        "leases": records.encode_lease(
            Lease(
                holder="p",
                term=1,
                since=START,
                expires_at=START,
                accounted_from=START,
                accounted_until=START,
            )
        ),
        "tokens": records.encode_token("t", "f", "r", START),
        "credentials": records.encode_credential(
            SealedCredential(
                id="a/1", application="a", kind="Basic", digest="1", sealed="x", obtained_at=START, expires_at=START
            )
        ),
    }


DECODERS = {kind: decode for kind, (_, _, decode) in KINDS.items()} | {"tokens": records.decode_token}


def through_json(document: fields.Document) -> fields.Document:
    return json.loads(json.dumps(document, default=lambda value: value.isoformat().replace("+00:00", "Z")))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_nothing_is_lost_between_writing_and_reading(kind, data):
    strategy, encode, decode = KINDS[kind]
    record = data.draw(strategy)
    document = encode(record)
    assert decode(document) == record
    assert decode(through_json(document)) == record


def test_what_a_token_stands_for_is_read_back():
    assert records.decode_token(records.encode_token("token", "print", "run", START)) == ("print", "run")


@pytest.mark.parametrize("kind", DECODERS)
def test_fields_that_are_not_known_are_passed_over(kind):
    document = some_documents()[kind]
    assert DECODERS[kind](document | {"note": "mine", "$x": 1}) == DECODERS[kind](document)


DERIVED = {"runs": {"job", "hour", "latencyMs"}, "eras": {"job"}, "tokens": {"at"}}
NAMES_ONLY = {"tokens": {"_id"}, "eras": {"_id"}, "leases": {"_id"}}
NEWER = {  # what documents of older schema versions lack
    "jobs": {"derivedFrom", "appliedAt", "commit", "maxRate", "stopAfterFailures", "auth"},
    "applications": {"revision", "prune", "history"},
    "runs": {"term", "slots", "through", "upstream", "correlation"},
    "syncs": {"renamed", "commit", "notes", "drift", "environment", "keptReasons"},
    "processes": {"unreadable"},
}
NEWER_WITHIN = {  # and what parts of them lack
    *((part, name) for part in ("schedule", "start") for name in ("after", "except", "only")),
    ("request", "followRedirects"),
    ("request", "secrets"),
    ("auth", "request", "followRedirects"),
    ("auth", "request", "secrets"),
    ("drift", 0, "kind"),
}


def places(document: fields.Document, *path: str):
    """Every field, also within mappings and in the first item of lists of mappings."""
    for name, value in document.items():
        yield (*path, name)
        if isinstance(value, dict) and name not in ("labels", "headers"):
            yield from places(value, *path, name)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield from places(value[0], *path, name, 0)


def changed(document: fields.Document, path: tuple, change) -> fields.Document:
    copy = json.loads(json.dumps(document, default=lambda value: value.isoformat()))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    change(inner, path[-1])
    return copy


READ = [
    (kind, path)
    for kind, document in some_documents().items()
    for path in places(document)
    if path[0] not in DERIVED.get(kind, set()) | NAMES_ONLY.get(kind, set())
]
NEEDED = [
    (kind, path)
    for kind, path in READ
    if path not in NEWER_WITHIN and (len(path) > 1 or path[0] not in NEWER.get(kind, set()))
]


def test_a_damaged_pause_goes_on_as_long_as_it_says_what_is_paused():
    document = some_documents()["pauses"]
    whole = DECODERS["pauses"](document)
    salvaged = records.salvaged_pause(document | {"reason": None, "until": "soon", "since": 5, "endedAt": "later"})
    assert (salvaged.id, salvaged.target, salvaged.reason) == (whole.id, whole.target, records.SALVAGED)
    assert (salvaged.until, salvaged.ended_at) == (FOREVER, None)
    still = records.salvaged_pause(document | {"by": 5})
    assert (still.since, still.until, still.ended_at) == (whole.since, whole.until, whole.ended_at)
    assert records.salvaged_pause({"_id": "1"}) is None


def test_a_document_that_cannot_be_read_is_told_if_somebody_listens():
    told = {}
    assert fields.attempt(DECODERS["pauses"], {"_id": "1"}, told.__setitem__) == []
    assert told == {"1": "application is missing"}
    good = some_documents()["pauses"]
    assert fields.attempt(DECODERS["pauses"], good, told.__setitem__) == [DECODERS["pauses"](good)]
    with pytest.raises(StoreError):
        fields.attempt(DECODERS["pauses"], {"_id": "1"}, None)


@pytest.mark.parametrize(("kind", "path"), NEEDED, ids=str)
def test_a_document_that_lacks_a_field_is_refused_by_name(kind, path):
    document = changed(some_documents()[kind], path, lambda inner, name: inner.pop(name))
    with pytest.raises(StoreError, match=rf"cannot be read: {path[-1]} is missing") as caught:
        DECODERS[kind](document)
    assert repr(document.get("_id")) in str(caught.value)


MEASURED = ("factor", "latencyMs", "durationMs")
FLAGS = ("suspend", "held", "sent", "putBack", "shared")
WRONG = [
    (kind, path, wrong)
    for kind, path in READ
    for wrong in ([1], {"a": 1}, 0.5, True)
    if not (wrong is True and path[-1] in FLAGS) and not (wrong == 0.5 and path[-1] in MEASURED)
]


@pytest.mark.parametrize(("kind", "path", "wrong"), WRONG, ids=str)
def test_a_field_of_the_wrong_type_is_refused(kind, path, wrong):
    document = changed(some_documents()[kind], path, lambda inner, name: inner.__setitem__(name, wrong))
    with pytest.raises(StoreError, match="cannot be read"):
        DECODERS[kind](document)


@pytest.mark.parametrize("kind", NEWER)
def test_a_document_of_an_older_version_is_read_with_what_it_lacks_at_its_default(kind):
    document = some_documents()[kind]
    older = {name: value for name, value in document.items() if name not in NEWER[kind]}
    lacking = DECODERS[kind](older)
    assert lacking != DECODERS[kind](document)
    assert KINDS[kind][1](lacking) | older == KINDS[kind][1](lacking)
    for name in NEWER[kind]:
        assert KINDS[kind][1](lacking)[name] in ((1,) if name == "slots" else (None, "", 0, []))


@pytest.mark.parametrize(("kind", "within"), [("jobs", "schedule"), ("windows", "start"), ("eras", "schedule")])
def test_a_schedule_of_an_older_version_follows_no_job_and_knows_no_calendar(kind, within):
    document = some_documents()[kind]
    older = {name: value for name, value in document[within].items() if (within, name) not in NEWER_WITHIN}
    read = DECODERS[kind](document | {within: older})
    schedule = {"jobs": lambda: read.job.schedule, "windows": lambda: read.start, "eras": lambda: read.schedule}[kind]()
    assert (schedule.after, schedule.but_not, schedule.only) == (None, (), ())
    assert schedule.cron == "x"


def test_a_schedule_that_follows_what_is_no_job_is_refused():
    document = some_documents()["jobs"]
    schedule = document["schedule"] | {"after": {"job": "nightly", "on": "success"}}
    with pytest.raises(StoreError, match="'billing/nightly' cannot be read: 'nightly' names no job"):
        declared_records.decode_job(document | {"schedule": schedule})


def test_whether_a_lease_has_expired_is_what_the_store_has_added_in_reading():
    document = some_documents()["leases"]
    assert not records.decode_lease(document).expired
    assert records.decode_lease(document | {"expired": True}).expired


@pytest.mark.parametrize(("application", "api"), [("billing", "weekly"), ("billing/nightly", "x"), ("crm", "nightly")])
def test_a_job_under_the_name_of_another_is_refused(application, api):
    document = some_documents()["jobs"] | {"application": application, "api": api}
    with pytest.raises(StoreError, match=f"job 'billing/nightly' cannot be read: it says that it is {application}/"):
        declared_records.decode_job(document)


def test_drift_of_what_is_no_job_is_refused():
    report = some_documents()["syncs"]
    with pytest.raises(StoreError, match="'1' cannot be read: 'nightly' names no job"):
        records.decode_report(report | {"drift": [report["drift"][0] | {"job": "nightly"}]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slot", "yesterday"),
        ("slot", "2026-03-02T09:00:00"),
        ("outcome", "great"),
        ("cause", "whim"),
        ("line", 1.5),
        ("claimedAt", datetime(2026, 3, 2)),  # noqa: DTZ001 - a bare one is the mistake
    ],
)
def test_a_value_without_meaning_is_refused(name, value):
    with pytest.raises(StoreError, match="the store's run '019b76da-a800-86e6-a87e-2d2ab667fd21' cannot be read"):
        records.decode_run(records.encode_run(a_run()) | {name: value})


def test_a_duration_without_meaning_is_refused():
    with pytest.raises(StoreError, match="the store's job 'billing/nightly' cannot be read: not a duration"):
        declared_records.decode_job(some_documents()["jobs"] | {"timeout": "soon"})


def test_numbers_that_a_shell_has_written_as_doubles_are_whole_again():
    line = records.decode_run(records.encode_run(a_run()) | {"line": 7.0}).line
    assert (line, type(line)) == (7, int)


def test_an_instant_of_another_offset_is_read_as_utc():
    elsewhere = START.astimezone(timezone(timedelta(hours=10, minutes=30)))
    read = records.decode_run(records.encode_run(a_run()) | {"claimedAt": elsewhere}).claimed_at
    assert read == START
    assert read.tzinfo is UTC


def test_durations_are_written_as_in_a_manifest():
    document = some_documents()["jobs"]
    assert document["schedule"]["every"] == "1d"
    assert document["timeout"] == "30s"
    assert document["retry"]["maxDelay"] == "5m"
    assert document["jitter"] == "0s"


def test_a_run_carries_what_statistics_group_by():
    document = records.encode_run(a_run())
    assert document["job"] == "billing/nightly"
    assert document["hour"] == START
    assert document["latencyMs"] == 13


def test_a_run_that_called_nobody_has_no_latency():
    assert records.encode_run(a_run(attempts=()))["latencyMs"] is None


def test_bytes_that_are_no_unicode_in_file_names_and_answers_are_replaced_and_not_refused():
    lone = "caf\udce9"
    run = records.decode_run(records.encode_run(a_run(excerpt=lone, reason=lone, file=lone)))
    assert (run.excerpt, run.reason, run.file) == ("caf?", "caf?", "caf?")


def test_bytes_that_are_no_unicode_in_what_people_and_repositories_say_are_replaced_and_not_refused():
    lone = "caf\udce9"
    commit = Commit(id="c0ffee", author=lone, date=START, subject=lone)
    drift = Drift(key=JobKey(lone, lone), where="store", field=lone, found=lone, declared=lone)
    report = SyncReport(
        id="1", source=lone, revision="r", result="applied", started_at=START, duration_ms=1.5,
        commit=commit, notes=(lone,), drift=(drift,), environment=lone,
    )  # fmt: skip
    pause = Pause(id="1", application="a", reason=lone, by=lone, since=START, until=START, ended_by=lone)
    window = FreezeWindow(name="w", mode="deny", start=Schedule(declared="x"), duration=timedelta(1), file=lone)
    state = ApplicationState(name="a", since=START, file=lone, problems=(lone,))
    for document in (
        records.encode_report(report),
        records.encode_pause(pause),
        declared_records.encode_window(window),
        declared_records.encode_application(state),
    ):
        json.dumps(document, ensure_ascii=False, default=str).encode()  # raises where one is left
        assert "caf?" in str(document)


@given(slot=instants.filter(lambda slot: datetime(1970, 1, 1, tzinfo=UTC) <= slot))
def test_the_first_id_of_an_instant_parts_earlier_slots_from_later_ones(slot):
    key, millisecond = JobKey("a", "b"), timedelta(milliseconds=1)
    assert records.first_id(slot) < run_id(key, slot, Cause.SCHEDULE) < records.first_id(slot + millisecond)
    assert run_id(key, slot, Cause.SCHEDULE) < records.first_id(slot + timedelta(microseconds=1))


def test_no_slot_lies_before_the_epoch():
    assert records.first_id(datetime(1960, 1, 1, tzinfo=UTC)) == "00000000-0000"


def test_ten_thousand_runs_are_written_in_a_fraction_of_a_second():
    many = [a_run(excerpt="x" * 500) for _ in range(10_000)]
    best = 9.9
    for _ in range(3):
        began = time.perf_counter()
        for run in many:
            records.encode_run(run)
        best = min(best, time.perf_counter() - began)
    assert best < 0.5


@pytest.mark.parametrize("kind", DECODERS)
def test_the_document_on_state_names_every_field_and_no_other(kind):
    section = re.search(rf"^## {kind}$(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"^\| `([\w.\[\]]+)` \|", section[1], re.MULTILINE))
    held = {".".join(str(step) for step in path).replace(".0.", "[].") for path in places(some_documents()[kind])}
    assert named == held


@pytest.mark.parametrize("kind", DECODERS)
def test_the_example_of_the_document_on_state_can_be_read(kind):
    section = re.search(rf"^## {kind}$(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    example = json.loads(re.search(r"```json\n(.*?)```", section[1], re.DOTALL)[1])
    DECODERS[kind](example)
    assert set(example) == set(some_documents()[kind])
