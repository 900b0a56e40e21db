"""Settings of the gate: the default, and policies for routes that can't be decorated."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Name = Annotated[str, Field(min_length=1, max_length=128)]


class RoutePolicy(BaseModel):
    """A policy written down in settings, for routes of third parties.

    Attributes:
        public: Reason why anybody may call the route.
        authenticated: Whether a caller has to be signed in.
        roles: Roles of which the caller needs one.
        permissions: Permissions of which the caller needs all.
        limits: Rate limits, such as ``100/minute; 5/second``.
        messages: Limits of what comes in on a websocket.
        in_flight: How many requests or websockets may be open at once, of one caller or address.
        unlimited: Reason why no limit applies.
        body_limit: Most bytes of a request body.
        content: How much a body may hold, by name: ``depth`` and ``values`` of JSON, ``text``,
            ``fields`` and ``files`` of forms.
        step_up: How old the sign-in may be at most.
        factor: A second factor that the caller has to have given; ``mfa`` is any of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    public: Annotated[str, Field(min_length=3, max_length=500)] | None = None
    authenticated: bool = False
    roles: frozenset[_Name] = frozenset()
    permissions: frozenset[_Name] = frozenset()
    limits: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    messages: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    in_flight: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    unlimited: Annotated[str, Field(min_length=3, max_length=500)] | None = None
    body_limit: Annotated[int, Field(ge=0)] | None = None
    content: dict[
        Literal["depth", "values", "text", "fields", "files"], Annotated[int, Field(ge=0)]
    ] = Field(default_factory=dict)
    step_up: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    factor: Literal["totp", "recovery_code", "passkey", "mfa"] | None = None


class GateSettings(BaseModel):
    """What the gate does where a route says nothing, or can't say anything.

    Attributes:
        default: What a route without a policy gets: ``deny`` closes it to everybody,
            ``authenticated`` opens it to whoever is signed in.
        policies: Policies by route: a full path template (``/admin/login``), ``name:<route name>``,
            or a template ending in ``/**`` for everything below. Each must name a route that
            exists, or the start fails.
        answering_middleware: Middleware classes (``module.Class``) that may answer by themselves,
            each with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Literal["deny", "authenticated"] = "deny"
    policies: dict[_Name, RoutePolicy] = Field(default_factory=dict)
    answering_middleware: dict[_Name, Annotated[str, Field(min_length=3, max_length=500)]] = Field(
        default_factory=dict
    )
