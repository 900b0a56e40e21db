"""Expect a breaker that opens after failures in a row and probes with one request."""

import pytest

from stockade.rate_limiting.breaker import CircuitBreaker
from tests.unit.rate_limiting.helpers import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is set by hand."""
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> CircuitBreaker:
    """A breaker that opens at the second failure, for five seconds."""
    return CircuitBreaker(threshold=2, cooldown=5.0, clock=clock)


def test_one_failure_changes_nothing(breaker: CircuitBreaker) -> None:
    """A single failure below the threshold leaves it closed."""
    breaker.fail()
    assert breaker.admits()


def test_a_success_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    """Only failures in a row count."""
    breaker.fail()
    breaker.succeed()
    breaker.fail()
    assert breaker.admits()


def test_it_opens(breaker: CircuitBreaker) -> None:
    """At the threshold nobody gets through."""
    breaker.fail()
    breaker.fail()
    assert not breaker.admits()


def test_one_probe_after_the_cooldown(breaker: CircuitBreaker, clock: ManualClock) -> None:
    """After the cooldown one request may try, and no other until its outcome is known."""
    breaker.fail()
    breaker.fail()
    clock.advance(5.0)
    assert breaker.admits()
    assert not breaker.admits()
    breaker.succeed()
    assert breaker.admits()


def test_a_failed_probe_opens_it_again(breaker: CircuitBreaker, clock: ManualClock) -> None:
    """A probe that fails starts another cooldown."""
    breaker.fail()
    breaker.fail()
    clock.advance(5.0)
    assert breaker.admits()
    breaker.fail()
    clock.advance(4.0)
    assert not breaker.admits()
    clock.advance(1.0)
    assert breaker.admits()


def test_an_abandoned_probe_frees_the_way(breaker: CircuitBreaker, clock: ManualClock) -> None:
    """A probe whose client went away does not keep the breaker open for ever."""
    breaker.fail()
    breaker.fail()
    clock.advance(5.0)
    assert breaker.admits()
    breaker.abandon()
    assert breaker.admits()
