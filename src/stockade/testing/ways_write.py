"""List the ways to change, delete, forge, move and point to another tenant's row.

What a way wrote is judged afterwards by what the other tenant's session sees.
"""

# Columns, models and statements of every type are passed around. SQL text is made from quoted
# names.
# ruff: noqa: ANN401, S608
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Column, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from stockade.testing.planting import Row, make_object, matches
from stockade.testing.values import is_text, make_value
from stockade.testing.ways import NotApplicableError, Probe, Way

Make = Callable[[Probe], Any]


def _free_column(probe: Probe) -> Column[Any]:
    """Return a column of the target that may be changed without any consequence."""
    plan = probe.target.plan
    mapper = probe.target.mapper
    for column in probe.table.columns:
        if column.primary_key or column.foreign_keys or column is plan.column or column.computed:
            continue
        if mapper is not None and (
            column is mapper.polymorphic_on or column not in mapper.columns.values()
        ):
            continue
        if is_text(column) or column.type.python_type in {int, float}:
            found: Column[Any] = column
            return found
    raise NotApplicableError


def change_of(probe: Probe) -> dict[Any, object]:
    """Return a new value for a column that may be changed without any consequence."""
    column = _free_column(probe)
    return {column: make_value(column)}


def _change_attributes(probe: Probe) -> Row:
    column = _free_column(probe)
    return {probe.target.attribute(column): make_value(column)}


def _foreign_values(probe: Probe) -> Row:
    """Return values that make a row another tenant's: its tenant, or what it would lean on."""
    plan = probe.target.plan
    if plan.column is None:
        return _pointing(probe)
    return {
        probe.target.attribute(plan.column): probe.world.tenant_value(plan, probe.foreign_tenant)
    }


def _pointing(probe: Probe) -> Row:
    """Return values for a foreign key, by attribute, that point to the other tenant's row."""
    for reference in probe.target.plan.references:
        values = probe.world.values.get((reference.target, probe.foreign_tenant))
        columns = [column for column, _ in reference.local]
        if values is not None and all(column.table is probe.table for column in columns):
            pairs = zip(columns, reference.remote, strict=True)
            return {probe.target.attribute(local): values[r.name] for local, r in pairs}
    raise NotApplicableError


def _columns(probe: Probe, values: Row) -> dict[str, object]:
    """Turn attributes of the target into keys of its table's columns."""
    found = {}
    for column in probe.table.columns:
        mapper = probe.target.mapper
        if mapper is not None and column not in mapper.columns.values():
            continue
        name = probe.target.attribute(column)
        if name in values:
            found[column.key] = values[name]
    return found


def _own(probe: Probe) -> Any:
    return matches(probe.target.keys, probe.own)


def _foreign(probe: Probe) -> Any:
    return matches(probe.target.keys, probe.foreign)


def _keyed(probe: Probe, key: tuple[Any, ...], values: Row) -> Row:
    return {**dict(zip(probe.key_names, key, strict=True)), **values}


def _upsert(probe: Probe, values: dict[str, object]) -> Any:
    name = probe.session.get_bind().dialect.name
    if name not in {"postgresql", "sqlite"}:
        raise NotApplicableError
    return (postgresql if name == "postgresql" else sqlite).insert(probe.table).values(values)


def _foreign_key_row(probe: Probe) -> dict[str, object]:
    """Return a row of the own tenant that claims the other's primary key."""
    row = _columns(probe, probe.new_row())
    return row | {c.key: v for c, v in zip(probe.target.keys, probe.foreign, strict=True)}


def _upsert_update(p: Probe) -> Any:
    statement = _upsert(p, _foreign_key_row(p))
    change = {column.key: value for column, value in change_of(p).items()}
    return statement.on_conflict_do_update(index_elements=list(p.target.keys), set_=change)


def _upsert_update_where(p: Probe) -> Any:
    statement = _upsert(p, _foreign_key_row(p))
    change = {column.key: value for column, value in change_of(p).items()}
    return statement.on_conflict_do_update(
        index_elements=list(p.target.keys), set_=change, where=sa.or_(_foreign(p), sa.true())
    )


def _upsert_move(p: Probe) -> Any:
    row = _foreign_key_row(p) | {c.key: v for c, v in zip(p.target.keys, p.own, strict=True)}
    statement = _upsert(p, row)
    return statement.on_conflict_do_update(
        index_elements=list(p.target.keys), set_=_columns(p, _foreign_values(p))
    )


