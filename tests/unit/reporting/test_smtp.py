"""Send mails to a real server, which speaks the protocol in this process."""

import asyncio
import email
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stockade.core.mail import MailError, Message
from stockade.errors import ConfigurationError
from stockade.reporting.smtp import Security, SMTPMailer, SMTPServer, parse_smtp_url

# The server under test's peer is older than Python 3.14, which warns of what it uses.
pytestmark = pytest.mark.filterwarnings("ignore:.*iscoroutinefunction:DeprecationWarning")

MESSAGE = Message(to="ana@example.com", subject="Größe", text="Hello\n.\n..\nFrom here\n")
PASSWORD = "correct-horse"
PATIENCE = timedelta(seconds=5)


@dataclass
class Mailbox:
    """A mail server that keeps what it takes."""

    port: int = 0
    taken: list[Any] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuse: str = ""
    speakers: list["Speaker"] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the hook's name and signature
        self,
        _server: SMTP,
        _session: object,
        envelope: Any,  # noqa: ANN401 - untyped
        address: str,
        _options: object,
    ) -> str:
        """Take a recipient or refuse."""
        if self.refuse:
            return f"{self.refuse} {address} is not here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Any) -> str:  # noqa: ANN401, N802 - untyped hook
        """Keep a mail."""
        self.taken.append(envelope)
        return "250 OK"

    def authenticate(self, *arguments: Any) -> AuthResult:  # noqa: ANN401 - untyped hook
        """Check a password."""
        given = arguments[-1]
        self.logins.append(given.login.decode())
        return AuthResult(success=given.password == PASSWORD.encode(), handled=False)


class Speaker(SMTP):
    """One connection, which can be waited for."""

    def __init__(self, box: Mailbox, **options: Any) -> None:  # noqa: ANN401 - the server's options
        super().__init__(box, authenticator=box.authenticate, hostname="localhost", **options)
        self.gone = asyncio.Event()
        box.speakers.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Remember the end, which STARTTLS does not bring."""
        super().connection_lost(error)
        if self.transport is None or self.transport.is_closing():
            self.gone.set()


Serve = Callable[..., Awaitable[Mailbox]]


@dataclass(frozen=True)
class Trust:
    """Both ends of TLS."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """A certificate for this machine, and a client that trusts it alone."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem + made.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return Trust(server, ssl.create_default_context(cafile=file))


@asynccontextmanager
async def run_server(
    *,
    tls: ssl.SSLContext | None = None,
    **options: Any,  # noqa: ANN401 - the server's options
) -> AsyncIterator[Mailbox]:
    """Run a mail server on any free port."""
    box = Mailbox()
    loop = asyncio.get_running_loop()

    server = await loop.create_server(
        lambda: Speaker(box, loop=loop, **options), "localhost", 0, ssl=tls
    )
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
        for speaker in box.speakers:
            if isinstance(speaker.transport, asyncio.WriteTransport):
                speaker.transport.abort()
                await speaker.gone.wait()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Run mail servers until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Mailbox:  # noqa: ANN401 - the server's options
            return await stack.enter_async_context(run_server(**options))

        yield start


async def send(
    port: int,
    security: Security,
    *,
    context: ssl.SSLContext | None = None,
    username: str = "",
    password: str = PASSWORD,
    patience: timedelta = PATIENCE,
) -> None:
    """Send the message."""
    server = SMTPServer(
        host="localhost", port=port, security=security, username=username, password=password
    )
    mailer = SMTPMailer(
        server, sender="Acme <no-reply@example.com>", timeout=patience, context=context
    )
    try:
        await mailer.send(MESSAGE)
    finally:
        mailer.close()


def read(box: Mailbox) -> None:
    """Expect the message in a mailbox, once and as it was."""
    (envelope,) = box.taken
    assert envelope.rcpt_tos == ["ana@example.com"]
    assert envelope.mail_from == "no-reply@example.com"
    found = email.message_from_bytes(envelope.content, policy=default)
    assert found["Subject"] == MESSAGE.subject
    assert found.get_content().replace("\r\n", "\n") == MESSAGE.text


async def test_a_mail_arrives_in_the_clear_on_this_machine(serve: Serve) -> None:
    """A dot alone does not end it, and no line is changed."""
    box = await serve()
    await send(box.port, Security.NONE)
    read(box)
    assert box.logins == []


async def test_a_mail_arrives_by_starttls(serve: Serve, trust: Trust) -> None:
    """The password and the mail travel after TLS has begun."""
    box = await serve(tls_context=trust.server, require_starttls=True, auth_require_tls=True)
    await send(box.port, Security.STARTTLS, context=trust.client, username="acme")
    read(box)
    assert box.logins == ["acme"]


