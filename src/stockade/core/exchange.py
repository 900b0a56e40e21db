"""Carry what is known about one request from the wall to the handler.

The wall creates one `Exchange` per request and puts it into the ASGI scope under `SCOPE_KEY`; each
later step adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from stockade.core.decision import Decision
    from stockade.core.identity import Principal
    from stockade.core.policy import Policy
    from stockade.core.watching import ObjectWatch
    from stockade.errors import DeniedError

SCOPE_KEY: Final = "stockade"
# The prefix makes browsers refuse it from anything but this very host over TLS, so that no
# neighbour under the same domain can plant one (RFC 6265bis, section 4.1.3.2).
SESSION_COOKIE: Final = "__Host-stockade"


@dataclass(frozen=True, slots=True)
class BrowserRequest:
    """What a browser says of a request that its cookies come with; untrusted.

    Args:
        cookie: Value of the session cookie.
        method: HTTP method, or ``WEBSOCKET``.
        fetch_site: Value of ``Sec-Fetch-Site``, if there is one.
        origin: Value of ``Origin``, if there is one.
        csrf_token: Value of ``X-CSRF-Token``, if there is one.
    """

    cookie: bytes = field(repr=False)
    method: str
    fetch_site: bytes | None
    origin: bytes | None
    csrf_token: bytes | None = field(repr=False)


class Exchange:
    """State of one request, written by Stockade alone.

    Attributes:
        guard: The guard whose wall the request came through; plans of another application's guard
            don't apply to it.
        request_id: Identifier that correlates logs, events and the response.
        client: Address of the client, taken from trusted proxies where there are any.
        scheme: ``http``, ``https``, ``ws`` or ``wss``, as the client saw it.
        from_proxy: Whether the connection comes from a trusted proxy.
        host: Value of the only ``Host`` header, if there is one; on the allow-list wherever a route
            is called.
        authorization: Value of the only ``Authorization`` header, if there is one.
        api_key: Values of the only ``X-CLIENT-ID`` and the only ``X-API-KEY`` header, if there is
            any of them.
        browser: What a browser says of a request with a session cookie; None without one.
        content_length: Announced size of the body in bytes; 0 where none is announced. It is a
            hint, never trusted to be true.
        decision: What the gate decided; None means that no gate has decided yet.
        policy: The policy of the route that serves the request.
        principal: The verified caller, if any.
        route: Path template of the route that serves the request, with all prefixes; never the
            requested path.
        watch: Knows which guarded objects were touched and checked; None where nothing is watched.
        withheld: Why no answer may leave; the answer of this refusal takes its place.
        headers: Response headers that layers ask for, such as ``RateLimit``.
        reservations: What limits have taken that goes back if the answer does not count.
        body_limit: Most bytes of the request body.
        body_read: Bytes of the body read up to now.
        body_refusal: Why the body was refused while it was read, if it was.
        has_content: Whether a header says something about the body.
        subprotocol: The subprotocol that a websocket's token came by, if it did; it is the one that
            is agreed on where the endpoint chooses none.
        planted: Whether the start-up check made up this request; what happens to it is no event.
    """

    __slots__ = (
        "api_key",
        "authorization",
        "body_limit",
        "body_read",
        "body_refusal",
        "browser",
        "client",
        "content_length",
        "decision",
        "from_proxy",
        "guard",
        "has_content",
        "headers",
        "host",
        "planted",
        "policy",
        "principal",
        "request_id",
        "reservations",
        "route",
        "scheme",
        "subprotocol",
        "watch",
        "withheld",
    )

    # Python takes twice as long where the arguments are named, and every request makes one.
    def __init__(  # noqa: PLR0917
        self, guard: object, request_id: str, client: str, scheme: str, body_limit: int
    ) -> None:
        self.guard = guard
        self.request_id = request_id
        self.client = client
        self.scheme = scheme
        self.authorization: bytes | None = None
        self.browser: BrowserRequest | None = None
        self.api_key: tuple[bytes | None, bytes | None] | None = None
        self.host: bytes | None = None
        self.content_length = 0
        self.decision: Decision | None = None
        self.policy: Policy | None = None
        self.principal: Principal | None = None
        self.route: str | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.reservations: tuple[object, ...] = ()
        self.body_limit = body_limit
        self.body_read = 0
        self.body_refusal: DeniedError | None = None
        self.has_content = False
        self.planted = False
        self.subprotocol: str | None = None
        self.from_proxy = False
        self.watch: ObjectWatch | None = None
        self.withheld: DeniedError | None = None


def find_exchange(scope: Mapping[str, Any]) -> Exchange | None:
    """Return the exchange of an ASGI scope, or None where the request came through no wall."""
    found = scope.get(SCOPE_KEY)
    return found if isinstance(found, Exchange) else None


def require_exchange(scope: MutableMapping[str, Any]) -> Exchange:
    """Return the exchange of a request that a gate has let through.

    Raises:
        ConfigurationError: The request came past Stockade: it is not installed on the application
            that serves it.
    """
    found = scope.get(SCOPE_KEY)
    if isinstance(found, Exchange):
        decision = found.decision
        if decision is not None and decision.granted:
            return found
    message = (
        "this dependency needs Stockade in front of the application: call stockade.install(app)"
    )
    raise ConfigurationError(message)
