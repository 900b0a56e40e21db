"""The endpoints of support: each crosses into one company for a ticket, and an event says so."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from database.companies import crud as companies
from database.dependencies import Access, stockade
from database.notes import crud as notes
from database.notes.models import Note
from database.notes.schemas import NoteOut
from database.projects import crud as projects
from database.projects.models import Project
from database.projects.schemas import ProjectOut
from stockade import TenantCrossing
from stockade.core.identity import TenantId
from stockade.errors import NotFoundError
from stockade.validation import Identifier

router = APIRouter(prefix="/support/{company}", tags=["support"])

Crossing = Annotated[TenantCrossing, Depends(stockade.cross_tenant)]
Company = Annotated[Identifier, Path(max_length=36)]
Ticket = Annotated[str, Query(pattern=r"^[A-Z]{2,8}-[0-9]{1,8}$", max_length=17)]
_MOST = 100


@router.get("/notes")
async def list_notes_of(
    company: Company, ticket: Ticket, crossing: Crossing, access: Access
) -> list[NoteOut]:
    """List the newest notes of a company; what is private stays private here too."""
    if not await companies.exists(company):
        raise NotFoundError(reason="support.no_such_company")
    async with crossing(TenantId(company), reason=f"support ticket {ticket}") as session:
        found = await notes.list_notes(session, access.visible(Note), limit=_MOST)
        return [NoteOut.model_validate(note) for note in found]


@router.get("/members/{user_id}/projects")
async def list_projects_as(
    company: Company, user_id: Identifier, ticket: Ticket, crossing: Crossing
) -> list[ProjectOut]:
    """List the projects of a company as one of its members sees them, with the same masks."""
    member = await companies.find_member(company, user_id)
    if member is None:
        raise NotFoundError(reason="support.no_such_member")
    async with crossing.as_account(
        member.email, TenantId(company), reason=f"support ticket {ticket}"
    ) as acting:
        visible = acting.access.visible(Project)
        found = await projects.list_projects(acting.session, visible)
        return [ProjectOut.model_validate(project) for project in found]
