"""Expect limits in the notation of the ``limits`` package, and nothing that makes no sense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.errors import ConfigurationError
from stockade.rate_limiting import parse_rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100/minute", [(100, 60)]),
        ("100 per minute", [(100, 60)]),
        ("100/minute; 5/second", [(100, 60), (5, 1)]),
        ("5/minute, 50/hour", [(5, 60), (50, 3600)]),
        ("10/2 hours", [(10, 7200)]),
        ("1/day", [(1, 86400)]),
    ],
)
def test_notation(text: str, expected: list[tuple[int, int]]) -> None:
    """Each limit becomes a rule, in order."""
    assert [(rule.amount, rule.window) for rule in parse_rules(text)] == expected


def test_equal_limits_count_once() -> None:
    """A limit that is written twice is one limit."""
    assert len(parse_rules("5/minute; 5/minute")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "nonsense",
        "5/fortnight",
        "5/minute;",
        "5/minute; nonsense",
        "-1/minute",
        "1.5/minute",
        "0/minute",
        "5/3 years",
        "99999999999999999999/second",
        "9" * 5000 + "/second",
        ";".join(f"{n}/minute" for n in range(1, 10)),
        "5/minute" + " " * 200,
    ],
)
def test_wrong_notation_is_refused(text: str) -> None:
    """A limit that is malformed, empty or endless is an error, not a limit that never bites."""
    with pytest.raises(ConfigurationError):
        parse_rules(text)


def test_a_bare_decorator_is_refused() -> None:
    """A function in place of the text is an error: somebody forgot the parentheses."""
    with pytest.raises(ConfigurationError):
        parse_rules(test_notation)  # type: ignore[arg-type] # that is the mistake


@pytest.mark.parametrize("cost", [0, -1, 6])
def test_impossible_cost_is_refused(cost: int) -> None:
    """A request costs at least one unit and no more than the limit ever has."""
    with pytest.raises(ConfigurationError):
        parse_rules("5/minute", cost=cost)


def test_empty_scope_is_refused() -> None:
    """A scope has a name."""
    with pytest.raises(ConfigurationError):
        parse_rules("5/minute", scope="")


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Whatever the text, the outcome is rules that make sense or a configuration error."""
    try:
        rules = parse_rules(text)
    except ConfigurationError:
        return
    assert rules
    assert all(rule.amount >= 1 and rule.window >= 1 for rule in rules)


@given(st.integers(1, 100_000), st.integers(1, 300), st.sampled_from(["second", "minute", "hour"]))
def test_written_limits_are_read_back(amount: int, multiple: int, unit: str) -> None:
    """What is written is what counts."""
    seconds = {"second": 1, "minute": 60, "hour": 3600}[unit]
    (rule,) = parse_rules(f"{amount}/{multiple} {unit}")
    assert (rule.amount, rule.window) == (amount, multiple * seconds)
