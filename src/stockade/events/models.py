"""Define one recorded event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something worth knowing that a layer did or saw (ASVS 5.0 V16.2.1).

    Args:
        name: A name of the catalogue.
        at: When, aware and in UTC.
        reason: Exact reason code; never shown to the client.
        request_id: Identifier of the request, if there is one.
        client: Client address, if there is a request.
        route: Path template of the route, never the requested path.
        method: HTTP method or ``WEBSOCKET``.
        user_id: Verified caller, if any.
        tenant_id: Active tenant of the caller, if any.
        details: Further facts; never a secret, a token or a submitted value.
    """

    name: str
    at: datetime
    reason: str | None = None
    request_id: str | None = None
    client: str | None = None
    route: str | None = None
    method: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
