import base64

import pytest

from reconciler.core.deliveries import Fault, Forge, Reading, is_ping, reader_of, signing_key

COMMIT = "4f1c2d90a7b3e6658c1f0d2b9a8e7c6d5f4a3b2c"
PUSH = {"ref": "refs/heads/main", "after": COMMIT}
DELETED = {"ref": "main", "ref_type": "branch"}
CLOUD = {"changes": [{"old": None, "new": {"type": "branch", "name": "main"}}]}
SERVER = {"changes": [{"ref": {"id": "refs/heads/main"}}]}


def read(forge, event, content) -> Reading:
    reader = reader_of(Forge(forge), event)
    assert reader is not None
    return reader(content)


@pytest.mark.parametrize(
    ("forge", "event", "content", "ref"),
    [
        ("github", "push", PUSH, "refs/heads/main"),
        ("github", "push", {**PUSH, "ref": "refs/tags/v1"}, "refs/tags/v1"),
        ("github", "push", {**PUSH, "after": "0" * 40, "deleted": True}, "refs/heads/main"),
        ("github", "push", {**PUSH, "after": "A" * 64}, "refs/heads/main"),
        ("github", "delete", DELETED, "refs/heads/main"),
        ("gitea", "push", PUSH, "refs/heads/main"),
        ("gitea", "delete", {"ref": "v1", "ref_type": "tag"}, "refs/tags/v1"),
        ("forgejo", "push", PUSH, "refs/heads/main"),
        ("forgejo", "delete", DELETED, "refs/heads/main"),
        ("gitlab", "Push Hook", {**PUSH, "checkout_sha": None}, "refs/heads/main"),
        ("gitlab", "Tag Push Hook", {**PUSH, "ref": "refs/tags/v1"}, "refs/tags/v1"),
        ("gitlab", "System Hook", {**PUSH, "event_name": "push"}, "refs/heads/main"),
        ("gitlab", "System Hook", {**PUSH, "ref": "refs/tags/v1", "event_name": "tag_push"}, "refs/tags/v1"),
        ("bitbucket", "repo:push", CLOUD, "refs/heads/main"),
        ("bitbucket", "repo:push", {"changes": [{"new": {"type": "tag", "name": "v1"}}]}, "refs/tags/v1"),
        (
            "bitbucket",
            "repo:push",
            {"changes": [{"new": None, "old": {"type": "named_branch", "name": "main"}}]},
            "refs/heads/main",
        ),
        ("bitbucket", "repo:refs_changed", SERVER, "refs/heads/main"),
        ("generic", "", PUSH, "refs/heads/main"),
    ],
)
def test_the_ref_of_a_push_or_deletion_is_read(forge, event, content, ref):
    assert read(forge, event, content) == Reading(refs=(ref,))


def test_every_ref_of_a_push_of_several_is_read():
    changes = [{"new": {"type": "branch", "name": name}} for name in ("a", "b")]
    assert read("bitbucket", "repo:push", {"changes": changes}).refs == ("refs/heads/a", "refs/heads/b")
    assert read("bitbucket", "repo:push", {"changes": []}) == Reading()


def test_what_else_a_gitlab_server_tells_pushes_nothing():
    assert read("gitlab", "System Hook", {"event_name": "user_create"}) == Reading()


@pytest.mark.parametrize(
    ("forge", "event"),
    [
        ("github", "issues"),
        ("github", "ping"),
        ("github", ""),
        ("github", "PUSH"),
        ("gitlab", "push"),
        ("gitlab", "Merge Request Hook"),
        ("gitea", "create"),
        ("bitbucket", "pr:opened"),
    ],
)
def test_other_events_have_nothing_to_read(forge, event):
    assert reader_of(Forge(forge), event) is None


def test_who_pings_is_known():
    assert is_ping(Forge.GITHUB, "ping")
    assert is_ping(Forge.BITBUCKET, "diagnostics:ping")
    assert not is_ping(Forge.GITHUB, "push")
    assert not is_ping(Forge.GITLAB, "ping")


