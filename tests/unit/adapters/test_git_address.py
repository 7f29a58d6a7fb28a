"""Which names stand for a repository, and which are refused before git is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.git.address import address_of, check_token
from reconciler.errors import SettingsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def a_repository(folder: Path, *, bare: bool) -> Path:
    """Laid out as git's own; no git is needed for it."""
    place = folder if bare else folder / ".git"
    for name in ("objects", "refs"):
        (place / name).mkdir(parents=True)
    (place / "HEAD").write_text("ref: refs/heads/main\n")
    return folder


@pytest.mark.parametrize(
    ("text", "beside", "url", "ref", "path"),
    [
        ("git+https://example.com/team/repo.git", None, "https://example.com/team/repo.git", "HEAD", ""),
        ("git+https://example.com/repo?ref=main", None, "https://example.com/repo", "main", ""),
        ("git+https://example.com/repo", "main", "https://example.com/repo", "main", ""),
        ("git+https://example.com/repo?ref=main", "main", "https://example.com/repo", "main", ""),
        ("git+https://example.com/repo?ref=main&path=a/b", None, "https://example.com/repo", "main", "a/b"),
        ("git+https://example.com/repo?path=a/b&ref=v1.0", None, "https://example.com/repo", "v1.0", "a/b"),
        ("git+https://example.com/repo?path=./a//b/", None, "https://example.com/repo", "HEAD", "a/b"),
        ("git+https://example.com/repo?path=.", None, "https://example.com/repo", "HEAD", ""),
        ("git+https://example.com/repo?path=two%20words", None, "https://example.com/repo", "HEAD", "two words"),
        ("git+https://example.com/repo?path=%C3%A4", None, "https://example.com/repo", "HEAD", "ä"),
        ("git+https://example.com:8443/repo", None, "https://example.com:8443/repo", "HEAD", ""),
        ("git+http://127.0.0.1:3000/repo?ref=feature/x", None, "http://127.0.0.1:3000/repo", "feature/x", ""),
        ("git+https://[::1]:3000/repo", None, "https://[::1]:3000/repo", "HEAD", ""),
        ("git+ssh://git@example.com/repo.git", None, "ssh://git@example.com/repo.git", "HEAD", ""),
        ("git+ssh://git@example.com:2222/repo.git", None, "ssh://git@example.com:2222/repo.git", "HEAD", ""),
        ("git+git://example.com/repo", None, "git://example.com/repo", "HEAD", ""),
        ("git+file:///srv/repo.git", None, "file:///srv/repo.git", "HEAD", ""),
        (f"git+file:///srv/repo.git?ref={COMMIT}", None, "file:///srv/repo.git", COMMIT, ""),
        ("git+https://example.com/repo?ref=refs/heads/main", None, "https://example.com/repo", "refs/heads/main", ""),
    ],
)
def test_an_address_says_repository_ref_and_path(text, beside, url, ref, path):
    address = address_of(text, beside)

    assert address is not None
    assert (address.url, address.ref, address.path, address.local) == (url, ref, path, None)


