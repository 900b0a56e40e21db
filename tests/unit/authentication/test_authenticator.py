import asyncio
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import (
    Account,
    AuthenticationSettings,
    BearerAuthenticator,
    InvalidTokenError,
)
from stockade.core import AuthenticationMethod, Principal, TenantId, UserId
from stockade.errors import StoreError, UnauthenticatedError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.sessions import MemorySessionStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ALGORITHMS, ANA, make_tokens

LIFETIME = 2.0


class CountingStore(MemoryAccountStore):
    """A store that counts what it is asked, and can be away or slow."""

    def __init__(self) -> None:
        super().__init__([ANA])
        self.asked = 0
        self.away = False
        self.hold: asyncio.Event | None = None

    async def find_by_id(self, user_id: UserId, tenant_id: TenantId | None) -> Account | None:
        """Return the account as it was when the question came.

        Raises:
            StoreError: The store is away.
        """
        self.asked += 1
        if self.away:
            raise StoreError("away")
        found = await super().find_by_id(user_id, tenant_id)
        if self.hold is not None:
            await self.hold.wait()
        return found


class Bench:
    """An authenticator with everything around it."""

    def __init__(self, algorithm: str = "HS256", **settings: Any) -> None:  # noqa: ANN401 - settings
        self.clock = FrozenClock()
        self.store = CountingStore()
        self.sessions = MemorySessionStore()
        self.tokens = make_tokens(algorithm, clock=self.clock)
        self.verified = 0
        verify = self.tokens.verify

        def count(token: str) -> Any:  # noqa: ANN401 - a stand-in
            self.verified += 1
            return verify(token)

        self.tokens.verify = count  # type: ignore[method-assign]  # Counts real work.
        chosen = {"identity_cache_lifetime": LIFETIME, **settings}
        self.authenticator = BearerAuthenticator(
            self.tokens,
            self.store,
            self.sessions,
            permissions_of=lambda roles: frozenset(f"{role}:a:b" for role in roles),
            settings=AuthenticationSettings.model_validate(chosen),
            clock=self.clock,
        )

    def header(self, account: Account = ANA) -> bytes:
        """Issue a token and write its header."""
        return b"Bearer " + self.tokens.issue(account).value.encode()

    async def call(self, header: bytes | None) -> Principal:
        """Authenticate a request."""
        return await self.authenticator.authenticate(header)

    async def refusal(self, header: bytes | None) -> str:
        """Return the reason for which a request is refused."""
        with pytest.raises(UnauthenticatedError) as caught:
            await self.call(header)
        return caught.value.reason.removeprefix("authentication.")

    def change(self, **changes: object) -> None:
        """Change the account in the store."""
        self.store.put(dataclasses.replace(ANA, **changes))  # type: ignore[arg-type]  # Any field.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_makes_a_principal(algorithm: str) -> None:
    """Identity and sign-in come from the token, everything else from the store."""
    bench = Bench(algorithm)
    principal = await bench.call(bench.header())
    assert principal == Principal(
        user_id=ANA.user_id,
        email=ANA.email,
        tenant_id=ANA.tenant_id,
        roles=ANA.roles,
        permissions=frozenset({"member:a:b"}),
        method=AuthenticationMethod.BEARER,
        authenticated_at=bench.clock.now(),
    )


async def test_a_known_token_costs_no_second_look() -> None:
    """Within the lifetime the same principal comes back without signature check or query."""
    bench = Bench()
    header = bench.header()
    first = await bench.call(header)
    bench.clock.advance(LIFETIME - 0.01)
    assert await bench.call(header) is first
    assert (bench.verified, bench.store.asked) == (1, 1)


async def test_after_the_lifetime_only_the_account_is_read_again() -> None:
    """The signature of a token is checked once; an account that did not change changes nothing."""
    bench = Bench()
    header = bench.header()
    first = await bench.call(header)
    bench.clock.advance(LIFETIME)
    assert await bench.call(header) is first
    assert (bench.verified, bench.store.asked) == (1, 2)


async def test_two_tokens_of_an_account_share_its_record() -> None:
    """A second token is verified by itself, but asks nothing again."""
    bench = Bench()
    await bench.call(bench.header())
    await bench.call(bench.header())
    assert (bench.verified, bench.store.asked) == (2, 1)


async def test_expiry_is_seen_on_a_known_token() -> None:
    """A remembered token ends in its very second, also in the middle of the cache's lifetime."""
    bench = Bench(identity_cache_lifetime=5)
    header = bench.header()
    bench.clock.advance(598)
    await bench.call(header)
    bench.clock.advance(1.99)
    await bench.call(header)
    bench.clock.advance(0.01)
    assert await bench.refusal(header) == "token_expired"
    assert await bench.refusal(header) == "token_expired"


