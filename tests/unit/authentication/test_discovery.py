import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stockade.authentication.algorithms import Algorithm
from stockade.authentication.discovery import (
    fetch_keys,
    metadata_url,
    read_metadata,
)
from stockade.authentication.errors import IssuerError
from stockade.authentication.http_reader import LARGEST_DOCUMENT, HTTPReader
from stockade.errors import ConfigurationError
from tests.servers.process import free_port
from tests.unit.authentication.issuers import (
    Issuer,
    IssuerApplication,
    make_key,
    run_issuer,
    serve,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[IssuerApplication]:
    """An issuer that speaks HTTP."""
    with run_issuer() as application:
        yield application


@pytest.fixture
def served(server: IssuerApplication) -> Iterator[IssuerApplication]:
    """The same one, well behaved again after each test."""
    yield server
    issuer = Issuer(name=server.issuer.name)
    server.__init__(issuer)  # type: ignore[misc]  # Every field goes back to its start.


@pytest.mark.parametrize("metadata", ["openid-configuration", "oauth-authorization-server"])
async def test_keys_are_found_by_discovery(served: IssuerApplication, metadata: str) -> None:
    """The issuer's description says where its keys are, over a real connection."""
    settings = served.issuer.settings(metadata=metadata)
    keys = await fetch_keys(HTTPReader(), settings)
    assert keys.keys() == {("one", Algorithm.ED25519)}
    assert served.issuer.asked == [f"/.well-known/{metadata}", "/keys"]


async def test_keys_at_a_given_place_need_no_description(served: IssuerApplication) -> None:
    """An address in the settings is asked at once."""
    settings = served.issuer.settings(jwks_url=f"{served.issuer.name}/keys")
    assert await fetch_keys(HTTPReader(), settings)
    assert served.issuer.asked == ["/keys"]


async def fail(application: IssuerApplication, **settings: object) -> str:
    """Ask for keys that can't be had, and return what the error says."""
    with pytest.raises(IssuerError) as caught:
        await fetch_keys(HTTPReader(), application.issuer.settings(**settings))
    assert caught.value.code == "issuer"
    return str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_leads_nowhere(served: IssuerApplication, status: int) -> None:
    """Neither another host nor another path of the same one is asked."""
    served.status = status
    served.headers = [(b"location", f"{served.issuer.name}/keys".encode())]
    assert await fail(served) == f"status {status}"
    assert served.issuer.asked == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize("status", [201, 204, 400, 404, 500, 503])
async def test_only_a_plain_success_is_one(served: IssuerApplication, status: int) -> None:
    """Whatever else comes is no set of keys."""
    served.status = status
    assert await fail(served) == f"status {status}"


async def test_a_document_is_read_to_its_cap(served: IssuerApplication) -> None:
    """A larger one is given up."""
    served.body = b" " * (LARGEST_DOCUMENT + 1)
    assert "too large" in await fail(served)


async def test_a_document_in_a_coding_is_refused(served: IssuerApplication) -> None:
    """Nothing small becomes large: none was asked for."""
    served.headers = [(b"content-encoding", b"gzip")]
    assert "coding" in await fail(served)


async def test_a_slow_document_is_given_up(served: IssuerApplication) -> None:
    """The time is for the whole answer, and not for each byte of it."""
    served.drips = True
    assert "TimeoutError" in await fail(served, timeout=1)


async def test_an_issuer_that_does_not_listen_is_away() -> None:
    """A refused connection is the issuer's failure, and not ours."""
    issuer = Issuer(name="http://127.0.0.1:9")
    with pytest.raises(IssuerError):
        await fetch_keys(HTTPReader(), issuer.settings())


async def test_the_environment_names_no_proxy(
    served: IssuerApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sets a variable does not get between us and the keys."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await fetch_keys(HTTPReader(), served.issuer.settings())


def write_certificate(folder: Path) -> Path:
    """Write a certificate for this machine that nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return path


async def test_a_certificate_has_to_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the machine's own authorities, and for this very name."""
    certificate, port = write_certificate(tmp_path), free_port()
    application = IssuerApplication(Issuer(name=f"https://localhost:{port}"))
    with serve(application, port, certificate=certificate):
        assert "ConnectError" in await fail(application)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await fetch_keys(HTTPReader(), application.issuer.settings())
        application.issuer.name = f"https://127.0.0.1:{port}"
        assert "ConnectError" in await fail(application)


def test_the_client_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error says which extra brings it."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigurationError, match=r"stockade\[oidc\]"):
        HTTPReader()


# --- What an issuer may say of itself ---------------------------------------------------------


@pytest.mark.parametrize(
    ("issuer", "metadata", "url"),
    [
        ("https://a.example", "openid-configuration", "https://a.example/.well-known/{}"),
        ("https://a.example/", "openid-configuration", "https://a.example/.well-known/{}"),
        ("https://a.example/t/v2", "openid-configuration", "https://a.example/t/v2/.well-known/{}"),
        (
            "https://a.example:1/t",
            "oauth-authorization-server",
            "https://a.example:1/.well-known/{}/t",
        ),
        ("https://a.example/", "oauth-authorization-server", "https://a.example/.well-known/{}"),
    ],
)
def test_where_the_description_is(issuer: str, metadata: str, url: str) -> None:
    """OpenID Connect puts it behind the path, RFC 8414 before it."""
    settings = Issuer(name=issuer).settings(metadata=metadata)
    assert metadata_url(settings) == url.format(metadata)


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://other.example"},
        {"issuer": "https://issuer.example/"},
        {"issuer": ["https://issuer.example"]},
        {"issuer": None},
        {"jwks_uri": "https://other.example/keys"},
        {"jwks_uri": "https://issuer.example:8443/keys"},
        {"jwks_uri": "https://issuer.example.attacker.example/keys"},
        {"jwks_uri": "https://issuer.example@attacker.example/keys"},
        {"jwks_uri": "http://issuer.example/keys"},
        {"jwks_uri": "http://localhost/keys"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "//issuer.example/keys"},
        {"jwks_uri": "/keys"},
        {"jwks_uri": "https://issuer.example\\@attacker.example/keys"},
        {"jwks_uri": "https://issuer.example/keys\r\nHost: x"},
        {"jwks_uri": "https://[issuer.example/keys"},
        {"jwks_uri": "https://issuer.example:99999/keys"},
        {"jwks_uri": ""},
        {"jwks_uri": None},
        {"jwks_uri": 5},
    ],
    ids=repr,
)
def test_a_description_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    """It is of this very issuer, and its keys are on this very host, or nothing is asked."""
    issuer = Issuer()
    document = {"issuer": issuer.name, "jwks_uri": f"{issuer.name}/keys"}
    assert read_metadata(json.dumps(document).encode(), issuer.settings())
    with pytest.raises(IssuerError):
        read_metadata(json.dumps({**document, **change}).encode(), issuer.settings())


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b'{"issuer": 1, "issuer": 2}', b"[" * 100_000], ids=len
)
def test_a_description_that_is_no_object_is_refused(raw: bytes) -> None:
    """Anything but one clear JSON object is none."""
    with pytest.raises(IssuerError):
        read_metadata(raw, Issuer().settings())


@pytest.mark.parametrize(
    "keys",
    [
        {"keys": []},
        {"keys": {}},
        {"keys": [5]},
        {"keys": [{}] * 101},
        {},
        {"keys": [{"kty": "oct", "kid": "one", "k": "A" * 43}]},
    ],
    ids=lambda keys: repr(keys)[:40],
)
async def test_a_set_without_a_key_for_us_is_refused(keys: dict[str, Any]) -> None:
    """What was known before goes on; a shared secret is never taken from a document."""
    issuer = Issuer(jwks=keys)
    with pytest.raises(IssuerError):
        await fetch_keys(issuer, issuer.settings())


async def test_keys_of_other_algorithms_are_left_out() -> None:
    """Only what the settings pin is believed."""
    issuer = Issuer(keys=[make_key("RS256", "rsa"), make_key("ES256", "ec"), make_key(kid="ed")])
    keys = await fetch_keys(issuer, issuer.settings(algorithms=("ES256",)))
    assert keys.keys() == {("ec", Algorithm.ES256)}
