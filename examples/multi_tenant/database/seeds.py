"""The demo's companies, accounts and notes. The passwords are in print, so they protect nothing."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from database.notes.models import Note
from stockade.authentication import BcryptHasher
from stockade.core.identity import TenantId, TenantRole, UserId, UserType
from stockade.storage.sql import NewAccount, create_account, create_tenant, join_tenant
from stockade.storage.sql.models import User


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
# A note's identifier is drawn at random; these are fixed, so that examples can name them.
NOTES = (
    ("acme-welcome", "acme", "Welcome", "<p>The <strong>Acme</strong> roadmap is in here.</p>"),
    ("acme-coffee", "acme", "Coffee", "<p>The machine on the second floor works again.</p>"),
    ("globex-welcome", "globex", "Welcome", "<p>Only <em>Globex</em> can read this.</p>"),
    ("globex-prices", "globex", "Prices", "<p>Not for the eyes of any other company.</p>"),
)


async def seed(connection: AsyncConnection, *, cost: int) -> None:
    """Fill an empty database, within the caller's transaction; leave any other as it is."""
    if await connection.scalar(select(func.count()).select_from(User)):
        return
    for company, name in COMPANIES.items():
        await create_tenant(connection, name, tenant_id=company)
    hasher = BcryptHasher(cost=cost)
    hashes = await asyncio.gather(
        *(asyncio.to_thread(hasher.hash, login.password) for login in LOGINS)
    )
    for login, password_hash in zip(LOGINS, hashes, strict=True):
        await _create(connection, login, password_hash)
    for note_id, company, title, body in NOTES:
        values = {"id": note_id, "title": title, "body": body, "author": f"{company}-owner"}
        await connection.execute(insert(Note).values(tenant_id=company, **values))


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
