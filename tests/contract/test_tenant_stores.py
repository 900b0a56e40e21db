"""Expect the same of every store of tenants, memberships and invitations."""

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

from stockade.authorization.interfaces import InvitationStore, TenantStore
from stockade.authorization.models import Change, Invitation
from stockade.core import TenantId, UserId
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from stockade.storage.sql.models import User
from stockade.storage.sql.tenants import SQLInvitationStore, SQLTenantStore

NOW = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ANA, BEA, CAT = UserId("ana"), UserId("bea"), UserId("cat")
FIRST, SECOND, OTHER = (letter * 64 for letter in "abc")


class Stores(NamedTuple):
    """The two stores of one place."""

    tenants: TenantStore
    invitations: InvitationStore
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
    assert await stores.invitations.add(invitation, digest=uuid.uuid4().hex * 2, most=100)
    assert await stores.invitations.accept(invitation, user_id, now=NOW)


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


async def test_an_invitation_is_used_once(stores: Stores) -> None:
    """Of many who come at once, one gets in."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id)
    assert await stores.invitations.add(invitation, digest=FIRST, most=10)
    assert await stores.invitations.find([OTHER, FIRST], now=NOW) == invitation
    came = await asyncio.gather(
        *(stores.invitations.accept(invitation, user_id, now=NOW) for user_id in (BEA, CAT) * 3)
    )
    assert came.count(True) == 1
    assert len(await stores.tenants.members(tenant_id)) == 2
    assert await stores.invitations.find([FIRST], now=NOW) is None


async def test_an_invitation_ends(stores: Stores) -> None:
    """After its time it is neither found nor listed nor used."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id)
    assert await stores.invitations.add(invitation, digest=FIRST, most=10)
    just, over = invitation.expires_at - timedelta(seconds=1), invitation.expires_at
    assert await stores.invitations.list_of(tenant_id, now=just) == [invitation]
    assert await stores.invitations.list_of(tenant_id, now=over) == []
    assert await stores.invitations.find([FIRST], now=over) is None
    assert not await stores.invitations.accept(invitation, BEA, now=over)
    assert await stores.tenants.role_of(tenant_id, BEA) is None


async def test_a_new_invitation_takes_the_place_of_the_old_one(stores: Stores) -> None:
    """One address has one invitation into a tenant: the newest; its role is the newest as well."""
    tenant_id = await make_tenant(stores)
    old, new = invite(tenant_id, role="admin"), invite(tenant_id)
    assert await stores.invitations.add(old, digest=FIRST, most=1)
    assert await stores.invitations.add(new, digest=SECOND, most=1)
    assert await stores.invitations.find([FIRST], now=NOW) is None
    assert not await stores.invitations.accept(old, BEA, now=NOW)
    assert await stores.invitations.accept(new, BEA, now=NOW)
    assert await stores.tenants.role_of(tenant_id, BEA) == "member"


async def test_so_many_invitations_hold(stores: Stores) -> None:
    """A tenant has so many at once; those that are over make room."""
    tenant_id = await make_tenant(stores)
    short = invite(tenant_id, "x", expires_at=NOW + timedelta(hours=1))
    assert await stores.invitations.add(short, digest=FIRST, most=1)
    assert not await stores.invitations.add(invite(tenant_id, "y"), digest=SECOND, most=1)
    later = invite(tenant_id, "y", created_at=NOW + timedelta(hours=1))
    assert await stores.invitations.add(later, digest=SECOND, most=1)


async def test_a_member_is_not_invited(stores: Stores) -> None:
    """Whoever is in gets no second way in, and no other role by it."""
    tenant_id = await make_tenant(stores)
    await join(stores, tenant_id, BEA, "member")
    assert not await stores.invitations.add(invite(tenant_id), digest=FIRST, most=10)
    other = invite(tenant_id, "other", role="admin")
    assert await stores.invitations.add(other, digest=SECOND, most=10)
    assert not await stores.invitations.accept(other, BEA, now=NOW)
    assert await stores.tenants.role_of(tenant_id, BEA) == "member"
    assert await stores.invitations.find([SECOND], now=NOW) == other


async def test_an_invitation_is_taken_back_in_its_tenant(stores: Stores) -> None:
    """Another tenant can't end it, and it ends once."""
    tenant_id = await make_tenant(stores)
    elsewhere = await make_tenant(stores, BEA, "Globex")
    invitation = invite(tenant_id, "x")
    assert await stores.invitations.add(invitation, digest=FIRST, most=10)
    assert not await stores.invitations.revoke(elsewhere, invitation.invitation_id)
    assert await stores.invitations.list_of(elsewhere, now=NOW) == []
    assert await stores.invitations.revoke(tenant_id, invitation.invitation_id)
    assert not await stores.invitations.revoke(tenant_id, invitation.invitation_id)
    assert not await stores.invitations.accept(invitation, BEA, now=NOW)
