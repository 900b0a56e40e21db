"""Expect limits that differ from request to request, and functions that free nobody by failing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from stockade.core import Exchange
from stockade.core.exchange import find_exchange
from stockade.core.limits import LimitRule, Strategy, Unit
from stockade.core.policy import Policy, combine
from stockade.errors import ConfigurationError, RateLimitedError, UnavailableError
from stockade.rate_limiting import RateLimiter, parse_rules, rate_limit, unlimited
from stockade.rate_limiting.models import CompiledLimits, LimitRequest
from stockade.rate_limiting.terms import FAILURES
from stockade.storage.memory import MemoryLimitStore
from tests.unit.rate_limiting.helpers import (
    ManualClock,
    Recorder,
    make_exchange,
    make_limiter,
    make_scope,
)

OPEN = Policy(public=("open",))
PLANS = {"free": "2/minute", "paid": "5/minute; 200/hour"}


class Bench:
    """A limiter and what it has recorded."""

    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder(self.clock)
        self.store = MemoryLimitStore(clock=self.clock)
        self.limiter: RateLimiter = make_limiter(self.store, self.recorder, **settings)

    def limits(self, *marks: Any, policy: Policy = OPEN) -> CompiledLimits | None:  # noqa: ANN401 - a mark
        """Return what is checked first on a route with these marks."""
        joined = combine([policy, *(mark.policy for mark in marks)])
        return self.limiter.plan(joined, route="GET /x").before

    async def count(
        self,
        limits: CompiledLimits | None,
        *,
        tries: int = 20,
        exchange: Exchange | None = None,
        **scope: Any,  # noqa: ANN401 - parts of an ASGI scope
    ) -> int:
        """Return how many of some requests pass."""
        assert limits is not None
        passed = 0
        for _ in range(tries):
            asked = exchange or make_exchange()
            headers: Mapping[str, str] = scope.get("headers", {})
            own = make_scope(asked, headers=headers) | {"method": scope.get("method", "GET")}
            try:
                await self.limiter.check(limits, asked, own)
            except RateLimitedError:
                continue
            passed += 1
        return passed


@pytest.fixture
def bench() -> Bench:
    """A limiter whose default lets a thousand pass."""
    return Bench(public="1000/minute", address="100000/minute")


def plan_of(request: Request) -> str:
    """Name the plan of a caller."""
    return request.headers["x-plan"]


async def test_a_tier_has_its_own_limits(bench: Bench) -> None:
    """Each request is counted by the limits of its tier, and tiers don't share."""
    limits = bench.limits(rate_limit(plan_of, tiers=PLANS))
    assert await bench.count(limits, headers={"x-plan": "free"}) == 2
    assert await bench.count(limits, headers={"x-plan": "paid"}) == 5


async def test_headers_name_the_limits_of_the_tier(bench: Bench) -> None:
    """A client reads the limits that hold for it."""
    limits = bench.limits(rate_limit(plan_of, tiers=PLANS))
    assert limits is not None
    exchange = make_exchange()
    await bench.limiter.check(limits, exchange, make_scope(headers={"x-plan": "paid"}))
    fields = dict(exchange.headers)
    assert fields[b"ratelimit-policy"] == (
        b'"address:5/60s";q=5;w=60, "address:200/3600s";q=200;w=3600'
    )


@pytest.mark.parametrize("headers", [{}, {"x-plan": "gold"}], ids=["fails", "unknown tier"])
async def test_a_tier_that_nobody_knows_is_the_tightest(
    bench: Bench, headers: dict[str, str]
) -> None:
    """A function that fails, or names what was not declared, gets the least."""
    limits = bench.limits(rate_limit(plan_of, tiers=PLANS))
    assert await bench.count(limits, headers=headers) == 2
    (event,) = bench.recorder.sink.named("rate_limiting.rule_failed")
    assert event.details["what"] == "tier"
    assert "gold" not in str(event)


