"""Whether somebody that the file of allowed signers names has signed a commit; only SSH signatures count.

Forbidden here: running any program that a repository names.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from pathlib import Path

from reconciler.adapters.git.command import Git
from reconciler.adapters.git.complaints import shown
from reconciler.core.model import Commit
from reconciler.errors import SettingsError

_SSH_ONLY = {
    "gpg.format": "ssh",
    "gpg.minTrustLevel": "fully",
    "gpg.openpgp.program": "false",
    "gpg.program": "false",
    "gpg.ssh.program": "ssh-keygen",
    "gpg.x509.program": "false",
}
_STRANGER = re.compile(r'Good "git" signature with \S+ key (SHA256:[A-Za-z0-9+/]+)')
_KEY = re.compile(r"\bAAAA[A-Za-z0-9+/]+=*")


class Signers:
    """Those who may sign.

    Args:
        file: names them; see ssh-keygen(1), ALLOWED SIGNERS.

    Raises:
        SettingsError: the file cannot be read.
    """

    def __init__(self, file: Path) -> None:
        try:
            file.open("rb").close()
        except OSError as error:
            raise SettingsError(f"--verify-signatures {file}: {error.strerror}") from error
        self._file = file.absolute()

    def objection(self, git: Git, commit: Commit, within: float) -> str:
        """Why a commit is refused; empty where an allowed signer has signed it.

        Raises:
            SourceUnavailableError: it took over ``within`` seconds.
        """
        config = {"gpg.ssh.allowedSignersFile": str(self._file), **_SSH_ONLY}
        arguments = [part for name, value in config.items() for part in ("-c", f"{name}={value}")]
        code, _, said = git.run(*arguments, "verify-commit", commit.id, within=within, allowed=(0, 1, 128))
        if code == 0:
            return ""
        return (
            f"revision {commit.id[:12]} by {commit.author} is not signed by anybody in {self._file}: "
            f"{self._why(said) or 'it carries no signature'}"
        )

    def _why(self, said: str) -> str:
        """What git says, but for a sound signature by a stranger, of which it says first of all that it is good."""
        match = _STRANGER.search(said)
        if match is None:
            return shown(said)
        if match[1] not in self._fingerprints():
            return f"signed by a key that the allowed-signers file does not name (key fingerprint {match[1]})"
        return (
            f"signed by a key that the allowed-signers file names, but not for this date (key fingerprint {match[1]})"
        )

    def _fingerprints(self) -> set[str]:
        """Of the keys in the file, as ssh-keygen(1) shows them."""
        try:
            text = self._file.read_text(encoding="utf-8", errors="replace")
        except OSError:  # gone since
            return set()
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        return {_fingerprint(key) for line in lines for key in _KEY.findall(line)}


def _fingerprint(key: str) -> str:
    try:
        digest = hashlib.sha256(b64decode(key)).digest()
    except ValueError:  # cut short: no key at all
        return ""
    return "SHA256:" + b64encode(digest).decode("ascii").rstrip("=")
