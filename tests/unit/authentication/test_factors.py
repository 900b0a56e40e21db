import asyncio
import base64
import dataclasses
from typing import Any

import pytest

from stockade.authentication import AuthenticationSettings
from stockade.authentication.enrolled import EnrolledFactors
from stockade.authentication.errors import FactorExistsError, InvalidCodeError
from stockade.authentication.factors import Enrolment, make_second_factors
from stockade.authentication.totp import PERIOD, compute_code, step_at
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.errors import RateLimitedError, StoreError
from stockade.storage.limits import LimitedAttempts
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.memory.limits import MemoryLimitStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.memory.sessions import MemorySessionStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import NEW, OLD

ANA, BEA = UserId("ana"), UserId("bea")
HERE = "203.0.113.9"


def secret_of(enrolment: Enrolment) -> bytes:
    """Read the secret as an app does."""
    return base64.b32decode(enrolment.secret)


class Bench:
    """Second factors with everything around them."""

    def __init__(self, *ring: str, **settings: Any) -> None:  # noqa: ANN401 - settings
        self.clock = FrozenClock()
        self.store = MemoryFactorStore()
        self.enrolled = EnrolledFactors(self.store, MemoryPasskeyStore())
        self.settings = AuthenticationSettings.model_validate({"factor_attempts": 1000, **settings})
        self.counts = MemoryLimitStore(clock=self.clock, max_keys=10_000)
        self.turn(*(ring or (NEW,)))

    def turn(self, *ring: str) -> None:
        """Start again with other keys and the same store."""
        self.factors = make_second_factors(
            self.store,
            self.enrolled,
            MemorySessionStore(),
            LimitedAttempts(self.counts),
            keys=KeyRing(ring),
            settings=self.settings,
            clock=self.clock,
        )

    def code(self, secret: bytes, offset: int = 0) -> str:
        """Return what the app shows, some steps from now."""
        return compute_code(secret, step_at(self.clock.now()) + offset)

    async def enrol(self, user_id: UserId = ANA) -> tuple[bytes, tuple[str, ...]]:
        """Enrol an app and confirm it, and let its first code pass."""
        secret = secret_of(await self.factors.enrol(user_id, f"{user_id}@example.com"))
        codes = await self.factors.confirm(user_id, self.code(secret), address=HERE)
        self.clock.advance(PERIOD)
        return secret, codes

    async def verify(self, code: str, user_id: UserId = ANA) -> str:
        """Return which factor a code is of, or the reason for which it is refused."""
        try:
            return await self.factors.verify(user_id, code, address=HERE)
        except InvalidCodeError as error:
            return error.reason.removeprefix("authentication.")


async def test_an_app_counts_once_it_is_confirmed() -> None:
    """Before that the account has no factor, and no code of it signs in."""
    bench = Bench(display_name="Acme")
    enrolment = await bench.factors.enrol(ANA, "ana@example.com")
    assert enrolment.uri.startswith("otpauth://totp/Acme:ana%40example.com?secret=")
    assert enrolment.secret not in repr(enrolment)
    secret = secret_of(enrolment)
    assert await bench.verify(bench.code(secret)) == "factor_unknown"
    assert (await bench.factors.describe(ANA)).totp_since is None
    codes = await bench.factors.confirm(ANA, bench.code(secret), address=HERE)
    state = await bench.factors.describe(ANA)
    assert (state.totp_since, state.recovery_codes) == (bench.clock.now(), len(codes))
    bench.clock.advance(PERIOD)
    assert await bench.verify(bench.code(secret)) == "totp"


async def test_the_code_of_the_confirmation_is_taken() -> None:
    """Whoever saw it typed in can't sign in with it."""
    bench = Bench()
    secret = secret_of(await bench.factors.enrol(ANA, ""))
    code = bench.code(secret)
    await bench.factors.confirm(ANA, code, address=HERE)
    assert await bench.verify(code) == "factor_code_replayed"


