"""Serve the owners of accounts: another address, a pause, an end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.routes_sessions import NO_STORE, client_of
from stockade.core.dependencies import CurrentPrincipal, current_principal
from stockade.core.fields import LinkToken, NewAddress, SubmittedPassword
from stockade.core.identity import Principal, TenantId
from stockade.core.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.account_services import AccountServices
    from stockade.core.dependencies import PolicyMark

# Whoever finds a browser open must not end its owner's account.
_FRESH: Final = timedelta(minutes=15)
_fresh_principal = CurrentPrincipal(
    Policy(authenticated=True, step_up=_FRESH, origins=("closing needs a fresh sign-in",))
)
_Caller = Annotated[Principal, Depends(current_principal)]
_FreshCaller = Annotated[Principal, Depends(_fresh_principal)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=36)]
_Tenants = Annotated[tuple[_Id, ...], Query(max_length=100)]


class EmailChangeRequest(BaseModel):
    """A new address, and the current password."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    new_email: NewAddress
    current_password: SubmittedPassword


class LinkUse(BaseModel):
    """The token of a link."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    token: LinkToken


def make_account_router(
    services: Callable[[], AccountServices], *, open_policy: PolicyMark
) -> APIRouter:
    """Build the router of the owners of accounts.

    Args:
        services: Gives the services once the application has started.
        open_policy: Opens the endpoints that a link alone is enough for.
    """
    router = APIRouter(prefix="/auth", tags=["authentication"])

    @router.post("/email/change", name="stockade:email-change", status_code=202)
    async def change_email(request: Request, body: EmailChangeRequest, caller: _Caller) -> Response:
        """Have a link mailed to the address of now; the new one is asked after that."""
        await services().email_change.ask(
            caller,
            body.new_email,
            body.current_password,
            address=client_of(request).address,
            scope=request.scope,
        )
        return Response(status_code=202, headers=NO_STORE)

    @router.post(
        "/email/allow", name="stockade:email-allow", status_code=202, dependencies=[open_policy]
    )
    async def allow_email(request: Request, body: LinkUse) -> Response:
        """Allow the change with the token of the first link, which has the second one mailed."""
        address = client_of(request).address
        await services().email_change.allow(body.token, address=address, scope=request.scope)
        return Response(status_code=202, headers=NO_STORE)

    @router.post(
        "/email/confirm", name="stockade:email-confirm", status_code=204, dependencies=[open_policy]
    )
    async def confirm_email(request: Request, body: LinkUse) -> Response:
        """Make the change with the token of the second link; it ends every session."""
        await services().email_change.confirm(body.token, scope=request.scope)
        return Response(status_code=204, headers=NO_STORE)

    @router.post("/account/deactivate", name="stockade:account-deactivate", status_code=204)
    async def deactivate(request: Request, caller: _FreshCaller) -> Response:
        """Switch the own account off, and end every session."""
        await services().closing.deactivate(caller, scope=request.scope)
        return Response(status_code=204, headers=NO_STORE)

    @router.delete("/account", name="stockade:account-delete", status_code=204)
    async def delete(request: Request, caller: _FreshCaller, tenant: _Tenants = ()) -> Response:
        """Delete the own account, and the named tenants that nobody else owns."""
        tenants = frozenset(TenantId(each) for each in tenant)
        await services().closing.delete(caller, tenants=tenants, scope=request.scope)
        return Response(status_code=204, headers=NO_STORE)

    return router
