"""Notice guarded objects that a request touches, and hold it to checking them.

What is touched is taken from the statements that reach the database: a table that is rendered
anywhere in one counts, whoever wrote it. What is checked is what `ObjectWatch` is told of. Reads
are settled when the answer is about to leave; writes have to be checked before they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from stockade.authorization.objects import READ, is_guarded, owners_of
from stockade.errors import UncheckedObjectError
from stockade.tenancy.compiler import IsolatedCompiler
from stockade.tenancy.session import TenantSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Engine, Table
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Mapper

    from stockade.core.exchange import Exchange

REASON: Final = "authorization.object_unchecked"
WATCH_KEY: Final = "stockade_watch"


class Watch:
    """What one request has touched and checked; it is told so by the request's sessions.

    Args:
        guards: The guarded models of each table.
        exchange: The request, whose answer is withheld while something is unchecked.
        refuses: Whether it is; otherwise what is left unchecked is only named.
    """

    def __init__(
        self, guards: Mapping[Table, frozenset[type[Any]]], exchange: Exchange, *, refuses: bool
    ) -> None:
        self._guards = guards
        self._exchange = exchange
        self._refuses = refuses
        self._touched: set[type[Any]] = set()
        self._checked: set[type[Any]] = set()
        self._failed: set[type[Any]] = set()
        # The object is kept beside its actions, so that its identity is not used again.
        self._approved: dict[int, tuple[object, set[str]]] = {}

    def attach(self, session: AsyncSession) -> None:
        """Watch a session, before it is used."""
        session.sync_session.info[WATCH_KEY] = self

    def approve(self, instance: object, action: str) -> None:
        """Note that an object was checked and may be used for an action."""
        self._approved.setdefault(id(instance), (instance, set()))[1].add(action)
        self.answer_for(type(instance))

    def answer_for(self, model: type[object]) -> None:
        """Note that objects of a model were checked, or chosen by what the caller may see."""
        # Whoever checked an object of a subclass has checked one of each class above it.
        self._checked.update(model.__mro__)
        self._settle()

    def touched(self) -> frozenset[type[Any]]:
        """Return the guarded models that statements have touched so far."""
        return frozenset(self._touched)

    def forget(self, *, since: frozenset[type[Any]]) -> None:
        """Note that what was touched meanwhile shows nothing: a loader found no object by it.

        Args:
            since: What had been `touched` before.
        """
        self._touched &= since
        self._settle()

    def take_unchecked(self) -> list[str]:
        """Name, once, the models of which something was touched and too little checked."""
        left = self._touched - self._checked | self._failed
        self._touched -= left
        self._failed -= left
        return sorted(model.__name__ for model in left)

    def touch(self, tables: Iterable[Table], written: Iterable[Table]) -> None:
        """Note the tables of a statement that is about to run.

        Raises:
            UncheckedObjectError: It writes objects of a model of which none was checked.
        """
        guards = self._guards
        for table in tables:
            if table in guards:
                self._touched |= guards[table]
        self._settle()
        for table in written:
            if self._refuses and not guards.get(table, frozenset()) <= self._checked:
                raise UncheckedObjectError(reason=REASON)

    def touch_text(self, statement: str) -> None:
        """Note SQL text that is about to run: it may touch every guarded model.

        Raises:
            UncheckedObjectError: It is no single plain SELECT, and not every guarded model was
                checked.
        """
        reads = statement.lstrip()[:6].upper() == "SELECT" and ";" not in statement
        self.touch(self._guards, () if reads else self._guards)

    def require_approved(self, instance: object) -> None:
        """Return if an object may be written.

        Raises:
            UncheckedObjectError: It is guarded, and was checked for nothing but to be read.
        """
        model = type(instance)
        if not is_guarded(model):
            return
        _, actions = self._approved.get(id(instance), (None, frozenset[str]()))
        if actions <= {READ}:
            self._failed.add(model)
            if self._refuses:
                raise UncheckedObjectError(reason=REASON)

    def _settle(self) -> None:
        if self._refuses:
            settled = self._touched <= self._checked
            self._exchange.withheld = None if settled else UncheckedObjectError(reason=REASON)


def guards_of(mappers: Iterable[Mapper[Any]]) -> dict[Table, frozenset[type[Any]]]:
    """Return the guarded models of each table: those that a check has to be made for."""
    found: dict[Any, set[type[Any]]] = {}
    for mapper in mappers:
        above = mapper.inherits
        below = (
            above is not None
            and above.local_table is mapper.local_table
            and is_guarded(above.class_)
        )
        # Of several classes in one table the uppermost counts: a check of any is one of it.
        if is_guarded(mapper.class_) and not below:
            found.setdefault(mapper.local_table, set()).add(_guard_of(mapper))
    return {table: frozenset(models) for table, models in found.items()}


def _guard_of(mapper: Mapper[Any]) -> type[Any]:
    """Return the class that a mapped class has its rules from, or its uppermost guarded one."""
    line = [each.class_ for each in mapper.iterate_to_root() if is_guarded(each.class_)]
    return next((each for each in line if each in owners_of(each)), line[-1])


def watch_statements(engine: Engine) -> None:
    """Show each statement of an isolated engine to the watch of its session."""
    event.listen(engine, "before_cursor_execute", _look)


def _look(  # noqa: PLR0917 - the signature of the event.
    connection: Connection,
    cursor: object,  # noqa: ARG001 - the signature of the event
    statement: str,
    parameters: object,  # noqa: ARG001
    context: Any,  # noqa: ANN401 - an ExecutionContext, or None
    executemany: bool,  # noqa: ARG001, FBT001
) -> None:
    watch = connection.get_execution_options().get(WATCH_KEY)
    if watch is not None:
        compiled = context.compiled
        if not isinstance(compiled, IsolatedCompiler) or compiled.holds_text:
            # Row-level security or a block of unsafe_raw() lets it in, and nothing here reads it.
            watch.touch_text(statement)
        else:
            watch.touch(compiled.touched_tables, compiled.written_tables)


@event.listens_for(TenantSession, "after_begin")
def _bind_connection(
    session: Session, _transaction: SessionTransaction, connection: Connection
) -> None:
    """Tell the connection who watches, as long as its transaction lasts."""
    watch = session.info.get(WATCH_KEY)
    if watch is not None:
        connection.execution_options(**{WATCH_KEY: watch})


@event.listens_for(TenantSession, "before_flush")
def _check_objects(session: Session, _context: object, _instances: object) -> None:
    """Hold the handler to checking each object that it makes, changes or deletes."""
    watch = session.info.get(WATCH_KEY)
    if watch is not None:
        changed = (each for each in session.dirty if session.is_modified(each))
        for instance in (*session.new, *session.deleted, *changed):
            watch.require_approved(instance)
