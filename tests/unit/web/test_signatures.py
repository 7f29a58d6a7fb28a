import base64
from datetime import timedelta

import pytest

from tests.unit.web import deliveries
from tests.unit.web.conftest import SECRET, World
from tests.unit.web.deliveries import GITHUB_PUSH, body_of, deliver, generic, github, hex_of

BODY = body_of()
CLOUD = b'{"changes": [{"new": {"type": "branch", "name": "main"}, "old": null}]}'
OTHER = "another-secret-made-up-here-of-32"
HEX = hex_of(BODY)
KEY = bytes(range(32))
WHSEC = "whsec_" + base64.b64encode(KEY).decode()

FORMS = {
    "github": lambda body, secret: deliveries.github(body, secret=secret),
    "gitea": lambda body, secret: deliveries.gitea(body, secret=secret),
    "forgejo": lambda body, secret: deliveries.forgejo(body, secret=secret),
    "gitlab-token": lambda _, secret: deliveries.gitlab(secret=secret),
    "generic": deliveries.generic,
}
BARE = {"X-Gitea-Signature": "X-Gitea-Event", "X-Forgejo-Signature": "X-Forgejo-Event"}
PREFIXED = {
    "X-Hub-Signature-256": "X-GitHub-Event",
    "X-Hub-Signature": "X-Event-Key",
    "X-Signature-256": "X-Ignored",
}


def refused(answer, world, said=""):
    assert (answer.status_code, answer.json()["code"]) == (401, "signature-invalid")
    assert said in answer.json()["detail"]
    assert SECRET not in answer.text
    assert world.woken == 0
    return True


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_signed_with_the_secret_is_taken(world, form):
    answer = await deliver(world, BODY, FORMS[form](BODY, SECRET))
    assert (answer.status_code, answer.json()) == (202, {"result": "woken"})
    assert world.woken == 1


async def test_bitbucket_signs_by_the_header_that_others_have_for_sha_1(world):
    assert (await deliver(world, CLOUD, deliveries.bitbucket(CLOUD))).status_code == 202


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_signed_with_another_secret_is_refused(world, form):
    assert refused(await deliver(world, BODY, FORMS[form](BODY, OTHER)), world)


@pytest.mark.parametrize("form", [name for name in FORMS if name != "gitlab-token"])
async def test_another_body_than_the_signed_one_is_refused(world, form):
    headers = FORMS[form](BODY, SECRET)
    for body in (BODY + b" ", BODY.replace(b"main", b"mine"), BODY[:-1], b""):
        assert refused(await deliver(world, body, headers), world)


@pytest.mark.parametrize(("name", "event"), [*BARE.items(), *PREFIXED.items()])
async def test_hexadecimal_digits_may_be_capitals(world, name, event):
    body = CLOUD if event == "X-Event-Key" else BODY
    prefix = "sha256=" if name in PREFIXED else ""
    kind = "repo:push" if event == "X-Event-Key" else "push"
    answer = await deliver(world, body, {name: prefix + hex_of(body).upper(), event: kind})
    assert answer.status_code == 202


@pytest.mark.parametrize("name", PREFIXED)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("sha256=", id="prefix-only"),
        pytest.param(f"sha256={HEX[:-1]}", id="truncated"),
        pytest.param(f"sha256={HEX}0", id="too-long"),
        pytest.param(f"sha256={'g' * 64}", id="no-hexadecimal"),
        pytest.param(HEX, id="no-prefix"),
        pytest.param(f"SHA256={HEX}", id="prefix-in-capitals"),
        pytest.param(f"sha512={HEX}{HEX}", id="sha512"),
        pytest.param(f"sha256={HEX}, sha256={HEX}", id="two-in-one"),
        pytest.param(b"sha256=" + b"\xff" * 64, id="latin-1"),
        pytest.param("sha256=\u0661".encode() * 10, id="utf-8"),
    ],
)
async def test_a_malformed_signature_is_refused(world, name, value):
    assert refused(await deliver(world, BODY, {name: value, **GITHUB_PUSH}), world, name)


