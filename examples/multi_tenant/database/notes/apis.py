"""The endpoints of notes."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, WebSocket, WebSocketDisconnect
from sqlalchemy.ext.asyncio import AsyncSession

from database.dependencies import get_current_user, get_session, require_admin_role
from database.notes import crud
from database.notes.live import LiveNotes
from database.notes.models import Note
from database.notes.schemas import NoteOut, NotePage, NoteWrite
from stockade import Principal, rate_limit
from stockade.errors import ForbiddenError
from stockade.validation import Identifier

router = APIRouter(prefix="/notes", tags=["notes"])
live_notes = LiveNotes()

Caller = Annotated[Principal, Depends(get_current_user)]
Session = Annotated[AsyncSession, Depends(get_session)]
_MOST_EXPORTED = 1000


async def _find(session: AsyncSession, note_id: str) -> Note:
    note = await crud.get_note(session, note_id)
    if note is None:
        # A note of another company looks exactly like one that does not exist.
        raise HTTPException(404)
    return note


@router.get("")
async def list_notes(
    _caller: Caller,
    session: Session,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> NotePage:
    """List the notes of the caller's company, oldest first."""
    notes = await crud.list_notes(session, limit=limit, offset=offset)
    items = [NoteOut.model_validate(note) for note in notes]
    return NotePage(items=items, total=await crud.count_notes(session))


@router.post("", status_code=201)
@rate_limit("100/minute")
async def create_note(given: NoteWrite, caller: Caller, session: Session) -> NoteOut:
    """Write a note."""
    note = await crud.create_note(session, given, author=caller.user_id)
    shown = NoteOut.model_validate(note)
    live_notes.publish(note.tenant_id, shown.model_dump_json())
    return shown


@router.get("/export")
@rate_limit("5/minute")
async def export_notes(_caller: Caller, session: Session) -> list[NoteOut]:
    """Give the first thousand notes at once, which is costly and so has a limit of its own."""
    notes = await crud.list_notes(session, limit=_MOST_EXPORTED, offset=0)
    return [NoteOut.model_validate(note) for note in notes]


@router.get("/{note_id}")
async def show_note(note_id: Identifier, _caller: Caller, session: Session) -> NoteOut:
    """Show one note."""
    return NoteOut.model_validate(await _find(session, note_id))


@router.put("/{note_id}")
async def replace_note(
    note_id: Identifier, given: NoteWrite, caller: Caller, session: Session
) -> NoteOut:
    """Write a note anew: its author may, and whoever runs the company."""
    note = await _find(session, note_id)
    if note.author != caller.user_id and caller.roles.isdisjoint({"admin", "owner"}):
        raise ForbiddenError(reason="authorization.not_the_author")
    return NoteOut.model_validate(await crud.update_note(session, note, given))


@router.delete("/{note_id}", status_code=204, dependencies=[Depends(require_admin_role)])
async def delete_note(note_id: Identifier, session: Session) -> None:
    """Delete a note, which takes an admin or an owner."""
    await crud.delete_note(session, await _find(session, note_id))


@router.websocket("/live")
async def follow_notes(websocket: WebSocket, caller: Caller) -> None:
    """Send every new note of the caller's company as it is written."""
    if caller.tenant_id is None:
        raise ForbiddenError(reason="tenancy.no_tenant")
    await websocket.accept()
    with live_notes.listen(caller.tenant_id) as queue:
        sending = asyncio.create_task(_send_all(websocket, queue))
        try:
            # Nothing is asked of the client; reading is what notices that it has gone.
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            sending.cancel()


async def _send_all(websocket: WebSocket, queue: asyncio.Queue[str]) -> None:
    try:
        while True:
            await websocket.send_text(await queue.get())
    except WebSocketDisconnect:
        pass
