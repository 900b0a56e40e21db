"""List the ways to read a row: shapes of queries, aggregates, objects, and SQL text."""

# Columns, models and statements of every type are passed around. SQL text is made from quoted
# names.
# ruff: noqa: ANN401, S608
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import func, literal, select
from sqlalchemy.orm import (
    joinedload,
    make_transient_to_detached,
    selectinload,
    subqueryload,
    with_loader_criteria,
)

from stockade.testing.planting import among, make_object, matches
from stockade.testing.ways import NotApplicableError, Probe, Seen, Source, Way, of_model, of_table

Shape = Callable[[Source, Probe], Any]


def _inner(part: Any) -> Any:
    return select(*part.c)


def _recursive(source: Source) -> Any:
    top = select(*source.keys).cte(recursive=True)
    other = source.again()
    return _inner(top.union(select(*other.keys).join(top, sa.true())))


def _correlated(source: Source) -> Any:
    other = source.again()
    pairs = (a == b for a, b in zip(source.keys, other.keys, strict=True))
    return select(*source.keys).where(sa.exists().where(*pairs))


def _joined(source: Source, **how: bool) -> Any:
    other = source.again()
    query = select(*source.keys, *other.keys).select_from(source.entity)
    return query.join(other.entity, sa.true(), **how)


def _beside(source: Source) -> Any:
    other = source.again()
    return select(*source.keys, *other.keys).select_from(source.entity, other.entity)


def _lateral(source: Source) -> Any:
    near = select(*source.again().keys).lateral()
    return select(*near.c).select_from(source.entity).join(near, sa.true())


def _foreign_first(source: Source, probe: Probe) -> Any:
    """Return an order in which the other tenant's row would be the first, and else the own row."""
    return sa.case(
        (matches(source.keys, probe.foreign), 0), (matches(source.keys, probe.own), 1), else_=2
    )


def _scalars(source: Source, probe: Probe) -> Any:
    """Return sub-queries for each part of a key: the own row's where there is no other."""
    other = source.again()
    order = _foreign_first(other, probe)
    for key in other.keys:
        yield select(key).order_by(order).limit(1).scalar_subquery()


def _numbered(source: Source) -> Any:
    number = func.row_number().over(order_by=source.keys[0]).label("stockade_number")
    inner = select(*source.keys, number).subquery()
    return select(*list(inner.c)[:-1]).where(inner.c.stockade_number > 0)


