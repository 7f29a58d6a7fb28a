"""The folder as a source: what it reads, what it refuses, and what it does not read twice."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from reconciler.adapters.folder import MAX_FILE_BYTES, FolderSource
from reconciler.errors import SourceError, SourceUnavailableError


def write(folder: Path, name: str, text: str = "a: 1\n", *, age: float = 60) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    long_ago = time.time() - age
    os.utime(path, (long_ago, long_ago))
    return path


def messages(snapshot):
    return {problem.file: problem.message for problem in snapshot.problems}


def test_reads_yaml_files_of_every_depth_by_path(tmp_path):
    write(tmp_path, "a.yaml", "one")
    write(tmp_path, "deep/er/b.yml", "two")
    snapshot = FolderSource(tmp_path).read()
    assert snapshot.texts == {"a.yaml": b"one", "deep/er/b.yml": b"two"}
    assert set(snapshot.files) == {"a.yaml", "deep/er/b.yml"}
    assert snapshot.problems == ()


def test_passes_over_hidden_names_and_other_suffixes(tmp_path):
    for name in (".hidden.yaml", ".git/a.yaml", "notes.md", "a.yaml~", "b.json"):
        write(tmp_path, name)
    write(tmp_path, "real.yaml")
    assert set(FolderSource(tmp_path).read().files) == {"real.yaml"}


def test_a_single_file_is_a_source(tmp_path):
    path = write(tmp_path, "one.yaml", "x")
    write(tmp_path, "two.yaml")
    assert FolderSource(path).read().texts == {"one.yaml": b"x"}


def test_the_revision_depends_on_names_and_contents_only(tmp_path):
    for place in ("here", "there"):
        write(tmp_path / place, "a.yaml", "same", age=60 if place == "here" else 600)
    here, there = (FolderSource(tmp_path / place).read() for place in ("here", "there"))
    assert here.revision == there.revision
    write(tmp_path / "there", "a.yaml", "other")
    assert FolderSource(tmp_path / "there").read().revision != here.revision
    (tmp_path / "here" / "a.yaml").rename(tmp_path / "here" / "b.yaml")
    assert FolderSource(tmp_path / "here").read().revision != here.revision


def test_only_new_content_is_handed_over(tmp_path):
    write(tmp_path, "a.yaml", "one")
    write(tmp_path, "b.yaml", "two")
    source = FolderSource(tmp_path)
    first = source.read()
    write(tmp_path, "b.yaml", "three")
    assert source.read(first.files).texts == {"b.yaml": b"three"}


def test_an_unchanged_file_is_not_opened_again(tmp_path, monkeypatch):
    write(tmp_path, "a.yaml")
    source = FolderSource(tmp_path)
    first = source.read()
    opened = []
    real_open = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *rest: opened.append(path) or real_open(path, *rest))
    assert source.read(first.files).files == first.files
    assert opened == []


def test_a_file_written_a_moment_ago_is_read_again_though_its_timestamp_stayed(tmp_path):
    path = write(tmp_path, "a.yaml", "one", age=0)
    source = FolderSource(tmp_path)
    first = source.read()
    stamp = path.stat().st_mtime_ns
    path.write_text("two")
    os.utime(path, ns=(stamp, stamp))
    assert source.read(first.files).texts == {"a.yaml": b"two"}


def test_a_folder_that_does_not_exist_is_said_so(tmp_path):
    with pytest.raises(SourceUnavailableError, match=r"nowhere does not exist"):
        FolderSource(tmp_path / "nowhere").read()


def test_what_is_neither_folder_nor_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a folder nor a file"):
        FolderSource(tmp_path / "pipe").read()


def test_an_empty_folder_is_read_and_has_no_files(tmp_path):
    snapshot = FolderSource(tmp_path).read()
    assert (snapshot.files, snapshot.problems) == ({}, ())


def test_links_out_of_the_folder_in_loops_and_to_nowhere_are_refused(tmp_path):
    outside = write(tmp_path / "outside", "secret.yaml")
    root = tmp_path / "root"
    write(root, "good.yaml")
    (root / "file.yaml").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "loop").symlink_to(root)
    (root / "gone.yaml").symlink_to(root / "nothing.yaml")
    (root / "self.yaml").symlink_to(root / "self.yaml")
    snapshot = FolderSource(root).read()
    assert set(snapshot.files) == {"good.yaml"}
    said = messages(snapshot)
    assert "leaves the source" in said["file.yaml"]
    assert "leaves the source" in said["folder"]
    assert "leads back" in said["loop"]
    assert "cannot be read" in said["gone.yaml"]
    assert "cannot be read" in said["self.yaml"]


def test_links_within_the_folder_are_followed_as_a_mounted_config_map_needs(tmp_path):
    write(tmp_path, "..2026/a.yaml", "text")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert FolderSource(tmp_path).read().texts == {"a.yaml": b"text"}


def test_a_pipe_and_a_folder_named_like_a_manifest_do_not_hang_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    write(tmp_path, "folder.yaml/inner.yaml")
    snapshot = FolderSource(tmp_path).read()
    assert set(snapshot.files) == {"folder.yaml/inner.yaml"}
    assert "not a regular file" in messages(snapshot)["pipe.yaml"]


def test_a_name_that_is_not_utf8_is_a_problem(tmp_path):
    write(tmp_path, "good.yaml")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))).write_text("a: 1")
    snapshot = FolderSource(tmp_path).read()
    assert set(snapshot.files) == {"good.yaml"}
    assert [problem.message for problem in snapshot.problems] == ["the file's name is not UTF-8"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("new\nline.yaml", "new\\nline.yaml"),
        ("esc\x1b[2J.yaml", "esc\\x1b[2J.yaml"),
        ("tu\u202ern.yaml", "tu\\u202ern.yaml"),
        ("fold\ner/a.yaml", "fold\\ner/a.yaml"),
    ],
    ids=["line", "terminal", "bidirectional", "folder"],
)
def test_a_name_that_cannot_be_seen_is_a_problem_that_can_be_shown(tmp_path, name, shown):
    write(tmp_path, "good.yaml")
    write(tmp_path, name)
    write(tmp_path, "no\nmanifest.txt")
    snapshot = FolderSource(tmp_path).read()
    assert set(snapshot.files) == {"good.yaml"}
    assert messages(snapshot) == {shown: "the file's name holds a character that cannot be seen"}


def test_no_more_of_a_file_is_read_than_its_reader_can_refuse(tmp_path):
    write(tmp_path, "big.yaml", "x" * (MAX_FILE_BYTES * 3))
    assert len(FolderSource(tmp_path).read().texts["big.yaml"]) == MAX_FILE_BYTES + 1


async def test_a_file_written_at_any_time_after_watching_began_is_noticed(tmp_path):
    write(tmp_path, "a.yaml")
    changes = FolderSource(tmp_path).changes()
    try:
        await asyncio.wait_for(anext(changes), 5)  # watching has begun
        for number in range(2):
            (tmp_path / "b.yaml").write_text(f"n: {number}")
            await asyncio.wait_for(anext(changes), 5)
    finally:
        await changes.aclose()


async def test_a_folder_is_read_again_now_and_then_even_if_no_change_is_noticed(tmp_path):
    changes = FolderSource(tmp_path, interval=0.05).changes()
    for _ in range(3):
        await asyncio.wait_for(anext(changes), 5)
    await changes.aclose()


async def test_watching_begins_anew_where_the_folder_was_away(tmp_path):
    folder = tmp_path / "manifests"
    changes = FolderSource(folder).changes()
    await asyncio.wait_for(anext(changes), 5)
    folder.mkdir()
    await asyncio.wait_for(anext(changes), 5)  # once more, when watching has begun
    write(folder, "a.yaml")
    await asyncio.wait_for(anext(changes), 5)
    await changes.aclose()


@asynccontextmanager
async def watching(source: FolderSource) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Follow a source; what is given waits for the next thing it notices, and until it has no more to say."""
    noticed: asyncio.Queue[None] = asyncio.Queue()

    async def follow():
        async for _ in source.changes():
            noticed.put_nowait(None)

    async def notices():
        await asyncio.wait_for(noticed.get(), 5)
        with suppress(TimeoutError):
            while True:
                await asyncio.wait_for(noticed.get(), 0.9)  # two ticks of the watch, and a little

    following = asyncio.create_task(follow())
    try:
        await notices()  # watching has begun
        yield notices
    finally:
        following.cancel()
        await asyncio.wait([following])


