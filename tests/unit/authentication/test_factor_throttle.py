import pytest

from stockade.authentication import AuthenticationSettings
from stockade.authentication.factor_throttle import FactorThrottle
from stockade.authentication.models import Session
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.errors import RateLimitedError
from stockade.storage.limits import LimitedAttempts
from stockade.storage.memory.limits import MemoryLimitStore
from stockade.storage.memory.sessions import MemorySessionStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW

HOME, AWAY = "203.0.113.9", "198.51.100.7"


class Bench:
    """A throttle with everything around it: three codes an hour, twelve a day."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.sessions = MemorySessionStore()
        self.throttle = FactorThrottle(
            LimitedAttempts(MemoryLimitStore(clock=self.clock, max_keys=10_000)),
            self.sessions,
            keys=KeyRing([NEW]),
            settings=AuthenticationSettings(factor_attempts=3),
            clock=self.clock,
        )

    async def passes(self, address: str = AWAY, user_id: UserId = ANA.user_id) -> bool:
        """Tell whether a code may be tried."""
        try:
            await self.throttle.check(user_id, address)
        except RateLimitedError as error:
            assert error.reason == "authentication.too_many_codes"  # noqa: PT017 - both outcomes are data
            assert error.retry_after.total_seconds() > 0  # noqa: PT017 - both outcomes are data
            return False
        return True

    async def sign_in_from(self, address: str) -> None:
        """Let the account have a session from an address."""
        now = self.clock.now()
        session = Session(
            session_id=address,
            user_id=ANA.user_id,
            tenant_id=ANA.tenant_id,
            token_epoch=0,
            created_at=now,
            authenticated_at=now,
            last_used_at=now,
            expires_at=now.replace(year=2030),
            address=address,
        )
        await self.sessions.add(session, digest="", keep=9)


async def test_a_guesser_is_stopped_whatever_his_address() -> None:
    """Other accounts go on."""
    bench = Bench()
    tries = [await bench.passes(f"192.0.2.{number}") for number in range(6)]
    assert tries == [True] * 3 + [False] * 3
    assert await bench.passes(user_id=UserId("bea"))


async def test_patience_does_not_pay() -> None:
    """Over a day there are four times as many codes as over an hour, and not 24 times."""
    bench = Bench()
    passed = 0
    for _ in range(24 * 60):
        passed += await bench.passes()
        bench.clock.advance(60)
    # A bucket is full at first and fills up while it is used.
    assert passed <= 2 * 12


async def test_the_owner_is_not_locked_out() -> None:
    """At an address from which the account is signed in, there is a count of its own."""
    bench = Bench()
    await bench.sign_in_from(HOME)
    for _ in range(5):
        await bench.passes()
    assert not await bench.passes()
    assert [await bench.passes(HOME) for _ in range(4)] == [True] * 3 + [False]


async def test_a_stolen_session_gives_no_more_tries_with_each_address() -> None:
    """All addresses from which the account is signed in share one count."""
    bench = Bench()
    tries = []
    for number in range(6):
        await bench.sign_in_from(f"192.0.2.{number}")
        tries.append(await bench.passes(f"192.0.2.{number}"))
    assert tries == [True] * 3 + [False] * 3


@pytest.mark.parametrize("address", ["", "testclient", "::1", "::ffff:192.0.2.1"])
async def test_any_address_counts(address: str) -> None:
    """An unknown one as well."""
    bench = Bench()
    assert [await bench.passes(address) for _ in range(4)] == [True] * 3 + [False]
