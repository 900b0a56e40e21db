"""Give tests a SQLite database of two tenants, with an isolated engine and a plain one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from stockade.events import MemorySink
from stockade.tenancy import Isolation, SyncTenantSessionFactory
from tests.unit.tenancy.models import Base, isolate, seed

_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Database:
    """Both ways to a database."""

    engine: Engine
    system: Engine
    isolation: Isolation
    factory: SyncTenantSessionFactory
    ids: dict[str, int]
    sink: MemorySink

    def look(self, query: Callable[[Connection], _Seen]) -> _Seen:
        """Look at the database from below isolation."""
        with self.system.connect() as connection:
            return query(connection)


@pytest.fixture
def database() -> Iterator[Database]:
    """A fresh database in memory with the rows of two tenants."""
    raw = sqlite3.connect(":memory:", check_same_thread=False)
    system = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    Base.metadata.create_all(system)
    with Session(system) as session:
        ids = seed(session)
    sink = MemorySink()
    isolation = isolate(sink)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    isolation.install(engine)
    factory = isolation.session_factory(engine)
    yield Database(engine, system, isolation, factory, ids, sink)
    for each in (engine, system):
        each.dispose()
    raw.close()
