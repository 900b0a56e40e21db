"""Expect limits that bite in the right order, on the right bucket, with the right headers."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from starlette.requests import HTTPConnection, Request

from stockade.core import Exchange, LimitRule
from stockade.core.policy import Policy
from stockade.errors import RateLimitedError
from stockade.rate_limiting import (
    Limiter,
    RateLimiter,
    get_rate_limit_key,
    get_remote_address,
    parse_rules,
)
from stockade.rate_limiting.models import CompiledLimits
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import (
    ManualClock,
    Recorder,
    make_exchange,
    make_limiter,
    make_scope,
)

PUBLIC = Policy(public=("open",))
SIGNED_IN = Policy(authenticated=True)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is set by hand."""
    return ManualClock()


@pytest.fixture
def recorder(clock: ManualClock) -> Recorder:
    """An event log that can be read."""
    return Recorder(clock)


@pytest.fixture
def store(clock: ManualClock) -> MemoryLimitStore:
    """An empty store."""
    return MemoryLimitStore(clock=clock)


@pytest.fixture
def limiter(store: MemoryLimitStore, recorder: Recorder) -> RateLimiter:
    """A limiter with small default limits."""
    return make_limiter(
        store,
        recorder,
        public="3/minute",
        authenticated="4/minute",
        address="6/minute",
        login="2/minute",
    )


async def count(
    limiter: RateLimiter, limits: CompiledLimits | None, exchange: Exchange, *, tries: int = 20
) -> int:
    """Return how many requests pass before one is refused."""
    assert limits is not None
    for passed in range(tries):
        try:
            await limiter.check(limits, exchange, make_scope(exchange))
        except RateLimitedError:
            return passed
    return tries


async def test_public_route(limiter: RateLimiter) -> None:
    """An open route has the default limit by address, before anything else."""
    plan = limiter.plan(PUBLIC, route="GET /x")
    assert plan.after is None
    assert await count(limiter, plan.before, make_exchange()) == 3


async def test_routes_count_for_themselves(limiter: RateLimiter) -> None:
    """A default limit is a limit of each route."""
    for route in ("GET /x", "GET /y"):
        assert await count(limiter, limiter.plan(PUBLIC, route=route).before, make_exchange()) == 3


async def test_login_route(limiter: RateLimiter) -> None:
    """A route that takes a password has the stricter limit, by address."""
    plan = limiter.plan(PUBLIC, route="POST /auth/token", login=True)
    assert plan.after is None
    assert await count(limiter, plan.before, make_exchange()) == 2


async def test_authenticated_route(limiter: RateLimiter) -> None:
    """A closed route has one limit by address before authentication and one by caller after it."""
    plan = limiter.plan(SIGNED_IN, route="GET /x")
    assert await count(limiter, plan.before, make_exchange()) == 6
    assert await count(limiter, plan.after, make_exchange(user="1")) == 4


async def test_address_limit_spans_routes(limiter: RateLimiter) -> None:
    """Guessing tokens on one route after the other gains nothing."""
    passed = [
        await count(limiter, limiter.plan(SIGNED_IN, route=f"GET /{n}").before, make_exchange())
        for n in range(3)
    ]
    assert passed == [6, 0, 0]


async def test_callers_behind_one_address(limiter: RateLimiter) -> None:
    """Two verified callers behind one address have a bucket each."""
    after = limiter.plan(SIGNED_IN, route="GET /x").after
    assert await count(limiter, after, make_exchange(user="1")) == 4
    assert await count(limiter, after, make_exchange(user="2")) == 4


async def test_one_caller_with_many_addresses(limiter: RateLimiter) -> None:
    """A verified caller takes its bucket along to other addresses."""
    after = limiter.plan(SIGNED_IN, route="GET /x").after
    assert await count(limiter, after, make_exchange(user="1")) == 4
    assert await count(limiter, after, make_exchange(user="1", client="203.0.113.9")) == 0


async def test_a_user_named_like_an_address(limiter: RateLimiter) -> None:
    """A caller's identifier never meets an address or another caller's bucket."""
    limits = limiter.compile(parse_rules("2/minute"), route="GET /x")
    assert await count(limiter, limits, make_exchange()) == 2
    assert await count(limiter, limits, make_exchange(user="192.0.2.7")) == 2
    assert await count(limiter, limits, make_exchange(user="ip:192.0.2.7")) == 2
    assert await count(limiter, limits, make_exchange(user="a}route:GET /x:2/60")) == 2
    assert await count(limiter, limits, make_exchange(user="a")) == 2