async def test_a_tier_by_role(bench: Bench) -> None:
    """A function finds the verified caller, where the limit is checked after authentication."""

    def tier(request: Request) -> str:
        exchange = find_exchange(request.scope)
        assert exchange is not None
        return "paid" if exchange.principal and exchange.principal.user_id == "boss" else "free"

    mark = rate_limit(tier, tiers=PLANS)
    policy = combine([Policy(authenticated=True), mark.policy])
    after = bench.limiter.plan(policy, route="GET /x").after
    assert await bench.count(after, exchange=make_exchange(user="boss")) == 5
    assert await bench.count(after, exchange=make_exchange(user="7")) == 2


async def test_a_cost_that_is_computed(bench: Bench) -> None:
    """A function says what a request takes."""
    limits = bench.limits(rate_limit("10/minute", cost=lambda request: len(request.url.path)))
    assert await bench.count(limits) == 5  # "/x" has two characters.


@pytest.mark.parametrize(
    ("cost", "passes"),
    [
        pytest.param(lambda: 0, 20, id="nothing"),
        pytest.param(lambda: 10, 1, id="all"),
        pytest.param(lambda: 11, 0, id="more than there is"),
        pytest.param(lambda: 10**30, 0, id="far more"),
        pytest.param(lambda: -1, 1, id="negative"),
        pytest.param(lambda: -(10**30), 1, id="far below"),
        pytest.param(lambda: True, 1, id="bool"),
        pytest.param(lambda: 0.1, 1, id="fraction"),
        pytest.param(lambda: "1", 1, id="text"),
        pytest.param(lambda: None, 1, id="none"),
        pytest.param(lambda: 1 // 0, 1, id="raises"),
    ],
)
async def test_a_cost_that_makes_no_sense_is_all_there_is(
    bench: Bench, cost: Callable[[], object], passes: int
) -> None:
    """Nobody gets anything for nothing by a cost that can't be."""
    limits = bench.limits(rate_limit("10/minute", cost=cost))
    assert await bench.count(limits) == passes


@given(costs=st.lists(st.integers(min_value=-5, max_value=30), max_size=40))
async def test_costs_never_give_more_than_there_is(costs: list[int]) -> None:
    """Whatever costs are named, what passed at once costs no more than the limit."""
    bench = Bench()
    queue = iter(costs)
    limits = bench.limits(rate_limit("10/minute", cost=lambda: next(queue)))
    passed = [cost for cost in costs if await bench.count(limits, tries=1)]
    assert sum(cost if cost >= 0 else 10 for cost in passed) <= 10


async def test_some_requests_are_free_for_a_reason(bench: Bench) -> None:
    """A predicate frees the requests that it names, and no others."""

    def is_probe(request: Request) -> bool:
        return request.headers.get("x-probe") == "secret"

    limits = bench.limits(rate_limit("2/minute"), unlimited("the probe", when=is_probe))
    assert await bench.count(limits, headers={"x-probe": "secret"}) == 20
    assert await bench.count(limits) == 2


_ERRORS: Any = "errors"


async def _waits(_request: Request) -> bool:
    return True


def _makes_one_to_wait_for(request: Request) -> object:
    return _waits(request)


@pytest.mark.parametrize(
    "when",
    [
        pytest.param(lambda: 1 // 0, id="raises"),
        pytest.param(lambda: "yes", id="a truth of another kind"),
        pytest.param(_makes_one_to_wait_for, id="a coroutine"),
        pytest.param(lambda: None, id="nothing"),
    ],
)
async def test_a_predicate_that_fails_frees_nobody(
    bench: Bench, when: Callable[..., object]
) -> None:
    """Only True frees."""
    limits = bench.limits(rate_limit("2/minute"), unlimited("some", when=when))
    assert await bench.count(limits) == 2


async def test_an_exemption_of_default_limits() -> None:
    """A route without limits of its own can free some of its requests."""
    bench = Bench(public="2/minute")
    limits = bench.limits(unlimited("the probe", when=lambda request: "x-p" in request.headers))
    assert await bench.count(limits, headers={"x-p": "1"}) == 20
    assert await bench.count(limits) == 2


async def test_a_refusal_in_words_of_the_application(bench: Bench) -> None:
    """The message of a limit reaches the client."""
    limits = bench.limits(rate_limit("1/minute", message="Buy the larger plan."))
    assert limits is not None
    await bench.limiter.check(limits, make_exchange(), make_scope())
    with pytest.raises(RateLimitedError) as caught:
        await bench.limiter.check(limits, make_exchange(), make_scope())
    assert caught.value.message == "Buy the larger plan."


def test_a_limit_of_failures_stands_beside_the_default(bench: Bench) -> None:
    """Where only some answers count, the others still have the default limit."""
    limits = bench.limits(rate_limit("5/minute", count="failures"))
    assert limits is not None
    assert [limit.rule.amount for limit in limits.limits] == [5, 1000]


@pytest.mark.parametrize("strategy", [each for each in Strategy if each is not Strategy.GCRA])
async def test_a_strategy(bench: Bench, strategy: Strategy) -> None:
    """A limit counts by its strategy, in a bucket of its own."""
    limits = bench.limits(rate_limit("3/minute", strategy=strategy))
    plain = bench.limits(rate_limit("3/minute"))
    assert await bench.count(limits) == 3
    assert await bench.count(plain) == 3
    bench.clock.advance(59)
    assert await bench.count(plain) == 2  # It came back evenly.
    assert await bench.count(limits) == (1 if strategy is Strategy.SLIDING_WINDOW_COUNTER else 0)


class _CountingOnly:
    """A store that can do no more than count."""

    def __init__(self) -> None:
        inner = MemoryLimitStore()
        self.acquire = inner.acquire
        self.reset = inner.reset
        self.ping = inner.ping
        self.close = inner.close


@pytest.mark.parametrize(
    "mark",
    [
        pytest.param(rate_limit("3/minute", strategy="moving-window"), id="strategy"),
        pytest.param(rate_limit("3/minute", count="failures"), id="failures"),
        pytest.param(rate_limit(in_flight=3), id="in flight"),
    ],
)
def test_a_store_that_can_not_do_it_stops_the_start(bench: Bench, mark: Any) -> None:  # noqa: ANN401 - a mark
    """What a store can't do is an error at the start, not another way of counting."""
    limiter = make_limiter(_CountingOnly(), bench.recorder)
    with pytest.raises(ConfigurationError):
        limiter.plan(combine([OPEN, mark.policy]), route="GET /x")


def test_a_default_asks_a_store_for_no_more_than_it_can(bench: Bench) -> None:
    """A websocket is served with any store: its places are then those of each process."""
    limiter = make_limiter(_CountingOnly(), bench.recorder)
    plan = limiter.plan(OPEN, route="WS /x", websocket=True)
    assert plan.in_flight is not None


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(rate_limit, id="nothing"),
        pytest.param(lambda: rate_limit(plan_of), id="a function without tiers"),
        pytest.param(lambda: rate_limit(plan_of, tiers={}), id="no tiers"),
        pytest.param(lambda: rate_limit("5/minute", tiers=PLANS), id="tiers without a function"),
        pytest.param(lambda: rate_limit(plan_of, tiers={"a": "nonsense"}), id="a wrong tier"),
        pytest.param(lambda: rate_limit(_waits, tiers=PLANS), id="a coroutine function"),
        pytest.param(lambda: rate_limit("5/minute", cost=_waits), id="a cost to wait for"),
        pytest.param(lambda: rate_limit("5/minute", cost=0), id="no cost"),
        pytest.param(lambda: rate_limit("5/minute", strategy="hourly"), id="unknown strategy"),
        pytest.param(lambda: rate_limit("5/minute", count=_ERRORS), id="unknown count"),
        pytest.param(lambda: rate_limit("5/minute", count=[]), id="no statuses"),
        pytest.param(lambda: rate_limit("5/minute", count=[42]), id="no status"),
        pytest.param(
            lambda: rate_limit("20000/minute", strategy="moving-window"), id="too many moments"
        ),
        pytest.param(
            lambda: rate_limit("1000000/year", strategy="sliding-window-counter"), id="too large"
        ),
        pytest.param(lambda: rate_limit("5/minute", message=" "), id="an empty message"),
        pytest.param(lambda: rate_limit(in_flight=0), id="no places"),
        pytest.param(lambda: rate_limit(in_flight=True), id="places that are no number"),
        pytest.param(lambda: rate_limit(messages="5/minute", cost=2), id="a cost of messages"),
        pytest.param(lambda: rate_limit(messages="often"), id="wrong messages"),
        pytest.param(lambda: unlimited("why", when=_waits), id="a predicate to wait for"),
        pytest.param(lambda: unlimited(" ", when=plan_of), id="no reason"),
    ],
)
def test_what_is_wrong_stops_the_import(make: Callable[[], object]) -> None:
    """Nothing that can't hold is accepted."""
    with pytest.raises(ConfigurationError):
        make()


