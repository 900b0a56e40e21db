"""Serve sign-in at providers: go there, come back, and link what one is there to an account."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.errors import (
    ProviderAwayError,
    ProviderCancelledError,
    ProviderRefusedError,
    UnknownIdentityError,
)
from stockade.authentication.provider_sign_in import ProviderAnswer
from stockade.authentication.routes_browsers import write_session_cookie
from stockade.authentication.routes_sessions import NO_STORE, TokenAnswer, answer_grant, client_of
from stockade.authentication.sign_in_flows import (
    CHALLENGE,
    LONGEST_NEXT,
    NEXT,
    LinkTarget,
    write_removal,
)
from stockade.core.dependencies import CurrentPrincipal, current_principal
from stockade.core.exchange import require_exchange
from stockade.core.identity import Factor, Principal
from stockade.core.policy import Policy
from stockade.crypto.sealing import LONGEST
from stockade.errors import (
    DeniedError,
    FactorRequiredError,
    ForbiddenError,
    InvalidInputError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.models import Identity
    from stockade.authentication.post import Notifier
    from stockade.authentication.provider_sign_in import ProviderSignIn, SignedIn
    from stockade.authentication.sessions import Sessions
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.sign_in_flows import Flow
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

# Some providers put all that they know into their codes.
_LONGEST_CODE: Final = 4096
_LONGEST_NAME: Final = 255
# An identity outlives the session in which it is linked: whoever finds a browser open must not add
# one, nor take away the owner's.
_FRESH: Final = timedelta(minutes=15)
# The site itself, and the user: an address typed in, a bookmark; and browsers that do not say.
_OWN: Final = (None, "same-origin", "none")
# The addresses on the way hold codes, which are nobody else's business.
_PROVED: Final = frozenset({Factor.PROVIDER})
_HEADERS: Final = {**NO_STORE, "Referrer-Policy": "no-referrer"}

_fresh_principal = CurrentPrincipal(
    Policy(authenticated=True, step_up=_FRESH, origins=("identities need a fresh sign-in",))
)
_Caller = Annotated[Principal, Depends(current_principal)]
_FreshCaller = Annotated[Principal, Depends(_fresh_principal)]
_Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
_Next = Annotated[str, Query(pattern=NEXT, max_length=LONGEST_NEXT)]
_Challenge = Annotated[str | None, Query(pattern=CHALLENGE, max_length=43)]
_Text = Annotated[str | None, Query(max_length=_LONGEST_NAME)]


class LinkRequest(BaseModel):
    """Where a browser goes after an identity was linked."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    next: Annotated[str, Field(pattern=NEXT, max_length=LONGEST_NEXT)] = "/"


class LinkAnswer(BaseModel):
    """Where a browser goes to sign in at the provider."""

    authorization_url: str


