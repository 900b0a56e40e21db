"""Expect the header fields of the IETF draft."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stockade.core.limits import LimitRule
from stockade.rate_limiting.binding import compile_limits
from stockade.rate_limiting.gcra import capacity_of, charge_of, take
from stockade.rate_limiting.headers import render_debts, render_policies, render_states
from stockade.rate_limiting.models import BoundLimit, KeyKind, LimitState

RULE = LimitRule(amount=100, window=60)
LIMIT = BoundLimit(rule=RULE, kind=KeyKind.CALLER, suffix="x", name="user:100/60s")


def test_policies() -> None:
    """Each limit is an item with its quota and window."""
    other = replace(LIMIT, rule=LimitRule(amount=5, window=1), name="user:5/1s")
    assert render_policies([LIMIT, other]) == (b'"user:100/60s";q=100;w=60, "user:5/1s";q=5;w=1')


def test_states() -> None:
    """Each limit tells what remains and when more comes."""
    state = take(0, RULE)[1]
    assert render_states([LIMIT], [state]) == b'"user:100/60s";r=99;t=1'


def test_an_untouched_limit_has_no_time() -> None:
    """Where nothing is missing there is nothing to wait for."""
    state = LimitState(allowed=True, remaining=100, retry_after=0.0, reset_after=0.0)
    assert render_states([LIMIT], [state]) == b'"user:100/60s";r=100'


@given(st.integers(1, 50), st.integers(1, 90), st.integers(1, 60), st.integers(0, 20_000_000))
def test_more_is_there_at_the_told_time(amount: int, window: int, taken: int, waited: int) -> None:
    """After ``t`` seconds at least one more unit can be taken."""
    rule = LimitRule(amount=amount, window=window)
    limit = replace(LIMIT, rule=rule)
    debt = 0
    for _ in range(min(taken, amount)):
        debt, state = take(debt, rule)
    debt, state = take(max(0, debt - waited), rule)
    text = render_states([limit], [state]).decode()
    told = int(text.rpartition("t=")[2])
    later = take(max(0, debt - told * 1_000_000), rule)[1]
    assert later.remaining + 1 > state.remaining
    if not state.allowed:
        assert told <= max(1, -(-round(state.retry_after * 1_000_000) // 1_000_000))


@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.integers(1, 86_400), st.integers(1, 5)),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 10**9),
)
def test_both_ways_to_write_agree(limits: list[tuple[int, int, int]], debt: int) -> None:
    """What is written from bare debts is what is written from whole states."""
    rules = [
        LimitRule(amount=max(amount, cost), window=window, cost=cost)
        for amount, window, cost in limits
    ]
    bound = tuple(replace(LIMIT, rule=rule, name=f"n{at}") for at, rule in enumerate(rules))
    taken = [take(min(debt, capacity_of(rule) - charge_of(rule).amount), rule) for rule in rules]
    assert all(state.allowed for _, state in taken)
    compiled = compile_limits(bound)
    assert render_debts(compiled, [after for after, _ in taken]) == render_states(
        bound, [state for _, state in taken]
    )