@pytest.mark.parametrize(("name", "event"), BARE.items())
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param(HEX[:-1], id="truncated"),
        pytest.param(f"sha256={HEX}", id="prefix"),
        pytest.param(b"\xb2" * 64, id="latin-1"),
    ],
)
async def test_a_malformed_bare_signature_is_refused(world, name, event, value):
    assert refused(await deliver(world, BODY, {name: value, event: "push"}), world, name)


async def test_who_has_no_secret_in_the_forge_is_told_to_give_it_one(world):
    headers = {"X-Gitea-Event": "push", "X-Gitea-Signature": "", "X-Hub-Signature-256": "sha256="}
    assert refused(await deliver(world, BODY, headers), world, "RECONCILER_HOOK_SECRET")


@pytest.mark.parametrize("token", ["", SECRET[:-1], SECRET + "x", SECRET.upper(), b"\xff\xfe", "caf\u00e9".encode()])
async def test_a_wrong_token_is_refused_before_the_body_is_read(world, token):
    assert refused(await deliver(world, unread(), {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": token}), world)


async def test_a_secret_beyond_ascii_is_compared_by_its_bytes():
    world = World(secret="\u00e9" * 16)
    headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": ("\u00e9" * 16).encode()}
    assert (await deliver(world, BODY, headers)).status_code == 202


async def unread():
    raise AssertionError("the body was read")
    yield b""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        GITHUB_PUSH,
        {"Authorization": f"Bearer {SECRET}"},
        {"webhook-id": "msg-1", "webhook-timestamp": "1"},
        {"X-Gogs-Signature": HEX},
    ],
    ids=["none", "event-only", "bearer", "standard-without-signature", "unknown"],
)
async def test_what_is_not_signed_is_refused_before_the_body_is_read(world, headers):
    assert refused(await deliver(world, unread(), headers), world, "not signed")


@pytest.mark.parametrize("value", ["sha1=" + "0" * 40, "sha1=", "SHA1=x"])
async def test_sha_1_alone_is_refused_and_says_what_is_needed(world, value):
    answer = await deliver(world, unread(), {"X-Hub-Signature": value, **GITHUB_PUSH})
    assert refused(answer, world, "SHA-256 is needed")


async def test_sha_1_does_not_count_even_where_it_is_right(world):
    headers = {name: value for name, value in github(BODY).items() if name != "X-Hub-Signature-256"}
    assert refused(await deliver(world, BODY, headers), world, "SHA-256 is needed")


async def test_sha_1_beside_sha_256_is_passed_over(world):
    assert (await deliver(world, BODY, github(BODY) | {"X-Hub-Signature": "sha1=wrong"})).status_code == 202
    other = body_of(run=2)
    assert (await deliver(world, other, generic(other) | {"X-Hub-Signature": "sha1=wrong"})).status_code == 202


@pytest.mark.parametrize("name", [*BARE, *PREFIXED, "X-Gitlab-Token", "webhook-id", "webhook-signature"])
async def test_two_values_of_one_header_are_refused(world, name):
    right = {
        **dict.fromkeys(BARE, HEX),
        **dict.fromkeys(PREFIXED, f"sha256={HEX}"),
        "X-Gitlab-Token": SECRET,
        **deliveries.standard(BODY, world.now.timestamp()),
    }
    pairs = [*generic(BODY).items()] if name != "X-Signature-256" else []
    answer = await deliver(world, unread(), [*pairs, (name, right[name]), (name, right[name])])
    assert refused(answer, world, f"{name} must stand there once")


@pytest.mark.parametrize("wrong", ["X-Hub-Signature-256", "X-Gitea-Signature", "X-Forgejo-Signature"])
async def test_one_wrong_signature_among_right_ones_is_refused(world, wrong):
    headers = deliveries.forgejo(BODY)
    headers[wrong] = headers[wrong].replace(HEX, "0" * 64)
    assert refused(await deliver(world, BODY, headers), world, wrong)


@pytest.mark.parametrize("wrong", ["X-Gitlab-Token", "webhook-signature"])
async def test_a_right_token_and_a_wrong_signature_are_refused_and_the_other_way_round(world, wrong):
    headers = deliveries.gitlab() | deliveries.standard(BODY, world.now.timestamp())
    headers[wrong] = {"X-Gitlab-Token": OTHER, "webhook-signature": f"v1,{'A' * 43}="}[wrong]
    assert refused(await deliver(world, BODY, headers), world, wrong)
    right = deliveries.gitlab() | deliveries.standard(BODY, world.now.timestamp())
    assert (await deliver(world, BODY, right)).status_code == 202


async def test_the_signing_token_of_gitlab_is_the_secret():
    world = World(secret=WHSEC)
    headers = {"X-Gitlab-Event": "Push Hook", **deliveries.standard(BODY, world.now.timestamp(), KEY)}
    assert (await deliver(world, BODY, headers)).status_code == 202


async def test_a_secret_in_the_form_of_standard_webhooks_is_plain_text_to_other_forges():
    world = World(secret=WHSEC)
    assert (await deliver(world, BODY, github(BODY, secret=WHSEC))).status_code == 202
    other = body_of(run=2)
    assert (await deliver(world, other, deliveries.gitlab(secret=WHSEC))).status_code == 202


async def test_anybody_may_sign_in_the_form_of_standard_webhooks(world):
    assert (await deliver(world, BODY, deliveries.standard(BODY, world.now.timestamp()))).status_code == 202


async def test_one_right_signature_of_several_is_enough_while_a_secret_is_exchanged(world):
    headers = deliveries.standard(BODY, world.now.timestamp())
    wrong = f"v1,{'A' * 43}="
    headers["webhook-signature"] = f"v1a,xyz {wrong} {headers['webhook-signature']} v2,abc"
    assert (await deliver(world, BODY, headers)).status_code == 202
    headers["webhook-signature"] = f"{wrong} {wrong}"
    assert (await deliver(world, body_of(run=2), headers)).status_code == 401


@pytest.mark.parametrize("seconds", [-301, 301, 10**6])
async def test_a_timestamp_too_far_off_is_refused_before_the_body_is_read(world, seconds):
    headers = deliveries.standard(BODY, (world.now + timedelta(seconds=seconds)).timestamp())
    assert refused(await deliver(world, unread(), headers), world, "5 minutes")


@pytest.mark.parametrize("seconds", [-300, 0, 300])
async def test_clocks_may_be_five_minutes_apart(world, seconds):
    headers = deliveries.standard(BODY, (world.now + timedelta(seconds=seconds)).timestamp())
    assert (await deliver(world, BODY, headers)).status_code == 202


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
async def test_what_is_signed_besides_the_body_counts(world, name):
    headers = deliveries.standard(BODY, world.now.timestamp())
    headers[name] = {"webhook-id": "msg-2", "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}[name]
    assert refused(await deliver(world, BODY, headers), world, "webhook-signature")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", None),
        ("webhook-id", ""),
        ("webhook-id", "a.b"),
        ("webhook-id", "a" * 257),
        ("webhook-id", b"\xe9"),
        ("webhook-timestamp", None),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "1e9"),
        ("webhook-timestamp", "9" * 5000),
        ("webhook-timestamp", b"\xb2\xb3"),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,AAAA"),
        ("webhook-signature", f"v1a,{'A' * 43}="),
        ("webhook-signature", f"v1,{'*' * 43}="),
        ("webhook-signature", b"v1," + b"\xe9" * 44),
    ],
)
async def test_a_malformed_header_of_standard_webhooks_is_refused(world, name, value):
    headers = deliveries.standard(BODY, world.now.timestamp()) | {name: value}
    answer = await deliver(world, unread(), {key: given for key, given in headers.items() if given is not None})
    assert refused(answer, world, name)
