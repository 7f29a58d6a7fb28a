from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import runs
from reconciler.core.model import (
    Attempt,
    Cause,
    Expectation,
    HttpRequest,
    JobKey,
    Outcome,
    Overrides,
    Reply,
    RetryPolicy,
)
from reconciler.errors import OverridesError
from tests.fakes import START, stored_job

KEY = JobKey("billing", "nightly")
RUN = runs.claim_of(stored_job(), START, Cause.SCHEDULE, "me", START)


class TestRunId:
    def test_is_a_uuid_of_version_8_with_the_slots_milliseconds_in_front(self):
        slot = datetime(2026, 3, 2, 9, 0, 0, 123_000, tzinfo=UTC)
        identifier = uuid.UUID(runs.run_id(KEY, slot, Cause.SCHEDULE))
        assert identifier.version == 8
        assert identifier.variant == uuid.RFC_4122
        assert identifier.int >> 80 == round(slot.timestamp() * 1000)

    def test_is_written_as_uuids_are(self):
        text = runs.run_id(KEY, START, Cause.SCHEDULE)
        assert text == str(uuid.UUID(text))

    def test_is_the_same_for_the_same_slot_in_every_process(self):
        assert runs.run_id(KEY, START, Cause.SCHEDULE) == "019cadc6-9a80-813e-9d69-344b84eefaae"

    @pytest.mark.parametrize(
        "other",
        [
            runs.run_id(JobKey("billing", "hourly"), START, Cause.SCHEDULE),
            runs.run_id(KEY, START, Cause.MANUAL),
            runs.run_id(KEY, START, Cause.SCHEDULE, "again"),
            runs.run_id(KEY, START + timedelta(milliseconds=1), Cause.SCHEDULE),
        ],
    )
    def test_differs_by_job_cause_nonce_and_slot(self, other):
        assert runs.run_id(KEY, START, Cause.SCHEDULE) != other

    @given(
        st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware
        st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as above
    )
    def test_sorts_as_slots_do(self, one, two):
        if two - one >= timedelta(milliseconds=1):
            assert runs.run_id(KEY, one, Cause.SCHEDULE) < runs.run_id(KEY, two, Cause.MANUAL)

    def test_gives_its_slot_back(self):
        slot = datetime(2026, 3, 2, 9, 0, 0, 123_000, tzinfo=UTC)
        assert runs.slot_of(runs.run_id(KEY, slot, Cause.MANUAL, "x")) == slot

    def test_does_not_fail_before_the_epoch(self):
        assert runs.run_id(KEY, datetime(1950, 1, 1, tzinfo=UTC), Cause.SCHEDULE).startswith("00000000-0000-8")


