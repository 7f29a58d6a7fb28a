"""Only what an allowed signer has signed is read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import SettingsError, SourceError
from tests.integration.repositories import ENVIRONMENT, Repository, source_at

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repositories" / "repo.git")
    made.write("Begin", {"a.yaml": "a: 1\n"})
    return made


def a_key(folder: Path, name: str) -> Path:
    key = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@example.com", "-f", str(key)]
    subprocess.run(command, check=True, env=ENVIRONMENT)
    return key


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return a_key(tmp_path, "signer")


@pytest.fixture
def signers(tmp_path: Path, key: Path) -> Path:
    file = tmp_path / "allowed signers"
    file.write_text(f"# who may\nsigner@example.com {key.with_suffix('.pub').read_text()}")
    return file


def sign(repository: Repository, key: Path) -> str:
    """The branch's newest commit, made anew with a signature."""
    arguments = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={key}", "commit-tree", "-S", "-m", "Signed"]
    commit = repository.git(*arguments, f"{repository.head()}^{{tree}}")
    repository.git("update-ref", "refs/heads/main", commit)
    return commit


@pytest.mark.parametrize("in_place", [False, True], ids=["fetched", "in place"])
async def test_a_revision_signed_by_an_allowed_signer_is_read(repository, tmp_path, key, signers, in_place):
    commit = sign(repository, key)
    url = str(repository.path) if in_place else repository.url

    source = source_at(url, tmp_path / "data", allowed_signers=signers)

    assert (await source.fetch({})).revision == commit


async def test_an_unsigned_revision_is_refused_with_its_author(repository, tmp_path, signers):
    source = source_at(repository.url, tmp_path / "data", allowed_signers=signers)

    with pytest.raises(SourceError, match="not signed by anybody") as refused:
        await source.fetch({})

    assert repository.head()[:12] in str(refused.value)
    assert "developer@example.com" in str(refused.value)


def fingerprint(key: Path) -> str:
    command = ["ssh-keygen", "-l", "-f", str(key.with_suffix(".pub"))]
    return subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, text=True).stdout.split()[1]


async def test_a_revision_signed_with_another_key_is_refused_and_the_key_named(repository, tmp_path, signers):
    stranger = a_key(tmp_path, "stranger")
    sign(repository, stranger)

    with pytest.raises(SourceError, match="not signed by anybody") as refused:
        await source_at(repository.url, tmp_path / "data", allowed_signers=signers).fetch({})

    said = f"signed by a key that the allowed-signers file does not name (key fingerprint {fingerprint(stranger)})"
    assert str(refused.value).endswith(said)
    assert "Good" not in str(refused.value)


async def test_a_key_that_may_sign_no_more_is_told_from_one_that_is_not_named(repository, tmp_path, key, signers):
    sign(repository, key)
    public = key.with_suffix(".pub").read_text().strip()
    signers.write_text(f'signer@example.com valid-before="20200101" {public} AAAAx is no key\n')

    with pytest.raises(SourceError, match="names, but not for this date") as refused:
        await source_at(repository.url, tmp_path / "data", allowed_signers=signers).fetch({})

    assert fingerprint(key) in str(refused.value)


async def test_a_revision_changed_after_it_was_signed_is_refused(repository, tmp_path, key, signers):
    signed = repository.git("cat-file", "commit", sign(repository, key)) + "\n"
    tampered = signed.replace("\nSigned\n", "\nSigned, and changed\n")
    assert tampered != signed
    commit = repository.git("hash-object", "-t", "commit", "-w", "--stdin", given=tampered.encode())
    repository.git("update-ref", "refs/heads/main", commit)

    with pytest.raises(SourceError, match="not signed by anybody"):
        await source_at(repository.url, tmp_path / "data", allowed_signers=signers).fetch({})


async def test_a_signature_that_only_claims_to_be_one_is_refused(repository, tmp_path, signers):
    commit = repository.git("cat-file", "commit", repository.head())
    head, _, message = commit.partition("\n\n")
    for kind in ("PGP SIGNATURE", "SSH SIGNATURE", "SIGNED MESSAGE"):
        armour = f"gpgsig -----BEGIN {kind}-----\n \n AAAA\n -----END {kind}-----"
        forged = f"{head}\n{armour}\n\n{message}\n".encode()
        new = repository.git("hash-object", "-t", "commit", "-w", "--stdin", given=forged)
        repository.git("update-ref", "refs/heads/main", new)

        with pytest.raises(SourceError, match="not signed by anybody"):
            await source_at(repository.url, tmp_path / "data", allowed_signers=signers).fetch({})


async def test_after_a_refused_revision_the_next_signed_one_is_read(repository, tmp_path, key, signers):
    source = source_at(repository.url, tmp_path / "data", allowed_signers=signers)
    sign(repository, key)
    first = await source.fetch({})
    repository.write("Unsigned", {"a.yaml": "a: 2\n"})
    for _ in range(2):  # asking again does not help
        with pytest.raises(SourceError, match="not signed by anybody"):
            await source.fetch(first.files)

    commit = sign(repository, key)

    assert (await source.fetch(first.files)).revision == commit


async def test_a_program_that_the_repository_names_is_not_run(repository, tmp_path, key, signers):
    program, ran = tmp_path / "program", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    sign(repository, key)
    for name in ("gpg.program", "gpg.ssh.program", "gpg.x509.program", "gpg.openpgp.program"):
        repository.git("config", name, str(program))

    await source_at(str(repository.path), tmp_path / "data", allowed_signers=signers).fetch({})

    assert not ran.exists()


def test_a_file_of_signers_that_is_not_there_is_a_mistake_in_the_settings(repository, tmp_path):
    with pytest.raises(SettingsError, match="no-such-file"):
        source_at(repository.url, tmp_path / "data", allowed_signers=tmp_path / "no-such-file")
