import asyncio
import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.errors import InvalidLinkError
from stockade.authentication.models import Account
from stockade.authentication.one_time import PREFIX, LinkPurpose, OneTimeLinks, Presented
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.storage.memory.links import MemoryLinkStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW, OLD

HALF_HOUR = timedelta(minutes=30)
RESET, REGISTER = LinkPurpose.RESET_PASSWORD, LinkPurpose.REGISTER
BEA = dataclasses.replace(ANA, user_id=UserId("bea"), email="bea@example.com")


class Bench:
    """Links in memory, and a time to move."""

    def __init__(self, *ring: str) -> None:
        self.store = MemoryLinkStore()
        self.clock = FrozenClock()
        self.links = self.with_keys(*(ring or (NEW,)))

    def with_keys(self, *ring: str) -> OneTimeLinks:
        """Make the service anew, over the same store."""
        return OneTimeLinks(self.store, keys=KeyRing(ring), clock=self.clock)

    async def issue(self, account: Account | None = ANA, purpose: LinkPurpose = RESET) -> str:
        """Make a link."""
        email = "new@example.com" if account is None else account.email
        return await self.links.issue(purpose, email, account, lifetime=HALF_HOUR)


async def refused(links: OneTimeLinks, token: str, purpose: LinkPurpose = RESET) -> str:
    """Expect that a token is no link, and return the reason."""
    with pytest.raises(InvalidLinkError) as caught:
        await links.look(purpose, token)
    assert token not in f"{caught.value!r}" or len(token) < 10
    return caught.value.reason


async def test_a_link_holds_once() -> None:
    """It is looked at, used up, and then it is none."""
    bench = Bench()
    token = await bench.issue()
    presented = await bench.links.look(RESET, token)
    assert (presented.stored.user_id, presented.stored.email) == (ANA.user_id, ANA.email)
    assert bench.links.require_state(presented, ANA) is ANA
    await bench.links.use(presented)
    assert await refused(bench.links, token) == "authentication.link_unknown"
    with pytest.raises(InvalidLinkError) as caught:
        await bench.links.use(presented)
    assert caught.value.reason == "authentication.link_used"


async def test_of_two_that_race_one_comes_through() -> None:
    """Both have looked at it before either uses it."""
    bench = Bench()
    token = await bench.issue()
    both = [await bench.links.look(RESET, token) for _ in range(2)]
    outcomes = await asyncio.gather(*map(bench.links.use, both), return_exceptions=True)
    assert [type(each) for each in outcomes].count(InvalidLinkError) == 1


async def test_a_token_has_256_bits_and_is_kept_nowhere() -> None:
    """The store has a digest that depends on the key; no two tokens are alike."""
    bench = Bench()
    tokens = {await bench.issue() for _ in range(50)}
    assert len(tokens) == 50
    assert {len(token) for token in tokens} == {len(PREFIX) + 43}
    token = await bench.issue()
    kept = repr(bench.store._links)
    assert token not in kept
    assert token.removeprefix(PREFIX) not in kept
    assert await refused(bench.with_keys(OLD), token) == "authentication.link_unknown"


async def test_a_link_ends_by_itself() -> None:
    """At the end of its time it is no longer one."""
    bench = Bench()
    token = await bench.issue()
    bench.clock.advance(HALF_HOUR.total_seconds() - 1)
    presented = await bench.links.look(RESET, token)
    bench.clock.advance(1)
    assert await refused(bench.links, token) == "authentication.link_unknown"
    with pytest.raises(InvalidLinkError):
        await bench.links.use(presented)


async def test_the_newest_link_holds() -> None:
    """A second one ends the first; one of another account or purpose does not."""
    bench = Bench()
    first = await bench.issue()
    foreign = await bench.issue(BEA)
    other = await bench.issue(ANA, REGISTER)
    second = await bench.issue()
    assert await refused(bench.links, first) == "authentication.link_unknown"
    for token, purpose in ((second, RESET), (foreign, RESET), (other, REGISTER)):
        assert (await bench.links.look(purpose, token)).stored.purpose == purpose


@pytest.mark.parametrize(("issued", "used"), [(RESET, REGISTER), (REGISTER, RESET)])
async def test_a_link_is_for_one_purpose(issued: LinkPurpose, used: LinkPurpose) -> None:
    """A link of a registration resets no password, and the other way round."""
    bench = Bench()
    token = await bench.issue(purpose=issued)
    assert await refused(bench.links, token, used) == "authentication.link_unknown"
    assert (await bench.links.look(issued, token)).stored.user_id == ANA.user_id