# Each returns keys, one or several to the row, and among them the own row's.
SHAPES: Final[dict[str, Shape]] = {
    "columns": lambda s, _: select(*s.keys),
    "or_true": lambda s, p: select(*s.keys).where(sa.or_(matches(s.keys, p.foreign), sa.true())),
    "negated": lambda s, p: select(*s.keys).where(
        sa.not_(matches(s.keys, p.own) & matches(s.keys, p.foreign))
    ),
    "several_keys": lambda s, p: select(*s.keys).where(among(s.keys, [p.own, p.foreign])),
    "either_key": lambda s, p: select(*s.keys).where(
        matches(s.keys, p.own) | matches(s.keys, p.foreign)
    ),
    "distinct": lambda s, _: select(*s.keys).distinct(),
    "limit": lambda s, _: select(*s.keys).order_by(*s.keys).limit(100),
    "offset": lambda s, _: select(*s.keys).order_by(s.keys[0].desc()).limit(100).offset(0),
    "group_by": lambda s, _: select(*s.keys).group_by(*s.keys),
    "having": lambda s, _: select(*s.keys).group_by(*s.keys).having(func.count() > 0),
    "label": lambda s, _: select(*(k.label(f"k{n}") for n, k in enumerate(s.keys))),
    "coalesce": lambda s, _: select(*(func.coalesce(k, k) for k in s.keys)),
    "case": lambda s, _: select(*(sa.case((k.is_not(None), k), else_=k) for k in s.keys)),
    "alias": lambda s, _: select(*s.again().keys),
    "two_sources": lambda s, _: _beside(s),
    "cross_join": lambda s, _: _joined(s),
    "outer_join": lambda s, _: _joined(s, isouter=True),
    "subquery": lambda s, _: _inner(select(*s.keys).subquery()),
    "subquery_twice": lambda s, _: _inner(_inner(select(*s.keys).subquery()).subquery()),
    "cte": lambda s, _: _inner(select(*s.keys).cte()),
    "cte_of_alias": lambda s, _: _inner(select(*s.again().keys).cte()),
    "recursive_cte": lambda s, _: _recursive(s),
    "union": lambda s, _: select(*s.keys).union(select(*s.again().keys)),
    "union_all": lambda s, _: select(*s.keys).union_all(select(*s.again().keys)),
    "union_subquery": lambda s, _: _inner(
        select(*s.keys).union_all(select(*s.again().keys)).subquery()
    ),
    "intersect": lambda s, _: select(*s.keys).intersect(select(*s.again().keys)),
    "except": lambda s, p: select(*s.keys).except_(
        select(*s.again().keys).where(sa.false(), matches(s.keys, p.own))
    ),
    "in_subquery": lambda s, _: select(*s.keys).where(s.keys[0].in_(select(s.again().keys[0]))),
    "correlated_exists": lambda s, _: _correlated(s),
    "partition": lambda s, _: select(
        *(func.last_value(k).over(partition_by=s.keys) for k in s.keys)
    ),
    "row_number": lambda s, _: _numbered(s),
    "first_value": lambda s, p: select(
        *(func.first_value(k).over(order_by=_foreign_first(s, p)) for k in s.keys)
    ),
    "scalar_subquery": lambda s, p: select(*_scalars(s, p)),
    "for_update": lambda s, _: select(*s.keys).with_for_update(),
    "skip_locked": lambda s, _: select(*s.keys).with_for_update(skip_locked=True),
    "streamed": lambda s, _: select(*s.keys).execution_options(yield_per=1),
    "forged_option": lambda s, p: select(*s.keys).execution_options(
        tenant_id=p.foreign_tenant, stockade_tenant_binding=p.foreign_tenant
    ),
}
# Each returns no row, unless the other tenant's row was reached.
TELLTALES: Final[dict[str, Shape]] = {
    "by_key": lambda s, p: select(*s.keys).where(matches(s.keys, p.foreign)),
    "by_literal_key": lambda s, p: select(literal(1)).where(
        matches([literal(value) for value in p.foreign[:1]], p.foreign[:1]),
        sa.exists().where(matches(s.keys, p.foreign)),
    ),
    "exists": lambda s, p: select(literal(1)).where(sa.exists().where(matches(s.keys, p.foreign))),
    "in_query": lambda s, p: select(literal(1)).where(
        literal(p.foreign[0], s.keys[0].type).in_(
            select(s.keys[0]).where(matches(s.keys, p.foreign))
        )
    ),
    "counted": lambda s, p: (
        select(func.count()).select_from(s.entity).where(matches(s.keys, p.foreign))
    ).having(func.count() > 0),
    "filtered_count": lambda s, p: (
        select(func.count(s.keys[0]).filter(matches(s.keys, p.foreign)))
        .select_from(s.entity)
        .having(func.count(s.keys[0]).filter(matches(s.keys, p.foreign)) > 0)
    ),
    "counted_below": lambda s, p: select(literal(1)).where(
        select(func.count()).where(matches(s.keys, p.foreign)).scalar_subquery() > 0
    ),
    "case_of_exists": lambda s, p: select(
        sa.case((sa.exists().where(matches(s.keys, p.foreign)), 1), else_=0).label("found")
    ).where(sa.exists().where(matches(s.keys, p.foreign))),
    "alias_by_key": lambda s, p: _telltale(s.again(), p),
    "cte_by_key": lambda s, p: _inner(select(*s.keys).where(matches(s.keys, p.foreign)).cte()),
    "lateral": lambda s, p: _lateral(s).where(
        matches(s.keys, p.foreign), matches(s.keys, p.foreign)
    ),
    "locked_by_key": lambda s, p: _telltale(s, p).with_for_update(),
}


def _telltale(source: Source, probe: Probe) -> Any:
    return select(*source.keys).where(matches(source.keys, probe.foreign))


def _chunks(rows: Any, size: int) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        values = tuple(row)
        for start in range(0, len(values), size):
            yield values[start : start + size]


def _shape_ways(name: str, shape: Shape, *, telltale: bool) -> Iterator[Way]:
    def seen(rows: Any, probe: Probe) -> Seen:
        if telltale:
            return Seen(foreign=bool(list(rows)))
        return Seen(keys=tuple(_chunks(rows, len(probe.target.keys))))

    def orm(probe: Probe) -> Seen:
        return seen(probe.session.execute(shape(of_model(probe), probe)), probe)

    def core(probe: Probe) -> Seen:
        return seen(probe.session.execute(shape(of_table(probe), probe)), probe)

    def connection(probe: Probe) -> Seen:
        return seen(probe.session.connection().execute(shape(of_table(probe), probe)), probe)

    for prefix, run in (("orm", orm), ("core", core), ("connection", connection)):
        yield Way(f"{prefix}_{name}", "read", run, finds_own=not telltale)


def _keys_of(probe: Probe, instances: Any) -> tuple[tuple[Any, ...], ...]:
    names = probe.key_names
    return tuple(tuple(getattr(each, n) for n in names) for each in instances if each is not None)