def test_units() -> None:
    """One mark may limit requests, messages and what is in flight."""
    mark = rate_limit("5/minute", messages="9/second", in_flight=4, scope="chat", key=plan_of)
    assert [(rule.unit, rule.amount, rule.scope, rule.key) for rule in mark.policy.limits] == [
        (Unit.REQUESTS, 5, "chat", plan_of),
        (Unit.MESSAGES, 9, "chat", plan_of),
        (Unit.IN_FLIGHT, 4, "chat", plan_of),
    ]


async def test_equal_numbers_of_different_units_share_nothing(bench: Bench) -> None:
    """A message is no request, though their limits have the same numbers."""
    policy = combine([OPEN, rate_limit("2/minute", messages="2/minute").policy])
    plan = bench.limiter.plan(policy, route="WS /x", websocket=True)
    assert plan.messages is not None
    assert await bench.count(plan.before) == 2
    for _ in range(2):
        await bench.limiter.count_message(plan.messages, make_exchange(), make_scope())
    with pytest.raises(RateLimitedError):
        await bench.limiter.count_message(plan.messages, make_exchange(), make_scope())


def test_failures() -> None:
    """A failure is what has a status of 400 and above."""
    assert {399, 400, 404, 500, 599, 600} & FAILURES == {400, 404, 500, 599}


