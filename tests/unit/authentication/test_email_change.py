import asyncio
import dataclasses
from collections.abc import Iterator

import pytest

from stockade.authentication.errors import InvalidLinkError, InvalidTokenError, WrongPasswordError
from stockade.authentication.sessions import Client
from stockade.core import Principal
from stockade.core.mail import Message
from stockade.errors import RateLimitedError
from tests.unit.authentication.accounts import BARE, BEA, OFF, PASSWORD, AccountBench, token_in

HOME = "192.0.2.1"
NEW = "bea@elsewhere.example"
CALLER = Principal(user_id=BEA.user_id, email=BEA.email, tenant_id=BEA.tenant_id)


@pytest.fixture
def bench() -> Iterator[AccountBench]:
    """Services in memory."""
    made = AccountBench()
    yield made
    made.close()


async def ask(
    bench: AccountBench, email: str = NEW, password: str = PASSWORD, *, caller: Principal = CALLER
) -> list[Message]:
    """Ask for another address, and return what was mailed."""
    change = bench.services.email_change
    await change.ask(caller, email, password, address=HOME, scope=None)
    return await bench.mails()


async def allow(bench: AccountBench, token: str) -> list[Message]:
    """Use the link of the current mailbox, and return what was mailed."""
    await bench.services.email_change.allow(token, address=HOME, scope=None)
    return await bench.mails()


async def confirm(bench: AccountBench, token: str) -> list[Message]:
    """Use the link of the new mailbox, and return what was mailed."""
    await bench.services.email_change.confirm(token, scope=None)
    return await bench.mails()


async def both(bench: AccountBench, email: str = NEW) -> tuple[str, str]:
    """Ask, allow, and return both tokens."""
    (first,) = await ask(bench, email)
    (second,) = await allow(bench, token_in(first))
    return token_in(first), token_in(second)


async def test_both_mailboxes_agree(bench: AccountBench) -> None:
    """Only then the account has the new address; the old mailbox is told."""
    (first,) = await ask(bench, NEW.upper())
    assert first.to == BEA.email
    assert f"\n{NEW}\n" in first.text
    assert await bench.account() == BEA
    (second,) = await allow(bench, token_in(first))
    assert second.to == NEW
    assert await bench.account() == BEA
    (notice,) = await confirm(bench, token_in(second))
    assert notice.to == BEA.email
    changed = dataclasses.replace(BEA, email=NEW, token_epoch=BEA.token_epoch + 1)
    assert await bench.account() == changed
    await bench.sign_in.sign_in(NEW, PASSWORD)
    assert [reason for _, reason in bench.reasons()] == [
        "authentication.email_change_asked",
        "authentication.email_change_allowed",
        "authentication.email_changed",
    ]
    said = repr(list(bench.sink))
    assert NEW not in said
    assert BEA.email not in said


async def test_every_session_ends(bench: AccountBench) -> None:
    """Tokens say the address of before."""
    grant = await bench.sessions.begin(BEA, Client())
    _, token = await both(bench)
    await confirm(bench, token)
    with pytest.raises(InvalidTokenError):
        await bench.sessions.refresh(grant.refresh, Client())


async def test_links_of_before_end_with_it(bench: AccountBench) -> None:
    """The old mailbox resets no password any longer."""
    await bench.services.recovery.ask(BEA.email, address=HOME, scope=None)
    (reset,) = await bench.mails()
    _, token = await both(bench)
    await confirm(bench, token)
    with pytest.raises(InvalidLinkError):
        await bench.services.recovery.reset(token_in(reset), PASSWORD + "x", scope=None)


async def test_without_the_password_nobody_is_asked(bench: AccountBench) -> None:
    """A session alone moves no account; nor does one of an account without a password."""
    with pytest.raises(WrongPasswordError):
        await ask(bench, password="guess")
    bare = dataclasses.replace(CALLER, user_id=BARE.user_id, email=BARE.email)
    with pytest.raises(WrongPasswordError):
        await ask(bench, password="", caller=bare)
    assert await bench.mails() == []


