import asyncio
import dataclasses
from collections.abc import Iterator

import pytest

from stockade.authentication.errors import InvalidLinkError, PasswordRefusedError
from stockade.core import AuthenticationMethod, Principal, TenantId, UserId
from stockade.core.mail import Message
from stockade.errors import ForbiddenError
from tests.unit.authentication.accounts import (
    BARE,
    BEA,
    NEWCOMER,
    WEAK,
    AccountBench,
    token_in,
)
from tests.unit.authentication.helpers import random_password

FRESH = random_password()
HOME = "192.0.2.1"
CLEO = "cleo@example.org"
ZETA = TenantId("zeta")
ADMIN = Principal(
    user_id=UserId("boss"),
    email="boss@example.org",
    tenant_id=ZETA,
    roles=frozenset({"admin", "auditor"}),
)
BOSS = dataclasses.replace(
    BEA, user_id=ADMIN.user_id, email=ADMIN.email, tenant_id=ZETA, roles=ADMIN.roles
)
CALLER = Principal(user_id=BEA.user_id, email=BEA.email, tenant_id=BEA.tenant_id)


@pytest.fixture
def bench() -> Iterator[AccountBench]:
    """Services in memory, for those who were invited."""
    made = AccountBench(registration="invited")
    made.accounts.put(BOSS)
    yield made
    made.close()


async def invite(
    bench: AccountBench, email: str = CLEO, role: str = "member", *, caller: Principal = ADMIN
) -> list[Message]:
    """Invite somebody, and return what was mailed."""
    await bench.services.invitations.invite(caller, email, role, address=HOME, scope=None)
    return await bench.mails()


async def link(bench: AccountBench, email: str = CLEO, role: str = "member") -> str:
    """Invite somebody, and return the token."""
    (message,) = await invite(bench, email, role)
    assert message.to == email.lower()
    return token_in(message)


async def register(bench: AccountBench, token: str, password: str = FRESH) -> None:
    """Choose the first password."""
    await bench.services.invitations.register(token, password, scope=None)


async def accept(bench: AccountBench, token: str, caller: Principal = CALLER) -> None:
    """Join with the account of the caller."""
    await bench.services.invitations.accept(caller, token, scope=None)


async def test_an_invitation_makes_an_account_in_the_tenant(bench: AccountBench) -> None:
    """With the role that the invitation gives, and once."""
    token = await link(bench, role="auditor")
    await register(bench, token)
    account = await bench.sign_in.sign_in(CLEO, FRESH)
    assert (account.tenant_id, account.roles) == (ZETA, frozenset({"auditor"}))
    assert account.email_verified
    with pytest.raises(InvalidLinkError):
        await register(bench, token)
    assert [reason for _, reason in bench.reasons()] == [
        "authentication.invitation_sent",
        "authentication.account_registered",
    ]
    assert CLEO not in repr(list(bench.sink))


async def test_an_account_joins_the_tenant(bench: AccountBench) -> None:
    """Its own tenant stays the default one, and its password what it is."""
    token = await link(bench, BEA.email)
    with pytest.raises(InvalidLinkError) as caught:
        await register(bench, token)
    assert caught.value.reason == "authentication.account_exists"
    await accept(bench, token)
    assert await bench.account() == BEA
    there = await bench.accounts.find_by_id(BEA.user_id, ZETA)
    assert there is not None
    assert there.roles == {"member"}
    assert there.password_hash == BEA.password_hash
    with pytest.raises(InvalidLinkError):
        await accept(bench, token)


async def test_a_member_stays_what_it_is(bench: AccountBench) -> None:
    """An invitation changes no role."""
    await bench.accounts.join(BEA.user_id, ZETA, "owner")
    await accept(bench, await link(bench, BEA.email))
    there = await bench.accounts.find_by_id(BEA.user_id, ZETA)
    assert there is not None
    assert there.roles == {"owner"}


async def test_an_invitation_is_for_its_recipient(bench: AccountBench) -> None:
    """Whoever gets hold of it joins nothing, and uses nothing up."""
    token = await link(bench)
    with pytest.raises(InvalidLinkError):
        await accept(bench, token)
    nobody = dataclasses.replace(CALLER, user_id=UserId("corp:cleo"), email=CLEO)
    with pytest.raises(InvalidLinkError):
        await accept(bench, token, nobody)
    await register(bench, token)


@pytest.mark.parametrize(
    ("change", "role", "reason"),
    [
        ({"roles": frozenset({"member"})}, "member", "tenant_admin_needed"),
        ({"roles": frozenset({"auditor"})}, "auditor", "tenant_admin_needed"),
        ({"tenant_id": None}, "member", "tenant_admin_needed"),
        ({}, "owner", "role_not_held"),
        ({}, "super_admin", "role_not_held"),
        ({}, "", "role_not_held"),
        ({"method": AuthenticationMethod.API_KEY}, "member", "api_key_not_enough"),
    ],
)
async def test_nobody_makes_others_more_than_they_are(
    bench: AccountBench, change: dict[str, object], role: str, reason: str
) -> None:
    """Nor invites without being an admin of the tenant, nor by a key."""
    caller = dataclasses.replace(ADMIN, **change)  # type: ignore[arg-type]  # Any field.
    with pytest.raises(ForbiddenError) as caught:
        await invite(bench, role=role, caller=caller)
    assert caught.value.reason == f"authentication.{reason}"
    assert await bench.mails() == []


