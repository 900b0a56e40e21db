from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.cache import BoundedCache

STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "discard"]), st.integers(0, 6), st.integers()), max_size=60
)


@given(st.integers(0, 4), STEPS)
def test_the_cache_is_a_bounded_queue_of_entries(
    size: int, steps: list[tuple[str, int, int]]
) -> None:
    """It holds what a plain list of pairs would, never more than its size, oldest out first."""
    cache: BoundedCache[int, int] = BoundedCache(size)
    model: list[tuple[int, int]] = []
    for step, key, value in steps:
        known = dict(model)
        if step == "discard":
            cache.discard(key)
            model = [pair for pair in model if pair[0] != key]
        else:
            cache.put(key, value)
            if key in known:
                model = [(old, value if old == key else kept) for old, kept in model]
            else:
                model = [*model, (key, value)][-size:] if size else []
        assert len(cache) == len(model) <= size
        assert [cache.get(each) for each in range(7)] == [
            dict(model).get(each) for each in range(7)
        ]
