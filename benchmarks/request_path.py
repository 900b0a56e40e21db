"""Measure what each layer adds to a request, beside slowapi with PyJWT and fastapi-users.

Run it from the repository: ``PYTHONPATH=src python benchmarks/request_path.py``. Every variant is
the same endpoint, a JSON POST with a Pydantic body, called in process. The variants take turns in
short slices, so that whatever else the machine does meets all of them. For each the least time of a
request is printed, with what it adds to the bare endpoint's least and the ratio of the two; then
the median time, and the median of the ratios within a turn. On a busy machine the least is what the
code costs, and the median what the neighbours add. Before anything is measured each variant has to
answer 200, and each that claims to protect has to refuse a request without a token, with a forged
one and (where it asks for a role) without the role.
"""

import argparse
import asyncio
import gc
import secrets
import statistics
import time
from collections.abc import AsyncIterator, MutableMapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
import slowapi
import slowapi.util
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, SecretStr
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from stockade import Settings, Stockade, public
from stockade.authentication import AccessTokens, Account
from stockade.authorization import require_admin_role
from stockade.core import Principal, SystemClock, TenantId, UserId, UserType
from stockade.core.decision import Decision
from stockade.core.dependencies import current_principal
from stockade.core.exchange import SCOPE_KEY
from stockade.crypto import KeyRing
from stockade.gate.wall import WallMiddleware
from stockade.storage.memory.accounts import MemoryAccountStore

SECRET = secrets.token_urlsafe(48)
LIMIT = "5000000/minute"
BODY = b'{"name":"a","price":1}'
FORGED = b"Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiIxIn0.AA"
OK, UNAUTHENTICATED, FORBIDDEN = 200, 401, 403


class Item(BaseModel):
    """What the endpoint takes."""

    name: str = Field(max_length=99)
    price: float = Field(allow_inf_nan=False)


@dataclass
class Variant:
    """One application with the endpoint.

    Attributes:
        token: What a caller sends who may pass; empty where nobody is asked.
        powerless: Token of a caller without the role, where the endpoint asks for one.
        times: Microseconds of a request, one figure for each turn.
    """

    name: str
    app: ASGIApp
    token: str = ""
    powerless: str = ""
    times: list[float] = field(default_factory=list)

    async def call(self, token: bytes | None) -> int:
        """Send one request and return its status."""
        headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", b"22"),
            (b"user-agent", b"benchmark"),
            (b"accept", b"*/*"),
            (b"accept-encoding", b"gzip"),
        ]
        if token is not None:
            headers.append((b"authorization", token))
        status = 0

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/items",
            "raw_path": b"/items",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("192.0.2.7", 1),
            "server": ("localhost", 80),
            "state": {},
        }
        await self.app(scope, receive, send)
        return status

    async def check(self) -> None:
        """Make sure that what is measured works, and protects if it says so.

        Raises:
            RuntimeError: It does not.
        """
        expected = {b"Bearer " + self.token.encode() if self.token else None: OK}
        if self.token:
            expected |= {None: UNAUTHENTICATED, FORGED: UNAUTHENTICATED}
        if self.powerless:
            expected[b"Bearer " + self.powerless.encode()] = FORBIDDEN
        for token, status in expected.items():
            found = await self.call(token)
            if found != status:
                raise RuntimeError(f"{self.name}: {found} instead of {status}")

    async def measure(self, calls: int) -> None:
        """Take one turn."""
        token = b"Bearer " + self.token.encode() if self.token else None
        await self.call(token)
        started = time.perf_counter()
        for _ in range(calls):
            await self.call(token)
        self.times.append((time.perf_counter() - started) / calls * 1e6)


def make_bare() -> Variant:
    app = FastAPI()

    @app.post("/items")
    async def create(item: Item) -> Item:
        return item

    return Variant("bare endpoint", app)


def make_one_dependency() -> Variant:
    app = FastAPI()

    async def dependency(connection: HTTPConnection) -> HTTPConnection:
        return connection

    @app.post("/items")
    async def create(item: Item, _: Annotated[HTTPConnection, Depends(dependency)]) -> Item:
        return item

    return Variant("bare endpoint, one async dependency", app)


def make_account(user_id: str, *roles: str) -> Account:
    return Account(
        user_id=UserId(user_id),
        email=f"{user_id}@example.org",
        user_type=UserType.USER,
        password_hash="",
        active=True,
        token_epoch=0,
        tenant_id=TenantId("t"),
        roles=frozenset(roles),
    )


