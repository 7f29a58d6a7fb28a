"""TLS, where this process speaks it itself: the certificate and its key, checked before anything is served.

Forbidden here: a key's content in an error.
"""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from reconciler.errors import SettingsError


def tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """What to speak TLS 1.2 and newer with; ``None`` where no certificate is given.

    Raises:
        SettingsError: the files cannot be read, do not belong together, or the key may be read by others.
    """
    if cert is None or key is None:
        return None
    _must_be_readable("--tls-cert", cert)
    _must_be_readable("--tls-key", key)
    mode = stat.S_IMODE(Path(key).stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"--tls-key {key}: others may read it (mode {mode:04o}); run: chmod 600 {key}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise SettingsError(f"--tls-cert {cert}, --tls-key {key}: {_why(error)}") from None
    return context


def _must_be_readable(flag: str, name: str) -> None:
    try:
        with Path(name).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise SettingsError(f"{flag} {name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _no_password() -> str:
    """Asked for where a key is encrypted; OpenSSL would ask the terminal."""
    raise ValueError("the key is encrypted with a password; give one that is not")


def _why(error: Exception) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error)
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return "the key is not that of the certificate"
    return "one of them holds no certificate or no key in PEM, or one that is too weak"
