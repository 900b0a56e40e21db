"""Serve the keys of programs: make, list, rotate, end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authentication.api_clients import NewClient
from stockade.core.dependencies import CurrentPrincipal, current_principal
from stockade.core.identity import Principal
from stockade.core.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.api_clients import APIClients, IssuedKey
    from stockade.authentication.models import APIClient
    from stockade.events import EventLog

_NO_STORE: Final = {"Cache-Control": "no-store"}
# A key outlives the session in which it is made: whoever finds a browser open must not make one.
_FRESH: Final = timedelta(minutes=15)
_fresh_principal = CurrentPrincipal(
    Policy(authenticated=True, step_up=_FRESH, origins=("api keys need a fresh sign-in",))
)
_Caller = Annotated[Principal, Depends(current_principal)]
_FreshCaller = Annotated[Principal, Depends(_fresh_principal)]
_ClientId = Annotated[str, Path(pattern=r"^stkc_[0-9a-f]{24}$", max_length=29)]
_Scope = Annotated[str, Field(pattern=r"^[a-z0-9_]+:[a-z0-9_]+:[a-z0-9_]+$", max_length=128)]
_Role = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]


class KeyRequest(BaseModel):
    """A program that a key is wanted for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=100)]
    scopes: Annotated[list[_Scope], Field(max_length=100)] = []
    roles: Annotated[list[_Role], Field(max_length=20)] = []
    expires_in_days: Annotated[int, Field(ge=1, le=366)] = 90
    of_tenant: bool = False


class ClientView(BaseModel):
    """A program, for whoever may administer it."""

    client_id: str
    name: str
    scopes: list[str]
    roles: list[str]
    of_tenant: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    requests_per_minute: int | None


class KeyView(ClientView):
    """A program with its new key, which is shown this once."""

    api_key: str


def make_api_keys_router(clients: Callable[[], APIClients], *, events: EventLog) -> APIRouter:
    """Build the router of the keys of programs.

    Args:
        clients: Gives the service once the application has started.
        events: Where changes are recorded.
    """
    router = APIRouter(prefix="/auth/api-keys", tags=["authentication"])

    @router.post("", name="stockade:api-key-create", status_code=201, response_model=KeyView)
    async def create(request: Request, body: KeyRequest, caller: _FreshCaller) -> JSONResponse:
        """Make a program with a key, which is shown this once."""
        wanted = NewClient(
            name=body.name,
            scopes=frozenset(body.scopes),
            roles=frozenset(body.roles),
            lifetime=timedelta(days=body.expires_in_days),
            of_tenant=body.of_tenant,
        )
        issued = await clients().create(caller, wanted)
        _record(
            events,
            request,
            "authentication.api_key_created",
            client_id=issued.client.client_id,
            caller=caller,
        )
        return _show_key(issued, status=201)

    @router.get("", name="stockade:api-keys")
    async def list_clients(caller: _Caller) -> list[ClientView]:
        """List the programs of the caller, and those of the tenant for who administers it."""
        return [_view(client) for client in await clients().list_for(caller)]

    @router.post("/{client_id}/rotate", name="stockade:api-key-rotate", response_model=KeyView)
    async def rotate(request: Request, client_id: _ClientId, caller: _FreshCaller) -> JSONResponse:
        """Make a new key; the one before it goes on for a day."""
        issued = await clients().rotate(caller, client_id)
        _record(
            events, request, "authentication.api_key_rotated", client_id=client_id, caller=caller
        )
        return _show_key(issued, status=200)

    @router.delete("/{client_id}", name="stockade:api-key-revoke", status_code=204)
    async def revoke(request: Request, client_id: _ClientId, caller: _Caller) -> Response:
        """End a program."""
        await clients().revoke(caller, client_id)
        _record(
            events, request, "authentication.api_key_revoked", client_id=client_id, caller=caller
        )
        return Response(status_code=204)

    return router


def _view(client: APIClient) -> ClientView:
    return ClientView(
        client_id=client.client_id,
        name=client.name,
        scopes=sorted(client.scopes),
        roles=sorted(client.roles),
        of_tenant=client.user_id is None,
        created_at=client.created_at,
        expires_at=client.expires_at,
        revoked_at=client.revoked_at,
        last_used_at=client.last_used_at,
        requests_per_minute=client.requests_per_minute,
    )


def _show_key(issued: IssuedKey, *, status: int) -> JSONResponse:
    shown = KeyView(**_view(issued.client).model_dump(), api_key=issued.key)
    return JSONResponse(shown.model_dump(mode="json"), status_code=status, headers=_NO_STORE)


def _record(
    events: EventLog, request: Request, reason: str, *, client_id: str, caller: Principal
) -> None:
    events.emit(
        "authentication.api_key_changed",
        scope=request.scope,
        reason=reason,
        details={"client_id": client_id, "user_id": caller.user_id},
    )
