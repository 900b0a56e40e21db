"""Serve invitations into a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.routes_accounts import LinkUse
from stockade.authentication.routes_passwords import NewPassword
from stockade.authentication.routes_registration import NewAddress
from stockade.authentication.routes_sessions import NO_STORE, client_of
from stockade.core.dependencies import current_principal
from stockade.core.identity import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.account_services import AccountServices
    from stockade.core.dependencies import PolicyMark

_Caller = Annotated[Principal, Depends(current_principal)]


class InvitationRequest(BaseModel):
    """Who is invited, and as what."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    email: NewAddress
    role: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)] = "member"


def make_invitation_router(
    services: Callable[[], AccountServices], *, open_policy: PolicyMark
) -> APIRouter:
    """Build the router of invitations.

    Args:
        services: Gives the services once the application has started.
        open_policy: Opens the endpoint of those who have no account yet.
    """
    router = APIRouter(prefix="/auth/invitations", tags=["authentication"])

    @router.post("", name="stockade:invite", status_code=202)
    async def invite(request: Request, body: InvitationRequest, caller: _Caller) -> Response:
        """Have an invitation into the caller's tenant mailed; for its admins and owners."""
        await services().invitations.invite(
            caller,
            body.email,
            body.role,
            address=client_of(request).address,
            scope=request.scope,
        )
        return Response(status_code=202, headers=NO_STORE)

    @router.post(
        "/register",
        name="stockade:invitation-register",
        status_code=204,
        dependencies=[open_policy],
    )
    async def register(request: Request, body: NewPassword) -> Response:
        """Make the account of somebody who was invited, with its first password."""
        await services().invitations.register(body.token, body.password, scope=request.scope)
        return Response(status_code=204, headers=NO_STORE)

    @router.post("/accept", name="stockade:invitation-accept", status_code=204)
    async def accept(request: Request, body: LinkUse, caller: _Caller) -> Response:
        """Join the tenant of an invitation to the caller's own address."""
        await services().invitations.accept(caller, body.token, scope=request.scope)
        return Response(status_code=204, headers=NO_STORE)

    return router