async def test_a_code_works_once() -> None:
    """Nor does one before it work after it."""
    bench = Bench()
    secret, _ = await bench.enrol()
    bench.clock.advance(10 * PERIOD)
    before, now = bench.code(secret, -1), bench.code(secret)
    assert await bench.verify(f"{now[:3]} {now[3:]}") == "totp"
    assert await bench.verify(now) == "factor_code_replayed"
    assert await bench.verify(before) == "factor_code_replayed"


async def test_of_many_uses_of_a_code_one_passes() -> None:
    """Two hundred at once."""
    bench = Bench()
    secret, codes = await bench.enrol()
    for code, name in ((bench.code(secret), "totp"), (codes[0], "recovery_code")):
        results = await asyncio.gather(*(bench.verify(code) for _ in range(200)))
        assert results.count(name) == 1


@pytest.mark.parametrize("offset", [-100, -2, 2, 100, 1_000_000])
async def test_a_code_of_another_time_is_wrong(offset: int) -> None:
    """Past and future ones, as from an app that somebody had in hand for a moment."""
    bench = Bench()
    secret, _ = await bench.enrol()
    bench.clock.advance(200 * PERIOD)
    assert await bench.verify(bench.code(secret, offset)) == "factor_code_wrong"


async def test_a_clock_that_is_put_back_takes_no_code_again() -> None:
    """Those of the time that comes twice were taken; recovery codes go on."""
    bench = Bench()
    secret, codes = await bench.enrol()
    code = bench.code(secret)
    assert await bench.verify(code) == "totp"
    bench.clock.turn(-3600)
    assert await bench.verify(code) == "factor_code_wrong"
    assert await bench.verify(bench.code(secret)) == "factor_code_replayed"
    assert await bench.verify(codes[3]) == "recovery_code"
    bench.clock.turn(3600)
    assert await bench.verify(code) == "factor_code_replayed"


async def test_a_code_of_another_account_is_wrong() -> None:
    """Of its app and of its paper."""
    bench = Bench()
    secret, codes = await bench.enrol()
    await bench.enrol(BEA)
    assert await bench.verify(bench.code(secret, 1), BEA) == "factor_code_wrong"
    assert await bench.verify(codes[0], BEA) == "recovery_code_wrong"
    assert await bench.verify(codes[0]) == "recovery_code"


async def test_a_secret_that_was_moved_to_another_account_opens_nothing() -> None:
    """Whoever can write to the store does not sign in with an app of his own."""
    bench = Bench()
    await bench.enrol()
    mallory, _ = await bench.enrol(BEA)
    own = await bench.store.find_totp(BEA)
    victim = await bench.store.find_totp(ANA)
    assert own is not None
    assert victim is not None
    await bench.store.remove_totp(victim.factor_id)
    await bench.store.enrol_totp(dataclasses.replace(own, user_id=ANA, last_step=-1))
    assert await bench.verify(bench.code(mallory, 1)) == "factor_unreadable"


@pytest.mark.parametrize("value", ["", "12345", "abcdef", "123456é", "0" * 40, "a" * 25])
async def test_what_is_no_code_is_refused(value: str) -> None:
    """Whatever it is, with the one error."""
    bench = Bench()
    await bench.enrol()
    assert await bench.verify(value) == "factor_code_malformed"


async def test_an_account_without_a_factor_has_no_code() -> None:
    """Neither kind."""
    bench = Bench()
    assert await bench.verify("123456") == "factor_unknown"
    assert await bench.verify("abcd-efgh-ijkl-mnop-qrst-uvwx") == "recovery_code_wrong"
    with pytest.raises(InvalidCodeError):
        await bench.factors.renew_codes(ANA)
    with pytest.raises(InvalidCodeError):
        await bench.factors.confirm(ANA, "123456", address=HERE)


async def test_guessing_ends_soon() -> None:
    """A million codes are tried at ten an hour, whatever kind of code it is."""
    bench = Bench(factor_attempts=10)
    secret, codes = await bench.enrol()
    wrong = [await bench.verify(f"{number:06}") for number in range(9)]
    assert set(wrong) == {"factor_code_wrong"}
    for right in (bench.code(secret), codes[0]):
        with pytest.raises(RateLimitedError):
            await bench.verify(right)


