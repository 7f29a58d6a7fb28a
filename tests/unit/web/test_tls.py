"""TLS: which files are taken, and that what is served with them is TLS 1.2 or newer."""

import asyncio
import datetime as dt
import socket
import ssl

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconciler.errors import SettingsError
from reconciler.web.connections import Bounds
from reconciler.web.server import HttpServer, bind
from reconciler.web.tls import tls_context
from tests.unit.web.conftest import World

NOW = dt.datetime.now(dt.UTC)


def made(folder, name="a", password=None):
    """A certificate for loopback, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(days=1))
        .not_valid_after(NOW + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher))
    key_file.chmod(0o600)
    return str(cert_file), str(key_file)


async def test_what_is_served_is_tls_1_2_or_newer(tmp_path):
    cert, key = made(tmp_path)
    world = World()
    server = HttpServer(world.app, bind("localhost", 0), tls=tls_context(cert, key))
    await server.start()
    assert server.url.startswith("https://")
    trusted = ssl.create_default_context(cafile=cert)
    async with httpx.AsyncClient(verify=trusted) as client:
        answer = await client.get(f"https://localhost:{server.port}/healthz")
    assert answer.status_code == 200
    context = tls_context(cert, key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://localhost:{server.port}/healthz")
    await server.stop()


def test_without_files_there_is_no_tls():
    assert tls_context(None, None) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    cert, key = made(tmp_path)
    (tmp_path / "a.key").chmod(mode)
    with pytest.raises(SettingsError, match=f"others may read it .mode {mode:04o}.; run: chmod 600"):
        tls_context(cert, key)


def test_files_that_cannot_be_used_are_refused_with_the_reason(tmp_path):
    cert, key = made(tmp_path)
    other_cert, other_key = made(tmp_path, "b")
    _, locked = made(tmp_path, "c", b"made-up")
    garbage = tmp_path / "garbage"
    garbage.write_text("-----BEGIN nothing")
    garbage.chmod(0o600)
    for pair, said in (
        ((cert, other_key), "the key is not that of the certificate"),
        ((other_cert, key), "the key is not that of the certificate"),
        ((cert, locked), "encrypted with a password"),
        ((str(garbage), key), "no certificate or no key in PEM"),
        ((cert, str(garbage)), "no certificate or no key in PEM"),
        ((cert, str(tmp_path / "none")), "--tls-key .*none: cannot be read: No such file"),
        ((str(tmp_path), key), "--tls-cert .*: cannot be read: Is a directory"),
    ):
        with pytest.raises(SettingsError, match=said):
            tls_context(*pair)


async def test_who_never_shakes_hands_is_hung_up_on(tmp_path):
    bounds = Bounds(handshake=0.1)
    server = HttpServer(World().app, bind("127.0.0.1", 0), tls=tls_context(*made(tmp_path)), bounds=bounds)
    await server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.setblocking(False)  # noqa: FBT003 - the socket's own parameter
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 10), 5) == b""
    await server.stop()