class TestJudge:
    @pytest.mark.parametrize(
        ("status", "accepted"), [(200, "2xx"), (204, "2xx"), (200, "200"), (204, "200-204"), (404, "404"), (302, "3xx")]
    )
    def test_an_expected_status_succeeds(self, status, accepted):
        assert runs.judge(Reply(status=status), Expectation(status=("500", accepted))) == (Outcome.SUCCEEDED, "")

    @pytest.mark.parametrize(
        ("reply", "expected", "reason"),
        [
            (Reply(status=503), Expectation(), "status 503, expected 2xx"),
            (Reply(status=205), Expectation(status=("200-204", "404")), "status 205, expected 200-204 or 404"),
            (Reply(status=199), Expectation(status=("200",)), "status 199, expected 200"),
            (Reply(error="timed out after 10s"), Expectation(), "timed out after 10s"),
            (Reply(), Expectation(), "no answer"),
            (Reply(status=200, body=b"no"), Expectation(contains="ok"), 'body does not contain "ok"'),
            (Reply(status=304), Expectation(), "status 304, expected 2xx"),
        ],
    )
    def test_anything_else_fails_and_says_why(self, reply, expected, reason):
        assert runs.judge(reply, expected) == (Outcome.FAILED, reason)

    def test_a_failure_counts_even_with_an_expected_status(self):
        assert runs.judge(Reply(status=200, error="answer longer than 1 MiB"), Expectation())[0] is Outcome.FAILED

    @pytest.mark.parametrize(
        ("location", "shown"),
        [
            ("http://example.com/a", "http://example.com/a"),
            ("https://me:secret@example.com/a?token=secret#x", "https://example.com/a"),
            ("/login?next=secret", "/login"),
            ("/a\x1b[31m", "/a␛[31m"),
        ],
    )
    def test_a_redirect_is_named_without_what_may_be_secret(self, location, shown):
        reason = runs.judge(Reply(status=302, location=location), Expectation())[1]
        assert reason == f"redirect to {shown} is not followed"

    def test_a_long_location_is_cut(self):
        assert len(runs.judge(Reply(status=302, location="/" + "a" * 9000), Expectation())[1]) < 260

    @pytest.mark.parametrize(
        ("body", "content_type", "needle"),
        [
            (b'{"ok": true}', "application/json", '"ok"'),
            ("Gr\u00fc\u00dfe".encode(), None, "Grüße"),
            ("Gr\u00fc\u00dfe".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Grüße"),
            ("Gr\u00fc\u00dfe".encode("utf-16"), "text/plain; charset=utf-16", "Grüße"),
            ("ok".encode("utf-16-le"), "text/plain; charset=utf-16le", "ok"),
            (b"ok", "text/plain; charset=punycode", "ok"),
            (b"ok", "text/plain; charset=zlib", "ok"),
            (b"ok", "text/plain; charset=no-such", "ok"),
            (b"ok \xff", 'text/plain; charset="', "ok"),
        ],
    )
    def test_the_body_is_searched_in_its_own_charset(self, body, content_type, needle):
        reply = Reply(status=200, body=body, content_type=content_type)
        assert runs.judge(reply, Expectation(contains=needle))[0] is Outcome.SUCCEEDED


class TestRetryable:
    @pytest.mark.parametrize("status", [408, 429, 500, 503, 599])
    def test_statuses_that_may_pass_are_tried_again(self, status):
        assert runs.retryable(Reply(status=status), Expectation(), "atLeastOnce")

    @pytest.mark.parametrize("status", [200, 302, 400, 404, 409])
    def test_other_statuses_are_not(self, status):
        assert not runs.retryable(Reply(status=status), Expectation(), "atLeastOnce")

    @pytest.mark.parametrize("status", [429, 503])
    def test_an_expected_status_is_not(self, status):
        assert not runs.retryable(Reply(status=status), Expectation(status=(str(status),)), "atLeastOnce")

    def test_a_wrong_body_is_not(self):
        assert not runs.retryable(Reply(status=200, body=b""), Expectation(contains="ok"), "atLeastOnce")

    @pytest.mark.parametrize("reply", [Reply(error="timed out after 1s"), Reply()])
    def test_a_failure_without_answer_is_tried_again(self, reply):
        assert runs.retryable(reply, Expectation(), "atLeastOnce")

    def test_a_failure_that_would_be_the_same_again_is_not(self):
        reply = Reply(error="address 169.254.169.254 is refused", sent=False, transient=False)
        assert not runs.retryable(reply, Expectation(), "atLeastOnce")

    @pytest.mark.parametrize("reply", [Reply(status=503), Reply(status=429), Reply(error="timed out after 1s")])
    def test_at_most_once_is_not_tried_again_once_it_may_have_left(self, reply):
        assert not runs.retryable(reply, Expectation(), "atMostOnce")

    def test_at_most_once_is_tried_again_when_it_never_left(self):
        assert runs.retryable(Reply(error="connection refused", sent=False), Expectation(), "atMostOnce")


class TestRetryDelay:
    POLICY = RetryPolicy(limit=5, initial_delay=timedelta(seconds=2), factor=3, max_delay=timedelta(seconds=60))

    @pytest.mark.parametrize(("attempt", "full"), [(1, 2), (2, 6), (3, 18), (4, 54), (5, 60), (20, 60), (10**9, 60)])
    def test_grows_by_the_factor_up_to_the_longest_with_half_of_it_drawn(self, attempt, full):
        delays = [
            runs.retry_delay(self.POLICY, attempt, str(number), None, START).total_seconds() for number in range(200)
        ]
        assert full / 2 <= min(delays) < full * 0.55
        assert full * 0.95 < max(delays) <= full

    def test_is_alike_for_one_run_and_attempt(self):
        assert runs.retry_delay(self.POLICY, 2, "a", None, START) == runs.retry_delay(self.POLICY, 2, "a", None, START)
        assert runs.retry_delay(self.POLICY, 2, "a", None, START) != runs.retry_delay(self.POLICY, 2, "b", None, START)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("17", 17),
            (" 17 ", 17),
            ("3600", 60),
            ("9" * 5000, 60),
            ("Mon, 02 Mar 2026 09:00:30 GMT", 30),
            ("Mon, 02 Mar 2026 10:00:30 +0100", 30),
            ("Mon, 02 Mar 2026 09:00:30 -0000", 30),
            ("Mon, 02 Mar 2030 09:00:30 GMT", 60),
        ],
    )
    def test_retry_after_is_a_minimum_within_the_longest(self, text, seconds):
        assert runs.retry_delay(self.POLICY, 1, "a", text, START) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "text", ["", "0", "-5", "soon", "1.5", "Mon, 02 Mar 2020 09:00:30 GMT", "Mon, 99 Foo", "²", "\x00"]
    )
    def test_a_retry_after_that_asks_for_nothing_leaves_the_policys_delay(self, text):
        assert runs.retry_delay(self.POLICY, 1, "a", text, START) == runs.retry_delay(self.POLICY, 1, "a", None, START)

    @given(
        st.integers(1, 10**12),
        st.one_of(st.none(), st.text(), st.integers().map(str)),
        st.floats(1, 10),
        st.timedeltas(timedelta(milliseconds=1), timedelta(days=3650)),
        st.timedeltas(timedelta(milliseconds=1), timedelta(days=3650)),
    )
    def test_is_never_negative_and_never_beyond_the_longest(self, attempt, text, factor, initial, longest):
        policy = RetryPolicy(limit=1, initial_delay=initial, factor=factor, max_delay=longest)
        assert timedelta(0) <= runs.retry_delay(policy, attempt, "a", text, START) <= longest


