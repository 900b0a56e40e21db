"""Serve the example of a multi-tenant backend: ``stockade demo``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

import stockade
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, MutableMapping

_DOCS_NAMES: Final = (
    "STOCKADE_API_DOCS__USERNAME",
    "STOCKADE_API_DOCS__PASSWORD",
    "DOCS_USERNAME",
    "DOCS_PASSWORD",
)
_DOCS_LOGIN: Final = {"DOCS_USERNAME": "docs", "DOCS_PASSWORD": "docs-of-the-demo"}
_DATABASE_NAMES: Final = ("STOCKADE_DATABASE_URL", "DATABASE_URL")
_WEBSOCKETS: Final = ("websockets", "wsproto")


def demo(
    port: Annotated[
        str, typer.Option(envvar="STOCKADE_DEMO_PORT", help="Port; 0 takes any free one.")
    ] = "8000",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve a notes backend for two companies, with every layer on and everything embedded.

    DATABASE_URL and REDIS_URL, if they are set, take the place of what is embedded.
    """
    from stockade.cli.loops import run
    from stockade.cli.serving import configure_logging, end_on_signals, listen, read_port

    folder = find_demo()
    if not any(map(importlib.util.find_spec, _WEBSOCKETS)):
        message = "the demo needs a library for websockets: pip install 'stockade[demo]'"
        raise ConfigurationError(message)
    set_defaults(os.environ)
    listener = listen(host, read_port(port))
    end_on_signals()
    configure_logging()
    try:
        run(_serve(folder, listener, host))
    except KeyboardInterrupt:
        # Ctrl-C is how the demo ends.
        pass
    finally:
        listener.close()


def find_demo() -> Path:
    """Find the example: in the installed package, else in the repository around it.

    Raises:
        ConfigurationError: It is in neither.
    """
    package = Path(stockade.__file__).parent
    for folder in (package / "_demo", package.parents[1] / "examples" / "multi_tenant"):
        if (folder / "main.py").is_file():
            return folder
    message = "the demo is not part of this installation: install the wheel or clone the repository"
    raise ConfigurationError(message)


def set_defaults(variables: MutableMapping[str, str]) -> None:
    """Set what the demo needs and the environment does not say.

    Raises:
        ConfigurationError: The environment is a deployed one.
    """
    environment = variables.setdefault("STOCKADE_ENVIRONMENT", "local")
    if environment not in {"local", "test"}:
        message = (
            "the demo's passwords are known to everybody: it runs with STOCKADE_ENVIRONMENT=local "
            "or test"
        )
        raise ConfigurationError(message)
    # Off in a local environment otherwise (requirement R10), and something to see here.
    variables.setdefault("STOCKADE_RATE_LIMITING__ENABLED", "true")
    # The dashboard signs in by a cookie, and shows bans where there may be any.
    if variables.setdefault("STOCKADE_AUTHENTICATION__COOKIES", "true").lower() == "true":
        variables.setdefault("STOCKADE_DASHBOARD__PATH", "/stockade")
    variables.setdefault("STOCKADE_RATE_LIMITING__BAN_AFTER", "500")
    if not any(variables.get(name) for name in _DOCS_NAMES):
        variables.update(_DOCS_LOGIN)


async def _serve(folder: Path, listener: socket.socket, host: str) -> None:
    from stockade.cli.serving import AnnouncedServer

    notes = load_demo(folder)
    found: dict[str, str] = {}
    server = AnnouncedServer(
        notes.app, on_start=lambda: announce(notes, found, host, listener.getsockname()[1])
    )
    try:
        await notes.prepare_database()
        # What is not in force is told in one line, before the server starts to log.
        found |= await notes.stockade.start()
        await server.serve(sockets=[listener])
    finally:
        # The application's own end does the same, where it has come as far as that.
        await notes.stockade.stop()
        await notes.engine.dispose()
    if not server.started:
        message = "the demo did not start"
        raise ConfigurationError(message)


def load_demo(folder: Path) -> Any:  # noqa: ANN401 - a module
    """Import the example's ``main``, which expects its own folder to come first.

    Raises:
        ConfigurationError: Something that it needs is missing.
    """
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("main")
    except (ImportError, OSError) as error:
        raise ConfigurationError(f"the demo can't be loaded: {error}") from error


def announce(
    notes: Any,  # noqa: ANN401 - the demo's module
    found: Mapping[str, str],
    host: str,
    port: int,
) -> None:
    """Print where the demo is, who can sign in, and what to try.

    Args:
        notes: The demo's module.
        found: What the start has found.
        host: Where it listens.
        port: As above.
    """
    from stockade.cli.demo_text import describe_demo
    from stockade.cli.output import make_console

    seeds = importlib.import_module("database.seeds")
    settings = notes.stockade.settings
    own_docs = os.environ.get("DOCS_PASSWORD") != _DOCS_LOGIN["DOCS_PASSWORD"]
    text = describe_demo(
        origin=f"http://{_display(host)}:{port}",
        logins=[(login.email, login.password, login.role) for login in seeds.LOGINS],
        docs=None if own_docs else (_DOCS_LOGIN["DOCS_USERNAME"], _DOCS_LOGIN["DOCS_PASSWORD"]),
        own_database=any(os.environ.get(name) for name in _DATABASE_NAMES),
        limits="Redis" if settings.redis_url else "memory",
        row_security=found.get("row_level_security"),
    )
    console = make_console()
    console.print(text)
    console.file.flush()


def _display(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
