"""Single values are described as what they are."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import SecretStr

from stockade.validation.columns.values import Kind, Value, merge, value_of


class Level(enum.IntEnum):
    HIGH = 900


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (None, Kind.NULL),
        ("a", Kind.TEXT),
        (b"a", Kind.BYTES),
        (True, Kind.BOOLEAN),
        (1, Kind.INTEGER),
        (1.5, Kind.FLOAT),
        (Decimal(1), Kind.DECIMAL),
        (Decimal("NaN"), Kind.DECIMAL),
        (Decimal("1E+6000"), Kind.DECIMAL),
        (Decimal("1E+999999"), Kind.DECIMAL),
        (10**5000, Kind.INTEGER),
        (float("inf"), Kind.FLOAT),
        (datetime(2026, 1, 1, tzinfo=UTC), Kind.DATETIME),
        (date(2026, 1, 1), Kind.DATE),
        (time(1, tzinfo=timezone(timedelta(hours=1))), Kind.TIME),
        (timedelta(1), Kind.INTERVAL),
        (UUID(int=0), Kind.UUID),
        (SecretStr("a"), Kind.TEXT),
        (Level.HIGH, Kind.INTEGER),
    ],
    ids=lambda each: type(each).__name__,
)
def test_single_values_are_described(raw: object, kind: Kind) -> None:
    """A default or a literal is what it is."""
    value = value_of(raw)
    assert value is not None
    assert value.kind is kind


def test_other_values_are_none_of_a_column() -> None:
    """A default that is no scalar is left alone."""
    assert value_of([]) is None


def test_merging_keeps_the_loosest_bounds() -> None:
    """Values of one kind are joined to what holds for all of them."""
    (joined,) = merge(
        [
            Value(kind=Kind.TEXT, most=3),
            Value(kind=Kind.TEXT, most=5, choices=("a",)),
        ]
    )
    assert (joined.most, joined.choices) == (5, ())
    (unbounded,) = merge([Value(kind=Kind.TEXT, most=3), Value(kind=Kind.TEXT)])
    assert unbounded.most is None


def test_secrets_are_kept_apart() -> None:
    """What is secret is not joined with what is not."""
    values = [Value(kind=Kind.TEXT, most=3), Value(kind=Kind.TEXT, most=5, secret=True)]
    assert merge(values) == values
