"""Mount the dashboard where a setting asks for it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.settings import Settings


def mount_dashboard(app: object, settings: Settings, **parts: Any) -> None:  # noqa: ANN401 - what it shows
    """Mount the dashboard, unless it is off.

    Args:
        app: The application.
        settings: Settings of all layers.
        **parts: What it shows, as `stockade.dashboard.mount` takes it.

    Raises:
        ConfigurationError: It is on and can't be served.
    """
    if settings.dashboard.path is None:
        return
    if not hasattr(app, "include_router"):
        message = "the dashboard needs a FastAPI application: unset STOCKADE_DASHBOARD__PATH"
        raise ConfigurationError(message)
    # It stands above everything that it shows and needs a package of its own, so that nothing knows
    # it by name but this line.
    import_module("stockade.dashboard").mount(app, **parts)