@pytest.mark.parametrize(
    ("text", "beside", "reason"),
    [
        # for git these are options, or the option of something that git starts
        ("-x", "main", "dash"),
        ("--upload-pack=touch x", "main", "dash"),
        ("git+ssh://-oProxyCommand=x/repo", None, "dash|host"),
        ("git+https://example.com/-repo", None, "dash|no repository"),
        ("git+https://example.com/repo?ref=-x", None, "ref|branch"),
        ("git+https://example.com/repo?ref=--upload-pack=x", None, "ref|branch"),
        ("git+https://example.com/repo", "--upload-pack=x", "ref|branch"),
        ("git+https://example.com/repo?path=-x", None, "path"),
        # secrets
        ("git+https://user:hunter2@example.com/repo", None, "RECONCILER_GIT_TOKEN"),
        ("git+https://:hunter2@example.com/repo", None, "RECONCILER_GIT_TOKEN"),
        ("git+ssh://git:hunter2@example.com/repo", None, "RECONCILER_GIT_TOKEN"),
        ("https://bot:hunter2@example.com/repo.git", None, r"'https://…@example\.com/repo\.git': write .*git\+https"),
        ("http://bot:hunter2@example.com/repo.git", "main", r"git\+https"),
        ("https://bot:a/hunter2@example.com/repo.git", None, r"git\+https"),
        ("https://example.com/repo.git?private_token=hunter2", None, r"git\+https"),
        ("ssh://git:hunter2@example.com/repo.git", None, r"git\+ssh"),
        ("git:hunter2@example.com:team/repo.git", None, r"git\+ssh"),
        ("git:hunter2@example.com:/srv/repo.git", "main", r"git\+ssh"),
        ("git:a/hunter2@example.com:team/repo.git", None, r"git\+ssh"),
        ("bot:hunter2@example.com/team/repo.git", None, r"git\+https"),
        ("-bot:hunter2@example.com:repo.git", None, "dash"),
        ("https://bot:hunter2@example.com/re\npo", None, "control"),
        ("git+https://bot:hunter2#x@example.com/repo", None, "host or port"),
        ("git+https://bot:12#hunter2@example.com/repo", None, "%23"),
        ("git+https://bot:12/hunter2@example.com/repo", None, "%40"),
        ("git+https://bot:hunter2\u2100@example.com/repo", None, "host or port"),
        # no addresses at all
        ("git+https://[::1/r.git", None, "host or port"),
        ("git+https://example.com:99999/r.git", None, "host or port"),
        ("git+https://example.com:port/r.git", None, "host or port"),
        # transports that run what they are told
        ("ext::sh -c id", None, r"git\+|remote helper"),
        ("ext::sh -c id", "main", r"git\+|remote helper"),
        ("git+ext::sh%20-c%20id", None, "ext"),
        ("git+ext://sh", None, "ext"),
        ("git+fd::17", None, "fd"),
        ("git+rsync://example.com/repo", None, "rsync"),
        ("git+htps://example.com/repo", None, "https"),
        # what was meant otherwise
        ("https://example.com/repo.git", None, r"git\+https"),
        ("ssh://git@example.com/repo.git", "main", r"git\+"),
        ("git@example.com:team/repo.git", None, r"git\+ssh"),
        ("git@example.com:team/repo.git", "main", r"git\+ssh"),
        ("git+", None, r"git\+"),
        ("git+https://", None, "host"),
        ("git+https:///repo", None, "host"),
        ("git+file://server/repo", None, "absolute"),
        ("git+file://repo", None, "absolute"),
        ("git+https://example.com/repo?branch=main", None, "branch"),
        ("git+https://example.com/repo?rev=main", None, "ref"),
        ("git+https://example.com/repo?ref=a&ref=b", None, "twice"),
        ("git+https://example.com/repo?path=a&path=b", None, "twice"),
        ("git+https://example.com/repo?ref=a", "b", "--ref"),
        # names that git itself refuses for a ref
        ("git+https://example.com/repo?ref=", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=a..b", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=a%20b", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=a:b", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=a*", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=main~1", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=main^", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=main@{1}", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=@", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=a.lock", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=a/.b", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=/a", None, "branch, (a )?tag or"),
        ("git+https://example.com/repo?ref=a%0Ab", None, "branch, (a )?tag or"),
        # out of the repository
        ("git+https://example.com/repo?path=..", None, "path"),
        ("git+https://example.com/repo?path=a/../../b", None, "path"),
        ("git+https://example.com/repo?path=%2E%2E/b", None, "path"),
        ("git+https://example.com/repo?path=/etc", None, "path"),
        ("git+https://example.com/repo?path=.git/hooks", None, "path"),
        ("git+https://example.com/repo?path=a%0Ab", None, "path"),
        ("git+https://example.com/repo?path=a%00b", None, "path"),
    ],
)
def test_what_git_could_misunderstand_is_refused_with_the_reason(text, beside, reason):
    with pytest.raises(SettingsError, match=reason) as refused:
        address_of(text, beside)

    assert "hunter2" not in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ("git+https://example.com/re\npo", "\n"),
        ("git+https://example.com/repo\x1b[2J", "\x1b"),
        ("git+https://exa\x00mple.com/repo", "\x00"),
    ],
)
def test_a_control_character_reaches_neither_git_nor_the_terminal(text, forbidden):
    with pytest.raises(SettingsError) as refused:
        address_of(text, None)

    assert forbidden not in str(refused.value)


def test_a_folder_is_no_repository(tmp_path):
    assert address_of(str(tmp_path), None) is None
    assert address_of("manifests", None) is None


@pytest.mark.parametrize("name", ["n" * 300, "n/" * 3000])
def test_a_name_that_no_file_can_have_is_no_repository(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)

    assert address_of(name, None) is None
    with pytest.raises(SettingsError, match="does not stand in a git repository"):
        address_of(name, "main")


