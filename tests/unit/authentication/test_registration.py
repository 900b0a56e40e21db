import asyncio
from collections.abc import Iterator

import pytest

from stockade.authentication.errors import InvalidLinkError, PasswordRefusedError
from stockade.authentication.models import NewAccount
from stockade.core.mail import Message
from stockade.errors import ForbiddenError, RateLimitedError
from tests.unit.authentication.accounts import BEA, OFF, WEAK, AccountBench, token_in
from tests.unit.authentication.helpers import random_password

FRESH = random_password()
HOME = "192.0.2.1"
CLEO = "cleo@example.org"


@pytest.fixture
def bench() -> Iterator[AccountBench]:
    """Services in memory, open to everybody."""
    made = AccountBench(registration="open")
    yield made
    made.close()


async def ask(bench: AccountBench, email: str = CLEO, *, address: str = HOME) -> list[Message]:
    """Ask for a link, and return what was mailed."""
    await bench.services.registration.ask(email, address=address, scope=None)
    return await bench.mails()


async def link(bench: AccountBench, email: str = CLEO) -> str:
    """Ask for a link, and return its token."""
    (message,) = await ask(bench, email)
    assert message.to == email.lower()
    return token_in(message)


async def verify(bench: AccountBench, token: str, password: str = FRESH) -> None:
    """Choose the first password."""
    await bench.services.registration.verify(token, password, scope=None)


async def test_a_link_makes_an_account(bench: AccountBench) -> None:
    """Not before its address is known to be the owner's; then the password signs in."""
    token = await link(bench, "Cleo@Example.org")
    assert await bench.accounts.find_by_email(CLEO) is None
    await verify(bench, token)
    account = await bench.sign_in.sign_in(CLEO, FRESH)
    assert account.email_verified
    assert (account.user_type, account.tenant_id, account.roles) == ("user", None, frozenset())
    assert bench.reasons() == [
        ("registration_asked", None),
        ("account_changed", "authentication.account_registered"),
    ]
    said = repr(list(bench.sink))
    assert FRESH not in said
    assert CLEO not in said


async def test_an_address_that_has_an_account_gets_a_notice(bench: AccountBench) -> None:
    """No link is made, and whoever has asked sees no difference; a closed account gets nothing."""
    (message,) = await ask(bench, BEA.email.upper())
    assert message.to == BEA.email
    assert "stkl_" not in message.text
    assert await ask(bench, OFF.email) == []
    assert bench.reasons() == [("registration_asked", "authentication.account_exists")] * 2
    assert bench.links._links == {}


async def test_a_link_works_once(bench: AccountBench) -> None:
    """A second use changes no password."""
    token = await link(bench)
    await verify(bench, token)
    with pytest.raises(InvalidLinkError):
        await verify(bench, token, random_password())
    await bench.sign_in.sign_in(CLEO, FRESH)


async def test_of_many_at_once_one_makes_the_account(bench: AccountBench) -> None:
    """The password is that of the one that did."""
    token = await link(bench)
    words = [random_password() for _ in range(8)]
    outcomes = await asyncio.gather(
        *(verify(bench, token, word) for word in words), return_exceptions=True
    )
    assert [type(each) for each in outcomes].count(InvalidLinkError) == 7
    await bench.sign_in.sign_in(CLEO, words[outcomes.index(None)])


async def test_an_account_that_was_made_meanwhile_stays(bench: AccountBench) -> None:
    """A link from before gives nobody its password."""
    token = await link(bench)
    assert await bench.accounts.create(NewAccount(email=CLEO, password_hash="theirs"))
    with pytest.raises(InvalidLinkError):
        await verify(bench, token)
    account = await bench.accounts.find_by_email(CLEO)
    assert account is not None
    assert account.password_hash == "theirs"


async def test_a_weak_password_uses_no_link_up(bench: AccountBench) -> None:
    """It is tried again with the same one."""
    token = await link(bench)
    with pytest.raises(PasswordRefusedError):
        await verify(bench, token, WEAK)
    assert bench.rules.context == [CLEO]
    await verify(bench, token)


async def test_links_are_for_one_purpose(bench: AccountBench) -> None:
    """One for a registration resets nothing, and one for a reset registers nobody."""
    await bench.services.recovery.ask(BEA.email, address=HOME, scope=None)
    (message,) = await bench.mails()
    with pytest.raises(InvalidLinkError):
        await verify(bench, token_in(message))
    with pytest.raises(InvalidLinkError):
        await bench.services.recovery.reset(await link(bench), FRESH, scope=None)


async def test_a_link_ends_in_time(bench: AccountBench) -> None:
    """After a day it is none."""
    token = await link(bench)
    bench.clock.advance(24 * 3600)
    with pytest.raises(InvalidLinkError):
        await verify(bench, token)


async def test_a_closed_registration_makes_no_account() -> None:
    """Also not with a link from when it was open."""
    bench = AccountBench()
    with pytest.raises(ForbiddenError) as caught:
        await ask(bench)
    assert caught.value.reason == "authentication.registration_closed"
    with pytest.raises(ForbiddenError):
        await verify(bench, "stkl_" + "A" * 43)
    assert await bench.mails() == []
    bench.close()


async def test_links_and_notices_count_alike() -> None:
    """The limit tells nobody whether an address has an account."""
    bench = AccountBench(limited=True, registration="open", mails_per_address=2)
    for email in (CLEO, BEA.email, OFF.email):
        for _ in range(2):
            await ask(bench, email)
        with pytest.raises(RateLimitedError):
            await ask(bench, email, address="198.51.100.1")
    bench.close()
