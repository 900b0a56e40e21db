"""Expect the arithmetic to agree with a slow, exact model."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from stockade.core.limits import LimitRule
from stockade.rate_limiting.gcra import MICROSECONDS, capacity_of, interval_of, stand, take


class Model:
    """A bucket that leaks, kept in fractions and stepped from event to event."""

    def __init__(self, rule: LimitRule) -> None:
        self._rule = rule
        self._level = Fraction(0)  # Units taken that have not come back.
        self._rate = Fraction(1, interval_of(rule))

    def wait(self, microseconds: int) -> None:
        self._level = max(Fraction(0), self._level - microseconds * self._rate)

    def take(self) -> bool:
        if self._level + self._rule.cost > self._rule.amount:
            return False
        self._level += self._rule.cost
        return True

    @property
    def remaining(self) -> int:
        return int(self._rule.amount - self._level)


rules = st.builds(
    LimitRule,
    amount=st.integers(1, 40),
    window=st.integers(1, 30),
    cost=st.just(1),
)


@given(rules, st.lists(st.integers(0, 3_000_000), max_size=80))
def test_agrees_with_the_model(rule: LimitRule, waits: list[int]) -> None:
    """Each request passes exactly if the model lets it pass, and the same number remains."""
    model, debt = Model(rule), 0
    for wait in waits:
        model.wait(wait)
        debt = max(0, debt - wait)
        debt, state = take(debt, rule)
        assert state.allowed is model.take()
        assert state.remaining == model.remaining


@given(rules, st.integers(1, 40))
def test_exactly_the_amount_passes_at_once(rule: LimitRule, extra: int) -> None:
    """As many as the limit says pass at once, and not one more."""
    debt, passed = 0, 0
    for _ in range(rule.amount + extra):
        debt, state = take(debt, rule)
        passed += state.allowed
    assert passed == rule.amount


@given(rules, st.integers(0, 10_000_000))
def test_retry_after_is_exact(rule: LimitRule, debt: int) -> None:
    """After the told time the request passes; a microsecond earlier it does not."""
    debt = min(debt, capacity_of(rule))
    _, state = take(debt, rule)
    wait = round(state.retry_after * MICROSECONDS)
    assert take(max(0, debt - wait), rule)[1].allowed
    if wait:
        assert not take(debt - wait + 1, rule)[1].allowed


@given(rules, st.integers(0, 30_000_000))
def test_a_refusal_takes_nothing(rule: LimitRule, debt: int) -> None:
    """Hammering on a used-up limit does not prolong it."""
    debt = min(debt, capacity_of(rule))
    after, state = take(debt, rule)
    if not state.allowed:
        assert after == debt


def test_a_standing_bucket() -> None:
    """A bucket that was not touched tells what it holds."""
    rule = LimitRule(amount=10, window=10)
    state = stand(3 * MICROSECONDS, rule)
    assert (state.allowed, state.remaining, state.reset_after) == (True, 7, 3.0)


@given(st.integers(1, 100_000), st.integers(1, 86_400))
def test_no_rule_gives_more_than_it_says(amount: int, window: int) -> None:
    """Rounding is against the caller: a full bucket takes at least a window to come back."""
    assert capacity_of(LimitRule(amount=amount, window=window)) >= window * MICROSECONDS
