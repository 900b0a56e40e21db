"""Tell those who listen that their company has a new note."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

# Whoever reads slower than this misses notes, and does not fill the memory.
_LONGEST_QUEUE = 100


class LiveNotes:
    """Hands each new note to the listeners of its company, and to nobody else."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)

    @contextmanager
    def listen(self, company: str) -> Iterator[asyncio.Queue[str]]:
        queue: asyncio.Queue[str] = asyncio.Queue(_LONGEST_QUEUE)
        self._listeners[company].add(queue)
        try:
            yield queue
        finally:
            self._listeners[company].discard(queue)
            if not self._listeners[company]:
                del self._listeners[company]

    def publish(self, company: str, note: str) -> None:
        for queue in self._listeners.get(company, ()):
            if not queue.full():
                queue.put_nowait(note)
