"""Run an application with a tenant, its members and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication.sessions import Client
from stockade.authorization.interfaces import InvitationHook
from stockade.core import TenantId, UserId, UserType
from stockade.core.mail import Message
from stockade.events import MemorySink
from stockade.reporting import MemoryMailer
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
    upgrade_schema,
)
from tests.clock import FrozenClock

MEMBERS = {"ana": "owner", "ada": "admin", "mia": "member"}
NAME = "authorization.membership_changed"


class World:
    """A running application with a tenant of three, a lonely account and a super administrator."""

    def __init__(
        self,
        folder: Path,
        *,
        mails: bool = True,
        limited: bool = False,
        on_invitation: InvitationHook | None = None,
        authentication: dict[str, Any] | None = None,
        **settings: Any,  # noqa: ANN401 - any setting
    ) -> None:
        self.mailer = MemoryMailer()
        self.url = f"sqlite:///{folder}/tenants.db"
        self.sink, self.clock = MemorySink(), FrozenClock()
        self.stockade = Stockade(
            Settings(
                environment="test",
                database_url=self.url,
                authentication={"identity_cache_lifetime": 0, **(authentication or {})},
                authorization=settings,
                rate_limiting={"enabled": limited},
            ),
            sinks=[self.sink],
            clock=self.clock,
            mailer=self.mailer,
            on_invitation=on_invitation,
        )
        if not mails:
            # As where others can reach the application and no mail server is set.
            self.stockade._wiring._mailer = None
        anyio.run(self._prepare)
        self.app = FastAPI()
        self.stockade.install(self.app)
        self.app.include_router(self.stockade.auth_router)
        self.app.include_router(self.stockade.tenants_router)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    async def _prepare(self) -> None:
        engine = make_engine(self.url)
        await upgrade_schema(engine)
        async with engine.begin() as connection:
            await create_tenant(connection, "Acme", tenant_id="acme")
            for name in (*MEMBERS, "lea", "root"):
                kind = UserType.SUPER_ADMIN if name == "root" else UserType.USER
                account = NewAccount(
                    email=f"{name}@example.com",
                    password_hash="",
                    user_type=kind,
                    user_id=UserId(name),
                )
                await create_account(connection, account)
                if name in MEMBERS:
                    await join_tenant(
                        connection,
                        UserId(name),
                        TenantId("acme"),
                        role=MEMBERS[name],
                        is_default=True,
                    )
        await engine.dispose()

    def token(self, name: str) -> str:
        """Sign somebody in."""

        async def begin() -> str:
            accounts = self.stockade._sign_in.accounts
            assert accounts is not None
            account = await accounts.find_by_email(f"{name}@example.com")
            assert account is not None
            sessions = self.stockade._sign_in.require_services().sessions
            return (await sessions.begin(account, Client())).access.value

        assert self.client.portal is not None
        found: str = self.client.portal.call(begin)
        return found

    def call(self, name: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - an answer
        """Send a request as somebody."""
        headers = {"Authorization": f"Bearer {self.token(name)}"}
        return self.client.request(method, path, headers=headers, json=body)

    def mails(self) -> list[Message]:
        """Wait for what is under way, and return what was sent since the last time."""
        assert self.client.portal is not None
        self.client.portal.call(self.stockade._wiring.errands.settle)
        sent = list(self.mailer.sent)
        self.mailer.sent.clear()
        return sent

    def invite(self, email: str = "lea@example.com", role: str = "member", who: str = "ana") -> str:
        """Invite somebody by mail, and return the token."""
        body = {"email": email, "role": role}
        assert self.call(who, "POST", "/tenants/invitations", body).json()["token"] is None
        (message,) = self.mails()
        assert message.to == email.lower()
        return message.text.partition("#token=")[2].split()[0]

    def take(self, who: str, token: str) -> int:
        """Accept an invitation as somebody, and return the status."""
        status: int = self.call(
            who, "POST", "/tenants/invitations/accept", {"token": token}
        ).status_code
        return status

    def roles(self) -> dict[str, str]:
        """Return the roles of the tenant, as its members see them."""
        found = self.call("ada", "GET", "/tenants/members").json()
        return {each["user_id"]: each["role"] for each in found}

    def reasons(self, name: str) -> list[str | None]:
        """Return the reasons of the events with a name."""
        return [event.reason for event in self.sink.named(name)]