def test_parts_that_never_differ_cost_nothing(bench: Bench) -> None:
    """Where nothing is decided for each request, nothing is asked for each request."""
    limits = bench.limits(rate_limit("5/minute"))
    assert limits is not None
    assert limits.variants is None


async def test_many_costs_are_not_remembered_for_ever(bench: Bench) -> None:
    """A client that finds a new cost for each request does not fill the memory."""
    costs = iter(range(5000))
    limits = bench.limits(rate_limit("100000/minute", cost=lambda: next(costs)))
    assert limits is not None
    for _ in range(3000):
        await bench.count(limits, tries=1)
    known: dict[object, object] = limits.variants._known  # type: ignore[union-attr]  # bounded
    assert len(known) <= 1024


async def test_settings_that_only_count(bench: Bench) -> None:
    """In a dry run nothing is refused, and what would have been is recorded."""
    dry = Bench(public="2/minute", dry_run=True)
    limits = dry.limits()
    assert await dry.count(limits, tries=5) == 5
    assert dry.recorder.names() == ["rate_limiting.would_refuse"] * 3
    planted = make_exchange()
    planted.planted = True
    assert await dry.count(limits, tries=1, exchange=planted) == 0


async def test_older_headers() -> None:
    """With the setting, answers and refusals have the fields that clients of slowapi read."""
    bench = Bench(public="2/minute; 100/hour", legacy_headers=True)
    limits = bench.limits()
    assert limits is not None
    exchange = make_exchange()
    await bench.limiter.check(limits, exchange, make_scope())
    fields = dict(exchange.headers)
    assert fields[b"x-ratelimit-limit"] == b"2"
    assert fields[b"x-ratelimit-remaining"] == b"1"
    now = bench.clock.now().timestamp()
    assert int(fields[b"x-ratelimit-reset"]) == now + 30
    await bench.limiter.check(limits, make_exchange(), make_scope())
    with pytest.raises(RateLimitedError) as caught:
        await bench.limiter.check(limits, make_exchange(), make_scope())
    assert caught.value.headers["x-ratelimit-remaining"] == "0"


