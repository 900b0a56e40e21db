"""Make certificates, and put TLS before a server or let it speak TLS itself."""

import asyncio
import contextlib
import ipaddress
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.servers.redis import NAMES

PROGRAM_VARIABLE = "STOCKADE_TEST_TLS_REDIS"
UNPACKED = Path(__file__).resolve().parents[2] / ".tools" / "redis" / "redis-server"


class Authority:
    """A certificate authority of our own.

    Args:
        folder: Where its files lie.
        name: What it is called.

    Attributes:
        file: Its certificate.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._serial = 1
        builder = self._builder(self._name).public_key(self._key.public_key())
        made = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        ).sign(self._key, SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(made.public_bytes(Encoding.PEM))

    def issue(self, host: str, *, expired: bool = False) -> tuple[Path, Path]:
        """Return the files of a certificate for a host, and of its key."""
        key = generate_private_key(SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        try:
            known: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            known = x509.DNSName(host)
        made = (
            self._builder(name, expired=expired)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName([known]), critical=False)
            .sign(self._key, SHA256())
        )
        stem = f"{host}-{made.serial_number}"
        certificate, secret = self._folder / f"{stem}.crt", self._folder / f"{stem}.key"
        certificate.write_bytes(made.public_bytes(Encoding.PEM))
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, secret

    def _builder(self, subject: x509.Name, *, expired: bool = False) -> x509.CertificateBuilder:
        self._serial += 1
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .serial_number(self._serial)
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=-1 if expired else 1))
        )


@cache
def find_tls_redis() -> Path | None:
    """Return a Redis or Valkey that speaks TLS: a given one, an installed one, or None."""
    for name in (os.environ.get(PROGRAM_VARIABLE, ""), *NAMES, str(UNPACKED)):
        found = shutil.which(name) if name else None
        # A build without TLS says so at once; one with it misses its certificate.
        if found and _complains(found, "tls-cert-file"):
            return Path(found)
    return None


def _complains(program: str, what: str) -> bool:
    command = [program, "--port", "0", "--tls-port", "1", "--save", ""]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return what in ended.stdout


@asynccontextmanager
async def tls_front(
    url: str, pair: tuple[Path, Path], *, clients: Path | None = None
) -> AsyncIterator[int]:
    """Speak TLS before a server and yield the port.

    Args:
        url: Address of the server.
        pair: Files of certificate and key.
        clients: Authority that clients need a certificate of; without it, none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    parts = urlsplit(url)
    tasks: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(parts.hostname, parts.port)
        writers.update((writer, inner_writer))
        for pump in (_pump(reader, inner_writer), _pump(inner_reader, writer)):
            task = asyncio.create_task(pump)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
