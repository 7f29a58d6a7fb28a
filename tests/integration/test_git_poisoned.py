"""What anybody may push: it never hangs, leads nowhere, and is told as a problem or an error."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from reconciler.adapters.git import Limits
from reconciler.errors import SourceError, SourceUnavailableError
from tests.integration.repositories import Repository, layout, none_alive_for, source_at

MIB = 1 << 20


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repositories" / "repo.git")
    made.write("Begin", {"good.yaml": "a: 1\n"})
    return made


@pytest.fixture(params=["fetched", "in place"])
def url(request, repository: Repository) -> str:
    return repository.url if request.param == "fetched" else str(repository.path)


def with_entries(repository: Repository, *entries: tuple[str, str, bytes]) -> None:
    """Commit good.yaml and these entries (mode and kind, id, name) beside it."""
    good = repository.git("rev-parse", "main:good.yaml")
    every = sorted([*entries, ("100644 blob", good, b"good.yaml")], key=lambda entry: entry[2])
    repository.tree(b"".join(f"{kind} {name}\t".encode() + path + b"\0" for kind, name, path in every))


def raw_tree(repository: Repository, *entries: tuple[str, bytes, str]) -> str:
    """A tree that mktree would not make, written byte by byte; the tree's id."""
    content = b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(blob) for mode, name, blob in entries)
    return repository.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=content)


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../outside.yaml", "link.yaml", "good.yaml", "."],
)  # fmt: skip
async def test_a_symbolic_link_is_a_problem_and_not_followed(repository, url, tmp_path, target):
    with_entries(repository, ("120000 blob", repository.blob(target.encode()), b"link.yaml"))

    snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert set(snapshot.files) == set(snapshot.texts) == {"good.yaml"}
    (problem,) = snapshot.problems
    assert problem.file == "link.yaml"
    assert "symbolic link" in problem.message


async def test_links_in_a_loop_are_problems(repository, url, tmp_path):
    with_entries(
        repository,
        ("120000 blob", repository.blob(b"two.yaml"), b"one.yaml"),
        ("120000 blob", repository.blob(b"one.yaml"), b"two.yaml"),
    )

    snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert [problem.file for problem in snapshot.problems] == ["one.yaml", "two.yaml"]


async def test_a_submodule_is_a_problem_and_not_fetched(repository, url, tmp_path):
    with_entries(
        repository,
        ("100644 blob", repository.blob(b'[submodule "sub"]\n\tpath = sub\n\turl = ext::touch x\n'), b".gitmodules"),
        ("160000 commit", "1" * 40, b"sub"),
    )

    snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert set(snapshot.files) == {"good.yaml"}
    assert ["submodule" in problem.message for problem in snapshot.problems] == [True]


@pytest.mark.parametrize("folder", [b"..", b".git", b"."])
async def test_a_name_that_leads_elsewhere_is_a_problem_and_written_nowhere(repository, url, tmp_path, folder):
    blob = repository.blob(b"evil: 1\n")
    inner = raw_tree(repository, ("100644", b"evil.yaml", blob))
    good = repository.git("rev-parse", "main:good.yaml")
    repository.adopt(raw_tree(repository, ("40000", folder, inner), ("100644", b"good.yaml", good)))
    data = tmp_path / "data"
    before = layout(tmp_path, but=data)

    snapshot = await source_at(url, data).fetch({})

    assert set(snapshot.files) == {"good.yaml"}
    assert len(snapshot.problems) == 1
    assert layout(tmp_path, but=data) == before


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"back\\slash.yaml", "back\\slash.yaml"),
        (b"new\nline.yaml", "new\\nline.yaml"),
        (b"esc\x1b[2J.yaml", "esc\\x1b[2J.yaml"),
        (b"br\xff\xfeoken.yaml", "br\ufffd\ufffdoken.yaml"),
        ("tu\u202ern.yaml".encode(), "tu\\u202ern.yaml"),
    ],
)
async def test_an_odd_name_is_a_problem_that_can_be_shown(repository, url, tmp_path, name, shown):
    with_entries(repository, ("100644 blob", repository.blob(b"a: 1\n"), name))

    snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert set(snapshot.files) == {"good.yaml"}
    (problem,) = snapshot.problems
    assert problem.file == shown
    problem.file.encode()  # it is text


async def test_a_hidden_file_is_none_of_ours(repository, url, tmp_path):
    repository.write("Hide", {".hidden.yaml": "a: 1\n", ".github/workflow.yaml": "a: 1\n"})

    snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert (set(snapshot.files), snapshot.problems) == ({"good.yaml"}, ())


@pytest.mark.parametrize("filters", ["true", "false"])
async def test_a_file_over_a_mebibyte_is_a_problem_and_the_others_are_read(repository, tmp_path, filters):
    repository.git("config", "uploadpack.allowFilter", filters)
    repository.write("Grow", {"large.yaml": "#" * (MIB + 1), "most.yaml": "#" * MIB})

    snapshot = await source_at(repository.url, tmp_path / "data").fetch({})

    assert set(snapshot.texts) == {"good.yaml", "most.yaml"}
    (problem,) = snapshot.problems
    assert (problem.file, "1 MiB" in problem.message) == ("large.yaml", True)


async def test_a_huge_file_costs_nothing(repository, url, tmp_path):
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        os.truncate(file.fileno(), 600 * MIB)  # more than all manifests together may have
    blob = repository.git("hash-object", "-w", str(huge))
    with_entries(repository, ("100644 blob", blob, b"huge.yaml"))

    async with asyncio.timeout(15):
        snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert set(snapshot.texts) == {"good.yaml"}
    assert [problem.file for problem in snapshot.problems] == ["huge.yaml"]


