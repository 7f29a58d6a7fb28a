"""Where secret values are found: variables, files, sealed values; and why one cannot be had, without showing it."""

from __future__ import annotations

import asyncio
import os

import pytest

from reconciler.adapters.secrets import LocalSecrets
from reconciler.adapters.secrets.files import MOST_BYTES
from reconciler.adapters.secrets.keys import KeyRing, is_open_to_others, read_private, read_public, write_pair
from reconciler.adapters.secrets.sealing import PrivateKey, PublicKey
from reconciler.core.model import SecretRef
from reconciler.core.sealed import KeyText
from reconciler.errors import SealingError, SecretError

VALUE = "sw0rdfish-sw0rdfish"
BOUND = {"application": "billing", "field": "api/nightly/header:x-key"}


def ref(kind: str, name: object) -> SecretRef:
    return SecretRef(kind=kind, name=str(name))


async def value(secrets: LocalSecrets, kind: str, name: object, **bound: str) -> str:
    return await secrets.value(ref(kind, name), **(BOUND | bound))


async def complaint(secrets: LocalSecrets, kind: str, name: object, **bound: str) -> str:
    with pytest.raises(SecretError) as caught:
        await value(secrets, kind, name, **bound)
    assert VALUE not in str(caught.value)
    return str(caught.value)


class TestVariables:
    async def test_a_variable_is_read_as_it_is(self):
        assert await value(LocalSecrets({"KEY": f" {VALUE}\n"}), "env", "KEY") == f" {VALUE}\n"

    @pytest.mark.parametrize(
        ("environment", "said"),
        [({}, "not set"), ({"KEY": ""}, "set, and empty"), ({"KEY": "\udcff"}, "no text in UTF-8")],
    )
    async def test_one_that_is_of_no_use_is_named(self, environment, said):
        assert await complaint(LocalSecrets(environment), "env", "KEY") == f"secret env KEY: {said}"

    async def test_the_reconcilers_own_are_never_read(self):
        secrets = LocalSecrets({"RECONCILER_TRIGGER_TOKEN": VALUE})
        assert "sent to nobody" in await complaint(secrets, "env", "RECONCILER_TRIGGER_TOKEN")


class TestFiles:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    async def test_one_newline_at_its_end_does_not_count(self, tmp_path, end):
        (tmp_path / "key").write_bytes(f"{VALUE}{end}".encode())
        assert await value(LocalSecrets({}), "file", tmp_path / "key") == VALUE

    async def test_other_blanks_do(self, tmp_path):
        (tmp_path / "key").write_text(f"{VALUE} \n\n")
        assert await value(LocalSecrets({}), "file", tmp_path / "key") == f"{VALUE} \n"

    async def test_it_is_read_anew_when_it_changes(self, tmp_path):
        secrets, path = LocalSecrets({}), tmp_path / "key"
        path.write_text("before")
        assert await value(secrets, "file", path) == "before"
        os.utime(path, ns=(1, 1))
        path.write_text("behind")
        os.utime(path, ns=(2, 2))
        assert await value(secrets, "file", path) == "behind"
        path.unlink()
        assert "No such file" in await complaint(secrets, "file", path)

    async def test_a_file_that_has_not_changed_is_not_read_again(self, tmp_path):
        secrets, path = LocalSecrets({}), tmp_path / "key"
        path.write_text("before")
        os.utime(path, ns=(1, 1))
        assert await value(secrets, "file", path) == "before"
        with path.open("r+") as file:
            file.write("behind")
        os.utime(path, ns=(1, 1))
        assert await value(secrets, "file", path) == "before"

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "the file is empty"),
            (b"\n", "the file is empty"),
            (b"\xff", "no text in UTF-8"),
            (b"x" * (MOST_BYTES + 1), "larger than 64 KiB"),
        ],
    )
    async def test_one_that_is_of_no_use_is_named(self, tmp_path, content, said):
        path = tmp_path / "key"
        path.write_bytes(content)
        told = await complaint(LocalSecrets({}), "file", path)
        assert told.startswith(f"secret file {path}: ")
        assert said in told

    async def test_a_pipe_or_a_folder_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        assert "no regular file" in await complaint(LocalSecrets({}), "file", tmp_path / "pipe")
        assert "s a directory" in await complaint(LocalSecrets({}), "file", tmp_path)

    async def test_a_relative_path_needs_the_folder(self, tmp_path):
        assert "RECONCILER_SECRETS_DIR, which is not set" in await complaint(LocalSecrets({}), "file", "key")
        (tmp_path / "key").write_text(VALUE)
        assert await value(LocalSecrets({}, folder=tmp_path), "file", "key") == VALUE
        assert await value(LocalSecrets({}, folder=tmp_path), "file", tmp_path / "key") == VALUE

    async def test_with_a_folder_nothing_outside_of_it_is_read(self, tmp_path):
        folder = tmp_path / "secrets"
        (folder / "..data").mkdir(parents=True)
        (folder / "..data" / "key").write_text(VALUE)
        (folder / "key").symlink_to("..data/key")
        (tmp_path / "other").write_text(VALUE)
        (folder / "out").symlink_to(tmp_path / "other")
        secrets = LocalSecrets({}, folder=folder)
        assert await value(secrets, "file", "key") == VALUE
        for name in ("out", "../other", tmp_path / "other", "/etc/hostname"):
            assert "outside of RECONCILER_SECRETS_DIR" in await complaint(secrets, "file", name)

    async def test_many_who_ask_at_once_share_one_look(self, tmp_path):
        secrets, path = LocalSecrets({}), tmp_path / "key"
        path.write_text(VALUE)
        asked = [asyncio.ensure_future(value(secrets, "file", path)) for _ in range(1000)]
        await asyncio.sleep(0)
        assert len(secrets._files._looking) == 1
        asked[0].cancel()
        assert await asyncio.gather(*asked[1:]) == [VALUE] * 999


