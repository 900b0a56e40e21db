"""Expect the same of every store of accounts."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from stockade.authentication import Account
from stockade.authentication.interfaces import WritableAccountStore
from stockade.authentication.models import Closing
from stockade.core import TenantId, UserId, UserType
from stockade.errors import StoreError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.sql import (
    NewAccount,
    SQLAccountStore,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
    upgrade_schema,
)
from stockade.storage.sql.models import User

ACME, ZETA = TenantId("acme"), TenantId("zeta")
BEA = Account(
    user_id=UserId("bea"),
    email="bea@example.com",
    user_type=UserType.USER,
    password_hash="hash-of-bea",
    active=True,
    token_epoch=0,
    # Not the first by name: what comes first has to come from the mark of the default.
    tenant_id=ZETA,
    roles=frozenset({"owner"}),
)
ELSEWHERE = dataclasses.replace(BEA, tenant_id=ACME, roles=frozenset({"member"}))
ROOT = dataclasses.replace(
    BEA,
    user_id=UserId("root"),
    email="root@example.com",
    user_type=UserType.SUPER_ADMIN,
    tenant_id=None,
    roles=frozenset(),
)


CARL = NewAccount(email="carl@example.com", password_hash="", user_id=UserId("carl"))


class Deactivate(Protocol):
    """Changes an account from below the store."""

    def __call__(self, user_id: UserId, *, epoch: int) -> Awaitable[None]:
        """Deactivate it and end its tokens."""


@dataclasses.dataclass(frozen=True)
class Filled:
    """A store with three rows, and a way to change one."""

    store: WritableAccountStore
    deactivate: Deactivate


async def fill(engine: AsyncEngine) -> None:
    """Write the accounts into a database."""
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for tenant in (ACME, ZETA):
            await create_tenant(connection, tenant.title(), tenant_id=tenant)
        for account in (BEA, ROOT):
            new = NewAccount(
                email=account.email.upper(),
                password_hash=account.password_hash,
                user_type=account.user_type,
                user_id=account.user_id,
            )
            assert await create_account(connection, new) == account.user_id
        await join_tenant(connection, BEA.user_id, ACME, role="member")
        await join_tenant(connection, BEA.user_id, ZETA, role="owner", is_default=True)


def open_sql(engine: AsyncEngine) -> Filled:
    """Make a store of a database."""

    async def deactivate(user_id: UserId, *, epoch: int) -> None:
        async with engine.begin() as connection:
            change = update(User).where(User.id == user_id)
            await connection.execute(change.values(is_active=False, token_epoch=epoch))

    return Filled(SQLAccountStore(engine), deactivate)


def open_memory() -> Filled:
    """Make a store in memory."""
    store = MemoryAccountStore([BEA, ELSEWHERE, ROOT])

    async def deactivate(user_id: UserId, *, epoch: int) -> None:
        for account in (BEA, ELSEWHERE, ROOT):
            if account.user_id == user_id:
                store.put(dataclasses.replace(account, active=False, token_epoch=epoch))

    return Filled(store, deactivate)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Filled]:
    """One store of each kind, with the same accounts."""
    if request.param == "memory":
        yield open_memory()
        return
    url = f"sqlite:///{tmp_path}/accounts.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await fill(engine)
    yield open_sql(engine)
    await engine.dispose()


async def test_an_account_is_found_by_its_address(filled: Filled) -> None:
    """With the address comes the default tenant and the role in it."""
    assert await filled.store.find_by_email("bea@example.com") == BEA
    assert await filled.store.find_by_email("root@example.com") == ROOT


@pytest.mark.parametrize(
    "email",
    [
        "",
        "nobody@example.com",
        "BEA@example.com",
        "%",
        "bea@example.co_",
        "' OR 1=1 --",
        "a" * 9999,
    ],
    ids=lambda email: email[:12] or "empty",
)
async def test_an_address_is_compared_exactly(filled: Filled, email: str) -> None:
    """No pattern, no quote and no other case finds anybody; addresses are kept in lower case."""
    assert await filled.store.find_by_email(email) is None


@pytest.mark.parametrize(
    ("user_id", "tenant_id", "expected"),
    [
        (BEA.user_id, ZETA, BEA),
        (BEA.user_id, ACME, ELSEWHERE),
        (BEA.user_id, None, dataclasses.replace(BEA, tenant_id=None, roles=frozenset())),
        (BEA.user_id, "other", dataclasses.replace(BEA, tenant_id=None, roles=frozenset())),
        (BEA.user_id, "", dataclasses.replace(BEA, tenant_id=None, roles=frozenset())),
        (ROOT.user_id, None, ROOT),
        (ROOT.user_id, ACME, ROOT),
        (UserId("nobody"), ACME, None),
        (UserId(""), None, None),
        (UserId("BEA"), ZETA, None),
    ],
    ids=str,
)
async def test_roles_are_those_of_the_tenant_that_was_asked_for(
    filled: Filled, user_id: UserId, tenant_id: TenantId | None, expected: Account | None
) -> None:
    """Who is no member has no tenant and no role, whatever it is elsewhere."""
    assert await filled.store.find_by_id(user_id, tenant_id) == expected


async def test_a_change_is_seen_at_once(filled: Filled) -> None:
    """The store itself remembers nothing; the default tenant stays the default."""
    await filled.deactivate(BEA.user_id, epoch=7)
    by_email = await filled.store.find_by_email(BEA.email)
    assert by_email == dataclasses.replace(BEA, active=False, token_epoch=7)
    by_id = await filled.store.find_by_id(BEA.user_id, ACME)
    assert by_id == dataclasses.replace(ELSEWHERE, active=False, token_epoch=7)


async def test_a_hash_is_replaced_once(filled: Filled) -> None:
    """The old hash has to be the one that is stored: a change made meanwhile is not overwritten."""
    store = filled.store
    assert await store.replace_password_hash(BEA.user_id, old="hash-of-bea", new="new")
    assert not await store.replace_password_hash(BEA.user_id, old="hash-of-bea", new="newer")
    for tenant_id in (ZETA, ACME):
        account = await store.find_by_id(BEA.user_id, tenant_id)
        assert account is not None
        assert account.password_hash == "new"
    assert await store.find_by_email(BEA.email) == dataclasses.replace(BEA, password_hash="new")
    assert await store.find_by_email(ROOT.email) == ROOT


async def test_nobody_has_no_hash_to_replace(filled: Filled) -> None:
    """For an account that is not there nothing changes."""
    assert not await filled.store.replace_password_hash(UserId("nobody"), old="", new="x")


async def test_an_account_shows_no_hash(filled: Filled) -> None:
    """Logging an account does not log its password's hash."""
    account = await filled.store.find_by_email(BEA.email)
    assert "hash-of-bea" not in repr(account)
    assert "hash" not in repr(NewAccount(email="x", password_hash="hash"))[:60].partition("(")[2]


