"""Expect the frequent to be found among any number of others, and never too high a number."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from stockade.rate_limiting.frequent import FrequentKeys

STREAMS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=400)


@given(stream=STREAMS, size=st.integers(1, 8))
@settings(max_examples=300)
def test_the_frequent_are_kept(stream: list[tuple[int, int]], size: int) -> None:
    """Whoever has more than a share is there, nobody has too much, and it never grows."""
    keys, true = FrequentKeys(size), Counter[str]()
    for number, times in stream:
        keys.add(str(number), times)
        true[str(number)] += times
        assert len(keys) <= 2 * size
    found = dict(keys)
    assert all(found[key] <= true[key] for key in found)
    assert {key for key, each in true.items() if each > true.total() / size} <= found.keys()


@given(stream=STREAMS)
def test_few_are_counted_exactly(stream: list[tuple[int, int]]) -> None:
    """Where there is room for all, nothing is lost."""
    keys, true = FrequentKeys(50), Counter[str]()
    for number, times in stream:
        keys.add(str(number), times)
        true[str(number)] += times
    assert dict(keys) == dict(true)


def test_a_flood_does_not_hide_anybody() -> None:
    """A million networks, each once, take no memory and hide nobody who comes again and again."""
    keys = FrequentKeys(256)
    for number in range(1_000_000):
        if number % 100 == 0:
            keys.add("loud")
        keys.add(f"{{ip:{number:x}}}")
    assert len(keys) <= 512
    assert dict(keys)["loud"] == 10_000
    assert max((times, key) for key, times in keys)[1] == "loud"


def test_huge_counts() -> None:
    """Numbers beyond what a machine word holds are numbers."""
    keys = FrequentKeys(1)
    keys.add("a", 2**80)
    keys.add("b", 1)
    keys.add("c", 1)
    assert dict(keys)["a"] == 2**80
