"""The table of departments; companies, accounts and memberships are in Stockade's own tables."""

from uuid import uuid4

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base
from stockade.authorization import open_within_tenant
from stockade.tenancy import TenantScoped


def _new_id() -> str:
    return str(uuid4())


class Department(TenantScoped, Base):
    """A department of a company."""

    __tablename__ = "departments"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(String(500))


open_within_tenant(Department, "everybody knows the departments; a role says who adds one")
