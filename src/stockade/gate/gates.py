"""Decide in the place of what serves a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.core.acting import ACTING
from stockade.core.exchange import Exchange
from stockade.core.problems import INTERNAL
from stockade.gate.guard import REFUSALS
from stockade.web.responses import refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from stockade.gate.endings import Ending
    from stockade.gate.guard import Guard
    from stockade.gate.plans import Plan


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

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Decide, then answer or call what serves the leaf."""
        exchange = scope.get("stockade")
        if exchange.__class__ is not Exchange:
            return _refuse_stray(scope, receive, send)
        guard: Guard = exchange.guard  # type: ignore[assignment]  # core can't name the class.
        plan = guard.find_plan(self.holder, scope)
        if plan is None:
            return guard.serve_unbound(scope, receive, send)
        if plan.settles:
            return self._serve_and_settle(plan, scope, receive, send)
        return self._serve(plan, scope, receive, send, exchange)

    async def _serve_and_settle(
        self, plan: Plan, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Do the same where limits want to know how it ends."""
        exchange: Exchange = scope["stockade"]
        guard: Guard = exchange.guard  # type: ignore[assignment]  # core can't name the class.
        ending = guard.open_ending(send, exchange)
        async with ending:
            await self._serve(plan, scope, receive, ending.send, exchange, ending)

    async def _serve(  # noqa: PLR0917 - what a gate has; naming them costs each request
        self,
        plan: Plan,
        scope: Scope,
        receive: Receive,
        send: Send,
        exchange: Exchange,
        ending: Ending | None = None,
    ) -> None:
        guard: Guard = exchange.guard  # type: ignore[assignment]  # core can't name the class.
        try:
            await guard.admit(plan, scope, exchange)
            if ending is not None:
                await ending.enter(plan, scope)
            if plan.single is not None:
                plan.single.check(scope)
            content = plan.content
            if content is not None and (exchange.has_content or content.accepted):
                receive = guard.check_body(content, scope, receive, exchange)
        except REFUSALS as error:
            await guard.serve_refusal(error, scope, receive, send)
            return
        if scope["type"] == "websocket" and (
            exchange.principal is not None or plan.messages is not None
        ):
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