async def test_an_account_is_made_once(filled: Filled) -> None:
    """Of many that are made at once with one address one is; case makes no second one."""
    emails = ["New@Example.com", "new@example.com"] * 10
    made = await asyncio.gather(
        *(filled.store.create(NewAccount(email=each, password_hash="hash")) for each in emails)
    )
    assert sum(made) == 1
    account = await filled.store.find_by_email("new@example.com")
    assert account is not None
    assert account == await filled.store.find_by_id(account.user_id, None)
    assert (account.active, account.token_epoch, account.password_hash) == (True, 0, "hash")
    assert (account.user_type, account.tenant_id, account.roles) == ("user", None, frozenset())
    assert account.email_verified


async def test_an_address_that_is_taken_makes_no_account(filled: Filled) -> None:
    """The one that has it stays as it is."""
    assert not await filled.store.create(NewAccount(email="BEA@example.com", password_hash="x"))
    assert await filled.store.find_by_email(BEA.email) == BEA


async def test_a_password_is_set_once_for_an_epoch(filled: Filled) -> None:
    """Of many changes that read the same epoch one comes through, and ends all tokens."""
    news = [f"new-{number}" for number in range(20)]
    done = await asyncio.gather(
        *(filled.store.set_password(BEA.user_id, epoch=0, new=each) for each in news)
    )
    assert sum(done) == 1
    changed = {"password_hash": news[done.index(True)], "token_epoch": 1}
    expected = dataclasses.replace(BEA, **changed)  # type: ignore[arg-type]  # Two fields.
    assert await filled.store.find_by_email(BEA.email) == expected
    assert await filled.store.find_by_email(ROOT.email) == ROOT
    elsewhere = await filled.store.find_by_id(BEA.user_id, ACME)
    assert elsewhere is not None
    assert (elsewhere.password_hash, elsewhere.token_epoch) == (expected.password_hash, 1)