def test_call_headers_say_which_run_a_call_belongs_to():
    slot = datetime(2026, 3, 2, 9, 0, 0, 5_000, tzinfo=UTC)
    run = runs.claim_of(stored_job(), slot, Cause.SCHEDULE, "me", START)
    assert runs.call_headers(run, 3) == {
        "Idempotency-Key": run.id,
        "X-Reconciler-Job": "billing/nightly",
        "X-Reconciler-Scheduled-At": "2026-03-02T09:00:00.005Z",
        "X-Reconciler-Attempt": "3",
        "X-Reconciler-Correlation-Id": run.id,
    }


class TestChains:
    FIRST = runs.claim_of(stored_job("billing/extract"), START, Cause.SCHEDULE, "me", START)
    SECOND = runs.claim_of(stored_job("billing/load"), START, Cause.AFTER, "me", START, upstream=FIRST)
    THIRD = runs.claim_of(stored_job("billing/report"), START, Cause.AFTER, "me", START, upstream=SECOND)

    def test_a_run_names_the_run_whose_end_started_it(self):
        assert [run.upstream for run in (self.FIRST, self.SECOND, self.THIRD)] == ["", self.FIRST.id, self.SECOND.id]

    def test_all_runs_of_a_chain_send_the_id_of_its_first(self):
        sent = {
            runs.call_headers(run, 1)["X-Reconciler-Correlation-Id"] for run in (self.FIRST, self.SECOND, self.THIRD)
        }
        assert sent == {self.FIRST.id}

    def test_each_end_of_a_run_starts_one(self):
        other = runs.claim_of(stored_job("billing/extract"), START, Cause.MANUAL, "me", START)
        again, another = (
            runs.claim_of(stored_job("billing/load"), START, Cause.AFTER, "you", START, upstream=run)
            for run in (self.FIRST, other)
        )
        assert again.id == self.SECOND.id == runs.run_id(again.key, START, Cause.AFTER, self.FIRST.id)
        assert another.id != again.id


class TestOverrides:
    REQUEST = HttpRequest(
        method="POST",
        url="https://example.com/a%2Fb?user=1&user=2&tag=x%20y&flag",
        headers={"Accept": "text/plain", "content-type": "application/xml"},
        body="<a/>",
    )

    def test_nothing_given_changes_nothing(self):
        assert runs.apply_overrides(self.REQUEST, Overrides()) == self.REQUEST

    def test_query_replaces_the_parameters_it_names_and_leaves_the_others_as_written(self):
        request = runs.apply_overrides(self.REQUEST, Overrides(query={"user": "ä&=", "new": "1"}))
        assert request.url == "https://example.com/a%2Fb?tag=x%20y&flag&user=%C3%A4%26%3D&new=1"

    def test_headers_replace_without_regard_to_case(self):
        request = runs.apply_overrides(self.REQUEST, Overrides(headers={"accept": "text/csv", "X-Try": "1"}))
        assert request.headers == {"content-type": "application/xml", "accept": "text/csv", "X-Try": "1"}

    def test_json_replaces_body_and_content_type(self):
        request = runs.apply_overrides(self.REQUEST, Overrides(json={"dry": True}, has_json=True))
        assert request.body == '{"dry": true}'
        assert request.headers == {"Accept": "text/plain", "Content-Type": "application/json"}

    def test_json_null_is_a_body(self):
        assert runs.apply_overrides(self.REQUEST, Overrides(json=None, has_json=True)).body == "null"

    def test_a_content_type_given_with_the_json_wins(self):
        overrides = Overrides(json=1, has_json=True, headers={"Content-Type": "application/x+json"})
        assert runs.apply_overrides(self.REQUEST, overrides).headers["Content-Type"] == "application/x+json"

    @pytest.mark.parametrize(
        "overrides",
        [
            Overrides(headers={"Host": "evil.example"}),
            Overrides(headers={"idempotency-key": "mine"}),
            Overrides(headers={"X-Reconciler-Job": "other/job"}),
            Overrides(headers={"X-A": "1\r\nX-B: 2"}),
            Overrides(headers={"": "1"}),
            Overrides(query={"a": "\ud800"}),
            Overrides(json=float("nan"), has_json=True),
            Overrides(json="\ud800", has_json=True),
            Overrides(json={1, 2}, has_json=True),
        ],
    )
    def test_what_cannot_be_sent_is_refused(self, overrides):
        with pytest.raises(OverridesError):
            runs.apply_overrides(self.REQUEST, overrides)

    def test_a_get_is_given_no_body(self):
        with pytest.raises(OverridesError, match="a GET request carries no body"):
            runs.apply_overrides(HttpRequest(method="GET", url="http://a/"), Overrides(json={}, has_json=True))


