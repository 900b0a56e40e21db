"""Serve one application in this process until it is told to stop."""

from __future__ import annotations

import errno
import logging.config
import os
import re
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from types import FrameType

_MAXIMUM_PORT: Final = 65_535
_PORT: Final = re.compile(r"[0-9]{1,5}")
_LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "event": {"format": "%(message)s"},
        "plain": {"format": "%(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {
        "event": {"class": "logging.StreamHandler", "formatter": "event"},
        "plain": {"class": "logging.StreamHandler", "formatter": "plain"},
    },
    "loggers": {"stockade.events": {"handlers": ["event"], "level": "INFO", "propagate": False}},
    "root": {"handlers": ["plain"], "level": "WARNING"},
}


def read_port(text: str) -> int:
    """Read a port number; 0 stands for any free one.

    Raises:
        ConfigurationError: It is none.
    """
    if not _PORT.fullmatch(text) or int(text) > _MAXIMUM_PORT:
        message = f"a port is a number from 0 to {_MAXIMUM_PORT}: --port or STOCKADE_DEMO_PORT"
        raise ConfigurationError(message)
    return int(text)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket before anything else is made ready, so that a port in use is told at once.

    Raises:
        ConfigurationError: The port is in use, or the address is none of this machine.
    """
    try:
        return _open_socket(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} is in use: choose another one with --port or STOCKADE_DEMO_PORT"
        elif error.errno == errno.EACCES:
            message = f"port {port} needs more rights: choose one above 1023 with --port"
        else:
            # Python repeats the address in parentheses behind the reason.
            reason = (error.strerror or type(error).__name__).partition(" (")[0]
            message = f"can't listen on {host!r}: {reason}"
        raise ConfigurationError(message) from error
    except UnicodeError as error:
        # Python encodes names itself, and raises this for a label of more than 63 characters.
        raise ConfigurationError("can't listen on a name that is no host name") from error


def _open_socket(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )[0]
    # The protocol is named, as `socket.create_server` does not: asyncio sets TCP_NODELAY on no
    # other socket, and each answer would wait 40 ms for the client's acknowledgement.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # A demo that has just ended leaves connections behind that need not be waited for.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


class AnnouncedServer(uvicorn.Server):
    """A server that says when it serves.

    Args:
        app: The application.
        on_start: Called once, when requests are answered.
    """

    def __init__(self, app: Callable[..., Any], *, on_start: Callable[[], None]) -> None:
        # The address of the client is for the application to find, which knows its proxies; the
        # access log would repeat query strings, and events are logged in its place.
        config = uvicorn.Config(
            app,
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            lifespan="on",
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and announce it where that has worked."""
        await super().startup(sockets)
        if self.started:
            self._on_start()


def configure_logging() -> None:
    """Write events as they are and everything else from warnings up to standard error."""
    logging.config.dictConfig(_LOGGING)


def end_on_signals() -> None:
    """Let the process end by its own clean-up where it is told to stop.

    Without it, a signal that comes before or after uvicorn handles it would leave files behind.
    """
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "SIGHUP"):  # Windows has none.
        signal.signal(signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