async def test_another_epoch_sets_no_password(filled: Filled) -> None:
    """Nor does an account that is not there."""
    assert not await filled.store.set_password(BEA.user_id, epoch=1, new="new")
    assert not await filled.store.set_password(UserId("nobody"), epoch=0, new="new")
    assert await filled.store.find_by_email(BEA.email) == BEA


async def test_an_address_is_marked_as_the_owners(filled: Filled) -> None:
    """Only the address that was shown to be it."""
    new = NewAccount(email="new@example.com", password_hash="", email_verified=False)
    assert await filled.store.create(new)
    assert not await filled.store.mark_verified(new.user_id, email="old@example.com")
    account = await filled.store.find_by_id(new.user_id, None)
    assert account is not None
    assert not account.email_verified
    assert await filled.store.mark_verified(new.user_id, email="new@example.com")
    account = await filled.store.find_by_email("new@example.com")
    assert account is not None
    assert account.email_verified


async def test_an_account_begins_in_a_tenant(filled: Filled) -> None:
    """It is its default one."""
    new = NewAccount(email="new@example.com", password_hash="", membership=(ACME, "member"))
    assert await filled.store.create(new)
    account = await filled.store.find_by_email("new@example.com")
    assert account is not None
    assert (account.tenant_id, account.roles) == (ACME, frozenset({"member"}))


async def test_an_address_is_set_once_for_an_epoch(filled: Filled) -> None:
    """It ends all tokens, and it is the owner's by then."""
    news = [f"new-{number}@example.com" for number in range(20)]
    done = await asyncio.gather(
        *(filled.store.set_email(BEA.user_id, epoch=0, new=each) for each in news)
    )
    assert sum(done) == 1
    expected = dataclasses.replace(BEA, email=news[done.index(True)], token_epoch=1)
    assert await filled.store.find_by_email(expected.email) == expected
    assert await filled.store.find_by_email(BEA.email) is None


async def test_an_address_of_another_account_is_not_set(filled: Filled) -> None:
    """Both stay as they are; the same holds for another epoch and for nobody."""
    assert not await filled.store.set_email(BEA.user_id, epoch=0, new=ROOT.email)
    assert not await filled.store.set_email(BEA.user_id, epoch=1, new="new@example.com")
    assert not await filled.store.set_email(UserId("nobody"), epoch=0, new="new@example.com")
    assert await filled.store.find_by_email(BEA.email) == BEA
    assert await filled.store.find_by_email(ROOT.email) == ROOT


async def test_of_accounts_that_want_one_address_one_gets_it(filled: Filled) -> None:
    """Also at the same time."""
    accounts = (BEA, ROOT)
    done = await asyncio.gather(
        *(filled.store.set_email(each.user_id, epoch=0, new="new@example.com") for each in accounts)
    )
    assert sorted(done) == [False, True]


