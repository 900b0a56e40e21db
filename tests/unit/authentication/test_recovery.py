import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from stockade.authentication.errors import (
    InvalidCredentialsError,
    InvalidLinkError,
    InvalidTokenError,
    PasswordRefusedError,
)
from stockade.authentication.models import Account, Identity
from stockade.authentication.sessions import Client
from stockade.core.mail import MailError, Message
from stockade.errors import RateLimitedError, StoreError
from tests.unit.authentication.accounts import (
    BARE,
    BEA,
    NEWCOMER,
    OFF,
    PASSWORD,
    WEAK,
    AccountBench,
    token_in,
)
from tests.unit.authentication.helpers import random_password

FRESH = random_password()
HOME = "192.0.2.1"


@pytest.fixture
def bench() -> Iterator[AccountBench]:
    """Services in memory."""
    made = AccountBench()
    yield made
    made.close()


async def ask(bench: AccountBench, email: str = BEA.email, *, address: str = HOME) -> list[Message]:
    """Ask for a link, and return what was mailed."""
    await bench.services.recovery.ask(email, address=address, scope=None)
    return await bench.mails()


async def link(bench: AccountBench, account: Account = BEA) -> str:
    """Ask for a link, and return its token."""
    (message,) = await ask(bench, account.email)
    return token_in(message)


async def reset(bench: AccountBench, token: str, password: str = FRESH) -> None:
    """Choose a new password."""
    await bench.services.recovery.reset(token, password, scope=None)


async def test_a_link_gives_a_new_password(bench: AccountBench) -> None:
    """The new one signs in, the old one does not, and the owner is told."""
    (message,) = await ask(bench)
    assert message.to == BEA.email
    await reset(bench, token_in(message))
    assert (await bench.sign_in.sign_in(BEA.email, FRESH)).user_id == BEA.user_id
    with pytest.raises(InvalidCredentialsError):
        await bench.sign_in.sign_in(BEA.email, PASSWORD)
    (notice,) = await bench.mails()
    assert notice.to == BEA.email
    assert "stkl_" not in notice.text
    assert bench.reasons() == [
        ("reset_asked", None),
        ("password_changed", "authentication.password_reset"),
    ]
    said = repr(list(bench.sink))
    assert FRESH not in said
    assert BEA.email not in said


async def test_a_reset_ends_every_session(bench: AccountBench) -> None:
    """Refresh tokens and cookies of before are worth nothing, and so is a sign-in half-way."""
    half_way = await bench.sign_in.sign_in(BEA.email, PASSWORD)
    grant = await bench.sessions.begin(half_way, Client())
    await reset(bench, await link(bench))
    assert await bench.sessions.list(BEA.user_id) == []
    with pytest.raises(InvalidTokenError):
        await bench.sessions.refresh(grant.refresh, Client())
    late = await bench.sessions.begin(half_way, Client())
    with pytest.raises(InvalidTokenError) as caught:
        await bench.sessions.refresh(late.refresh, Client())
    assert caught.value.reason == "authentication.token_revoked"


async def test_a_link_works_once(bench: AccountBench) -> None:
    """A second use changes nothing."""
    token = await link(bench)
    await reset(bench, token)
    before = await bench.account()
    with pytest.raises(InvalidLinkError):
        await reset(bench, token, random_password())
    assert await bench.account() == before


async def test_of_two_resets_at_once_one_comes_through(bench: AccountBench) -> None:
    """The password is that of the one that did."""
    token = await link(bench)
    words = [random_password() for _ in range(8)]
    outcomes = await asyncio.gather(
        *(reset(bench, token, word) for word in words), return_exceptions=True
    )
    assert [type(each) for each in outcomes].count(InvalidLinkError) == 7
    await bench.sign_in.sign_in(BEA.email, words[outcomes.index(None)])
    assert (await bench.account()).token_epoch == BEA.token_epoch + 1


async def test_a_weak_password_uses_no_link_up(bench: AccountBench) -> None:
    """Its owner tries again with the same one; the address is no part of a password."""
    token = await link(bench)
    with pytest.raises(PasswordRefusedError) as caught:
        await reset(bench, token, WEAK)
    assert caught.value.rule == "password_common"
    assert bench.rules.context == [BEA.email]
    with pytest.raises(PasswordRefusedError) as caught:
        await reset(bench, token, "é" * 37)
    assert caught.value.rule == "password_too_long"
    await reset(bench, token)


async def test_without_a_link_no_password_is_judged(bench: AccountBench) -> None:
    """Nor is any work spent on it."""
    with pytest.raises(InvalidLinkError):
        await reset(bench, "stkl_" + "A" * 43, WEAK)
    assert bench.rules.context == []