class TestFingerprint:
    def test_is_alike_for_the_same_overrides_however_they_are_ordered(self):
        one = Overrides(query={"a": "1", "b": "2"}, json={"x": 1, "y": [2]}, has_json=True)
        two = Overrides(query={"b": "2", "a": "1"}, json={"y": [2], "x": 1}, has_json=True)
        assert runs.fingerprint(one) == runs.fingerprint(two)

    def test_differs_with_every_part_and_shows_none_of_it(self):
        some = [
            Overrides(),
            Overrides(query={"a": "secret"}),
            Overrides(headers={"a": "secret"}),
            Overrides(json="secret", has_json=True),
            Overrides(json=None, has_json=True),
        ]
        assert len({runs.fingerprint(one) for one in some}) == len(some)
        assert not any("secret" in runs.fingerprint(one) for one in some)


class TestExcerpt:
    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            (b"", ""),
            (b"plain", "plain"),
            (b"a\tb\r\nc", "a\tb\nc"),
            (b"\x1b[31m\x00\x7f", "␛[31m␀␡"),
            ("a\u202eb\u0085c".encode(), "abc"),
            (b"\xff\xfe", "\ufffd\ufffd"),
            ("Gr\u00fc\u00dfe".encode(), "Grüße"),
        ],
    )
    def test_is_text_that_is_safe_to_show(self, body, shown):
        assert runs.excerpt(body) == shown

    def test_uses_the_answers_charset(self):
        assert runs.excerpt("Grüße".encode("latin-1"), "text/html; charset=latin1") == "Grüße"

    def test_keeps_4_kib(self):
        assert runs.excerpt(b"a" * 10_000) == "a" * 4096

    def test_never_ends_in_half_a_character(self):
        assert runs.excerpt(b"a" + "ü".encode() * 5000) == "a" + "ü" * 2047

    def test_of_unreadable_bytes_is_no_longer_than_4_kib_either(self):
        assert len(runs.excerpt(b"\xff" * 10_000).encode()) <= 4096


class TestTransitions:
    def test_a_claim_says_who_declared_the_call_and_who_makes_it(self):
        stored = stored_job(revision="abc", delivery="atMostOnce", file="x.yaml", line=3)
        now = START + timedelta(microseconds=1_999)
        run = runs.claim_of(stored, START, Cause.MANUAL, "me", now, nonce="n", overrides=("query",))
        assert run.id == runs.run_id(KEY, START, Cause.MANUAL, "n")
        assert (run.revision, run.file, run.line, run.delivery) == ("abc", "x.yaml", 3, "atMostOnce")
        assert (run.owner, run.claimed_at) == ("me", START + timedelta(milliseconds=1))
        assert (run.outcome, run.overrides, run.started_at) == (Outcome.RUNNING, ("query",), None)

    def test_the_end_keeps_attempts_and_starts_with_the_first(self):
        attempts = [
            Attempt(number=1, started_at=START, latency_ms=1),
            Attempt(number=2, started_at=START, latency_ms=2),
        ]
        end = START + timedelta(seconds=5)
        run = runs.ended(RUN, Outcome.FAILED, "status 500", end, attempts=attempts, excerpt="x")
        assert (run.outcome, run.reason, run.finished_at) == (Outcome.FAILED, "status 500", end)
        assert (run.started_at, run.attempts, run.excerpt) == (START, tuple(attempts), "x")

    def test_a_run_that_never_started_has_no_start(self):
        assert runs.ended(RUN, Outcome.MISSED, "late", START).started_at is None