async def test_an_inviter_does_not_learn_who_has_an_account(bench: AccountBench) -> None:
    """The mails differ in their recipient and token alone."""
    texts = set()
    for email in (CLEO, BEA.email, NEWCOMER.email):
        (message,) = await invite(bench, email)
        texts.add(message.text.replace(token_in(message), ""))
    assert len(texts) == 1


async def test_the_newest_invitation_holds(bench: AccountBench) -> None:
    """A second one with a lesser role takes the first back; one of another tenant does not."""
    first = await link(bench, role="admin")
    other = dataclasses.replace(ADMIN, tenant_id=TenantId("acme"))
    bench.accounts.put(dataclasses.replace(BOSS, tenant_id=other.tenant_id))
    (elsewhere,) = await invite(bench, caller=other)
    second = await link(bench)
    with pytest.raises(InvalidLinkError):
        await register(bench, first)
    await register(bench, second)
    account = await bench.sign_in.sign_in(CLEO, FRESH)
    assert account.roles == {"member"}
    cleo = dataclasses.replace(CALLER, user_id=account.user_id, email=CLEO)
    await accept(bench, token_in(elsewhere), cleo)
    assert await bench.accounts.find_by_id(account.user_id, TenantId("acme")) is not None


async def test_of_many_at_once_one_makes_the_account(bench: AccountBench) -> None:
    """The others find the link used up, or the account there."""
    token = await link(bench)
    outcomes = await asyncio.gather(
        *(register(bench, token, random_password()) for _ in range(8)), return_exceptions=True
    )
    assert outcomes.count(None) == 1
    assert [type(each) for each in outcomes].count(InvalidLinkError) == 7


async def test_a_weak_password_uses_no_invitation_up(bench: AccountBench) -> None:
    """It is tried again with the same one."""
    token = await link(bench)
    with pytest.raises(PasswordRefusedError):
        await register(bench, token, WEAK)
    await register(bench, token)


async def test_an_invitation_ends_in_time(bench: AccountBench) -> None:
    """After a day it is none."""
    token = await link(bench)
    bench.clock.advance(24 * 3600)
    with pytest.raises(InvalidLinkError):
        await register(bench, token)


async def test_an_invitation_is_no_other_link(bench: AccountBench) -> None:
    """It resets no password and confirms no address."""
    token = await link(bench, BEA.email)
    for attempt in (
        bench.services.recovery.reset(token, FRESH, scope=None),
        bench.services.email_change.allow(token, address=HOME, scope=None),
        bench.services.email_change.confirm(token, scope=None),
    ):
        with pytest.raises(InvalidLinkError):
            await attempt
    await accept(bench, token)


async def test_a_closed_application_invites_nobody() -> None:
    """Also not with an invitation from when it was not closed."""
    bench = AccountBench()
    token = "stkl_" + "A" * 43
    for attempt in (invite(bench), register(bench, token), accept(bench, token)):
        with pytest.raises(ForbiddenError) as caught:
            await attempt
        assert caught.value.reason == "authentication.registration_closed"
    bench.close()


async def test_whoever_was_invited_alone_may_register(bench: AccountBench) -> None:
    """An address without an invitation gets no link; an account without a password stays so."""
    with pytest.raises(ForbiddenError):
        await bench.services.registration.ask(CLEO, address=HOME, scope=None)
    token = await link(bench, BARE.email)
    with pytest.raises(InvalidLinkError):
        await register(bench, token)
    assert await bench.account(BARE) == BARE


@pytest.mark.parametrize(
    "change",
    [{"active": False}, {"roles": frozenset({"member"})}, {"roles": frozenset({"admin"})}],
    ids=["deactivated", "no admin any more", "without the role that it gives"],
)
async def test_an_invitation_ends_with_what_its_inviter_may(
    bench: AccountBench, change: dict[str, object]
) -> None:
    """Whoever can't give a role any longer gives it by no letter of before either."""
    tokens = [await link(bench, email, "auditor") for email in (CLEO, BEA.email)]
    bench.accounts.put(dataclasses.replace(BOSS, **change))  # type: ignore[arg-type]  # Any field.
    with pytest.raises(InvalidLinkError) as newcomer:
        await register(bench, tokens[0])
    with pytest.raises(InvalidLinkError) as member:
        await accept(bench, tokens[1])
    assert newcomer.value.reason == member.value.reason == "authentication.inviter_gone"
    bench.accounts.put(BOSS)
    await register(bench, tokens[0])
