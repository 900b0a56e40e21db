"""Let declared middleware answer by itself, such as a CORS preflight, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from stockade.core.decision import Decision
from stockade.core.exchange import find_exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENTERED: Final = "stockade.entered"
_KNOWN: Final[dict[object, str]] = {
    CORSMiddleware: "a preflight carries no data",
    HTTPSRedirectMiddleware: "a redirect to HTTPS carries no data",
    TrustedHostMiddleware: "a refused host gets no data",
}


class DeclaredMiddleware:
    """Wraps a middleware and notes a decision when it answers without asking what is inside of it.

    Args:
        app: What is inside.
        declared: The middleware, as the application added it.
        reason: Why it may answer by itself.
    """

    def __init__(self, app: ASGIApp, *, declared: Middleware, reason: str) -> None:
        async def enter(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault(_ENTERED, set()).add(id(self))
            await app(scope, receive, send)

        self.declared = declared
        self._app: ASGIApp = declared.cls(enter, *declared.args, **declared.kwargs)
        name = getattr(declared.cls, "__name__", "middleware")
        self._decision = Decision(
            granted=True, reason="gate.middleware", evidence={"middleware": name, "reason": reason}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the middleware; its own answer counts as decided on."""
        exchange = find_exchange(scope)
        if exchange is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # One set for all: a copy of the scope further in shares it.
        entered: set[int] = scope.setdefault(_ENTERED, set())

        async def note(message: Message) -> None:
            if (
                message["type"] == "http.response.start"
                and exchange.decision is None
                and id(self) not in entered
            ):
                exchange.decision = self._decision
            await send(message)

        await self._app(scope, receive, note)


def declare_answering(app: Starlette, table: Mapping[str, str]) -> None:
    """Wrap the middleware that may answer by itself; done twice, it changes nothing."""
    for position, entry in enumerate(app.user_middleware):
        cls: object = entry.cls
        if cls is DeclaredMiddleware:
            continue
        reason = _KNOWN.get(cls) or table.get(_name_of(cls))
        if reason is not None:
            app.user_middleware[position] = Middleware(
                DeclaredMiddleware, declared=entry, reason=reason
            )


def _name_of(cls: object) -> str:
    return f"{getattr(cls, '__module__', '')}.{getattr(cls, '__qualname__', '')}"
