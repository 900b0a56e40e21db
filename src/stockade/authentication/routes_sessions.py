"""Serve sessions: refresh, sign out, list, revoke."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.refresh_tokens import PREFIX
from stockade.authentication.sessions import Client
from stockade.core.dependencies import PolicyMark, current_principal
from stockade.core.exchange import find_exchange
from stockade.core.identity import Principal
from stockade.core.policy import Policy
from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.sessions import Grant, Sessions
    from stockade.authentication.sign_in import PasswordSignIn
    from stockade.authentication.throttle import SignInThrottle
    from stockade.authentication.tokens import AccessTokens
    from stockade.events import EventLog

# What an OAuth2 token endpoint must send along (RFC 6749, section 5.1).
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
MAXIMUM_TOKEN: Final = 4096
WITHOUT_FACTOR: Final = PolicyMark(
    Policy(factorless=("enrolling a factor, and signing out, come before it",))
)
_Caller = Annotated[Principal, Depends(current_principal)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInServices:
    """What the routes of the sign-in call.

    Args:
        sign_in: Checks passwords.
        sessions: Begins, refreshes and ends sessions.
        tokens: Verifies access tokens.
        throttle: Counts attempts; None where limits are off.
    """

    sign_in: PasswordSignIn
    sessions: Sessions
    tokens: AccessTokens
    throttle: SignInThrottle | None


class RefreshRequest(BaseModel):
    """A refresh token that is to be exchanged."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    refresh_token: Annotated[str, Field(min_length=1, max_length=MAXIMUM_TOKEN, repr=False)]


class RevocationRequest(BaseModel):
    """A token that is to be revoked (RFC 7009, section 2.1)."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    token: Annotated[str, Field(min_length=1, max_length=MAXIMUM_TOKEN, repr=False)]
    token_type_hint: Annotated[str | None, Field(max_length=64)] = None
    client_id: Annotated[str | None, Field(max_length=255)] = None


class TokenAnswer(BaseModel):
    """A successful token answer (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the token's type
    expires_in: int
    refresh_token: str


class SessionView(BaseModel):
    """A session, for its owner."""

    session_id: str
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


def add_session_routes(
    router: APIRouter,
    services: Callable[[], SignInServices],
    *,
    open_policy: PolicyMark,
    events: EventLog,
) -> None:
    """Add the routes of sessions to the router of the sign-in.

    Args:
        router: Where they go.
        services: Gives the services once the application has started.
        open_policy: Opens the endpoints that are for callers without an access token.
        events: Where the ends of sessions are recorded.
    """

    @router.post("/refresh", name="stockade:refresh", dependencies=[open_policy])
    async def refresh(request: Request, body: RefreshRequest) -> JSONResponse:
        """Exchange a refresh token for its successor and a new access token."""
        sessions = services().sessions
        return answer_grant(await sessions.refresh(body.refresh_token, client_of(request)))

    @router.post("/logout", name="stockade:logout", status_code=204, dependencies=[WITHOUT_FACTOR])
    async def sign_out(request: Request, caller: _Caller) -> Response:
        """End the session that the access token belongs to."""
        if caller.session_id is None:
            # Nothing would end; whoever asks must not believe that something did.
            raise InvalidTokenError(reason="authentication.session_over")
        await services().sessions.end(caller.session_id)
        _record(events, request, "authentication.signed_out", caller)
        return Response(status_code=204)

    @router.post(
        "/logout-all", name="stockade:logout-all", status_code=204, dependencies=[WITHOUT_FACTOR]
    )
    async def sign_out_everywhere(request: Request, caller: _Caller) -> Response:
        """End all sessions of the caller."""
        await services().sessions.end_all(caller.user_id)
        _record(events, request, "authentication.signed_out_everywhere", caller)
        return Response(status_code=204)

    @router.get("/sessions", name="stockade:sessions")
    async def list_sessions(caller: _Caller) -> list[SessionView]:
        """List the living sessions of the caller, the last used one first."""
        return [
            SessionView(
                session_id=each.session_id,
                device=each.device,
                address=each.address,
                created_at=each.created_at,
                last_used_at=each.last_used_at,
                expires_at=each.expires_at,
                current=each.session_id == caller.session_id,
            )
            for each in await services().sessions.list(caller.user_id)
        ]

    @router.delete("/sessions/{session_id}", name="stockade:session", status_code=204)
    async def end_session(request: Request, session_id: UUID, caller: _Caller) -> Response:
        """End one session of the caller."""
        if not await services().sessions.end_of(caller.user_id, str(session_id)):
            raise NotFoundError(reason="authentication.session_unknown")
        _record(events, request, "authentication.session_revoked", caller)
        return Response(status_code=204)

    @router.post("/revoke", name="stockade:revoke", dependencies=[open_policy])
    async def revoke(request: Request, form: Annotated[RevocationRequest, Form()]) -> Response:
        """End the session of a token; the answer is the same whatever the token is (RFC 7009)."""
        ended = await _revoke(services(), form.token)
        if ended is not None:
            reason = "authentication.token_given_back"
            events.emit("authentication.session_ended", scope=request.scope, reason=reason)
        return Response(headers=NO_STORE)


async def _revoke(services: SignInServices, value: str) -> str | None:
    if value.startswith(PREFIX):
        return await services.sessions.end_by_token(value)
    try:
        session_id = services.tokens.verify(value).session_id
    except InvalidTokenError:
        return None
    ended = session_id is not None and await services.sessions.end(session_id)
    return session_id if ended else None


def answer_grant(grant: Grant) -> JSONResponse:
    """Answer with both tokens; nothing on the way may keep them."""
    return JSONResponse(describe_grant(grant).model_dump(), headers=NO_STORE)


def describe_grant(grant: Grant) -> TokenAnswer:
    """Write a grant as OAuth2 has it."""
    return TokenAnswer(
        access_token=grant.access.value,
        expires_in=grant.access.expires_in,
        refresh_token=grant.refresh,
    )


def client_of(request: Request) -> Client:
    """Say what is known of the client: its address from trusted proxies, its name from itself."""
    exchange = find_exchange(request.scope)
    address = "" if exchange is None else exchange.client
    return Client(device=request.headers.get("user-agent", ""), address=address)


def _record(events: EventLog, request: Request, reason: str, caller: Principal) -> None:
    events.emit(
        "authentication.session_ended",
        scope=request.scope,
        reason=reason,
        details={"user_id": caller.user_id},
    )
