"""Rows without a tenant column find their owner, and never run in a circle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, create_engine, select
from sqlalchemy.orm import Session

from stockade.core import SystemClock, TenantId
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, TenancySettings
from stockade.tenancy.planning import plan_isolation


def tables(edges: set[tuple[int, int]]) -> MetaData:
    """Return one scoped table ``t0`` and five others that point to each other as given."""
    metadata = MetaData()
    tenant = Column("tenant_id", String(36), nullable=False)
    for number in range(6):
        keys: list[Column[int]] = [
            Column(f"t{target}_id", ForeignKey(f"t{target}.id"), nullable=True)
            for source, target in sorted(edges)
            if source == number
        ]
        own = [tenant] if number == 0 else []
        Table(f"t{number}", metadata, Column("id", Integer, primary_key=True), *own, *keys)
    return metadata


@given(st.sets(st.tuples(st.integers(1, 5), st.integers(0, 5))))
def test_any_schema(edges: set[tuple[int, int]]) -> None:
    """A table is scoped if a way leads to a tenant column; its owners never lead back to it."""
    plans = plan_isolation(tables(edges), TenancySettings()).tables
    reach = {0}
    while more := {source for source, target in edges if target in reach} - reach:
        reach |= more
    assert {f"t{number}" for number in reach} == {t.name for t, p in plans.items() if p.scoped}

    def depth(table: Table, path: tuple[Table, ...]) -> int:
        assert table not in path
        return 1 + max(
            (depth(owner.target, (*path, table)) for owner in plans[table].owners), default=0
        )

    for table, plan in plans.items():
        depth(table, ())
        nearest = [owner for owner in plan.owners if plans[owner.target].scoped]
        assert len(nearest) == len(plan.owners)


def test_circle_is_rendered_and_filtered() -> None:
    """An order that points to its last line, and lines that point to their order, are isolated."""
    metadata = MetaData()
    tenant = Column("tenant_id", String(36), nullable=False)
    Table("customer", metadata, Column("id", Integer, primary_key=True), tenant)
    orders = Table(
        "order",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("customer_id", ForeignKey("customer.id"), nullable=False),
        Column("last_line_id", ForeignKey("line.id", use_alter=True, name="fk_last")),
        Column("previous_id", ForeignKey("order.id")),
    )
    lines = Table(
        "line",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("order_id", ForeignKey("order.id"), nullable=False),
    )
    system = create_engine("sqlite://")
    metadata.create_all(system)
    with Session(system) as session:
        for number, tenant_id in ((1, "a"), (2, "b")):
            session.execute(
                metadata.tables["customer"].insert().values(id=number, tenant_id=tenant_id)
            )
            session.execute(orders.insert().values(id=number, customer_id=number))
            session.execute(lines.insert().values(id=number, order_id=number))
        session.commit()
    engine = create_engine("sqlite://", pool=system.pool)
    isolation = Isolation(metadata, events=EventLog([MemorySink()], clock=SystemClock()))
    isolation.install(engine)
    with isolation.session_factory(engine)(TenantId("a")) as session:
        assert session.execute(select(lines)).all() == [(1, 1)]
        assert session.execute(select(orders.c.id)).all() == [(1,)]
    system.dispose()
