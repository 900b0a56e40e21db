import base64
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import Account
from stockade.authentication.enrolled import EnrolledFactors
from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.pending import FactorCheck, PendingSignIns
from stockade.authentication.totp import TOTPFactor
from stockade.core import TenantId, UserId
from stockade.crypto import KeyRing
from stockade.errors import FactorRequiredError
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW, OLD

PASSWORD = frozenset({"password"})


def make(*ring: str, clock: FrozenClock | None = None) -> PendingSignIns:
    """Make what issues and reads the tokens."""
    return PendingSignIns(KeyRing(ring or (NEW,)), clock or FrozenClock())


def reason(pending: PendingSignIns, value: str) -> str:
    """Return the reason for which a token is refused."""
    with pytest.raises(InvalidTokenError) as caught:
        pending.read(value)
    return caught.value.reason.removeprefix("authentication.pending_")


@pytest.mark.parametrize("in_browser", [True, False])
@pytest.mark.parametrize(
    "account",
    [
        ANA,
        dataclasses.replace(ANA, tenant_id=None),
        dataclasses.replace(ANA, user_id=UserId("ü" * 255), tenant_id=TenantId("\U0001f600" * 255)),
    ],
    ids=["tenant", "no tenant", "long names"],
)
def test_a_token_says_what_waits(account: Account, in_browser: bool) -> None:
    """Who, where, since which epoch, with which factors, for which kind of session."""
    pending = make()
    token = pending.issue(account, factors=PASSWORD, in_browser=in_browser)
    assert len(token) <= 4096
    found = pending.read(token)
    assert (found.user_id, found.tenant_id) == (account.user_id, account.tenant_id)
    assert (found.token_epoch, found.factors, found.in_browser) == (3, PASSWORD, in_browser)


@pytest.mark.parametrize(
    ("seconds", "refused"), [(0, False), (299, False), (300, True), (-59, False), (-61, True)]
)
def test_a_token_holds_for_five_minutes(seconds: int, refused: bool) -> None:
    """A clock that is put back does not lengthen that."""
    clock = FrozenClock()
    pending = make(clock=clock)
    token = pending.issue(ANA, factors=PASSWORD, in_browser=False)
    clock.turn(seconds)
    if refused:
        assert reason(pending, token) == "over"
    else:
        assert pending.read(token).user_id == ANA.user_id


def test_a_token_of_an_older_key_holds() -> None:
    """Of a key that has left the ring, or never was in it, it does not."""
    token = make(OLD).issue(ANA, factors=PASSWORD, in_browser=False)
    assert make(OLD, NEW).read(token).user_id == ANA.user_id
    assert reason(make(NEW), token) == "unknown"


def test_nothing_of_a_token_can_be_changed() -> None:
    """Neither the account nor the kind of session nor the time."""
    pending = make()
    token = pending.issue(ANA, factors=PASSWORD, in_browser=False)
    body, mac = token.removeprefix("stkm_").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    for name, value in {"user": "bea", "browser": True, "until": 9e9, "factors": ["totp"]}.items():
        forged = base64.urlsafe_b64encode(json.dumps({**claims, name: value}).encode()).decode()
        assert reason(pending, f"stkm_{forged.rstrip('=')}.{mac}") == "unknown"


@given(st.text(max_size=200) | st.from_regex(r"stkm_[A-Za-z0-9_-]+\.[0-9a-f]{64}", fullmatch=True))
def test_anything_else_is_refused(value: str) -> None:
    """Only the declared error is raised."""
    assert reason(make(), value) in {"malformed", "unknown"}


async def test_an_account_without_a_factor_passes() -> None:
    """One that has begun to enrol an app, and has not confirmed it, has none yet."""
    clock, store = FrozenClock(), MemoryFactorStore()
    check = FactorCheck(EnrolledFactors(store, MemoryPasskeyStore()), make(clock=clock))
    await check.require(ANA, factors=PASSWORD, in_browser=False)
    factor = TOTPFactor(factor_id="1", user_id=ANA.user_id, sealed="", created_at=clock.now())
    await store.enrol_totp(factor)
    await check.require(ANA, factors=PASSWORD, in_browser=False)
    await store.confirm_totp("1", step=1, now=clock.now(), codes=())
    with pytest.raises(FactorRequiredError) as caught:
        await check.require(ANA, factors=PASSWORD, in_browser=True)
    assert caught.value.code == "mfa_required"
    assert caught.value.factors == ("totp", "recovery_code")
    assert caught.value.pending_token not in f"{caught.value!r} {caught.value}"
    assert make(clock=clock).read(caught.value.pending_token).in_browser
    await check.require(ANA, factors=PASSWORD | {"totp"}, in_browser=False)
    await check.require(ANA, factors=PASSWORD | {"recovery_code"}, in_browser=False)
