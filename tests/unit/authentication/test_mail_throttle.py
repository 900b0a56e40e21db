import pytest

from stockade.authentication import AuthenticationSettings
from stockade.authentication.mail_throttle import MailThrottle
from stockade.crypto import KeyRing
from stockade.errors import RateLimitedError, StoreError
from stockade.storage.limits import LimitedAttempts
from stockade.storage.memory.limits import MemoryLimitStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import NEW


def make(**settings: int) -> tuple[MailThrottle, MemoryLimitStore, FrozenClock]:
    """Make a throttle over memory."""
    clock = FrozenClock()
    store = MemoryLimitStore(clock=clock)
    chosen = AuthenticationSettings.model_validate(settings)
    throttle = MailThrottle(LimitedAttempts(store), keys=KeyRing([NEW]), settings=chosen)
    return throttle, store, clock


async def test_case_and_place_make_no_other_address() -> None:
    """One mailbox has one count."""
    throttle, _, clock = make(mails_per_address=2)
    await throttle.check("ana@example.org", "192.0.2.1")
    await throttle.check("ANA@Example.org", "192.0.2.2")
    with pytest.raises(RateLimitedError) as caught:
        await throttle.check("Ana@example.org", "192.0.2.3")
    clock.advance(caught.value.retry_after.total_seconds())
    await throttle.check("ana@example.org", "192.0.2.3")


async def test_no_address_is_kept() -> None:
    """The names of the buckets hold a digest."""
    throttle, store, _ = make()
    await throttle.check("canary@example.org", "192.0.2.1")
    assert "canary" not in repr(list(store._buckets))


@pytest.mark.parametrize("email", ["", "\ud800", "\0", "a b", "x" * 10_000], ids=ascii)
async def test_any_text_is_counted(email: str) -> None:
    """What is no address costs whoever sends it as much."""
    throttle, _, _ = make(mails_per_address=1)
    await throttle.check(email, "somewhere")
    with pytest.raises(RateLimitedError):
        await throttle.check(email, "192.0.2.1")


async def test_a_refused_request_takes_nothing_from_others() -> None:
    """A client that is over its count uses up no mailbox of others."""
    throttle, _, _ = make(mails_per_address=1, mails_per_client=1)
    await throttle.check("ana@example.org", "192.0.2.1")
    with pytest.raises(RateLimitedError):
        await throttle.check("bea@example.org", "192.0.2.1")
    await throttle.check("bea@example.org", "192.0.2.2")


async def test_without_its_store_nothing_passes() -> None:
    """A count that can't be made is no permission."""

    class Away:
        async def take(self, _buckets: object) -> None:
            raise StoreError("away")

    throttle = MailThrottle(Away(), keys=KeyRing([NEW]), settings=AuthenticationSettings())
    with pytest.raises(StoreError):
        await throttle.check("ana@example.org", "192.0.2.1")
