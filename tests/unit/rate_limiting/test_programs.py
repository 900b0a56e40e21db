"""Programs have limits apart from people, and some of them limits of their own."""

import pytest

from stockade.core import Policy
from stockade.core.limits import LimitRule
from stockade.core.policy import combine
from stockade.rate_limiting import (
    Limiter,
    get_rate_limit_key,
    get_remote_address,
    rate_limit,
    unlimited,
)
from stockade.rate_limiting.limiter import RateLimiter
from stockade.rate_limiting.models import CompiledLimits
from stockade.storage.memory.limits import MemoryLimitStore
from tests.unit.rate_limiting.helpers import ManualClock, Recorder, make_exchange, make_limiter
from tests.unit.rate_limiting.test_limiter import PUBLIC, SIGNED_IN, count

OWN = (LimitRule(amount=9, window=60, scope="program:stkc_1"),)
OTHER = (LimitRule(amount=9, window=60, scope="program:stkc_2"),)


@pytest.fixture
def limiter() -> RateLimiter:
    """A limiter with small defaults that differ."""
    clock = ManualClock()
    return make_limiter(
        MemoryLimitStore(clock=clock),
        Recorder(clock),
        public="3/minute",
        authenticated="4/minute",
        programs="7/minute",
        address="1000/minute",
    )


def names(limits: CompiledLimits | None) -> list[str]:
    """Name what holds for a program that has nothing of its own."""
    assert limits is not None
    assert limits.programs is not None
    return [limit.name for limit in limits.programs.usual.limits]


@pytest.mark.parametrize("when", ["after", "together"])
async def test_a_program_has_its_own_tier(limiter: RateLimiter, when: str) -> None:
    """Verified a moment ago or just now: more or less than people, as the settings say."""
    limits = getattr(limiter.plan(SIGNED_IN, route="GET /x"), when)
    assert await count(limiter, limits, make_exchange(program="ana")) == 7
    assert await count(limiter, limits, make_exchange(user="ana")) == 4


async def test_both_moments_share_a_bucket(limiter: RateLimiter) -> None:
    """Whoever is verified anew in between gains nothing."""
    plan = limiter.plan(SIGNED_IN, route="GET /x")
    program = make_exchange(program="ana")
    assert await count(limiter, plan.after, program, tries=3) == 3
    assert await count(limiter, plan.together, program) == 4


async def test_equal_numbers_are_still_apart() -> None:
    """A program that runs wild does not lock its owner out, with the defaults neither."""
    clock = ManualClock()
    limiter = make_limiter(MemoryLimitStore(clock=clock), Recorder(clock), address="1000/minute")
    after = limiter.plan(SIGNED_IN, route="GET /x").after
    assert await count(limiter, after, make_exchange(program="ana"), tries=400) == 300
    assert await count(limiter, after, make_exchange(user="ana"), tries=400) == 300


async def test_programs_of_one_account_share(limiter: RateLimiter) -> None:
    """Whoever makes many keys gains nothing: they count for the account."""
    after = limiter.plan(SIGNED_IN, route="GET /x").after
    assert await count(limiter, after, make_exchange(program="ana"), tries=5) == 5
    assert await count(limiter, after, make_exchange(program="ana")) == 2
    assert await count(limiter, after, make_exchange(program="client:stkc_1")) == 7


async def test_what_the_operator_gave_counts_over_all_routes(limiter: RateLimiter) -> None:
    """And for this program alone, whichever account it acts for."""
    one = limiter.plan(SIGNED_IN, route="GET /x").after
    two = limiter.plan(SIGNED_IN, route="GET /y").together
    program = make_exchange(program="ana", limits=OWN)
    assert await count(limiter, one, program, tries=5) == 5
    assert await count(limiter, two, program) == 4
    assert await count(limiter, one, make_exchange(program="ana", limits=OTHER)) == 9
    assert await count(limiter, one, make_exchange(program="ana")) == 7


