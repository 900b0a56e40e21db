"""Bind an application, and do it again when its routes change.

Binding walks the application, compiles a plan for every leaf and puts the gates in place.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from stockade.api_docs import install_docs
from stockade.api_docs.endpoints import DocsEndpoint
from stockade.errors import ConfigurationError
from stockade.gate.answering import declare_answering
from stockade.gate.binding import Snapshot, bind_entry, bind_leaf
from stockade.gate.tree import Tree, iter_fastapi, walk
from stockade.rate_limiting.compat import Limiter, limiters_of
from stockade.rate_limiting.unenforced import note_enforcement, require_no_foreign_middleware

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.applications import Starlette

    from stockade.events import EventLog
    from stockade.gate.compiling import PlanCompiler
    from stockade.gate.guard import Guard
    from stockade.gate.plans import Plan
    from stockade.gate.tree import Leaf
    from stockade.rate_limiting.limiter import RateLimiter
    from stockade.web.errors import ErrorAnswers

INSTALLED = "__stockade__"


class Binder:
    """Keeps one application bound to one guard.

    Args:
        app: The application.
        guard: Gets the plans.
        compiler: Makes the plans.
        limiter: Takes over the options of slowapi-style limiters.
        answers: Exception handlers for the application and those mounted in it.
        answering: Middleware that may answer by itself, with the reason.
        docs_origins: Origins that the API documentation may call besides its own.
        check_leaf: Further start-up checks of a leaf; returns problems in one line each.
        allow_debug: Whether applications may run with ``debug=True``.
        events: Where changes are recorded.
    """

    def __init__(
        self,
        app: Starlette,
        *,
        guard: Guard,
        compiler: PlanCompiler,
        limiter: RateLimiter,
        answers: ErrorAnswers,
        answering: Mapping[str, str],
        docs_origins: tuple[str, ...],
        check_leaf: Callable[[Leaf, Plan], list[str]],
        allow_debug: bool,
        events: EventLog,
    ) -> None:
        self._app = app
        self._guard = guard
        self._compiler = compiler
        self._limiter = limiter
        self._answers = answers
        self._answering = answering
        self._docs_origins = docs_origins
        self._check_leaf = check_leaf
        self._allow_debug = allow_debug
        self._events = events
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()
        self.tree = Tree()

    def prepare(self, app: Starlette) -> None:
        """Put exception handlers and declared middleware into an unbuilt application."""
        note_enforcement(app)
        self._answers.install(app)
        declare_answering(app, self._answering)

    def bind(self) -> None:
        """Bind everything for the first time.

        Raises:
            ConfigurationError: Something can't be protected as it is written; every problem is on a
                line of its own.
        """
        with self._lock:
            problems = self._bind()
        problems += [
            f"the policy for {entry!r} in STOCKADE_GATE__POLICIES names a route that does not exist"
            for entry in self._compiler.unused()
        ]
        if problems:
            raise ConfigurationError("\n".join(dict.fromkeys(problems)))
        self._guard.refresh = self.refresh

    def refresh(self) -> bool:
        """Bind anew if the tree has changed; False means that nothing may be served."""
        if self._snapshot is not None and not self._snapshot.is_stale():
            return True
        with self._lock:
            try:
                problems = self._bind()
            except ConfigurationError as error:
                self._events.emit("gate.rebind_failed", details={"problem": str(error)})
                return False
        self._events.emit("gate.routes_changed", details={"leaves": str(len(self.tree.leaves))})
        for problem in problems:
            # The leaf of this problem has no plan: it is refused, while all others are served.
            self._events.emit("gate.rebind_failed", details={"problem": problem})
        return True

    def _bind(self) -> list[str]:
        tree = walk(self._app)
        problems = self._prepare_applications(tree)
        for app in iter_fastapi(tree):
            install_docs(app, connect_origins=self._docs_origins)
        # The documentation may have got a route for its files.
        tree = walk(self._app)
        self._adopt_limiters(tree)
        plans: dict[int, Plan] = {}
        for leaf in tree.leaves:
            bind_leaf(leaf)
            try:
                self._add_plan(leaf, plans, problems)
            except ConfigurationError as error:
                problems.append(str(error))
        for router in tree.entries:
            bind_entry(router)
        self._guard.plans = plans
        self.tree = tree
        self._snapshot = snapshot = Snapshot(tree)
        self._guard.is_stale = snapshot.is_stale
        return problems

    def _adopt_limiters(self, tree: Tree) -> None:
        """Take over slowapi-style limiters before any plan is made: their defaults are for all."""
        for app in tree.applications:
            limiter = getattr(app.state, "limiter", None)
            require_no_foreign_middleware(app, limiter)
            if isinstance(limiter, Limiter):
                self._limiter.adopt(limiter)
        for leaf in tree.leaves:
            for limiter in limiters_of(leaf.endpoint) if leaf.endpoint else ():
                self._limiter.adopt(limiter)

    def _add_plan(self, leaf: Leaf, plans: dict[int, Plan], problems: list[str]) -> None:
        plan = self._compiler.compile(leaf, docs=isinstance(leaf.endpoint, DocsEndpoint))
        known = plans.get(id(leaf.key))
        if known is not None and known.policy != plan.policy:
            problems.append(
                f"{leaf.label}: the same application object is mounted twice with different "
                "policies: mount two objects"
            )
            return
        found = self._check_leaf(leaf, plan) + self._compiler.check_masks(leaf)
        problems += found
        if not found:
            plans.setdefault(id(leaf.key), plan)

    def _prepare_applications(self, tree: Tree) -> list[str]:
        problems = []
        for app in tree.applications:
            if app is not self._app:
                if hasattr(app, INSTALLED):
                    problems.append(
                        "a mounted application has a Stockade of its own: install Stockade on "
                        "the outer application only"
                    )
                self._prepare_mounted(app)
            if app.debug and not self._allow_debug:
                problems.append(
                    "an application runs with debug=True, which shows tracebacks to clients: "
                    "turn it off"
                )
        return problems

    def _prepare_mounted(self, app: Starlette) -> None:
        before = dict(app.exception_handlers), list(app.user_middleware)
        self.prepare(app)
        if (app.exception_handlers, app.user_middleware) != before:
            # Built before now, its middleware would hold on to the old handlers; it is built anew
            # at the next request.
            app.middleware_stack = None
