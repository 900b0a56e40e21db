"""Stand in for a provider of OpenID Connect: it signs people in, honestly or not.

It shares no code with what is tested: tokens are made by PyJWT, and PKCE and the proofs of clients
are checked here once more.
"""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from stockade import Settings, Stockade
from stockade.authentication import BcryptHasher
from stockade.authentication.models import Account, Newcomer, Placement
from stockade.core import TenantId, UserId, UserType
from stockade.events import MemorySink
from stockade.reporting import MemoryMailer
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.servers.process import free_port
from tests.unit.authentication.helpers import random_password, rsa_pem
from tests.unit.authentication.issuers import serve

CLIENT = "stockade:client"
SECRET = "hush/ hush+" + secrets.token_urlsafe(32)
HOST = "https://testserver"
PASSWORD = random_password()
HASHER = BcryptHasher(cost=4)
VERIFIER = secrets.token_urlsafe(48)


def challenge_of(verifier: str) -> str:
    """Hash a verifier."""
    return encode(hashlib.sha256(verifier.encode()).digest())


def encode(raw: bytes) -> str:
    """Encode in base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class LocalProvider:
    """A provider that speaks HTTP; each field is something that a test can change while it runs."""

    name: str
    clock: FrozenClock
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    user: dict[str, Any] = field(default_factory=lambda: {"sub": "ana-there"})
    claims: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    header: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "EdDSA"
    kid: str = "one"
    signing_key: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200
    token_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    token_body: bytes | None = None
    token_drips: bool = False
    issuer_parameter: str | None = ""
    error: str | None = None
    takes_codes_again: bool = False
    signs_in_anew: bool = True
    method: str = "client_secret_basic"
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = dict(parse_qsl((body or scope["query_string"]).decode()))
        self.asked.append((scope["path"], query))
        status, headers, content = self._answer(scope, query)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while self.token_drips and scope["path"] == "/token":
            # Byte by byte: each step is quick, and all of them are too slow.
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": content})

    def _answer(
        self, scope: Scope, query: dict[str, str]
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        match scope["path"]:
            case "/.well-known/openid-configuration":
                return 200, [], json.dumps(self.describe()).encode()
            case "/keys":
                return 200, [], json.dumps({"keys": [self._jwk()]}).encode()
            case "/authorize":
                return 302, [(b"location", self._authorize(query).encode())], b""
            case "/token":
                content = self._redeem(query, dict(scope["headers"]))
                return self.token_status, self.token_headers, content
            case _:
                return 404, [], b""

    def describe(self) -> dict[str, Any]:
        """Return the description of itself."""
        return {
            "issuer": self.name,
            "authorization_endpoint": f"{self.name}/authorize",
            "token_endpoint": f"{self.name}/token",
            "jwks_uri": f"{self.name}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "EdDSA"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    def _jwk(self) -> dict[str, str]:
        public = encode(self.key.public_key().public_bytes_raw())
        return {"kty": "OKP", "crv": "Ed25519", "x": public, "kid": self.kid, "use": "sig"}

    def _authorize(self, query: dict[str, str]) -> str:
        """Sign the user in and send the browser back."""
        # Providers add parameters of their own.
        back = {"state": query["state"], "session_state": secrets.token_hex(8), "prompt": "none"}
        if self.issuer_parameter is not None:
            back["iss"] = self.issuer_parameter or self.name
        if self.error is not None:
            back["error"] = self.error
        else:
            back["code"] = secrets.token_urlsafe(16)
            self.codes[back["code"]] = query
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def _redeem(self, form: dict[str, str], headers: dict[bytes, bytes]) -> bytes:
        if self.token_body is not None:
            return self.token_body
        asked = self.codes.get(form["code"])
        if asked is None or challenge_of(form["code_verifier"]) != asked["code_challenge"]:
            self.token_status = 400
            return json.dumps({"error": "invalid_grant"}).encode()
        assert form["redirect_uri"] == asked["redirect_uri"]
        assert form["grant_type"] == "authorization_code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["response_type"] == "code"
        if not self._knows(form, headers):
            self.token_status = 401
            return json.dumps({"error": "invalid_client"}).encode()
        if not self.takes_codes_again:
            del self.codes[form["code"]]
        access_token = secrets.token_urlsafe(16)
        answer = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 60,
            "id_token": self.issue(asked, access_token),
            **self.answer,
        }
        return json.dumps(answer).encode()

    def _knows(self, form: dict[str, str], headers: dict[bytes, bytes]) -> bool:
        if self.method == "private_key_jwt":
            key: Any = load_pem_private_key(rsa_pem().encode(), None).public_key()
            jwt.decode(
                form["client_assertion"],
                key,
                ["RS256"],
                audience=self.name,
                options={"verify_exp": False, "verify_iat": False},
            )
            return True
        if self.method == "client_secret_post":
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        scheme, _, pair = headers.get(b"authorization", b" ").decode().partition(" ")
        given = base64.b64decode(pair).decode().split(":")
        return scheme == "Basic" and [unquote_plus(part) for part in given] == [CLIENT, SECRET]

    def issue(self, asked: dict[str, str], access_token: str) -> str:
        """Issue an identity token."""
        now = int(self.clock.now().timestamp())
        digest = hashlib.sha512(access_token.encode()).digest()
        fresh = {"auth_time": now} if "max_age" in asked and self.signs_in_anew else {}
        claims = {
            "iss": self.name,
            "aud": CLIENT,
            "nonce": asked.get("nonce"),
            "iat": now,
            "exp": now + 300,
            "at_hash": encode(digest[:32]),
            **self.user,
            **fresh,
            **self.claims,
        }
        for name in self.without:
            claims.pop(name, None)
        key = self.key if self.signing_key is None else self.signing_key
        return jwt.encode(claims, key, self.algorithm, {"kid": self.kid, **self.header})


@contextmanager
def run_provider(clock: FrozenClock) -> Iterator[LocalProvider]:
    """Run a provider on this machine."""
    port = free_port()
    provider = LocalProvider(name=f"http://127.0.0.1:{port}", clock=clock)
    with serve(provider, port):
        try:
            yield provider
        finally:
            provider.token_drips = False


def make_account(name: str, *, password: bool = True, **changes: Any) -> Account:  # noqa: ANN401
    """Make an account that may sign in."""
    values: dict[str, Any] = {
        "user_id": UserId(name),
        "email": f"{name}@example.com",
        "user_type": UserType.USER,
        "password_hash": HASHER.hash(PASSWORD) if password else "",
        "active": True,
        "token_epoch": 0,
        "tenant_id": TenantId("acme"),
        "roles": frozenset({"member"}),
        **changes,
    }
    return Account(**values)


class Newcomers:
    """Places newcomers in one tenant, or refuses them."""

    def __init__(self) -> None:
        self.seen: list[Newcomer] = []
        self.refusal: Exception | None = None

    async def place(self, newcomer: Newcomer) -> Placement | None:
        """Return where an account belongs."""
        self.seen.append(newcomer)
        if self.refusal is not None:
            raise self.refusal
        return Placement(tenant_id=TenantId("acme"), role="member")


class Site:
    """An application in which people sign in at providers."""

    def __init__(self, *providers: LocalProvider, clock: FrozenClock, **settings: Any) -> None:  # noqa: ANN401
        self.clock = clock
        self.sink = MemorySink()
        self.accounts = MemoryAccountStore([make_account("ana"), make_account("bea")])
        self.newcomers = Newcomers()
        self.mailer = MemoryMailer()
        own = settings.pop("provider", {})
        given = {
            name: {
                "issuer": provider.name,
                "client_id": CLIENT,
                "client_secret": SECRET,
                "algorithms": ["Ed25519"],
                **own,
            }
            for name, provider in zip(("local", "other"), providers, strict=False)
        }
        values = {
            "bcrypt_cost": 4,
            "cookies": True,
            "identity_cache_lifetime": 0,
            "public_url": HOST,
            "providers": given,
            **settings,
        }
        self.stockade = Stockade(
            Settings(environment="test", authentication=values),
            accounts=self.accounts,
            newcomers=self.newcomers,
            mailer=self.mailer,
            sinks=[self.sink],
            clock=clock,
        )
        app = FastAPI()
        self.stockade.install(app)
        for router in (
            self.stockade.auth_router,
            self.stockade.oidc_router,
            self.stockade.factors_router,
        ):
            app.include_router(router)
        self.client = TestClient(
            app, base_url=HOST, raise_server_exceptions=False, follow_redirects=False
        )

    def reasons(self) -> list[str]:
        """Return name and reason of all events, without their common beginning."""
        return [
            f"{event.name} {event.reason or ''}".replace("authentication.", "").strip()
            for event in self.sink
        ]

    def browser(self) -> "Browser":
        """Open a browser that has no cookies."""
        return Browser(self)


class Browser:
    """A browser: it keeps cookies and goes where it is sent, one step at a time."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str, **values: Any) -> Any:  # noqa: ANN401 - a response
        """Send a request with the cookies, and keep those that come back."""
        headers = {"Sec-Fetch-Site": "same-origin", **values.pop("headers", {})}
        if self.cookies:
            pairs = (f"{name}={value}" for name, value in self.cookies.items())
            headers["Cookie"] = "; ".join(pairs)
        client = self.site.client
        answer = client.request(method, path, headers=headers, **values)
        client.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                assert name.startswith("__Host-"), name
                assert morsel["secure"], name
                assert morsel["httponly"], name
                assert morsel["path"] == "/", name
                assert morsel["samesite"] == "Lax", name
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer

    def sign_in_by_password(self, name: str = "ana") -> None:
        """Sign in as before."""
        login = {"email": f"{name}@example.com", "password": PASSWORD}
        assert self.send("POST", "/auth/login", json=login).status_code == 204

    def start(self, provider: str = "local", **query: str) -> str:
        """Begin, and return where the provider is."""
        answer = self.send("GET", f"/auth/oidc/{provider}/start", params=query)
        assert answer.status_code == 303, answer.text
        address: str = answer.headers["location"]
        return address

    def link(self, provider: str = "local", **body: str) -> str:
        """Begin to link, and return where the provider is."""
        answer = self.send("POST", f"/auth/oidc/{provider}/link", json=body)
        assert answer.status_code == 200, answer.text
        address: str = answer.json()["authorization_url"]
        return address

    def come_back(self, address: str) -> Any:  # noqa: ANN401 - a response
        """Come back from a provider."""
        parts = urlsplit(address)
        assert f"{parts.scheme}://{parts.netloc}" == HOST
        headers = {"Sec-Fetch-Site": "cross-site"}
        return self.send("GET", f"{parts.path}?{parts.query}", headers=headers)

    def sign_in(self, provider: str = "local", **query: str) -> str:
        """Sign in at a provider, and return where the browser ends up."""
        answer = self.come_back(visit(self.start(provider, **query)))
        assert answer.status_code == 303, answer.text
        address: str = answer.headers["location"]
        return address

    def me(self) -> str | None:
        """Return who the application says is signed in."""
        answer = self.send("GET", "/auth/me")
        return answer.json()["user_id"] if answer.status_code == 200 else None

    def identities(self) -> list[dict[str, Any]]:
        """List what is linked."""
        found: list[dict[str, Any]] = self.send("GET", "/auth/oidc/identities").json()
        return found


def visit(address: str) -> str:
    """Sign in at the provider, and return where it sends the browser."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        found = connection.getresponse().headers["location"]
    finally:
        connection.close()
    assert found is not None
    return found


def query_of(address: str) -> dict[str, str]:
    """Return the query of an address."""
    return {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}
