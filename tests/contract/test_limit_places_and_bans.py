"""Expect places and bans to be in each store what a slow and plain reference says."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.rate_limiting.bans import BanTerms
from tests.contract.limit_bench import KINDS, Bench, make_bench
from tests.unit.rate_limiting.reference import SECOND

START = 1_000_000 * SECOND
TERMS = BanTerms(first=2, longest=9)
models = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Moments are exact in a float, and whole milliseconds, which is what Redis keeps.
steps = st.integers(min_value=0, max_value=24).map(lambda n: n * SECOND // 4)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """One store of each kind."""
    made = make_bench(request, monkeypatch)
    yield made
    made.close()


@models
@given(
    done=st.lists(
        st.tuples(
            steps,
            st.sampled_from(["hold", "hold", "renew", "release"]),
            st.sampled_from(["{a}p", "{b}p"]),
            st.integers(min_value=0, max_value=12),
        ),
        max_size=40,
    )
)
def test_places(bench: Bench, done: list[tuple[int, str, str, int]]) -> None:
    """Who holds a place, and until when, is what the reference says."""
    bench.reset()
    store, now, number = bench.store, START, 0
    held: dict[str, dict[str, float]] = {"{a}p": {}, "{b}p": {}}
    for step, what, key, which in done:
        now += step
        places = held[key]
        for token in [token for token, ends in places.items() if ends <= now]:
            del places[token]
        lifetime = 3 * SECOND if store.leases_end else math.inf
        if what == "hold":
            number += 1
            token = f"t{number}"
            got = bench.at(now, lambda t=token, k=key: store.hold(k, t, limit=3, seconds=3))  # type: ignore[misc]  # a lambda with defaults
            assert got == (len(places) < 3)
            if got:
                places[token] = now + lifetime
            continue
        token = f"t{which}"
        if what == "renew":
            bench.at(now, lambda t=token, k=key: store.renew([(k, t)], seconds=3))  # type: ignore[misc]  # as above
            if token in places:
                places[token] = now + lifetime
        else:
            bench.at(now, lambda t=token, k=key: store.release(k, t))  # type: ignore[misc]  # as above
            places.pop(token, None)


@models
@given(
    done=st.lists(
        st.tuples(
            steps,
            st.sampled_from(["ban", "ban", "ban", "lift"]),
            st.sampled_from(["ip:192.0.2.1", "user:a b"]),
        ),
        max_size=40,
    )
)
def test_bans(bench: Bench, done: list[tuple[int, str, str]]) -> None:
    """Who is banned, for how long and how often is what the reference says."""
    bans, now = bench.bans, START
    bans_of: dict[str, tuple[int, int]] = {}
    for subject in ("ip:192.0.2.1", "user:a b"):
        bench.at(now, lambda s=subject: bans.lift_ban(s))  # type: ignore[misc]  # a lambda with defaults
    for step, what, subject in done:
        now += step
        ends, times = bans_of.get(subject, (0, 0))
        if what == "lift":
            lifted = bench.at(now, lambda s=subject: bans.lift_ban(s))  # type: ignore[misc]  # as above
            assert lifted or ends <= now
            assert not lifted or times
            bans_of.pop(subject, None)
        else:
            if ends <= now:
                times = 1 if ends + 9 * SECOND <= now else times + 1
                ends = now + min(9, 2**times) * SECOND
            bans_of[subject] = (ends, times)
            ban = bench.at(now, lambda s=subject: bans.add_ban(s, TERMS))  # type: ignore[misc]  # as above
            assert (round(ban.seconds * SECOND), ban.times) == (ends - now, times)
        listed = bench.at(now, bans.list_bans)
        assert {(ban.subject, round(ban.seconds * SECOND), ban.times) for ban in listed} == {
            (subject, ends - now, times) for subject, (ends, times) in bans_of.items() if ends > now
        }
