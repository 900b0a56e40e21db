import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stockade.authentication import Account, AuthenticationSettings
from stockade.authentication.enrolled import EnrolledFactors
from stockade.authentication.errors import InvalidTokenError, ReusedTokenError
from stockade.authentication.pending import FactorCheck, PendingSignIns
from stockade.authentication.refresh_tokens import COOKIE_PREFIX, RefreshTokens
from stockade.authentication.sessions import Client, Grant, Sessions
from stockade.authentication.totp import TOTPFactor
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.errors import FactorRequiredError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.memory.sessions import MemorySessionStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW, OLD, make_tokens

LAPTOP = Client(device="Firefox", address="203.0.113.9")
GRACE = 10.0
IDLE = 3600.0
LIFETIME = 4 * 3600.0


class Bench:
    """Sessions with everything around them."""

    def __init__(self, *ring: str, **changes: Any) -> None:  # noqa: ANN401 - settings
        self.clock = FrozenClock()
        self.accounts = MemoryAccountStore([ANA])
        self.store = MemorySessionStore()
        self.factors = MemoryFactorStore()
        self.settings = AuthenticationSettings.model_validate(
            {
                "refresh_grace": GRACE,
                "session_idle_lifetime": IDLE,
                "session_lifetime": LIFETIME,
                **changes,
            }
        )
        self.tokens = make_tokens(clock=self.clock)
        self.turn(*(ring or (NEW,)))

    def turn(self, *ring: str) -> None:
        """Start again with other keys and the same store."""
        self.sessions = Sessions(
            self.store,
            self.accounts,
            access=self.tokens,
            refresh=RefreshTokens(KeyRing(ring)),
            cookies=RefreshTokens(KeyRing(ring), prefix=COOKIE_PREFIX),
            factors=FactorCheck(
                EnrolledFactors(self.factors, MemoryPasskeyStore()),
                PendingSignIns(KeyRing(ring), self.clock),
            ),
            settings=self.settings,
            clock=self.clock,
        )

    async def begin(self, account: Account = ANA) -> Grant:
        """Sign in."""
        return await self.sessions.begin(account, LAPTOP)

    async def refresh(self, value: str) -> Grant:
        """Exchange a token."""
        return await self.sessions.refresh(value, LAPTOP)

    async def refusal(self, value: str) -> str:
        """Return the reason for which a token is refused."""
        with pytest.raises(InvalidTokenError) as caught:
            await self.refresh(value)
        return caught.value.reason.removeprefix("authentication.")


async def test_a_token_is_exchanged_for_the_next_one() -> None:
    """Each exchange gives new tokens of the same session, signed in when it began."""
    bench = Bench()
    first = await bench.begin()
    bench.clock.advance(600)
    second = await bench.refresh(first.refresh)
    assert second.refresh != first.refresh
    assert second.session.session_id == first.session.session_id
    access = bench.tokens.verify(second.access.value)
    assert access.session_id == first.session.session_id
    assert access.authenticated_at == first.session.authenticated_at
    assert second.session.last_used_at == bench.clock.now()


async def test_a_repetition_within_the_grace_gets_the_same_successor() -> None:
    """Parallel tabs and lost answers log nobody out."""
    bench = Bench()
    first = await bench.begin()
    grants = [await bench.refresh(first.refresh) for _ in range(5)]
    assert len({grant.refresh for grant in grants}) == 1
    bench.clock.advance(GRACE - 1)
    assert (await bench.refresh(first.refresh)).refresh == grants[0].refresh


async def test_a_repetition_after_the_grace_ends_the_session() -> None:
    """The first such use is an alarm; after it neither party can go on."""
    bench = Bench()
    first = await bench.begin()
    second = await bench.refresh(first.refresh)
    bench.clock.advance(GRACE)
    with pytest.raises(ReusedTokenError) as caught:
        await bench.refresh(first.refresh)
    assert (caught.value.first, caught.value.reason) == (True, "authentication.refresh_reused")
    assert caught.value.session_id == first.session.session_id
    assert await bench.refusal(second.refresh) == "session_over"
    assert await bench.refusal(first.refresh) == "session_over"


