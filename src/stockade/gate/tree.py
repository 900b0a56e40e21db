"""Walk an application down to every object that can serve a request.

FastAPI keeps included routers as a tree and builds effective routes on demand; mounts, hosts,
websockets, static files, frontends and the "not found" of each router hang on it too. Whatever is
added to the tree here is what the gate guards, so anything unknown is treated as a leaf. Middleware
around a mounted application is transparent: it runs before the gate, as all middleware does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRouter, iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute

from stockade.errors import ConfigurationError
from stockade.gate.gates import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAXIMUM_DEPTH: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One object that serves requests, in one place of the tree.

    Args:
        template: Path template with the prefixes of all routers and mounts.
        kind: ``api``, ``route``, ``websocket``, ``mount``, ``frontend``, ``default`` or ``other``.
        holder: The object whose attribute is called to serve a request.
        attribute: Name of that attribute.
        key: What tells this place from others that share the holder: the holder itself or FastAPI's
            effective context.
        name: Name of the route, if it has one.
        methods: HTTP methods; empty where every method or none applies.
        endpoint: The function or class that answers, if there is one.
        dependant: FastAPI's dependency tree, if there is one.
        app: The application that the leaf belongs to.
    """

    template: str
    kind: str
    holder: Any
    attribute: str
    key: object
    name: str | None = None
    methods: frozenset[str] = frozenset()
    endpoint: Callable[..., Any] | None = None
    dependant: Any = None
    app: Starlette | None = None

    @property
    def label(self) -> str:
        """Name the leaf for people: methods, template and endpoint."""
        methods = ",".join(sorted(self.methods - {"HEAD"})) or self.kind.upper()
        where = getattr(self.endpoint, "__qualname__", None)
        return f"{methods} {self.template}" + (
            f" ({self.endpoint.__module__}.{where})" if self.endpoint and where else ""
        )


@dataclass(slots=True)
class Tree:
    """Everything that hangs on an application.

    Attributes:
        leaves: Objects that serve requests.
        routers: Routers whose routes may change, nested and mounted ones too.
        entries: Routers that are entered through a mount or the application itself.
        applications: The application and those mounted in it.
        mounts: Mounts, hosts and middleware in them that lead to other routers, each with what it
            leads to.
    """

    leaves: list[Leaf] = field(default_factory=list)
    routers: list[Router] = field(default_factory=list)
    entries: list[Router] = field(default_factory=list)
    applications: list[Starlette] = field(default_factory=list)
    mounts: list[tuple[Any, object]] = field(default_factory=list)


def walk(app: Starlette) -> Tree:
    """Collect the leaves, routers and applications below an application.

    Raises:
        ConfigurationError: The tree is too deep, or this FastAPI has parts that can't be walked.
    """
    tree = Tree()
    _walk_application(app, "", tree, depth=0)
    return tree


def _walk_application(app: Starlette, prefix: str, tree: Tree, *, depth: int) -> None:
    if app not in tree.applications:
        tree.applications.append(app)
    _walk_entry(app.router, prefix, tree, app=app, depth=depth)


def _walk_entry(
    router: Router, prefix: str, tree: Tree, *, app: Starlette | None, depth: int
) -> None:
    if depth > _MAXIMUM_DEPTH:
        message = (
            f"applications are mounted more than {_MAXIMUM_DEPTH} deep below {prefix[:80]!r}: is "
            "one mounted in itself?"
        )
        raise ConfigurationError(message)
    if not any(known is router for known in tree.entries):
        tree.entries.append(router)
    _note_routers(router, tree)
    for context in iter_route_contexts(router.routes):
        _walk_context(context, prefix, tree, app=app, depth=depth)
    _walk_low_priority(router, prefix, tree, app=app)
    own = _own_default(router)
    tree.leaves.append(
        Leaf(
            template=prefix + "/{unknown}",
            kind="default" if own is None else "other",
            holder=router,
            attribute="default",
            key=router,
            endpoint=own,
            app=app,
        )
    )


