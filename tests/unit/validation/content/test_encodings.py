import gzip
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.errors import BodyTooLargeError, MalformedRequestError
from stockade.validation.content.encodings import Inflater

LIMIT = 1_000_000


def inflate(coding: bytes, data: bytes, *cuts: int) -> bytes:
    """Decompress a body in parts."""
    inflater = Inflater(coding, lambda: LIMIT)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]
    whole = b""
    for index, part in enumerate(parts, 1):
        whole += inflater.inflate(part, last=index == len(parts))
        while inflater.has_more:
            whole += inflater.inflate(b"", last=index == len(parts))
    return whole


@given(
    st.binary(max_size=1000) | st.binary(max_size=9).map(lambda data: data * 99_999),
    st.lists(st.integers(0, 1100), max_size=4),
)
def test_round_trip(data: bytes, cuts: list[int]) -> None:
    """What was compressed comes out as it was, however it is cut up."""
    assert inflate(b"gzip", gzip.compress(data), *cuts) == data
    assert inflate(b"deflate", zlib.compress(data), *cuts) == data


def test_what_comes_out_counts() -> None:
    """One byte beyond the limit is refused."""
    assert len(inflate(b"gzip", gzip.compress(b"0" * LIMIT))) == LIMIT
    with pytest.raises(BodyTooLargeError) as caught:
        inflate(b"gzip", gzip.compress(b"0" * (LIMIT + 1)))
    assert caught.value.limit == LIMIT


def test_a_bomb_never_takes_the_memory() -> None:
    """A hundred megabytes of zeros come in portions, whatever the limit is."""
    bomb = gzip.compress(b"\0" * 100_000_000)
    tracemalloc.start()
    try:
        inflater = Inflater(b"gzip", lambda: 10**12)
        size = len(inflater.inflate(bomb, last=True))
        while inflater.has_more:
            size += len(inflater.inflate(b"", last=True))
        assert size == 100_000_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_no_body_has_no_coding() -> None:
    """A request may announce a coding and send nothing."""
    assert inflate(b"gzip", b"") == b""


@pytest.mark.parametrize(
    "data",
    [
        b"plain",
        gzip.compress(b"text")[:-1],
        gzip.compress(b"text") + b"more",
        gzip.compress(b"text") + gzip.compress(b"more"),
        zlib.compress(b"text"),
        gzip.compress(b"text")[:-8] + b"\0" * 8,
    ],
    ids=["plain", "cut", "more", "two", "other", "wrong sum"],
)
def test_what_is_not_of_the_coding_is_refused(data: bytes) -> None:
    """Nothing is hidden behind the end, and nothing is missing."""
    with pytest.raises(MalformedRequestError):
        inflate(b"gzip", data)
