"""The endpoints of notes."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from utils.permissions import NotesPermission

from database.dependencies import (
    Access,
    Caller,
    Session,
    get_current_user,
    require_admin_role,
    stockade,
)
from database.notes import crud
from database.notes.live import live_notes
from database.notes.models import Note
from database.notes.schemas import NoteOut, NotePage, NoteWrite
from stockade import rate_limit, require_any
from stockade.validation import Identifier, Line, SortBy

router = APIRouter(prefix="/notes", tags=["notes"])

ORDER: Final = SortBy("created_at", "title")
may_export = require_any(NotesPermission.EXPORT_NOTES, require_admin_role)
_MOST_EXPORTED = 1000


def load_note(action: str, *, lock: bool = False) -> object:
    """Load the note that the path names, if the caller may do this with it.

    A note of another company, and one that the caller may not read, looks exactly like one that
    does not exist. What is changed, or gets something that points to it, is locked meanwhile.
    """
    return Depends(stockade.load(Note, "note_id", action=action, key=Identifier, lock=lock))


@router.get("", dependencies=[Depends(get_current_user)])
async def list_notes(
    access: Access,
    session: Session,
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    order: Annotated[str, ORDER] = "created_at",
    search: Annotated[Line | None, Query(max_length=100)] = None,
) -> NotePage:
    """List the notes of the caller's company that the caller may read, oldest first."""
    found = crud.containing(access.visible(Note), search)
    notes = await crud.list_notes(
        session, found, limit=limit, offset=offset, order=ORDER.parse(order)
    )
    items = [NoteOut.model_validate(note) for note in notes]
    return NotePage(items=items, total=await crud.count_notes(session, found))


@router.post("", status_code=201)
@rate_limit("100/minute")
async def create_note(
    given: NoteWrite, caller: Caller, access: Access, session: Session
) -> NoteOut:
    """Write a note."""
    note = Note(
        title=given.title, body=given.body, private=bool(given.private), author=caller.user_id
    )
    access.require("create", note)
    await crud.create_note(session, note)
    shown = NoteOut.model_validate(note)
    if not note.private:
        live_notes.publish(note.tenant_id, shown.model_dump_json())
    return shown


@router.get("/export", dependencies=[Depends(may_export)])
@rate_limit("5/minute")
async def export_notes(access: Access, session: Session) -> list[NoteOut]:
    """Give the first thousand notes at once, which is costly and so has a limit of its own."""
    notes = await crud.list_notes(session, access.visible(Note), limit=_MOST_EXPORTED)
    return [NoteOut.model_validate(note) for note in notes]


@router.get("/{note_id}")
async def show_note(note: Annotated[Note, load_note("read")]) -> NoteOut:
    """Show one note."""
    return NoteOut.model_validate(note)


@router.put("/{note_id}")
async def replace_note(
    note: Annotated[Note, load_note("write", lock=True)], given: NoteWrite, session: Session
) -> NoteOut:
    """Write a note anew: its author may, and whoever runs the company."""
    await crud.update_note(session, note, given)
    return NoteOut.model_validate(note)


@router.delete("/{note_id}", status_code=204, dependencies=[Depends(require_admin_role)])
async def delete_note(
    note: Annotated[Note, load_note("delete", lock=True)], session: Session
) -> None:
    """Delete a note, which takes an admin or an owner."""
    await crud.delete(session, note)
