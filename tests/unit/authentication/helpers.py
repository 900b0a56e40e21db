"""Make accounts, tokens and forgeries for tests."""

import base64
import json
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stockade.authentication import AccessTokens, Account, AuthenticationSettings
from stockade.core import TenantId, UserId, UserType
from stockade.crypto import KeyRing
from tests.clock import FrozenClock

OLD = "6f1c9a7be35d80f24c1be9d07a5f3826"
NEW = "kU3vQ9xTz7LwB2nRf8YpHs5GjD4cMaE6"
ALGORITHMS = ("HS256", "Ed25519", "ES256", "RS256")

ANA = Account(
    user_id=UserId("ana"),
    email="ana@example.com",
    user_type=UserType.USER,
    password_hash="",
    active=True,
    token_epoch=3,
    tenant_id=TenantId("acme"),
    roles=frozenset({"member"}),
)


@cache
def rsa_pem(number: int = 0) -> str:
    """Give an RSA key, the same one for the same number: making one takes a while."""
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def make_tokens(
    algorithm: str = "HS256",
    *,
    ring: tuple[str, ...] = (NEW,),
    clock: FrozenClock | None = None,
    **settings: object,
) -> AccessTokens:
    """Make the service that issues and verifies tokens."""
    if algorithm == "RS256":
        settings = {"signing_keys": (rsa_pem(),), **settings}
    chosen = AuthenticationSettings.model_validate({"algorithm": algorithm, **settings})
    return AccessTokens(KeyRing(ring), chosen, clock=clock or FrozenClock())


def encode(part: object) -> str:
    """Encode one part of a token; bytes stay as they are."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(part: str) -> dict[str, Any]:
    """Decode one part of a token."""
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return read


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token."""
    header, claims, _ = token.split(".")
    return decode(header), decode(claims)


def sign(tokens: AccessTokens, header: object, payload: bytes) -> str:
    """Sign anything at all with the very key that the service signs with."""
    head = f"{encode(header)}.{encode(payload)}"
    signature = tokens.keys.newest.sign(head.encode())
    return f"{head}.{encode(signature)}"


def reissue(
    tokens: AccessTokens,
    *,
    header: Callable[[dict[str, Any]], object] = lambda _header: None,
    claims: Callable[[dict[str, Any]], object] = lambda _claims: None,
) -> str:
    """Issue a token, change its parts in place, and sign it well."""
    old_header, old_claims = parts_of(tokens.issue(ANA).value)
    header(old_header)
    claims(old_claims)
    return sign(tokens, old_header, json.dumps(old_claims).encode())


def random_password() -> str:
    """Draw a password that appears nowhere else."""
    return "pw-" + secrets.token_urlsafe(12)
