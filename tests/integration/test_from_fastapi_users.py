"""Who signed in with fastapi-users signs in here, from a database that fastapi-users made."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeEngine
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.core import UserType
from stockade.errors import ConfigurationError
from stockade.storage.sql import check_schema, make_engine, upgrade_schema
from stockade.storage.sql.fastapi_users import AccountImport, import_fastapi_users
from stockade.storage.sql.models import Membership, Tenant, User

pytest.importorskip("argon2")
fastapi_users = pytest.importorskip("fastapi_users")
db = pytest.importorskip("fastapi_users.db")

PASSWORD = "correct horse battery staple"


def table_of(name: str, key: type[TypeEngine[Any]] = Uuid) -> Table:
    """Describe the table of fastapi-users' adapter for SQLAlchemy, release 7."""
    return Table(
        name,
        MetaData(),
        Column("id", key(), primary_key=True),
        Column("email", String(320), unique=True, index=True, nullable=False),
        Column("hashed_password", String(1024), nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("is_superuser", Boolean, nullable=False),
        Column("is_verified", Boolean, nullable=False),
    )


@dataclass
class Person:
    """A user, as fastapi-users wants one."""

    id: Any
    email: str
    hashed_password: str
    is_active: bool = True
    is_superuser: bool = False
    is_verified: bool = False


class Create:
    """What fastapi-users makes a user of."""

    def __init__(self, email: str, **values: object) -> None:
        self.email, self.password = email, PASSWORD
        self._values = {"email": email, "password": PASSWORD, **values}

    def create_update_dict(self) -> dict[str, object]:
        """Return what anybody may say."""
        return dict(self._values)

    create_update_dict_superuser = create_update_dict


class Rows(db.BaseUserDatabase):  # type: ignore[misc, name-defined] # untyped
    """Keeps users in the table, as the adapter does, which would hold SQLAlchemy back."""

    def __init__(self, engine: AsyncEngine, table: Table, draw: Callable[[], Any]) -> None:
        self._engine, self._table, self._draw = engine, table, draw

    async def get_by_email(self, email: str) -> Person | None:
        """Find nobody: the tests choose addresses that are free."""
        del email
        return None

    async def create(self, create_dict: dict[str, Any]) -> Person:
        """Write a row."""
        values = {"is_active": True, "is_superuser": False, "is_verified": False, **create_dict}
        person = Person(id=self._draw(), **values)
        async with self._engine.begin() as connection:
            await connection.execute(insert(self._table).values(**vars(person)))
        return person


class Manager(fastapi_users.BaseUserManager):  # type: ignore[misc, name-defined] # untyped
    """Makes users and hashes their passwords, all of it fastapi-users' own."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'a.sqlite3'}"
    return str(request.getfixturevalue("postgres_url"))


@asynccontextmanager
async def old_database(
    url: str, *people: Create, table: Table | None = None, draw: Callable[[], Any] = uuid.uuid4
) -> AsyncIterator[AsyncEngine]:
    """Make what an application with fastapi-users leaves behind, with our tables beside it."""
    engine = make_engine(url)
    table = table_of("user") if table is None else table
    try:
        async with engine.begin() as connection:
            await connection.run_sync(table.metadata.create_all)
        manager = Manager(Rows(engine, table, draw))
        for person in people:
            await manager.create(person, safe=False)
        await upgrade_schema(engine)
        yield engine
    finally:
        await engine.dispose()


async def take_over(engine: AsyncEngine, **options: Any) -> AccountImport:  # noqa: ANN401 - any option
    """Import, with the hashes that a default Stockade reads."""
    from stockade.authentication.hashers import choose_hasher

    reads = choose_hasher(Settings(environment="test").authentication).reads
    return await import_fastapi_users(engine, engine, reads=reads, **options)


async def accounts_in(engine: AsyncEngine) -> dict[str, Any]:
    """Return the accounts by address."""
    async with engine.connect() as connection:
        return {row.email: row for row in await connection.execute(select(User.__table__))}


async def test_everything_is_taken_over(url: str) -> None:
    """Identifiers, addresses, whether they are confirmed and who may not come in."""
    people = [
        Create("Ana@Example.com", is_verified=True),
        Create("off@example.com", is_active=False),
        Create("root@example.com", is_superuser=True),
    ]
    async with old_database(url, *people) as engine:
        done = await take_over(engine, tenant="Acme")
        found = await accounts_in(engine)
        async with engine.connect() as connection:
            joined = (
                await connection.execute(
                    select(Membership.role, Tenant.name).join(
                        Tenant, Tenant.id == Membership.tenant_id
                    )
                )
            ).all()
            ids = set((await connection.execute(select(table_of("user").c.id))).scalars())
    assert done == AccountImport(imported=3, superusers=1)
    assert {each.id for each in found.values()} == {str(each) for each in ids}
    assert [found[f"{name}@example.com"].email_verified for name in ("ana", "off")] == [True, False]
    assert [found[f"{name}@example.com"].is_active for name in ("ana", "off")] == [True, False]
    # Who was above an application is not silently above all tenants.
    assert {each.user_type for each in found.values()} == {str(UserType.USER)}
    assert [tuple(each) for each in joined] == [("member", "Acme")] * 3


def test_passwords_go_on(url: str) -> None:
    """People sign in with what they know, and have a hash of our own afterwards."""

    async def move() -> None:
        async with old_database(url, Create("ana@example.com", is_verified=True)) as engine:
            assert (await take_over(engine)).imported == 1

    async def read_hash() -> str:
        engine = make_engine(url)
        found = (await accounts_in(engine))["ana@example.com"].password_hash
        await engine.dispose()
        return str(found)

    asyncio.run(move())
    assert asyncio.run(read_hash()).startswith("$argon2id$")
    settings = Settings(environment="test", database_url=url, authentication={"bcrypt_cost": 4})
    app, stockade = FastAPI(), Stockade(settings)
    stockade.install(app)
    app.include_router(stockade.auth_router)
    with TestClient(app) as client:
        form = {"username": "Ana@example.com", "password": PASSWORD}
        assert client.post("/auth/token", data=form).status_code == 200
        wrong = {**form, "password": PASSWORD + "x"}
        assert client.post("/auth/token", data=wrong).status_code == 400
    assert asyncio.run(read_hash()).startswith("$2b$04$")


async def test_it_can_be_run_again(url: str) -> None:
    """What is there stays as it is; what is new is added."""
    async with old_database(url, Create("ana@example.com")) as engine:
        await take_over(engine)
        async with engine.begin() as connection:
            await connection.execute(update(User).values(password_hash="changed", is_active=False))
        await Manager(Rows(engine, table_of("user"), uuid.uuid4)).create(Create("bo@example.com"))
        done = await take_over(engine)
        found = await accounts_in(engine)
    assert (done.imported, done.present) == (1, 1)
    assert found["ana@example.com"].password_hash == "changed"
    assert not found["ana@example.com"].is_active


async def test_a_rehearsal_changes_nothing(url: str) -> None:
    """It says what would be done."""
    async with old_database(url, Create("ana@example.com")) as engine:
        done = await take_over(engine, keep=False, tenant="Acme")
        assert await accounts_in(engine) == {}
        async with engine.connect() as connection:
            assert (await connection.execute(select(Tenant.id))).all() == []
    assert done.imported == 1


async def test_superusers_become_super_admins_where_that_is_said(url: str) -> None:
    """They alone."""
    people = [Create("root@example.com", is_superuser=True), Create("ana@example.com")]
    async with old_database(url, *people) as engine:
        await take_over(engine, super_admins=True)
        found = await accounts_in(engine)
    assert found["root@example.com"].user_type == UserType.SUPER_ADMIN
    assert found["ana@example.com"].user_type == UserType.USER


async def test_what_can_not_be_taken_over_is_said(url: str) -> None:
    """Two addresses that differ in case are one account here; the rest goes on."""
    people = [
        Create("Ana@example.com"),
        Create("ana@example.com"),
        Create("\u0430na@example.com"),  # a Cyrillic letter
        Create("bo@example.com"),
    ]
    async with old_database(url, *people) as engine:
        done = await take_over(engine)
        found = await accounts_in(engine)
    assert done.imported == 2
    assert sorted(each.problem.split(":")[0] for each in done.refused) == [
        "another account has this address, perhaps in another case",
        "its address is no e-mail address in ASCII",
    ]
    assert set(found) == {"ana@example.com", "bo@example.com"}


async def test_a_hash_that_nobody_reads_signs_nobody_in(url: str) -> None:
    """Its owner asks for a new password by mail, for which the account has to have one."""
    table = table_of("user")
    unread = "$argon2id$v=19$m=99999999,t=9,p=9$x$y"
    async with old_database(url) as engine:
        async with engine.begin() as connection:
            for number, stored in enumerate((unread, "x" * 1024)):
                values = {"id": uuid.uuid4(), "email": f"{number}@example.com"}
                flags = dict.fromkeys(("is_active", "is_superuser", "is_verified"), True)
                await connection.execute(
                    insert(table).values(hashed_password=stored, **values, **flags)
                )
        done = await take_over(engine)
        found = await accounts_in(engine)
    assert (done.imported, done.without_password) == (2, 2)
    assert {each.password_hash for each in found.values()} == {unread, "unreadable"}


async def test_numbers_are_identifiers_too(url: str) -> None:
    """fastapi-users offers both, and any name for its table."""
    numbers = iter(range(1, 9))
    table = table_of("people", Integer)
    people = [Create("ana@example.com"), Create("bo@example.com")]
    async with old_database(url, *people, table=table, draw=lambda: next(numbers)) as engine:
        await take_over(engine, users="people")
        found = await accounts_in(engine)
    assert {each.id for each in found.values()} == {"1", "2"}


@pytest.mark.parametrize("name", ["nowhere", "stockade_tenants", 'x"; drop table "user'])
async def test_another_table_is_refused(url: str, name: str) -> None:
    """One line says which one is wanted."""
    async with old_database(url) as engine:
        with pytest.raises(ConfigurationError) as caught:
            await take_over(engine, users=name)
    assert "fastapi-users" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_more_than_a_batch_is_taken_over(url: str) -> None:
    """Twelve hundred of them, in one transaction."""
    table = table_of("user")
    async with old_database(url) as engine:
        flags = dict.fromkeys(("is_active", "is_superuser", "is_verified"), False)
        rows = [
            {"id": uuid.uuid4(), "email": f"u{number}@example.com", "hashed_password": "", **flags}
            for number in range(1200)
        ]
        async with engine.begin() as connection:
            await connection.execute(insert(table), rows)
        done = await take_over(engine)
    assert (done.imported, done.without_password) == (1200, 1200)


async def test_our_tables_are_as_they_were(url: str) -> None:
    """The import changes rows alone."""
    async with old_database(url, Create("ana@example.com")) as engine:
        await take_over(engine)
        await check_schema(engine)
