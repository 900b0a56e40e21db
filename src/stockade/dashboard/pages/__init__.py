"""List the pages, in the order of the navigation; each is one module."""

from __future__ import annotations

from stockade.dashboard.interfaces import Page
from stockade.dashboard.pages.bans import add_bans
from stockade.dashboard.pages.explain import add_explain
from stockade.dashboard.pages.limits import add_limits
from stockade.dashboard.pages.overview import add_overview

PAGES = (
    Page("", "Overview", add_overview),
    Page("/limits", "Limits", add_limits),
    Page("/bans", "Bans", add_bans),
    Page("/explain", "Explain", add_explain),
)