async def test_an_account_is_switched_off_and_on(filled: Filled) -> None:
    """Each time all tokens end: those of before do not come back with it."""
    assert await filled.store.set_active(ROOT.user_id, active=False) is Closing.DONE
    off = dataclasses.replace(ROOT, active=False, token_epoch=1)
    assert await filled.store.find_by_email(ROOT.email) == off
    assert await filled.store.set_active(ROOT.user_id, active=True) is Closing.DONE
    assert await filled.store.find_by_email(ROOT.email) == dataclasses.replace(ROOT, token_epoch=2)
    outcome = await filled.store.set_active(UserId("nobody"), active=False)
    assert outcome is Closing.UNKNOWN
    assert await filled.store.find_by_email(BEA.email) == BEA


async def test_an_account_is_deleted(filled: Filled) -> None:
    """Once, with its memberships; its address is free again."""
    delete = filled.store.delete
    assert await delete(BEA.user_id, tenants=[ZETA]) is Closing.DONE
    assert await delete(BEA.user_id, tenants=[ZETA]) is Closing.UNKNOWN
    assert await filled.store.find_by_email(BEA.email) is None
    assert await filled.store.find_by_id(BEA.user_id, ACME) is None
    assert await filled.store.find_by_email(ROOT.email) == ROOT
    assert await filled.store.create(NewAccount(email=BEA.email, password_hash=""))


@pytest.mark.parametrize(
    "tenants", [(), (ACME,), (ACME, ZETA), (ZETA, "nowhere")], ids=["none", "other", "more", "odd"]
)
async def test_the_last_owner_stays(filled: Filled, tenants: tuple[TenantId, ...]) -> None:
    """Unless the tenant goes with the account, which takes its name and no other one."""
    assert await filled.store.delete(BEA.user_id, tenants=tenants) is Closing.LAST_OWNER
    off = await filled.store.set_active(BEA.user_id, active=False)
    assert off is Closing.LAST_OWNER
    assert await filled.store.find_by_email(BEA.email) == BEA
    forced = await filled.store.set_active(BEA.user_id, active=False, force=True)
    assert forced is Closing.DONE


async def test_others_lose_a_tenant_that_goes(filled: Filled) -> None:
    """They stay accounts, in their other tenants."""
    await filled.store.join(ROOT.user_id, ZETA, "admin")
    await filled.store.join(ROOT.user_id, ACME, "member")
    assert await filled.store.delete(BEA.user_id, tenants=[ZETA]) is Closing.DONE
    inside = await filled.store.find_by_id(ROOT.user_id, ZETA)
    assert inside is not None
    assert inside.tenant_id is None
    left = await filled.store.find_by_email(ROOT.email)
    assert left is not None
    assert (left.tenant_id, *left.roles) == (ACME, "member")


async def test_an_owner_who_may_not_act_does_not_count(filled: Filled) -> None:
    """The tenant keeps the one who can."""
    await filled.store.join(ROOT.user_id, ZETA, "owner")
    assert await filled.store.set_active(ROOT.user_id, active=False) is Closing.DONE
    assert await filled.store.delete(BEA.user_id) is Closing.LAST_OWNER
    assert await filled.store.set_active(ROOT.user_id, active=True) is Closing.DONE
    assert await filled.store.delete(BEA.user_id) is Closing.DONE


