"""Credentials that are asked for: once for all who wait, until they end or are refused, and never in a storm."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.adapters.encryption import FernetEncryption, new_key
from reconciler.core import credentials as core
from reconciler.core.model import Auth, Credential, HttpRequest, JobKey, Reply, SecretRef, SecretUse
from reconciler.core.redaction import Redactor
from reconciler.errors import CredentialError, SecretError
from reconciler.services.credentials import Credentials, sealed
from reconciler.services.secrets import SecretValues
from tests.fakes import START, FakeClock, Gate, MemoryStore, ScriptedCaller, settle

KEY = JobKey("billing", "nightly")
TIMEOUT = timedelta(seconds=10)
HANDSHAKE = Auth(kind="handshake", request=HttpRequest(method="POST", url="http://127.0.0.1:1/auth/handshake"))
CLIENT = SecretUse(place="auth:clientSecret", ref=SecretRef(kind="env", name="CLIENT"))
OAUTH2 = Auth(
    kind="oauth2", username="me", style="basic", request=replace(HANDSHAKE.request, url="http://t/"), secrets=(CLIENT,)
)


def token(name: str = "token-one", **more) -> Reply:
    return Reply(status=200, body=json.dumps({"authType": "BearerToken", "token": name} | more).encode())


class Environment:
    """Secrets in a dictionary."""

    def __init__(self) -> None:
        self.known = {"CLIENT": "made-up-client-secret"}

    async def value(self, ref, *, application, field):
        if ref.name not in self.known:
            raise SecretError(ref, "not set")
        return self.known[ref.name]


class World:
    """Everything that credentials need; ``keeper`` makes a further process."""

    def __init__(self, *script, encryption: FernetEncryption | None = None) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.caller = ScriptedCaller(*script)
        self.redactor = Redactor()
        self.secrets = Environment()
        self.encryption = encryption
        self.credentials = self.keeper()

    def keeper(self, encryption: FernetEncryption | None = None) -> Credentials:
        return Credentials(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            values=SecretValues(self.secrets, self.redactor),
            redactor=self.redactor,
            encryption=encryption or self.encryption,
        )

    async def get(self, auth: Auth = HANDSHAKE, *, credentials: Credentials | None = None, key: JobKey = KEY) -> str:
        return (await (credentials or self.credentials).current(auth, key, TIMEOUT)).secret

    @property
    def asked(self) -> int:
        return len(self.caller.requests)


@pytest.fixture
def encryption() -> FernetEncryption:
    return FernetEncryption([new_key()])


async def test_fifty_who_wait_share_one_handshake():
    gate = Gate(token())
    world = World(gate)
    waiting = [asyncio.create_task(world.get()) for _ in range(50)]
    await settle()
    gate.open()
    assert set(await asyncio.gather(*waiting)) == {"token-one"}
    assert await world.get() == "token-one"
    assert world.asked == 1


async def test_applications_and_other_ways_have_credentials_of_their_own():
    world = World(token("a"), token("b"), token("c"))
    found = [await world.get(), await world.get(key=JobKey("crm", "nightly"))]
    found.append(await world.get(replace(HANDSHAKE, request=replace(HANDSHAKE.request, body="{}"))))
    assert found == ["a", "b", "c"]


@pytest.mark.parametrize(("life", "early"), [(3600, 30), (100, 10), (2, 0.2)])
async def test_it_is_renewed_shortly_before_its_end(life, early):
    world = World(token("first", expiresIn=life), token("second"))
    assert await world.get() == "first"
    await world.clock.advance(life - early - 0.1)
    assert await world.get() == "first"
    await world.clock.advance(0.1)
    assert await world.get() == "second"


async def test_one_that_says_no_end_is_used_on():
    world = World(token("first"), token("second"))
    await world.get()
    await world.clock.advance(timedelta(days=30))
    assert await world.get() == "first"


async def test_where_it_cannot_be_renewed_it_is_used_to_its_end():
    world = World(token("first", expiresIn=3600), Reply(status=503))
    await world.get()
    await world.clock.advance(3580)
    assert [await world.get(), await world.get()] == ["first", "first"]
    assert world.asked == 2
    await world.clock.advance(21)
    with pytest.raises(CredentialError, match="status 503"):
        await world.get()


async def test_a_failure_is_told_and_not_tried_again_before_a_while():
    world = World(Reply(status=503))
    with pytest.raises(CredentialError, match=r"^handshake of billing failed: status 503$"):
        await world.get()
    for _ in range(20):
        with pytest.raises(CredentialError, match=r"^handshake of billing failed: status 503; next try in 1s$"):
            await world.get()
    assert world.asked == 1


async def test_the_pauses_double_up_to_five_minutes_and_begin_small_after_a_success():
    answers = [Reply(status=503)] * 12 + [token("good", expiresIn=10), Reply(status=503)]
    world = World(*answers)
    asked = []
    for _ in range(2000):
        before = world.asked
        try:
            await world.get()
        except CredentialError:
            pass
        else:
            break
        if world.asked > before:
            asked.append(world.clock.steady().total_seconds())
        await world.clock.advance(1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert gaps == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    await world.clock.advance(10)
    for _ in range(2):
        with pytest.raises(CredentialError):
            await world.get()
    with pytest.raises(CredentialError, match="next try in 1s"):
        await world.get()


async def test_a_secret_that_cannot_be_had_is_told_and_nothing_is_sent():
    world = World(Reply(status=200, body=b'{"access_token": "found"}'))
    del world.secrets.known["CLIENT"]
    with pytest.raises(SecretError, match="secret env CLIENT: not set"):
        await world.get(OAUTH2)
    assert world.asked == 0
    world.secrets.known["CLIENT"] = "x"
    assert await world.get(OAUTH2) == "found"


async def test_nobody_waits_longer_than_the_call_may_take_and_the_asking_goes_on():
    gate = Gate(token())
    world = World(gate)
    waiting = asyncio.create_task(world.get())
    await world.clock.advance(TIMEOUT)
    with pytest.raises(CredentialError, match=r"handshake of billing failed: no answer within 10s"):
        await waiting
    gate.open()
    assert await world.get() == "token-one"
    assert world.asked == 1


async def test_a_short_timeout_of_who_asks_first_is_not_that_of_all():
    world = World(token())
    await world.credentials.current(HANDSHAKE, KEY, timedelta(milliseconds=200))
    assert world.caller.timeouts == [timedelta(seconds=30)]


async def test_who_is_cancelled_takes_nobody_with_them():
    gate = Gate(token())
    world = World(gate)
    first, second = (asyncio.create_task(world.get()) for _ in range(2))
    await settle()
    first.cancel()
    gate.open()
    assert await second == "token-one"


async def test_at_the_end_nobody_asks_any_more():
    world = World(Gate())
    waiting = asyncio.create_task(world.get())
    await settle()
    await world.credentials.close()
    assert world.caller.cancelled == 1
    with pytest.raises(CredentialError):
        await waiting


class TestRefused:
    def header(self, name: str) -> str:
        return f"Bearer {name}"

    async def test_one_that_has_worked_is_replaced(self):
        world = World(token("first"), token("second"))
        await world.get()
        world.credentials.accepted(HANDSHAKE, KEY, self.header("first"))
        assert world.credentials.refused(HANDSHAKE, KEY, self.header("first"))
        assert await world.get() == "second"

    async def test_many_that_are_refused_at_once_ask_once(self):
        world = World(token("first"), token("second"), token("third"))
        await world.get()
        assert all(world.credentials.refused(HANDSHAKE, KEY, self.header("first")) for _ in range(50))
        assert await world.get() == "second"
        assert world.credentials.refused(HANDSHAKE, KEY, self.header("first")), "one that was long under way"
        assert (await world.get(), world.asked) == ("second", 2)

    async def test_new_ones_that_are_refused_at_once_are_no_reason_to_storm(self):
        names = iter(range(1000))
        world = World(lambda _: token(f"token-{next(names)}"))
        for _ in range(600):
            name = await world.get()
            world.credentials.refused(HANDSHAKE, KEY, self.header(name))
            await world.clock.advance(0.1)
        assert world.asked <= 8

    async def test_one_for_each_call_is_no_storm(self):
        names = iter(range(1000))
        world = World(lambda _: token(f"token-{next(names)}"))
        for number in range(20):
            assert await world.get() == f"token-{number}"
            world.credentials.accepted(HANDSHAKE, KEY, self.header(f"token-{number}"))
            assert world.credentials.refused(HANDSHAKE, KEY, self.header(f"token-{number}"))
            await world.clock.advance(1)
        assert world.asked == 20

    async def test_a_target_that_takes_and_refuses_by_turns_is_asked_once_a_second_at_most(self):
        names = iter(range(1000))
        world = World(lambda _: token(f"token-{next(names)}"))
        for _ in range(100):
            name = await world.get()
            world.credentials.accepted(HANDSHAKE, KEY, self.header(name))
            world.credentials.refused(HANDSHAKE, KEY, self.header(name))
            await world.clock.advance(0.1)
        assert world.asked <= 11

    async def test_a_job_that_is_always_refused_does_not_storm_beside_one_that_is_fine(self):
        bad, names, calls = JobKey("billing", "bad"), iter(range(1000)), []
        world = World(lambda _: token(f"token-{next(names)}"))
        for _ in range(600):
            world.credentials.accepted(HANDSHAKE, KEY, self.header(await world.get()))
            calls.append(world.credentials.refused(HANDSHAKE, bad, self.header(await world.get(key=bad))))
            world.credentials.accepted(HANDSHAKE, KEY, self.header(await world.get()))
            await world.clock.advance(0.1)
        assert world.asked <= 8
        assert sum(calls) <= 7, "the others fail with what the target has answered"

    async def test_one_that_ends_is_replaced_also_while_another_job_is_always_refused(self):
        bad, names = JobKey("billing", "bad"), iter(range(1000))
        world = World(lambda _: token(f"token-{next(names)}"))
        for _ in range(10):
            name = await world.get()
            world.credentials.accepted(HANDSHAKE, KEY, self.header(name))
            world.credentials.refused(HANDSHAKE, bad, self.header(name))
            name = await world.get()
            world.credentials.accepted(HANDSHAKE, KEY, self.header(name))
            await world.clock.advance(20)
            assert world.credentials.refused(HANDSHAKE, KEY, self.header(name))

    async def test_the_pause_begins_small_again_once_a_new_one_has_helped(self):
        names = iter(range(1000))
        world = World(lambda _: token(f"token-{next(names)}"))
        for _ in range(10):
            assert world.credentials.refused(HANDSHAKE, KEY, self.header(await world.get()))
            world.credentials.accepted(HANDSHAKE, KEY, self.header(await world.get()))
            await world.clock.advance(1)
            world.credentials.refused(HANDSHAKE, KEY, self.header(await world.get()))
            await world.clock.advance(1)

    async def test_the_stored_one_is_not_taken_again(self, encryption):
        world = World(token("first"), token("second"), encryption=encryption)
        await world.get()
        assert world.credentials.refused(HANDSHAKE, KEY, self.header("first"))
        assert await world.get() == "second"

    async def test_one_that_another_process_has_renewed_is_taken_over(self, encryption):
        world = World(token("first"), token("second"), encryption=encryption)
        other = world.keeper()
        assert [await world.get(), await world.get(credentials=other)] == ["first", "first"]
        for each in (world.credentials, other):
            assert each.refused(HANDSHAKE, KEY, self.header("first"))
            assert await world.get(credentials=each) == "second"
        assert world.asked == 2


class TestStored:
    async def test_it_is_stored_encrypted_and_used_by_other_processes(self, encryption):
        world = World(token("made-up-token", expiresIn=3600), encryption=encryption)
        await world.get()
        (record,) = world.store.stored_credentials.values()
        assert (record.application, record.kind, record.id) == (
            "billing",
            "BearerToken",
            f"billing/{record.digest}",
        )
        assert record.expires_at == START + timedelta(hours=1)
        assert "made-up-token" not in repr(world.store.stored_credentials) + record.sealed
        assert await world.get(credentials=world.keeper()) == "made-up-token"
        assert world.asked == 1

    async def test_without_a_key_it_stays_in_memory_which_is_said_once(self, caplog):
        world = World(token())
        await world.get()
        await world.get(key=JobKey("crm", "nightly"))
        assert not world.store.stored_credentials
        said = [record for record in caplog.messages if "RECONCILER_ENCRYPTION_KEYS" in record]
        assert len(said) == 1
        assert "memory only" in said[0]

    async def test_one_that_has_expired_is_not_used(self, encryption):
        world = World(token("first", expiresIn=60), token("second"), encryption=encryption)
        await world.get()
        await world.clock.advance(60)
        assert await world.get(credentials=world.keeper()) == "second"

    async def test_a_record_in_the_place_of_another_is_refused_and_asked_for_anew(self, encryption, caplog):
        world = World(token("of-billing"), token("of-crm"), token("new"), encryption=encryption)
        await world.get()
        await world.get(key=JobKey("crm", "nightly"))
        billing, crm = (world.store.stored_credentials[name] for name in sorted(world.store.stored_credentials))
        world.store.stored_credentials[billing.id] = replace(crm, id=billing.id, application="billing")
        assert await world.get(credentials=world.keeper()) == "new"
        assert "it was encrypted for another record" in caplog.text

    @pytest.mark.parametrize("change", [lambda text: text[:-10], lambda text: "x", lambda text: "ß" + text])
    async def test_one_that_was_changed_is_asked_for_anew(self, encryption, change: Callable[[str], str]):
        world = World(token("first"), token("second"), encryption=encryption)
        await world.get()
        ((name, record),) = world.store.stored_credentials.items()
        world.store.stored_credentials[name] = replace(record, sealed=change(record.sealed))
        assert await world.get(credentials=world.keeper()) == "second"

    async def test_another_key_asks_anew_and_an_older_one_still_decrypts(self, encryption):
        old = new_key()
        world = World(token("first"), token("second"), encryption=FernetEncryption([old]))
        await world.get()
        both = world.keeper(FernetEncryption([new_key(), old]))
        assert await world.get(credentials=both) == "first"
        assert await world.get(credentials=world.keeper(encryption)) == "second"

    async def test_a_store_that_is_away_is_no_reason_to_fail(self, encryption, caplog):
        world = World(token(), encryption=encryption)
        world.store.away = True
        assert await world.get() == "token-one"
        assert "cannot be stored: the store is away" in caplog.text

    async def test_what_does_not_say_what_it_should_is_asked_for_anew(self, encryption):
        world = World(token("first"), token("second"), encryption=encryption)
        await world.get()
        ((name, record),) = world.store.stored_credentials.items()
        world.store.stored_credentials[name] = replace(record, sealed=encryption.encrypt(b'{"id": 1}'))
        assert await world.get(credentials=world.keeper()) == "second"

    def test_a_credential_shows_nothing_of_itself(self, encryption):
        credential = Credential(kind="Basic", username="somebody", secret="made-up-password", obtained_at=START)
        record = sealed(HANDSHAKE, KEY, credential, encryption)
        assert core.from_plaintext(record.id, encryption.decrypt(record.sealed)) == credential
        for text in (repr(credential), repr(record)):
            assert "made-up" not in text
            assert "somebody" not in text


async def test_what_comes_is_masked_from_then_on():
    basic = {"authType": "Basic", "username": "somebody", "password": "made-up-password"}
    world = World(Reply(status=200, body=json.dumps(basic).encode()))
    await world.get()
    header = core.header_of(await world.credentials.current(HANDSHAKE, KEY, TIMEOUT))
    assert world.redactor.masked(f"made-up-password {header}") == "*** Basic ***"


async def test_what_is_sent_to_a_token_endpoint_is_masked_too():
    world = World(Reply(status=200, body=b'{"access_token": "made-up-token"}'))
    await world.get(OAUTH2)
    (request,) = world.caller.requests
    text = f"{request.headers['Authorization']} made-up-client-secret made-up-token"
    assert world.redactor.masked(text) == "Basic *** *** ***"


async def test_a_bug_in_asking_is_logged(caplog):
    world = World(RuntimeError("bug"))
    with pytest.raises(RuntimeError):
        await world.get()
    await settle()
    assert "a bug in asking for a credential" in caplog.text