async def test_a_token_before_the_last_one_ends_the_session_at_once() -> None:
    """The grace is for one step, not for the whole chain."""
    bench = Bench()
    first = await bench.begin()
    second = await bench.refresh(first.refresh)
    await bench.refresh(second.refresh)
    assert await bench.refusal(first.refresh) == "refresh_reused"


async def test_a_made_up_token_ends_nothing() -> None:
    """Whoever knows the identifier of a session can't end it with a token of his own."""
    bench = Bench()
    first = await bench.begin()
    foreign = RefreshTokens(KeyRing([OLD])).begin(first.session.session_id)
    assert await bench.refusal(foreign.value) == "refresh_unknown"
    assert (await bench.refresh(first.refresh)).session.session_id == first.session.session_id


async def test_a_session_ends_when_it_is_idle_and_in_any_case() -> None:
    """Use keeps it from being idle, and nothing keeps it beyond its lifetime."""
    bench = Bench()
    grant = await bench.begin()
    for _ in range(4):
        bench.clock.advance(IDLE - 1)
        grant = await bench.refresh(grant.refresh)
    bench.clock.advance(IDLE)
    assert await bench.refusal(grant.refresh) == "session_over"

    bench = Bench(session_idle_lifetime=IDLE, session_lifetime=IDLE)
    grant = await bench.begin()
    bench.clock.advance(IDLE - 1)
    grant = await bench.refresh(grant.refresh)
    bench.clock.advance(1)
    assert await bench.refusal(grant.refresh) == "session_over"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"active": False}, "account_inactive"),
        ({"token_epoch": 4}, "token_revoked"),
        ({"user_id": UserId("other")}, "account_gone"),
    ],
)
async def test_the_account_has_to_back_it(changes: dict[str, Any], reason: str) -> None:
    """What ends the account's tokens ends its sessions."""
    bench = Bench()
    grant = await bench.begin()
    bench.accounts._accounts[:] = [dataclasses.replace(ANA, **changes)]
    assert await bench.refusal(grant.refresh) == reason


async def test_leaving_the_tenant_ends_the_session() -> None:
    """No other tenant takes its place in silence."""
    bench = Bench()
    grant = await bench.begin()
    bench.accounts._accounts[:] = [dataclasses.replace(ANA, tenant_id=None, roles=frozenset())]
    assert await bench.refusal(grant.refresh) == "membership_ended"


async def test_new_keys_take_over() -> None:
    """A key ring that turns logs nobody out, also within the grace."""
    bench = Bench(OLD)
    first = await bench.begin()
    second = await bench.refresh(first.refresh)
    bench.turn(OLD, NEW)
    assert (await bench.refresh(first.refresh)).refresh
    third = await bench.refresh(second.refresh)
    bench.turn(NEW)
    assert (await bench.refresh(third.refresh)).session.session_id == first.session.session_id
    bench.turn(OLD)
    assert await bench.refusal(third.refresh) == "refresh_unknown"


async def test_sessions_are_listed_and_ended() -> None:
    """Only living ones are listed, the last used one first; others' can't be ended."""
    bench = Bench()
    first = await bench.begin()
    bench.clock.advance(1)
    second = await bench.begin()
    bench.clock.advance(1)
    await bench.refresh(first.refresh)
    listed = [each.session_id for each in await bench.sessions.list(ANA.user_id)]
    assert listed == [first.session.session_id, second.session.session_id]
    assert not await bench.sessions.end_of(UserId("bea"), listed[0])
    assert await bench.sessions.end_of(ANA.user_id, listed[0])
    assert not await bench.sessions.end_of(ANA.user_id, "nothing")
    assert [each.session_id for each in await bench.sessions.list(ANA.user_id)] == listed[1:]
    bench.clock.advance(IDLE)
    assert await bench.sessions.list(ANA.user_id) == []


async def test_all_sessions_end_but_one() -> None:
    """A changed password leaves the session in which it was changed."""
    bench = Bench()
    grants = [await bench.begin() for _ in range(3)]
    kept = grants[0].session.session_id
    assert await bench.sessions.end_all(ANA.user_id, except_for=kept) == 2
    assert (await bench.refresh(grants[0].refresh)).refresh
    assert await bench.refusal(grants[1].refresh) == "session_over"
    assert await bench.sessions.end_all(ANA.user_id) == 1