async def test_ipv6_rotation(limiter: RateLimiter) -> None:
    """Every address of a /64 is the same client."""
    before = limiter.plan(PUBLIC, route="GET /x").before
    assert await count(limiter, before, make_exchange(client="2001:db8::1")) == 3
    assert await count(limiter, before, make_exchange(client="2001:db8::2")) == 0
    assert await count(limiter, before, make_exchange(client="2001:db8:0:1::1")) == 3


@pytest.mark.parametrize("client", ["", "unknown", "testclient"])
async def test_unknown_clients_are_limited(limiter: RateLimiter, client: str) -> None:
    """Nobody is free of limits for want of an address."""
    before = limiter.plan(PUBLIC, route="GET /x").before
    assert await count(limiter, before, make_exchange(client=client)) == 3


async def test_own_limits_replace_the_default(limiter: RateLimiter) -> None:
    """A route's own limit stands in place of the default, by verified caller."""
    plan = limiter.plan(Policy(authenticated=True, limits=parse_rules("10/minute")), route="GET /x")
    assert await count(limiter, plan.before, make_exchange()) == 6
    assert await count(limiter, plan.after, make_exchange(user="1")) == 10


async def test_an_address_key_is_checked_before_authentication(limiter: RateLimiter) -> None:
    """A limit by address needs no caller, so it also stops floods of wrong credentials."""
    rules = parse_rules("2/minute", key=get_remote_address)
    plan = limiter.plan(Policy(authenticated=True, limits=rules), route="GET /x")
    assert plan.after is None
    assert await count(limiter, plan.before, make_exchange()) == 2


async def test_shared_scope(limiter: RateLimiter) -> None:
    """Routes with one scope have one bucket."""
    rules = parse_rules("5/minute", scope="search")
    first, second = (limiter.compile(rules, route=f"GET /{name}") for name in "xy")
    assert await count(limiter, first, make_exchange()) == 5
    assert await count(limiter, second, make_exchange()) == 0


async def test_a_scope_is_no_route(limiter: RateLimiter) -> None:
    """A scope that is named like a route does not use up the route's limit."""
    scoped = limiter.compile(parse_rules("2/minute", scope="GET /x"), route="GET /y")
    assert await count(limiter, scoped, make_exchange()) == 2
    route = limiter.compile(parse_rules("2/minute"), route="GET /x")
    assert await count(limiter, route, make_exchange()) == 2


async def test_several_limits(limiter: RateLimiter) -> None:
    """All limits hold, and the tightest is met first."""
    limits = limiter.compile(parse_rules("3/second; 100/hour"), route="GET /x")
    assert await count(limiter, limits, make_exchange()) == 3


async def test_cost(limiter: RateLimiter) -> None:
    """A dear request takes more."""
    limits = limiter.compile(parse_rules("10/minute", cost=4), route="GET /x")
    assert await count(limiter, limits, make_exchange()) == 2


async def test_custom_key(limiter: RateLimiter) -> None:
    """A key function is given the request and names the bucket."""

    def tenant(request: Request) -> str:
        return request.headers["x-tenant"]

    limits = limiter.compile(parse_rules("1/minute", key=tenant), route="GET /x")
    assert limits is not None
    for name in ("a", "b"):
        await limiter.check(limits, make_exchange(), make_scope(headers={"x-tenant": name}))
    with pytest.raises(RateLimitedError):
        await limiter.check(limits, make_exchange(), make_scope(headers={"x-tenant": "a"}))


async def test_custom_key_on_a_websocket(limiter: RateLimiter) -> None:
    """A key function works for websockets, too."""

    def path(connection: HTTPConnection) -> str:
        return connection.url.path

    limits = limiter.compile(parse_rules("1/minute", key=path), route="WS /x")
    assert limits is not None
    scope = make_scope() | {"type": "websocket", "scheme": "ws", "server": ("testserver", 80)}
    await limiter.check(limits, make_exchange(), scope)
    with pytest.raises(RateLimitedError):
        await limiter.check(limits, make_exchange(), scope)


async def test_a_key_that_the_client_chooses_does_not_stand_alone(limiter: RateLimiter) -> None:
    """On an open route, rotating what a key function reads still meets the limit by address."""

    def header(request: Request) -> str:
        return request.headers.get("x-api-key", "")

    plan = limiter.plan(
        Policy(public=("open",), limits=parse_rules("2/minute", key=header)), route="GET /x"
    )
    assert plan.before is not None
    for n in range(6):
        await limiter.check(plan.before, make_exchange(), make_scope(headers={"x-api-key": str(n)}))
    with pytest.raises(RateLimitedError):
        await limiter.check(
            plan.before, make_exchange(), make_scope(headers={"x-api-key": "fresh"})
        )


def _broken(request: Request) -> str:
    return request.headers["missing"]


def _unusable() -> object:
    return ["a", "list"]


async def _later() -> str:
    return "a"


def _waits() -> object:
    return _later()


@pytest.mark.parametrize("key", [_broken, _unusable, _waits], ids=["raises", "list", "coroutine"])
@pytest.mark.parametrize("user", [None, "7"], ids=["stranger", "caller"])
async def test_a_key_function_that_fails_frees_nobody(
    limiter: RateLimiter, recorder: Recorder, key: Callable[..., object], user: str | None
) -> None:
    """Where it names no bucket the caller counts, else the address; one event says so."""
    limits = limiter.compile(parse_rules("2/minute", key=key), route="GET /x")
    assert await count(limiter, limits, make_exchange(user=user)) == 2
    other = make_exchange(user="8") if user else make_exchange(client="203.0.113.9")
    assert await count(limiter, limits, other) == 2
    (event,) = recorder.sink.named("rate_limiting.rule_failed")
    assert event.details["what"] == "key"
    assert "missing" not in str(event.details)


async def test_a_key_function_that_goes_on_failing(
    limiter: RateLimiter, recorder: Recorder, clock: ManualClock
) -> None:
    """A client that makes a function fail fills no log: one event in a minute."""
    limits = limiter.compile(parse_rules("9/minute", key=_broken), route="GET /x")
    for _ in range(3):
        await count(limiter, limits, make_exchange(), tries=5)
        clock.advance(61)
    assert len(recorder.sink.named("rate_limiting.rule_failed")) == 3


@pytest.mark.parametrize("policy", [PUBLIC, SIGNED_IN], ids=["public", "signed in"])
def test_unlimited(limiter: RateLimiter, policy: Policy) -> None:
    """A route that is exempt for a reason has no limits."""
    exempt = Policy(public=policy.public, authenticated=policy.authenticated, unlimited=("probe",))
    plan = limiter.plan(exempt, route="GET /x")
    assert (plan.before, plan.after) == (None, None)


def test_switched_off(store: MemoryLimitStore, recorder: Recorder) -> None:
    """Switched off, no route has limits."""
    off = make_limiter(store, recorder, enabled=False)
    assert off.plan(PUBLIC, route="GET /x").before is None
    assert off.compile(parse_rules("1/minute"), route="GET /x") is None


def test_no_rules(limiter: RateLimiter) -> None:
    """Nothing to check is nothing, not an empty check."""
    assert limiter.compile((), route="GET /x") is None


async def test_headers_of_an_answer_that_passed(limiter: RateLimiter) -> None:
    """An answer tells the limits and how they stand."""
    limits = limiter.compile(parse_rules("100/minute; 5/second"), route="GET /x")
    assert limits is not None
    exchange = make_exchange()
    await limiter.check(limits, exchange, make_scope())
    assert exchange.headers == [
        (b"ratelimit-policy", b'"address:100/60s";q=100;w=60, "address:5/1s";q=5;w=1'),
        (b"ratelimit", b'"address:100/60s";r=99;t=1, "address:5/1s";r=4;t=1'),
    ]


async def test_a_refusal(limiter: RateLimiter, recorder: Recorder) -> None:
    """A refusal says when to come back and is recorded with the limit's name, not the bucket's."""
    limits = limiter.compile(parse_rules("2/minute; 50/hour"), route="GET /x")
    exchange = make_exchange()
    assert await count(limiter, limits, exchange) == 2
    assert limits is not None
    exchange.headers.clear()
    with pytest.raises(RateLimitedError) as caught:
        await limiter.check(limits, exchange, make_scope(exchange))
    assert caught.value.reason == "rate_limiting.exceeded"
    assert caught.value.retry_after == timedelta(seconds=30)
    assert caught.value.headers == {
        "RateLimit-Policy": '"address:2/60s";q=2;w=60, "address:50/3600s";q=50;w=3600',
        "RateLimit": '"address:2/60s";r=0;t=30, "address:50/3600s";r=48;t=72',
    }
    assert exchange.headers == []
    event = recorder.sink.named("rate_limiting.refused")[-1]
    assert event.details == {"limits": "address:2/60s"}
    assert event.client == exchange.client


