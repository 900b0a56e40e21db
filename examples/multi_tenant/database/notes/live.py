"""Tell those who listen that their company has a new note."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from database.dependencies import Caller
from stockade.errors import ForbiddenError

router = APIRouter(prefix="/notes", tags=["notes"])

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


live_notes = LiveNotes()


@router.websocket("/live")
async def follow_notes(websocket: WebSocket, caller: Caller) -> None:
    """Send every new note that the whole of the caller's company may read, as it is written."""
    if caller.tenant_id is None:
        raise ForbiddenError(reason="tenancy.no_tenant")
    await websocket.accept()
    with live_notes.listen(caller.tenant_id) as queue:
        sending = asyncio.create_task(_send_all(websocket, queue))
        try:
            # Nothing is asked of the client; reading is what notices that it has gone.
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            sending.cancel()


async def _send_all(websocket: WebSocket, queue: asyncio.Queue[str]) -> None:
    try:
        while True:
            await websocket.send_text(await queue.get())
    except WebSocketDisconnect:
        pass
