"""Say what columns of numbers can't hold."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any, Final

from sqlalchemy import BigInteger, Float, Integer, Numeric, SmallInteger
from sqlalchemy.types import TypeEngine

from stockade.validation.columns.models import Misfit, MismatchKind
from stockade.validation.columns.values import Kind, Value

_BITS: Final = {"TINYINT": 8, "MEDIUMINT": 24}
_DOUBLE: Final = Fraction(1.7976931348623157e308)
_REAL: Final = Fraction(3.4028234663852886e38)
# PostgreSQL's REAL has 24 bits, and so has FLOAT(p) up to that p.
_REAL_BITS: Final = 24
_DOUBLE_BITS: Final = 53
# The decimal places that 32 bits reach without loss of the exponent.
_REAL_PLACES: Final = 37
# Digits before the point that a NUMERIC without a precision holds in PostgreSQL.
_MOST_WHOLE: Final = 131_072
# Numbers beyond that are shown with an exponent.
_LONGEST_SHOWN: Final = 10**20
# Larger than every float; the exponent keeps huge numbers of digits from costing time.
_MOST_EXPONENT: Final = 400
_INFINITE: Final = Fraction(10) ** (_MOST_EXPONENT + 1)


def range_of(type_: Integer) -> tuple[int, int]:
    """Return the least and the greatest integer that a type holds."""
    bits = _BITS.get(type_.__visit_name__, 32)
    if isinstance(type_, SmallInteger):
        bits = 16
    elif isinstance(type_, BigInteger):
        bits = 64
    if getattr(type_, "unsigned", False):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def compare_range(value: Value, low: int, high: int, type_: TypeEngine[Any]) -> Iterator[Misfit]:
    """Yield a misfit if integers are not within a range."""
    if value.low is not None and value.high is not None and low <= value.low <= value.high <= high:
        return
    if value.low is not None and value.high is not None and value.low > value.high:
        # No value passes both bounds.
        return
    hint = f"write Field(ge={low}, le={high})"
    if isinstance(type_, SmallInteger):
        hint += ", or Integer for the column"
    elif isinstance(type_, Integer) and not isinstance(type_, BigInteger):
        hint += ", or BigInteger for the column"
    yield Misfit(
        MismatchKind.OUT_OF_RANGE,
        f"takes {value.kind} {_range(value)}, the column holds {low} to {high}",
        _behind(hint, value),
    )


def _range(value: Value) -> str:
    low = "without a minimum" if value.low is None else f"from {_show(value.low)}"
    high = "without a maximum" if value.high is None else f"to {_show(value.high)}"
    return "of any size" if value.low is value.high is None else f"{low} {high}"


def _show(bound: Fraction) -> str:
    if bound.denominator == 1 and abs(bound) < _LONGEST_SHOWN:
        return str(bound.numerator)
    return f"{Decimal(bound.numerator) / bound.denominator:.6g}"


def _behind(hint: str, value: Value) -> str:
    return f"{hint}, behind the validator {value.behind}" if value.behind else hint


def compare_float(value: Value, type_: Float[Any], *, exact: bool) -> Iterator[Misfit]:
    """Yield what floating-point numbers of 32 or 64 bits can't hold."""
    precision = type_.precision
    is_real = type_.__visit_name__ == "REAL" or (
        precision is not None
        and precision <= _REAL_BITS
        and type_.__visit_name__.lower() == "float"
    )
    most = _REAL if is_real else _DOUBLE
    if is_real and _comes_near_zero(value):
        yield Misfit(
            MismatchKind.OUT_OF_RANGE,
            f"takes {value.kind}, the column holds 32 bits, and the database refuses what is nearer"
            " to zero than those reach",
            "write Double() for the column",
        )
    elif _magnitude(value) > most and (is_real or value.kind is not Kind.FLOAT):
        bound = "1e38" if is_real else "1e308"
        yield Misfit(
            MismatchKind.OUT_OF_RANGE,
            f"takes {value.kind} {_range(value)}, the column holds floating-point numbers",
            _behind(f"write Field(ge=-{bound}, le={bound})", value),
        )
    elif exact and value.kind is Kind.INTEGER:
        bits = _REAL_BITS if is_real else _DOUBLE_BITS
        if _magnitude(value) > 2**bits:
            yield Misfit(
                MismatchKind.TOO_PRECISE,
                f"takes integers {_range(value)}, the column rounds beyond {2**bits}",
                _behind(f"write Field(ge=-{2**bits}, le={2**bits})", value),
            )