@pytest.fixture
def keys(tmp_path):
    """Two private keys in files."""
    pairs = [PrivateKey.generate(), PrivateKey.generate()]
    paths = [write_pair(tmp_path / f"key{number}", key)[0] for number, key in enumerate(pairs)]
    return list(zip(pairs, paths, strict=True))


def sealed(key: PrivateKey, **bound: str) -> str:
    return key.public.seal(VALUE, **(BOUND | bound))


class TestSealed:
    async def test_it_opens_with_its_key_also_an_old_one(self, keys):
        secrets = LocalSecrets({}, keys=[path for _, path in keys])
        for key, _ in keys:
            for _again in range(2):
                assert await value(secrets, "sealed", sealed(key)) == VALUE

    @pytest.mark.parametrize("bound", [{"application": "payroll"}, {"field": "header:x-key"}])
    async def test_copied_elsewhere_it_does_not_open(self, keys, bound):
        (key, path), _ = keys
        told = await complaint(LocalSecrets({}, keys=[path]), "sealed", sealed(key), **bound)
        assert told.startswith(f"secret sealed, key {key.id}: it does not open: it was sealed for something else than ")

    async def test_one_that_was_changed_or_cut_does_not_open(self, keys):
        (key, path), _ = keys
        secrets, text = LocalSecrets({}, keys=[path]), sealed(key)
        other = "A" if text[20] != "A" else "B"
        for bad in (text[:-5], text[:20] + other + text[21:], f"{text}AAAA", f"{text[:-1]}B", text[:-4], text[:-1]):
            assert "its end is missing, or something was changed in it" in await complaint(secrets, "sealed", bad)

    async def test_a_key_that_is_not_there_is_named(self, keys):
        (key, path), (other, other_path) = keys
        told = await complaint(LocalSecrets({}, keys=[other_path]), "sealed", sealed(key))
        assert told == f"secret sealed, key {key.id}: there is no key {key.id} here, only {other.id}"
        assert "names no key" in await complaint(LocalSecrets({}), "sealed", sealed(key))
        path.unlink()
        assert "No such file" in await complaint(LocalSecrets({}, keys=[path]), "sealed", sealed(key))

    async def test_a_key_that_others_can_read_opens_nothing_and_disturbs_no_other(self, keys):
        (key, path), (other, other_path) = keys
        path.chmod(0o644)
        secrets = LocalSecrets({}, keys=[path, other_path])
        assert f"{path}: others can read it" in await complaint(secrets, "sealed", sealed(key))
        assert await value(secrets, "sealed", sealed(other)) == VALUE
        path.chmod(0o600)  # and once that is mended
        assert await value(secrets, "sealed", sealed(key)) == VALUE
        path.unlink()
        assert "there is no key" in await complaint(secrets, "sealed", sealed(key))


