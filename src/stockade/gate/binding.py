"""Put the gate onto the very objects that serve requests.

Starlette and FastAPI call ``route.handle(scope, receive, send)`` once a route has matched and
before a byte of the body is read. A `Gate` takes the place of that attribute on each leaf object.
Nothing is matched a second time, no path is compared at run time, and a route of another
application that shares the object is told apart by its exchange.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING

from stockade.core.exchange import Exchange
from stockade.core.policy import revision
from stockade.errors import ConfigurationError
from stockade.gate.gates import Gate

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.routing import BaseRoute, Router
    from starlette.types import ASGIApp, Receive, Scope, Send

    from stockade.gate.guard import Guard
    from stockade.gate.tree import Leaf, Tree


def bind_leaf(leaf: Leaf) -> None:
    """Put a gate onto a leaf; a leaf that has one keeps it.

    Raises:
        ConfigurationError: The object does not let itself be guarded.
    """
    current = getattr(leaf.holder, leaf.attribute)
    if isinstance(current, Gate):
        return
    try:
        setattr(leaf.holder, leaf.attribute, Gate(current, leaf.holder))
    except (AttributeError, TypeError) as error:
        message = (
            f"{leaf.label}: objects of {type(leaf.holder).__name__} can't be guarded (no attribute "
            "can be set): mount it instead"
        )
        raise ConfigurationError(message) from error


class Snapshot:
    """What the tree looked like when it was bound, to notice any change with a few comparisons.

    Args:
        tree: The tree that was bound.
    """

    def __init__(self, tree: Tree) -> None:
        self._routers: list[tuple[Router, list[BaseRoute], int]] = [
            (router, list(router.routes), getattr(router, "_routes_version", 0))
            for router in tree.routers
        ]
        self._defaults = tuple((router, router.default) for router in tree.entries)
        self._mounts = tuple(tree.mounts)
        self._revision = revision()

    def is_stale(self) -> bool:
        """Tell whether routes, mounts or policies have changed since.

        The lists are compared element by element, which costs a few nanoseconds a route and notices
        every way to change them: appended, removed, replaced, or another list in their place. It is
        their identity that counts: Starlette's routes are equal if path and endpoint are.
        """
        if revision() != self._revision:
            return True
        for router, routes, version in self._routers:
            current = router.routes
            if len(current) != len(routes) or not all(map(is_, current, routes)):
                return True
            if getattr(router, "_routes_version", 0) != version:
                return True
        for router, default in self._defaults:
            if router.default is not default:
                return True
        for mount, app in self._mounts:  # noqa: SIM110 - a generator costs more than all the rest
            if mount.app is not app:
                return True
        return False


class RouterEntry:
    """Stands before a router, so that no request is matched against routes that are not bound.

    The check runs right before matching, without a point in between at which another task could add
    a route.

    Args:
        inner: The router's own middleware and matching.
    """

    __slots__ = ("inner",)

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Bind anew if the tree has changed, then let the router match."""
        exchange = scope.get("stockade")
        if exchange.__class__ is Exchange:
            guard: Guard = exchange.guard  # type: ignore[assignment]  # core can't name the class.
            if guard.is_stale() and not guard.refresh():
                return guard.serve_unbound(scope, receive, send)
        return self.inner(scope, receive, send)


def bind_entry(router: Router) -> None:
    """Put the change check before a router; a router that has it keeps it."""
    if not isinstance(router.middleware_stack, RouterEntry):
        entry = RouterEntry(router.middleware_stack)
        router.middleware_stack = entry  # type: ignore[assignment]  # Any awaitable will do.
