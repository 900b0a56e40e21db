"""Make an application whose notes have rules, on a database with two tenants."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
from sqlalchemy import BigInteger, ForeignKey, String, Uuid, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from starlette.testclient import TestClient

from stockade import Principal, Settings, Stockade
from stockade.authentication import Account
from stockade.authorization import open_within_tenant, owned_by, policy, policy_scope
from stockade.core.identity import TenantId, UserId, UserType
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.sql import make_engine, upgrade_schema
from stockade.tenancy import TenantScoped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI

KEY = UUID("0190a0a0-0000-7000-8000-000000000001")


class Base(DeclarativeBase):
    pass


class Note(TenantScoped, Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str | None] = mapped_column(String(36))
    body: Mapped[str] = mapped_column(String(100))
    hidden: Mapped[bool] = mapped_column(default=False)
    comments: Mapped[list[Comment]] = relationship(cascade="all, delete", passive_deletes=True)


class Comment(TenantScoped, Base):
    __tablename__ = "comment"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("note.id"))
    author: Mapped[str] = mapped_column(String(36))
    note: Mapped[Note] = relationship(viewonly=True)


class Page(TenantScoped, Base):
    __tablename__ = "page"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    body: Mapped[str] = mapped_column(String(100))


class Tag(TenantScoped, Base):
    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class Pair(TenantScoped, Base):
    __tablename__ = "pair"

    left: Mapped[int] = mapped_column(primary_key=True)
    right: Mapped[int] = mapped_column(primary_key=True)


@policy(Note, "read")
def may_read_note(principal: Principal, note: Note) -> bool:
    """Let everybody read what is not hidden."""
    return not note.hidden or note.author == principal.user_id


policy(Note, "write", "delete", "create")(owned_by("author", or_roles=["admin"]))
policy(Comment, "read", "write")(owned_by("author"))


@policy_scope(Note)
def visible_notes(principal: Principal) -> object:
    """Say the same in SQL."""
    return Note.hidden.is_(False) | (Note.author == principal.user_id)


@policy(Page, "read")
def may_read_page(_principal: Principal, page: Page) -> bool:
    """Answer with whatever the page holds: a mistake that a rule can make."""
    answers: dict[str, Any] = {"truthy": object(), "none": None, "one": 1, "coroutine": _later()}
    try:
        if page.body == "raises":
            raise RuntimeError(page.body)
        return answers.get(page.body, True)  # type: ignore[no-any-return]
    finally:
        if page.body != "coroutine":
            answers["coroutine"].close()


async def _later() -> bool:
    return True


open_within_tenant(Tag, "tags are everybody's")


def make_account(name: str, *roles: str, tenant: str | None = "acme") -> Account:
    """Make an account of a tenant."""
    return Account(
        user_id=UserId(name),
        email=f"{name}@example.com",
        user_type=UserType.USER if tenant else UserType.SUPER_ADMIN,
        password_hash="",
        active=True,
        token_epoch=0,
        tenant_id=TenantId(tenant) if tenant else None,
        roles=frozenset(roles),
    )


ANA = make_account("ana", "member")
BEN = make_account("ben", "member")
ADA = make_account("ada", "admin")
EVE = make_account("eve", "admin", tenant="globex")
ROOT = make_account("root", tenant=None)
_PAGES = ("fine", "truthy", "none", "one", "coroutine", "raises")
ROWS: list[tuple[type[Any], dict[str, Any]]] = [
    (Note, {"id": 1, "tenant_id": "acme", "author": "ana", "body": "plain", "hidden": False}),
    (Note, {"id": 2, "tenant_id": "acme", "author": "ana", "body": "hidden", "hidden": True}),
    (Note, {"id": 3, "tenant_id": "globex", "author": "eve", "body": "foreign", "hidden": False}),
    (Comment, {"id": KEY, "tenant_id": "acme", "note_id": 1, "author": "ana"}),
    (Tag, {"id": 1, "tenant_id": "acme"}),
]
ROWS += [(Page, {"id": body, "tenant_id": "acme", "body": body}) for body in _PAGES]


class Guarded:
    """A Stockade on a database, with accounts of two tenants and a record of its events."""

    def __init__(self, folder: Path, *, url: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.url = url or f"sqlite:///{folder}/guarded.db"
        self.sink = MemorySink()
        self.accounts = MemoryAccountStore([ANA, BEN, ADA, EVE, ROOT])
        anyio.run(self._prepare)
        self.stockade = Stockade(
            Settings(
                environment="test",
                database_url=self.url,
                authentication={"identity_cache_lifetime": 0},
                **settings,
            ),
            models=[Base],
            accounts=self.accounts,
            sinks=[self.sink],
        )

    async def _prepare(self) -> None:
        engine = make_engine(self.url)
        await upgrade_schema(engine)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            for model, values in ROWS:
                await connection.execute(insert(model).values(**values))
        await engine.dispose()

    def headers(self, account: Account) -> dict[str, str]:
        """Return the header that signs an account in."""
        token = self.stockade._sign_in.tokens.issue(account)
        return {"Authorization": f"Bearer {token.value}"}

    def reasons(self, name: str) -> list[str | None]:
        """Return the reason codes of the events with a name."""
        return [event.reason for event in self.sink.named(name)]

    @contextmanager
    def serve(self, app: FastAPI) -> Iterator[TestClient]:
        """Install and start, and give a client."""
        self.stockade.install(app)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client
