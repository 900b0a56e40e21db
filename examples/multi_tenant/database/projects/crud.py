"""Read and write projects; the session only ever sees those of the caller's company."""

from sqlalchemy import Select, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from database.commits import committing
from database.notes.models import Note
from database.projects.models import Project, project_notes

# More than this is for a page with parts, as notes have it.
_MOST = 1000


async def list_projects(session: AsyncSession, visible: Select[Project]) -> list[Project]:
    return list(await session.scalars(visible.order_by(Project.name, Project.id).limit(_MOST)))


async def add_project(session: AsyncSession, project: Project) -> None:
    async with committing(session):
        session.add(project)


async def rename(session: AsyncSession, project: Project, name: str) -> None:
    async with committing(session):
        project.name = name


async def set_budget(session: AsyncSession, project: Project, budget: int) -> None:
    async with committing(session):
        project.budget = budget


async def delete_project(session: AsyncSession, project: Project) -> None:
    async with committing(session):
        await session.delete(project)


async def list_notes(session: AsyncSession, visible: Select[Note], project: Project) -> list[Note]:
    statement = visible.join(project_notes).where(project_notes.c.project_id == project.id)
    return list(await session.scalars(statement.order_by(Note.title, Note.id).limit(_MOST)))


async def attach(session: AsyncSession, project: Project, note: Note) -> None:
    """Add a note to a project; done twice, it changes nothing."""
    pair = {"project_id": project.id, "note_id": note.id}
    found = select(project_notes.c.note_id).filter_by(**pair)
    if await session.scalar(found) is None:
        async with committing(session):
            await session.execute(insert(project_notes).values(**pair))


async def detach(session: AsyncSession, project: Project, note: Note) -> None:
    """Take a note out of a project; done twice, it changes nothing."""
    async with committing(session):
        await session.execute(
            delete(project_notes).filter_by(project_id=project.id, note_id=note.id)
        )