def _upsert_nothing(p: Probe) -> Any:
    return _upsert(p, _foreign_key_row(p)).on_conflict_do_nothing()


def _insert_from_select(p: Probe) -> Any:
    row = _columns(p, p.new_row() | _foreign_values(p))
    columns = [p.table.c[key] for key in row]
    values = select(*(sa.literal(v, c.type) for c, v in zip(columns, row.values(), strict=True)))
    return insert(p.table).from_select(columns, values)


def _update_in_cte(p: Probe) -> Any:
    changed = update(p.table).where(_foreign(p)).values(change_of(p)).returning(*p.target.keys)
    return select(*changed.cte().c)


def _delete_in_cte(p: Probe) -> Any:
    return select(*delete(p.table).where(_foreign(p)).returning(*p.target.keys).cte().c)


def _insert_in_cte(p: Probe) -> Any:
    row = _columns(p, p.new_row() | _foreign_values(p))
    return select(*insert(p.table).values(row).returning(*p.target.keys).cte().c)


def _update_text_where(p: Probe) -> Any:
    return update(p.table).values(change_of(p)).where(sa.text("1=1 OR 1=1"))


def _update_from_alias(p: Probe) -> Any:
    other = p.table.alias()
    same = (other.c[c.key] == c for c in p.target.keys)
    return update(p.table).values(change_of(p)).where(*same, matches(p.target.keys, p.foreign))


def _delete_in_subquery(p: Probe) -> Any:
    key = p.target.keys[0]
    return delete(p.table).where(key.in_(select(p.table.alias().c[key.key])), _foreign(p))


def _update_text(p: Probe) -> Any:
    preparer = p.session.get_bind().dialect.identifier_preparer
    key = preparer.format_column(p.target.keys[0])
    return sa.text(f"UPDATE {p.quoted} SET {key} = {key}")


# Statements: each is executed by the session and by its connection.
STATEMENTS: Final[dict[str, Make]] = {
    "update_by_key": lambda p: update(p.table).where(_foreign(p)).values(change_of(p)),
    "update_all": lambda p: update(p.table).values(change_of(p)),
    "update_or_true": lambda p: (
        update(p.table).where(sa.or_(_foreign(p), sa.true())).values(change_of(p))
    ),
    "update_exists": lambda p: (
        update(p.table)
        .where(_foreign(p), sa.exists().where(p.table.alias().c[p.target.keys[0].key].is_not(None)))
        .values(change_of(p))
    ),
    "update_from": _update_from_alias,
    "update_returning": lambda p: (
        update(p.table).where(_foreign(p)).values(change_of(p)).returning(*p.target.keys)
    ),
    "update_in_cte": _update_in_cte,
    "update_text_where": _update_text_where,
    "delete_by_key": lambda p: delete(p.table).where(_foreign(p)),
    "delete_all": lambda p: delete(p.table),
    "delete_or_true": lambda p: delete(p.table).where(sa.or_(_foreign(p), sa.true())),
    "delete_in_subquery": _delete_in_subquery,
    "delete_returning": lambda p: delete(p.table).where(_foreign(p)).returning(*p.target.keys),
    "delete_in_cte": _delete_in_cte,
    "delete_text_where": lambda p: delete(p.table).where(sa.text("1=1 OR 1=1")),
    "insert_foreign": lambda p: insert(p.table).values(
        _columns(p, p.new_row() | _foreign_values(p))
    ),
    "insert_several_values": lambda p: insert(p.table).values(
        [_columns(p, p.new_row()), _columns(p, p.new_row() | _foreign_values(p))]
    ),
    "insert_from_select": _insert_from_select,
    "insert_in_cte": _insert_in_cte,
    "insert_returning": lambda p: (
        insert(p.table)
        .values(_columns(p, p.new_row() | _foreign_values(p)))
        .returning(*p.target.keys)
    ),
    "insert_pointing": lambda p: insert(p.table).values(_columns(p, p.new_row() | _pointing(p))),
    "move": lambda p: update(p.table).where(_own(p)).values(_columns(p, _foreign_values(p))),
    "move_expression": lambda p: (
        update(p.table)
        .where(_own(p))
        .values(
            {
                key: sa.func.coalesce(sa.literal(value, p.table.c[key].type), p.table.c[key])
                for key, value in _columns(p, _foreign_values(p)).items()
            }
        )
    ),
    "point": lambda p: update(p.table).where(_own(p)).values(_columns(p, _pointing(p))),
    "point_everything": lambda p: update(p.table).values(_columns(p, _pointing(p))),
    "upsert_update": _upsert_update,
    "upsert_update_where": _upsert_update_where,
    "upsert_move": _upsert_move,
    "upsert_nothing": _upsert_nothing,
    "text_delete": lambda p: sa.text(f"DELETE FROM {p.quoted}"),
    "text_update": _update_text,
}
# Statements with rows of parameters.
ROWS: Final[dict[str, Callable[[Probe], tuple[Any, list[dict[str, object]]]]]] = {
    "insert_rows": lambda p: (
        insert(p.table),
        [_columns(p, p.new_row()), _columns(p, p.new_row() | _foreign_values(p))],
    ),
    "insert_row_pointing": lambda p: (insert(p.table), [_columns(p, p.new_row() | _pointing(p))]),
    "move_rows": lambda p: (
        update(p.table)
        .where(*(c == sa.bindparam(f"own_{c.key}", type_=c.type) for c in p.target.keys))
        .values({key: sa.bindparam(f"new_{key}") for key in _columns(p, _foreign_values(p))}),
        [
            {
                **{f"own_{c.key}": v for c, v in zip(p.target.keys, p.own, strict=True)},
                **{f"new_{k}": v for k, v in _columns(p, _foreign_values(p)).items()},
            }
        ],
    ),
    "delete_rows": lambda p: (
        delete(p.table).where(*(c == sa.bindparam(f"key_{c.key}") for c in p.target.keys)),
        [{f"key_{c.key}": v for c, v in zip(p.target.keys, p.foreign, strict=True)}],
    ),
}