@pytest.mark.parametrize("round_", range(8))
@pytest.mark.parametrize("ways", ["delete", "deactivate", "both"])
async def test_of_owners_who_go_at_once_one_stays(filled: Filled, round_: int, ways: str) -> None:
    """Whoever comes first, and however they go; also where they own two tenants crosswise."""
    for place in (ACME, ZETA):
        await filled.store.join(ROOT.user_id, place, "owner")
    assert await filled.store.create(CARL)
    await filled.store.join(CARL.user_id, ZETA, "owner")
    store = filled.store
    going = [BEA.user_id, ROOT.user_id, CARL.user_id]
    if round_ % 2:
        going.reverse()
    steps = {
        "delete": [store.delete(each) for each in going],
        "deactivate": [store.set_active(each, active=False) for each in going],
        "both": [
            store.delete(going[0]),
            store.set_active(going[1], active=False),
            store.delete(going[2]),
        ],
    }
    for name, others in steps.items():
        if name != ways:
            for each in others:
                each.close()
    outcomes = await asyncio.gather(*steps[ways])
    # Nobody else owns the one tenant, so that root stays in any case, and the others may go.
    expected = dict.fromkeys(going, Closing.DONE) | {ROOT.user_id: Closing.LAST_OWNER}
    assert dict(zip(going, outcomes, strict=True)) == expected


@pytest.mark.parametrize("round_", range(8))
async def test_of_two_owners_one_goes(filled: Filled, round_: int) -> None:
    """Exactly one is refused."""
    await filled.store.join(ROOT.user_id, ZETA, "owner")
    going = [BEA.user_id, ROOT.user_id]
    if round_ % 2:
        going.reverse()
    outcomes = await asyncio.gather(*(filled.store.delete(each) for each in going))
    assert sorted(outcomes) == [Closing.DONE, Closing.LAST_OWNER]


async def test_an_account_joins_a_tenant_once(filled: Filled) -> None:
    """Its first tenant is its default one; a second joining changes no role."""
    assert await filled.store.join(ROOT.user_id, ZETA, "member")
    assert not await filled.store.join(ROOT.user_id, ZETA, "owner")
    assert await filled.store.join(ROOT.user_id, ACME, "admin")
    account = await filled.store.find_by_email(ROOT.email)
    expected = dataclasses.replace(ROOT, tenant_id=ZETA, roles=frozenset({"member"}))
    assert account == expected
    elsewhere = await filled.store.find_by_id(ROOT.user_id, ACME)
    assert elsewhere is not None
    assert elsewhere.roles == {"admin"}
    with pytest.raises(StoreError):
        await filled.store.join(UserId("nobody"), ACME, "member")


# --- What only databases do -------------------------------------------------------------------


async def test_an_account_of_an_unknown_kind_is_not_guessed(tmp_path: Path) -> None:
    """A row that this release does not understand is an error, never an ordinary user."""
    engine = make_engine(f"sqlite:///{tmp_path}/accounts.db")
    await fill(engine)
    async with engine.begin() as connection:
        await connection.execute(update(User).values(user_type="hyper_admin"))
    store = SQLAccountStore(engine)
    for question in (store.find_by_email(BEA.email), store.find_by_id(BEA.user_id, None)):
        with pytest.raises(StoreError) as caught:
            await question
        assert caught.value.__cause__ is None
        assert "hyper" not in str(caught.value)
    await engine.dispose()


async def test_a_database_without_tables_is_a_store_error(tmp_path: Path) -> None:
    """The message names the kind of the driver's error, and nothing of the statement."""
    engine = make_engine(f"sqlite:///{tmp_path}/empty.db")
    store = SQLAccountStore(engine)
    for question in (
        store.find_by_email("secret@example.com"),
        store.find_by_id(UserId("secret"), None),
        store.replace_password_hash(UserId("secret"), old="secret", new="secret"),
    ):
        with pytest.raises(StoreError) as caught:
            await question
        assert "OperationalError" in str(caught.value)
        assert "secret" not in f"{caught.value} {caught.value.__cause__}"
    await engine.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("email", ["nul\0@example.com", "\ud800@example.com"], ids=ascii)
async def test_what_postgresql_refuses_is_a_store_error(postgres_url: str, email: str) -> None:
    """Text that the server takes in no form is an error that does not repeat it."""
    engine = make_engine(postgres_url)
    await fill(engine)
    with pytest.raises(StoreError) as caught:
        await SQLAccountStore(engine).find_by_email(email)
    await engine.dispose()
    assert "example.com" not in str(caught.value)
