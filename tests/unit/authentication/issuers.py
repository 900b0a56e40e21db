"""Stand in for an outside issuer: its keys, its tokens and the documents that it serves."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_p256
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from starlette.types import ASGIApp, Receive, Scope, Send

from stockade.authentication.algorithms import PrivateKey, SigningKey, sign_with
from stockade.authentication.errors import IssuerError
from stockade.authentication.issuer_settings import IssuerSettings
from stockade.authentication.jwks import write_key_set
from tests.clock import FrozenClock
from tests.servers.process import free_port
from tests.unit.authentication.helpers import encode, rsa_pem

NOW = int(FrozenClock().now().timestamp())
START_TIMEOUT = 20.0


def make_private(algorithm: str, *, number: int = 0) -> PrivateKey:
    """Make a private key; the RSA ones are always the same."""
    if algorithm == "Ed25519":
        return Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return generate_p256(SECP256R1())
    key: Any = load_pem_private_key(rsa_pem(number).encode(), None)
    found: PrivateKey = key
    return found


def make_key(algorithm: str = "Ed25519", kid: str = "one") -> SigningKey:
    """Make a signing key."""
    return sign_with(make_private(algorithm), kid)


@dataclass
class Issuer:
    """An issuer with its keys; what it serves can be changed while it serves.

    It reads its own documents without a network, as a `DocumentReader`.
    """

    name: str = "https://issuer.example"
    keys: list[SigningKey] = field(default_factory=lambda: [make_key()])
    metadata: dict[str, object] = field(default_factory=dict)
    is_away: bool = False
    asked: list[str] = field(default_factory=list)
    jwks: dict[str, Any] | None = None

    def documents(self) -> dict[str, bytes]:
        """Return what it serves, by path."""
        described = {"issuer": self.name, "jwks_uri": f"{self.name}/keys", **self.metadata}
        own = write_key_set(key.verification for key in self.keys)
        keys: object = own if self.jwks is None else self.jwks
        return {
            "/.well-known/openid-configuration": json.dumps(described).encode(),
            "/.well-known/oauth-authorization-server": json.dumps(described).encode(),
            "/keys": json.dumps(keys).encode(),
        }

    async def read(self, url: str, *, seconds: float) -> bytes:
        """Read a document of its own."""
        self.asked.append(url)
        if self.is_away:
            raise IssuerError("no answer")
        return self.documents()[url.removeprefix(self.name)]

    def issue(
        self,
        *,
        header: dict[str, object] | None = None,
        key: SigningKey | None = None,
        without: tuple[str, ...] = (),
        **claims: object,
    ) -> str:
        """Issue an access token; claims and members of the header can be changed or left out."""
        key = key or self.keys[-1]
        head: dict[str, object] = {
            "alg": str(key.verification.algorithm),
            "typ": "at+jwt",
            "kid": key.verification.kid,
            **(header or {}),
        }
        body = {
            "iss": self.name,
            "aud": "api",
            "sub": "ana",
            "iat": NOW,
            "exp": NOW + 600,
            **claims,
        }
        for left_out in without:
            head.pop(left_out, None)
            body.pop(left_out, None)
        signed = f"{encode(head)}.{encode(body)}"
        return f"{signed}.{encode(key.sign(signed.encode()))}"

    def settings(self, **values: object) -> IssuerSettings:
        """Make settings that accept it."""
        names = sorted({str(key.verification.algorithm) for key in self.keys})
        given = {"issuer": self.name, "audience": "api", "algorithms": names, **values}
        return IssuerSettings.model_validate(given)


class IssuerApplication:
    """Serve an issuer by HTTP, and misbehave where a test asks for it."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: bytes | None = None
        self.drips = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        self.issuer.asked.append(path)
        found = self.issuer.documents().get(path)
        status = self.status if found is not None else 404
        headers = [(b"content-type", b"application/json"), *self.headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = found or b"" if self.body is None else self.body
        while self.drips:
            # Byte by byte: each step is quick, and all of them are too slow.
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": body})


@contextmanager
def serve(
    application: ASGIApp,
    port: int,
    *,
    lifespan: Literal["on", "off"] = "off",
    certificate: Path | None = None,
) -> Iterator[str]:
    """Serve an application on this machine, in a thread of its own; give its address."""
    config = uvicorn.Config(
        application,
        port=port,
        log_level="critical",
        ws="none",
        lifespan=lifespan,
        access_log=False,
        # One file holds the certificate and its key.
        ssl_certfile=certificate,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + START_TIMEOUT
    while not server.started:
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT)


@contextmanager
def run_issuer() -> Iterator[IssuerApplication]:
    """Run an issuer that speaks the real protocol."""
    port = free_port()
    application = IssuerApplication(Issuer(name=f"http://127.0.0.1:{port}"))
    with serve(application, port):
        yield application
