import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.leaked_keys import LeakReporters, place_of, read_reporter_key
from stockade.errors import UnauthenticatedError

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
BODY = b'[{"token":"stks_x","type":"stockade_api_key","url":"","source":"content"}]'

# What GitHub's documentation of the programme gives as a sample, made with a key for tests.
SAMPLE_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP
HzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==
-----END PUBLIC KEY-----"""
SAMPLE_BODY = b'[{"token":"some_token","type":"some_type","url":"some_url","source":"some_source"}]'
SAMPLE_SIGNATURE = (
    "MEUCIFLZzeK++IhS+y276SRk2Pe5LfDrfvTXu6iwKKcFGCrvAiEA"
    "hHN2kDOhy2I6eGkOFmxNkOJ+L2y8oQ9A2T9GGJo6WJY="
)


def pem_of(key: Any) -> str:  # noqa: ANN401 - any private key
    """Return the public key in PEM."""
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def sign(body: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    """Sign a body as a scanner does."""
    return base64.b64encode(key.sign(body, ec.ECDSA(SHA256()))).decode()


def refuses(reporters: LeakReporters, body: bytes, signature: str | None) -> bool:
    """Tell whether a report is refused with its one reason."""
    try:
        reporters.verify(body, signature)
    except UnauthenticatedError as error:
        return error.reason == "authentication.leak_report_unsigned"
    return False


def test_the_sample_of_github_is_verified() -> None:
    """Byte for byte as their documentation shows it, and not one byte otherwise."""
    reporters = LeakReporters([SAMPLE_KEY])
    reporters.verify(SAMPLE_BODY, SAMPLE_SIGNATURE)
    assert refuses(reporters, SAMPLE_BODY + b"\n", SAMPLE_SIGNATURE)


def test_any_of_the_keys_will_do() -> None:
    """While a scanner changes its key, both are in the settings."""
    reporters = LeakReporters([pem_of(OTHER), pem_of(KEY)])
    reporters.verify(BODY, sign(BODY))
    reporters.verify(BODY, sign(BODY, OTHER))


def _forgeries() -> dict[str, str | None]:
    raw = KEY.sign(BODY, ec.ECDSA(SHA256()))
    encoded = base64.b64encode(raw).decode()
    zero = base64.b64encode(bytes.fromhex("3006020100020100")).decode()
    return {
        "missing": None,
        "empty": "",
        "no base64": "é!",
        "line break": encoded[:10] + "\n" + encoded[10:],
        "url-safe": base64.urlsafe_b64encode(b"\xfb\xff" + raw[2:]).decode(),
        "other key": sign(BODY, OTHER),
        "other body": sign(BODY + b" "),
        "other hash": base64.b64encode(KEY.sign(BODY, ec.ECDSA(SHA512()))).decode(),
        "psychic": zero,
        "raw": base64.b64encode(b"\0" * 64).decode(),
        "trailing": base64.b64encode(raw + b"\0").decode(),
        "cut": base64.b64encode(raw[:-1]).decode(),
        "huge": "A" * 1_000_000,
    }


FORGERIES = _forgeries()


@pytest.mark.parametrize("signature", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_report_is_refused(signature: str | None) -> None:
    """Whatever it looks like, the reason is one."""
    assert refuses(LeakReporters([pem_of(KEY)]), BODY, signature)


def test_without_keys_nobody_is_believed() -> None:
    """No key verifies nothing."""
    assert refuses(LeakReporters([]), BODY, sign(BODY))


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "x",
        "é",
        pem_of(ec.generate_private_key(ec.SECP384R1())),
        pem_of(Ed25519PrivateKey.generate()),
        pem_of(rsa.generate_private_key(65537, 2048)),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        pem_of(KEY).replace("PUBLIC KEY", "CERTIFICATE"),
    ],
    ids=["empty", "text", "letters", "P-384", "Ed25519", "RSA", "private", "certificate"],
)
def test_a_key_of_another_kind_is_refused(pem: str) -> None:
    """One curve and one form; a private key that was put there is not repeated either."""
    with pytest.raises(ValueError, match="P-256") as caught:
        read_reporter_key(pem)
    assert caught.value.__cause__ is None
    assert pem == "" or len(pem) < 3 or pem not in str(caught.value)


@given(st.text(max_size=120))
def test_any_header_is_verified_or_refused(signature: str) -> None:
    """Nothing but our own error comes out."""
    assert refuses(LeakReporters([pem_of(KEY)]), BODY, signature)


@given(st.text(max_size=400))
def test_any_address_gives_a_place_or_nothing(url: str) -> None:
    """A place is short, printable, and holds neither a query nor a key."""
    place = place_of(url)
    assert place == "" or (place.startswith("https://") and len(place) <= 300)
    assert place.isprintable()
    assert "?" not in place


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://code.example/a/b.py#L1", "https://code.example/a/b.py"),
        ("https://user:secret@code.example/a", "https://code.example/a"),
        ("https://code.example/a?token=1", "https://code.example/a"),
        ("https://code.example/stks_abc", ""),
        ("https://code.example/stks%5Fabc", ""),
        ("https://code.example/stkr_abc", ""),
        ("http://code.example/a", ""),
        ("javascript:alert(1)", ""),
        ("https:///a", ""),
        ("https://[::1", ""),
        ("https://code.example/" + "a" * 300, ""),
        ("https://code.example/\u202e", ""),
        ("", ""),
    ],
)
def test_a_place_names_no_secret(url: str, place: str) -> None:
    """What might hold one is left out, rather than written down."""
    assert place_of(url) == place


def test_a_signature_is_of_bytes_and_not_of_meaning() -> None:
    """The same report written another way is another report."""
    rewritten = json.dumps(json.loads(BODY)).encode()
    assert refuses(LeakReporters([pem_of(KEY)]), rewritten, sign(BODY))