class ExchangeRequest(BaseModel):
    """A code that a browser has brought back, and what its client alone knows."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    code: Annotated[str, Field(min_length=1, max_length=LONGEST, repr=False)]
    code_verifier: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9._~-]+$", min_length=43, max_length=128, repr=False)
    ]


class IdentityView(BaseModel):
    """An identity, for the owner of its account."""

    identity_id: str
    provider: str | None
    linked_at: datetime
    last_used_at: datetime | None


def make_oidc_router(
    sign_in: Callable[[], ProviderSignIn],
    sessions: Callable[[], Sessions],
    *,
    open_policy: PolicyMark,
    settings: AuthenticationSettings,
    notifier: Notifier,
    events: EventLog,
) -> APIRouter:
    """Build the router of sign-in at providers.

    Args:
        sign_in: Gives the service once the application has started.
        sessions: Gives the sessions once the application has started.
        open_policy: Opens the endpoints that are for callers who are not signed in.
        settings: Where browsers go, and whether they may have cookies.
        notifier: Tells owners of accounts what was linked to them or taken off.
        events: Where sign-ins and changes are recorded.
    """
    router = APIRouter(prefix="/auth/oidc", tags=["authentication"])
    changes = _Changes(notifier, events)
    callback = _Callback(sign_in, sessions, settings=settings, changes=changes, events=events)

    @router.get("/{provider}/start", name="stockade:oidc-start", dependencies=[open_policy])
    async def start(
        request: Request,
        provider: _Name,
        *,
        next: _Next = "/",  # noqa: A002 - the parameter's name
        code_challenge: _Challenge = None,
        fresh: bool = False,
    ) -> Response:
        """Send a browser to a provider."""
        if code_challenge is None and not settings.cookies:
            raise InvalidInputError(reason="authentication.challenge_missing")
        if code_challenge is not None and not _is_own(request, settings):
            # Another site would know the verifier of the code that ends up in this browser.
            raise ForbiddenError(reason="authentication.cross_site")
        address, cookie = await sign_in().start(
            provider, next_path=next, challenge=code_challenge, fresh=fresh
        )
        return _redirect(address, cookie)

    @router.get("/{provider}/callback", name="stockade:oidc-callback", dependencies=[open_policy])
    async def come_back(
        request: Request,
        provider: _Name,
        *,
        code: Annotated[str | None, Query(max_length=_LONGEST_CODE)] = None,
        state: _Text = None,
        iss: _Text = None,
        error: _Text = None,
    ) -> Response:
        """Take a browser back from a provider."""
        answer = ProviderAnswer(code=code, issuer=iss, error=error)
        return await callback.serve(request, provider, state, answer)

    @router.post(
        "/exchange",
        name="stockade:oidc-exchange",
        dependencies=[open_policy],
        response_model=TokenAnswer,
    )
    async def exchange(request: Request, body: ExchangeRequest) -> JSONResponse:
        """Exchange the code that a browser has brought back for tokens."""
        try:
            signed_in = await sign_in().redeem_code(body.code, body.code_verifier)
        except ProviderRefusedError as error:
            reason = error.reason
            events.emit("authentication.login_failed", scope=request.scope, reason=reason)
            raise ProviderRefusedError(reason="authentication.login_refused") from None
        grant = await sessions().begin(
            signed_in.account,
            client_of(request),
            factors=_PROVED,
            authenticated_at=signed_in.authenticated_at,
        )
        _record_success(events, request, signed_in)
        return answer_grant(grant)

    _add_identity_routes(router, sign_in, changes)
    return router


def _add_identity_routes(
    router: APIRouter, sign_in: Callable[[], ProviderSignIn], changes: _Changes
) -> None:
    """Add the routes by which people see and change what is linked to their accounts."""

    @router.post("/{provider}/link", name="stockade:oidc-link", response_model=LinkAnswer)
    async def link(provider: _Name, body: LinkRequest, caller: _FreshCaller) -> JSONResponse:
        """Begin to link what the caller is at a provider to the caller's account."""
        if caller.session_id is None:
            # Only a session of our own belongs to an account of our own.
            raise ForbiddenError(reason="authentication.session_needed")
        target = LinkTarget(user_id=caller.user_id, session_id=caller.session_id)
        address, cookie = await sign_in().start(provider, next_path=body.next, link=target)
        shown = LinkAnswer(authorization_url=address)
        return JSONResponse(shown.model_dump(), headers={**_HEADERS, "Set-Cookie": cookie})

    @router.get("/identities", name="stockade:oidc-identities")
    async def list_identities(caller: _Caller) -> list[IdentityView]:
        """List what is linked to the caller's account."""
        found = sign_in()
        own = await found.identities.list_of(caller.user_id)
        return [_view(each, found.name_of(each.issuer)) for each in own]

    @router.delete("/identities/{identity_id}", name="stockade:oidc-unlink", status_code=204)
    async def unlink(request: Request, identity_id: UUID, caller: _FreshCaller) -> Response:
        """Take an identity off the caller's account, but not the last way in to it."""
        found = sign_in()
        gone = await found.identities.unlink(caller.user_id, str(identity_id))
        # A provider that is no longer in the settings still has the name that it has itself.
        provider = found.name_of(gone.issuer) or gone.issuer
        changes.note_unlinked(request, provider, user_id=caller.user_id, email=caller.email)
        return Response(status_code=204)


class _Changes:
    """Records what is linked to accounts and taken off, and tells their owners.

    Args:
        notifier: Tells owners (ASVS 5.0 V6.3.7).
        events: Where changes are recorded.
    """

    def __init__(self, notifier: Notifier, events: EventLog) -> None:
        self._notifier = notifier
        self._events = events

    def note_linked(self, request: Request, signed_in: SignedIn) -> None:
        """Note that an identity was linked to an account."""
        email, provider = signed_in.account.email, signed_in.provider
        user_id = signed_in.account.user_id
        self._record(request, "authentication.identity_linked", user_id, provider)
        self._notifier.notify(
            lambda mails: mails.identity_linked(email, provider), scope=request.scope
        )

    def note_registered(self, request: Request, signed_in: SignedIn) -> None:
        """Note that an account was made with an identity."""
        user_id = signed_in.account.user_id
        self._record(request, "authentication.identity_registered", user_id, signed_in.provider)

    def note_unlinked(self, request: Request, provider: str, *, user_id: str, email: str) -> None:
        """Note that an identity was taken off an account."""
        self._record(request, "authentication.identity_unlinked", user_id, provider)
        self._notifier.notify(
            lambda mails: mails.identity_unlinked(email, provider), scope=request.scope
        )

    def _record(self, request: Request, reason: str, user_id: str, provider: str) -> None:
        details = {"user_id": user_id, "provider": provider}
        self._events.emit(
            "authentication.identity_changed",
            scope=request.scope,
            reason=reason,
            details=details,
        )


