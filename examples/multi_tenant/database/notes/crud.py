"""Read and write notes; the session only ever sees those of the caller's company.

Which of them the caller may read is in the queries that come in, made by ``access.visible``.
"""

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from database.commits import committing
from database.notes.models import Comment, Note
from database.notes.schemas import NoteWrite
from stockade.validation import SortOrder

_MOST_COMMENTS = 1000


async def list_notes(
    session: AsyncSession,
    visible: Select[Note],
    *,
    limit: int,
    offset: int = 0,
    order: SortOrder = SortOrder("created_at", descending=False),
) -> list[Note]:
    column = {"created_at": Note.created_at, "title": Note.title}[order.column]
    by = (column.desc(), Note.id.desc()) if order.descending else (column, Note.id)
    return list(await session.scalars(visible.order_by(*by).limit(limit).offset(offset)))


async def count_notes(session: AsyncSession, visible: Select[Note]) -> int:
    return await session.scalar(select(func.count()).select_from(visible.subquery())) or 0


def containing(visible: Select[Note], words: str | None) -> Select[Note]:
    """Narrow a query to notes with these words in their title; per cent signs are only signs."""
    return visible.where(Note.title.icontains(words, autoescape=True)) if words else visible


async def create_note(session: AsyncSession, note: Note) -> None:
    async with committing(session):
        session.add(note)


async def update_note(session: AsyncSession, note: Note, given: NoteWrite) -> None:
    async with committing(session):
        note.title = given.title
        note.body = given.body
        if given.private is not None:
            note.private = given.private


async def delete(session: AsyncSession, found: Note | Comment) -> None:
    async with committing(session):
        await session.delete(found)


async def list_comments(
    session: AsyncSession, visible: Select[Comment], note: Note
) -> list[Comment]:
    statement = visible.where(Comment.note_id == note.id)
    statement = statement.order_by(Comment.created_at, Comment.id).limit(_MOST_COMMENTS)
    return list(await session.scalars(statement))


async def create_comment(session: AsyncSession, comment: Comment) -> None:
    async with committing(session):
        session.add(comment)