def _comes_near_zero(value: Value) -> bool:
    """Tell whether some numbers are too near to zero for 32 bits, and not zero itself."""
    if value.kind is Kind.INTEGER or value.low == value.high == 0:
        return False
    if value.kind is Kind.DECIMAL and value.places is not None:
        return value.places > _REAL_PLACES
    apart = Fraction(1, 10**_REAL_PLACES)
    return not (
        (value.low is not None and value.low >= apart)
        or (value.high is not None and value.high <= -apart)
    )


def _magnitude(value: Value) -> Fraction:
    """Return what the absolute value of a number can't exceed."""
    ranged = _INFINITE
    if value.low is not None and value.high is not None:
        ranged = max(abs(value.low), abs(value.high))
    if value.places is not None and value.places <= _MOST_EXPONENT:
        # Of the numbers below a bound, only those with so many places pass.
        ranged = Fraction(floor(ranged * 10**value.places), 10**value.places)
    if value.whole is None:
        return ranged
    return min(ranged, Fraction(10) ** min(value.whole, _MOST_EXPONENT))


def compare_numeric(value: Value, type_: Numeric[Any]) -> Iterator[Misfit]:
    """Yield what a number of so many digits can't hold."""
    precision, scale = type_.precision, type_.scale or 0
    if precision is None:
        if value.kind is not Kind.DECIMAL or _digits(value) <= _MOST_WHOLE:
            return
        yield Misfit(
            MismatchKind.OUT_OF_RANGE,
            f"takes decimals of any size, the column holds {_MOST_WHOLE} digits",
            _behind("write Field(max_digits=..., decimal_places=...)", value),
        )
        return
    whole = precision - scale
    hint = f"write Field(max_digits={precision}, decimal_places={scale})"
    if value.kind is not Kind.DECIMAL:
        bound = str(10**whole - 1 if whole > 0 else 0)
        if whole <= 0 and value.kind is Kind.FLOAT:
            bound = f"{Decimal(10) ** whole - Decimal(10) ** -scale:f}"
        hint = f"write Field(ge=-{bound}, le={bound})".replace("=-0,", "=0,")
    if value.kind is Kind.DECIMAL and (value.places is None or value.places > scale):
        places = "any number of" if value.places is None else f"up to {value.places}"
        yield Misfit(
            MismatchKind.TOO_PRECISE,
            f"takes {places} decimal places, the column rounds to {scale}",
            _behind(hint, value),
        )
    # Half of the last place is rounded up, and may need one digit more.
    half = Fraction(1, 2 * 10**scale) if scale >= 0 else Fraction(10**-scale, 2)
    limit = Fraction(10) ** whole - half
    fits_by_digits = value.whole is not None and value.whole <= whole
    if fits_by_digits or _magnitude(value) < limit:
        return
    yield Misfit(
        MismatchKind.OUT_OF_RANGE,
        f"takes {_digits_or_range(value)}, the column holds {whole} digits before the point",
        _behind(hint, value),
    )


def _digits(value: Value) -> int:
    if value.whole is not None:
        return value.whole
    return _MOST_WHOLE + 1 if value.low is None or value.high is None else 0


def _digits_or_range(value: Value) -> str:
    if value.whole is not None:
        return f"{value.whole} digits before the point"
    return f"{value.kind} {_range(value)}"
