import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from stockade.authentication.algorithms import Algorithm, VerificationKey
from stockade.authentication.errors import IssuerError
from stockade.authentication.issuer_keys import IssuerKeys
from stockade.errors import UnavailableError
from stockade.events import EventLog, MemorySink
from tests.clock import FrozenClock
from tests.unit.authentication.issuers import Issuer, make_key

pytestmark = pytest.mark.anyio
Keys = Mapping[tuple[str, Algorithm], VerificationKey]


class Bench:
    """The keys of an issuer that a test is in charge of."""

    def __init__(self, *names: str) -> None:
        self.clock = FrozenClock()
        self.sink = MemorySink()
        self.names = names or ("one",)
        self.asked = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.keys = IssuerKeys(
            "partner",
            Issuer().settings(),
            self.fetch,
            events=EventLog([self.sink], clock=self.clock),
            clock=self.clock,
        )

    async def fetch(self) -> Keys:
        """Answer with the keys of the moment."""
        self.asked += 1
        await self.gate.wait()
        if self.is_away:
            raise IssuerError("status 500")
        keys = [make_key(kid=name).verification for name in self.names]
        return {(key.kid, key.algorithm): key for key in keys}

    async def find(self, kid: str = "one") -> str | None:
        """Look for a key, and return its name."""
        key = await self.keys.find(kid, Algorithm.ED25519)
        return None if key is None else key.kid

    async def fail(self, kid: str = "one") -> timedelta:
        """Look for a key that can't be had now."""
        with pytest.raises(UnavailableError) as caught:
            await self.find(kid)
        assert caught.value.reason == "authentication.issuer_away"
        return caught.value.retry_after


async def test_keys_are_asked_for_once_in_their_lifetime() -> None:
    """The first token asks; the next one asks again when the keys are old."""
    bench = Bench()
    assert [await bench.find() for _ in range(3)] == ["one"] * 3
    bench.clock.advance(3599)
    await bench.find()
    assert bench.asked == 1
    bench.clock.advance(1)
    await bench.find()
    assert bench.asked == 2


async def test_a_new_key_is_found_when_a_token_names_it() -> None:
    """An issuer that rotates its keys is asked again, and the old key is gone with the answer."""
    bench = Bench()
    await bench.find()
    bench.names = ("two",)
    bench.clock.advance(30)
    assert await bench.find("two") == "two"
    assert await bench.find("one") is None
    assert bench.asked == 2


async def test_made_up_names_do_not_multiply_questions() -> None:
    """However many unknown keys tokens name, two questions are a pause apart."""
    bench = Bench()
    for number in range(100):
        assert await bench.find(f"made-up-{number}") is None
    assert bench.asked == 1
    bench.clock.advance(29.9)
    assert await bench.find("another") is None
    assert bench.asked == 1
    bench.clock.advance(0.1)
    assert await bench.find("another") is None
    assert bench.asked == 2


async def test_one_question_is_under_way_at_a_time() -> None:
    """A hundred first tokens at once ask once, and all of them get the answer."""
    bench = Bench()
    bench.gate.clear()
    waiting = [asyncio.create_task(bench.find()) for _ in range(100)]
    await asyncio.sleep(0)
    bench.gate.set()
    assert await asyncio.gather(*waiting) == ["one"] * 100
    assert bench.asked == 1


async def test_a_hundred_tokens_share_one_failure() -> None:
    """An issuer that hangs does not hang each of them anew."""
    bench = Bench()
    bench.is_away = True
    bench.gate.clear()
    waiting = [asyncio.create_task(bench.fail()) for _ in range(100)]
    await asyncio.sleep(0)
    bench.gate.set()
    await asyncio.gather(*waiting)
    assert bench.asked == 1


async def test_old_keys_do_while_somebody_asks() -> None:
    """Nobody but the one who asks waits for an issuer whose keys are known."""
    bench = Bench()
    await bench.find()
    bench.clock.advance(3600)
    bench.gate.clear()
    asking = asyncio.create_task(bench.find())
    await asyncio.sleep(0)
    assert await bench.find() == "one"
    bench.gate.set()
    assert await asking == "one"
    assert bench.asked == 2


async def test_keys_outlast_an_issuer_that_is_away_for_a_while() -> None:
    """They go on to the stated age, with one event; then tokens get 503 until it is back."""
    bench = Bench()
    await bench.find()
    bench.is_away = True
    for _ in range(24):
        assert await bench.find() == "one"
        bench.clock.advance(3600)
    assert await bench.fail() == timedelta(seconds=30)
    assert bench.asked == 25
    bench.is_away = False
    bench.clock.advance(29)
    assert await bench.fail() == timedelta(seconds=1)
    bench.clock.advance(1)
    assert await bench.find() == "one"
    assert [event.name.partition(".")[2] for event in bench.sink] == [
        "issuer_failed",
        "issuer_recovered",
    ]
    assert next(iter(bench.sink)).details == {"issuer": "partner", "problem": "status 500"}


async def test_a_key_that_can_not_be_asked_for_is_undecided() -> None:
    """An unknown key may be a new one: while the issuer is away it gets 503, and others go on."""
    bench = Bench()
    await bench.find()
    bench.is_away = True
    bench.clock.advance(30)
    await bench.fail("two")
    assert await bench.find("one") == "one"
    assert bench.asked == 2


async def test_a_caller_that_goes_away_does_not_stop_others() -> None:
    """A question that was given up is asked by whoever comes next."""
    bench = Bench()
    bench.gate.clear()
    asking = asyncio.create_task(bench.find())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    bench.gate.set()
    assert await bench.find() == "one"
    assert bench.asked == 2


async def test_a_key_is_found_under_its_own_algorithm_alone() -> None:
    """The same name with another algorithm is another key."""
    bench = Bench()
    await bench.find()
    assert await bench.keys.find("one", Algorithm.RS256) is None
