"""Stand between server and application: count what comes in, check and complete what goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from starlette.exceptions import HTTPException

from stockade.core.exchange import SCOPE_KEY
from stockade.core.problems import UNDECIDED, Problem, problem_for
from stockade.errors import BodyTooLargeError
from stockade.events import event_name_for
from stockade.web.responses import is_slash_redirect, send_problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Scope, Send

    from stockade.core.exchange import Exchange
    from stockade.errors import DeniedError

_MESSAGE_TOO_BIG: Final = 1009  # RFC 6455, section 7.4.1
_POLICY_VIOLATION: Final = 1008
_SUCCESS: Final = range(200, 300)
_REQUEST_ID: Final = b"x-request-id"


class BodyRefusedError(HTTPException):
    """A body was refused while it was read.

    It is an `HTTPException` so that FastAPI, which turns any other error of body parsing into 400,
    lets it pass.

    Args:
        error: The refusal.
    """

    def __init__(self, error: DeniedError) -> None:
        super().__init__(problem_for(error).status)
        self.error = error


@runtime_checkable
class RedirectLimiter(Protocol):
    """A guard that counts the redirects to a path with or without its slash."""

    async def limit_redirect(self, exchange: Exchange, scope: dict[str, Any]) -> Problem | None:
        """Count one; return what to answer instead, if anything."""


class Channel:
    """The two directions of one request.

    Args:
        exchange: What is known about the request.
        scope: ASGI scope. The channel keeps no reference to it: the scope leads back to the
            channel, and a cycle of the two would leave every request to the garbage collector.
        receive: From the server.
        send: To the server.
        headers: Security headers; an answer's own ones win.
        names: The names of `headers`, and ``x-request-id``.
        on_refusal: Called with an event name and a reason code when this channel refuses something
            by itself.
    """

    __slots__ = (
        "_exchange",
        "_headers",
        "_method",
        "_names",
        "_on_refusal",
        "_path",
        "_receive",
        "_replaced",
        "_send",
    )

    # Python takes twice as long where the arguments are named, and every request makes one.
    def __init__(  # noqa: PLR0917
        self,
        exchange: Exchange,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: list[tuple[bytes, bytes]],
        names: frozenset[bytes],
        on_refusal: Callable[[str, Scope, str], None],
    ) -> None:
        self._exchange = exchange
        # None for a websocket, which has no method.
        self._method: str | None = scope.get("method")
        self._path: str = scope["path"]
        self._receive = receive
        self._send = send
        self._headers = headers
        self._names = names
        self._on_refusal = on_refusal
        self._replaced = False

    async def receive(self) -> Message:
        """Hand on one message from the client, counting the bytes of the body.

        Raises:
            BodyRefusedError: The body is larger than the endpoint takes, whatever its
                Content-Length said.
        """
        message = await self._receive()
        kind = message["type"]
        if kind == "http.request":
            exchange = self._exchange
            exchange.body_read += len(message.get("body", b""))
            if exchange.body_read > exchange.body_limit:
                reason = "validation.body_streamed_too_far"
                if exchange.body_refusal is None:
                    self._record("validation.body_too_large", reason)
                    exchange.body_refusal = BodyTooLargeError(
                        reason=reason, limit=exchange.body_limit
                    )
                raise BodyRefusedError(exchange.body_refusal)
        elif kind == "websocket.receive":
            return await self._check_frame(message)
        return message

    async def _check_frame(self, message: Message) -> Message:
        if _size_of(message) <= self._exchange.body_limit and not self._replaced:
            return message
        if not self._replaced:
            self._replaced = True
            self._record("validation.body_too_large", "validation.frame_too_large")
            await self._send({"type": "websocket.close", "code": _MESSAGE_TOO_BIG})
        return {"type": "websocket.disconnect", "code": _MESSAGE_TOO_BIG}

    def send(self, message: Message) -> Awaitable[None]:
        """Hand on one message to the client, if a decision stands behind it.

        Raises:
            UncheckedObjectError: A stream that has begun would go on with objects that nobody has
                checked.
        """
        # The start of an answer that was decided on and the parts of its body: nearly all messages
        # are one of these, and they cost no coroutine of ours.
        if not self._replaced:
            kind = message["type"]
            if kind == "http.response.body" and self._exchange.withheld is None:
                return self._send(message)
            decision = self._exchange.decision
            if (
                kind == "http.response.start"
                and decision is not None
                and decision.granted
                and self._exchange.body_refusal is None
                and self._exchange.withheld is None
            ):
                headers = self._complete(message.get("headers", ()))
                return self._send({**message, "headers": headers})
        return self._send_checked(message)

    async def _send_checked(self, message: Message) -> None:
        if self._replaced:
            return
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            await self._start(message)
        elif kind == "websocket.accept":
            await self._accept_socket(message)
        elif kind == "http.response.body" and self._exchange.withheld is not None:
            # The head of a stream is gone already: without its end, nobody takes it for complete.
            self._record_withheld(self._exchange.withheld)
            raise self._exchange.withheld
        elif kind == "websocket.send" and self._exchange.withheld is not None:
            self._record_withheld(self._exchange.withheld)
            self._replaced = True
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        exchange = self._exchange
        if exchange.decision is None and not self._is_slash_redirect(message):
            self._record("gate.undecided", "gate.undecided")
            await self._replace(UNDECIDED)
        elif exchange.decision is None and (limited := await self._limit_redirect()) is not None:
            await self._replace(limited)
        elif message["status"] in _SUCCESS and not self._is_granted():
            # Middleware may dress a refusal, such as with a redirect to a sign-in page, but what it
            # has in store for others stays inside.
            self._record("gate.undecided", "gate.answer_after_refusal")
            await self._replace(UNDECIDED)
        elif exchange.withheld is not None:
            # Also a redirect or an error of the handler's own may tell of what nobody has checked.
            self._record_withheld(exchange.withheld)
            await self._replace(problem_for(exchange.withheld))
        elif (
            exchange.body_refusal is not None
            and message["status"] != (problem := problem_for(exchange.body_refusal)).status
        ):
            # Whatever the application makes of a body of which it has got a part only.
            await self._replace(problem)
        else:
            await self._send({**message, "headers": self._complete(message.get("headers", ()))})

    def _record_withheld(self, error: DeniedError) -> None:
        self._record(event_name_for(error.reason), error.reason)

    def _is_granted(self) -> bool:
        decision = self._exchange.decision
        return decision is not None and decision.granted

    def _is_slash_redirect(self, message: Message) -> bool:
        return is_slash_redirect(message, self._path, host=self._exchange.host)

    async def _limit_redirect(self) -> Problem | None:
        """Count a redirect, which comes from no route and so has met no limit yet."""
        guard = self._exchange.guard
        if not isinstance(guard, RedirectLimiter):
            return None
        return await guard.limit_redirect(self._exchange, self._scope())

    async def _replace(self, problem: Problem) -> None:
        """Send an answer of our own and swallow whatever the application still sends."""
        self._replaced = True
        if self._method is None:
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": self._complete(message["headers"])}
            await self._send(message)

        await send_problem(problem, send, request_id=self._exchange.request_id)

    async def _accept_socket(self, message: Message) -> None:
        if not self._is_granted():
            await self._refuse_socket()
            return
        subprotocol = self._exchange.subprotocol
        if subprotocol is not None and not message.get("subprotocol"):
            # Browsers give up a connection that agrees on none of what they have offered.
            message = {**message, "subprotocol": subprotocol}
        await self._send(message)

    async def _refuse_socket(self) -> None:
        self._replaced = True
        self._record("gate.undecided", "gate.undecided")
        await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    def _record(self, name: str, reason: str) -> None:
        self._on_refusal(name, self._scope(), reason)

    def _scope(self) -> dict[str, Any]:
        return {SCOPE_KEY: self._exchange, "method": self._method or "WEBSOCKET"}

    def _complete(self, own: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401 - ASGI allows any iterable of pairs
        exchange = self._exchange
        own = list(own)
        identifier = (_REQUEST_ID, exchange.request_id.encode("ascii"))
        for name, _ in own:
            if name in self._names or not name.islower():
                return self._merge([*own, identifier, *exchange.headers], own)
        return [*own, identifier, *exchange.headers, *self._headers]

    def _merge(self, headers: list[tuple[bytes, bytes]], own: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401
        """Let an answer's own headers win over ours, but for the request id."""
        present = {name.lower() for name, _ in own}
        headers += [pair for pair in self._headers if pair[0] not in present]
        if _REQUEST_ID in present:
            mine = (_REQUEST_ID, self._exchange.request_id.encode("ascii"))
            headers = [pair for pair in headers if pair[0].lower() != _REQUEST_ID] + [mine]
        return headers


def _size_of(frame: Message) -> int:
    """Return the bytes of a websocket frame; text counts as it came, in UTF-8."""
    text = frame.get("text")
    if text is not None:
        return len(text) if text.isascii() else len(text.encode("utf-8", errors="surrogatepass"))
    return len(frame.get("bytes") or b"")
