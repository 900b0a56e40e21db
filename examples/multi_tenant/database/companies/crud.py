"""Read and write what belongs to companies."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from database.base import engine
from database.commits import committing
from database.companies.models import Department
from database.companies.schemas import CompanyOut, EntityCreate, MemberOut
from stockade.storage.sql.models import Membership, Tenant, User

# More than this is for a page with parts, as notes have it.
_MOST = 1000


async def create_department(session: AsyncSession, given: EntityCreate) -> Department:
    department = Department(name=given.name, description=given.description)
    async with committing(session):
        session.add(department)
    return department


async def list_departments(session: AsyncSession) -> list[Department]:
    statement = select(Department).order_by(Department.name).limit(_MOST)
    return list(await session.scalars(statement))


async def list_members(company: str) -> list[MemberOut]:
    """Accounts are above companies, so this engine sees all: the company is asked for by hand."""
    statement = (
        select(User.id, User.email, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.tenant_id == company)
        .order_by(User.email)
        .limit(_MOST)
    )
    async with engine.connect() as connection:
        rows = await connection.execute(statement)
    return [MemberOut(user_id=row.id, email=row.email, role=row.role) for row in rows]


async def find_member(company: str, user_id: str) -> MemberOut | None:
    members = await list_members(company)
    return next((member for member in members if member.user_id == user_id), None)


async def exists(company: str) -> bool:
    async with engine.connect() as connection:
        found = await connection.scalar(select(Tenant.id).where(Tenant.id == company))
    return found is not None


async def list_companies() -> list[CompanyOut]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(Tenant.id, Tenant.name).order_by(Tenant.name))
    return [CompanyOut(id=row.id, name=row.name) for row in rows]
