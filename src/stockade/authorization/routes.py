"""Serve tenants: make, list, switch, and their members and invitations.

Everything but switching and accepting is about the caller's active tenant, which a verified token
or session names; no path, header or body chooses another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.core.dependencies import current_principal
from stockade.core.identity import Principal, TenantId, UserId

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authorization.interfaces import InvitationHook, TenantSwitch
    from stockade.authorization.models import Invitation
    from stockade.authorization.tenants import Invitations, Tenants
    from stockade.events import EventLog

_NO_STORE: Final = {"Cache-Control": "no-store"}
_NAME: Final = r"^[^\x00-\x1f\x7f]+$"
_EMAIL: Final = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+$"
_Caller = Annotated[Principal, Depends(current_principal)]
_Role = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=36)]
_UserId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]+$", max_length=36)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantServices:
    """What the routes of tenants call.

    Args:
        tenants: Makes tenants and changes roles.
        invitations: Invites and lets in.
        switch: Changes the active tenant.
        hook: Sends invitations; without one the answer shows the token, once.
    """

    tenants: Tenants
    invitations: Invitations
    switch: TenantSwitch
    hook: InvitationHook | None


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


class InvitationRequest(_Body):
    """Whom to invite, and to which role."""

    email: Annotated[str, Field(pattern=_EMAIL, max_length=254)]
    role: _Role


class AcceptRequest(_Body):
    """The token of an invitation."""

    token: Annotated[str, Field(min_length=1, max_length=100, repr=False)]


class TenantView(BaseModel):
    """A tenant of the caller."""

    tenant_id: str
    name: str
    role: str
    active: bool


class MemberView(BaseModel):
    """A member of the active tenant."""

    user_id: str
    email: str
    role: str


class InvitationView(BaseModel):
    """An invitation into the active tenant."""

    invitation_id: str
    email: str
    role: str
    created_at: datetime
    expires_at: datetime


class NewInvitationView(InvitationView):
    """An invitation that was just made, with its token where nothing else sends it."""

    token: str | None


class SwitchView(BaseModel):
    """The tenant that is active now, and the token that says so."""

    active_tenant_id: str
    access_token: str | None
    token_type: str = "bearer"  # noqa: S105 - the token's type
    expires_in: int | None


def make_tenants_router(services: Callable[[], TenantServices], *, events: EventLog) -> APIRouter:
    """Build the router of tenants.

    Args:
        services: Gives the services once the application has started.
        events: Where changes are recorded.
    """
    router = APIRouter(prefix="/tenants", tags=["tenants"])
    record = _Recorder(events)

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
    _add_invitation_routes(router, services, record)
    return router


class _Recorder:
    """Records changes of memberships."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    def __call__(self, request: Request, reason: str, **details: str) -> None:
        self._events.emit(
            "authorization.membership_changed",
            scope=request.scope,
            reason=reason,
            details=details,
        )


def _add_member_routes(
    router: APIRouter, services: Callable[[], TenantServices], record: _Recorder
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


def _add_invitation_routes(
    router: APIRouter, services: Callable[[], TenantServices], record: _Recorder
) -> None:
    @router.get("/invitations", name="stockade:tenant-invitations")
    async def list_invitations(caller: _Caller) -> list[InvitationView]:
        """List the invitations into the active tenant."""
        found = await services().invitations.list_for(caller)
        return [_view(each) for each in found]

    @router.post(
        "/invitations",
        name="stockade:tenant-invite",
        status_code=201,
        response_model=NewInvitationView,
    )
    async def invite(request: Request, body: InvitationRequest, caller: _Caller) -> JSONResponse:
        """Invite an address into the active tenant, in the place of an earlier invitation."""
        found = services()
        issued = await found.invitations.invite(caller, body.email, body.role)
        invitation = issued.invitation
        if found.hook is not None:
            try:
                await found.hook(issued)
            except Exception:
                # Nobody got the token, so that the invitation would only stand in the way.
                await found.invitations.revoke(caller, invitation.invitation_id)
                raise
        record(
            request,
            "authorization.invited",
            invitation=invitation.invitation_id,
            role=invitation.role,
        )
        token = issued.token if found.hook is None else None
        view = NewInvitationView(**_view(invitation).model_dump(), token=token)
        return JSONResponse(view.model_dump(mode="json"), status_code=201, headers=_NO_STORE)

    @router.delete(
        "/invitations/{invitation_id}", name="stockade:tenant-invitation-end", status_code=204
    )
    async def revoke(request: Request, invitation_id: UUID, caller: _Caller) -> Response:
        """Take an invitation into the active tenant back."""
        await services().invitations.revoke(caller, str(invitation_id))
        record(request, "authorization.invitation_revoked", invitation=str(invitation_id))
        return Response(status_code=204)

    @router.post("/invitations/accept", name="stockade:tenant-invitation-accept")
    async def accept(request: Request, body: AcceptRequest, caller: _Caller) -> TenantView:
        """Join the tenant that an invitation to the caller's own address leads into."""
        found = services()
        joined = await found.invitations.accept(caller, body.token)
        details = {"tenant": joined.tenant_id, "role": joined.role}
        record(request, "authorization.member_joined", **details)
        known = await found.tenants.list_for(caller)
        name = next((each.name for each in known if each.tenant_id == joined.tenant_id), "")
        return TenantView(tenant_id=joined.tenant_id, name=name, role=joined.role, active=False)


def _view(invitation: Invitation) -> InvitationView:
    return InvitationView(
        invitation_id=invitation.invitation_id,
        email=invitation.email,
        role=invitation.role,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )
