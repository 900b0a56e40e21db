"""Let candidates take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Call = Callable[[], object]
Turn = Callable[[int], float]
"""Makes a number of calls and returns the seconds that they took."""


@dataclass
class Candidate:
    """One way to do the work.

    Attributes:
        calls: Calls in a turn.
        times: Microseconds of a call, one figure for each turn.
    """

    name: str
    turn: Turn
    calls: int = 1
    times: list[float] = field(default_factory=list)

    def take(self) -> None:
        """Take one turn."""
        self.times.append(self.turn(self.calls) / self.calls * 1e6)


def turn_of(call: Call) -> Turn:
    """Return what makes a number of calls of a function without arguments."""

    def turn(calls: int) -> float:
        repeated = range(calls)
        started = time.perf_counter()
        for _ in repeated:
            call()
        return time.perf_counter() - started

    return turn


def run_turns(
    turns: Mapping[str, Turn], *, rounds: int, milliseconds: float = 10
) -> list[Candidate]:
    """Let each candidate take its turns, the first one first in no more than its share of them.

    Args:
        turns: Candidates by name; the first is what the others are compared with.
        rounds: Turns of each.
        milliseconds: What a turn takes, about; a call that takes longer is one turn.
    """
    candidates = [Candidate(name, turn) for name, turn in turns.items()]
    for each in candidates:
        once = min(each.turn(1) for _ in range(3))
        each.calls = max(1, round(milliseconds / 1e3 / once))
        each.turn(each.calls)
    gc.collect()
    for number in range(rounds):
        # Who comes first changes, so that none is always behind the same other one.
        at = number % len(candidates)
        for each in candidates[at:] + candidates[:at]:
            each.take()
    return candidates


def print_table(title: str, candidates: Sequence[Candidate], *, width: int = 30) -> None:
    """Print the least and the median time of each candidate, with its ratio to the first one's.

    The ratio of medians is the median of the ratios within a turn.
    """
    print(f"\n{title:<{width}}{'least':>12}{'ratio':>8}{'median':>12}{'ratio':>8}")
    base = candidates[0]
    for each in candidates:
        least, median = min(each.times), statistics.median(each.times)
        print(
            f"{each.name:<{width}}{least:>9.2f} us{least / min(base.times):>7.2f}x"
            f"{median:>9.2f} us{ratio_of(each, base):>7.2f}x"
        )


def ratio_of(candidate: Candidate, base: Candidate) -> float:
    """Return the median ratio of two candidates' turns."""
    pairs = zip(candidate.times, base.times, strict=True)
    return statistics.median(mine / other for mine, other in pairs)