def many(repository: Repository, name: bytes) -> None:
    """100,000 files of one content: a hundred folders of a thousand, all alike."""
    blob = repository.blob(b"a: 1\n")
    leaves = b"".join(f"100644 blob {blob}\t".encode() + name % number + b"\0" for number in range(1000))
    leaf = repository.git("mktree", "-z", given=leaves)
    folders = "".join(f"040000 tree {leaf}\tf{number:03}\0" for number in range(100))
    repository.tree(folders.encode())


async def test_a_hundred_thousand_other_files_are_no_hindrance(repository, url, tmp_path):
    many(repository, b"n%04d.txt")

    async with asyncio.timeout(15):
        snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert dict(snapshot.files) == {}


async def test_a_hundred_thousand_manifests_are_read(repository, url, tmp_path):
    many(repository, b"n%04d.yaml")

    async with asyncio.timeout(30):
        snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert len(snapshot.texts) == 100_000


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        pytest.param(Limits(files=999), "manifests", id="files"),
        pytest.param(Limits(listed=MIB), "MiB", id="listing"),
        pytest.param(Limits(read=4), "MiB", id="texts"),
    ],
)
async def test_what_passes_a_limit_is_refused_with_the_reason(repository, url, tmp_path, limits, reason):
    many(repository, b"n%04d.yaml")
    data = tmp_path / "data"

    with pytest.raises(SourceError, match=reason):
        await source_at(url, data, limits=limits).fetch({})

    assert none_alive_for(data)


async def test_a_fetch_that_brings_too_much_is_ended(repository, tmp_path):
    repository.git("config", "uploadpack.allowFilter", "false")
    repository.git("config", "core.compression", "0")
    repository.write("Grow", {"large.bin": os.urandom(48 * MIB)})
    data = tmp_path / "data"

    with pytest.raises(SourceError, match="too large"):
        await source_at(repository.url, data, limits=Limits(fetched=MIB)).fetch({})

    assert none_alive_for(data)


@pytest.mark.parametrize("filters", ["true", "false"])
async def test_a_server_that_leaves_no_large_file_out_is_noted_once(repository, tmp_path, filters):
    repository.git("config", "uploadpack.allowFilter", filters)
    source = source_at(repository.url, tmp_path / "data", limits=Limits(noted=2 * MIB))

    notes = [(await source.fetch({})).notes]
    for number in range(2):
        repository.write(f"Grow {number}", {"large.bin": os.urandom(3 * MIB)})
        notes.append((await source.fetch({})).notes)

    assert [len(each) for each in notes] == ([0, 1, 0] if filters == "false" else [0, 0, 0])
    assert all("uploadpack.allowFilter" in each[0] and "holds 3 MiB" in each[0] for each in notes if each)


@pytest.mark.parametrize("restarted", [True, False], ids=["restarted", "running"])
async def test_a_copy_that_grows_and_grows_is_made_anew(repository, tmp_path, restarted):
    repository.git("config", "uploadpack.allowFilter", "false")
    repository.git("config", "core.compression", "0")
    data = tmp_path / "data"
    source = source_at(repository.url, data, limits=Limits(fetched=4 * MIB))
    sizes = []
    for number in range(6):
        head = repository.write(f"Grow {number}", {"large.bin": os.urandom(3 * MIB), "good.yaml": f"a: {number}\n"})
        if restarted:
            source = source_at(repository.url, data, limits=Limits(fetched=4 * MIB))
        assert (await source.fetch({})).revision == head
        sizes.append(sum(path.stat().st_size for path in data.rglob("*") if path.is_file()))

    assert max(sizes) < 8 * MIB


async def test_a_damaged_object_is_unavailable_and_never_a_hang(repository, url, tmp_path):
    blob = repository.git("rev-parse", "main:good.yaml")
    path = loose(repository, blob)
    path.write_bytes(b"\x78\x01garbage")
    data = tmp_path / "data"

    async with asyncio.timeout(10):
        with pytest.raises(SourceUnavailableError):
            await source_at(url, data).fetch({})

    assert none_alive_for(data)


async def test_a_damaged_listing_is_unavailable_and_not_an_empty_one(repository, url, tmp_path):
    tree = repository.git("rev-parse", "main^{tree}")
    loose(repository, tree).write_bytes(b"\x78\x01garbage")

    async with asyncio.timeout(10):
        with pytest.raises(SourceUnavailableError):
            await source_at(url, tmp_path / "data").fetch({})


async def test_a_commit_with_nonsense_for_its_author_is_read(repository, url, tmp_path):
    tree = repository.git("rev-parse", "main^{tree}")
    content = f"tree {tree}\nauthor \x1b[31mNobody <> 99999999999999999999 +9999\ncommitter x\n\n\n".encode()
    commit = repository.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", given=content)
    (repository.path / "refs" / "heads" / "main").write_text(commit + "\n")

    snapshot = await source_at(url, tmp_path / "data").fetch({})

    assert snapshot.texts == {"good.yaml": b"a: 1\n"}
    assert snapshot.commit is not None
    assert snapshot.commit.subject == ""


def loose(repository: Repository, name: str) -> Path:
    """The file of an object, taken out of the packs where it is in one."""
    path = repository.path / "objects" / name[:2] / name[2:]
    if not path.exists():
        for pack in list((repository.path / "objects" / "pack").glob("*.pack")):
            content = pack.read_bytes()
            for part in pack.parent.glob(f"{pack.stem}.*"):
                part.unlink()
            repository.git("unpack-objects", "-q", given=content)
    path.chmod(0o644)
    return path