@pytest.mark.parametrize(
    ("forge", "event", "content", "field", "message"),
    [
        ("github", "push", {"after": COMMIT}, "ref", "is missing"),
        ("github", "push", {**PUSH, "ref": None}, "ref", "must not be null"),
        ("github", "push", {**PUSH, "ref": 5}, "ref", "must be a string"),
        ("github", "push", {**PUSH, "ref": ["refs/heads/main"]}, "ref", "must be a string"),
        ("github", "push", {**PUSH, "ref": ""}, "ref", "must not be empty"),
        ("github", "push", {**PUSH, "ref": "main"}, "ref", "must be the full name, such as refs/heads/main"),
        ("github", "push", {"ref": "refs/heads/main"}, "after", "is missing"),
        ("github", "push", {**PUSH, "after": None}, "after", "must not be null"),
        ("github", "push", {**PUSH, "after": {}}, "after", "must be a string"),
        *(
            ("generic", "", {**PUSH, "after": after}, "after", "must be a commit id: 40 or 64 hexadecimal digits")
            for after in ("HEAD", COMMIT[:-1], COMMIT + "0", COMMIT + "\n", "x" * 40, "\u0661" * 40)
        ),
        ("gitea", "delete", {"ref_type": "branch"}, "ref", "is missing"),
        ("gitea", "delete", {"ref": "main"}, "ref_type", "is missing"),
        ("gitea", "delete", {**DELETED, "ref_type": None}, "ref_type", "must not be null"),
        ("gitea", "delete", {**DELETED, "ref_type": "folder"}, "ref_type", "must be branch or tag"),
        ("gitea", "delete", {**DELETED, "ref_type": []}, "ref_type", "must be a string"),
        ("gitlab", "System Hook", PUSH, "event_name", "is missing"),
        ("bitbucket", "repo:push", {}, "changes", "is missing"),
        ("bitbucket", "repo:push", {"changes": None}, "changes", "must not be null"),
        ("bitbucket", "repo:push", {"changes": {}}, "changes", "must be a list"),
        ("bitbucket", "repo:push", {"changes": [None]}, "changes.0", "must have new or old"),
        ("bitbucket", "repo:push", {"changes": [{}]}, "changes.0", "must have new or old"),
        ("bitbucket", "repo:push", {"changes": [{"new": 5}]}, "changes.0.new", "must be a JSON object"),
        ("bitbucket", "repo:push", {"changes": [{"new": {"type": "tag"}}]}, "changes.0.new.name", "is missing"),
        (
            "bitbucket",
            "repo:push",
            {"changes": [*CLOUD["changes"], {"old": {"type": "x", "name": "a"}}]},
            "changes.1.old.type",
            "must be branch or tag",
        ),
        ("bitbucket", "repo:refs_changed", {"changes": [7]}, "changes.0", "must be a JSON object"),
        ("bitbucket", "repo:refs_changed", {"changes": [{}]}, "changes.0.ref", "is missing"),
        ("bitbucket", "repo:refs_changed", {"changes": [{"ref": {"id": 1}}]}, "changes.0.ref.id", "must be a string"),
    ],
)
def test_what_is_wrong_with_a_body_is_told_with_its_field(forge, event, content, field, message):
    assert read(forge, event, content) == Reading(faults=(Fault(field=field, message=message),))


def test_all_faults_are_told_at_once():
    assert [fault.field for fault in read("github", "push", {"ref": None}).faults] == ["ref", "after"]
    assert [fault.field for fault in read("gitea", "delete", {}).faults] == ["ref", "ref_type"]
    assert [fault.field for fault in read("bitbucket", "repo:push", {"changes": [1, 2]}).faults] == [
        "changes.0",
        "changes.1",
    ]


def test_a_secret_of_standard_webhooks_is_base64_after_its_prefix():
    key = bytes(range(32))
    assert signing_key("whsec_" + base64.b64encode(key).decode()) == key


def test_any_other_secret_is_the_key_itself():
    assert signing_key("caf\u00e9") == b"caf\xc3\xa9"


@pytest.mark.parametrize("rest", ["*", "abc", "a b c d", "\u00e9" * 4])
def test_a_secret_that_only_begins_like_standard_webhooks_is_none(rest):
    with pytest.raises(ValueError, match="what follows whsec_ must be Base64"):
        signing_key("whsec_" + rest)