async def test_a_token_can_be_given_back() -> None:
    """It ends its session, once; what is no token ends nothing."""
    bench = Bench()
    grant = await bench.begin()
    assert await bench.sessions.end_by_token("nothing") is None
    assert await bench.sessions.end_by_token(grant.refresh) == grant.session.session_id
    assert await bench.sessions.end_by_token(grant.refresh) is None
    assert await bench.refusal(grant.refresh) == "session_over"


async def test_the_oldest_session_gives_way() -> None:
    """An account has a bounded number of them."""
    bench = Bench(sessions_per_account=2)
    grants = []
    for _ in range(3):
        grants.append(await bench.begin())
        bench.clock.advance(1)
    assert await bench.refusal(grants[0].refresh) == "session_over"
    assert len(await bench.sessions.list(ANA.user_id)) == 2


async def test_what_a_client_calls_itself_is_cut() -> None:
    """It is printable and short."""
    bench = Bench()
    grant = await bench.sessions.begin(ANA, Client(device="x\r\n\0" + "y" * 999, address="z" * 99))
    assert grant.session.device == "x" + "y" * 199
    assert grant.session.address == "z" * 45


class Chains(RuleBasedStateMachine):
    """Sessions against a model that knows the one token of each that may go on.

    Two parties use every token that was ever seen, in any order, and time passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        # By session: tokens in order, when the last one came, whether it is over.
        self.chains: dict[str, list[str]] = {}
        self.rotated: dict[str, float] = {}
        self.used: dict[str, float] = {}
        self.begun: dict[str, float] = {}
        self.over: set[str] = set()

    def now(self) -> float:
        """Return the time."""
        return self.bench.clock.monotonic()

    @rule()
    def sign_in(self) -> None:
        """Begin a session."""
        grant = asyncio.run(self.bench.begin())
        name = grant.session.session_id
        self.chains[name] = [grant.refresh]
        self.begun[name] = self.used[name] = self.now()

    @rule(seconds=st.sampled_from([1.0, GRACE - 1, GRACE, IDLE / 2, IDLE]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.bench.clock.advance(seconds)

    @rule(data=st.data())
    def use(self, data: st.DataObject) -> None:
        """Exchange any token that was ever given out."""
        if not self.chains:
            return
        name = list(self.chains)[data.draw(st.integers(0, len(self.chains) - 1))]
        chain = self.chains[name]
        place = data.draw(st.integers(0, len(chain) - 1))
        now = self.now()
        ended = name in self.over or now >= self.begun[name] + LIFETIME
        idle = now >= self.used[name] + IDLE
        last = place == len(chain) - 1
        repeated = place == len(chain) - 2 and now < self.rotated.get(name, -1e9) + GRACE
        try:
            grant = asyncio.run(self.bench.refresh(chain[place]))
        except ReusedTokenError as error:
            assert not ended
            assert not last
            assert not repeated
            assert error.first  # noqa: PT017 - whether there is an error is what is tested
            self.over.add(name)
        except InvalidTokenError:
            assert ended or (last and idle)
        else:
            assert not ended
            if last:
                assert not idle
                assert grant.refresh not in chain
                chain.append(grant.refresh)
                self.rotated[name] = self.used[name] = now
            else:
                assert repeated
                assert grant.refresh == chain[-1]

    @rule(data=st.data())
    def sign_out(self, data: st.DataObject) -> None:
        """End a session."""
        if self.chains:
            name = list(self.chains)[data.draw(st.integers(0, len(self.chains) - 1))]
            assert asyncio.run(self.bench.sessions.end(name)) == (name not in self.over)
            self.over.add(name)

    @invariant()
    def listed(self) -> None:
        """Just the living sessions are listed."""
        now = self.now()
        living = {
            name
            for name in self.chains
            if name not in self.over
            and now < self.begun[name] + LIFETIME
            and now < self.used[name] + IDLE
        }
        found = asyncio.run(self.bench.sessions.list(ANA.user_id))
        assert {each.session_id for each in found} == living


TestChains = Chains.TestCase
TestChains.settings = profile(
    max_examples=60, stateful_step_count=30, deadline=timedelta(seconds=5)
)


async def confirm_factor(bench: Bench) -> None:
    """Let the account have an authenticator app."""
    factor = TOTPFactor(factor_id="1", user_id=ANA.user_id, sealed="", created_at=bench.clock.now())
    await bench.factors.enrol_totp(factor)
    await bench.factors.confirm_totp("1", step=1, now=bench.clock.now(), codes=())


async def test_no_session_begins_without_the_second_factor() -> None:
    """Whoever calls: neither with tokens nor in a cookie; a refresh needs none."""
    bench = Bench()
    before = await bench.begin()
    await confirm_factor(bench)
    with pytest.raises(FactorRequiredError):
        await bench.begin()
    with pytest.raises(FactorRequiredError):
        await bench.sessions.begin_in_browser(ANA, LAPTOP)
    with pytest.raises(FactorRequiredError):
        await bench.sessions.begin(ANA, LAPTOP, factors=frozenset())
    assert len(await bench.sessions.list(ANA.user_id)) == 1
    factors = frozenset({"password", "totp"})
    granted = await bench.sessions.begin(ANA, LAPTOP, factors=factors)
    assert granted.session.factors == factors
    assert (await bench.refresh(before.refresh)).session.factors == {"password"}
    assert (await bench.refresh(granted.refresh)).session.factors == factors


async def test_a_session_is_replaced_once() -> None:
    """Of many at once one takes its place, with the same end; the old tokens are worth nothing."""
    bench = Bench()
    old = await bench.begin()
    bench.clock.advance(600)
    factors = frozenset({"totp"})
    results = await asyncio.gather(
        *(
            bench.sessions.replace(ANA, old.session.session_id, LAPTOP, factors=factors)
            for _ in range(20)
        ),
        return_exceptions=True,
    )
    (new,) = [each for each in results if isinstance(each, Grant)]
    assert new.session.factors == factors
    assert new.session.authenticated_at == bench.clock.now()
    assert new.session.expires_at == old.session.expires_at
    assert await bench.refusal(old.refresh) == "session_over"
    assert (await bench.refresh(new.refresh)).session.session_id == new.session.session_id


async def test_no_session_of_another_account_is_replaced() -> None:
    """Nor one that is over or never was."""
    bench = Bench()
    bea = dataclasses.replace(ANA, user_id=UserId("bea"))
    old = await bench.begin()
    for account, session_id in ((bea, old.session.session_id), (ANA, "nothing")):
        with pytest.raises(InvalidTokenError):
            await bench.sessions.replace(account, session_id, LAPTOP, factors=frozenset())
        with pytest.raises(InvalidTokenError):
            await bench.sessions.replace_in_browser(
                account, session_id, LAPTOP, factors=frozenset()
            )
    bench.clock.advance(LIFETIME)
    with pytest.raises(InvalidTokenError):
        await bench.sessions.replace(ANA, old.session.session_id, LAPTOP, factors=frozenset())
    assert len(await bench.store.list_active(ANA.user_id, now=old.session.created_at)) == 1


async def test_a_session_without_a_factor_is_no_fresh_sign_in() -> None:
    """Taking a factor away proves nothing, so that nobody keeps a session fresh by it."""
    bench = Bench()
    old = await bench.begin()
    bench.clock.advance(600)
    bare = frozenset({"password"})
    new = await bench.sessions.replace(ANA, old.session.session_id, LAPTOP, factors=bare)
    assert new.session.authenticated_at == old.session.authenticated_at
    assert new.session.created_at == bench.clock.now()


@pytest.mark.parametrize("in_browser", [False, True], ids=["tokens", "cookie"])
async def test_a_session_that_begins_while_a_factor_is_turned_on_ends(
    in_browser: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there when all others ended, and must not stay."""
    bench = Bench()
    add = bench.store.add

    async def add_late(*arguments: Any, **named: Any) -> None:  # noqa: ANN401 - as it is called
        await confirm_factor(bench)
        await bench.sessions.end_all(ANA.user_id)
        await add(*arguments, **named)

    monkeypatch.setattr(bench.store, "add", add_late)
    begin = bench.sessions.begin_in_browser if in_browser else bench.sessions.begin
    with pytest.raises(FactorRequiredError):
        await begin(ANA, LAPTOP)
    assert await bench.store.list_active(ANA.user_id, now=bench.clock.now()) == []