async def test_a_mail_arrives_by_tls(serve: Serve, trust: Trust) -> None:
    """TLS stands from the first byte."""
    box = await serve(tls=trust.server, auth_require_tls=False)
    await send(box.port, Security.TLS, context=trust.client, username="acme")
    read(box)
    assert box.logins == ["acme"]


async def test_without_starttls_nothing_is_sent(serve: Serve, trust: Trust) -> None:
    """Whoever takes the offer out of the answer gets neither password nor mail."""
    box = await serve(auth_require_tls=False)
    with pytest.raises(MailError):
        await send(box.port, Security.STARTTLS, context=trust.client, username="acme")
    assert (box.taken, box.logins) == ([], [])


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
async def test_a_certificate_of_somebody_else_is_refused(
    serve: Serve, trust: Trust, security: Security
) -> None:
    """The authorities of the machine do not know it."""
    options = {"tls_context": trust.server} if security is Security.STARTTLS else {}
    box = await serve(tls=None if options else trust.server, auth_require_tls=False, **options)
    with pytest.raises(MailError):
        await send(box.port, security, username="acme")
    assert (box.taken, box.logins) == ([], [])


async def test_a_wrong_password_is_said_without_it(serve: Serve) -> None:
    """The error holds the code of the server."""
    box = await serve(auth_require_tls=False)
    with pytest.raises(MailError) as caught:
        await send(box.port, Security.NONE, username="acme", password="canary-canary")
    assert "535" in str(caught.value)
    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"
    assert box.taken == []


@pytest.mark.parametrize("code", ["550", "451"])
async def test_a_refused_recipient_is_not_repeated(serve: Serve, code: str) -> None:
    """Neither the error nor its cause names the address."""
    box = await serve()
    box.refuse = code
    with pytest.raises(MailError) as caught:
        await send(box.port, Security.NONE)
    assert "ana" not in f"{caught.value!r} {caught.value.__context__!r}"


async def test_a_server_that_is_away_is_said(unused_port: int) -> None:
    """It is an error of ours."""
    with pytest.raises(MailError):
        await send(unused_port, Security.NONE)


async def test_a_server_that_is_silent_is_left() -> None:
    """It does not keep the thread for longer than the time-out."""
    left = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    silent = await asyncio.start_server(listen, "localhost", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(MailError):
            await send(port, Security.NONE, patience=timedelta(milliseconds=50))
        await left.wait()


@pytest.fixture
async def unused_port() -> int:
    """A port that nothing listens on."""
    server = await asyncio.start_server(lambda *_: None, "localhost", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtps://mail.example.com", (Security.TLS, "mail.example.com", 465, "", "")),
        ("smtp://mail.example.com", (Security.STARTTLS, "mail.example.com", 587, "", "")),
        (
            "smtp://acme:p%40ss%2Fw@mail.example.com:2525/",
            (Security.STARTTLS, "mail.example.com", 2525, "acme", "p@ss/w"),
        ),
        ("smtp+plain://localhost", (Security.NONE, "localhost", 25, "", "")),
        ("smtp+plain://127.0.0.1:1025", (Security.NONE, "127.0.0.1", 1025, "", "")),
        ("smtp+plain://[::1]:1025", (Security.NONE, "::1", 1025, "", "")),
    ],
)
def test_an_address_of_a_server_is_read(
    url: str, expected: tuple[Security, str, int, str, str]
) -> None:
    """Scheme, host, port and account."""
    found = parse_smtp_url(url)
    parts = (found.security, found.host, found.port, found.username, found.password)
    assert parts == expected
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "canary",
        "canary.example.com:25",
        "http://canary.example.com",
        "smtp:canary",
        "smtp://",
        "smtp://canary.example.com:port",
        "smtp://canary.example.com:99999",
        "smtp://canary.example.com/inbox",
        "smtp://canary.example.com?tls=no",
        "smtp://canary.example.com#x",
        "smtp://a:canary\u00e9@mail.example.com",
        "smtp://[canary",
        "smtp+plain://canary.example.com",
        "smtp+plain://localhost.canary.example.com",
        "smtp+plain://10.0.0.7",
        "smtp+plain://user:canary@192.0.2.1",
    ],
)
def test_another_address_of_a_server_is_refused(url: str) -> None:
    """Mails are never sent in the clear to another machine; nothing of the address is repeated."""
    with pytest.raises(ConfigurationError) as caught:
        parse_smtp_url(url)
    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"
    assert "STOCKADE_REPORTING__SMTP_URL" in str(caught.value)
