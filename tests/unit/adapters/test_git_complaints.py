"""What is made of git's complaints: the reason is shown, and judged only by what our own side says."""

from __future__ import annotations

import pytest

from reconciler.adapters.git.complaints import advice, is_missing, may_be_damage, shown

AFTER = (
    "fatal: Could not read from remote repository.\nPlease make sure you have the correct access rights\n"
    "and the repository exists.\n"
)


@pytest.mark.parametrize(
    "reason",
    [
        "git@example.com: Permission denied (publickey).",
        "Host key verification failed.",
        "ssh: connect to host example.com port 22: Connection refused",
        "fatal: '/srv/repo.git' does not appear to be a git repository",
        "fatal: detected dubious ownership in repository at '/srv/repo.git'",
    ],
)
def test_the_reason_is_shown_and_not_what_git_adds_to_every_one(reason):
    assert shown(f"{reason}\n{AFTER}") == reason


def test_what_git_adds_is_shown_where_it_says_nothing_else():
    assert "Could not read from remote repository" in shown(AFTER)


@pytest.mark.parametrize(
    "said",
    [
        "fatal: Authentication failed for 'https://example.com/repo.git/'",
        "fatal: could not read Username for 'https://example.com': terminal prompts disabled",
        "fatal: unable to access 'https://example.com/repo.git/': The requested URL returned error: 403",
        "error: RPC failed; HTTP 401 curl 22 The requested URL returned error: 401",
        f"git@example.com: Permission denied (publickey,password).\n{AFTER}",
    ],
)
def test_a_refused_login_is_told_as_one(said):
    assert "login was refused" in advice(said)


@pytest.mark.parametrize(
    "said",
    [
        "fatal: unable to access 'http://127.0.0.1:14013/repo.git/': Failed to connect to ::1 port 14013: refused",
        "fatal: unable to connect to 127.0.0.1:\n127.0.0.1[0: 127.0.0.1]: errno=Connection refused, port 40103",
        "fatal: unable to access 'https://example.com/401/403.git/': The requested URL returned error: 500",
        "fatal: unable to access 'https://example.com/a/': Failed to connect to example.com port 4403 after 401 ms: no",
        "remote: Permission denied (once upon a time)\nfatal: early EOF",
        "fatal: cannot open '/var/lib/git/packed-refs': Permission denied",
        "fatal: '/srv/Permission denied (publickey)/x' does not appear to be a git repository",
    ],
)
def test_numbers_and_names_are_no_refused_login(said):
    assert advice(said) == ""


def test_a_repository_of_somebody_elses_is_told_with_what_to_do():
    said = (
        "fatal: detected dubious ownership in repository at '/srv/repo.git'\n"
        "To add an exception for this directory, call:\ngit config --global --add safe.directory /srv/repo.git\n"
    )

    assert "git config --global --add safe.directory" in advice(said)
    assert "/srv/repo.git" in shown(said)


def test_an_unknown_host_key_is_told_with_what_to_do():
    assert "known_hosts" in advice(f"Host key verification failed.\n{AFTER}")


@pytest.mark.parametrize(
    "said",
    [
        "fatal: '/srv/broken-jobs.git' does not appear to be a git repository",
        "fatal: '/srv/corrupt/packfile/truncated.git' does not appear to be a git repository",
        "remote: fatal: loose object 1234 is corrupt\nfatal: protocol error: bad pack header",
        "ssh: connect to host broken.example.com port 22: Connection refused",
    ],
)
def test_what_the_other_side_says_and_names_are_no_damage_of_ours(said):
    assert not may_be_damage(said)


@pytest.mark.parametrize(
    "said", ["fatal: bad shallow line: garbage", "error: packfile ./x.pack is truncated", "fatal: bad object 1234"]
)
def test_damage_of_ours_is_seen(said):
    assert may_be_damage(said)


def test_only_git_itself_can_say_that_a_ref_is_missing():
    assert is_missing("fatal: couldn't find remote ref refs/heads/main")
    assert is_missing("fatal: remote error: upload-pack: not our ref 1234")
    assert not is_missing("remote: fatal: couldn't find remote ref refs/heads/main\nfatal: early EOF")
    assert not is_missing("fatal: '/srv/not our ref/x' does not appear to be a git repository")
