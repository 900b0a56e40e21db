"""Serve a whole application to the OAuth clients of others."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx2
from fastapi import Depends, FastAPI

from stockade import Principal, Settings, Stockade, current_principal
from stockade.authentication import BcryptHasher
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
    upgrade_schema,
)
from tests.servers.process import free_port
from tests.unit.authentication.helpers import NEW, random_password
from tests.unit.authentication.issuers import serve

EMAIL = "ada@example.com"
AUDIENCE = "https://api.example"


@dataclass(frozen=True)
class Served:
    """A running application, an account, and a service of its tenant.

    Args:
        address: Where it answers; its own name as an issuer, too.
        password: Password of the account.
        client_id: Identifier of the service.
        key: Key of the service.
    """

    address: str
    password: str
    client_id: str
    key: str

    def url(self, path: str) -> str:
        """Return the address of a route."""
        return f"{self.address}{path}"


@contextmanager
def run_application(folder: Path) -> Iterator[Served]:
    """Run an application on uvicorn, with its accounts in a database of its own."""
    database, password = f"sqlite:///{folder}/interop.db", random_password()
    asyncio.run(_prepare(database, password))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    app = _make_application(database, address)
    with serve(app, port, lifespan="on"):
        client_id, key = _make_service(address, password)
        yield Served(address, password, client_id, key)


async def _prepare(database: str, password: str) -> None:
    engine = make_engine(database)
    await upgrade_schema(engine)
    account = NewAccount(email=EMAIL, password_hash=BcryptHasher(cost=4).hash(password))
    async with engine.begin() as connection:
        user_id = await create_account(connection, account)
        tenant_id = await create_tenant(connection, "Acme", tenant_id="acme")
        await join_tenant(connection, user_id, tenant_id, role="admin", is_default=True)
    await engine.dispose()


def _make_application(database: str, address: str) -> FastAPI:
    settings = Settings(
        environment="test",
        secret_keys=(NEW,),
        database_url=database,
        authentication={
            "bcrypt_cost": 4,
            "issuer": address,
            "audience": AUDIENCE,
            "refresh_grace": "PT0S",
        },
        authorization={"roles": {"admin": ["notes:note:read"], "owner": [], "member": []}},
    )
    stockade = Stockade(settings, sinks=[])
    app = FastAPI()
    stockade.install(app)
    for router in (
        stockade.auth_router,
        stockade.api_keys_router,
        stockade.introspection_router,
        stockade.keys_router,
    ):
        app.include_router(router)

    @app.get("/notes")
    async def list_notes(caller: Annotated[Principal, Depends(current_principal)]) -> str:
        return caller.email

    return app


def _make_service(address: str, password: str) -> tuple[str, str]:
    form = {"username": EMAIL, "password": password}
    token = httpx2.post(f"{address}/auth/token", data=form, timeout=30).json()["access_token"]
    answer = httpx2.post(
        f"{address}/auth/api-keys",
        json={"name": "Gateway", "of_tenant": True},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    made = answer.json()
    return made["client_id"], made["api_key"]
