"""Expect the same of every store of invitations."""

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

from stockade.authorization.interfaces import TenantStore
from stockade.authorization.models import Addition, Invitation, Taking
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
FIRST, SECOND, OTHER = (letter * 64 for letter in "abc")
ALL = ("owner", "admin", "member")
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


async def add(stores: Stores, invitation: Invitation, digest: str = FIRST, most: int = 10) -> None:
    """Keep an invitation, in the place of whichever other one."""
    added = await stores.invitations.add(invitation, digest=digest, most=most, over=ALL)
    assert added is Addition.DONE


async def accept(
    stores: Stores,
    invitation: Invitation,
    user_id: UserId = BEA,
    digest: str = FIRST,
    now: datetime = NOW,
) -> Taking:
    """Take an invitation."""
    return await stores.invitations.accept(
        invitation, user_id, digests=[OTHER, digest], givers=["owner"], now=now
    )


async def register(stores: Stores, invitation: Invitation, user_id: str) -> Taking:
    """Make an account with an invitation."""
    return await stores.invitations.register(
        invitation,
        UserId(user_id),
        password_hash="hash",
        digests=[FIRST],
        givers=["owner"],
        now=NOW,
    )


async def test_an_invitation_is_used_once(stores: Stores) -> None:
    """Of many who take it at once, one gets in."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id)
    await add(stores, invitation)
    assert await stores.invitations.find([OTHER, FIRST], now=NOW) == invitation
    came = await asyncio.gather(*(accept(stores, invitation) for _ in range(6)))
    assert came.count(Taking.DONE) == 1
    assert len(await stores.tenants.members(tenant_id)) == 2
    assert await stores.invitations.find([FIRST], now=NOW) is None


async def test_of_many_registrations_one_makes_the_account(stores: Stores) -> None:
    """In the tenant, with the role, and nothing is left of the others."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id, "new", mailed=True, role="admin")
    await add(stores, invitation)
    assert not await stores.invitations.has_account("new@example.com")
    came = await asyncio.gather(*(register(stores, invitation, f"n{n}") for n in range(6)))
    assert came.count(Taking.DONE) == 1
    assert await stores.invitations.has_account("new@example.com")
    account = await SQLAccountStore(stores.engine).find_by_email("new@example.com")
    assert account is not None
    assert (account.tenant_id, *account.roles) == (tenant_id, "admin")
    assert account.email_verified
    assert account.user_id == f"n{came.index(Taking.DONE)}"


@pytest.mark.parametrize("change", ["late", "token", "giver", "revoked"])
async def test_a_registration_that_fails_leaves_no_account(stores: Stores, change: str) -> None:
    """Whatever is wrong with the invitation."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id, "new", mailed=True)
    await add(stores, invitation)
    if change == "revoked":
        assert await stores.invitations.revoke(tenant_id, invitation.invitation_id)
    outcome = await stores.invitations.register(
        invitation,
        UserId("new"),
        password_hash="hash",
        digests=[OTHER if change == "token" else FIRST],
        givers=["admin" if change == "giver" else "owner"],
        now=invitation.expires_at if change == "late" else NOW,
    )
    assert outcome is (Taking.VOID if change == "giver" else Taking.GONE)
    assert not await stores.invitations.has_account("new@example.com")


async def test_an_address_that_has_an_account_registers_nobody(stores: Stores) -> None:
    """Also one that was made meanwhile; the invitation is still there for its owner."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id, mailed=True)
    await add(stores, invitation)
    assert await register(stores, invitation, "second") is Taking.KNOWN
    assert await accept(stores, invitation) is Taking.DONE


