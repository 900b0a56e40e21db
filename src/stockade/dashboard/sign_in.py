"""Sign in to the dashboard and out of it: the session is that of the application's own sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from stockade.authentication.errors import (
    InvalidCodeError,
    InvalidCredentialsError,
    InvalidTokenError,
)
from stockade.authentication.routes_browsers import (
    COOKIE_ATTRIBUTES,
    require_own_site,
    write_session_cookie,
)
from stockade.authentication.routes_factor_sessions import FactorSessions
from stockade.authentication.routes_sessions import MAXIMUM_TOKEN, WITHOUT_FACTOR, client_of
from stockade.core.dependencies import PolicyMark, current_principal
from stockade.core.exchange import SESSION_COOKIE, require_exchange
from stockade.core.fields import MAXIMUM_EMAIL, MAXIMUM_PASSWORD
from stockade.core.identity import Principal
from stockade.dashboard.interfaces import SIGNED_OUT
from stockade.dashboard.rendering import HEADERS
from stockade.errors import FactorRequiredError

if TYPE_CHECKING:
    from fastapi import APIRouter

    from stockade.dashboard.interfaces import Sources

_OPEN: Final = PolicyMark(SIGNED_OUT)
_WRONG: Final = "The e-mail address or the password is wrong."
_WRONG_CODE: Final = "That code is wrong, or was used before."
_OVER: Final = "That took too long. Sign in again."
_Caller = Annotated[Principal, Depends(current_principal)]


def add_sign_in(router: APIRouter, sources: Sources) -> None:
    """Add the routes of signing in and out."""
    page = SignInPage(sources)
    opened: list[Any] = [_OPEN]
    router.get("/sign-in", name="stockade:dashboard", dependencies=opened)(page.show_form)
    router.post("/sign-in", name="stockade:dashboard-sign-in", dependencies=opened)(page.sign_in)
    router.post("/code", name="stockade:dashboard-code", dependencies=opened)(page.give_code)
    router.post("/sign-out", name="stockade:dashboard-sign-out", dependencies=[WITHOUT_FACTOR])(
        page.sign_out
    )


class SignInPage:
    """The pages of the sign-in.

    Args:
        sources: What signs in.
    """

    def __init__(self, sources: Sources) -> None:
        self._renderer = sources.renderer
        self._events = sources.stockade.events
        self._guard = sources.cross_site
        self._sign_in = sources.sign_in
        self._flow = FactorSessions(
            self._sign_in.require_factors, guard=self._guard, events=self._events
        )

    async def show_form(self, request: Request) -> Response:
        """Show the form of the sign-in."""
        return self._show(request)

    async def sign_in(
        self,
        request: Request,
        email: Annotated[str, Form(min_length=1, max_length=MAXIMUM_EMAIL)],
        password: Annotated[str, Form(min_length=1, max_length=MAXIMUM_PASSWORD)],
    ) -> Response:
        """Sign in by a password; whoever has a second factor is asked for it."""
        # Another site must not sign the user in as somebody else (login CSRF).
        require_own_site(self._guard, request)
        services, client = self._sign_in.require_services(), client_of(request)
        if services.throttle is not None:
            await services.throttle.check(email, client.address)
        try:
            account = await services.sign_in.sign_in(email, password)
            session, cookie = await services.sessions.begin_in_browser(account, client)
        except InvalidCredentialsError as error:
            reason = error.reason
            self._events.emit("authentication.login_failed", scope=request.scope, reason=reason)
            return self._show(request, _WRONG, status=401)
        except FactorRequiredError as error:
            self._events.emit(
                "authentication.factor_required", scope=request.scope, reason=error.reason
            )
            return self._ask_code(request, error.pending_token)
        browser = require_exchange(request.scope).browser
        if browser is not None:
            await services.sessions.end_by_cookie(browser.cookie)
        details = {"user_id": str(account.user_id)}
        self._events.emit("authentication.login_succeeded", scope=request.scope, details=details)
        return self._enter(request, write_session_cookie(session, cookie))

    async def give_code(
        self,
        request: Request,
        pending: Annotated[str, Form(min_length=1, max_length=MAXIMUM_TOKEN)],
        code: Annotated[str, Form(min_length=1, max_length=40)],
    ) -> Response:
        """End a sign-in with the code of a second factor."""
        require_own_site(self._guard, request)
        try:
            waiting, account = await self._flow.load_pending(request, pending)
            factor = await self._flow.take_code(request, account, code)
        except InvalidTokenError:
            return self._show(request, _OVER, status=401)
        except InvalidCodeError:
            return self._ask_code(request, pending, _WRONG_CODE, status=401)
        answer = await self._flow.begin(
            request, account, factors=waiting.factors | {factor}, factor=factor, in_browser=True
        )
        return self._enter(request, answer.headers["Set-Cookie"])

    async def sign_out(self, request: Request, caller: _Caller) -> Response:
        """End the session."""
        if caller.session_id is None:
            raise InvalidTokenError(reason="authentication.session_over")
        await self._sign_in.require_services().sessions.end(caller.session_id)
        self._events.emit(
            "authentication.session_ended",
            scope=request.scope,
            reason="authentication.signed_out",
            details={"user_id": str(caller.user_id)},
        )
        headers = {
            **HEADERS,
            "Set-Cookie": f"{SESSION_COOKIE}=; Max-Age=0; {COOKIE_ATTRIBUTES}",
            # What the browser has kept of the pages goes as well.
            "Clear-Site-Data": '"cache", "storage"',
        }
        url = f"{self._renderer.base(request.scope)}/sign-in"
        return RedirectResponse(url, status_code=303, headers=headers)

    def _show(self, request: Request, problem: str = "", *, status: int = 200) -> Response:
        return self._renderer.render(request.scope, "sign_in.html", status=status, problem=problem)

    def _ask_code(
        self, request: Request, pending: str, problem: str = "", *, status: int = 200
    ) -> Response:
        return self._renderer.render(
            request.scope, "code.html", status=status, pending=pending, problem=problem
        )

    def _enter(self, request: Request, cookie: str) -> Response:
        headers = {**HEADERS, "Set-Cookie": cookie}
        url = self._renderer.base(request.scope)
        return RedirectResponse(url, status_code=303, headers=headers)
