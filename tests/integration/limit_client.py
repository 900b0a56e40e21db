"""Ask a store of limits from a process of its own.

Usage: ``limit_client.py URL CLIENTS ASKS``. It says ``ready``; for each name of a bucket that comes
in on a line it asks CLIENTS times ASKS times and says how many requests have passed.
"""

import asyncio
import sys

from stockade.core.limits import LimitRule
from stockade.rate_limiting import LimitRequest
from stockade.storage import limit_store

RULE = LimitRule(amount=100, window=86_400)
WIDE = LimitRule(amount=100_000, window=86_400)


async def main(url: str, clients: int, asks: int) -> None:
    """Serve one bucket after the other."""
    store = limit_store(url, timeout=5.0)
    await store.ping()
    _say("ready")
    while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
        request = [LimitRequest(f"{{{name}}}a", RULE), LimitRequest(f"{{{name}}}b", WIDE)]

        async def ask(request: list[LimitRequest] = request) -> int:
            passed = 0
            for _ in range(asks):
                passed += all(state.allowed for state in await store.acquire(request))
            return passed

        _say(sum(await asyncio.gather(*(ask() for _ in range(clients)))))
    await store.close()


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
