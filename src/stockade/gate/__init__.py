"""Bind a policy to everything that serves, refuse what has none, and prove that it holds."""

from stockade.gate.binder import Binder
from stockade.gate.dependencies import body_limit, public
from stockade.gate.guard import Guard
from stockade.gate.lifecycle import Lifecycle
from stockade.gate.plans import Access, Plan
from stockade.gate.settings import GateSettings, RoutePolicy
from stockade.gate.tree import Leaf, Tree, walk
from stockade.gate.wall import WallMiddleware

__all__ = [
    "Access",
    "Binder",
    "GateSettings",
    "Guard",
    "Leaf",
    "Lifecycle",
    "Plan",
    "RoutePolicy",
    "Tree",
    "WallMiddleware",
    "body_limit",
    "public",
    "walk",
]
