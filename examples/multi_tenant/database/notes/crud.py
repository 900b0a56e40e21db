"""Read and write notes; the session only ever sees those of the caller's company."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from database.notes.models import Note
from database.notes.schemas import NoteWrite


async def list_notes(session: AsyncSession, *, limit: int, offset: int) -> list[Note]:
    statement = select(Note).order_by(Note.created_at, Note.id).limit(limit).offset(offset)
    return list(await session.scalars(statement))


async def count_notes(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(Note)) or 0


async def get_note(session: AsyncSession, note_id: str) -> Note | None:
    return await session.get(Note, note_id)


async def create_note(session: AsyncSession, given: NoteWrite, *, author: str) -> Note:
    note = Note(title=given.title, body=given.body, author=author)
    session.add(note)
    await session.commit()
    return note


async def update_note(session: AsyncSession, note: Note, given: NoteWrite) -> Note:
    note.title = given.title
    note.body = given.body
    await session.commit()
    return note


async def delete_note(session: AsyncSession, note: Note) -> None:
    await session.delete(note)
    await session.commit()
