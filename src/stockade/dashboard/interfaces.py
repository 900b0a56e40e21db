"""Hold what every page is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.core.policy import Policy

if TYPE_CHECKING:
    from fastapi import APIRouter

    from stockade.application import Stockade
    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authorization.dependencies import RequiredCaller
    from stockade.dashboard.rendering import Renderer
    from stockade.wiring.limits import LimitWiring
    from stockade.wiring.sign_in import SignInWiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What pages show, and by what they change it.

    Args:
        stockade: The layers.
        limits: Limits, bans and refusals.
        sign_in: Signs in.
        cross_site: Refuses what other sites send.
        found: What the start found, by name.
        renderer: Renders pages.
        fresh: What an action asks of its caller beyond reading.
    """

    stockade: Stockade
    limits: LimitWiring
    sign_in: SignInWiring
    cross_site: CrossSiteGuard
    found: Callable[[], Mapping[str, str]]
    renderer: Renderer
    fresh: RequiredCaller


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Args:
        path: Its path below the dashboard's own; empty for the first page.
        title: What the navigation calls it.
        add: Adds its routes to the router of the dashboard.
    """

    path: str
    title: str
    add: Callable[[APIRouter, Sources], None]


SIGNED_OUT = Policy(public=("whoever signs in is not signed in yet",), origins=("dashboard",))
