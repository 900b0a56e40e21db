"""An endpoint gets a session of its caller's tenant, and nothing stays open."""

from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, WebSocket
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from stockade.core import Decision, Exchange, Principal, TenantId, UserId
from stockade.core.exchange import SCOPE_KEY
from stockade.errors import ConfigurationError, ForbiddenError
from stockade.tenancy import TenantSessionFactory
from stockade.tenancy.dependencies import TenantSessionDependency
from tests.unit.tenancy.models import FOREIGN, OWN, Base, Tag, isolate, seed


class Gate:
    """Stands for the gate: lets everybody through as the tenant of a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            tenant = HTTPConnection(scope).headers.get("x-tenant")
            scope[SCOPE_KEY] = exchange(TenantId(tenant) if tenant else None)
        await self._app(scope, receive, send)


def exchange(tenant: TenantId | None, *, signed_in: bool = True) -> Exchange:
    """Return the exchange of a request that was let through."""
    found = Exchange(guard=None, request_id="r", client="127.0.0.1", scheme="http", body_limit=1)
    found.decision = Decision(granted=True, reason="test")
    if signed_in:
        found.principal = Principal(user_id=UserId("u"), email="u@example.org", tenant_id=tenant)
    return found


@pytest.fixture
def factory(tmp_path: Path) -> TenantSessionFactory:
    """Sessions on a SQLite file."""
    system = create_engine(f"sqlite:///{tmp_path / 'db'}")
    Base.metadata.create_all(system)
    with Session(system) as session:
        seed(session)
    system.dispose()
    # Without a pool no connection outlives the event loop of the test client.
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'db'}", poolclass=NullPool)
    isolation = isolate()
    isolation.install(engine)
    return isolation.session_factory(engine)


def application(factory: TenantSessionFactory) -> FastAPI:
    """Return an application with a handler that commits, one that forgets, and a websocket."""
    own_session = Annotated[AsyncSession, Depends(TenantSessionDependency(factory))]
    app = FastAPI()
    app.add_middleware(Gate)

    @app.get("/tags")
    async def read(session: own_session) -> list[str]:
        return list(await session.scalars(select(Tag.name).order_by(Tag.id)))

    @app.post("/tags")
    async def write(session: own_session, *, commit: bool, fail: bool = False) -> None:
        session.add(Tag(name="new"))
        await session.flush()
        if fail:
            raise ZeroDivisionError
        if commit:
            await session.commit()

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, session: own_session) -> None:
        await websocket.accept()
        await websocket.send_json(list(await session.scalars(select(Tag.name))))
        await websocket.close()

    return app


def test_endpoint_sees_its_tenant(factory: TenantSessionFactory) -> None:
    """Requests and websockets see the rows of the caller's tenant."""
    with TestClient(application(factory)) as client:
        for tenant, name in ((OWN, "own tag"), (FOREIGN, "foreign tag")):
            headers = {"x-tenant": tenant}
            assert client.get("/tags", headers=headers).json() == [name]
            with client.websocket_connect("/socket", headers=headers) as socket:
                assert socket.receive_json() == [name]


def test_handler_commits(factory: TenantSessionFactory) -> None:
    """What the handler does not commit is rolled back, after success as after an error."""
    client = TestClient(application(factory), raise_server_exceptions=False)
    headers = {"x-tenant": OWN}
    with client:
        assert client.post("/tags?commit=false", headers=headers).status_code == 200
        assert client.post("/tags?commit=true&fail=true", headers=headers).status_code == 500
        assert client.get("/tags", headers=headers).json() == ["own tag"]
        client.post("/tags?commit=true", headers=headers)
        assert client.get("/tags", headers=headers).json() == ["own tag", "new"]


@pytest.mark.parametrize("signed_in", [True, False])
async def test_no_tenant(factory: TenantSessionFactory, signed_in: bool) -> None:
    """A caller without an active tenant is refused."""
    scope = {"type": "http", SCOPE_KEY: exchange(None, signed_in=signed_in)}
    with pytest.raises(ForbiddenError) as caught:
        await anext(TenantSessionDependency(factory)(HTTPConnection(scope)))
    assert caught.value.reason == "tenancy.no_tenant"


async def test_request_past_stockade(factory: TenantSessionFactory) -> None:
    """A request that no gate has decided on gets no session."""
    with pytest.raises(ConfigurationError):
        await anext(TenantSessionDependency(factory)(HTTPConnection({"type": "http"})))
