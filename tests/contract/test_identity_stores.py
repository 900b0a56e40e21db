"""Expect the same of every store of identities at providers."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockade.authentication.interfaces import AccountStore, IdentityStore
from stockade.authentication.models import Account, Closing, Identity, Placement
from stockade.core import TenantId, UserId, UserType
from stockade.errors import StoreError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.identities import MemoryIdentityStore
from stockade.storage.sql import (
    NewAccount,
    SQLAccountStore,
    create_account,
    create_tenant,
    make_engine,
    upgrade_schema,
)
from stockade.storage.sql.identities import SQLIdentityStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ANA, BEA = UserId("ana"), UserId("bea")
ISSUER = "https://id.example"


@dataclasses.dataclass
class Stores:
    """The store under test, and the accounts beside it."""

    identities: IdentityStore
    accounts: AccountStore


def make_identity(user_id: UserId = ANA, subject: str = "one", **changes: object) -> Identity:
    """Make an identity that was linked just now."""
    identity = Identity(
        identity_id=str(uuid.uuid4()),
        user_id=user_id,
        issuer=ISSUER,
        subject=subject,
        linked_at=NOW,
    )
    return dataclasses.replace(identity, **changes)  # type: ignore[arg-type]  # Any field.


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """One store of each kind, with two accounts and a tenant."""
    if request.param == "memory":
        accounts = MemoryAccountStore([make_account(ANA), make_account(BEA)])
        yield Stores(MemoryIdentityStore(accounts), accounts)
        return
    url = f"sqlite:///{tmp_path}/identities.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        await create_tenant(connection, "Acme", tenant_id="acme")
        for user_id in (ANA, BEA):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="", user_id=user_id)
            await create_account(connection, account)
    yield Stores(SQLIdentityStore(engine), SQLAccountStore(engine))
    await engine.dispose()


def make_account(user_id: UserId) -> Account:
    """Make an account as the databases have it."""
    return Account(
        user_id=user_id,
        email=f"{user_id}@example.com",
        user_type=UserType.USER,
        password_hash="",
        active=True,
        token_epoch=0,
        tenant_id=None,
        roles=frozenset(),
    )


async def test_an_identity_comes_back_as_it_was(stores: Stores) -> None:
    """Every moment keeps its time zone and its microseconds, every subject its case."""
    first = make_identity(subject="Ünï|Case")
    second = make_identity(subject="ünï|case", last_used_at=LATER)
    for identity in (first, second):
        assert await stores.identities.add(identity)
        assert await stores.identities.find(ISSUER, identity.subject) == identity
    assert await stores.identities.find(ISSUER, "ÜNÏ|CASE") is None
    assert await stores.identities.find("https://other.example", first.subject) is None


async def test_the_oldest_is_listed_first(stores: Stores) -> None:
    """Only those of the account are."""
    late = make_identity(subject="late", linked_at=LATER)
    early = make_identity(subject="early")
    for identity in (late, early, make_identity(BEA, "other")):
        await stores.identities.add(identity)
    assert await stores.identities.list_of(ANA) == [early, late]
    assert await stores.identities.list_of(UserId("nobody")) == []


async def test_an_identity_is_linked_once(stores: Stores) -> None:
    """Of many links at once one holds, and later ones to any account do not."""
    wanted = [make_identity(user_id) for user_id in (ANA, BEA) for _ in range(10)]
    done = await asyncio.gather(*(stores.identities.add(each) for each in wanted))
    assert sum(done) == 1
    assert await stores.identities.find(ISSUER, "one") == wanted[done.index(True)]
    assert not await stores.identities.add(make_identity(BEA))


async def test_a_use_is_remembered(stores: Stores) -> None:
    """It changes nothing else."""
    identity = make_identity()
    await stores.identities.add(identity)
    await stores.identities.touch(identity.identity_id, now=LATER)
    await stores.identities.touch("nothing", now=LATER)
    found = await stores.identities.find(ISSUER, "one")
    assert found == dataclasses.replace(identity, last_used_at=LATER)


async def test_an_account_is_made_with_its_identity(stores: Stores) -> None:
    """It has no password, and the role that was asked for in its tenant."""
    identity = make_identity(UserId("carla"))
    placement = Placement(tenant_id=TenantId("acme"), role="member")
    assert await stores.identities.register(
        identity, email="carla@example.com", placement=placement
    )
    account = await stores.accounts.find_by_email("carla@example.com")
    assert account is not None
    assert (account.user_id, account.password_hash, account.active) == ("carla", "", True)
    assert (account.tenant_id, account.roles) == ("acme", frozenset({"member"}))
    assert account.user_type is UserType.USER
    assert await stores.identities.find(ISSUER, "one") == identity


async def test_an_account_needs_no_tenant(stores: Stores) -> None:
    """Then it has no role either."""
    identity = make_identity(UserId("carla"))
    assert await stores.identities.register(identity, email="carla@example.com", placement=None)
    account = await stores.accounts.find_by_email("carla@example.com")
    assert account is not None
    assert (account.tenant_id, account.roles) == (None, frozenset())


async def test_nothing_is_made_where_something_is_taken(stores: Stores) -> None:
    """Neither half of an account stays."""
    linked = make_identity(ANA, "linked")
    await stores.identities.add(linked)
    taken = make_identity(UserId("carla"), "new")
    assert not await stores.identities.register(taken, email="ana@example.com", placement=None)
    assert await stores.identities.find(ISSUER, "new") is None
    again = make_identity(UserId("carla"), "linked")
    assert not await stores.identities.register(again, email="carla@example.com", placement=None)
    assert await stores.accounts.find_by_email("carla@example.com") is None
    assert await stores.identities.find(ISSUER, "linked") == linked


async def test_of_many_registrations_one_is_made(stores: Stores) -> None:
    """Two tabs, or two people with one address, do not make two accounts."""
    wanted = [make_identity(UserId(str(uuid.uuid4())), f"subject-{n % 2}") for n in range(10)]
    done = await asyncio.gather(
        *(
            stores.identities.register(each, email="carla@example.com", placement=None)
            for each in wanted
        )
    )
    assert sum(done) == 1
    account = await stores.accounts.find_by_email("carla@example.com")
    assert account is not None
    assert account.user_id == wanted[done.index(True)].user_id


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_tenant_has_to_exist(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A mistake of the application is no taken address, and leaves nothing behind."""
    url = f"sqlite:///{tmp_path}/identities.db"
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    store = SQLIdentityStore(engine)
    placement = Placement(tenant_id=TenantId("nowhere"), role="member")
    with pytest.raises(StoreError):
        await store.register(make_identity(), email="carla@example.com", placement=placement)
    assert await SQLAccountStore(engine).find_by_email("carla@example.com") is None
    with pytest.raises(StoreError):
        # There is no such account.
        await store.add(make_identity(UserId("nobody")))
    await engine.dispose()


async def test_a_database_that_can_not_answer_is_no_unknown_identity(tmp_path: Path) -> None:
    """Nobody is told that nothing is linked because of it."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    store = SQLIdentityStore(engine)
    with pytest.raises(StoreError):
        await store.find(ISSUER, "one")
    await engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_identities_go_with_their_account(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whoever deletes an account leaves nothing behind that signs in."""
    url = f"sqlite:///{tmp_path}/identities.db"
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    store = SQLIdentityStore(engine)
    identity = make_identity(UserId("carla"))
    assert await store.register(identity, email="carla@example.com", placement=None)
    assert await SQLAccountStore(engine).delete(UserId("carla")) is Closing.DONE
    assert await store.find(ISSUER, "one") is None
    await engine.dispose()