async def test_one_link_does_not_stand_for_the_other(bench: AccountBench) -> None:
    """The new mailbox does not allow, and the current one does not confirm."""
    (first,) = await ask(bench)
    with pytest.raises(InvalidLinkError):
        await confirm(bench, token_in(first))
    (second,) = await allow(bench, token_in(first))
    with pytest.raises(InvalidLinkError):
        await allow(bench, token_in(second))
    for token in (token_in(first), token_in(second)):
        with pytest.raises(InvalidLinkError):
            await bench.services.recovery.reset(token, "x", scope=None)
    await confirm(bench, token_in(second))


async def test_links_work_once(bench: AccountBench) -> None:
    """Of many uses of the second at once one comes through."""
    first, second = await both(bench)
    with pytest.raises(InvalidLinkError):
        await allow(bench, first)
    change = bench.services.email_change
    outcomes = await asyncio.gather(
        *(change.confirm(second, scope=None) for _ in range(8)), return_exceptions=True
    )
    assert outcomes.count(None) == 1
    assert (await bench.account()).token_epoch == BEA.token_epoch + 1


async def test_of_many_that_allow_at_once_one_has_a_mail_sent(bench: AccountBench) -> None:
    """The new mailbox is not flooded."""
    (first,) = await ask(bench)
    change = bench.services.email_change
    token = token_in(first)
    await asyncio.gather(*(change.allow(token, address=HOME, scope=None) for _ in range(8)))
    assert [message.to for message in await bench.mails()] == [NEW]


async def test_links_end_in_time(bench: AccountBench) -> None:
    """Each has its own half an hour."""
    (first,) = await ask(bench)
    bench.clock.advance(29 * 60)
    (second,) = await allow(bench, token_in(first))
    bench.clock.advance(30 * 60)
    with pytest.raises(InvalidLinkError):
        await confirm(bench, token_in(second))


@pytest.mark.parametrize("taken", [OFF.email, BARE.email])
async def test_an_address_of_another_account_gets_a_notice(bench: AccountBench, taken: str) -> None:
    """Whoever asks does not learn of it, and gets no link for it."""
    (first,) = await ask(bench, taken)
    assert first.to == BEA.email
    (notice,) = await allow(bench, token_in(first))
    assert notice.to == taken
    assert "stkl_" not in notice.text


async def test_an_address_that_was_taken_meanwhile_stays(bench: AccountBench) -> None:
    """The other account keeps it."""
    _, token = await both(bench)
    other = dataclasses.replace(OFF, email=NEW)
    bench.accounts.put(other)
    with pytest.raises(InvalidLinkError):
        await confirm(bench, token)
    assert await bench.account() == BEA
    assert await bench.account(other) == other


async def test_a_changed_password_ends_the_change(bench: AccountBench) -> None:
    """The owner who finds the mail and changes the password has stopped it."""
    first, second = await both(bench)
    await bench.accounts.set_password(BEA.user_id, epoch=BEA.token_epoch, new="another")
    for attempt in (allow(bench, first), confirm(bench, second)):
        with pytest.raises(InvalidLinkError):
            await attempt
    assert (await bench.account()).email == BEA.email


async def test_a_strange_mailbox_is_not_flooded() -> None:
    """The second link counts for the new address; a refused one uses the first not up."""
    bench = AccountBench(limited=True, mails_per_address=1, attempts_per_address=100)
    (first,) = await ask(bench)
    await bench.services.recovery.ask(NEW, address=HOME, scope=None)
    with pytest.raises(RateLimitedError):
        await allow(bench, token_in(first))
    bench.clock.advance(20 * 60)
    with pytest.raises(RateLimitedError):
        await allow(bench, token_in(first))
    assert bench.links._links
    bench.close()