class _Callback:
    """Takes browsers back from providers.

    Args:
        sign_in: Gives the service once the application has started.
        sessions: Gives the sessions once the application has started.
        settings: Where browsers go.
        changes: Records what was linked.
        events: Where sign-ins are recorded.
    """

    def __init__(
        self,
        sign_in: Callable[[], ProviderSignIn],
        sessions: Callable[[], Sessions],
        *,
        settings: AuthenticationSettings,
        changes: _Changes,
        events: EventLog,
    ) -> None:
        self._sign_in = sign_in
        self._sessions = sessions
        self._changes = changes
        self._events = events
        parts = urlsplit(settings.public_url or "")
        self._origin = settings.return_origin or f"{parts.scheme}://{parts.netloc}"

    async def serve(
        self, request: Request, name: str, state: str | None, answer: ProviderAnswer
    ) -> Response:
        """End the sign-in that a browser comes back from, whichever way.

        Raises:
            NotFoundError: There is no such provider.
            ProviderRefusedError: The browser has begun no such sign-in.
            StoreError: A store is away.
        """
        try:
            flow = self._sign_in().find_flow(name, state, request.cookies)
        except ProviderRefusedError as error:
            self._record_refusal(request, name, error)
            # Where this browser wanted to go is not known.
            raise ProviderRefusedError(reason="authentication.login_refused") from None
        try:
            signed_in = await self._sign_in().finish(flow, answer)
            return await self._answer(request, flow, signed_in)
        except FactorRequiredError as error:
            self._events.emit(error.reason, scope=request.scope, details={"provider": name})
            # Behind the number sign it is in no log and in no request of the page.
            secret = urlencode({"mfa_token": error.pending_token})
            return self._go_on(flow, {"error": error.code}, fragment=secret)
        except DeniedError as error:
            self._record_refusal(request, name, error)
            return self._go_on(flow, {"error": _code_of(error)})

    async def _answer(self, request: Request, flow: Flow, signed_in: SignedIn) -> Response:
        if flow.link is not None:
            if signed_in.changed:
                self._changes.note_linked(request, signed_in)
            return self._go_on(flow, {})
        if signed_in.changed:
            self._changes.note_registered(request, signed_in)
        if flow.challenge is not None:
            code = self._sign_in().issue_code(signed_in, flow.challenge)
            return self._go_on(flow, {"code": code})
        exchange = require_exchange(request.scope)
        session, cookie = await self._sessions().begin_in_browser(
            signed_in.account,
            client_of(request),
            factors=_PROVED,
            authenticated_at=signed_in.authenticated_at,
        )
        if exchange.browser is not None:
            await self._sessions().end_by_cookie(exchange.browser.cookie)
        _record_success(self._events, request, signed_in)
        return self._go_on(flow, {}, write_session_cookie(session, cookie))

    def _go_on(
        self, flow: Flow, query: dict[str, str], *cookies: str, fragment: str = ""
    ) -> Response:
        # The origin is that of the settings, and the path is one: there is no other way to go.
        address = self._origin + flow.next
        if query:
            address += ("&" if "?" in flow.next else "?") + urlencode(query)
        if fragment:
            address += f"#{fragment}"
        return _redirect(address, write_removal(flow), *cookies)

    def _record_refusal(self, request: Request, name: str, error: DeniedError) -> None:
        details = {"provider": name}
        if isinstance(error, ProviderAwayError):
            details["problem"] = error.problem
        self._events.emit(
            "authentication.login_failed",
            scope=request.scope,
            reason=error.reason,
            details=details,
        )


def _is_own(request: Request, settings: AuthenticationSettings) -> bool:
    """Tell whether the own site, or that of the front end, has sent a browser here."""
    if request.headers.get("sec-fetch-site") in _OWN:
        return True
    origin = settings.return_origin
    return origin is not None and f"{request.headers.get('referer', '')}/".startswith(f"{origin}/")


def _code_of(error: DeniedError) -> str:
    """Return what a browser is told: enough to go on, and nothing of why exactly."""
    if isinstance(error, UnavailableError):
        return ProviderAwayError.code
    if isinstance(error, UnknownIdentityError | ProviderCancelledError):
        return error.code
    return ProviderRefusedError.code


def _redirect(address: str, *cookies: str) -> Response:
    # Whatever has brought the browser here, it goes on with GET (RFC 9700, section 4.12).
    answer = Response(status_code=303, headers={**_HEADERS, "Location": address})
    for cookie in cookies:
        answer.headers.append("Set-Cookie", cookie)
    return answer


def _view(identity: Identity, provider: str | None) -> IdentityView:
    return IdentityView(
        identity_id=identity.identity_id,
        provider=provider,
        linked_at=identity.linked_at,
        last_used_at=identity.last_used_at,
    )


def _record_success(events: EventLog, request: Request, signed_in: SignedIn) -> None:
    details = {"user_id": signed_in.account.user_id, "provider": signed_in.provider}
    if signed_in.methods:
        details["amr"] = " ".join(signed_in.methods)
    events.emit("authentication.login_succeeded", scope=request.scope, details=details)
