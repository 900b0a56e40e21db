"""Make applications with a Stockade, accounts and tokens for the tests of the gate."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication import Account
from stockade.core.identity import TenantId, UserId, UserType
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

DOCS = ("docs", "correct horse battery staple")


def make_account(name: str, *roles: str, user_type: UserType = UserType.USER) -> Account:
    """Make an account of the tenant ``acme``."""
    return Account(
        user_id=UserId(name),
        email=f"{name}@example.com",
        user_type=user_type,
        password_hash="",
        active=True,
        token_epoch=0,
        tenant_id=TenantId("acme"),
        roles=frozenset(roles),
    )


MEMBER = make_account("mia", "member")
ADMIN = make_account("ada", "admin")
ROOT = make_account("root", user_type=UserType.SUPER_ADMIN)


class Protected:
    """A Stockade with three accounts and a record of its events."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.sink = MemorySink()
        self.accounts = MemoryAccountStore([MEMBER, ADMIN, ROOT])
        values = {
            "environment": "test",
            "api_docs": {"username": DOCS[0], "password": DOCS[1]},
            "authentication": {"identity_cache_lifetime": 0},
            **settings,
        }
        self.stockade = Stockade(Settings(**values), accounts=self.accounts, sinks=[self.sink])

    def headers(self, account: Account = MEMBER) -> dict[str, str]:
        """Return the header that signs an account in."""
        token = self.stockade._sign_in.tokens.issue(account)
        return {"Authorization": f"Bearer {token.value}"}

    def names(self) -> list[str]:
        """Name the events since the start."""
        return [event.name for event in self.sink if event.name != "application.started"]


@contextmanager
def serve(app: FastAPI, protected: Protected) -> Iterator[TestClient]:
    """Install and start, and give a client."""
    protected.stockade.install(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