def make_stockade(name: str, *, limits: bool, access: str) -> Variant:
    """Build the endpoint behind Stockade.

    Args:
        name: Name in the table.
        limits: Whether limits are on.
        access: ``public``, ``settings`` (a policy without a dependency), ``principal`` or ``role``.
    """
    admin, member = make_account("admin", "admin"), make_account("member", "member")
    settings = Settings.model_validate(
        {
            "environment": "test",
            "secret_keys": [SecretStr(SECRET)],
            "gate": {
                "policies": {"/items": {"authenticated": True}} if access == "settings" else {}
            },
            "rate_limiting": {
                "enabled": limits,
                "public": LIMIT,
                "authenticated": LIMIT,
                "address": LIMIT,
            },
        }
    )
    app = FastAPI()
    Stockade(settings, accounts=MemoryAccountStore([admin, member]), sinks=[]).install(app)
    add_endpoint(app, access)
    if access == "public":
        return Variant(name, app)
    tokens = AccessTokens(KeyRing([SECRET]), settings.authentication, clock=SystemClock())
    powerless = tokens.issue(member).value if access == "role" else ""
    return Variant(name, app, tokens.issue(admin).value, powerless)


def add_endpoint(app: FastAPI, access: str) -> None:
    async def create(item: Item) -> Item:
        return item

    async def create_known(item: Item, _: Annotated[Principal, Depends(current_principal)]) -> Item:
        return item

    async def create_admin(
        item: Item, _: Annotated[Principal, Depends(require_admin_role)]
    ) -> Item:
        return item

    endpoints = {"principal": create_known, "role": create_admin}
    endpoint = endpoints.get(access, create)
    app.post("/items")(public("a benchmark")(endpoint) if access == "public" else endpoint)


async def find_wall(variant: Variant) -> WallMiddleware:
    """Return the outermost step of an application behind Stockade, once it is bound."""
    await variant.check()
    assert isinstance(variant.app, FastAPI)  # noqa: S101
    wall = variant.app.middleware_stack
    assert isinstance(wall, WallMiddleware)  # noqa: S101
    return wall


async def make_layers() -> list[Variant]:
    """Build the endpoint with one layer more each time; each contains the one before it."""
    inner = make_bare().app
    wall = await find_wall(make_stockade("", limits=False, access="public"))
    granted = Decision(granted=True, reason="benchmark")

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        wall._reader.open(scope, wall._guard)  # noqa: SLF001 - a layer by itself has no door.
        await inner(scope, receive, send)

    async def decided(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY].decision = granted
        await inner(scope, receive, send)

    walled = copy(wall)
    walled._app = decided  # noqa: SLF001
    whole = [
        make_stockade("+ look through the body", limits=False, access="public"),
        make_stockade("+ token", limits=False, access="settings"),
        make_stockade("+ two limits, RateLimit", limits=True, access="settings"),
        make_stockade("+ Depends(current_principal)", limits=True, access="principal"),
        make_stockade("+ role: require_admin_role", limits=True, access="role"),
    ]
    for variant in whole:
        await variant.check()
    # Last, since an application that is bound for the first time makes all others bind anew.
    unread = make_stockade("+ gate: plan, access", limits=False, access="public")
    plans = (await find_wall(unread))._guard.plans  # noqa: SLF001
    for key, plan in plans.items():
        plans[key] = replace(plan, content=None)
    return [
        Variant("bare endpoint", inner),
        Variant("+ headers, address, host, URL", read),
        Variant("+ channel, security headers", walled),
        unread,
        *whole,
    ]


