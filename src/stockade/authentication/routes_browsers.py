"""Serve browsers: sign in with a cookie, sign out, and the token of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.browsers import origin_of
from stockade.authentication.errors import InvalidCredentialsError, InvalidTokenError
from stockade.authentication.routes_sessions import NO_STORE, WITHOUT_FACTOR, client_of
from stockade.core.dependencies import current_principal
from stockade.core.exchange import SESSION_COOKIE, BrowserRequest, require_exchange
from stockade.core.fields import MAXIMUM_EMAIL, MAXIMUM_PASSWORD
from stockade.core.identity import Principal
from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.browsers import CrossSiteGuard
    from stockade.authentication.models import Session
    from stockade.authentication.routes_sessions import SignInServices
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

COOKIE_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_Caller = Annotated[Principal, Depends(current_principal)]


class LoginRequest(BaseModel):
    """An e-mail address and a password."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    email: Annotated[str, Field(min_length=1, max_length=MAXIMUM_EMAIL)]
    password: Annotated[str, Field(min_length=1, max_length=MAXIMUM_PASSWORD, repr=False)]


class CSRFToken(BaseModel):
    """What a client sends as ``X-CSRF-Token`` that says nothing of where it comes from."""

    csrf_token: str


def add_browser_routes(
    router: APIRouter,
    services: Callable[[], SignInServices],
    *,
    guard: CrossSiteGuard,
    open_policy: PolicyMark,
    events: EventLog,
) -> None:
    """Add the routes of browsers to the router of the sign-in.

    Args:
        router: Where they go.
        services: Gives the services once the application has started.
        guard: Refuses what other sites send.
        open_policy: Opens the sign-in.
        events: Where sign-ins are recorded.
    """

    @router.post("/login", name="stockade:login", dependencies=[open_policy], status_code=204)
    async def sign_in(request: Request, body: LoginRequest) -> Response:
        """Sign in with a session cookie, which ends the session that the browser had before."""
        exchange = require_exchange(request.scope)
        # Another site must not sign the user in as somebody else either (login CSRF).
        require_own_site(guard, request)
        found = services()
        client = client_of(request)
        if found.throttle is not None:
            await found.throttle.check(body.email, client.address)
        try:
            account = await found.sign_in.sign_in(body.email, body.password)
        except InvalidCredentialsError as error:
            reason = error.reason
            events.emit("authentication.login_failed", scope=request.scope, reason=reason)
            raise InvalidCredentialsError(reason="authentication.login_refused") from None
        session, cookie = await found.sessions.begin_in_browser(account, client)
        if exchange.browser is not None:
            await found.sessions.end_by_cookie(exchange.browser.cookie)
        details = {"user_id": account.user_id}
        events.emit("authentication.login_succeeded", scope=request.scope, details=details)
        return answer_session(session, cookie)

    @router.post(
        "/sign-out", name="stockade:sign-out", status_code=204, dependencies=[WITHOUT_FACTOR]
    )
    async def sign_out(request: Request, caller: _Caller) -> Response:
        """End the session and take the cookie back."""
        if caller.session_id is None:
            # Nothing would end; whoever asks must not believe that something did.
            raise InvalidTokenError(reason="authentication.session_over")
        await services().sessions.end(caller.session_id)
        events.emit(
            "authentication.session_ended",
            scope=request.scope,
            reason="authentication.signed_out",
            details={"user_id": caller.user_id},
        )
        answer = _answer(f"{SESSION_COOKIE}=; Max-Age=0; {COOKIE_ATTRIBUTES}")
        # What the browser has kept of the account's data goes as well.
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer

    @router.get("/csrf", name="stockade:csrf", dependencies=[WITHOUT_FACTOR])
    async def show_csrf_token(response: Response, caller: _Caller) -> CSRFToken:
        """Return the token of the session."""
        if caller.session_id is None:
            raise NotFoundError(reason="authentication.session_unknown")
        response.headers.update(NO_STORE)
        return CSRFToken(csrf_token=guard.token_of(caller.session_id))


def require_own_site(guard: CrossSiteGuard, request: Request) -> None:
    """Refuse a sign-in that another site may have made a browser send.

    Raises:
        ForbiddenError: Nothing shows that it comes from here.
    """
    own = origin_of(require_exchange(request.scope))
    guard.require_own_site(_describe(request), own_origin=own, session_id=None)


def write_session_cookie(session: Session, cookie: str) -> str:
    """Return the cookie of a session, as ``Set-Cookie`` has it.

    Args:
        session: The session.
        cookie: The cookie's value; a secret.
    """
    age = int((session.expires_at - session.created_at).total_seconds())
    return f"{SESSION_COOKIE}={cookie}; Max-Age={age}; {COOKIE_ATTRIBUTES}"


def answer_session(session: Session, cookie: str) -> Response:
    """Give a browser the cookie of a session that has begun."""
    return _answer(write_session_cookie(session, cookie))


def _describe(request: Request) -> BrowserRequest:
    def header(name: str) -> bytes | None:
        value = request.headers.get(name)
        return None if value is None else value.encode("latin-1")

    return BrowserRequest(
        cookie=b"",
        method=request.method,
        fetch_site=header("sec-fetch-site"),
        origin=header("origin"),
        csrf_token=None,
    )


def _answer(cookie: str) -> Response:
    return Response(status_code=204, headers={"Set-Cookie": cookie, **NO_STORE})
