"""Find the application behind a test client, and make a client behave like a browser."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from stockade.application import Stockade
from stockade.gate.binder import INSTALLED
from stockade.testing.errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping
    from http.cookiejar import CookieJar

# Wrappers around an application, such as middleware that calls itself no part of it.
_DEEPEST: Final = 20


class Cookies(Protocol):
    """The cookies of a client."""

    @property
    def jar(self) -> CookieJar:
        """All of them, with where they belong."""

    def set(self, name: str, value: str) -> None:
        """Add one for every address."""


class Client(Protocol):
    """A client that calls an application in this process: Starlette's, or one of httpx."""

    @property
    def headers(self) -> MutableMapping[str, str]:
        """Headers of every request."""

    @property
    def base_url(self) -> Any:  # noqa: ANN401 - each client has a class of its own for it
        """What the paths of requests are relative to."""

    @property
    def cookies(self) -> Any:  # noqa: ANN401 - as `Cookies`, which type checkers can't see
        """Cookies of every request."""


def find_stockade(client: object) -> Stockade:
    """Find the Stockade of the application that a client calls.

    Args:
        client: A client of Starlette, one of httpx with an `ASGITransport`, or an application.

    Raises:
        HelperError: There is none.
    """
    found: Any = client
    for _ in range(_DEEPEST):
        stockade = getattr(found, "__dict__", {}).get(INSTALLED)
        if isinstance(stockade, Stockade):
            return stockade
        found = getattr(found, "app", None) or getattr(found, "_transport", None)
    message = (
        "the client calls no application with Stockade in this process: pass a TestClient(app), or"
        " a client with ASGITransport(app), after stockade.install(app)"
    )
    raise HelperError(message)


@contextmanager
def as_browser(client: Client, *, page: str | None = None) -> Iterator[None]:
    """Make a client send what a browser sends along, so that it can sign in with cookies.

    Its base address becomes ``https``, since browsers keep the session cookie for that alone, and
    each request says which page makes it. Cookies are the client's own, as before.

    Args:
        client: The client.
        page: Origin of the page that makes the requests, such as ``https://evil.example``; a page
            of the application itself unless given.

    Raises:
        HelperError: The page is no origin.
    """
    before = client.base_url
    host = urlsplit(str(before)).netloc
    own = f"https://{host}"
    origin = own if page is None else page
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
        message = "page= is an origin: a scheme and a host, such as https://evil.example"
        raise HelperError(message)
    said = {
        "Origin": origin,
        "Sec-Fetch-Site": "same-origin" if origin == own else "cross-site",
    }
    _set_base_url(client, own + urlsplit(str(before)).path)
    try:
        with with_headers(client, said):
            yield
    finally:
        _set_base_url(client, str(before))


@contextmanager
def with_headers(client: Client, headers: Mapping[str, str]) -> Iterator[None]:
    """Add headers to every request of a client for a while."""
    before = {name: client.headers.get(name) for name in headers}
    client.headers.update(headers)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                client.headers.pop(name, None)
            else:
                client.headers[name] = value


@contextmanager
def with_cookie(client: Client, name: str, value: str) -> Iterator[None]:
    """Put a cookie in the place of those with the same name for a while."""
    cookies: Cookies = client.cookies
    before = _take(cookies, name)
    cookies.set(name, value)
    try:
        yield
    finally:
        _take(cookies, name)
        for cookie in before:
            cookies.jar.set_cookie(cookie)


def _take(cookies: Cookies, name: str) -> list[Any]:
    taken = [cookie for cookie in cookies.jar if cookie.name == name]
    for cookie in taken:
        cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
    return taken


def _set_base_url(client: Any, url: str) -> None:  # noqa: ANN401 - what it takes differs
    client.base_url = url
