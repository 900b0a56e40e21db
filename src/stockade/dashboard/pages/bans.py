"""Show who is banned, ban somebody, and lift bans."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from stockade.core.exchange import require_exchange
from stockade.core.printing import printable
from stockade.dashboard.rendering import HEADERS
from stockade.rate_limiting.keys import address_key, user_key

if TYPE_CHECKING:
    from stockade.dashboard.interfaces import Sources

_DONE: Final = {
    "added": "The ban holds. Other processes notice within five seconds.",
    "lifted": "The ban is lifted. Other processes notice within five seconds.",
    "gone": "Nobody of that name was banned any more.",
}
_NOBODY: Final = (
    "Name an address (ip:192.0.2.7), a network of IPv6 (ip:2001:db8:7::/64) or a caller (user:7)."
    " This machine, trusted proxies and wider networks are never banned."
)
_OWN: Final = "That is you: nobody could lift the ban from here."
_NO_REASON: Final = "Say why; the event has it."
_LONGEST: Final = 43_200


def add_bans(router: APIRouter, sources: Sources) -> None:
    """Add the page and its actions."""
    page = BansPage(sources)
    fresh = [Depends(sources.fresh)]
    router.get("/bans", name="stockade:dashboard-bans")(page.list)
    router.post("/bans", name="stockade:dashboard-ban", dependencies=fresh)(page.add)
    router.post("/bans/lift", name="stockade:dashboard-lift", dependencies=fresh)(page.lift)


class BansPage:
    """The page of the bans, and what it changes.

    Args:
        sources: What the page shows and changes.
    """

    def __init__(self, sources: Sources) -> None:
        self._bans = sources.limits.bans
        self._renderer = sources.renderer
        self._events = sources.stockade.events
        self._prefix = sources.stockade.settings.rate_limiting.ipv6_prefix

    async def list(
        self, request: Request, done: Annotated[str, Query(max_length=10)] = ""
    ) -> Response:
        """Show who is banned."""
        return await self._show(request, done=_DONE.get(done, ""))

    async def add(
        self,
        request: Request,
        subject: Annotated[str, Form(max_length=100)],
        minutes: Annotated[int, Form(ge=1, le=_LONGEST)],
        why: Annotated[str, Form(max_length=200)],
    ) -> Response:
        """Ban somebody."""
        bans, typed = self._bans, {"subject": subject, "why": why}
        if bans is None:
            return await self._show(request, status=409)
        named = name_subject(subject, self._prefix)
        if named is None or not bans.may_ban(named):
            return await self._show(request, problem=_NOBODY, status=422, **typed)
        if named in self._own_names(request):
            return await self._show(request, problem=_OWN, status=422, **typed)
        if not why.strip():
            return await self._show(request, problem=_NO_REASON, status=422, **typed)
        ban = await bans.add(named, minutes * 60)
        self._events.emit(
            "rate_limiting.ban_started",
            scope=request.scope,
            reason="rate_limiting.banned_by_hand",
            details={
                "subject": named,
                "seconds": str(round(ban.seconds)),
                "times": str(ban.times),
                "why": printable(why.strip()),
            },
        )
        return self._go_back(request, "added")

    async def lift(
        self, request: Request, subject: Annotated[str, Form(min_length=1, max_length=200)]
    ) -> Response:
        """End a ban."""
        bans = self._bans
        if bans is None:
            return await self._show(request, status=409)
        if not await bans.lift(subject):
            return self._go_back(request, "gone")
        self._events.emit(
            "rate_limiting.ban_lifted",
            scope=request.scope,
            reason="rate_limiting.ban_lifted",
            details={"subject": subject},
        )
        return self._go_back(request, "lifted")

    def _own_names(self, request: Request) -> set[str]:
        exchange = require_exchange(request.scope)
        own = {address_key(exchange.client, self._prefix)}
        return own if exchange.principal is None else own | {user_key(exchange.principal.user_id)}

    async def _show(
        self,
        request: Request,
        *,
        done: str = "",
        problem: str = "",
        status: int = 200,
        subject: str = "",
        why: str = "",
    ) -> Response:
        found = [] if self._bans is None else await self._bans.list()
        return self._renderer.render(
            request.scope,
            "bans.html",
            page="/bans",
            status=status,
            on=self._bans is not None,
            bans=sorted(found, key=lambda ban: ban.subject),
            done=done,
            problem=problem,
            subject=subject,
            why=why,
            longest=_LONGEST,
        )

    def _go_back(self, request: Request, done: str) -> Response:
        url = f"{self._renderer.base(request.scope)}/bans?done={done}"
        return RedirectResponse(url, status_code=303, headers=dict(HEADERS))


def name_subject(text: str, prefix: int) -> str | None:
    """Name somebody as the buckets do, or return None.

    Args:
        text: What was typed; untrusted.
        prefix: Bits of an IPv6 address that name one client.

    >>> name_subject(" IP:192.0.2.7", 64), name_subject("ip:2001:db8::1", 64)
    ('ip:192.0.2.7', 'ip:2001:db8::/64')
    >>> name_subject("user:7", 64), name_subject("key:7", 64), name_subject("ip:0.0.0.0/0", 64)
    ('user:7', None, None)
    """
    kind, _, name = text.strip().partition(":")
    name = name.strip()
    if kind.lower() == "user" and name:
        return user_key(name)
    if kind.lower() != "ip":
        return None
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        return None
    own = 32 if network.version == 4 else prefix  # noqa: PLR2004 - IPv4
    if network.prefixlen not in {own, network.max_prefixlen}:
        return None
    return address_key(str(network.network_address), prefix)