def _update_objects(p: Probe) -> None:
    statement = update(p.model).where(matches(p.key_attributes, p.foreign))
    p.session.execute(statement.values(_change_attributes(p)))


def _update_all_objects(p: Probe) -> None:
    p.session.execute(update(p.model).values(_change_attributes(p)))


def _delete_objects(p: Probe) -> None:
    p.session.execute(delete(p.model).where(matches(p.key_attributes, p.foreign)))


def _query_update(p: Probe) -> None:
    query = p.session.query(p.model).filter(matches(p.key_attributes, p.foreign))
    query.update(_change_attributes(p), synchronize_session="fetch")


def _query_update_blindly(p: Probe) -> None:
    query = p.session.query(p.model).filter(matches(p.key_attributes, p.foreign))
    query.update(_change_attributes(p), synchronize_session=False)


def _query_delete(p: Probe) -> None:
    query = p.session.query(p.model).filter(matches(p.key_attributes, p.foreign))
    query.delete(synchronize_session=False)


def _bulk_update(p: Probe) -> None:
    p.session.execute(update(p.model), [_keyed(p, p.foreign, _change_attributes(p))])


def _bulk_update_mappings(p: Probe) -> None:
    assert p.model  # noqa: S101 - it raises where there is none.
    rows = [_keyed(p, p.foreign, _change_attributes(p))]
    p.session.bulk_update_mappings(p.target.mapper, rows)  # type: ignore[arg-type]


def _bulk_move(p: Probe) -> None:
    p.session.execute(update(p.model), [_keyed(p, p.own, _foreign_values(p))])


def _bulk_point(p: Probe) -> None:
    p.session.execute(update(p.model), [_keyed(p, p.own, _pointing(p))])


def _bulk_insert(p: Probe) -> None:
    p.session.execute(insert(p.model), [p.new_row(), p.new_row() | _foreign_values(p)])


def _bulk_insert_mappings(p: Probe) -> None:
    assert p.model  # noqa: S101 - it raises where there is none.
    rows = [p.new_row() | _foreign_values(p)]
    p.session.bulk_insert_mappings(p.target.mapper, rows)  # type: ignore[arg-type]


def _bulk_save(p: Probe) -> None:
    p.session.bulk_save_objects([make_object(p.target, p.new_row() | _foreign_values(p))])


def _bulk_save_forged(p: Probe) -> None:
    instance = p.forged()
    for name, value in _change_attributes(p).items():
        setattr(instance, name, value)
    p.session.bulk_save_objects([instance])


