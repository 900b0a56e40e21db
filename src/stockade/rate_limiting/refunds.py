"""Remember what a request has taken, and say what goes back when its answer does not count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from stockade.core.limits import Strategy
from stockade.rate_limiting.gcra import MICROSECONDS, charge_of
from stockade.rate_limiting.models import (
    CompiledLimits,
    LimitState,
    Refund,
    Reservation,
    UnitRefund,
)


def reserve_debts(
    limits: CompiledLimits, keys: Sequence[str], debts: Sequence[int], since: float
) -> tuple[Reservation, ...]:
    """Remember what was taken at once from buckets that all count by GCRA.

    Args:
        limits: The limits.
        keys: Names of their buckets.
        debts: Microseconds that are missing in each right after it.
        since: Seconds on the monotonic clock, before it was taken.
    """
    return tuple(
        Reservation(key, limit.statuses, charge.amount, debt, since)
        for key, limit, charge, debt in zip(keys, limits.limits, limits.charges, debts, strict=True)
        if limit.statuses is not None
    )


def reserve_states(
    limits: CompiledLimits, keys: Sequence[str], states: Sequence[LimitState], since: float
) -> tuple[Reservation, ...]:
    """Remember what a store has taken; nothing of what went into a stand-in for it goes back."""
    found: list[Reservation] = []
    for key, limit, state in zip(keys, limits.limits, states, strict=True):
        rule = limit.rule
        if limit.statuses is None or state.at is None or not rule.cost:
            continue
        if rule.strategy is Strategy.GCRA:
            debt = round(state.reset_after * MICROSECONDS)
            charge = charge_of(rule).amount
            found.append(Reservation(key, limit.statuses, charge, debt, since))
        else:
            units = UnitRefund(key, rule, state.at)
            found.append(Reservation(key, limit.statuses, 0, 0, since, units))
    return tuple(found)


def refunds_of(
    reservations: Iterable[object], status: int, now: float
) -> list[Refund | UnitRefund]:
    """Return what goes back.

    Of a debt it is what time has not given back already, so that nobody gets more than the limit
    says.

    Args:
        reservations: What was taken.
        status: The answer.
        now: Seconds on the monotonic clock.
    """
    refunds: list[Refund | UnitRefund] = []
    for each in reservations:
        if not isinstance(each, Reservation) or status in each.statuses:
            continue
        if each.units is not None:
            refunds.append(each.units)
            continue
        gone = ceil((now - each.since) * MICROSECONDS)
        amount = min(each.charge, each.debt - gone)
        if amount > 0:
            refunds.append(Refund(each.key, amount))
    return refunds
