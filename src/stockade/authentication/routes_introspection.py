"""Serve introspection: ``POST /auth/introspect`` (RFC 7662)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.routes_sessions import NO_STORE
from stockade.authentication.tokens import write_methods
from stockade.core.dependencies import PolicyMark, current_principal
from stockade.core.identity import Principal
from stockade.core.limits import LimitRule
from stockade.core.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.introspection import ActiveToken, Introspector
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.events import EventLog

# Services hand on whatever came to them: what is too long to be a token of ours is not active,
# rather than an error that a service may not expect.
_MAXIMUM_FOREIGN: Final = 16_384
_MINUTE: Final = 60
_Caller = Annotated[Principal, Depends(current_principal)]


class IntrospectionRequest(BaseModel):
    """A token that a service wants to know about (RFC 7662, section 2.1)."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    token: Annotated[str, Field(min_length=1, max_length=_MAXIMUM_FOREIGN, repr=False)]
    token_type_hint: Annotated[str | None, Field(max_length=64)] = None


class IntrospectionAnswer(BaseModel):
    """What a token stands for (RFC 7662, section 2.2); ``active`` alone for all that hold not."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    username: str | None = None
    token_type: str | None = None
    exp: int | None = None
    sub: str | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None
    sid: str | None = None
    auth_time: int | None = None
    user_type: str | None = None
    active_tenant_id: str | None = None
    roles: list[str] | None = None
    amr: list[str] | None = None


def make_introspection_router(
    introspector: Callable[[], Introspector],
    *,
    settings: AuthenticationSettings,
    events: EventLog,
) -> APIRouter:
    """Build the router of the introspection.

    Args:
        introspector: Gives the service once the application has started.
        settings: Names of issuer and audience, and how often a program may ask.
        events: Where tokens are recorded that do not hold.
    """
    limit = LimitRule(amount=settings.introspections_per_program, window=_MINUTE)
    mark = PolicyMark(
        Policy(authenticated=True, basic_key=True, limits=(limit,), origins=("introspection",))
    )
    router = APIRouter(prefix="/auth", tags=["authentication"], dependencies=[mark])

    @router.post(
        "/introspect",
        name="stockade:introspect",
        response_model=IntrospectionAnswer,
        response_model_exclude_none=True,
    )
    async def introspect(
        request: Request, form: Annotated[IntrospectionRequest, Form()], caller: _Caller
    ) -> JSONResponse:
        """Tell a program whether a token holds, and whom it stands for."""
        try:
            found = await introspector().look_at(caller, form.token, hint=form.token_type_hint)
        except InvalidTokenError as error:
            events.emit("authentication.token_inactive", scope=request.scope, reason=error.reason)
            answer = IntrospectionAnswer(active=False)
        else:
            answer = _describe(found, settings)
        return JSONResponse(answer.model_dump(exclude_none=True), headers=NO_STORE)

    return router


def _describe(found: ActiveToken, settings: AuthenticationSettings) -> IntrospectionAnswer:
    account = found.account
    common = IntrospectionAnswer(
        active=True,
        client_id=settings.audience,
        username=account.email,
        exp=found.expires_at,
        sub=account.user_id,
        iss=settings.issuer,
        sid=found.session_id,
        auth_time=int(found.authenticated_at.timestamp()),
        user_type=str(account.user_type),
        active_tenant_id=found.tenant_id,
    )
    if found.token_id is None:
        # A refresh token opens nothing: it has no type, no scope and no roles.
        return common
    more = {
        "token_type": "Bearer",
        "aud": settings.audience,
        "jti": found.token_id,
        "scope": " ".join(sorted(found.permissions)),
        "roles": sorted(account.roles),
        "amr": write_methods(found.factors),
    }
    return common.model_copy(update=more)
