"""Make an application whose tokens programs ask about."""

import base64
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication import BcryptHasher
from stockade.authentication.api_keys import APIKeys, generate_client_id
from stockade.authentication.models import APIClient, APISecret
from stockade.core import TenantId, UserId
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, random_password

PASSWORD = random_password()
_HASH = BcryptHasher(cost=4).hash(PASSWORD)
BEA = dataclasses.replace(ANA, user_id=UserId("bea"), email="bea@example.com", password_hash=_HASH)
CAL = dataclasses.replace(
    BEA, user_id=UserId("cal"), email="cal@example.com", tenant_id=None, roles=frozenset()
)
ROLES = {"admin": [], "owner": [], "member": ["notes:note:read"]}
URL = "/auth/introspect"


class Bench:
    """An application, its accounts and its programs."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.clock = FrozenClock()
        self.sink = MemorySink()
        self.accounts = MemoryAccountStore([BEA])
        values = {"bcrypt_cost": 4, "cookies": True, **settings.pop("authentication", {})}
        self.stockade = Stockade(
            Settings(
                environment="test",
                authentication=values,
                authorization={"roles": ROLES, **settings.pop("authorization", {})},
                **settings,
            ),
            accounts=self.accounts,
            sinks=[self.sink],
            clock=self.clock,
        )
        app = FastAPI()
        self.stockade.install(app)
        app.include_router(self.stockade.auth_router)
        app.include_router(self.stockade.introspection_router)
        app.include_router(self.stockade.factors_router)
        self.client = TestClient(app, raise_server_exceptions=False)

    async def make_program(
        self, *, tenant_id: str | None = "acme", user_id: str | None = None
    ) -> dict[str, str]:
        """Make a program, a service of ``acme`` unless said otherwise; return its headers."""
        now = self.clock.now()
        new = APIKeys(self.stockade._keys).generate()
        client = APIClient(
            client_id=generate_client_id(),
            name="Gateway",
            tenant_id=None if tenant_id is None else TenantId(tenant_id),
            user_id=None if user_id is None else UserId(user_id),
            roles=frozenset(),
            scopes=frozenset(),
            created_at=now,
            created_by=BEA.user_id,
        )
        secret = APISecret(secret_id="1", digest=new.digest, created_at=now)
        if user_id is not None:
            owner = dataclasses.replace(BEA, user_id=UserId(user_id), tenant_id=client.tenant_id)
            self.accounts.put(owner if user_id != "bea" else BEA)
        await self.stockade._sign_in.api_clients.add(client, secret)
        return {"X-CLIENT-ID": client.client_id, "X-API-KEY": new.value}

    def sign_in(self, email: str = BEA.email) -> dict[str, Any]:
        """Sign somebody in."""
        form = {"username": email, "password": PASSWORD}
        granted: dict[str, Any] = self.client.post("/auth/token", data=form).json()
        return granted

    def ask(self, token: str, headers: dict[str, str], *, hint: str | None = None) -> Any:  # noqa: ANN401 - a response
        """Ask about a token."""
        form = {"token": token} | ({} if hint is None else {"token_type_hint": hint})
        return self.client.post(URL, data=form, headers=headers)

    def is_active(self, granted: dict[str, Any], headers: dict[str, str]) -> tuple[bool, bool]:
        """Tell whether both tokens of a grant hold."""
        access = self.ask(granted["access_token"], headers).json()["active"]
        refresh = self.ask(granted["refresh_token"], headers, hint="refresh_token")
        return access, refresh.json()["active"]

    def reason(self) -> str:
        """Return the reason of the last event."""
        return str(list(self.sink)[-1].reason).removeprefix("authentication.")


def basic(*parts: str) -> dict[str, str]:
    """Return the header of two parts, as they are."""
    joined = ":".join(parts).encode()
    return {"Authorization": "Basic " + base64.b64encode(joined).decode()}


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One application."""
    made = Bench()
    with made.client:
        yield made
