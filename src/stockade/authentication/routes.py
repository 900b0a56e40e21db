"""Serve sign-in: ``POST /auth/token`` and ``GET /auth/me``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.errors import InvalidCredentialsError, InvalidTokenError
from stockade.authentication.routes_browsers import add_browser_routes
from stockade.authentication.routes_sessions import (
    MAXIMUM_TOKEN,
    NO_STORE,
    add_session_routes,
    answer_grant,
    client_of,
)
from stockade.core.dependencies import current_principal
from stockade.core.fields import MAXIMUM_EMAIL, MAXIMUM_PASSWORD
from stockade.core.identity import Principal
from stockade.errors import FactorRequiredError
from stockade.events import event_name_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.routes_sessions import SignInServices
    from stockade.authentication.sessions import Grant
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog


class TokenRequest(BaseModel):
    """The form of OAuth2's password grant, as Swagger UI sends it, or of its refresh grant.

    Source: RFC 6749, sections 4.3.2 and 6.
    """

    # The password is a string here and not a SecretStr, since a form model has no other reader;
    # errors never show input.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    grant_type: Annotated[str, Field(max_length=64)] = "password"
    username: Annotated[str | None, Field(max_length=MAXIMUM_EMAIL)] = None
    password: Annotated[str | None, Field(max_length=MAXIMUM_PASSWORD, repr=False)] = None
    refresh_token: Annotated[str | None, Field(max_length=MAXIMUM_TOKEN, repr=False)] = None
    scope: Annotated[str, Field(max_length=1000)] = ""
    client_id: Annotated[str | None, Field(max_length=255)] = None
    client_secret: Annotated[str | None, Field(max_length=1024, repr=False)] = None


class Me(BaseModel):
    """The caller, as the token and the database know it."""

    user_id: str
    email: str
    user_type: str
    active_tenant_id: str | None
    roles: list[str]


class _Refusal(Exception):  # noqa: N818 - never leaves this module
    """One of OAuth2's own errors (RFC 6749, section 5.2)."""

    def __init__(self, code: str, description: str, **members: str | int | list[str]) -> None:
        super().__init__(code)
        self.answer = {"error": code, "error_description": description, **members}


_INCOMPLETE: Final = "A field that the grant needs is missing."
_OTHER_GRANT: Final = "The grant is neither password nor refresh_token."
_WRONG: Final = "The address or the password is wrong."
_ENDED: Final = "The refresh token does not hold."
_ONE_MORE: Final = "Give the second factor."


def make_auth_router(
    services: Callable[[], SignInServices],
    *,
    open_policy: PolicyMark,
    events: EventLog,
    guard: CrossSiteGuard | None,
) -> APIRouter:
    """Build the router of the sign-in routes.

    Args:
        services: Gives the services once the application has started.
        open_policy: Opens the endpoints that are for callers without an access token.
        events: Where sign-ins are recorded.
        guard: Refuses what other sites make browsers send; None where cookies are off.
    """
    router = APIRouter(prefix="/auth", tags=["authentication"])
    tokens = _TokenEndpoint(services, events)

    @router.post("/token", name="stockade:token", dependencies=[open_policy])
    async def issue_token(request: Request, form: Annotated[TokenRequest, Form()]) -> JSONResponse:
        """Exchange a password, or a refresh token, for an access token and a refresh token."""
        try:
            grant = await tokens.exchange(form, request)
        except _Refusal as refusal:
            return JSONResponse(refusal.answer, status_code=400, headers=NO_STORE)
        return answer_grant(grant)

    @router.get("/me", name="stockade:me")
    async def show_me(principal: Annotated[Principal, Depends(current_principal)]) -> Me:
        """Say who the caller is."""
        return Me(
            user_id=principal.user_id,
            email=principal.email,
            user_type=principal.user_type,
            active_tenant_id=principal.tenant_id,
            roles=sorted(principal.roles),
        )

    add_session_routes(router, services, open_policy=open_policy, events=events)
    if guard is not None:
        add_browser_routes(router, services, guard=guard, open_policy=open_policy, events=events)
    return router


class _TokenEndpoint:
    """OAuth2's token endpoint.

    Args:
        services: Gives the services once the application has started.
        events: Where sign-ins are recorded.
    """

    def __init__(self, services: Callable[[], SignInServices], events: EventLog) -> None:
        self._services = services
        self._events = events

    async def exchange(self, form: TokenRequest, request: Request) -> Grant:
        """Make a grant, or refuse with an error of OAuth2."""
        if form.grant_type == "password":
            if not form.username or not form.password:
                raise _Refusal("invalid_request", _INCOMPLETE)
            return await self._sign_in(form.username, form.password, request)
        if form.grant_type == "refresh_token":
            if not form.refresh_token:
                raise _Refusal("invalid_request", _INCOMPLETE)
            return await self._refresh(form.refresh_token, request)
        raise _Refusal("unsupported_grant_type", _OTHER_GRANT)

    async def _sign_in(self, username: str, password: str, request: Request) -> Grant:
        services = self._services()
        scope = request.scope
        client = client_of(request)
        if services.throttle is not None:
            await services.throttle.check(username, client.address)
        try:
            account = await services.sign_in.sign_in(username, password)
        except InvalidCredentialsError as error:
            # RFC 6749, section 5.2: one answer for every way in which the two do not belong
            # together.
            self._events.emit("authentication.login_failed", scope=scope, reason=error.reason)
            raise _Refusal("invalid_grant", _WRONG) from None
        details = {"user_id": account.user_id}
        try:
            grant = await services.sessions.begin(account, client)
        except FactorRequiredError as error:
            self._events.emit(error.reason, scope=scope, details=details)
            # No error of OAuth2 says so; this is the name that clients know from other servers.
            raise _Refusal(
                error.code,
                _ONE_MORE,
                mfa_token=error.pending_token,
                expires_in=int(error.expires_in.total_seconds()),
                factors=list(error.factors),
            ) from None
        self._events.emit("authentication.login_succeeded", scope=scope, details=details)
        return grant

    async def _refresh(self, value: str, request: Request) -> Grant:
        try:
            return await self._services().sessions.refresh(value, client_of(request))
        except InvalidTokenError as error:
            name = event_name_for(error.reason)
            self._events.emit(name, scope=request.scope, reason=error.reason)
            raise _Refusal("invalid_grant", _ENDED) from None