async def test_only_the_address_gets_in(stores: Stores) -> None:
    """Another account with the token does not, nor an inactive one, nor one that is gone."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id)
    await add(stores, invitation)
    assert await accept(stores, invitation, CAT) is Taking.ADDRESS
    assert await accept(stores, invitation, UserId("nobody")) is Taking.ADDRESS
    async with stores.engine.begin() as connection:
        await connection.execute(update(User).where(User.id == BEA).values(is_active=False))
    assert await accept(stores, invitation) is Taking.ADDRESS
    assert await stores.invitations.find([FIRST], now=NOW) == invitation


@pytest.mark.parametrize("mailed", [True, False])
async def test_a_mailed_token_shows_whose_the_address_is(stores: Stores, *, mailed: bool) -> None:
    """One that was shown to somebody else shows nothing of the kind."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id, mailed=mailed)
    await add(stores, invitation)
    async with stores.engine.begin() as connection:
        await connection.execute(update(User).where(User.id == BEA).values(email_verified=False))
    assert await accept(stores, invitation) is (Taking.DONE if mailed else Taking.ADDRESS)
    account = await SQLAccountStore(stores.engine).find_by_email("bea@example.com")
    assert account is not None
    assert account.email_verified is mailed


@pytest.mark.parametrize("change", ["demote", "remove", "deactivate"])
async def test_an_invitation_is_worth_what_its_sender_may_give(stores: Stores, change: str) -> None:
    """At the taking, whatever was so at the sending."""
    tenant_id = await make_tenant(stores)
    first = invite(tenant_id, "cat", role="owner")
    await add(stores, first)
    assert await accept(stores, first, CAT) is Taking.DONE
    invitation = invite(tenant_id)
    await add(stores, invitation)
    if change == "deactivate":
        await SQLAccountStore(stores.engine).set_active(ANA, active=False)
    else:
        new = "member" if change == "demote" else None
        await stores.tenants.change(tenant_id, ANA, old="owner", new=new, keep="owner")
    assert await accept(stores, invitation) is Taking.VOID
    assert await stores.tenants.role_of(tenant_id, BEA) is None


@pytest.mark.parametrize("round_", range(5))
async def test_a_removal_at_the_same_moment_has_an_order(stores: Stores, round_: int) -> None:
    """Nobody gets in by somebody whose removal was over before."""
    tenant_id = await make_tenant(stores, name=f"Acme {round_}")
    first = invite(tenant_id, "cat", role="owner")
    await add(stores, first)
    assert await accept(stores, first, CAT) is Taking.DONE
    invitation = invite(tenant_id)
    await add(stores, invitation)
    _, taken = await asyncio.gather(
        stores.tenants.change(tenant_id, ANA, old="owner", new=None, keep="owner"),
        accept(stores, invitation),
    )
    assert taken in {Taking.DONE, Taking.VOID}
    joined = await stores.tenants.role_of(tenant_id, BEA)
    assert joined == ("member" if taken is Taking.DONE else None)
    if taken is Taking.VOID:
        assert await accept(stores, invitation) is Taking.VOID


