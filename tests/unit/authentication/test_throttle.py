import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication import AuthenticationSettings, BcryptHasher
from stockade.authentication.models import Session
from stockade.authentication.throttle import SignInThrottle, network_of
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.errors import RateLimitedError
from stockade.events import MemorySink
from stockade.storage.limits import LimitedAttempts
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.limits import MemoryLimitStore
from stockade.storage.memory.sessions import MemorySessionStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW, random_password

HOME, AWAY = "203.0.113.9", "198.51.100.7"
PASSWORD = random_password()


class Bench:
    """A throttle with everything around it."""

    def __init__(self, **settings: int) -> None:
        self.clock = FrozenClock()
        self.sessions = MemorySessionStore()
        self.counts = MemoryLimitStore(clock=self.clock, max_keys=10_000)
        chosen = {"attempts_per_address": 5, "attempts_per_account": 10, **settings}
        self.throttle = SignInThrottle(
            LimitedAttempts(self.counts),
            MemoryAccountStore([ANA]),
            self.sessions,
            keys=KeyRing([NEW]),
            settings=AuthenticationSettings.model_validate(chosen),
            clock=self.clock,
        )

    async def passes(self, email: str = ANA.email, address: str = AWAY) -> bool:
        """Tell whether an attempt passes."""
        try:
            await self.throttle.check(email, address)
        except RateLimitedError as error:
            assert error.retry_after.total_seconds() > 0  # noqa: PT017 - both outcomes are data
            return False
        return True

    async def sign_in_from(self, address: str) -> None:
        """Let the account have a session from an address."""
        now = self.clock.now()
        session = Session(
            session_id="1",
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


async def test_a_guesser_is_stopped_and_nobody_else() -> None:
    """His address has no further tries at this account; others have, and he has at others."""
    bench = Bench()
    assert [await bench.passes() for _ in range(6)] == [True] * 5 + [False]
    assert await bench.passes(address=HOME)
    assert await bench.passes("bea@example.com")


async def test_the_wait_ends() -> None:
    """After it there is one more try, not a whole new set."""
    bench = Bench()
    for _ in range(5):
        await bench.passes()
    bench.clock.advance(3600 / 5)
    assert [await bench.passes() for _ in range(2)] == [True, False]


async def test_many_addresses_are_slowed_down_together() -> None:
    """A botnet that guesses one password from each address gets one try in a while."""
    bench = Bench()
    tries = [await bench.passes(address=f"198.51.100.{number}") for number in range(30)]
    assert tries == [True] * 10 + [False] * 20
    bench.clock.advance(3600 / 10)
    assert [await bench.passes(address=f"192.0.2.{number}") for number in range(3)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("home", "here"), [(HOME, HOME), ("2001:db8::1", "2001:db8::ffff"), (HOME, f"::ffff:{HOME}")]
)
async def test_the_owner_is_not_locked_out(home: str, here: str) -> None:
    """From where the account is signed in, it is the pair alone that counts."""
    bench = Bench()
    await bench.sign_in_from(home)
    for number in range(30):
        await bench.passes(address=f"198.51.100.{number}")
    assert not await bench.passes(address="192.0.2.1")
    assert [await bench.passes(address=here) for _ in range(6)] == [True] * 5 + [False]


async def test_an_ended_session_exempts_nobody() -> None:
    """The exemption ends with it."""
    bench = Bench()
    await bench.sign_in_from(HOME)
    await bench.sessions.revoke("1", now=bench.clock.now())
    for number in range(10):
        await bench.passes(address=f"198.51.100.{number}")
    assert not await bench.passes(address=HOME)


@pytest.mark.parametrize("email", ["nobody@example.com", "", "\0", "\ud800", "x" * 9999])
async def test_an_unknown_account_reads_the_same(email: str) -> None:
    """It is counted like one that is there."""
    bench = Bench()
    assert [await bench.passes(email) for _ in range(6)] == [True] * 5 + [False]


async def test_the_case_of_an_address_makes_no_new_account() -> None:
    """Whoever writes it in capitals has no further tries."""
    bench = Bench()
    for _ in range(5):
        await bench.passes(ANA.email.upper())
    assert not await bench.passes(ANA.email)


async def test_all_together_have_a_ceiling() -> None:
    """However many accounts and addresses there are."""
    bench = Bench(attempts_in_all=7)
    tries = [
        await bench.passes(f"{number}@example.com", f"192.0.2.{number}") for number in range(9)
    ]
    assert tries == [True] * 7 + [False] * 2


async def test_no_address_is_in_the_store() -> None:
    """Names of buckets hold digests."""
    bench = Bench()
    await bench.passes()
    assert "ana" not in repr(vars(bench.counts))


@pytest.mark.parametrize("address", ["", "unknown", "testclient", "1.2.3", "a" * 99])
def test_what_is_no_address_is_one_client(address: str) -> None:
    """No address must never mean no limit."""
    assert network_of(address) == "unknown"


@pytest.fixture
def served() -> Iterator[tuple[TestClient, MemorySink]]:
    """An application whose limits are on."""
    hasher = BcryptHasher(cost=4)
    bea = dataclasses.replace(
        ANA, user_id=UserId("bea"), email="bea@example.com", password_hash=hasher.hash(PASSWORD)
    )
    settings = Settings(
        environment="test",
        rate_limiting={"enabled": True, "login": "1000/minute", "failure": "open"},
        authentication={"bcrypt_cost": 4, "attempts_per_address": 3},
    )
    sink = MemorySink()
    stockade = Stockade(settings, accounts=MemoryAccountStore([bea]), sinks=[sink])
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.auth_router)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, sink


def sign_in(client: TestClient, password: str) -> Any:  # noqa: ANN401 - a response
    """Try to sign in."""
    return client.post("/auth/token", data={"username": "bea@example.com", "password": password})


def test_the_right_password_comes_too_late(served: tuple[TestClient, MemorySink]) -> None:
    """After too many guesses it is not even looked at, and the answer says when to come back."""
    client, sink = served
    assert [sign_in(client, "guess").status_code for _ in range(3)] == [400] * 3
    answer = sign_in(client, PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0
    assert list(sink)[-1].reason == "authentication.too_many_attempts"
