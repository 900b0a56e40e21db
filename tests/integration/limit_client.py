"""Ask a store of limits from a process of its own.

Usage: ``limit_client.py URL CLIENTS ASKS``. It says ``ready``; for each strategy and name of a
bucket that come in on a line it asks CLIENTS times ASKS times and says how many requests have
passed. Where a third word says ``failures``, only every other answer counts, and it says how many
of those there were.
"""

import asyncio
import sys

from stockade.core.limits import LimitRule, Strategy
from stockade.rate_limiting import LimitRequest
from stockade.rate_limiting.interfaces import LimitStore, RefundStore
from stockade.rate_limiting.models import UnitRefund
from stockade.storage import limit_store


async def main(url: str, clients: int, asks: int) -> None:
    """Serve one bucket after the other."""
    store = limit_store(url, timeout=5.0)
    await store.ping()
    _say("ready")
    while words := (await asyncio.to_thread(sys.stdin.readline)).split():
        how, name, *rest = words
        strategy = Strategy(how)
        rule = LimitRule(amount=100, window=86_400, strategy=strategy)
        wide = LimitRule(amount=9000, window=86_400, strategy=strategy)
        request = [LimitRequest(f"{{{name}}}a", rule), LimitRequest(f"{{{name}}}b", wide)]
        ask = _ask_for_failures if rest else _ask
        _say(sum(await asyncio.gather(*(ask(store, request, asks) for _ in range(clients)))))
    await store.close()


async def _ask(store: LimitStore, request: list[LimitRequest], asks: int) -> int:
    passed = 0
    for _ in range(asks):
        passed += all(state.allowed for state in await store.acquire(request))
    return passed


async def _ask_for_failures(store: LimitStore, request: list[LimitRequest], asks: int) -> int:
    assert isinstance(store, RefundStore)
    failures = 0
    for number in range(2 * asks):
        states = await store.acquire(request[:1])
        if not states[0].allowed:
            continue
        if number % 2:
            failures += 1
            continue
        assert states[0].at is not None
        await store.give_back([UnitRefund(request[0].key, request[0].rule, states[0].at)])
    return failures


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