def _add(p: Probe) -> None:
    assert p.model  # noqa: S101 - it raises where there is none.
    p.session.add(make_object(p.target, p.new_row() | _foreign_values(p)))
    p.session.flush()


def _add_pointing(p: Probe) -> None:
    assert p.model  # noqa: S101 - it raises where there is none.
    p.session.add(make_object(p.target, p.new_row() | _pointing(p)))
    p.session.flush()


def _add_with_foreign_key(p: Probe) -> None:
    assert p.model  # noqa: S101 - it raises where there is none.
    p.session.add(make_object(p.target, _keyed(p, p.foreign, p.new_row())))
    p.session.flush()


def _load_own(p: Probe) -> Any:
    return p.session.scalars(select(p.model).where(matches(p.key_attributes, p.own))).one()


def _move(p: Probe) -> None:
    instance = _load_own(p)
    for name, value in _foreign_values(p).items():
        setattr(instance, name, value)
    p.session.flush()


def _point(p: Probe) -> None:
    instance = _load_own(p)
    for name, value in _pointing(p).items():
        setattr(instance, name, value)
    p.session.flush()


def _change_forged(p: Probe) -> None:
    instance = p.forged()
    p.session.add(instance)
    for name, value in _change_attributes(p).items():
        setattr(instance, name, value)
    p.session.flush()


def _delete_forged(p: Probe) -> None:
    instance = p.forged()
    p.session.add(instance)
    p.session.delete(instance)
    p.session.flush()


def _merge(p: Probe) -> None:
    assert p.model  # noqa: S101 - it raises where there is none.
    row = _keyed(p, p.foreign, p.new_row() | _change_attributes(p))
    p.session.merge(make_object(p.target, row))
    p.session.flush()


def _merge_moving(p: Probe) -> None:
    assert p.model  # noqa: S101 - it raises where there is none.
    p.session.merge(make_object(p.target, _keyed(p, p.own, _foreign_values(p))))
    p.session.flush()


def _in_savepoint(p: Probe) -> None:
    with p.session.begin_nested():
        p.session.execute(update(p.table).where(_foreign(p)).values(change_of(p)))


def _driver_sql(p: Probe) -> None:
    p.session.connection().exec_driver_sql(f"DELETE FROM {p.quoted}")


def _driver_cursor(p: Probe) -> None:
    cursor = p.session.connection().connection.cursor()
    try:
        cursor.execute(f"DELETE FROM {p.quoted}")
    finally:
        cursor.close()


OBJECTS: Final = (
    _update_objects,
    _update_all_objects,
    _delete_objects,
    _query_update,
    _query_update_blindly,
    _query_delete,
    _bulk_update,
    _bulk_update_mappings,
    _bulk_move,
    _bulk_point,
    _bulk_insert,
    _bulk_insert_mappings,
    _bulk_save,
    _bulk_save_forged,
    _add,
    _add_pointing,
    _add_with_foreign_key,
    _move,
    _point,
    _change_forged,
    _delete_forged,
    _merge,
    _merge_moving,
    _in_savepoint,
    _driver_sql,
)


def write_ways() -> Iterator[Way]:
    """Yield every way to write."""
    for name, make in STATEMENTS.items():
        yield Way(name, "write", _by_session(make))
        yield Way(f"connection_{name}", "write", _by_connection(make))
    for name, make_rows in ROWS.items():
        yield Way(name, "write", _rows_by_connection(make_rows))
    for run in OBJECTS:
        yield Way(f"objects_{run.__name__.lstrip('_')}", "write", run)


def _by_session(make: Make) -> Callable[[Probe], None]:
    def run(probe: Probe) -> None:
        probe.session.execute(make(probe))

    return run


def _by_connection(make: Make) -> Callable[[Probe], None]:
    def run(probe: Probe) -> None:
        probe.session.connection().execute(make(probe))

    return run


def _rows_by_connection(
    make: Callable[[Probe], tuple[Any, list[dict[str, object]]]],
) -> Callable[[Probe], None]:
    def run(probe: Probe) -> None:
        statement, rows = make(probe)
        probe.session.connection().execute(statement, rows)

    return run


# Nothing above the database can stop it.
DRIVER_WAY: Final = Way("driver_cursor_delete", "write", _driver_cursor)
