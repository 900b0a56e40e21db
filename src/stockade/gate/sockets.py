"""Ask again who is there while a websocket is open, and count what comes in.

A handshake is one request, and what follows may go on for days: without this, a token that has
expired, a session that was ended and a role that was taken away would all go on to count there.

Source: ASVS 5.0 V4.4.3 and V7.4.1; CWE-613.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stockade.errors import DeniedError, StoreError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Send

# Seconds for which a caller is believed; what is revoked has to be so within one.
_BELIEVED: Final = 1.0
_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1
_TRY_AGAIN_LATER: Final = 1013  # Registered by IANA for RFC 6455, section 11.7.


class WatchedSocket:
    """The two directions of an open websocket whose caller is asked for again and again.

    Frames are what a caller gets and gives, so that it is looked at before a frame is handed on,
    at most once in a second, and not while nothing moves.

    Args:
        receive: From the client.
        send: To the client.
        admit: Lets the caller pass once more, or raises.
        count: Counts one message that has come in, or raises.
        monotonic: Source of time, in seconds.
        on_refusal: Called once, with what ended it.
    """

    __slots__ = (
        "_admit",
        "_count",
        "_due",
        "_ended",
        "_monotonic",
        "_on_refusal",
        "_receive",
        "_send",
    )

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        admit: Callable[[], Awaitable[None]],
        count: Callable[[], Awaitable[None]] | None = None,
        monotonic: Callable[[], float],
        on_refusal: Callable[[Exception], None],
    ) -> None:
        self._receive = receive
        self._send = send
        self._admit = admit
        self._count = count
        self._monotonic = monotonic
        self._on_refusal = on_refusal
        self._due = monotonic() + _BELIEVED
        self._ended: Message | None = None

    async def receive(self) -> Message:
        """Hand on the next message, or a disconnect once the caller may no longer be there."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            if not await self._holds():
                return self._ended or message
            if self._count is not None and not await self._passes(self._count):
                return self._ended or message
        return message

    async def send(self, message: Message) -> None:
        """Hand on one message.

        Raises:
            OSError: The caller may no longer be there; ASGI says so by this error.
        """
        if message["type"] == "websocket.send" and not await self._holds():
            raise OSError("the connection is closed")
        if self._ended is None:
            await self._send(message)

    async def _holds(self) -> bool:
        if self._ended is None and self._monotonic() >= self._due:
            # At once, so that frames of both directions ask once between them.
            self._due = self._monotonic() + _BELIEVED
            return await self._passes(self._admit)
        return self._ended is None

    async def _passes(self, ask: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ask()
        except (DeniedError, StoreError) as error:
            await self._end(error)
        return self._ended is None

    async def _end(self, error: Exception) -> None:
        if self._ended is not None:
            return
        away = isinstance(error, StoreError | UnavailableError)
        code = _TRY_AGAIN_LATER if away else _POLICY_VIOLATION
        self._ended = {"type": "websocket.disconnect", "code": code, "reason": ""}
        self._on_refusal(error)
        await self._send({"type": "websocket.close", "code": code})