async def test_nobody_passes_while_attempts_are_not_counted() -> None:
    """The store that counts is away, and with it every sign-in by a factor."""

    class Away:
        async def take(self, buckets: object) -> None:
            raise StoreError("away")

    bench = Bench()
    secret, _ = await bench.enrol()
    factors = make_second_factors(
        bench.store,
        bench.enrolled,
        MemorySessionStore(),
        Away(),
        keys=KeyRing([NEW]),
        settings=bench.settings,
        clock=bench.clock,
    )
    with pytest.raises(StoreError):
        await factors.verify(ANA, bench.code(secret), address=HERE)


async def test_an_enrolment_waits_for_a_quarter_of_an_hour() -> None:
    """A secret that was left on a screen can't be confirmed later."""
    bench = Bench()
    secret = secret_of(await bench.factors.enrol(ANA, ""))
    bench.clock.advance(15 * 60)
    with pytest.raises(InvalidCodeError) as caught:
        await bench.factors.confirm(ANA, bench.code(secret), address=HERE)
    assert caught.value.reason == "authentication.enrolment_over"


async def test_only_the_last_of_two_enrolments_is_confirmed() -> None:
    """Somebody else may have seen the first one."""
    bench = Bench()
    first = secret_of(await bench.factors.enrol(ANA, ""))
    second = secret_of(await bench.factors.enrol(ANA, ""))
    with pytest.raises(InvalidCodeError):
        await bench.factors.confirm(ANA, bench.code(first), address=HERE)
    assert await bench.factors.confirm(ANA, bench.code(second), address=HERE)
    with pytest.raises(FactorExistsError) as caught:
        await bench.factors.confirm(ANA, bench.code(second, 1), address=HERE)
    assert caught.value.code == "factor_exists"
    with pytest.raises(FactorExistsError):
        await bench.factors.enrol(ANA, "")


async def test_of_many_confirmations_one_shows_codes() -> None:
    """The codes that are shown are the ones that work."""
    bench = Bench()
    secret = secret_of(await bench.factors.enrol(ANA, ""))
    shown = await asyncio.gather(
        *(bench.factors.confirm(ANA, bench.code(secret), address=HERE) for _ in range(20)),
        return_exceptions=True,
    )
    (codes,) = [each for each in shown if isinstance(each, tuple)]
    assert await bench.verify(codes[0]) == "recovery_code"


async def test_new_codes_end_the_old_ones() -> None:
    """A list that was lost is worth nothing."""
    bench = Bench()
    _, old = await bench.enrol()
    new = await bench.factors.renew_codes(ANA)
    assert await bench.verify(old[0]) == "recovery_code_wrong"
    assert await bench.verify(new[0]) == "recovery_code"
    assert (await bench.factors.describe(ANA)).recovery_codes == 9


async def test_an_app_is_removed_with_a_code() -> None:
    """A wrong one removes nothing; afterwards neither its codes nor those on paper are any."""
    bench = Bench()
    secret, codes = await bench.enrol()
    with pytest.raises(InvalidCodeError):
        await bench.factors.remove_totp(ANA, "abcd-efgh-ijkl-mnop-qrst-uvwx", address=HERE)
    assert await bench.factors.remove_totp(ANA, codes[0], address=HERE) == "recovery_code"
    assert await bench.verify(bench.code(secret)) == "factor_unknown"
    assert await bench.verify(codes[1]) == "recovery_code_wrong"
    await bench.enrol()


async def test_a_key_of_the_ring_can_go_once_the_app_was_used() -> None:
    """Its secret is sealed anew with the newest key; recovery codes need the key they have."""
    bench = Bench(OLD)
    secret, codes = await bench.enrol()
    unused = Bench(OLD)
    other, _ = await unused.enrol()
    for each, seed in ((bench, secret), (unused, other)):
        each.turn(OLD, NEW)
        if each is bench:
            assert await each.verify(each.code(seed)) == "totp"
            assert await each.verify(codes[0]) == "recovery_code"
        each.turn(NEW)
        each.clock.advance(PERIOD)
    assert await bench.verify(bench.code(secret)) == "totp"
    assert await bench.verify(codes[1]) == "recovery_code_wrong"
    assert await unused.verify(unused.code(other)) == "factor_unreadable"