async def test_a_turned_clock_ends_a_known_token_within_the_lifetime() -> None:
    """When the time of day jumps ahead, a remembered token does not hold much longer."""
    bench = Bench()
    header = bench.header()
    await bench.call(header)
    bench.clock.turn(3600)
    bench.clock.advance(LIFETIME)
    assert await bench.refusal(header) == "token_expired"


CHANGES = [
    ({"active": False}, "account_inactive"),
    ({"token_epoch": 4}, "token_revoked"),
    ({"token_epoch": 2}, "token_revoked"),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES, ids=["inactive", "epoch", "older-epoch"])
async def test_a_change_takes_effect_within_the_lifetime(
    change: dict[str, object], reason: str
) -> None:
    """A deactivated account and ended tokens are believed for the lifetime at most."""
    bench = Bench()
    header = bench.header()
    await bench.call(header)
    bench.change(**change)
    bench.clock.advance(LIFETIME - 0.01)
    await bench.call(header)
    bench.clock.advance(0.01)
    assert await bench.refusal(header) == reason
    assert await bench.refusal(header) == reason
    assert await bench.refusal(bench.header()) == reason


async def test_a_lifetime_of_zero_asks_every_time() -> None:
    """Whoever can't wait for a revocation sets the lifetime to zero."""
    bench = Bench(identity_cache_lifetime=0)
    header = bench.header()
    await bench.call(header)
    bench.change(active=False)
    assert await bench.refusal(header) == "account_inactive"


async def test_a_changed_role_takes_effect_within_the_lifetime() -> None:
    """The same token has other roles and permissions once the account has."""
    bench = Bench()
    header = bench.header()
    await bench.call(header)
    bench.change(roles=frozenset({"owner"}))
    bench.clock.advance(LIFETIME)
    principal = await bench.call(header)
    assert (principal.roles, principal.permissions) == (
        frozenset({"owner"}),
        frozenset({"owner:a:b"}),
    )


async def test_leaving_the_tenant_ends_its_tokens() -> None:
    """Whoever is no member any more has no token for the tenant either."""
    bench = Bench()
    header = bench.header()
    await bench.call(header)
    bench.store._accounts = [dataclasses.replace(ANA, tenant_id=TenantId("other"))]
    bench.clock.advance(LIFETIME)
    assert await bench.refusal(header) == "membership_ended"


async def test_an_account_that_is_gone_ends_its_tokens() -> None:
    """A deleted account backs no token, and is not remembered."""
    bench = Bench()
    header = bench.header()
    await bench.call(header)
    bench.store._accounts.clear()
    bench.clock.advance(LIFETIME)
    assert await bench.refusal(header) == "account_gone"
    assert len(bench.authenticator._identities._entries) == 0


async def test_a_refused_account_can_come_back() -> None:
    """An account that is active again is checked anew, with its roles of now."""
    bench = Bench()
    header = bench.header()
    await bench.call(header)
    bench.change(active=False)
    bench.clock.advance(LIFETIME)
    await bench.refusal(header)
    bench.change(roles=frozenset({"owner"}))
    bench.clock.advance(LIFETIME)
    assert (await bench.call(header)).roles == {"owner"}


async def test_a_token_without_a_tenant_has_no_roles() -> None:
    """Roles belong to a tenant; without one there are none, whatever the account is elsewhere."""
    bench = Bench()
    header = bench.header(dataclasses.replace(ANA, tenant_id=None))
    principal = await bench.call(header)
    assert (principal.tenant_id, principal.roles) == (None, frozenset())


async def test_an_old_answer_of_a_slow_store_does_not_live_longer() -> None:
    """What a slow store said is believed from the moment of the question on."""
    bench = Bench()
    header = bench.header()
    bench.store.hold = asyncio.Event()
    waiting = asyncio.create_task(bench.call(header))
    await asyncio.sleep(0)
    bench.change(active=False)
    bench.clock.advance(LIFETIME + 1)
    bench.store.hold.set()
    await waiting
    bench.store.hold = None
    assert await bench.refusal(header) == "account_inactive"


async def test_a_store_that_is_away_is_not_an_unknown_caller() -> None:
    """The error passes through, so that the caller is told to try again and not to sign in."""
    bench = Bench()
    header = bench.header()
    bench.store.away = True
    with pytest.raises(StoreError):
        await bench.call(header)
    bench.store.away = False
    await bench.call(header)
    bench.store.away = True
    bench.clock.advance(LIFETIME)
    with pytest.raises(StoreError):
        await bench.call(header)