async def test_retry_after_is_enough(limiter: RateLimiter, clock: ManualClock) -> None:
    """Who comes back at the told second passes; who comes a second earlier does not."""
    limits = limiter.compile(parse_rules("7/minute"), route="GET /x")
    assert limits is not None
    assert await count(limiter, limits, make_exchange()) == 7
    with pytest.raises(RateLimitedError) as caught:
        await limiter.check(limits, make_exchange(), make_scope())
    clock.advance(caught.value.retry_after.total_seconds() - 1)
    with pytest.raises(RateLimitedError):
        await limiter.check(limits, make_exchange(), make_scope())
    clock.advance(1)
    await limiter.check(limits, make_exchange(), make_scope())


async def test_names_of_limits_differ(limiter: RateLimiter) -> None:
    """Equal numbers in different scopes have names of their own, for names tie the two fields."""
    rules = (*parse_rules("5/minute", scope="a"), *parse_rules("5/minute", scope="b"))
    limits = limiter.compile((*rules, *parse_rules("5/minute")), route="GET /x")
    assert limits is not None
    assert len({limit.name for limit in limits.limits}) == 3


async def test_equal_rules_count_once(limiter: RateLimiter) -> None:
    """A rule that a router and an endpoint both bring is one rule."""
    rules = parse_rules("5/minute")
    limits = limiter.compile((*rules, *rules), route="GET /x")
    assert await count(limiter, limits, make_exchange()) == 5


async def test_concurrent_requests(limiter: RateLimiter) -> None:
    """Of many requests at once exactly as many pass as the limit says."""
    limits = limiter.compile([LimitRule(amount=10, window=60)], route="GET /x")
    assert limits is not None
    outcomes = await asyncio.gather(
        *(limiter.check(limits, make_exchange(), make_scope()) for _ in range(50)),
        return_exceptions=True,
    )
    assert outcomes.count(None) == 10


async def test_reset(limiter: RateLimiter) -> None:
    """One caller, or all, can be given a fresh start."""
    limits = limiter.compile(parse_rules("1/minute"), route="GET /x")
    for user in ("1", "2"):
        assert await count(limiter, limits, make_exchange(user=user)) == 1
    await limiter.reset("user:1")
    assert await count(limiter, limits, make_exchange(user="1")) == 1
    assert await count(limiter, limits, make_exchange(user="2")) == 0
    await limiter.reset()
    assert await count(limiter, limits, make_exchange(user="2")) == 1


async def test_defaults_of_a_slowapi_limiter(limiter: RateLimiter) -> None:
    """The application-wide limits of an adopted limiter hold on routes that name none."""
    limiter.adopt(
        Limiter(get_rate_limit_key, default_limits=["2/minute"], application_limits=["3/minute"])
    )
    first, second = (limiter.plan(PUBLIC, route=f"GET /{name}").before for name in "xy")
    assert await count(limiter, first, make_exchange()) == 2
    assert await count(limiter, second, make_exchange()) == 1
    after = limiter.plan(SIGNED_IN, route="GET /x").after
    assert await count(limiter, after, make_exchange(user="1")) == 2


async def test_together_counts_in_the_same_buckets(limiter: RateLimiter) -> None:
    """Whether both limits are checked in one trip or in two, each request counts once in each."""
    plan = limiter.plan(SIGNED_IN, route="GET /x")
    stranger, known = make_exchange(), make_exchange(user="7")
    assert await count(limiter, plan.before, stranger, tries=2) == 2
    assert await count(limiter, plan.after, known, tries=2) == 2
    assert await count(limiter, plan.together, known) == 2
    assert await count(limiter, plan.after, known) == 0
    assert await count(limiter, plan.before, stranger) == 2


async def test_together_the_address_is_counted_as_an_address(limiter: RateLimiter) -> None:
    """A known caller gets no second allowance by address: the limit stays that of the address."""
    plan = limiter.plan(SIGNED_IN, route="GET /x")
    passed = [
        await count(limiter, plan.together, make_exchange(user=str(n)), tries=1) for n in range(8)
    ]
    assert passed == [1] * 6 + [0] * 2


def test_together_holds_every_limit(limiter: RateLimiter) -> None:
    """No limit of a route is lost where its limits are joined."""
    for policy in (SIGNED_IN, Policy(authenticated=True, limits=parse_rules("5/second; 9/hour"))):
        plan = limiter.plan(policy, route="GET /x")
        assert plan.before is not None
        assert plan.after is not None
        assert plan.together is not None
        apart = [limit.suffix for limit in (*plan.before.limits, *plan.after.limits)]
        assert [limit.suffix for limit in plan.together.limits] == apart


def test_together_on_an_open_route(limiter: RateLimiter) -> None:
    """A route that asks for nobody has nothing to join."""
    assert limiter.plan(PUBLIC, route="GET /x").together is None