async def test_a_folder_made_anew_in_one_go_is_watched_again(tmp_path):
    folder = tmp_path / "manifests"
    write(folder, "a.yaml")
    async with watching(FolderSource(folder)) as notices:
        shutil.rmtree(folder)
        write(folder, "a.yaml")
        await notices()
        write(folder, "b.yaml")
        await notices()


async def test_a_folder_made_anew_after_a_while_is_watched_again(tmp_path):
    folder = tmp_path / "manifests"
    write(folder, "a.yaml")
    async with watching(FolderSource(folder)) as notices:
        shutil.rmtree(folder)
        await notices()
        write(folder, "a.yaml")
        await notices()
        write(folder, "b.yaml")
        await notices()


async def test_a_link_is_followed_to_where_it_leads_now(tmp_path):
    for name in ("old", "new"):
        write(tmp_path / name, "a.yaml", name)
    link = tmp_path / "current"
    link.symlink_to("old")
    async with watching(FolderSource(link)) as notices:
        (tmp_path / "next").symlink_to("new")
        (tmp_path / "next").rename(link)
        await notices()
        write(tmp_path / "new", "b.yaml")
        await notices()


async def test_a_single_file_saved_by_renaming_is_noticed_every_time(tmp_path):
    path = write(tmp_path, "a.yaml")
    async with watching(FolderSource(path)) as notices:
        for number in range(3):
            write(tmp_path, "draft", f"n: {number}").rename(path)
            await notices()


def test_a_push_to_any_ref_may_concern_a_folder(tmp_path):
    assert FolderSource(tmp_path).concerns("refs/heads/main")
