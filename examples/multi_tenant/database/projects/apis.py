"""The endpoints of projects."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from utils.permissions import NotesPermission

from database.dependencies import (
    Access,
    Caller,
    Session,
    get_current_user,
    require_admin_role,
    stockade,
)
from database.notes.apis import load_note
from database.notes.models import Note
from database.notes.schemas import NoteOut
from database.projects import crud
from database.projects.models import Project
from database.projects.schemas import BudgetWrite, ProjectOut, ProjectWrite
from stockade import rate_limit, require_all, require_fresh, require_permission, require_role
from stockade.core.identity import TenantRole
from stockade.validation import Identifier

router = APIRouter(prefix="/projects", tags=["projects"])

may_set_budgets = require_permission(NotesPermission.SET_BUDGETS) | require_role(TenantRole.OWNER)
# What can't be undone takes a sign-in that is not older than this; a program has none.
may_end_projects = require_all(NotesPermission.END_PROJECTS, require_admin_role) & require_fresh(
    timedelta(minutes=15)
)


def load_project(action: str, *, lock: bool = False) -> object:
    """Load the project that the path names, if the caller may do this with it."""
    return Depends(stockade.load(Project, "project_id", action=action, key=Identifier, lock=lock))


@router.get("", dependencies=[Depends(get_current_user)])
async def list_projects(access: Access, session: Session) -> list[ProjectOut]:
    """List the projects of the caller's company."""
    found = await crud.list_projects(session, access.visible(Project))
    return [ProjectOut.model_validate(project) for project in found]


@router.post("", status_code=201)
@rate_limit("100/minute")
async def create_project(
    given: ProjectWrite, caller: Caller, access: Access, session: Session
) -> ProjectOut:
    """Begin a project, and lead it."""
    project = Project(name=given.name, lead=caller.user_id)
    access.require("create", project)
    await crud.add_project(session, project)
    return ProjectOut.model_validate(project)


@router.get("/{project_id}")
async def show_project(project: Annotated[Project, load_project("read")]) -> ProjectOut:
    """Show one project."""
    return ProjectOut.model_validate(project)


@router.put("/{project_id}")
async def replace_project(
    project: Annotated[Project, load_project("write", lock=True)],
    given: ProjectWrite,
    session: Session,
) -> ProjectOut:
    """Describe a project anew: its lead may, and whoever runs the company."""
    await crud.rename(session, project, given.name)
    return ProjectOut.model_validate(project)


@router.put("/{project_id}/budget", dependencies=[Depends(may_set_budgets)])
async def set_budget(
    project: Annotated[Project, load_project("set_budget", lock=True)],
    given: BudgetWrite,
    session: Session,
) -> ProjectOut:
    """Say what a project may cost: an owner may, or a program with that permission."""
    await crud.set_budget(session, project, given.budget)
    return ProjectOut.model_validate(project)


@router.delete("/{project_id}", status_code=204, dependencies=[Depends(may_end_projects)])
async def delete_project(
    project: Annotated[Project, load_project("delete", lock=True)], session: Session
) -> None:
    """End a project, which takes an admin or an owner who has just signed in."""
    await crud.delete_project(session, project)


@router.get("/{project_id}/notes")
async def list_project_notes(
    project: Annotated[Project, load_project("read")], access: Access, session: Session
) -> list[NoteOut]:
    """List the notes of a project, as far as the caller may read them."""
    notes = await crud.list_notes(session, access.visible(Note), project)
    return [NoteOut.model_validate(note) for note in notes]


@router.put("/{project_id}/notes/{note_id}", status_code=204)
async def attach_note(
    project: Annotated[Project, load_project("write", lock=True)],
    note: Annotated[Note, load_note("read", lock=True)],
    session: Session,
) -> None:
    """Add a note to a project."""
    await crud.attach(session, project, note)


@router.delete("/{project_id}/notes/{note_id}", status_code=204)
async def detach_note(
    project: Annotated[Project, load_project("write", lock=True)],
    note: Annotated[Note, load_note("read", lock=True)],
    session: Session,
) -> None:
    """Take a note out of a project; the note stays."""
    await crud.detach(session, project, note)