async def test_a_link_ends_in_time(bench: AccountBench) -> None:
    """After half an hour it is none."""
    token = await link(bench)
    bench.clock.advance(30 * 60)
    with pytest.raises(InvalidLinkError):
        await reset(bench, token)
    assert await bench.account() == BEA


async def test_the_newest_link_holds(bench: AccountBench) -> None:
    """Asking again ends the one before."""
    first, second = await link(bench), await link(bench)
    with pytest.raises(InvalidLinkError):
        await reset(bench, first)
    await reset(bench, second)


CHANGES: list[dict[str, object]] = [
    {"email": "bea@elsewhere.example"},
    {"password_hash": "$2b$04$another"},
    {"token_epoch": 9},
    {"active": False},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
async def test_a_change_of_the_account_ends_the_link(
    bench: AccountBench, change: dict[str, object]
) -> None:
    """Whoever has the old mailbox does not get the account that has moved to a new one."""
    token = await link(bench)
    changed = dataclasses.replace(BEA, **change)  # type: ignore[arg-type]  # Any field.
    bench.accounts.put(changed)
    with pytest.raises(InvalidLinkError):
        await reset(bench, token)
    assert await bench.account() == changed


async def test_a_change_while_the_password_is_hashed_wins(
    bench: AccountBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reset that began before it does not undo it."""
    token = await link(bench)
    hashing = bench.services.recovery._passwords.hash

    async def hash_late(password: str, *, email: str) -> str:
        hashed = await hashing(password, email=email)
        await bench.accounts.set_password(BEA.user_id, epoch=BEA.token_epoch, new="theirs")
        return hashed

    monkeypatch.setattr(bench.services.recovery._passwords, "hash", hash_late)
    with pytest.raises(InvalidLinkError) as caught:
        await reset(bench, token)
    assert caught.value.reason == "authentication.link_outdated"
    assert (await bench.account()).password_hash == "theirs"


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("nobody@example.org", "unknown_account"),
        (OFF.email, "account_inactive"),
        ("", "unknown_account"),
        ("bea@example.org, eve@example.org", "unknown_account"),
        ("bea@example.org\nBcc: eve@example.org", "unknown_account"),
        ("bea@example.org\0", "unknown_account"),
        ("\ud800@example.org", "unknown_account"),
        ("x" * 254 + "@", "unknown_account"),
    ],
    ids=ascii,
)
async def test_others_get_no_mail(bench: AccountBench, email: str, reason: str) -> None:
    """The call returns all the same; the event alone says why."""
    assert await ask(bench, email) == []
    assert bench.reasons() == [("reset_asked", f"authentication.{reason}")]
    assert bench.links._links == {}


@pytest.mark.parametrize("stored", ["unreadable", "$6$salt$hash", "$argon2id$v=19$m=99999999,t=9"])
async def test_a_hash_that_nobody_reads_is_replaced(bench: AccountBench, stored: str) -> None:
    """Whoever was moved here with it chooses a new password by mail."""
    bench.accounts.put(dataclasses.replace(BEA, password_hash=stored))
    with pytest.raises(InvalidCredentialsError):
        await bench.sign_in.sign_in(BEA.email, PASSWORD)
    await reset(bench, await link(bench))
    await bench.sign_in.sign_in(BEA.email, FRESH)


async def test_a_mark_of_django_is_no_password(bench: AccountBench) -> None:
    """An account that was moved from there without one gets none by mail."""
    bench.accounts.put(dataclasses.replace(BEA, password_hash="!unusable"))
    assert await ask(bench) == []
    assert bench.reasons() == [("reset_asked", "authentication.account_without_password")]


async def test_the_mail_goes_to_the_address_of_the_account(bench: AccountBench) -> None:
    """Not to one that was submitted and only becomes the same in lower case."""
    mike = dataclasses.replace(BEA, email="mike@example.org")
    bench.accounts.put(mike)
    (message,) = await ask(bench, "mi\u212ae@example.org")
    assert message.to == "mike@example.org"


async def test_nothing_is_looked_up_before_the_answer(
    bench: AccountBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the answer takes the same time for every address, also while the accounts are away."""

    async def fail(_email: str) -> None:
        raise StoreError("away")

    monkeypatch.setattr(bench.accounts, "find_by_email", fail)
    await bench.services.recovery.ask(BEA.email, address=HOME, scope=None)
    assert bench.reasons() == []
    await bench.errands.settle()
    (event,) = bench.sink.named("authentication.errand_failed")
    assert event.details == {"errand": "reset-password", "problem": "StoreError"}


async def test_a_mail_that_can_not_be_sent_is_recorded(
    bench: AccountBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither link nor address is in the event, and a reset goes through without its notice."""
    token = await link(bench)

    async def fail(_message: Message) -> None:
        raise MailError("away")

    monkeypatch.setattr(bench.mailer, "send", fail)
    await reset(bench, token)
    assert await ask(bench) == []
    failed = bench.sink.named("authentication.errand_failed")
    assert [event.details["errand"] for event in failed] == ["notice", "reset-password"]
    assert BEA.email not in repr(failed)


async def test_the_owner_is_told_even_if_a_store_fails_after_it(
    bench: AccountBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is another one by then, and nobody may take it unseen."""

    async def fail(*_arguments: object, **_more: object) -> int:
        raise StoreError("away")

    token = await link(bench)
    monkeypatch.setattr(bench.sessions, "end_all", fail)
    with pytest.raises(StoreError):
        await reset(bench, token)
    assert [message.to for message in await bench.mails()] == [BEA.email]
    assert ("password_changed", "authentication.password_reset") in bench.reasons()


async def test_a_reset_shows_that_the_address_is_the_owners(bench: AccountBench) -> None:
    """An account that could not sign in for want of it can afterwards."""
    with pytest.raises(InvalidCredentialsError) as caught:
        await bench.sign_in.sign_in(NEWCOMER.email, PASSWORD)
    assert caught.value.reason == "authentication.email_unverified"
    await reset(bench, await link(bench, NEWCOMER))
    assert (await bench.account(NEWCOMER)).email_verified
    await bench.sign_in.sign_in(NEWCOMER.email, FRESH)


async def test_a_mailbox_is_not_flooded() -> None:
    """From wherever the requests come, and alike for an address that is nobody's."""
    bench = AccountBench(limited=True, mails_per_address=3)
    for email in (BEA.email, "nobody@example.org"):
        for number in range(3):
            await ask(bench, email, address=f"192.0.2.{number}")
        with pytest.raises(RateLimitedError) as caught:
            await ask(bench, email.upper(), address="198.51.100.1")
        assert caught.value.reason == "authentication.too_many_mails"
    bench.clock.advance(3600)
    assert len(await ask(bench)) == 1
    bench.close()


async def test_one_client_does_not_write_to_everybody() -> None:
    """All of its addresses count together, and another client goes on."""
    bench = AccountBench(limited=True, mails_per_client=2)
    for number in range(2):
        await ask(bench, f"{number}@example.org", address="2001:db8::1")
    with pytest.raises(RateLimitedError):
        await ask(bench, "2@example.org", address="2001:db8::2")
    await ask(bench, "2@example.org", address="2001:db8:1::1")
    bench.close()


IDENTITY = Identity(
    identity_id="one",
    user_id=BEA.user_id,
    issuer="https://id.example",
    subject="bea",
    linked_at=datetime(2026, 1, 1, tzinfo=UTC),
)


async def test_an_account_of_a_provider_gets_a_password(bench: AccountBench) -> None:
    """By the mailbox that its provider has vouched for; the identity stays linked."""
    await bench.identities.add(dataclasses.replace(IDENTITY, user_id=BARE.user_id))
    (message,) = await ask(bench, BARE.email)
    await reset(bench, token_in(message))
    await bench.sign_in.sign_in(BARE.email, FRESH)
    assert len(await bench.identities.list_of(BARE.user_id)) == 1


async def test_the_owner_learns_what_else_lets_somebody_in(bench: AccountBench) -> None:
    """Whoever has taken the account over may have linked an identity, and names it as they like."""
    await bench.identities.add(IDENTITY)
    await bench.identities.add(
        dataclasses.replace(IDENTITY, identity_id="two", issuer="https://gone.example")
    )
    await reset(bench, await link(bench))
    (message,) = await bench.mails()
    assert "still does: a sign-in at acme-id. Take off" in message.text
    assert "gone.example" not in message.text


async def test_identities_end_with_a_reset_on_request(bench: AccountBench) -> None:
    """All of the account's, and nobody else's, before the sessions end."""
    await bench.identities.add(IDENTITY)
    hers = dataclasses.replace(IDENTITY, identity_id="hers", subject="x", user_id=BARE.user_id)
    await bench.identities.add(hers)
    token = await link(bench)
    await bench.services.recovery.reset(token, FRESH, keep_identities=False, scope=None)
    assert await bench.identities.list_of(BEA.user_id) == []
    assert await bench.identities.list_of(BARE.user_id) == [hers]
    assert ("identity_changed", "authentication.identities_ended") in bench.reasons()
    (message,) = await bench.mails()
    assert "still does" not in message.text


async def test_a_reset_that_fails_ends_no_identity(bench: AccountBench) -> None:
    """A stranger who made up a link unlinks nothing."""
    await bench.identities.add(IDENTITY)
    with pytest.raises(InvalidLinkError):
        await bench.services.recovery.reset(
            "stkl_" + "A" * 43, FRESH, keep_identities=False, scope=None
        )
    assert await bench.identities.list_of(BEA.user_id) == [IDENTITY]