async def test_limits_of_its_own_are_for_programs(limiter: RateLimiter) -> None:
    """A person with such a value, as no store gives one, has what people have."""
    after = limiter.plan(SIGNED_IN, route="GET /x").after
    person = make_exchange(user="ana")
    assert person.principal is not None
    object.__setattr__(person.principal, "limits", OWN)
    assert await count(limiter, after, person) == 4


async def test_a_route_says_more(limiter: RateLimiter) -> None:
    """The limit of a route holds for everybody, also for programs with limits of their own."""
    policy = rate_limit("2/minute").policy
    joined = Policy(authenticated=True, limits=policy.limits)
    plan = limiter.plan(joined, route="GET /x")
    assert await count(limiter, plan.after, make_exchange(program="ana", limits=OWN)) == 2
    assert await count(limiter, plan.together, make_exchange(program="bea", limits=OWN)) == 2


async def test_the_address_still_counts() -> None:
    """One address does not get more by being a program with a large limit."""
    clock = ManualClock()
    limiter = make_limiter(
        MemoryLimitStore(clock=clock), Recorder(clock), address="5/minute", programs="7/minute"
    )
    together = limiter.plan(SIGNED_IN, route="GET /x").together
    assert await count(limiter, together, make_exchange(program="ana", limits=OWN)) == 5


async def test_limits_of_the_application_hold_for_programs(limiter: RateLimiter) -> None:
    """What slowapi calls application limits is on top of every tier."""
    limiter.adopt(Limiter(key_func=lambda: "all", application_limits=["3/minute"]))
    plan = limiter.plan(SIGNED_IN, route="GET /x")
    assert await count(limiter, plan.after, make_exchange(program="ana", limits=OWN)) == 3
    assert await count(limiter, plan.after, make_exchange(program="bea")) == 0


async def test_default_limits_of_a_limiter_are_those_of_programs(limiter: RateLimiter) -> None:
    """Code that was written for slowapi means everybody by them."""
    limiter.adopt(Limiter(key_func=get_remote_address, default_limits=["2/minute"]))
    plan = limiter.plan(SIGNED_IN, route="GET /x")
    assert plan.after is None
    assert await count(limiter, plan.together, make_exchange(program="ana")) == 2


def test_no_limit_is_held_twice(limiter: RateLimiter) -> None:
    """Each limit has one name and one bucket in the header of an answer."""
    limiter.adopt(Limiter(key_func=get_remote_address, application_limits=["50/minute"]))
    plan = limiter.plan(SIGNED_IN, route="GET /x")
    for limits in (plan.after, plan.together):
        assert len(set(names(limits))) == len(names(limits))
    assert names(plan.together) == ["address:1000/60s", "address:50/60s", "program:7/60s"]


async def test_an_open_route_has_no_tier(limiter: RateLimiter) -> None:
    """It counts by address, whoever comes."""
    plan = limiter.plan(PUBLIC, route="GET /x")
    assert plan.before is not None
    assert plan.before.programs is None
    assert await count(limiter, plan.before, make_exchange(program="ana", limits=OWN)) == 3


@pytest.mark.parametrize("when", ["after", "together"])
async def test_what_frees_people_frees_programs(limiter: RateLimiter, when: str) -> None:
    """An exemption holds for programs as well, and for those with limits of their own."""
    free = combine([SIGNED_IN, unlimited("ours", when=lambda: True).policy])
    limits = getattr(limiter.plan(free, route="GET /x"), when)
    for own in ((), OWN):
        assert await count(limiter, limits, make_exchange(program="ana", limits=own)) == 20


async def test_computed_defaults_hold_for_programs(limiter: RateLimiter) -> None:
    """Default limits that a function writes are those of programs, too."""
    limiter.adopt(Limiter(get_rate_limit_key, default_limits=[lambda: "2/minute"]))
    after = limiter.plan(SIGNED_IN, route="GET /x").after
    assert await count(limiter, after, make_exchange(program="ana")) == 2
    assert await count(limiter, after, make_exchange(user="ana")) == 2
