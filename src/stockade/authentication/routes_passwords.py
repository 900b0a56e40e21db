"""Serve passwords: a new one for those who have lost theirs, and for those who know it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.routes_browsers import answer_session
from stockade.authentication.routes_sessions import (
    NO_STORE,
    TokenAnswer,
    answer_grant,
    client_of,
)
from stockade.core.dependencies import CurrentPrincipal, current_principal
from stockade.core.fields import MAXIMUM_EMAIL, LinkToken, SubmittedPassword
from stockade.core.identity import AuthenticationMethod, Principal
from stockade.core.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.account_services import AccountServices
    from stockade.authentication.models import Account
    from stockade.core.dependencies import PolicyMark

# Whoever finds a browser open must not get a password of their own.
_FRESH: Final = timedelta(minutes=15)
_fresh_principal = CurrentPrincipal(
    Policy(authenticated=True, step_up=_FRESH, origins=("a first password needs a fresh sign-in",))
)
_Caller = Annotated[Principal, Depends(current_principal)]
_FreshCaller = Annotated[Principal, Depends(_fresh_principal)]


class ForgottenPassword(BaseModel):
    """The address of somebody who has lost the password."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    email: Annotated[str, Field(min_length=1, max_length=MAXIMUM_EMAIL)]


class NewPassword(BaseModel):
    """The token of a link, and the password that is chosen with it."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    token: LinkToken
    password: SubmittedPassword


class ResetPassword(NewPassword):
    """A new password, and whether identities at providers stay linked."""

    keep_identities: bool = True


class FirstPassword(BaseModel):
    """The first password of an account."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    new_password: SubmittedPassword


class ReplacedPassword(BaseModel):
    """The current password and the one in its place."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    current_password: SubmittedPassword
    new_password: SubmittedPassword


def make_password_router(
    services: Callable[[], AccountServices], *, open_policy: PolicyMark
) -> APIRouter:
    """Build the router of passwords.

    Args:
        services: Gives the services once the application has started.
        open_policy: Opens the endpoints that are for callers who are not signed in.
    """
    router = APIRouter(prefix="/auth/password", tags=["authentication"])

    @router.post(
        "/forgot", name="stockade:password-forgot", status_code=202, dependencies=[open_policy]
    )
    async def ask_for_link(request: Request, body: ForgottenPassword) -> Response:
        """Have a link for a new password mailed; the answer is the same for every address."""
        address = client_of(request).address
        await services().recovery.ask(body.email, address=address, scope=request.scope)
        return Response(status_code=202, headers=NO_STORE)

    @router.post(
        "/reset", name="stockade:password-reset", status_code=204, dependencies=[open_policy]
    )
    async def reset(request: Request, body: ResetPassword) -> Response:
        """Choose a new password with the token of a link; it ends every session."""
        await services().recovery.reset(
            body.token,
            body.password,
            keep_identities=body.keep_identities,
            scope=request.scope,
        )
        return Response(status_code=204, headers=NO_STORE)

    @router.post(
        "/change",
        name="stockade:password-change",
        response_model=TokenAnswer,
        responses={204: {"description": "The browser has the cookie of a new session."}},
    )
    async def change(request: Request, body: ReplacedPassword, caller: _Caller) -> Response:
        """Change the password; every session ends, and the caller gets a new one."""
        found = services()
        client = client_of(request)
        account = await found.change.change(
            caller,
            body.current_password,
            body.new_password,
            address=client.address,
            scope=request.scope,
        )
        return await _begin(request, found, account, caller)

    @router.post(
        "/set",
        name="stockade:password-set",
        response_model=TokenAnswer,
        responses={204: {"description": "The browser has the cookie of a new session."}},
    )
    async def set_first(request: Request, body: FirstPassword, caller: _FreshCaller) -> Response:
        """Give an account without one its first password; every session ends but a new one."""
        found = services()
        account = await found.change.set_first(caller, body.new_password, scope=request.scope)
        return await _begin(request, found, account, caller)

    return router


async def _begin(
    request: Request, services: AccountServices, account: Account, caller: Principal
) -> Response:
    """Answer with the session that takes the place of those that have ended."""
    client = client_of(request)
    if caller.method is AuthenticationMethod.COOKIE:
        return answer_session(*await services.sessions.begin_in_browser(account, client))
    return answer_grant(await services.sessions.begin(account, client))
