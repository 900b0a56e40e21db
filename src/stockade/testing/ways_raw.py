"""List the ways out of a block that lets SQL text in: after its end, and beside it.

They apply where sessions have such blocks. What a block reads by itself is the application's own
business; what it leaves behind is not.
"""

# Statements of every type are passed around, and SQL text is made from quoted names alone.
# ruff: noqa: ANN401
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from stockade.errors import StockadeError
from stockade.tenancy.errors import OpaqueSQLError, TenancyError
from stockade.tenancy.raw import RawBlock, unsafe_raw
from stockade.testing.planting import Key
from stockade.testing.ways import NotApplicableError, Probe, Seen, Way
from stockade.testing.ways_write import change_of

TRIAL = unsafe_raw("tries, in tests, whether anything gets out of its blocks")

_ALWAYS: Final = sa.text("1=1 OR 1=1")


def _block(p: Probe) -> AbstractContextManager[Any]:
    """Return a block of the session; what takes text anyway needs none.

    Raises:
        NotApplicableError: The application has started before these ways were known.
    """
    try:
        return TRIAL(p.session)
    except TypeError:
        return nullcontext()
    except OpaqueSQLError as error:
        raise NotApplicableError from error


def _text(p: Probe) -> Any:
    return sa.text(f"SELECT {p.quoted_keys} FROM {p.quoted}")  # noqa: S608 - quoted names.


def _query(p: Probe) -> Any:
    return select(*p.target.keys)


def _objects(p: Probe) -> Any:
    return select(p.model).from_statement(sa.text(f"SELECT * FROM {p.quoted}"))  # noqa: S608


def _keys(p: Probe, rows: Any) -> Seen:
    columns = len(p.target.keys)
    return Seen(keys=tuple(tuple(row)[:columns] for row in rows))


def _passes(p: Probe) -> Seen:
    """Let text in; of its rows, the own one alone is looked at."""
    block = _block(p)
    if not isinstance(block, RawBlock):
        raise NotApplicableError
    with block:
        found = p.session.execute(_text(p)).all()
    return Seen(keys=tuple(key for row in found if (key := tuple(row)) == p.own))


def _after(p: Probe) -> Seen:
    statement = _text(p)
    with _block(p):
        p.session.execute(statement).all()
    return _keys(p, p.session.execute(statement))


def _after_error(p: Probe) -> Seen:
    statement = _text(p)
    try:
        with _block(p):
            p.session.execute(statement).all()
            raise LookupError  # noqa: TRY301 - it leaves the block.
    except LookupError:
        return _keys(p, p.session.execute(statement))


def _driver_after(p: Probe) -> Seen:
    statement = _text(p).text
    connection = p.session.connection()
    with _block(p):
        connection.exec_driver_sql(statement).all()
    return _keys(p, connection.exec_driver_sql(statement))


def _in_suspended_generator(p: Probe) -> Seen:
    block = _block(p)

    def hold() -> Iterator[None]:
        with block:
            yield

    held = hold()
    next(held)
    try:
        return _keys(p, p.session.execute(_text(p)))
    finally:
        list(held)


def _inside(make: Callable[[Probe], Any]) -> Callable[[Probe], Seen]:
    def run(p: Probe) -> Seen:
        with _block(p):
            return _keys(p, p.session.execute(make(p)))

    return run


def _objects_left_behind(p: Probe) -> Seen:
    """Make objects of everybody's rows, and ask for the other tenant's by its key afterwards."""
    if p.target.mapper is None:
        raise NotApplicableError
    with _block(p):
        try:
            kept = p.session.scalars(_objects(p)).all()
        except (StockadeError, SQLAlchemyError):
            kept = []
    found = p.session.get(p.model, p.foreign)
    return Seen(foreign=found is not None or any(_key(p, each) == p.foreign for each in kept))


def _objects_read_late(p: Probe) -> Seen:
    """Read the objects after the block that has let their statement in."""
    with _block(p):
        late = p.session.scalars(_objects(p), execution_options={"yield_per": 1})
    seen: list[Any] = []
    with suppress(TenancyError):
        seen.extend(late)
    found = p.session.get(p.model, p.foreign)
    return Seen(foreign=found is not None or any(_key(p, each) == p.foreign for each in seen))


def _key(p: Probe, instance: Any) -> Key:
    return tuple(getattr(instance, name) for name in p.key_names)


def _update_beside_text(p: Probe) -> None:
    with _block(p):
        p.session.execute(sa.update(p.table).values(change_of(p)).where(_ALWAYS, _ALWAYS))


def _delete_beside_text(p: Probe) -> None:
    with _block(p):
        p.session.execute(sa.delete(p.table).where(_ALWAYS))


def raw_ways() -> Iterator[Way]:
    """Yield every way."""
    yield Way("raw_block", "read", _passes, finds_own=True)
    for name, run in (
        ("after", _after),
        ("after_error", _after_error),
        ("driver_after", _driver_after),
        ("suspended_generator", _in_suspended_generator),
        ("objects_left_behind", _objects_left_behind),
        ("objects_read_late", _objects_read_late),
    ):
        yield Way(f"raw_{name}", "read", run)
    yield Way("raw_inside_core", "read", _inside(_query), finds_own=True)
    yield Way("raw_inside_condition", "read", _inside(lambda p: _query(p).where(_ALWAYS)))
    yield Way("raw_inside_update", "write", _update_beside_text)
    yield Way("raw_inside_delete", "write", _delete_beside_text)
