"""Serve those who make an account by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from stockade.authentication.routes_passwords import NewPassword
from stockade.authentication.routes_sessions import NO_STORE, client_of
from stockade.core.fields import NewAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.account_services import AccountServices
    from stockade.core.dependencies import PolicyMark


class RegistrationRequest(BaseModel):
    """The address of a new account; the password comes with the link that is mailed there."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    email: NewAddress


def make_registration_router(
    services: Callable[[], AccountServices], *, open_policy: PolicyMark
) -> APIRouter:
    """Build the router of the registration.

    Args:
        services: Gives the services once the application has started.
        open_policy: Opens its endpoints.
    """
    router = APIRouter(prefix="/auth", tags=["authentication"])

    @router.post("/register", name="stockade:register", status_code=202, dependencies=[open_policy])
    async def register(request: Request, body: RegistrationRequest) -> Response:
        """Have a link for a new account mailed; the answer is the same for every address."""
        address = client_of(request).address
        await services().registration.ask(body.email, address=address, scope=request.scope)
        return Response(status_code=202, headers=NO_STORE)

    @router.post("/verify", name="stockade:verify", status_code=204, dependencies=[open_policy])
    async def verify(request: Request, body: NewPassword) -> Response:
        """Make the account with the token of the link and its first password."""
        await services().registration.verify(body.token, body.password, scope=request.scope)
        return Response(status_code=204, headers=NO_STORE)

    return router
