"""Serve tenants: make, list, switch, and their members.

Everything but the first three routes is about the caller's active tenant, which a verified token
or session names; no path, header or body chooses another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authorization.routes_invitations import (
    MembershipRecorder,
    TenantView,
    add_arrival_routes,
    add_invitation_routes,
)
from stockade.core.dependencies import current_principal
from stockade.core.identity import Principal, TenantId, UserId

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authorization.services import TenantServices
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

_NO_STORE: Final = {"Cache-Control": "no-store"}
_NAME: Final = r"^[^\x00-\x1f\x7f]+$"
_Caller = Annotated[Principal, Depends(current_principal)]
_Role = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=36)]
_UserId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]+$", max_length=36)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class TenantRequest(_Body):
    """A tenant that is to be made."""

    name: Annotated[str, Field(pattern=_NAME, min_length=1, max_length=200)]


class SwitchRequest(_Body):
    """The tenant that is to be active."""

    tenant_id: _Id


class RoleRequest(_Body):
    """The new role of a member."""

    role: _Role


class MemberView(BaseModel):
    """A member of the active tenant."""

    user_id: str
    email: str
    role: str


class SwitchView(BaseModel):
    """The tenant that is active now, and the token that says so."""

    active_tenant_id: str
    access_token: str | None
    token_type: str = "bearer"  # noqa: S105 - the token's type
    expires_in: int | None


def make_tenants_router(
    services: Callable[[], TenantServices], *, open_policy: PolicyMark, events: EventLog
) -> APIRouter:
    """Build the router of tenants.

    Args:
        services: Gives the services once the application has started.
        open_policy: Opens the endpoints of those who were invited and have no account yet.
        events: Where changes are recorded.
    """
    router = APIRouter(prefix="/tenants", tags=["tenants"])
    record = MembershipRecorder(events)

    @router.get("", name="stockade:tenants")
    async def list_tenants(caller: _Caller) -> list[TenantView]:
        """List the tenants of the caller."""
        return [
            TenantView(
                tenant_id=each.tenant_id,
                name=each.name,
                role=each.role,
                active=each.tenant_id == caller.tenant_id,
            )
            for each in await services().tenants.list_for(caller)
        ]

    @router.post("", name="stockade:tenant-create", status_code=201)
    async def create(request: Request, body: TenantRequest, caller: _Caller) -> TenantView:
        """Make a tenant that the caller owns; switch to it to work there."""
        made = await services().tenants.create(caller, body.name)
        record(request, "authorization.tenant_created", tenant=made)
        return TenantView(tenant_id=made, name=body.name, role="owner", active=False)

    @router.post("/switch", name="stockade:tenant-switch", response_model=SwitchView)
    async def switch(request: Request, body: SwitchRequest, caller: _Caller) -> JSONResponse:
        """Make another tenant the active one, and give the token that says so."""
        switched = await services().switch.switch(caller, TenantId(body.tenant_id))
        record(request, "authorization.tenant_switched", tenant=body.tenant_id)
        view = SwitchView(
            active_tenant_id=body.tenant_id,
            access_token=switched.token,
            expires_in=switched.expires_in,
        )
        return JSONResponse(view.model_dump(), headers=_NO_STORE)

    _add_member_routes(router, services, record)
    add_invitation_routes(router, services, record)
    add_arrival_routes(router, services, record, open_policy=open_policy)
    return router


def _add_member_routes(
    router: APIRouter, services: Callable[[], TenantServices], record: MembershipRecorder
) -> None:
    @router.get("/members", name="stockade:members")
    async def list_members(caller: _Caller) -> list[MemberView]:
        """List the members of the active tenant."""
        return [
            MemberView(user_id=each.user_id, email=each.email, role=each.role)
            for each in await services().tenants.members(caller)
        ]

    @router.patch("/members/{user_id}", name="stockade:member-role", status_code=204)
    async def set_role(
        request: Request, user_id: _UserId, body: RoleRequest, caller: _Caller
    ) -> Response:
        """Give a member of the active tenant another role."""
        await services().tenants.set_role(caller, UserId(user_id), body.role)
        record(request, "authorization.role_changed", member=user_id, role=body.role)
        return Response(status_code=204)

    @router.delete("/members/{user_id}", name="stockade:member-remove", status_code=204)
    async def remove(request: Request, user_id: _UserId, caller: _Caller) -> Response:
        """End the membership of somebody in the active tenant, or leave it."""
        await services().tenants.remove(caller, UserId(user_id))
        record(request, "authorization.member_removed", member=user_id)
        return Response(status_code=204)
