"""Drive the web layer by hand, message by message."""

from collections.abc import Iterable
from typing import Any

from stockade.core import Decision, Exchange
from stockade.core.exchange import SCOPE_KEY
from stockade.web import WebSettings, security_headers
from stockade.web.channel import Channel

HEADERS = security_headers(WebSettings(), hsts=False)
NAMES = frozenset(name for name, _ in HEADERS) | {b"x-request-id"}
GRANTED = Decision(granted=True, reason="x.y")


class Line:
    """A channel between a list of messages from the client and a list of those to it."""

    def __init__(
        self,
        incoming: Iterable[dict[str, Any]] = (),
        *,
        kind: str = "http",
        path: str = "/notes",
        limit: int = 10,
        decision: Decision | None = GRANTED,
    ) -> None:
        self.exchange = Exchange(
            guard=None, request_id="r-1", client="192.0.2.1", scheme=kind, body_limit=limit
        )
        self.exchange.decision = decision
        self.exchange.host = b"example.com"
        self.sent: list[Any] = []
        self.recorded: list[tuple[str, str]] = []
        self._incoming = iter(incoming)
        scope: dict[str, Any] = {"type": kind, "path": path, SCOPE_KEY: self.exchange}
        if kind == "http":
            scope["method"] = "POST"
        self.channel = Channel(
            self.exchange,
            scope,
            self._receive,
            self._send,
            headers=list(HEADERS),
            names=NAMES,
            on_refusal=lambda name, _scope, reason: self.recorded.append((name, reason)),
        )

    async def _receive(self) -> Any:  # noqa: ANN401 - an ASGI message
        return next(self._incoming)

    async def _send(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        self.sent.append(message)

    async def answer(
        self,
        status: int = 200,
        headers: Iterable[Any] = (),
        body: bytes = b"answer",
        prefix: str = "http.response",
    ) -> None:
        """Send an answer as an application does."""
        await self.channel.send({"type": f"{prefix}.start", "status": status, "headers": headers})
        await self.channel.send({"type": f"{prefix}.body", "body": body})

    @property
    def status(self) -> int:
        """Status that reached the client."""
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        """Body that reached the client."""
        return b"".join(message.get("body", b"") for message in self.sent)

    def values(self, name: bytes) -> list[bytes]:
        """Return every value of a header that reached the client."""
        return [value for known, value in self.sent[0]["headers"] if known.lower() == name]
