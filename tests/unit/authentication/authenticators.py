"""Make an authenticator in software, which does what it is told and lies where it is told to."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


def encode(value: bytes) -> str:
    """Write bytes as browsers do."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def decode(value: str) -> bytes:
    """Read what browsers write."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass
class Authenticator:
    """One passkey, in a browser on a page.

    Args:
        origin: Where the page is.
        flags: What it says of its user and of itself.
        counts: Whether it counts.
    """

    origin: str = "https://example.com"
    flags: int = PRESENT | VERIFIED
    counts: bool = True
    count: int = 0
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    identifier: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""
    rp_id: str | None = None
    client: dict[str, Any] = field(default_factory=dict)
    format: str = "none"
    statement: dict[str, Any] = field(default_factory=dict)

    def make(self, options: dict[str, Any]) -> dict[str, Any]:
        """Do what ``navigator.credentials.create`` does."""
        self.handle = decode(options["user"]["id"])
        data = self._data(options["rp"]["id"], self.flags | ATTESTED)
        data += bytes(16) + len(self.identifier).to_bytes(2, "big") + self.identifier
        data += cbor2.dumps(self.public_key())
        attestation = {"fmt": self.format, "attStmt": self.statement, "authData": data}
        response = {
            "clientDataJSON": encode(self._client("webauthn.create", options["challenge"])),
            "attestationObject": encode(cbor2.dumps(attestation)),
            "transports": ["internal", "hybrid", "telepathy"],
        }
        return self._credential(response)

    def sign(self, options: dict[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - members
        """Do what ``navigator.credentials.get`` does."""
        if self.counts:
            self.count += 1
        client = self._client("webauthn.get", options["challenge"])
        data = self._data(options["rpId"], self.flags)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ECDSA(SHA256()))
        response = {
            "clientDataJSON": encode(client),
            "authenticatorData": encode(data),
            "signature": encode(signature),
            "userHandle": encode(self.handle),
        }
        return self._credential(response | changes)

    def public_key(self) -> dict[int, Any]:
        """Write the key as COSE has it (RFC 9053)."""
        point = self.key.public_key().public_numbers()
        return {
            1: 2,
            3: -7,
            -1: 1,
            -2: point.x.to_bytes(32, "big"),
            -3: point.y.to_bytes(32, "big"),
        }

    def _client(self, kind: str, challenge: str) -> bytes:
        data = {
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": False,
            **self.client,
        }
        return json.dumps(data).encode()

    def _data(self, rp_id: str, flags: int) -> bytes:
        name = (self.rp_id or rp_id).encode()
        return hashlib.sha256(name).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": encode(self.identifier),
            "rawId": encode(self.identifier),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {"credProps": {"rk": True}},
            "response": response,
        }