def _own_default(router: Router) -> Any:  # noqa: ANN401 - any ASGI application
    """Return what the application itself has put in the place of "not found", if anything."""
    served: Any = router.default
    if isinstance(served, Gate):
        served = served.inner
    return None if getattr(served, "__func__", None) is Router.not_found else served


def _note_routers(router: Router, tree: Tree) -> None:
    if any(known is router for known in tree.routers):
        return
    tree.routers.append(router)
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if isinstance(included, Router):
            _note_routers(included, tree)


def _walk_context(
    context: Any,  # noqa: ANN401 - FastAPI's RouteContext delegates by name
    prefix: str,
    tree: Tree,
    *,
    app: Starlette | None,
    depth: int,
) -> None:
    # `matches` belongs to the object that is effective here: the route, its rebuilt copy, or
    # FastAPI's context.
    effective = context.matches.__self__
    template = prefix + (context.path or "")
    if isinstance(effective, Mount | Host):
        inner = peel(effective.app)
        if isinstance(inner, Starlette | Router):
            _note_mounts(effective, inner, tree)
        if isinstance(inner, Starlette):
            _walk_application(inner, template, tree, depth=depth + 1)
            return
        if isinstance(inner, Router):
            _walk_entry(inner, template, tree, app=app, depth=depth + 1)
            return
    holder = effective if isinstance(effective, BaseRoute) else context.original_route
    tree.leaves.append(
        Leaf(
            template=template,
            kind=_kind_of(holder),
            holder=holder,
            attribute="handle",
            key=effective,
            name=context.name,
            methods=frozenset(context.methods or ()),
            endpoint=context.endpoint,
            dependant=getattr(effective, "dependant", None),
            app=app,
        )
    )


def _note_mounts(mount: Any, inner: object, tree: Tree) -> None:  # noqa: ANN401 - a mount or a host
    """Note each step from a mount to the application behind its middleware."""
    while mount is not inner:
        tree.mounts.append((mount, mount.app))
        mount = mount.app


def _walk_low_priority(router: Router, prefix: str, tree: Tree, *, app: Starlette | None) -> None:
    if not isinstance(router, APIRouter) or not hasattr(APIRouter, "frontend"):
        return
    candidates = getattr(router, "_iter_low_priority_routes", None)
    if candidates is None:
        message = (
            "this version of FastAPI keeps its frontends where Stockade can't see them: use a "
            "supported version"
        )
        raise ConfigurationError(message)
    for candidate in candidates():
        direct = isinstance(candidate, BaseRoute)
        original = candidate if direct else candidate.original_route
        paths = [route.path for route in getattr(original, "routes", ())] or [
            getattr(original, "path", "")
        ]
        within = "" if direct else candidate.frontend_prefix
        tree.leaves.append(
            Leaf(
                template=prefix + within + "|".join(paths),
                kind="frontend",
                holder=candidate,
                # An included frontend is served through the context's `app`, which holds on to the
                # handler it was built with.
                attribute="handle" if direct else "app",
                key=candidate,
                dependant=getattr(candidate, "dependant", None),
                app=app,
            )
        )


def _kind_of(route: BaseRoute) -> str:
    if isinstance(route, WebSocketRoute):
        return "websocket"
    if isinstance(route, Mount | Host):
        return "mount"
    if isinstance(route, Route):
        return "api" if hasattr(route, "dependant") else "route"
    return "other"


def peel(app: object) -> object:
    """Take middleware off a mounted application or router; anything else comes back as it is."""
    inner = app
    for _ in range(_MAXIMUM_DEPTH):
        if isinstance(inner, Starlette | Router):
            return inner
        following = getattr(inner, "app", None)
        if following is None or following is inner:
            return app
        inner = following
    return app


def iter_fastapi(tree: Tree) -> Iterator[FastAPI]:
    """Give the FastAPI applications of a tree."""
    return (app for app in tree.applications if isinstance(app, FastAPI))
