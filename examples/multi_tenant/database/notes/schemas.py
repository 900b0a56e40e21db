"""What comes in and goes out about notes."""

from pydantic import BaseModel, ConfigDict, Field

from database.notes.models import Comment, Note
from stockade.sanitization import RichText
from stockade.validation import Line, Schema, stores


@stores(Note)
class NoteWrite(Schema):
    """A note as its author writes it: one line of plain text, and a body that may hold HTML.

    Whether it is private stays as it was unless it is said; a new note is for the whole company.
    """

    title: Line = Field(min_length=1, max_length=200)
    body: RichText = Field(max_length=20_000)
    private: bool | None = None


class NoteOut(BaseModel):
    """A note as it is shown."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    title: str
    body: str
    author: str
    private: bool


class NotePage(BaseModel):
    """Some of the notes that the caller may read, and how many there are."""

    items: list[NoteOut]
    total: int


@stores(Comment)
class CommentWrite(Schema):
    """What somebody says about a note."""

    text: Line = Field(min_length=1, max_length=1000)


class CommentOut(BaseModel):
    """A comment as it is shown."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    text: str
    author: str
