"""What comes in and goes out about projects."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from utils.permissions import NotesPermission

from database.projects.models import Project
from stockade.authorization import visible_to
from stockade.validation import Line, Schema, stores


@stores(Project)
class ProjectWrite(Schema):
    """A project as its lead describes it; who leads it and what it costs is not for a body."""

    name: Line = Field(min_length=1, max_length=100)


@stores(Project)
class BudgetWrite(Schema):
    """What a project may cost."""

    budget: int = Field(ge=0, le=1_000_000_000)


class ProjectOut(BaseModel):
    """A project as it is shown; the budget is not sent to those who may not see it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    lead: str
    budget: Annotated[int, visible_to(NotesPermission.SEE_BUDGETS)]
