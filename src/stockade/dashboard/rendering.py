"""Render templates: every value escaped, every name there, nothing that runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib import resources
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse

from stockade.api_docs.endpoints import root_prefix
from stockade.core.exchange import find_exchange
from stockade.core.printing import printable
from stockade.errors import ConfigurationError

try:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
except ImportError as error:
    raise ConfigurationError(
        "the dashboard needs Jinja2: pip install 'stockade[dashboard]', or unset"
        " STOCKADE_DASHBOARD__PATH"
    ) from error

if TYPE_CHECKING:
    from starlette.types import Scope

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    # Without a referrer browsers send `Origin: null` with forms, and older ones say nothing else.
    "Referrer-Policy": "same-origin",
}
_STATIC: Final = resources.files(__package__) / "static"
_TEMPLATES: Final = resources.files(__package__) / "templates"


def make_environment() -> Environment:
    """Make the environment of the templates."""
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["duration"] = describe_seconds
    return environment


class Renderer:
    """Renders the pages.

    Args:
        path: Path of the dashboard.
        navigation: Path and title of each page.
    """

    def __init__(self, path: str, navigation: Sequence[tuple[str, str]]) -> None:
        self.path = path
        self._navigation = tuple(navigation)
        self._environment = make_environment()
        self.style = (_STATIC / "dashboard.css").read_bytes()
        # A name that changes with the content may be kept for ever.
        self.style_name = f"dashboard.{hashlib.sha256(self.style).hexdigest()[:16]}.css"

    def base(self, scope: Scope) -> str:
        """Return the path of the dashboard as the browser of a request sees it, ready for a URL."""
        return root_prefix(scope) + self.path

    def render(
        self,
        scope: Scope,
        template: str,
        *,
        page: str = "",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,  # noqa: ANN401 - what the template shows
    ) -> HTMLResponse:
        """Render a page.

        Args:
            scope: ASGI scope of the request.
            template: Name of the template.
            page: Path of the page below the dashboard's own, for the navigation.
            status: Status of the answer.
            headers: Further headers.
            **values: What the template shows.
        """
        exchange = find_exchange(scope)
        principal = None if exchange is None else exchange.principal
        base = self.base(scope)
        text = self._environment.get_template(template).render(
            # A path that a mount reads from the request may hold braces.
            url_for=base.__add__,
            style=self.style_name,
            page=page,
            navigation=self._navigation,
            principal=principal if principal is not None and principal.is_super_admin else None,
            **values,
        )
        return HTMLResponse(text, status_code=status, headers={**HEADERS, **(headers or {})})


def describe_seconds(seconds: float) -> str:
    """Write a number of seconds for people.

    >>> describe_seconds(59.2), describe_seconds(3600), describe_seconds(90_000)
    ('1 min', '1 h', '1 d 1 h')
    """
    left = timedelta(minutes=ceil(seconds / 60))
    hours, minutes = divmod(left.seconds // 60, 60)
    parts = ((left.days, "d"), (hours, "h"), (minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 min"


def _read(name: str) -> str | None:
    file = _TEMPLATES / name
    return file.read_text("utf-8") if file.is_file() else None
