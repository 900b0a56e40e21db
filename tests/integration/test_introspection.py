"""Two processes with one database: what one of them ends is not active for the other, at once."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication import BcryptHasher
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
    upgrade_schema,
)
from tests.unit.authentication.helpers import NEW, random_password

PASSWORD = random_password()


async def prepare(url: str) -> None:
    """Make two tenants, each with an administrator."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for name in ("acme", "globex"):
            tenant_id = await create_tenant(connection, name, tenant_id=name)
            hashed = BcryptHasher(cost=4).hash(PASSWORD)
            account = NewAccount(email=f"ada@{name}.example", password_hash=hashed)
            user_id = await create_account(connection, account)
            await join_tenant(connection, user_id, tenant_id, role="admin", is_default=True)
    await engine.dispose()


class Process:
    """One process of the application, with caches that believe for as long as they may."""

    def __init__(self, url: str) -> None:
        settings = Settings(
            environment="test",
            secret_keys=(NEW,),
            database_url=url,
            authentication={"bcrypt_cost": 4, "identity_cache_lifetime": 5},
        )
        stockade = Stockade(settings, sinks=[])
        app = FastAPI()
        stockade.install(app)
        for name in ("auth_router", "api_keys_router", "introspection_router"):
            app.include_router(getattr(stockade, name))
        self.client = TestClient(app)

    def sign_in(self, tenant: str) -> dict[str, Any]:
        """Sign an administrator in."""
        form = {"username": f"ada@{tenant}.example", "password": PASSWORD}
        granted: dict[str, Any] = self.client.post("/auth/token", data=form).json()
        return granted

    def make_service(self, tenant: str) -> dict[str, str]:
        """Make a service of a tenant, and return its headers."""
        bearer = {"Authorization": f"Bearer {self.sign_in(tenant)['access_token']}"}
        body = {"name": "Gateway", "of_tenant": True}
        made = self.client.post("/auth/api-keys", json=body, headers=bearer).json()
        return {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}

    def is_active(self, granted: dict[str, Any], service: dict[str, str]) -> list[bool]:
        """Ask about both tokens of a grant."""
        return [
            self.client.post(
                "/auth/introspect",
                data={"token": granted[kind], "token_type_hint": kind},
                headers=service,
            ).json()["active"]
            for kind in ("access_token", "refresh_token")
        ]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """Two processes with one database of each kind."""
    url = f"sqlite:///{tmp_path}/shared.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    asyncio.run(prepare(url))
    one, two = Process(url), Process(url)
    with ExitStack() as stack:
        stack.enter_context(one.client)
        stack.enter_context(two.client)
        yield one, two


def test_what_one_process_ends_is_over_in_the_other(processes: tuple[Process, Process]) -> None:
    """Introspection believes no cache, so that there is not even a second in between."""
    one, two = processes
    service = one.make_service("acme")
    granted = one.sign_in("acme")
    assert one.is_active(granted, service) == two.is_active(granted, service) == [True, True]
    one.client.post("/auth/revoke", data={"token": granted["refresh_token"]})
    assert one.is_active(granted, service) == two.is_active(granted, service) == [False, False]


def test_a_service_learns_nothing_of_another_tenant(processes: tuple[Process, Process]) -> None:
    """Its own tokens are its business, those of the other one look like nothing at all."""
    one, _ = processes
    service = one.make_service("globex")
    assert one.is_active(one.sign_in("globex"), service) == [True, True]
    assert one.is_active(one.sign_in("acme"), service) == [False, False]