class TestKeys:
    def test_the_private_key_is_ours_alone_and_nothing_is_overwritten(self, tmp_path):
        key = PrivateKey.generate()
        private, public = write_pair(tmp_path / "k", key)
        assert (private.stat().st_mode & 0o777, public.stat().st_mode & 0o111) == (0o600, 0)
        assert read_private(private).id == read_public(public).id == key.id
        with pytest.raises(SealingError, match="is there already"):
            write_pair(tmp_path / "k", PrivateKey.generate())
        public.unlink()
        with pytest.raises(SealingError, match="is there already"):
            write_pair(tmp_path / "k", PrivateKey.generate())
        assert read_private(private).id == key.id
        assert not public.exists()

    def test_where_nothing_can_be_written_it_is_said(self, tmp_path):
        with pytest.raises(SealingError, match="cannot be written: No such file"):
            write_pair(tmp_path / "away" / "k", PrivateKey.generate())

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o620, 0o601])
    def test_a_key_of_ours_that_others_can_reach_is_refused(self, tmp_path, mode):
        private, _ = write_pair(tmp_path / "k", PrivateKey.generate())
        private.chmod(mode)
        with pytest.raises(SealingError, match="others can read it"):
            read_private(private)

    def test_a_groups_key_that_is_not_ours_is_how_a_container_is_given_one(self, tmp_path):
        path = tmp_path / "k"
        path.touch(0o440)
        path.chmod(0o440)
        info = list(path.stat()[:10])
        assert is_open_to_others(os.stat_result(info))
        info[4] = os.geteuid() + 1
        assert not is_open_to_others(os.stat_result(info))

    @pytest.mark.parametrize(("mine", "other"), [("pub", "private"), ("", "public")])
    def test_the_wrong_key_of_a_pair_is_told(self, tmp_path, mine, other):
        private, public = write_pair(tmp_path / "k", PrivateKey.generate())
        public.chmod(0o600)
        with pytest.raises(SealingError, match="this is a"):
            (read_private if mine else read_public)(public if mine else private)

    def test_a_key_that_was_changed_does_not_fit_its_id(self):
        key = PrivateKey.generate()
        for text, parse in ((str(key.public), PublicKey.parse), (key.text(), PrivateKey.parse)):
            kind, _, encoded = text.split()
            with pytest.raises(SealingError, match="does not fit its id"):
                parse(f"{kind} 00000000 {encoded}")

    def test_what_is_no_file_is_refused(self, tmp_path):
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(SealingError, match="no regular file"):
            read_private(tmp_path / "pipe")
        for read in (read_private, read_public):
            with pytest.raises(SealingError, match="cannot be read"):
                read(tmp_path / "away")

    def test_a_key_shows_itself_to_nobody(self):
        key = PrivateKey.generate()
        secret = KeyText.parse(key.text(), "reconciler-seal-private-v1").data
        assert str(secret)[2:-1] not in repr(key)
        assert key.text().split()[2] not in repr(key)

    def test_a_value_without_utf_8_is_refused(self):
        with pytest.raises(SealingError, match="UTF-8"):
            PrivateKey.generate().public.seal("\udcff", **BOUND)

    def test_the_same_files_are_not_read_again(self, tmp_path):
        private, _ = write_pair(tmp_path / "k", PrivateKey.generate())
        ring = KeyRing([private])
        assert (ring.refresh(), ring.refresh()) == (True, False)


def test_values_are_sealed_by_the_book():
    """RFC 9180, with the parameters written out, opened without the code that sealed."""
    from cryptography.hazmat.primitives import hpke  # noqa: PLC0415 - of this test alone

    from reconciler.core.sealed import Sealed  # noqa: PLC0415 - likewise

    key = PrivateKey.generate()
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    opened = suite.decrypt(
        Sealed.parse(sealed(key)).data, key.key, info=b"cron-reconciler/sealed/v1\0billing\0api/nightly/header:x-key"
    )
    assert opened == VALUE.encode()