async def test_a_store_that_mixes_purposes_up_is_not_believed() -> None:
    """The purpose is looked at again."""
    bench = Bench()
    token = await bench.issue()
    for place, (digest, link) in list(bench.store._links.items()):
        bench.store._links[place] = (digest, dataclasses.replace(link, purpose="register"))
    assert await refused(bench.links, token) == "authentication.link_unknown"


CHANGES: list[dict[str, object]] = [
    {"password_hash": "another"},
    {"email": "ana@elsewhere.example"},
    {"token_epoch": 4},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
async def test_a_change_of_the_account_ends_the_link(change: dict[str, object]) -> None:
    """A new password, a new address, a new epoch: the link was for the account of before."""
    bench = Bench()
    presented = await bench.links.look(RESET, await bench.issue())
    with pytest.raises(InvalidLinkError) as caught:
        bench.links.require_state(presented, dataclasses.replace(ANA, **change))  # type: ignore[arg-type]  # Any field.
    assert caught.value.reason == "authentication.link_outdated"


@pytest.mark.parametrize(
    "account", [None, BEA, dataclasses.replace(ANA, active=False)], ids=["gone", "other", "off"]
)
async def test_another_account_does_not_back_a_link(account: Account | None) -> None:
    """Nor does one that is gone or may not sign in."""
    bench = Bench()
    presented = await bench.links.look(RESET, await bench.issue())
    with pytest.raises(InvalidLinkError) as caught:
        bench.links.require_state(presented, account)
    assert caught.value.reason == "authentication.link_account"


async def test_a_link_without_an_account_is_nobodys() -> None:
    """It never stands for an account, whatever that has for an identifier."""
    bench = Bench()
    presented = await bench.links.look(REGISTER, await bench.issue(None, REGISTER))
    assert presented.stored.user_id is None
    for account in (ANA, dataclasses.replace(ANA, user_id=UserId(""))):
        with pytest.raises(InvalidLinkError):
            bench.links.require_state(presented, account)


async def test_parts_of_a_state_do_not_run_into_each_other() -> None:
    """What moves from one part into the next is another state."""
    bench = Bench()
    first = dataclasses.replace(ANA, email="a@x", password_hash="yhash")
    second = dataclasses.replace(ANA, email="a@xy", password_hash="hash")
    presented = await bench.links.look(RESET, await bench.issue(first))
    with pytest.raises(InvalidLinkError):
        bench.links.require_state(presented, second)


async def test_a_link_outlives_the_rotation_of_keys() -> None:
    """A newer key in the ring ends no link; without the older one it is gone."""
    bench = Bench(OLD)
    token = await bench.issue()
    rotated = bench.with_keys(OLD, NEW)
    presented = await rotated.look(RESET, token)
    assert rotated.require_state(presented, ANA) is ANA
    assert await refused(bench.with_keys(NEW), token) == "authentication.link_unknown"
    await rotated.use(presented)


SHAPES = [
    "",
    "stkl_",
    "stkl_" + "A" * 42,
    "stkl_" + "A" * 44,
    "stkr_" + "A" * 43,
    "A" * 43,
    "stkl_" + "A" * 42 + "B",
    "stkl_" + "A" * 42 + "\n",
    "stkl_" + "é" * 43,
    "stkl_" + "\uff21" * 43,
    "stkl_" + "A" * 43 + "\n",
    "stkl_" + "+/" * 21 + "A",
    "\0" * 48,
    "A" * 100_000,
]


@pytest.mark.parametrize("token", SHAPES, ids=range(len(SHAPES)))
async def test_what_has_another_form_is_no_link(token: str) -> None:
    """It is refused before any store is asked."""
    bench = Bench()
    await bench.issue()
    assert await refused(bench.links, token) == "authentication.link_malformed"


@given(st.text(max_size=80))
def test_any_text_is_refused(token: str) -> None:
    """Nothing but the declared error comes out."""
    bench = Bench()

    async def look() -> Presented:
        return await bench.links.look(RESET, token)

    with pytest.raises(InvalidLinkError):
        asyncio.run(look())