def _objects(run: Callable[[Probe], Any], *, finds_own: bool = True) -> Way:
    def objects(probe: Probe) -> Seen:
        assert probe.model  # noqa: S101 - it raises where there is none.
        return Seen(keys=_keys_of(probe, run(probe)))

    return Way(f"objects_{_name(run)}", "read", objects, finds_own=finds_own)


def _name(run: Callable[..., Any]) -> str:
    return getattr(run, "__name__", "way").lstrip("_")


def _identity(probe: Probe) -> Any:
    key = probe.foreign
    return key if len(key) > 1 else key[0]


def _all(p: Probe) -> Any:
    return p.session.scalars(select(p.model)).all()


def _legacy_query(p: Probe) -> Any:
    return p.session.query(p.model).all()


def _entity_or_true(p: Probe) -> Any:
    return p.session.scalars(select(p.model).where(matches(p.key_attributes, p.own) | sa.true()))


def _populate_existing(p: Probe) -> Any:
    return p.session.scalars(select(p.model).execution_options(populate_existing=True)).all()


def _yield_per(p: Probe) -> Any:
    return list(p.session.scalars(select(p.model).execution_options(yield_per=1)))


def _from_statement(p: Probe) -> Any:
    return p.session.scalars(select(p.model).from_statement(select(p.model))).all()


def _loader_criteria(p: Probe) -> Any:
    query = select(p.model).options(with_loader_criteria(p.model, sa.true()))
    return p.session.scalars(query).all()


def _aliased_subquery(p: Probe) -> Any:
    other = sa.orm.aliased(p.model, select(p.model).subquery())
    return p.session.scalars(select(other)).all()


def _after_savepoint(p: Probe) -> Any:
    savepoint = p.session.begin_nested()
    p.session.scalars(select(p.model)).all()
    savepoint.rollback()
    return p.session.scalars(select(p.model)).all()


def _after_commit(p: Probe) -> Any:
    p.session.commit()
    return p.session.scalars(select(p.model)).all()


def _after_rollback(p: Probe) -> Any:
    p.session.rollback()
    return p.session.scalars(select(p.model)).all()


def _get(p: Probe) -> Any:
    return [p.session.get(p.model, _identity(p))]


def _get_populated(p: Probe) -> Any:
    return [p.session.get(p.model, _identity(p), populate_existing=True)]


def _get_locked(p: Probe) -> Any:
    return [p.session.get(p.model, _identity(p), with_for_update=True)]


def _query_get(p: Probe) -> Any:
    return p.session.query(p.model).filter(matches(p.key_attributes, p.foreign)).all()


def _query_count(p: Probe) -> Any:
    found = p.session.query(p.model).filter(matches(p.key_attributes, p.foreign)).count()
    return [p.forged()] if found else []


def _refresh_forged(p: Probe) -> Any:
    instance = p.forged()
    p.session.add(instance)
    p.session.refresh(instance)
    return [instance]


def _expire_forged(p: Probe) -> Any:
    instance = p.forged()
    p.session.add(instance)
    p.session.expire(instance)
    return [instance] if _keys_of(p, [instance]) else []


def _get_forged(p: Probe) -> Any:
    p.session.add(p.forged())
    p.session.expire_all()
    return [p.session.get(p.model, _identity(p))]


def _add_loaded_elsewhere(p: Probe) -> Any:
    """Bring in an object as the other tenant's session had it."""
    column = p.target.plan.column
    if column is None:
        raise NotApplicableError
    values = dict(zip(p.key_names, p.foreign, strict=True))
    name = p.target.attribute(column)
    values[name] = p.world.tenant_value(p.target.plan, p.foreign_tenant)
    instance = make_object(p.target, values)
    make_transient_to_detached(instance)
    # Detaching expires attributes; an object that was loaded has them.
    instance.__dict__.update(values)
    p.session.add(instance)
    return [p.session.get(p.model, _identity(p))]


def _merge_unloaded(p: Probe) -> Any:
    return [p.session.merge(p.forged(), load=False)]


def _eager(option: Any) -> Callable[[Probe], Any]:
    def run(p: Probe) -> Any:
        assert p.target.mapper is not None  # noqa: S101 - the model is asked for first.
        names = [r.key for r in p.target.mapper.relationships if r.lazy in {"select", "raise"}]
        if not names:
            raise NotApplicableError
        query = select(p.model).options(*(option(getattr(p.model, name)) for name in names))
        return p.session.scalars(query).unique().all()

    return run