def make_slowapi() -> Variant:
    """Build the endpoint as it is usually protected today."""
    app = FastAPI()
    limiter = slowapi.Limiter(key_func=slowapi.util.get_remote_address, headers_enabled=False)
    app.state.limiter = limiter
    bearer = HTTPBearer(auto_error=False)

    async def require_admin(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> dict[str, Any]:
        if credentials is None:
            raise HTTPException(401)
        try:
            claims: dict[str, Any] = jwt.decode(
                credentials.credentials, SECRET, algorithms=["HS256"], audience="api"
            )
        except jwt.InvalidTokenError as error:
            raise HTTPException(401) from error
        if claims.get("role") != "admin":
            raise HTTPException(403)
        return claims

    @app.post("/items")
    @limiter.limit(LIMIT)
    async def create(
        request: Request,  # noqa: ARG001 - slowapi asks for it
        item: Item,
        _: Annotated[dict[str, Any], Depends(require_admin)],
    ) -> Item:
        return item

    def sign(role: str) -> str:
        expires = datetime.now(UTC) + timedelta(hours=1)
        claims = {"sub": "1", "aud": "api", "role": role, "exp": expires}
        return jwt.encode(claims, SECRET, algorithm="HS256")

    return Variant("slowapi + PyJWT, limit and role", app, sign("admin"), sign("member"))


async def make_fastapi_users() -> Variant | None:
    """Build the endpoint behind fastapi-users, without a limit, or nothing if that is missing."""
    try:
        import fastapi_users
        import fastapi_users.authentication as backends
        import fastapi_users.db
    except ImportError:
        return None

    @dataclass
    class User:
        id: int = 1
        email: str = "a@example.org"
        hashed_password: str = ""
        is_active: bool = True
        is_superuser: bool = False
        is_verified: bool = True

    class Users(fastapi_users.db.BaseUserDatabase[User, int]):
        async def get(self, id: int) -> User | None:  # noqa: A002 - their name
            return user if id == user.id else None

    class Manager(fastapi_users.IntegerIDMixin, fastapi_users.BaseUserManager[User, int]):
        reset_password_token_secret = verification_token_secret = SECRET

    user = User()
    strategy: backends.JWTStrategy[User, int] = backends.JWTStrategy(SECRET, lifetime_seconds=3600)

    async def get_manager() -> AsyncIterator[Manager]:
        yield Manager(Users())

    backend = backends.AuthenticationBackend(
        "jwt", backends.BearerTransport(tokenUrl="login"), lambda: strategy
    )
    users = fastapi_users.FastAPIUsers[User, int](get_manager, [backend])
    app = FastAPI()

    @app.post("/items")
    async def create(
        item: Item, _: Annotated[User, Depends(users.current_user(active=True))]
    ) -> Item:
        return item

    return Variant("fastapi-users, no limit, no role", app, await strategy.write_token(user))


async def take_turns(variants: list[Variant], *, rounds: int, calls: int) -> None:
    """Check all variants, then measure them in turn."""
    for variant in variants:
        await variant.check()
    gc.collect()
    for turn in range(rounds):
        # Who comes first changes, so that none is always behind the same other one.
        at = turn % len(variants)
        for variant in variants[at:] + variants[:at]:
            await variant.measure(calls)


async def run_layers(*, rounds: int, calls: int) -> None:
    """Print what each layer adds to the one before it."""
    variants = await make_layers()
    await take_turns(variants, rounds=rounds, calls=calls)
    print(f"{'layers so far':<38}{'least':>9}{'adds':>9}{'ratio':>8}")
    before = bare = min(variants[0].times)
    for variant in variants:
        least = min(variant.times)
        print(f"{variant.name:<38}{least:>7.1f}us{least - before:>+7.1f}us{least / bare:>7.2f}x")
        before = least


async def run(*, rounds: int, calls: int) -> None:
    bare = make_bare()
    variants = [
        bare,
        make_one_dependency(),
        make_stockade("+ wall and gate", limits=False, access="public"),
        make_stockade("+ limit in memory", limits=True, access="public"),
        make_stockade("+ token, no limit", limits=False, access="settings"),
        make_stockade("+ token and two limits", limits=True, access="settings"),
        make_stockade("+ Depends(current_principal)", limits=True, access="principal"),
        make_stockade("all: Depends(require_admin_role)", limits=True, access="role"),
        make_slowapi(),
    ]
    users = await make_fastapi_users()
    variants += [users] if users else []
    await take_turns(variants, rounds=rounds, calls=calls)
    print(f"{'variant':<38}{'least':>9}{'added':>9}{'ratio':>8}{'median':>10}{'ratio':>8}")
    for variant in variants:
        ratio = statistics.median(
            mine / base for mine, base in zip(variant.times, bare.times, strict=True)
        )
        least = min(variant.times)
        print(
            f"{variant.name:<38}{least:>7.1f}us{least - min(bare.times):>+7.1f}us"
            f"{least / min(bare.times):>7.2f}x"
            f"{statistics.median(variant.times):>8.1f}us{ratio:>7.2f}x"
        )
    if users is None:
        print("fastapi-users: not installed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="turns of each variant")
    parser.add_argument("--calls", type=int, default=50, help="requests in a turn")
    parser.add_argument("--layers", action="store_true", help="what each layer adds, alone")
    options = parser.parse_args()
    measure = run_layers if options.layers else run
    asyncio.run(measure(rounds=options.rounds, calls=options.calls))


if __name__ == "__main__":
    main()