async def test_an_invitation_ends(stores: Stores) -> None:
    """At its very end it is neither found nor listed nor used nor sent anew."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id)
    await add(stores, invitation)
    just, over = invitation.expires_at - timedelta(microseconds=1), invitation.expires_at
    assert await stores.invitations.list_of(tenant_id, now=just) == [invitation]
    assert await stores.invitations.find([FIRST], now=just) == invitation
    assert await stores.invitations.list_of(tenant_id, now=over) == []
    assert await stores.invitations.find([FIRST], now=over) is None
    assert await accept(stores, invitation, now=over) is Taking.GONE
    assert not await stores.invitations.renew(invitation, digest=SECOND, now=over)
    assert await stores.tenants.role_of(tenant_id, BEA) is None
    assert await accept(stores, invitation, now=just) is Taking.DONE


async def test_a_new_invitation_takes_the_place_of_the_old_one(stores: Stores) -> None:
    """One address has one invitation into a tenant: the newest; its role is the newest as well."""
    tenant_id = await make_tenant(stores)
    old, new = invite(tenant_id, role="admin"), invite(tenant_id)
    await add(stores, old, most=1)
    await add(stores, new, SECOND, most=1)
    assert await stores.invitations.find([FIRST], now=NOW) is None
    assert await accept(stores, old) is Taking.GONE
    assert await accept(stores, new, digest=SECOND) is Taking.DONE
    assert await stores.tenants.role_of(tenant_id, BEA) == "member"


async def test_of_invitations_made_at_once_one_holds(stores: Stores) -> None:
    """Also from two senders."""
    tenant_id = await make_tenant(stores)
    digests = [f"{number:064d}" for number in range(10)]
    await asyncio.gather(*(add(stores, invite(tenant_id), each) for each in digests))
    assert len(await stores.invitations.list_of(tenant_id, now=NOW)) == 1


async def test_an_invitation_to_a_higher_role_stays(stores: Stores) -> None:
    """Whoever could not take it back does not replace it either, unless it is over."""
    tenant_id = await make_tenant(stores)
    high = invite(tenant_id, role="owner")
    await add(stores, high)
    low = invite(tenant_id)
    over = ["admin", "member"]
    outcome = await stores.invitations.add(low, digest=SECOND, most=10, over=over)
    assert outcome is Addition.HELD
    assert await stores.invitations.find([FIRST], now=NOW) == high
    late = dataclasses.replace(low, created_at=high.expires_at)
    outcome = await stores.invitations.add(late, digest=SECOND, most=10, over=over)
    assert outcome is Addition.DONE


async def test_an_invitation_is_sent_anew(stores: Stores) -> None:
    """With another token, end and sender; the token of before ends at once."""
    tenant_id = await make_tenant(stores)
    invitation = invite(tenant_id)
    await add(stores, invitation)
    renewed = dataclasses.replace(
        invitation, created_by=CAT, expires_at=NOW + timedelta(days=9), mailed=True
    )
    assert await stores.invitations.renew(renewed, digest=SECOND, now=NOW)
    assert await stores.invitations.find([FIRST], now=NOW) is None
    assert await stores.invitations.find([SECOND], now=NOW) == renewed
    elsewhere = dataclasses.replace(renewed, tenant_id=await make_tenant(stores, BEA, "Globex"))
    assert not await stores.invitations.renew(elsewhere, digest=OTHER, now=NOW)
    assert await stores.invitations.revoke(tenant_id, invitation.invitation_id)
    assert not await stores.invitations.renew(renewed, digest=OTHER, now=NOW)
    assert await stores.invitations.list_of(tenant_id, now=NOW) == []


async def test_so_many_invitations_hold(stores: Stores) -> None:
    """A tenant has so many at once; those that are over make room."""
    tenant_id = await make_tenant(stores)
    await add(stores, invite(tenant_id, "x", expires_at=NOW + timedelta(hours=1)), most=1)
    full = await stores.invitations.add(invite(tenant_id, "y"), digest=SECOND, most=1, over=ALL)
    assert full is Addition.FULL
    later = invite(tenant_id, "y", created_at=NOW + timedelta(hours=1))
    await add(stores, later, SECOND, most=1)


async def test_a_member_is_not_invited(stores: Stores) -> None:
    """Whoever is in gets no second way in, and no other role by one of before."""
    tenant_id = await make_tenant(stores)
    earlier = invite(tenant_id, role="admin")
    await add(stores, earlier)
    await SQLAccountStore(stores.engine).join(BEA, tenant_id, "member")
    refused = await stores.invitations.add(invite(tenant_id), digest=SECOND, most=10, over=ALL)
    assert refused is Addition.MEMBER
    assert await accept(stores, earlier) is Taking.KNOWN
    assert await stores.tenants.role_of(tenant_id, BEA) == "member"
    assert await stores.invitations.find([FIRST], now=NOW) == earlier


async def test_an_invitation_is_taken_back_in_its_tenant(stores: Stores) -> None:
    """Another tenant can't end it, and it ends once."""
    tenant_id = await make_tenant(stores)
    elsewhere = await make_tenant(stores, BEA, "Globex")
    invitation = invite(tenant_id, "cat")
    await add(stores, invitation)
    assert not await stores.invitations.revoke(elsewhere, invitation.invitation_id)
    assert await stores.invitations.list_of(elsewhere, now=NOW) == []
    assert await stores.invitations.revoke(tenant_id, invitation.invitation_id)
    assert not await stores.invitations.revoke(tenant_id, invitation.invitation_id)
    assert await accept(stores, invitation, CAT) is Taking.GONE
