"""Isolation is put in force on one engine, wholly, or the application does not start."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import create_engine, select
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from stockade.core import SystemClock
from stockade.errors import ConfigurationError
from stockade.events import EventLog, MemorySink
from stockade.tenancy import Isolation, OpaqueSQLError, TenancySettings, TenantRequiredError
from tests.unit.tenancy.attacks import Hidden
from tests.unit.tenancy.conftest import Database
from tests.unit.tenancy.models import FOREIGN, OWN, Base, Note, Tag, isolate


def test_other_engines_are_untouched(database: Database) -> None:
    """An engine without isolation sees every row; login and migrations use one."""
    with Session(database.system) as session:
        assert set(session.scalars(select(Note.tenant_id))) == {OWN, FOREIGN}
        assert session.execute(sa.text("SELECT count(*) FROM note")).scalar() == 5


def test_install_once(database: Database) -> None:
    """A second installation would filter twice, and is refused."""
    with pytest.raises(ConfigurationError, match="already"):
        database.isolation.install(database.engine)


def test_install_checks(database: Database) -> None:
    """Nothing is installed while a table can't be isolated."""
    metadata = sa.MetaData()
    sa.Table("doc", metadata, sa.Column("tenant_id", sa.String))
    isolation = Isolation(metadata, events=EventLog([MemorySink()], clock=SystemClock()))
    with pytest.raises(ConfigurationError, match="nullable"):
        isolation.install(database.system)


def test_unsupported_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolation is not claimed where it was never proven."""
    engine = create_engine("sqlite://")
    monkeypatch.setattr(engine, "dialect", mysql.dialect())
    with pytest.raises(ConfigurationError, match="not supported"):
        isolate().install(engine)


def test_factory_needs_installation(database: Database) -> None:
    """No session is made for an engine on which nothing is isolated."""
    with pytest.raises(ConfigurationError):
        database.isolation.session_factory(database.system)
    with pytest.raises(ConfigurationError):
        isolate().session_factory(database.engine)


def test_asynchronous_engine() -> None:
    """An AsyncEngine and the Engine below it are one."""
    engine = create_async_engine("sqlite+aiosqlite://")
    isolation = isolate()
    isolation.install(engine)
    assert isolation.is_installed(engine)
    assert isolation.is_installed(engine.sync_engine)


def test_engine_that_was_used_before() -> None:
    """Statements compiled before the installation are compiled anew."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.scalars(select(Note)).all()
    isolation = isolate()
    isolation.install(engine)
    with isolation.session_factory(engine)(OWN) as session:
        assert session.scalars(select(Note)).all() == []
    engine.dispose()


def test_foreign_cache(database: Database) -> None:
    """A statement from a cache of the caller's is checked before it reaches the driver."""
    cache: dict[object, object] = {}
    statement = select(Note.name)
    with database.system.connect() as connection:
        connection.execution_options(compiled_cache=cache).execute(statement)
    planted = next(iter(cache.values()))

    class Poisoned(dict[object, object]):
        def get(self, _key: object, _default: object = None) -> object:
            return planted

    with database.factory(OWN) as session, pytest.raises(OpaqueSQLError) as caught:
        session.connection().execute(statement, execution_options={"compiled_cache": Poisoned()})
    assert caught.value.reason == "tenancy.driver_sql"


def test_derived_engine(database: Database) -> None:
    """An engine made from an isolated one with other options is isolated as well."""
    derived = database.engine.execution_options(stream_results=False)
    with derived.connect() as connection, pytest.raises(TenantRequiredError):
        connection.execute(select(Note))


def test_trusted_element() -> None:
    """A construct with a compiler of its own runs once somebody has answered for it."""
    name = f"{Hidden.__module__}.{Hidden.__qualname__}"
    settings = TenancySettings(trusted_elements=frozenset({name}))
    log = EventLog([MemorySink()], clock=SystemClock())
    isolation = Isolation(Base, settings=settings, events=log)
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    isolation.install(engine)
    with isolation.session_factory(engine)(OWN) as session:
        assert session.execute(select(Hidden())).scalar() is None
    engine.dispose()


def test_late_table(database: Database) -> None:
    """A table that was added after the start is refused."""
    late = sa.Table("late", sa.MetaData(), sa.Column("tenant_id", sa.String, nullable=False))
    with database.factory(OWN) as session, pytest.raises(OpaqueSQLError) as caught:
        session.execute(select(late))
    assert caught.value.reason == "tenancy.unknown_table"


def test_event_says_what_was_refused(database: Database) -> None:
    """The event has the reason, the table and the tenant, and no submitted value."""
    with database.factory(OWN) as session, pytest.raises(Exception, match="another tenant"):
        session.execute(sa.insert(Tag).values(name="secret", tenant_id=FOREIGN))
    (event,) = database.sink.named("tenancy.refused")
    assert event.reason == "tenancy.foreign_tenant"
    assert event.details == {"error": "cross_tenant", "table": "tag", "tenant": OWN}


def test_settings() -> None:
    """The column is an identifier, and unknown settings are refused."""
    for wrong in ({"column": "a b"}, {"column": ""}, {"columns": "x"}):
        with pytest.raises(ValidationError):
            TenancySettings.model_validate(wrong)
