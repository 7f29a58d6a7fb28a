"""A repository as a source: what is read, what is told of it, and that trouble passes by itself."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from reconciler.adapters.git import GitSource, Limits
from reconciler.core.model import Snapshot
from reconciler.errors import SourceError, SourceUnavailableError
from tests.integration.repositories import (
    Repository,
    SilentServer,
    SlowServer,
    alive_for,
    daemon,
    free_port,
    layout,
    none_alive_for,
    source_at,
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repositories" / "repo.git")
    made.write("Begin", {"a.yaml": "a: 1\n", "teams/b.yaml": "b: 1\n", "README.md": "no manifest\n"})
    return made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, so that nobody's configuration of git counts."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def fetched(source: GitSource, attempts: int = 2) -> Snapshot:
    """What comes within so many fetches, all but the last of which may fail for now."""
    for _ in range(attempts - 1):
        try:
            return await source.fetch({})
        except SourceUnavailableError:
            continue
    return await source.fetch({})


@pytest.fixture
def sha256(tmp_path: Path) -> Repository:
    """A repository whose objects are named by SHA-256."""
    made = Repository(tmp_path / "repositories" / "sha256.git", object_format="sha256")
    made.write("Begin", {"a.yaml": "a: 1\n", "teams/b.yaml": "b: 1\n"})
    return made


# What is read


async def test_the_first_fetch_brings_every_manifest(repository, data):
    snapshot = await source_at(repository.url, data).fetch({})

    assert snapshot.texts == {"a.yaml": b"a: 1\n", "teams/b.yaml": b"b: 1\n"}
    assert snapshot.files.keys() == snapshot.texts.keys()
    assert snapshot.revision == repository.head()
    assert snapshot.problems == ()
    assert snapshot.notes == ()


async def test_content_ids_are_gits_own(repository, data):
    snapshot = await source_at(repository.url, data).fetch({})

    assert snapshot.files["a.yaml"] == repository.git("rev-parse", "main:a.yaml")


async def test_only_files_with_a_new_content_id_are_read(repository, data):
    source = source_at(repository.url, data)
    first = await source.fetch({})
    repository.write("Change one", {"a.yaml": "a: 2\n"})

    second = await source.fetch(first.files)

    assert second.texts == {"a.yaml": b"a: 2\n"}
    assert second.files.keys() == first.files.keys()


async def test_one_content_under_two_names_is_given_for_both(repository, data):
    repository.write("Copy", {"copy.yaml": "a: 1\n"})

    snapshot = await source_at(repository.url, data).fetch({})

    assert snapshot.texts["copy.yaml"] == snapshot.texts["a.yaml"]


async def test_a_reader_that_forgot_everything_is_given_everything_again(repository, data):
    source = source_at(repository.url, data)
    await source.fetch({})

    assert (await source.fetch({})).texts.keys() == {"a.yaml", "teams/b.yaml"}


async def test_the_commit_is_told_with_author_date_and_subject(repository, data):
    before = datetime.now(UTC) - timedelta(seconds=2)
    repository.write("Ring at nöon\n\nWith a body.", {"a.yaml": "a: 2\n"}, author="Añn Other <other@example.com>")

    commit = (await source_at(repository.url, data).fetch({})).commit

    assert commit.id == repository.head()
    assert commit.author == "Añn Other <other@example.com>"
    assert commit.subject == "Ring at nöon"
    assert before <= commit.date <= datetime.now(UTC) + timedelta(seconds=2)


async def test_a_poll_that_finds_nothing_starts_one_process(repository, data):
    source = source_at(repository.url, data)
    first = await source.fetch({})
    before = source.started

    again = await source.fetch(first.files)

    assert source.started - before == 1
    assert (again.revision, again.files, again.texts) == (first.revision, first.files, {})


async def test_a_commit_of_one_file_starts_three_and_its_origin_none(repository, data):
    source = source_at(repository.url, data)
    first = await source.fetch({})
    repository.write("Change one", {"a.yaml": "a: 2\n"})
    before = source.started

    second = await source.fetch(first.files)
    origins = await source.origins(["a.yaml"])

    assert source.started - before == 3
    assert origins == {"a.yaml": second.commit}


# Which part, at which ref


@pytest.mark.parametrize("place", ["fetched", "in place"])
async def test_objects_may_be_named_by_sha_256(sha256, data, place):
    source = source_at(sha256.url if place == "fetched" else str(sha256.path), data, ref="main")
    first = await source.fetch({})
    sha256.write("Change one", {"a.yaml": "a: 2\n"})

    second = await source.fetch(first.files)
    origins = await source.origins(["a.yaml", "teams/b.yaml"])

    assert first.texts == {"a.yaml": b"a: 1\n", "teams/b.yaml": b"b: 1\n"}
    assert second.texts == {"a.yaml": b"a: 2\n"}
    assert len(second.revision) == 64
    assert second.revision == sha256.head()
    assert [origins[name].subject for name in ("a.yaml", "teams/b.yaml")] == ["Change one", "Begin"]


async def test_a_history_of_sha_256_that_is_rewritten_is_followed_and_noted_after_a_restart_too(sha256, data):
    former = (await source_at(sha256.url, data).fetch({})).revision
    sha256.write("Anew", {"a.yaml": "a: 3\n"}, force=True)

    snapshot = await source_at(sha256.url, data).fetch({})

    assert snapshot.texts == {"a.yaml": b"a: 3\n"}
    assert [former[:12] in note for note in snapshot.notes] == [True]


async def test_names_by_sha_256_cost_no_more_processes_once_they_are_known(sha256, data):
    source = source_at(sha256.url, data)
    first = await source.fetch({})
    counts = [source.started]
    second = await source.fetch(first.files)
    counts.append(source.started)
    sha256.write("Change one", {"a.yaml": "a: 2\n"})
    await source.fetch(second.files)
    counts.append(source.started)
    restarted = source_at(sha256.url, data)
    await restarted.fetch({})

    assert counts == [4, 5, 8]  # the first fetch is tried twice
    assert restarted.started == 3


@pytest.mark.parametrize("formats", [("sha1", "sha256"), ("sha256", "sha1")], ids="-to-".join)
async def test_a_repository_made_anew_in_another_object_format_is_followed(tmp_path, data, formats):
    path = tmp_path / "repositories" / "repo.git"
    former = Repository(path, object_format=formats[0])
    former.write("Begin", {"a.yaml": "a: 1\n"})
    source = source_at(former.url, data)
    await source.fetch({})
    former.remove()
    anew = Repository(path, object_format=formats[1])
    anew.write("Anew", {"a.yaml": "a: 2\n"})

    snapshot = await fetched(source)

    assert snapshot.texts == {"a.yaml": b"a: 2\n"}
    assert snapshot.revision == anew.head()


async def test_a_path_is_a_folder_of_the_repository(repository, data):
    snapshot = await source_at(f"{repository.url}&path=teams", data).fetch({})

    assert snapshot.texts == {"b.yaml": b"b: 1\n"}


async def test_a_path_is_not_the_beginning_of_another_name(repository, data):
    repository.write("Alike", {"teams-old/c.yaml": "c: 1\n", "teams.yaml": "d: 1\n"})

    snapshot = await source_at(f"{repository.url}&path=teams", data).fetch({})

    assert set(snapshot.texts) == {"b.yaml"}


async def test_a_path_may_be_one_file(repository, data):
    source = source_at(f"{repository.url}&path=teams/b.yaml", data)

    assert (await source.fetch({})).texts == {"b.yaml": b"b: 1\n"}
    assert set(await source.origins(["b.yaml"])) == {"b.yaml"}


async def test_a_path_of_one_file_is_not_taken_for_a_folder_of_its_name(repository, data):
    repository.write("Nested", {"c.yaml/c.yaml": "c: 1\n"})
    source = source_at(f"{repository.url}&path=c.yaml", data)

    snapshot = await source.fetch({})

    assert snapshot.texts == {"c.yaml": b"c: 1\n"}
    assert set(await source.origins(["c.yaml"])) == {"c.yaml"}


async def test_without_a_ref_the_default_branch_is_read(repository, data):
    snapshot = await source_at(f"git+file://{repository.path}", data).fetch({})

    assert snapshot.revision == repository.head()


@pytest.mark.parametrize("ref", ["v1", "refs/tags/v1", "annotated", "refs/heads/main"])
async def test_a_ref_is_a_branch_or_a_tag_of_either_kind(repository, data, ref):
    tagged = repository.head()
    repository.git("tag", "v1")
    repository.git("tag", "-a", "annotated", "-m", "A tag")

    snapshot = await source_at(f"git+file://{repository.path}?ref={ref}", data).fetch({})

    assert snapshot.revision == snapshot.commit.id == tagged


@pytest.fixture(params=["fetched", "in place"])
def at(request, repository: Repository):
    """The repository at a ref, either way that it is read."""

    def made(data: Path, ref: str) -> GitSource:
        if request.param == "in place":
            return source_at(str(repository.path), data, ref=ref)
        return source_at(f"git+file://{repository.path}?ref={ref}", data)

    return made


@pytest.mark.parametrize("ref", ["main", "heads/main", "refs/heads/main"])
@pytest.mark.parametrize("taken", ["before", "meanwhile"])
async def test_a_tag_of_the_same_name_never_takes_the_place_of_the_branch(repository, data, at, ref, taken):
    aside = repository.git("commit-tree", repository.git("mktree"), "-m", "Anything")
    source = at(data, ref)
    if taken == "meanwhile":
        await source.fetch({})
    repository.git("tag", "main", aside)

    assert (await source.fetch({})).revision == repository.head()
    assert (await at(data / "new", ref).fetch({})).revision == repository.head()
    assert (await at(data, "refs/tags/main").fetch({})).revision == aside


async def test_steps_are_counted_from_the_branch_and_not_from_the_tag(repository, data):
    before = repository.head()
    repository.write("Change", {"a.yaml": "a: 2\n"})
    repository.git("tag", "main", before)

    assert (await source_at(str(repository.path), data, ref="main~1").fetch({})).revision == before


async def test_a_branch_that_is_gone_is_not_replaced_by_a_tag_of_its_name(repository, data, at):
    source = at(data, "main")
    await source.fetch({})
    head = repository.head()
    repository.git("tag", "main", head)
    repository.git("update-ref", "-d", "refs/heads/main")

    with pytest.raises(SourceError, match="refs/heads/main"):
        await source.fetch({})
    repository.git("update-ref", "refs/heads/main", head)
    assert (await source.fetch({})).revision == head


async def test_a_branch_that_is_gone_is_not_replaced_by_a_tag_after_a_restart_either(repository, data):
    await source_at(repository.url, data).fetch({})
    repository.git("tag", "main", "main")
    repository.git("update-ref", "-d", "refs/heads/main")

    with pytest.raises(SourceError, match="any more"):
        await source_at(repository.url, data).fetch({})


async def test_a_poll_of_a_tag_starts_one_process_too(repository, data):
    repository.git("tag", "v1")
    first = await source_at(f"git+file://{repository.path}?ref=v1", data).fetch({})
    source = source_at(f"git+file://{repository.path}?ref=v1", data)
    await source.fetch(first.files)
    before = source.started

    await source.fetch(first.files)

    assert source.started - before == 1


async def test_a_ref_may_be_a_commit(repository, data):
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    old = repository.head()
    repository.write("Change", {"a.yaml": "a: 2\n"})
    source = source_at(f"git+file://{repository.path}?ref={old}", data)

    assert (await source.fetch({})).texts["a.yaml"] == b"a: 1\n"
    assert (await source.fetch({})).revision == old


async def test_a_tag_of_what_is_no_commit_is_refused(repository, data):
    repository.git("tag", "content", repository.git("rev-parse", "main:a.yaml"))

    with pytest.raises(SourceError, match="commit"):
        await source_at(f"git+file://{repository.path}?ref=content", data).fetch({})


async def test_pushes_to_the_ref_concern_the_source_and_others_do_not(repository, data):
    source = source_at(repository.url, data)

    assert source.concerns("refs/heads/main")
    assert not source.concerns("refs/heads/other")
    assert not source.concerns("refs/heads/feature/main")
    assert source_at(f"git+file://{repository.path}?ref=heads/main", data).concerns("refs/heads/main")


# History


async def test_a_rewritten_history_is_followed_and_noted(repository, data):
    source = source_at(repository.url, data)
    first = await source.fetch({})
    old = repository.head()
    repository.write("Anew", {"z.yaml": "z: 1\n"}, force=True)

    second = await source.fetch(first.files)

    assert second.files.keys() == {"z.yaml"}
    assert len(second.notes) == 1
    assert old[:12] in second.notes[0]
    assert (await source.fetch(second.files)).notes == ()


async def test_a_rewritten_history_is_noted_after_a_restart_too(repository, data):
    await source_at(repository.url, data).fetch({})
    repository.write("Anew", {"z.yaml": "z: 1\n"}, force=True)

    assert len((await source_at(repository.url, data).fetch({})).notes) == 1


async def test_a_branch_that_was_set_back_is_followed_and_noted(repository, data):
    source = source_at(repository.url, data)
    back = repository.head()
    repository.write("Change", {"a.yaml": "a: 2\n"})
    await source.fetch({})
    repository.git("update-ref", "refs/heads/main", back)

    snapshot = await source.fetch({})

    assert snapshot.revision == back
    assert len(snapshot.notes) == 1


async def test_many_ordinary_commits_are_no_rewriting(repository, data):
    source = source_at(repository.url, data)
    await source.fetch({})
    for number in range(70):
        repository.write(f"Change {number}", {"a.yaml": f"a: {number}\n"})

    assert (await source.fetch({})).notes == ()


async def test_origins_are_the_commits_that_last_changed_the_files(repository, data):
    first = repository.head()
    second = repository.write("Change a", {"a.yaml": "a: 2\n"})
    repository.write("Change nothing that is read", {"README.md": "other\n"})
    source = source_at(repository.url, data)
    await source.fetch({})

    origins = await source.origins(["a.yaml", "teams/b.yaml", "no-such.yaml"])

    assert {name: commit.id for name, commit in origins.items()} == {"a.yaml": second, "teams/b.yaml": first}
    assert origins["a.yaml"].subject == "Change a"


def a_merge(repository: Repository, files: dict[str, str | bytes | None]) -> dict[str, str]:
    """Two branches, one of which changes a and the other b, and their merge with this content."""
    base = repository.head()
    repository.git("update-ref", "refs/heads/side", base)
    repository.branch = "side"
    side = repository.write("On the side", {"a.yaml": "a: side\n"})
    repository.branch = "main"
    main = repository.write("On main", {"teams/b.yaml": "b: main\n"})
    tree = repository.git("rev-parse", f"{repository.write('Content', files)}^{{tree}}")
    merge = repository.git("commit-tree", tree, "-p", main, "-p", side, "-m", "Merge")
    repository.git("update-ref", "refs/heads/main", merge)
    return {"base": base, "side": side, "main": main, "merge": merge}


@pytest.mark.parametrize(
    ("a", "by"), [pytest.param("a: side\n", "side", id="taken over"), pytest.param("a: both\n", "merge", id="changed")]
)
@pytest.mark.parametrize("others", [0, 100], ids=["few", "many"])
async def test_a_merge_is_the_origin_only_of_what_it_changes_itself(repository, data, a, by, others):
    more = {f"other-{number}.yaml": f"o: {number}\n" for number in range(others)}
    added = repository.write("More", more) if others else ""
    made = a_merge(repository, {"a.yaml": a, "teams/b.yaml": "b: main\n"})
    source = source_at(repository.url, data)
    snapshot = await source.fetch({})

    origins = await source.origins(snapshot.files)

    assert origins["a.yaml"].id == made[by]
    assert origins["teams/b.yaml"].id == made["main"]
    assert {origins[name].id for name in more} == ({added} if others else set())


async def test_the_origins_of_many_files_are_those_that_git_log_finds(repository, data):
    for number in range(150):
        name = f"teams/file-{number * 7 % 90}.yaml"
        repository.write(f"Commit {number}", {name: f"n: {number % 40}\n"})
    source = source_at(repository.url, data, limits=Limits(depth=1000))
    snapshot = await source.fetch({})

    origins = await source.origins(snapshot.files)

    assert len(snapshot.files) > 64
    for name in [*list(snapshot.files)[::9], "a.yaml"]:
        assert origins[name].id == repository.git("log", "-1", "--format=%H", "main", "--", name), name


@pytest.mark.parametrize("others", [0, 100], ids=["few", "many"])
async def test_where_the_history_was_cut_off_nothing_is_claimed(repository, data, others):
    more = {f"other-{number}.yaml": f"o: {number}\n" for number in range(others)}
    for number in range(4):
        newest = repository.write(f"Change {number}", {"a.yaml": f"a: {number}x\n"} | (more if number == 0 else {}))
    source = source_at(repository.url, data, limits=Limits(depth=2))
    snapshot = await source.fetch({})

    assert {name: commit.id for name, commit in (await source.origins(snapshot.files)).items()} == {"a.yaml": newest}


async def test_before_the_first_fetch_no_origin_is_known(repository, data):
    assert await source_at(repository.url, data).origins(["a.yaml"]) == {}


# Trouble, and its end


async def test_a_branch_that_is_gone_is_an_error_until_it_is_back(repository, data):
    source = source_at(repository.url, data)
    await source.fetch({})
    head = repository.head()
    repository.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(SourceError, match="main"):
        await source.fetch({})
    repository.git("update-ref", "refs/heads/main", head)

    assert (await source.fetch({})).revision == head


async def test_a_path_that_is_gone_is_an_error_until_it_is_back(repository, data):
    source = source_at(f"{repository.url}&path=teams", data)
    await source.fetch({})
    repository.write("Remove", {"teams/b.yaml": None})
    with pytest.raises(SourceError, match="teams"):
        await source.fetch({})
    repository.write("Put back", {"teams/b.yaml": "b: 2\n"})

    assert (await source.fetch({})).texts == {"b.yaml": b"b: 2\n"}


async def test_a_repository_that_is_gone_is_unavailable_until_it_is_back(repository, data):
    source = source_at(repository.url, data)
    await source.fetch({})
    aside = repository.path.with_name("aside.git")
    repository.path.rename(aside)
    with pytest.raises(SourceUnavailableError, match=r"repo\.git"):
        await source.fetch({})
    aside.rename(repository.path)

    assert (await source.fetch({})).revision == repository.head()


async def test_a_repository_that_was_made_anew_is_followed(repository, data):
    source = source_at(repository.url, data)
    await source.fetch({})
    repository.remove()
    anew = Repository(repository.path)
    anew.write("Begin again", {"n.yaml": "n: 1\n"})

    assert set((await source.fetch({})).files) == {"n.yaml"}


async def test_an_empty_repository_has_no_such_ref(tmp_path, data):
    with pytest.raises(SourceError):
        await source_at(Repository(tmp_path / "empty.git").url, data).fetch({})


async def test_a_server_that_stops_is_unavailable_until_it_is_back(repository, data):
    port = free_port()
    source = source_at(f"git+git://127.0.0.1:{port}/repo.git?ref=main", data)
    with daemon(repository.path.parent, port):
        await source.fetch({})
    with pytest.raises(SourceUnavailableError):
        await source.fetch({})
    repository.write("Meanwhile", {"a.yaml": "a: 2\n"})
    with daemon(repository.path.parent, port):
        assert (await source.fetch({})).texts["a.yaml"] == b"a: 2\n"


def truncate(mirror: Path) -> None:
    found = [path for path in mirror.rglob("objects/**/*") if path.is_file()]
    assert found
    for path in found:
        path.chmod(0o600)
        os.truncate(path, path.stat().st_size // 2)


def remove_packs(mirror: Path) -> None:
    for path in mirror.rglob("objects/pack/*"):
        path.unlink()


def remove_one(name: str):
    def remove(mirror: Path) -> None:
        (mirror / name).unlink()

    return remove


def empty_config(mirror: Path) -> None:
    (mirror / "config").write_text("")


def garble_config(mirror: Path) -> None:
    (mirror / "config").write_text("[core\n")


def garble_refs(mirror: Path) -> None:
    for path in (mirror / "refs").rglob("*"):
        if path.is_file():
            path.write_text("garbage\n")


def leave_locks(mirror: Path) -> None:
    for name in ("shallow.lock", "config.lock", "HEAD.lock"):
        (mirror / name).write_text("")
    for path in list((mirror / "refs").rglob("*")):
        if path.is_file():
            path.with_name(path.name + ".lock").write_text("")


def garble_shallow(mirror: Path) -> None:
    (mirror / "shallow").write_text("garbage\n")


def halve_shallow(mirror: Path) -> None:
    (mirror / "shallow").write_text("0123456789abcdef\n")


def a_file_instead(mirror: Path) -> None:
    shutil.rmtree(mirror)
    mirror.write_text("not a folder\n")


def a_file_instead_of_objects(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")
    (mirror / "objects").write_text("not a folder\n")


def empty_it(mirror: Path) -> None:
    shutil.rmtree(mirror)
    mirror.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        remove_packs,
        remove_one("FETCH_HEAD"),
        remove_one("config"),
        remove_one("HEAD"),
        empty_config,
        garble_config,
        garble_refs,
        leave_locks,
        garble_shallow,
        halve_shallow,
        a_file_instead,
        a_file_instead_of_objects,
        empty_it,
        shutil.rmtree,
    ],
    ids=lambda each: each.__name__,
)
@pytest.mark.parametrize("restarted", [True, False], ids=["restarted", "running"])
@pytest.mark.parametrize("moved", [True, False], ids=["moved", "unmoved"])
async def test_a_damaged_copy_is_made_anew_by_itself(repository, data, damage, restarted, moved):
    source = source_at(repository.url, data)
    await source.fetch({})
    (mirror,) = (data / "git").glob("*.git")
    damage(mirror)
    if moved:
        repository.write("Change", {"a.yaml": "a: 2\n"})
    if restarted:
        source = source_at(repository.url, data)

    snapshot = await fetched(source)

    assert snapshot.revision == repository.head()
    assert snapshot.texts["a.yaml"] == (b"a: 2\n" if moved else b"a: 1\n")
    assert snapshot.texts["teams/b.yaml"] == b"b: 1\n"


async def test_damage_on_the_other_side_is_told_as_such_and_the_copy_is_kept(repository, data):
    source = source_at(repository.url, data)
    first = await source.fetch({})
    (mirror,) = (data / "git").glob("*.git")
    kept = (mirror / "format").stat().st_ino
    repository.write("Change", {"a.yaml": "a: 2\n"})
    packs = [path for path in (repository.path / "objects").rglob("*") if path.is_file()]
    aside = repository.path.with_name("aside")
    shutil.copytree(repository.path / "objects", aside)
    for path in packs:
        path.chmod(0o600)
        os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(SourceUnavailableError) as failed:
        await source.fetch(first.files)
    shutil.rmtree(repository.path / "objects")
    aside.rename(repository.path / "objects")

    assert "copy" not in str(failed.value)
    assert (mirror / "format").stat().st_ino == kept
    assert list((data / "git").glob("*.old")) == []
    assert (await source.fetch(first.files)).texts == {"a.yaml": b"a: 2\n"}


async def test_a_repository_whose_name_sounds_of_damage_is_only_gone(repository, data):
    path = repository.path.with_name("broken-packfile-corrupt.git")
    repository.path.rename(path)
    source = source_at(f"git+file://{path}?ref=main", data)
    await source.fetch({})
    (mirror,) = (data / "git").glob("*.git")
    kept = (mirror / "format").stat().st_ino
    path.rename(repository.path)

    with pytest.raises(SourceUnavailableError, match="does not appear to be a git repository") as failed:
        await source.fetch({})

    assert "copy" not in str(failed.value)
    assert (mirror / "format").stat().st_ino == kept


def program(folder: Path, *lines: str) -> Path:
    folder.mkdir()
    made = folder / "git"
    made.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    made.chmod(0o755)
    return made


@pytest.mark.parametrize(
    ("said", "advised"),
    [
        ("git@example.com: Permission denied (publickey).", "login was refused"),
        ("Host key verification failed.", "known_hosts"),
        ("ssh: connect to host example.com port 22: Connection refused", "cannot be fetched"),
    ],
)
async def test_what_ssh_says_is_the_reason(data, tmp_path, monkeypatch, said, advised):
    ssh = program(tmp_path / "programs", f'echo "{said}" >&2', "exit 255")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))

    with pytest.raises(SourceUnavailableError, match=advised) as failed:
        await source_at("git+ssh://git@example.com/repo.git?ref=main", data).fetch({})

    assert said in str(failed.value)
    assert "make sure" not in str(failed.value)


@pytest.mark.parametrize("told", ["configuration", "GIT_SSH_COMMAND", "GIT_SSH", "nothing"])
async def test_ssh_is_started_as_the_operator_says(data, tmp_path, home, monkeypatch, told):
    own = program(tmp_path / "own", 'echo "the operator\'s own" >&2', "exit 255")
    usual = program(tmp_path / "usual", 'echo "the usual: $*" >&2', "exit 255").rename(tmp_path / "usual" / "ssh")
    monkeypatch.setenv("PATH", str(usual.parent), prepend=os.pathsep)
    if told == "configuration":
        (home / ".gitconfig").write_text(f"[core]\n\tsshCommand = {own}\n")
    elif told != "nothing":
        monkeypatch.setenv(told, str(own))
    source = source_at("git+ssh://git@example.com/repo.git?ref=main", data)

    with pytest.raises(SourceUnavailableError, match="BatchMode=yes" if told == "nothing" else "the operator's own"):
        await source.fetch({})
    before = source.started
    with pytest.raises(SourceUnavailableError):
        await source.fetch({})

    assert source.started - before == 1


@pytest.mark.parametrize("place", ["fetched", "in place"])
async def test_a_repository_of_another_user_is_told_with_what_to_do(repository, data, tmp_path, monkeypatch, place):
    work = tmp_path / "work"
    repository.git("clone", "--quiet", str(repository.path), str(work))
    url, ref = (f"git+file://{work}?ref=main", None) if place == "fetched" else (str(work), "main")
    real = shutil.which("git")
    program(tmp_path / "programs", f'GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"')
    monkeypatch.setenv("PATH", str(tmp_path / "programs"), prepend=os.pathsep)

    with pytest.raises(SourceUnavailableError, match=r"git config --global --add safe\.directory") as failed:
        await source_at(url, data, ref=ref).fetch({})

    assert str(work) in str(failed.value)
    assert "damaged" not in str(failed.value)


async def test_two_sources_share_one_data_folder(repository, data):
    sources = [source_at(repository.url, data) for _ in range(3)]
    sources.append(source_at(f"git+file://{repository.path}?ref=main&path=teams", data))
    for number in range(3):
        head = repository.write(f"Change {number}", {"a.yaml": f"a: {number}x\n"})
        snapshots = await asyncio.gather(*(source.fetch({}) for source in sources))

        assert {snapshot.revision for snapshot in snapshots} == {head}


async def test_two_refs_of_one_repository_do_not_disturb_one_another(repository, data):
    repository.git("update-ref", "refs/heads/other", "refs/heads/main")
    other = source_at(f"git+file://{repository.path}?ref=other", data)
    main = source_at(repository.url, data)
    repository.write("Change", {"a.yaml": "a: 2\n"})

    first, second = await asyncio.gather(other.fetch({}), main.fetch({}))

    assert first.texts["a.yaml"] == b"a: 1\n"
    assert second.texts["a.yaml"] == b"a: 2\n"
    assert (await other.fetch(first.files)).notes == ()


async def test_a_fetch_that_is_cancelled_leaves_no_process_and_the_next_one_works(repository, data):
    with SilentServer() as server:
        source = source_at(f"git+git://127.0.0.1:{server.port}/repo.git?ref=main", data)
        fetching = asyncio.create_task(source.fetch({}))
        async with asyncio.timeout(10):
            while not alive_for(data):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.01)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        assert none_alive_for(data)
    with daemon(repository.path.parent, server.port):
        assert (await source.fetch({})).revision == repository.head()


FETCHING = """
import asyncio, sys
from pathlib import Path
from tests.integration.repositories import source_at
asyncio.run(source_at(sys.argv[1], Path(sys.argv[2])).fetch({}))
"""


@contextmanager
def fetching_elsewhere(url: str, data: Path) -> Iterator[tuple[psutil.Process, list[psutil.Process]]]:
    """A process of its own that has begun to fetch, and those that work for it."""
    process = subprocess.Popen([sys.executable, "-c", FETCHING, url, str(data)], cwd=Path(__file__).parents[2])
    try:
        end = time.monotonic() + 20
        while True:
            working = psutil.Process(process.pid).children(recursive=True)
            if any(one.name() == "git" for one in working):
                break
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.02)
        yield psutil.Process(process.pid), working
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("scheme", ["git", "http"])
async def test_where_the_reconciler_is_killed_its_fetch_dies_with_it(data, scheme):
    with (
        SilentServer() as server,
        fetching_elsewhere(f"git+{scheme}://127.0.0.1:{server.port}/repo.git?ref=main", data) as (process, working),
    ):
        process.kill()

        assert psutil.wait_procs([process, *working], timeout=5)[1] == []
        assert none_alive_for(data)


async def test_a_fetch_that_outlives_its_reconciler_is_not_disturbed(data):
    with SilentServer() as server:
        url = f"git+git://127.0.0.1:{server.port}/repo.git?ref=main"
        with fetching_elsewhere(url, data) as (process, working):
            for one in (*(one for one in working if one.name() != "git"), process):
                one.kill()
            (mirror,) = (data / "git").glob("*.git")
            (mirror / "shallow.lock").write_text("")
            with pytest.raises(SourceUnavailableError, match="another process"):
                await source_at(url, data, limits=Limits(fetching=0.5)).fetch({})

            assert (mirror / "shallow.lock").exists()
            for one in working:
                with suppress(psutil.NoSuchProcess):
                    one.kill()


@pytest.mark.parametrize("scheme", ["git", "http"])
async def test_a_server_that_never_answers_is_given_up(data, scheme):
    with SilentServer() as server:
        source = source_at(
            f"git+{scheme}://127.0.0.1:{server.port}/repo.git?ref=main", data, limits=Limits(fetching=1.0)
        )
        async with asyncio.timeout(8):
            with pytest.raises(SourceUnavailableError, match="1 s"):
                await source.fetch({})

    assert none_alive_for(data)


@pytest.fixture
def large(tmp_path: Path) -> Repository:
    """A repository whose pack is long enough to be cut off: 300 kB that do not shrink much."""
    made = Repository(tmp_path / "repositories" / "large.git")
    made.write(
        "Begin", {f"{number}.yaml": f"a: {hashlib.shake_256(bytes([number])).hexdigest(50_000)}" for number in range(6)}
    )
    return made


async def test_a_server_that_goes_silent_within_a_fetch_is_given_up_long_before_the_fetch_is_over(large, data):
    port = free_port()
    with daemon(large.path.parent, port):
        with SlowServer(port, at_most=100_000) as server:
            url = f"git+git://127.0.0.1:{server.port}/large.git?ref=main"
            source = source_at(url, data, limits=Limits(silence=1.0))
            async with asyncio.timeout(10):
                with pytest.raises(SourceUnavailableError, match="went silent: nothing has come for 1 s"):
                    await source.fetch({})
        assert none_alive_for(data)

        assert len((await source_at(f"git+git://127.0.0.1:{port}/large.git?ref=main", data).fetch({})).texts) == 6


async def test_a_server_that_is_slow_but_not_silent_is_waited_for(large, data):
    port = free_port()
    with (
        daemon(large.path.parent, port),
        SlowServer(port, at_most=1 << 30, piece=40_000, pause=0.3) as server,
    ):
        url = f"git+git://127.0.0.1:{server.port}/large.git?ref=main"
        started = time.monotonic()
        snapshot = await source_at(url, data, limits=Limits(silence=1.5)).fetch({})

    assert time.monotonic() - started > 1.5
    assert snapshot.revision == large.head()


async def test_what_a_server_says_of_its_progress_is_no_reason(large, data):
    port = free_port()
    with daemon(large.path.parent, port), SlowServer(port, at_most=100_000) as server:
        source = source_at(f"git+git://127.0.0.1:{server.port}/large.git?ref=main", data)
        fetching = asyncio.create_task(source.fetch({}))
        async with asyncio.timeout(10):
            while not list(data.glob("git/*.git/objects/pack/tmp_*")):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.01)
        server.__exit__()  # in the middle of the pack
        with pytest.raises(SourceUnavailableError) as failed:
            await fetching

    assert "%" not in str(failed.value)
    assert "early EOF" in str(failed.value)


async def test_without_git_the_reason_says_what_to_install(repository, data, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(SourceError, match="install"):
        await source_at(repository.url, data).fetch({})


async def test_a_data_folder_that_cannot_be_written_is_said(repository, tmp_path):
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(SourceError, match="taken"):
        await source_at(repository.url, tmp_path / "taken").fetch({})


# What is around does not matter


async def test_variables_of_a_surrounding_git_do_not_disturb(repository, data, tmp_path, monkeypatch):
    elsewhere = Repository(tmp_path / "elsewhere.git")
    elsewhere.write("Elsewhere", {"e.yaml": "e: 1\n"})
    before = layout(elsewhere.path)
    misleading = {
        "GIT_DIR": str(elsewhere.path),
        "GIT_WORK_TREE": str(tmp_path),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_OBJECT_DIRECTORY": str(elsewhere.path / "objects"),
        "GIT_NAMESPACE": "other",
        "GIT_CONFIG_PARAMETERS": "'core.bare=no'",
        "GIT_CONFIG_COUNT": "nonsense",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_EXEC_PATH": "/nonexistent",
    }
    for name, value in misleading.items():
        monkeypatch.setenv(name, value)

    snapshot = await source_at(repository.url, data).fetch({})

    assert snapshot.revision == repository.head()
    assert layout(elsewhere.path) == before
    assert not (tmp_path / "trace").exists()


async def test_no_hook_ever_runs(repository, data, tmp_path, home):
    hooks, ran = tmp_path / "hooks", tmp_path / "ran"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "post-merge", "post-rewrite", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
        (hooks / name).chmod(0o755)
    (home / "template").mkdir()
    shutil.copytree(hooks, home / "template" / "hooks")
    (home / ".gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {home / 'template'}\n")
    repository.git("update-ref", "refs/heads/aside", "refs/heads/main", HOME=str(home))
    assert ran.exists(), "the hooks are such as git runs"
    ran.unlink()

    source = source_at(repository.url, data)
    await source.fetch({})
    repository.write("Change", {"a.yaml": "a: 2\n"})
    await source.fetch({})
    await source_at(str(repository.path), data, ref="main").fetch({})

    assert not ran.exists()


async def test_the_token_stands_in_no_argument_and_in_no_error(data, tmp_path, monkeypatch):
    told, program = tmp_path / "told", tmp_path / "programs" / "git"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >> {told}\n'
        'echo "fatal: Authentication failed for https://x:$RECONCILER_GIT_TOKEN@example.com/" >&2\n'
        'echo "fatal: Authentication failed with $RECONCILER_GIT_TOKEN" >&2\n'
        "exit 128\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    source = source_at("git+https://example.com/repo?ref=main", data, token="s3cr3t-token")

    with pytest.raises(SourceUnavailableError, match="login") as refused:
        await source.fetch({})

    assert "fetch" in told.read_text()
    assert "s3cr3t-token" not in told.read_text()
    assert "s3cr3t-token" not in str(refused.value)
    assert not any(b"s3cr3t-token" in path.read_bytes() for path in data.rglob("*") if path.is_file())


@pytest.mark.parametrize("place", ["", "teams"])
async def test_a_work_tree_with_a_ref_is_read_in_place_and_left_alone(repository, data, tmp_path, place):
    work = tmp_path / "work"
    repository.git("clone", "--quiet", str(repository.path), str(work))
    (work / "teams" / "b.yaml").write_text("b: not committed\n")
    before = layout(work)

    source = source_at(str(work / place), data, ref="main")
    snapshot = await source.fetch({})
    origins = await source.origins(snapshot.files)

    assert snapshot.texts["b.yaml" if place else "teams/b.yaml"] == b"b: 1\n"
    assert {commit.id for commit in origins.values()} == {repository.head()}
    assert layout(work) == before
    assert not data.exists()


async def test_a_linked_work_tree_is_read_in_place(repository, data, tmp_path):
    repository.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "main")

    snapshot = await source_at(str(tmp_path / "linked"), data, ref="main").fetch({})

    assert set(snapshot.files) == {"a.yaml", "teams/b.yaml"}


async def test_a_bare_repository_is_read_in_place_and_followed(repository, data):
    source = source_at(str(repository.path), data)
    first = await source.fetch({})
    repository.write("Change", {"a.yaml": "a: 2\n"})

    second = await source.fetch(first.files)

    assert second.texts == {"a.yaml": b"a: 2\n"}
    assert not data.exists()


async def test_nothing_outside_the_data_folder_is_written(repository, data, tmp_path, home, monkeypatch):
    monkeypatch.chdir(home)
    before = layout(tmp_path, but=data)
    source = source_at(repository.url, data)

    first = await source.fetch({})
    await source.origins(first.files)

    assert layout(tmp_path, but=data) == before
    assert data.exists()


# When it is looked at


class Sleeper:
    """Notes how long it was to sleep, and does not."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, delay: float) -> None:
        self.slept.append(delay)


async def test_polls_come_at_the_interval_give_or_take_a_tenth(repository, data):
    sleeper = Sleeper()
    changes = source_at(repository.url, data, sleep=sleeper).changes()
    for _ in range(100):
        await anext(changes)

    assert 54 <= min(sleeper.slept) < 58
    assert 62 < max(sleeper.slept) <= 66


async def test_failures_are_retried_ever_later_up_to_five_minutes_and_success_resets(repository, data):
    sleeper = Sleeper()
    source = source_at(repository.url, data, sleep=sleeper)
    changes = source.changes()
    aside = repository.path.with_name("aside.git")
    repository.path.rename(aside)
    for _ in range(10):
        await anext(changes)
        with pytest.raises(SourceUnavailableError):
            await source.fetch({})
    aside.rename(repository.path)
    await source.fetch({})
    await anext(changes)

    assert sleeper.slept == pytest.approx([60, 2, 4, 8, 16, 32, 64, 128, 256, 300, 60], rel=0.11)
