"""Hold what the tests of the dashboard share: an application, and browsers of its accounts."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
from fastapi import Depends, FastAPI

from stockade import Settings, Stockade, public, rate_limit, require_role, unlimited
from stockade.authentication import Account, BcryptHasher
from stockade.core.identity import TenantId, UserId, UserType
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.helpers import ANA, random_password

PASSWORD: Final = random_password()
_HASH: Final = BcryptHasher(cost=4).hash(PASSWORD)
ROOT: Final = dataclasses.replace(
    ANA,
    user_id=UserId("root"),
    email="root@acme.example",
    user_type=UserType.SUPER_ADMIN,
    tenant_id=None,
    roles=frozenset(),
    password_hash=_HASH,
)
HOSTILE: Final = '"><script>alert(1)</script>'


def make_account(role: str, email: str = "") -> Account:
    """Make an account with a role in a tenant."""
    return dataclasses.replace(
        ANA,
        user_id=UserId(role),
        email=email or f"{role}@acme.example",
        tenant_id=TenantId("acme"),
        roles=frozenset({role}),
        password_hash=_HASH,
    )


def make_settings(**more: Any) -> Settings:  # noqa: ANN401 - any setting
    """Make settings with the dashboard on."""
    return Settings(
        **{
            "environment": "test",
            "dashboard": {"path": "/ops"},
            "authentication": {"cookies": True, "bcrypt_cost": 4, "identity_cache_lifetime": 0},
            "rate_limiting": {"enabled": True, "ban_after": 50},
            **more,
        }
    )


@dataclass
class Site:
    """An application with a dashboard."""

    app: FastAPI
    stockade: Stockade
    sink: MemorySink = field(default_factory=MemorySink)

    @asynccontextmanager
    async def browser(self, email: str | None = ROOT.email) -> AsyncIterator[httpx2.AsyncClient]:
        """Open a browser, signed in unless the address is None."""
        transport = httpx2.ASGITransport(app=self.app, client=("192.0.2.1", 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="https://testserver") as client:
            client.headers["Sec-Fetch-Site"] = "same-origin"
            if email is not None:
                form = {"email": email, "password": PASSWORD}
                answer = await client.post("/ops/sign-in", data=form)
                assert (answer.status_code, answer.headers["location"]) == (303, "/ops")
            yield client

    def names(self) -> list[str]:
        """Return the names of the recorded events."""
        return [event.name for event in self.sink]


def make_site(**more: Any) -> Site:  # noqa: ANN401 - any setting
    """Make an application with a dashboard, and accounts of every kind."""
    sink = MemorySink()
    accounts = [ROOT, *map(make_account, ("admin", "owner", "member"))]
    stockade = Stockade(make_settings(**more), accounts=MemoryAccountStore(accounts), sinks=[sink])
    app = FastAPI()
    stockade.install(app)

    @app.get("/notes", dependencies=[Depends(require_role("admin"))])
    async def notes() -> int:
        return 1

    @app.get(f"/{HOSTILE}")
    @public(f"because {HOSTILE}")
    @rate_limit("2/minute")
    async def hostile() -> int:
        return 1

    @app.get("/free")
    @public("a probe")
    @unlimited("the load balancer asks")
    async def free() -> int:
        return 1

    return Site(app, stockade, sink)
