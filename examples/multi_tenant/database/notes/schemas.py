"""What comes in and goes out about notes."""

from pydantic import BaseModel, ConfigDict, Field

from stockade.sanitization import RichText
from stockade.validation import Line, Schema


class NoteWrite(Schema):
    """A note as its author writes it: one line of plain text, and a body that may hold HTML."""

    title: Line = Field(min_length=1, max_length=200)
    body: RichText = Field(max_length=20_000)


class NoteOut(BaseModel):
    """A note as it is shown."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    title: str
    body: str
    author: str


class NotePage(BaseModel):
    """Some of the company's notes, and how many there are."""

    items: list[NoteOut]
    total: int
