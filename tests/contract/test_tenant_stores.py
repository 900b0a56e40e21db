"""Expect the same of every store of tenants and memberships."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from stockade.authentication.models import Closing
from stockade.authorization.interfaces import TenantStore
from stockade.authorization.models import Addition, Change, Invitation, Taking
from stockade.core import TenantId, UserId
from stockade.storage.sql import (
    NewAccount,
    SQLAccountStore,
    create_account,
    make_engine,
    upgrade_schema,
)
from stockade.storage.sql.invitations import SQLInvitationStore
from stockade.storage.sql.models import User
from stockade.storage.sql.tenants import SQLTenantStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ANA, BEA, CAT = UserId("ana"), UserId("bea"), UserId("cat")


class Stores(NamedTuple):
    """The two stores of one place."""

    tenants: TenantStore
    invitations: SQLInvitationStore
    engine: AsyncEngine


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """Stores of each kind, with three accounts."""
    url = f"sqlite:///{tmp_path}/tenants.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for user_id in (ANA, BEA, CAT):
            account = NewAccount(email=f"{user_id}@example.com", password_hash="", user_id=user_id)
            await create_account(connection, account)
    yield Stores(SQLTenantStore(engine), SQLInvitationStore(engine), engine)
    await engine.dispose()


async def make_tenant(stores: Stores, owner: UserId = ANA, name: str = "Acme") -> TenantId:
    """Make a tenant with an owner."""
    made = await stores.tenants.create(name, owner=owner, role="owner", most=10)
    assert made is not None
    return made


def invite(tenant_id: TenantId, name: str = "bea", **changes: object) -> Invitation:
    """Make an invitation."""
    invitation = Invitation(
        invitation_id=str(uuid.uuid4()),
        tenant_id=tenant_id,
        email=f"{name}@example.com",
        role="member",
        created_by=ANA,
        created_at=NOW,
        expires_at=NOW + timedelta(days=7),
    )
    return dataclasses.replace(invitation, **changes)  # type: ignore[arg-type]  # Any field.


async def join(stores: Stores, tenant_id: TenantId, user_id: UserId, role: str) -> None:
    """Make an account a member."""
    invitation = invite(tenant_id, user_id, role=role)
    digest = uuid.uuid4().hex * 2
    added = await stores.invitations.add(invitation, digest=digest, most=100, over=())
    assert added is Addition.DONE
    taken = await stores.invitations.accept(
        invitation, user_id, digests=[digest], givers=["owner"], now=NOW
    )
    assert taken is Taking.DONE


async def test_a_tenant_has_its_first_member(stores: Stores) -> None:
    """Whoever makes a tenant is in it, and others are not."""
    tenant_id = await make_tenant(stores)
    (own,) = await stores.tenants.list_of(ANA)
    assert (own.tenant_id, own.name, own.role) == (tenant_id, "Acme", "owner")
    assert await stores.tenants.list_of(BEA) == []
    (member,) = await stores.tenants.members(tenant_id)
    assert (member.user_id, member.email, member.role) == (ANA, "ana@example.com", "owner")
    assert await stores.tenants.role_of(tenant_id, ANA) == "owner"
    assert await stores.tenants.role_of(tenant_id, BEA) is None
    assert await stores.tenants.role_of(TenantId("nowhere"), ANA) is None


async def test_an_account_owns_so_many(stores: Stores) -> None:
    """Of many requests at once, no more come through than one account may own."""
    made = await asyncio.gather(
        *(
            stores.tenants.create(f"T{number}", owner=ANA, role="owner", most=3)
            for number in range(8)
        )
    )
    assert len([each for each in made if each is not None]) == 3
    assert len(await stores.tenants.list_of(ANA)) == 3


async def test_an_account_that_may_not_act_has_no_role(stores: Stores) -> None:
    """Whoever was locked out grants nothing."""
    tenant_id = await make_tenant(stores)
    async with stores.engine.begin() as connection:
        await connection.execute(update(User).where(User.id == ANA).values(is_active=False))
    assert await stores.tenants.role_of(tenant_id, ANA) is None
    assert await stores.tenants.role_of_member(tenant_id, ANA) == "owner"
    assert await stores.tenants.role_of_member(tenant_id, BEA) is None


async def test_a_role_changes_once(stores: Stores) -> None:
    """A change that goes by a role that is no longer held does nothing."""
    tenant_id = await make_tenant(stores)
    await join(stores, tenant_id, BEA, "member")

    async def change(old: str, new: str | None) -> Change:
        return await stores.tenants.change(tenant_id, BEA, old=old, new=new, keep="owner")

    assert await change("member", "admin") is Change.DONE
    assert await change("member", "owner") is Change.STALE
    assert await stores.tenants.role_of(tenant_id, BEA) == "admin"
    assert await change("admin", None) is Change.DONE
    assert await change("admin", None) is Change.STALE
    assert await stores.tenants.role_of(tenant_id, BEA) is None


@pytest.mark.parametrize("new", [None, "admin"], ids=["leave", "demote"])
async def test_the_last_owner_stays(stores: Stores, new: str | None) -> None:
    """The last one with the role to keep neither leaves nor loses it."""
    tenant_id = await make_tenant(stores)
    await join(stores, tenant_id, BEA, "admin")
    outcome = await stores.tenants.change(tenant_id, ANA, old="owner", new=new, keep="owner")
    assert outcome is Change.LAST
    assert await stores.tenants.role_of(tenant_id, ANA) == "owner"


async def test_an_owner_who_may_not_act_does_not_count(stores: Stores) -> None:
    """A tenant whose other owner was locked out keeps the one who can act."""
    tenant_id = await make_tenant(stores)
    await join(stores, tenant_id, BEA, "owner")
    async with stores.engine.begin() as connection:
        await connection.execute(update(User).where(User.id == BEA).values(is_active=False))
    outcome = await stores.tenants.change(tenant_id, ANA, old="owner", new=None, keep="owner")
    assert outcome is Change.LAST


@pytest.mark.parametrize("round_", range(5))
async def test_two_owners_who_leave_at_once(stores: Stores, round_: int) -> None:
    """One of them stays, whoever comes first."""
    tenant_id = await make_tenant(stores, name=f"Acme {round_}")
    await join(stores, tenant_id, BEA, "owner")
    await join(stores, tenant_id, CAT, "owner")
    outcomes = await asyncio.gather(
        *(
            stores.tenants.change(tenant_id, user_id, old="owner", new=new, keep="owner")
            for user_id, new in ((ANA, None), (BEA, "member"), (CAT, None))
        )
    )
    assert sorted(outcomes) == [Change.DONE, Change.DONE, Change.LAST]
    roles = [member.role for member in await stores.tenants.members(tenant_id)]
    assert roles.count("owner") == 1


@pytest.mark.parametrize("round_", range(5))
async def test_an_owner_does_not_leave_while_the_other_is_deleted(
    stores: Stores, round_: int
) -> None:
    """A membership and an account end at once, and one owner stays."""
    tenant_id = await make_tenant(stores, name=f"Acme {round_}")
    await join(stores, tenant_id, BEA, "owner")
    accounts = SQLAccountStore(stores.engine)
    left, gone = await asyncio.gather(
        stores.tenants.change(tenant_id, ANA, old="owner", new=None, keep="owner"),
        accounts.delete(BEA),
    )
    assert (left, gone) in {
        (Change.DONE, Closing.LAST_OWNER),
        (Change.LAST, Closing.DONE),
    }
    assert [each.role for each in await stores.tenants.members(tenant_id)] == ["owner"]
