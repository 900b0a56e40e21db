"""Decide in the place of what serves a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.core.acting import ACTING
from stockade.core.exchange import Exchange
from stockade.core.problems import INTERNAL
from stockade.gate.guard import REFUSALS
from stockade.web.responses import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from stockade.gate.guard import Guard


class Gate:
    """Stands in the place of what serves a leaf.

    Args:
        inner: What served the leaf before.
        holder: The leaf object.
    """

    __slots__ = ("holder", "inner")

    def __init__(self, inner: ASGIApp, holder: object) -> None:
        self.inner = inner
        self.holder = holder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide, then answer or call what serves the leaf."""
        exchange = scope.get("stockade")
        if exchange.__class__ is not Exchange:
            await _refuse_stray(scope, receive, send)
            return
        guard: Guard = exchange.guard  # type: ignore[assignment]  # core can't name the class.
        plan = guard.find_plan(self.holder, scope)
        if plan is None:
            await guard.serve_unbound(scope, receive, send)
            return
        try:
            await guard.admit(plan, scope, exchange)
            if plan.single is not None:
                plan.single.check(scope)
            content = plan.content
            if content is not None and (exchange.has_content or content.accepted):
                receive = guard.check_body(content, scope, receive, exchange)
        except REFUSALS as error:
            await guard.serve_refusal(error, scope, receive, send)
            return
        if scope["type"] == "websocket" and exchange.principal is not None:
            socket = guard.watch(plan, scope, receive, send, exchange)
            receive, send = socket.receive, socket.send
        acting = ACTING.set(exchange.principal)
        try:
            await self.inner(scope, receive, send)
        finally:
            ACTING.reset(acting)


async def _refuse_stray(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request that came past the wall, such as through another application."""
    await refuse(INTERNAL, scope, receive, send, request_id=None)
