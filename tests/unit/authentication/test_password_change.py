import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from stockade.authentication.errors import (
    InvalidCredentialsError,
    InvalidTokenError,
    PasswordRefusedError,
    WrongPasswordError,
)
from stockade.authentication.models import Account
from stockade.authentication.sessions import Client
from stockade.core import AuthenticationMethod, Principal, UserId
from stockade.errors import ForbiddenError, RateLimitedError
from tests.unit.authentication.accounts import BARE, BEA, PASSWORD, WEAK, AccountBench
from tests.unit.authentication.helpers import random_password

FRESH = random_password()
HOME = "192.0.2.1"
CALLER = Principal(
    user_id=BEA.user_id,
    email=BEA.email,
    tenant_id=BEA.tenant_id,
    authenticated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def bench() -> Iterator[AccountBench]:
    """Services in memory."""
    made = AccountBench()
    yield made
    made.close()


async def change(
    bench: AccountBench,
    current: str = PASSWORD,
    new: str = FRESH,
    *,
    caller: Principal = CALLER,
    address: str = HOME,
) -> Account:
    """Change the password."""
    change = bench.services.change.change
    return await change(caller, current, new, address=address, scope=None)


async def test_the_new_password_takes_the_place_of_the_current_one(bench: AccountBench) -> None:
    """The owner is told, and the event says how."""
    account = await change(bench)
    assert account == await bench.account()
    assert account.token_epoch == BEA.token_epoch + 1
    await bench.sign_in.sign_in(BEA.email, FRESH)
    with pytest.raises(InvalidCredentialsError):
        await bench.sign_in.sign_in(BEA.email, PASSWORD)
    (notice,) = await bench.mails()
    assert notice.to == BEA.email
    assert bench.reasons() == [("password_changed", "authentication.password_replaced")]
    said = repr(list(bench.sink))
    assert FRESH not in said
    assert PASSWORD not in said


async def test_every_session_of_before_ends(bench: AccountBench) -> None:
    """So does one that begins with the old password while it is changed; the new one goes on."""
    half_way = await bench.sign_in.sign_in(BEA.email, PASSWORD)
    grant = await bench.sessions.begin(half_way, Client())
    account = await change(bench)
    late = await bench.sessions.begin(half_way, Client())
    for token in (grant.refresh, late.refresh):
        with pytest.raises(InvalidTokenError):
            await bench.sessions.refresh(token, Client())
    mine = await bench.sessions.begin(account, Client())
    await bench.sessions.refresh(mine.refresh, Client())


async def test_another_current_password_changes_nothing(bench: AccountBench) -> None:
    """Whoever finds a browser open does not keep its owner out."""
    for guess in ("guess", "", FRESH, PASSWORD + "\0", "a" * 1024):
        with pytest.raises(WrongPasswordError) as caught:
            await change(bench, guess)
        assert caught.value.reason == "authentication.wrong_password"
    assert await bench.account() == BEA
    assert await bench.mails() == []


@pytest.mark.parametrize("new", [WEAK, "é" * 37], ids=["weak", "long"])
async def test_a_weak_password_changes_nothing(bench: AccountBench, new: str) -> None:
    """The rules are those of every new password."""
    with pytest.raises(PasswordRefusedError):
        await change(bench, new=new)
    assert await bench.account() == BEA


async def test_an_account_without_a_password_has_none_to_change(bench: AccountBench) -> None:
    """No password is the right one for it."""
    caller = dataclasses.replace(CALLER, user_id=BARE.user_id)
    for guess in ("", PASSWORD):
        with pytest.raises(WrongPasswordError):
            await change(bench, guess, caller=caller)


async def test_an_account_that_must_have_no_password_gets_none(bench: AccountBench) -> None:
    """What Django has marked so gets a password neither by a link nor by a session."""
    marked = dataclasses.replace(BEA, password_hash="!unusable")
    bench.accounts.put(marked)
    with pytest.raises(ForbiddenError) as caught:
        await bench.services.change.set_first(CALLER, FRESH, scope=None)
    assert caught.value.reason == "authentication.account_without_password"
    assert await bench.account() == marked


@pytest.mark.parametrize("method", [AuthenticationMethod.API_KEY, AuthenticationMethod.BASIC])
async def test_a_program_changes_no_password(
    bench: AccountBench, method: AuthenticationMethod
) -> None:
    """Its key is no sign-in."""
    with pytest.raises(ForbiddenError) as caught:
        await change(bench, caller=dataclasses.replace(CALLER, method=method))
    assert caught.value.reason == "authentication.api_key_not_enough"


@pytest.mark.parametrize("account", [None, dataclasses.replace(BEA, active=False)])
async def test_an_account_that_is_gone_changes_nothing(
    bench: AccountBench, account: Account | None
) -> None:
    """Its token may hold for a moment longer."""
    caller = CALLER
    if account is None:
        caller = dataclasses.replace(CALLER, user_id=UserId("corp:bea"))
    else:
        bench.accounts.put(account)
    with pytest.raises(InvalidTokenError):
        await change(bench, caller=caller)


async def test_of_changes_at_once_one_comes_through(bench: AccountBench) -> None:
    """All of them knew the current password."""
    words = [random_password() for _ in range(6)]
    outcomes = await asyncio.gather(
        *(change(bench, new=word) for word in words), return_exceptions=True
    )
    won = [index for index, each in enumerate(outcomes) if isinstance(each, Account)]
    assert len(won) == 1
    assert {type(each) for each in outcomes} == {Account, InvalidTokenError}
    await bench.sign_in.sign_in(BEA.email, words[won[0]])


async def test_a_stolen_session_guesses_no_faster_than_a_stranger() -> None:
    """Attempts count together with those to sign in, right ones as well."""
    bench = AccountBench(limited=True, attempts_per_address=5)
    for _ in range(5):
        with pytest.raises(WrongPasswordError):
            await change(bench, "guess")
    with pytest.raises(RateLimitedError) as caught:
        await change(bench)
    assert caught.value.reason == "authentication.too_many_attempts"
    await change(bench, address="198.51.100.1")
    bench.close()
