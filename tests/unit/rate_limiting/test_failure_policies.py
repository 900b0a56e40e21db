"""Expect each kind of limit to fall under its own policy while the store is away."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest

from stockade.core.limits import FailurePolicy, LimitRule
from stockade.core.policy import Policy
from stockade.errors import ConfigurationError, StoreError, UnavailableError
from stockade.rate_limiting import (
    Limiter,
    LimitRequest,
    LimitState,
    RateLimitingSettings,
    ResilientStore,
    get_rate_limit_key,
    parse_rules,
    rate_limit,
)
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import ManualClock, Recorder, make_limiter

OPEN = LimitRule(amount=2, window=60, failure="open")
LOCAL = LimitRule(amount=2, window=60, failure="local")
CLOSED = LimitRule(amount=2, window=60, failure="closed")
PLAIN = LimitRule(amount=2, window=60)


class AwayStore(MemoryLimitStore):
    """A store that never answers."""

    async def acquire(self, requests: Sequence[LimitRequest]) -> Sequence[LimitState]:
        """Fail."""
        raise StoreError("away")


def make_store(failure: str) -> ResilientStore:
    """Put a failure policy around a store that is away."""
    clock = ManualClock()
    return ResilientStore(
        AwayStore(clock=clock),
        local=MemoryLimitStore(clock=clock),
        settings=RateLimitingSettings.model_validate({"failure": failure}),
        clock=clock,
        events=Recorder(clock).log,
    )


async def outcomes(store: ResilientStore, *rules: LimitRule) -> list[bool]:
    """Ask four times over all these limits."""
    requests = [LimitRequest(f"{{a}}{number}", rule) for number, rule in enumerate(rules)]
    return [all(state.allowed for state in await store.acquire(requests)) for _ in range(4)]


@pytest.mark.parametrize("failure", get_args(FailurePolicy))
async def test_a_policy_of_its_own_comes_first(failure: str) -> None:
    """What a limit says holds, whatever the settings say of others."""
    store = make_store(failure)
    assert await outcomes(store, OPEN) == [True] * 4
    assert await outcomes(store, LOCAL) == [True, True, False, False]
    with pytest.raises(UnavailableError):
        await outcomes(store, CLOSED)


async def test_without_one_the_settings_hold() -> None:
    """A limit without a policy falls under that of the settings."""
    assert await outcomes(make_store("open"), PLAIN) == [True] * 4
    with pytest.raises(UnavailableError):
        await outcomes(make_store("closed"), PLAIN)


@pytest.mark.parametrize("rules", [(OPEN, CLOSED), (CLOSED, LOCAL), (OPEN, LOCAL, PLAIN)])
async def test_a_closed_limit_refuses_the_request(rules: tuple[LimitRule, ...]) -> None:
    """Of several limits the strictest policy decides, and nothing is counted."""
    with pytest.raises(UnavailableError):
        await outcomes(make_store("closed"), *rules)


@pytest.mark.parametrize("rules", [(OPEN, LOCAL), (LOCAL, OPEN), (OPEN, LOCAL, OPEN)])
async def test_open_and_local_limits_together(rules: tuple[LimitRule, ...]) -> None:
    """An open limit frees the request from no other one, and each state stands in its place."""
    store = make_store("closed")
    assert await outcomes(store, *rules) == [True, True, False, False]
    requests = [LimitRequest(f"{{b}}{number}", rule) for number, rule in enumerate(rules)]
    states = await store.acquire(requests)
    assert [state.remaining for state in states] == [1 if rule is LOCAL else 2 for rule in rules]


def planned(policy: Policy, *, login: bool = False, **settings: object) -> set[str | None]:
    """Return the failure policies of the limits of a route."""
    clock = ManualClock()
    limiter = make_limiter(MemoryLimitStore(clock=clock), Recorder(clock), **settings)
    plan = limiter.plan(policy, route="GET /x", login=login)
    found = [part for part in (plan.before, plan.after) if part is not None]
    return {limit.rule.failure for part in found for limit in part.limits}


PUBLIC = Policy(public=("open",))
CALLER = Policy(authenticated=True)
OWN = parse_rules("7/minute")
EACH: dict[str, Any] = {
    "failure_public": "open",
    "failure_authenticated": "local",
    "failure_address": "open",
    "failure_login": "closed",
}


def test_classes_of_routes_have_their_policies() -> None:
    """Each kind of route has the policy that the settings give it."""
    assert planned(PUBLIC, **EACH) == {"open"}
    assert planned(CALLER, **EACH) == {"open", "local"}
    assert planned(PUBLIC, login=True, **EACH) == {"closed"}


def test_redirects_have_the_policy_of_open_routes() -> None:
    """They are answered before anybody is asked who it is."""
    clock = ManualClock()
    made = make_limiter(MemoryLimitStore(clock=clock), Recorder(clock), **EACH)
    assert made.redirects is not None
    assert {limit.rule.failure for limit in made.redirects.limits} == {"open"}


@pytest.mark.parametrize("own", ["failure_public", "failure_authenticated"])
def test_an_option_of_a_limiter_has_to_hold_for_each_class(own: str) -> None:
    """Where one class of routes has another policy, the option would be true in parts alone."""
    clock, limiter = ManualClock(), Limiter(get_rate_limit_key, swallow_errors=True)
    agreeing = make_limiter(MemoryLimitStore(clock=clock), Recorder(clock), failure="open")
    agreeing.adopt(limiter)
    other: dict[str, Any] = {"failure": "open", own: "closed"}
    with pytest.raises(ConfigurationError):
        make_limiter(MemoryLimitStore(clock=clock), Recorder(clock), **other).adopt(limiter)


def test_own_limits_have_the_policy_of_their_route() -> None:
    """A route's own limits fall under the policy of its kind, unless they name one."""
    assert planned(Policy(public=("open",), limits=OWN), **EACH) == {"open"}
    assert planned(Policy(public=("open",), limits=OWN), login=True, **EACH) == {"closed"}
    assert planned(Policy(public=("open",), limits=(CLOSED,)), **EACH) == {"closed"}


def test_login_is_closed_unless_said_otherwise() -> None:
    """A policy for everything does not open the routes that take a password."""
    assert planned(PUBLIC, login=True, failure="open") == {"closed"}
    assert planned(PUBLIC, failure="open") == {None}


def test_an_endpoint_names_its_policy() -> None:
    """The decorator sets it."""
    (rule,) = rate_limit("5/minute", failure="local").policy.limits
    assert rule.failure == "local"


def test_an_unknown_policy_is_refused() -> None:
    """A misspelt policy stops the import."""
    with pytest.raises(ConfigurationError):
        rate_limit("5/minute", failure="opne")  # type: ignore[arg-type]  # what a user might write
