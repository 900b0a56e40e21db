"""Who may do what with a note, and with a comment on it."""

from sqlalchemy import ColumnElement

from database.notes.models import Comment, Note
from stockade import Principal
from stockade.authorization import owned_by, policy, policy_scope
from stockade.core.identity import TenantRole

_is_author = owned_by("author")
_is_author_or_leads = owned_by("author", or_roles=[TenantRole.ADMIN, TenantRole.OWNER])


@policy(Note, "read")
def may_read(caller: Principal, note: Note) -> bool:
    """A private note is its author's alone, whoever else runs the company."""
    return not note.private or note.author == caller.user_id


@policy_scope(Note)
def readable(caller: Principal) -> ColumnElement[bool]:
    """The same for lists."""
    return Note.private.is_(False) | (Note.author == caller.user_id)


policy(Note, "create")(_is_author)


@policy(Note, "write", "delete")
def may_write(caller: Principal, note: Note) -> bool:
    """Its author may, and whoever runs the company, as far as they may read it."""
    return may_read(caller, note) and _is_author_or_leads(caller, note)


@policy(Comment, "read")
def may_read_comment(caller: Principal, comment: Comment) -> bool:
    """Whoever reads a note reads what is said about it."""
    return may_read(caller, comment.note)


@policy_scope(Comment)
def readable_comments(caller: Principal) -> ColumnElement[bool]:
    """The same for lists."""
    return Comment.note.has(readable(caller))


@policy(Comment, "create")
def may_comment(caller: Principal, comment: Comment) -> bool:
    """Whoever reads a note may comment on it, in their own name."""
    return may_read(caller, comment.note) and _is_author(caller, comment)


@policy(Comment, "delete")
def may_delete_comment(caller: Principal, comment: Comment) -> bool:
    """Its author may, and whoever runs the company."""
    return may_read(caller, comment.note) and _is_author_or_leads(caller, comment)
