"""Expect of every kind of store that the last way in to an account stays."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stockade.authentication.interfaces import IdentityStore, PasskeyStore, WritableAccountStore
from stockade.authentication.models import Account, Identity, NewAccount, Passkey, Removal
from stockade.core import UserId, UserType
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.identities import MemoryIdentityStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.sql import SQLAccountStore, create_account, make_engine, upgrade_schema
from stockade.storage.sql.identities import SQLIdentityStore
from stockade.storage.sql.passkeys import SQLPasskeyStore

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA, BEA = UserId("ana"), UserId("bea")
ISSUER, GONE = "https://id.example", "https://gone.example"
ISSUERS = frozenset({ISSUER})


@dataclasses.dataclass
class Stores:
    """The stores of one place."""

    accounts: WritableAccountStore
    identities: IdentityStore
    passkeys: PasskeyStore

    async def link(self, name: str, user_id: UserId = ANA, issuer: str = ISSUER) -> None:
        """Link an identity."""
        identity = Identity(
            identity_id=name, user_id=user_id, issuer=issuer, subject=name, linked_at=NOW
        )
        assert await self.identities.add(identity)

    async def register(self, name: str, user_id: UserId = ANA) -> None:
        """Register a passkey."""
        passkey = Passkey(
            passkey_id=name,
            credential_id=name,
            user_id=user_id,
            user_handle=b"h",
            public_key=b"k",
            sign_count=0,
            backup_eligible=False,
            backed_up=False,
            transports=frozenset(),
            name=name,
            created_at=NOW,
        )
        assert await self.passkeys.add(passkey)

    async def unlink(self, name: str, user_id: UserId = ANA) -> Removal:
        """Take an identity off."""
        return await self.identities.remove(user_id, name, issuers=ISSUERS)

    async def forget(self, name: str, user_id: UserId = ANA) -> Removal:
        """Forget a passkey."""
        return await self.passkeys.remove(user_id, name, issuers=ISSUERS)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """Stores of each kind, with two accounts that have no password."""
    if request.param == "memory":
        accounts = MemoryAccountStore(
            Account(
                user_id=user_id,
                email=f"{user_id}@example.com",
                user_type=UserType.USER,
                password_hash="",
                active=True,
                token_epoch=0,
                tenant_id=None,
                roles=frozenset(),
            )
            for user_id in (ANA, BEA)
        )
        identities = MemoryIdentityStore(accounts)
        yield Stores(accounts, identities, MemoryPasskeyStore(identities))
        return
    url = f"sqlite:///{tmp_path}/ways.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for user_id in (ANA, BEA):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="", user_id=user_id)
            await create_account(connection, account)
    yield Stores(SQLAccountStore(engine), SQLIdentityStore(engine), SQLPasskeyStore(engine))
    await engine.dispose()


async def test_the_last_identity_stays(stores: Stores) -> None:
    """Another one, or a passkey, lets it go; those of another account do not."""
    await stores.link("one")
    await stores.link("hers", BEA)
    await stores.register("hers", BEA)
    assert await stores.unlink("hers") is Removal.UNKNOWN
    assert await stores.unlink("one") is Removal.LAST
    assert [each.identity_id for each in await stores.identities.list_of(ANA)] == ["one"]
    await stores.register("key")
    assert await stores.unlink("one") is Removal.DONE
    assert await stores.unlink("one") is Removal.UNKNOWN
    assert await stores.forget("key") is Removal.LAST
    await stores.link("two")
    assert await stores.forget("key") is Removal.DONE
    assert await stores.unlink("two") is Removal.LAST


@pytest.mark.parametrize(("hashed", "counts"), [("", False), ("!unusable", False), ("hash", True)])
async def test_a_password_is_a_way_in(stores: Stores, hashed: str, *, counts: bool) -> None:
    """Unless it is one that Django has marked as none."""
    assert await stores.accounts.set_password(ANA, epoch=0, new=hashed)
    await stores.link("one")
    await stores.register("key")
    assert await stores.forget("key") is Removal.DONE
    assert await stores.unlink("one") is (Removal.DONE if counts else Removal.LAST)


async def test_an_identity_of_a_provider_that_is_gone_is_no_way_in(stores: Stores) -> None:
    """Nobody can sign in there: it goes, and does not stand in for the one that works."""
    await stores.link("gone", issuer=GONE)
    await stores.link("one")
    assert await stores.unlink("one") is Removal.LAST
    assert await stores.unlink("gone") is Removal.DONE


@pytest.mark.parametrize("round_", range(3))
async def test_removals_at_once_leave_one(stores: Stores, round_: int) -> None:
    """Whoever takes off identities and passkeys all at once still has a way in."""
    names = [f"{round_}-{number}" for number in range(6)]
    for name in names:
        await stores.link(name)
        await stores.register(name)
    removals = [take(name) for name in names for take in (stores.unlink, stores.forget)]
    outcomes = await asyncio.gather(*removals)
    assert sorted(outcomes) == [Removal.DONE] * 11 + [Removal.LAST]
    left = await stores.identities.list_of(ANA), await stores.passkeys.list_of(ANA)
    assert len(left[0]) + len(left[1]) == 1


async def test_all_identities_end(stores: Stores) -> None:
    """Where a new password has just been put in place, none has to stay."""
    for name in ("one", "two"):
        await stores.link(name)
    await stores.link("hers", BEA)
    assert await stores.identities.remove_all(ANA) == 2
    assert await stores.identities.remove_all(ANA) == 0
    assert len(await stores.identities.list_of(BEA)) == 1
