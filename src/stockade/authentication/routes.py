"""Serve sign-in: ``POST /auth/token`` and ``GET /auth/me``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.errors import InvalidCredentialsError
from stockade.authentication.sign_in import MAXIMUM_EMAIL, MAXIMUM_PASSWORD
from stockade.core.dependencies import current_principal
from stockade.core.identity import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.sign_in import PasswordSignIn
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

# What an OAuth2 token endpoint must send along (RFC 6749, section 5.1).
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class PasswordGrant(BaseModel):
    """The OAuth2 password form, as Swagger UI sends it (RFC 6749, section 4.3.2)."""

    # The password is a string here and not a SecretStr, since a form model has no other reader;
    # errors never show input.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    grant_type: Annotated[str, Field(pattern="^password$", max_length=8)] = "password"
    username: Annotated[str, Field(min_length=1, max_length=MAXIMUM_EMAIL)]
    password: Annotated[str, Field(min_length=1, max_length=MAXIMUM_PASSWORD, repr=False)]
    scope: Annotated[str, Field(max_length=1000)] = ""
    client_id: Annotated[str | None, Field(max_length=255)] = None
    client_secret: Annotated[str | None, Field(max_length=1024, repr=False)] = None


class TokenAnswer(BaseModel):
    """A successful token answer (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the token's type
    expires_in: int


class Me(BaseModel):
    """The caller, as the token and the database know it."""

    user_id: str
    email: str
    user_type: str
    active_tenant_id: str | None
    roles: list[str]


def make_auth_router(
    sign_in: Callable[[], PasswordSignIn], *, login_policy: PolicyMark, events: EventLog
) -> APIRouter:
    """Build the router of the sign-in routes.

    Args:
        sign_in: Gives the service once the application has started.
        login_policy: Opens the token endpoint and limits it.
        events: Where sign-ins are recorded.
    """
    router = APIRouter(prefix="/auth", tags=["authentication"])

    @router.post("/token", name="stockade:token", dependencies=[login_policy])
    async def issue_token(request: Request, form: Annotated[PasswordGrant, Form()]) -> JSONResponse:
        """Exchange an e-mail address and a password for an access token."""
        try:
            account, token = await sign_in().sign_in(form.username, form.password)
        except InvalidCredentialsError as error:
            events.emit("authentication.login_failed", scope=request.scope, reason=error.reason)
            # RFC 6749, section 5.2: one answer for every way in which the two do not belong
            # together.
            answer = {
                "error": "invalid_grant",
                "error_description": "The address or the password is wrong.",
            }
            return JSONResponse(answer, status_code=400, headers=_NO_STORE)
        events.emit(
            "authentication.login_succeeded",
            scope=request.scope,
            details={"user_id": account.user_id},
        )
        granted = TokenAnswer(access_token=token.value, expires_in=token.expires_in)
        return JSONResponse(granted.model_dump(), headers=_NO_STORE)

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

    return router