def _relations(p: Probe) -> Seen:
    """Walk from the own row over every relationship, and look whom it led to."""
    assert p.model  # noqa: S101 - it raises where there is none.
    mapper = p.target.mapper
    assert mapper is not None  # noqa: S101
    instance = p.session.scalars(select(p.model).where(matches(p.key_attributes, p.own))).one()
    led = False
    for relationship in mapper.relationships:
        if relationship.lazy not in {"select", "selectin", "joined", "subquery", "immediate"}:
            continue
        value = getattr(instance, relationship.key)
        others = value if relationship.uselist else [value]
        for target in p.world.targets:
            if target.mapper is relationship.mapper:
                foreign = p.world.keys[target, p.world.tenants[1]]
                names = [target.attribute(column) for column in target.keys]
                led |= any(
                    tuple(getattr(o, n) for n in names) == foreign for o in others if o is not None
                )
    return Seen(keys=_keys_of(p, [instance]), foreign=led)


def _text(name: str, make: Callable[[Probe], Any]) -> Iterator[Way]:
    def rows(probe: Probe, result: Any) -> Seen:
        return Seen(keys=tuple(_chunks(result, len(probe.target.keys))))

    yield Way(f"text_{name}", "read", lambda p: rows(p, p.session.execute(make(p))))
    yield Way(
        f"connection_text_{name}",
        "read",
        lambda p: rows(p, p.session.connection().execute(make(p))),
    )


def _sql(p: Probe) -> str:
    return f"SELECT {p.quoted_keys} FROM {p.quoted}"


TEXTS: Final[dict[str, Callable[[Probe], Any]]] = {
    "plain": lambda p: sa.text(_sql(p)),
    "columns": lambda p: sa.text(_sql(p)).columns(*p.target.keys),
    "subquery": lambda p: _inner(sa.text(_sql(p)).columns(*p.target.keys).subquery("stockade_s")),
    "where": lambda p: select(*p.target.keys).where(sa.text("1=1 OR 1=1")),
    "suffix": lambda p: select(*p.target.keys).suffix_with(f"UNION ALL {_sql(p)}"),
    "from": lambda p: select(*(sa.column(c.name) for c in p.target.keys)).select_from(
        sa.text(p.quoted)
    ),
    "light_table": lambda p: select(
        *sa.table(
            p.table.name, *(sa.column(c.name) for c in p.target.keys), schema=p.table.schema
        ).c
    ),
    "other_metadata": lambda p: select(
        *sa.Table(
            p.table.name,
            sa.MetaData(),
            *(sa.Column(c.name, c.type) for c in p.target.keys),
            schema=p.table.schema,
        ).c
    ),
    "literal_column": lambda p: select(
        *(
            sa.literal_column(f"(SELECT {end}({name}) FROM {p.quoted})").label(f"k{end}{n}")
            for end in ("min", "max")
            for n, name in enumerate(p.quoted_names)
        )
    ),
}


def _driver_sql(p: Probe) -> Seen:
    rows = p.session.connection().exec_driver_sql(_sql(p)).all()
    return Seen(keys=tuple(_chunks(rows, len(p.target.keys))))


def _driver_cursor(p: Probe) -> Seen:
    cursor = p.session.connection().connection.cursor()
    try:
        cursor.execute(_sql(p))
        return Seen(keys=tuple(_chunks(cursor.fetchall(), len(p.target.keys))))
    finally:
        cursor.close()


def read_ways() -> Iterator[Way]:
    """Yield every way to read."""
    for name, shape in SHAPES.items():
        yield from _shape_ways(name, shape, telltale=False)
    for name, shape in TELLTALES.items():
        yield from _shape_ways(name, shape, telltale=True)
    for run in (
        _all,
        _legacy_query,
        _entity_or_true,
        _populate_existing,
        _yield_per,
        _from_statement,
        _loader_criteria,
        _aliased_subquery,
        _after_savepoint,
        _after_commit,
        _after_rollback,
    ):
        yield _objects(run)
    for name, option in (
        ("selectinload", selectinload),
        ("joinedload", joinedload),
        ("subqueryload", subqueryload),
    ):
        found = _objects(_eager(option))
        yield Way(f"objects_{name}", "read", found.run, finds_own=True)
    for run in (
        _get,
        _get_populated,
        _get_locked,
        _query_get,
        _query_count,
        _refresh_forged,
        _expire_forged,
        _get_forged,
        _add_loaded_elsewhere,
        _merge_unloaded,
    ):
        yield _objects(run, finds_own=False)
    yield Way("objects_relationships", "read", _relations, finds_own=True)
    for name, make in TEXTS.items():
        yield from _text(name, make)
    yield Way("driver_sql", "read", _driver_sql)


# Nothing above the database can stop it.
DRIVER_WAY: Final = Way("driver_cursor", "read", _driver_cursor)
