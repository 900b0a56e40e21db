"""The endpoints of comments, which are below the note that they are about."""

from typing import Annotated

from fastapi import APIRouter, Depends

from database.dependencies import Access, Caller, Session, stockade
from database.notes import crud
from database.notes.apis import load_note
from database.notes.models import Comment, Note
from database.notes.schemas import CommentOut, CommentWrite
from stockade import rate_limit
from stockade.validation import Identifier

router = APIRouter(prefix="/notes/{note_id}/comments", tags=["comments"])

# Without `within`, the comments of every note could be named below any other one.
load_deletable = stockade.load(
    Comment, "comment_id", action="delete", within="note_id", key=Identifier, lock=True
)


@router.get("")
async def list_comments(
    note: Annotated[Note, load_note("read")], access: Access, session: Session
) -> list[CommentOut]:
    """List what is said about a note, oldest first."""
    found = await crud.list_comments(session, access.visible(Comment), note)
    return [CommentOut.model_validate(comment) for comment in found]


@router.post("", status_code=201)
@rate_limit("100/minute")
async def create_comment(
    note: Annotated[Note, load_note("read", lock=True)],
    given: CommentWrite,
    *,
    caller: Caller,
    access: Access,
    session: Session,
) -> CommentOut:
    """Say something about a note."""
    comment = Comment(note=note, text=given.text, author=caller.user_id)
    access.require("create", comment)
    await crud.create_comment(session, comment)
    return CommentOut.model_validate(comment)


@router.delete("/{comment_id}", status_code=204)
async def delete_comment(
    _note: Annotated[Note, load_note("read", lock=True)],
    comment: Annotated[Comment, Depends(load_deletable)],
    session: Session,
) -> None:
    """Delete a comment: its author may, and whoever runs the company."""
    await crud.delete(session, comment)