async def test_the_caches_are_bounded() -> None:
    """However many tokens and accounts come, memory stays."""
    bench = Bench(token_cache_size=3, identity_cache_size=2)
    for number in range(10):
        account = dataclasses.replace(ANA, user_id=UserId(f"user-{number}"))
        bench.store.put(account)
        await bench.call(bench.header(account))
        await bench.refusal(b"Bearer " + str(number).encode())
    assert len(bench.authenticator._verified) == 3
    assert len(bench.authenticator._identities._entries) == 2


async def test_nothing_is_remembered_of_a_refused_token() -> None:
    """Forged tokens push no good one out of the cache."""
    bench = Bench()
    for number in range(10):
        await bench.refusal(b"Bearer a.b." + str(number).encode())
    assert len(bench.authenticator._verified) == 0


async def test_without_a_cache_everything_still_works() -> None:
    """A cache of no size keeps nothing."""
    bench = Bench(token_cache_size=0)
    header = bench.header()
    assert await bench.call(header) == await bench.call(header)
    assert bench.verified == 2


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no_credentials"),
        (b"", "other_scheme"),
        (b"Basic YW5hOnB3", "other_scheme"),
        (b"Bearer", "other_scheme"),
        (b"Bearer\ttoken", "other_scheme"),
        (b"Bearer: token", "other_scheme"),
        (b" Bearer token", "other_scheme"),
        (b"Token a.b.c", "other_scheme"),
        (b"Bearer ", "token_malformed"),
        (b"Bearer \xff\xfe.\xff.\xff", "token_malformed"),
        (b"Bearer a.b.c d", "token_malformed"),
        (b"Bearer a.b.c, Basic YW5hOnB3", "token_malformed"),
        (b"Bearer " + b"A" * 100_000, "token_too_long"),
    ],
    ids=repr,
)
async def test_anything_but_a_bearer_token_is_refused(header: bytes | None, reason: str) -> None:
    """Other schemes, malformed headers and none at all are one kind of error."""
    assert await Bench().refusal(header) == reason


@pytest.mark.parametrize("spelling", [b"bearer ", b"BEARER ", b"BeArEr   "], ids=repr)
async def test_the_scheme_is_read_in_any_case(spelling: bytes) -> None:
    """Schemes don't distinguish case (RFC 9110, section 11.1), and spaces may follow."""
    bench = Bench()
    token = bench.header().removeprefix(b"Bearer ")
    assert (await bench.call(spelling + token)).user_id == "ana"


async def test_a_missing_token_and_a_bad_one_get_different_challenges() -> None:
    """Only a token that was sent can be called invalid (RFC 6750, section 3.1)."""
    bench = Bench()
    with pytest.raises(UnauthenticatedError) as missing:
        await bench.call(None)
    with pytest.raises(InvalidTokenError) as bad:
        await bench.call(b"Bearer x")
    assert missing.value.challenge == "Bearer"
    assert bad.value.challenge == 'Bearer error="invalid_token"'


BENCH = Bench()


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"Bearer " + tail))
async def test_any_header_is_a_refusal(header: bytes) -> None:
    """Whatever bytes come, nobody is let in and nothing else is raised."""
    with pytest.raises(UnauthenticatedError):
        await BENCH.call(header)


async def test_a_peek_finds_who_was_verified_lately() -> None:
    """Within the lifetime the caller is known without a look at signature or store."""
    bench = Bench()
    header = bench.header()
    assert bench.authenticator.peek(header) is None
    principal = await bench.call(header)
    bench.clock.advance(LIFETIME - 0.01)
    assert bench.authenticator.peek(header) is principal
    assert (bench.verified, bench.store.asked) == (1, 1)
    bench.clock.advance(0.01)
    assert bench.authenticator.peek(header) is None


async def test_a_peek_sees_the_end_of_a_token() -> None:
    """A remembered token that has expired is nobody, in the middle of the cache's lifetime too."""
    bench = Bench(identity_cache_lifetime=5)
    header = bench.header()
    lifetime = bench.tokens.issue(ANA).expires_in
    bench.clock.advance(lifetime - 1)
    await bench.call(header)
    assert bench.authenticator.peek(header) is not None
    bench.clock.advance(1)
    assert bench.authenticator.peek(header) is None


@given(st.none() | st.binary(max_size=200))
def test_a_peek_knows_nobody_by_itself(header: bytes | None) -> None:
    """Whatever is sent, nobody is known who was not verified."""
    assert Bench().authenticator.peek(header) is None


async def test_a_peek_takes_the_whole_header() -> None:
    """A remembered header with one byte more, less or other is unknown."""
    bench = Bench()
    header = bench.header()
    await bench.call(header)
    for other in (header + b" ", header[:-1], header.lower(), header[7:]):
        assert bench.authenticator.peek(other) is None