def test_a_link_that_leads_nowhere_is_no_repository(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    assert address_of(str(tmp_path / "loop"), None) is None
    with pytest.raises(SettingsError, match="does not stand in a git repository"):
        address_of(str(tmp_path / "loop"), "main")


@pytest.mark.parametrize("name", ["a:b@c:d", "user@host:folder"])
def test_a_folder_that_is_here_is_one_whatever_its_name_looks_like(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)

    assert address_of(name, None) is None


def test_a_work_tree_without_a_ref_is_a_folder(tmp_path):
    assert address_of(str(a_repository(tmp_path, bare=False)), None) is None


def test_a_bare_repository_needs_no_ref(tmp_path):
    address = address_of(str(a_repository(tmp_path / "repo.git", bare=True)), None)

    assert address is not None
    assert (address.ref, address.path, address.url) == ("HEAD", "", "")
    assert address.local == (tmp_path / "repo.git").resolve()


def test_a_path_with_a_ref_is_read_from_the_repository_around_it(tmp_path):
    a_repository(tmp_path, bare=False)
    (tmp_path / "deploy" / "manifests").mkdir(parents=True)

    address = address_of(str(tmp_path / "deploy" / "manifests"), "main")

    assert address is not None
    assert (address.ref, address.path, address.url) == ("main", "deploy/manifests", "")
    assert address.local is not None


def test_the_path_need_not_exist_in_the_work_tree_only_at_the_ref(tmp_path):
    a_repository(tmp_path, bare=False)

    address = address_of(str(tmp_path / "only" / "there"), "main")

    assert address is not None
    assert address.path == "only/there"


@pytest.mark.parametrize(
    "ref", ["main~1", "main^", "HEAD~2^2~", "v1.0^", "feature/x~3", "@", "@~1", "@{upstream}", "main@{1}", "@{-1}~1"]
)
def test_steps_from_a_ref_name_a_commit_of_a_repository_on_this_machine(tmp_path, ref):
    a_repository(tmp_path, bare=True)

    assert address_of(str(tmp_path), ref).ref == ref


@pytest.mark.parametrize("ref", ["main~1", "main^", "main@{1}", "HEAD~"])
def test_steps_from_a_ref_of_another_machine_are_refused_with_the_reason(ref):
    for text, beside in ((f"git+https://example.com/repo?ref={ref}", None), ("git+file:///srv/repo.git", ref)):
        with pytest.raises(SettingsError, match="only for a repository on this machine"):
            address_of(text, beside)


BAD_REVISIONS = [
    *("-x~1", "--output=x^", "~1", "^main", "main..HEAD~1", "main~1..", "main...HEAD", "main~1:secret", ":/text"),
    *("main^{/text}", "main^{tree}", "main^@", "main^!", "main^-", "main~-1", "main~1 HEAD", "main~1\n", "../main~1"),
    *("main@{yesterday}", "main~" + "9" * 10, "@{upstream}main", "@@{1}x"),
]


@pytest.mark.parametrize("ref", BAD_REVISIONS)
def test_what_names_more_than_one_commit_or_anything_else_is_refused(tmp_path, ref):
    a_repository(tmp_path, bare=True)

    with pytest.raises(SettingsError, match="branch, tag or commit, nor steps from one"):
        address_of(str(tmp_path), ref)


@pytest.mark.parametrize("ref", ["-x", "a b", "", "a..b", "--output=x"])
def test_a_bad_ref_beside_a_path_is_refused(tmp_path, ref):
    a_repository(tmp_path, bare=False)

    with pytest.raises(SettingsError, match=r"branch, (a )?tag or"):
        address_of(str(tmp_path), ref)


def test_a_ref_beside_a_folder_outside_any_repository_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="repository"):
        address_of(str(tmp_path), "main")


def test_the_name_for_people_says_ref_and_path():
    address = address_of("git+ssh://git@example.com/repo.git?ref=main&path=manifests", None)

    assert address is not None
    for part in ("example.com/repo.git", "main", "manifests"):
        assert part in address.name


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1:8080", "localhost.example.com", "[2001:db8::1]"])
def test_a_token_is_never_sent_over_plain_http(host):
    address = address_of(f"git+http://{host}/repo.git", "main")

    assert address is not None
    with pytest.raises(SettingsError, match=r"https only.*git\+https://"):
        check_token(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/repo.git",
        "http://localhost:3000/repo.git",
        "http://127.0.0.1:3000/repo.git",
        "http://127.1.2.3/repo.git",
        "http://[::1]:3000/repo.git",
        "ssh://git@example.com/repo.git",
        "file:///srv/repo.git",
    ],
)
def test_a_token_may_be_sent_encrypted_and_on_this_machine(url):
    address = address_of(f"git+{url}", "main")

    assert address is not None
    check_token(address)
