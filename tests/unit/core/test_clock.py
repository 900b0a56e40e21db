from datetime import timedelta

from stockade.core import SystemClock


def test_the_time_of_day_is_aware() -> None:
    """The system's time of day is in UTC, so that two of them can always be compared."""
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_monotonic_time_never_goes_back() -> None:
    """A later reading is not smaller."""
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)
