"""The demo's companies, accounts and notes. The passwords are in print, so they protect nothing."""

import asyncio
from dataclasses import dataclass

from settings import settings
from sqlalchemy.ext.asyncio import AsyncConnection

from database.base import Base, open_engine
from database.dependencies import stockade
from database.notes.models import Comment, Note
from database.projects.models import Project
from stockade.authentication import BcryptHasher
from stockade.core.identity import TenantId, TenantRole, UserId, UserType
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
)
from stockade.tenancy import Isolation


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An account of the demo; the super admin has neither company nor role."""

    user_id: str
    email: str
    company: str | None = None
    role: TenantRole | None = None

    @property
    def password(self) -> str:
        return f"{self.user_id}-password"


COMPANIES = {"acme": "Acme", "globex": "Globex"}
LOGINS = (
    Login(user_id="super-admin", email="super-admin@example.com"),
    *(
        Login(
            user_id=f"{company}-{role}",
            email=f"{role}@{company}.example",
            company=company,
            role=role,
        )
        for company in COMPANIES
        for role in (TenantRole.OWNER, TenantRole.ADMIN, TenantRole.MEMBER)
    ),
)
# An identifier is drawn at random otherwise; these are fixed, so that examples can name them.
NOTES = (
    ("acme-welcome", "acme", "Welcome", "<p>The <strong>Acme</strong> roadmap is in here.</p>"),
    ("acme-coffee", "acme", "Coffee", "<p>The machine on the second floor works again.</p>"),
    ("globex-welcome", "globex", "Welcome", "<p>Only <em>Globex</em> can read this.</p>"),
    ("globex-prices", "globex", "Prices", "<p>Not for the eyes of any other company.</p>"),
)


def make_rows(company: str) -> list[Note | Comment | Project]:
    """Make what a company begins with, besides its accounts; whose it is, the session adds."""
    owner = f"{company}-owner"
    notes = [
        Note(id=note_id, title=title, body=body, author=owner)
        for note_id, of, title, body in NOTES
        if of == company
    ]
    private = Note(
        id=f"{company}-diary",
        title="Diary",
        body="<p>Nobody but the owner reads this.</p>",
        author=owner,
        private=True,
    )
    return [
        *notes,
        private,
        Comment(id=f"{company}-hello", note=notes[0], text="Good to be here.", author=owner),
        Project(id=f"{company}-moon", name="To the moon", lead=owner, budget=70_000, notes=notes),
    ]


async def seed_rows() -> None:
    """Write what the companies begin with; done twice, it changes nothing.

    Each company is filled by a session of its own, as a script has it that works for one company
    after the other: row-level security holds for the owner of the tables too.
    """
    rows = open_engine()
    isolation = Isolation(Base, settings=settings.tenancy, events=stockade.events)
    isolation.install(rows)
    session_of = isolation.session_factory(rows)
    try:
        for company in COMPANIES:
            async with session_of(TenantId(company)) as session:
                for row in make_rows(company):
                    await session.merge(row)
                await session.commit()
    finally:
        await rows.dispose()


async def seed_accounts(connection: AsyncConnection, *, cost: int) -> None:
    """Make companies and accounts, within the caller's transaction."""
    for company, name in COMPANIES.items():
        await create_tenant(connection, name, tenant_id=company)
    hasher = BcryptHasher(cost=cost)
    hashes = await asyncio.gather(
        *(asyncio.to_thread(hasher.hash, login.password) for login in LOGINS)
    )
    for login, password_hash in zip(LOGINS, hashes, strict=True):
        await _create(connection, login, password_hash)


async def _create(connection: AsyncConnection, login: Login, password_hash: str) -> None:
    kind = UserType.USER if login.company else UserType.SUPER_ADMIN
    user_id = await create_account(
        connection,
        NewAccount(
            email=login.email,
            password_hash=password_hash,
            user_type=kind,
            user_id=UserId(login.user_id),
        ),
    )
    if login.company and login.role:
        company = TenantId(login.company)
        await join_tenant(connection, user_id, company, role=login.role, is_default=True)
