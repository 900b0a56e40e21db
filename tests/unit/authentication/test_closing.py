import dataclasses
from collections.abc import Iterator

import pytest

from stockade.authentication.errors import (
    InvalidCredentialsError,
    InvalidLinkError,
    InvalidTokenError,
)
from stockade.authentication.sessions import Client
from stockade.core import AuthenticationMethod, Principal, TenantId, UserId
from stockade.errors import ForbiddenError, LastOwnerError
from tests.unit.authentication.accounts import BEA, PASSWORD, AccountBench, token_in

CALLER = Principal(user_id=BEA.user_id, email=BEA.email, tenant_id=BEA.tenant_id)


@pytest.fixture
def bench() -> Iterator[AccountBench]:
    """Services in memory."""
    made = AccountBench()
    yield made
    made.close()


async def test_an_account_is_switched_off(bench: AccountBench) -> None:
    """It signs in no more, its sessions end, its links are worth nothing, and its owner is told."""
    await bench.services.recovery.ask(BEA.email, address="", scope=None)
    (link,) = await bench.mails()
    grant = await bench.sessions.begin(BEA, Client())
    await bench.services.closing.deactivate(CALLER, scope=None)
    assert [message.to for message in await bench.mails()] == [BEA.email]
    with pytest.raises(InvalidCredentialsError) as caught:
        await bench.sign_in.sign_in(BEA.email, PASSWORD)
    assert caught.value.reason == "authentication.account_inactive"
    # Also after somebody has switched it on again.
    await bench.accounts.set_active(BEA.user_id, active=True)
    with pytest.raises(InvalidTokenError):
        await bench.sessions.refresh(grant.refresh, Client())
    with pytest.raises(InvalidLinkError):
        await bench.services.recovery.reset(token_in(link), PASSWORD + "x", scope=None)
    assert ("account_changed", "authentication.account_deactivated") in bench.reasons()


async def test_an_account_is_deleted(bench: AccountBench) -> None:
    """Nothing of it signs in or refreshes, and its owner is told once more."""
    grant = await bench.sessions.begin(BEA, Client())
    await bench.services.closing.delete(CALLER, scope=None)
    assert [message.to for message in await bench.mails()] == [BEA.email]
    assert await bench.accounts.find_by_id(BEA.user_id, None) is None
    with pytest.raises(InvalidTokenError):
        await bench.sessions.refresh(grant.refresh, Client())
    with pytest.raises(InvalidTokenError):
        await bench.services.closing.delete(CALLER, scope=None)
    assert ("account_changed", "authentication.account_deleted") in bench.reasons()
    assert BEA.email not in repr(list(bench.sink))


@pytest.mark.parametrize("method", [AuthenticationMethod.API_KEY, AuthenticationMethod.BASIC])
async def test_a_program_closes_no_account(
    bench: AccountBench, method: AuthenticationMethod
) -> None:
    """Its key is no sign-in."""
    caller = dataclasses.replace(CALLER, method=method)
    for close in (bench.services.closing.deactivate, bench.services.closing.delete):
        with pytest.raises(ForbiddenError):
            await close(caller, scope=None)
    assert await bench.account() == BEA


async def test_the_last_owner_does_not_go(bench: AccountBench) -> None:
    """Neither for a while nor for good, unless the tenant goes along by name."""
    owner = dataclasses.replace(BEA, tenant_id=TenantId("acme"), roles=frozenset({"owner"}))
    bench.accounts.put(owner)
    closing = bench.services.closing
    with pytest.raises(LastOwnerError) as caught:
        await closing.deactivate(CALLER, scope=None)
    assert caught.value.code == "last_owner"
    for tenants in ((), (TenantId("other"),), (TenantId("acme"), TenantId("other"))):
        with pytest.raises(LastOwnerError):
            await closing.delete(CALLER, tenants=tenants, scope=None)
    assert await bench.accounts.find_by_email(BEA.email) is not None
    assert await bench.mails() == []
    await closing.delete(CALLER, tenants=[TenantId("acme")], scope=None)
    assert await bench.accounts.find_by_email(BEA.email) is None
    event = list(bench.sink)[-1]
    assert event.details["tenants"] == "acme"


async def test_an_account_of_an_outside_issuer_is_not_ours(bench: AccountBench) -> None:
    """There is nothing here to close."""
    caller = dataclasses.replace(CALLER, user_id=UserId("corp:bea"))
    for close in (bench.services.closing.deactivate, bench.services.closing.delete):
        with pytest.raises(InvalidTokenError):
            await close(caller, scope=None)
    assert await bench.account() == BEA
