"""What comes in and goes out about companies."""

from pydantic import BaseModel, ConfigDict, Field

from database.companies.models import Department
from stockade.validation import Schema, stores


@stores(Department)
class EntityCreate(Schema):
    name: str = Field(..., max_length=100)
    description: str = Field(..., max_length=500)


class DepartmentOut(BaseModel):
    """A department as it is shown."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    description: str


class MemberOut(BaseModel):
    """An account that belongs to the caller's company."""

    user_id: str
    email: str
    role: str


class CompanyOut(BaseModel):
    """A company, for those who run the whole system."""

    id: str
    name: str
