"""Connecting to an address that was looked up, as *Validate input* shows it, keeps TLS whole."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "hooks.example.com"
ADDRESS = "127.0.0.1"
_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Echo(BaseHTTPRequestHandler):
    """Answers with the host that it was asked for."""

    def do_GET(self) -> None:
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


def _make_certificate(folder: Path) -> Path:
    """Write a certificate for the name, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    digest = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        # What strict verification wants of a certificate that is its own authority.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier(digest), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(digest, None, None), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Serve TLS under the name, and return the port and what a client has to trust."""
    file = _make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with HTTPServer((ADDRESS, 0), Echo) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        trusted = ssl.create_default_context(cafile=file)
        # The default since Python 3.13.
        trusted.verify_flags |= ssl.VERIFY_X509_STRICT
        yield running.server_port, trusted
        running.shutdown()
        thread.join()


async def get(url: str, trusted: ssl.SSLContext) -> str:
    """Ask the address for a URL in the name of its host."""
    named = httpx2.URL(url)
    async with httpx2.AsyncClient(verify=trusted, trust_env=False) as client:
        response = await client.get(
            named.copy_with(host=ADDRESS),
            headers={"Host": named.netloc.decode("ascii")},
            extensions={"sni_hostname": named.host},
        )
    return response.text


async def test_the_server_is_known_by_its_name(server: tuple[int, ssl.SSLContext]) -> None:
    """The certificate is held against the name, and the server hears the name."""
    port, trusted = server
    assert await get(f"https://{NAME}:{port}/", trusted) == f"{NAME}:{port}"


async def test_another_server_at_the_address_is_refused(
    server: tuple[int, ssl.SSLContext],
) -> None:
    """A certificate for another name is no proof, although the address is right."""
    port, trusted = server
    with pytest.raises(httpx2.ConnectError):
        await get(f"https://other.example.com:{port}/", trusted)