async def test_what_does_not_count_goes_back(bench: Bench) -> None:
    """Answers that don't count use nothing up; those that do stay counted."""
    limits = bench.limits(rate_limit("2/minute", count={401}))
    for status, passes in ((200, 1), (404, 1), (401, 1), (200, 1), (401, 1), (200, 0)):
        exchange = make_exchange()
        assert await bench.count(limits, tries=1, exchange=exchange) == passes
        await bench.limiter.settle(exchange, status)
        assert exchange.reservations == ()


async def test_while_an_answer_is_under_way_it_counts(bench: Bench) -> None:
    """Many guesses at once are no more than the limit says, since each is counted at its start."""
    limits = bench.limits(rate_limit("3/minute", count="failures"))
    exchanges = [make_exchange() for _ in range(10)]
    passed = [await bench.count(limits, tries=1, exchange=each) for each in exchanges]
    assert sum(passed) == 3


@given(
    asked=st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=8),
            st.integers(min_value=0, max_value=8),
            st.sampled_from([200, 401]),
        ),
        max_size=25,
    )
)
async def test_giving_back_never_gives_more(asked: list[tuple[int, int, int]]) -> None:
    """With answers after any time, failures never pass more often than without successes."""
    bench, plain = Bench(), MemoryLimitStore()
    limits = bench.limits(rate_limit("3/minute", count={401}))
    plain._monotonic = bench.clock.monotonic
    rule = LimitRule(amount=3, window=60)
    for wait, lasts, status in asked:
        bench.clock.advance(wait)
        exchange = make_exchange()
        passed = await bench.count(limits, tries=1, exchange=exchange)
        if passed and status == 401:
            (state,) = await plain.acquire([LimitRequest("x", rule)])
            assert state.allowed
        bench.clock.advance(lasts)
        await bench.limiter.settle(exchange, status)


async def test_a_text_that_is_made_for_each_request(bench: Bench) -> None:
    """A limit that is no text, or no limit, refuses: nobody knows what would hold."""
    answers: list[object] = ["2/minute", "2/minute", "nonsense", None, "2/minute"]
    queue = iter(answers)
    (rule,) = parse_rules("1/minute")
    policy = rate_limit(plan_of, tiers=PLANS).policy
    (tiered,) = policy.limits
    assert tiered.terms is not None
    terms = replace(tiered.terms, choose=lambda: next(queue), tiers=())
    limits = bench.limiter.compile([replace(rule, terms=terms)], route="GET /x")
    assert limits is not None
    outcomes: list[str] = []
    for _ in answers:
        try:
            await bench.limiter.check(limits, make_exchange(), make_scope())
        except (RateLimitedError, UnavailableError) as error:
            outcomes.append(error.reason)
        else:
            outcomes.append("passed")
    assert outcomes == [
        "passed",
        "passed",
        "rate_limiting.no_rule",
        "rate_limiting.no_rule",
        "rate_limiting.exceeded",
    ]


async def test_headers_of_a_request_that_takes_nothing(bench: Bench) -> None:
    """A bucket that nobody has taken from is full, and there is no time until there is more."""
    limits = bench.limits(rate_limit("5/minute", cost=lambda: 0))
    assert limits is not None
    exchange = make_exchange()
    await bench.limiter.check(limits, exchange, make_scope())
    assert dict(exchange.headers)[b"ratelimit"] == b'"address:5/60s";r=5'


async def test_headers_of_windows(bench: Bench) -> None:
    """A window says what remains and when it is over."""
    limits = bench.limits(rate_limit("5/minute", strategy="fixed-window"))
    assert limits is not None
    await bench.limiter.check(limits, make_exchange(), make_scope())
    bench.clock.advance(20)
    exchange = make_exchange()
    await bench.limiter.check(limits, exchange, make_scope())
    assert dict(exchange.headers)[b"ratelimit"] == b'"address:5/60s";r=3;t=40'
