"""One compiled statement serves every tenant, and none remembers the one it was compiled for."""

from __future__ import annotations

import gc
import tracemalloc

from sqlalchemy import func, insert, lambda_stmt, select, update
from sqlalchemy.orm import Session, selectinload

from stockade.core import TenantId
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import OWN, Folder, Note, Tag

MANY = 10_000
# Bytes that thousands of tenants may leave behind in all; a few to each would be far more.
SLACK = 100_000


def look(session: Session, name: str) -> list[str]:
    """Read in the ways that SQLAlchemy caches: compiled statements, lambdas, loader options."""
    session.scalars(select(Tag).where(Tag.name == name)).all()
    session.scalars(lambda_stmt(lambda: select(Tag.name))).all()
    session.get(Tag, 1)
    return list(session.scalars(select(Tag.name)))


def compiled(database: Database) -> int:
    """Return how many statements the engine has compiled and kept."""
    cache = database.engine._compiled_cache
    assert cache is not None
    return len(cache)


def test_ten_thousand_tenants(database: Database) -> None:
    """Neither the cache nor memory grows with the tenants, and each sees its own row alone."""
    tables = Tag.__table__
    with database.system.begin() as connection:
        rows = [{"name": f"tag {n}", "tenant_id": f"tenant-{n}"} for n in range(MANY)]
        connection.execute(insert(tables), rows)  # type: ignore[arg-type]
    sizes = []
    tracemalloc.start()
    try:
        for number in range(MANY):
            with database.factory(TenantId(f"tenant-{number}")) as session:
                assert session.scalars(select(Tag.name)).all() == [f"tag {number}"]
                if number % 100 == 0:
                    assert look(session, f"tag {number}") == [f"tag {number}"]
            if number in {MANY // 10, MANY - 1}:
                gc.collect()
                sizes.append((compiled(database), tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()
    (first_cache, first), (last_cache, last) = sizes
    assert last_cache == first_cache
    assert last - first < SLACK


def test_statement_objects_are_shared(database: Database) -> None:
    """The very same statement object, run for one tenant, shows the next one only its rows."""
    statements = [
        select(Tag.tenant_id),
        select(func.min(Tag.tenant_id)),
        select(Tag.tenant_id).union(select(Note.tenant_id)),
        select(Folder).options(selectinload(Folder.notes)).with_only_columns(Folder.tenant_id),
    ]
    tenants = [TenantId(f"tenant-{number}") for number in range(3)]
    for tenant in tenants:
        with database.factory(tenant) as session:
            session.add_all([Tag(name="t"), Folder(name="f")])
            session.commit()
    kept = None
    for tenant in tenants * 2:
        with database.factory(tenant) as session:
            for statement in statements:
                assert set(session.scalars(statement)) == {tenant}  # type: ignore[call-overload]
            session.execute(update(Tag).values(name=tenant))
            session.commit()
            kept = kept or compiled(database)
            assert compiled(database) == kept


def test_cached_text_names_no_tenant(database: Database) -> None:
    """No statement that is kept has a tenant in its text or its parameters' defaults."""
    with database.factory(OWN) as session:
        look(session, "own tag")
    cache = database.engine._compiled_cache
    assert cache
    for kept in cache.values():
        assert OWN not in str(kept)
        parameters = getattr(kept, "binds", {})
        assert all(bind.value != OWN for bind in parameters.values())
