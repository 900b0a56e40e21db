"""Serve invitations into tenants: to those who send them, and to those who come with one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stockade.authorization.invitations import InvitationSource
from stockade.core.dependencies import current_principal
from stockade.core.exchange import find_exchange
from stockade.core.fields import LinkToken, NewAddress, SubmittedPassword
from stockade.core.identity import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authorization.models import Invitation
    from stockade.authorization.services import TenantServices
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

_NO_STORE: Final = {"Cache-Control": "no-store"}
_Caller = Annotated[Principal, Depends(current_principal)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class InvitationRequest(_Body):
    """Whom to invite, and to which role."""

    email: NewAddress
    role: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]


class InvitationUse(_Body):
    """The token of an invitation."""

    token: LinkToken


class InvitationRegistration(InvitationUse):
    """The token of an invitation, and the first password of the account that it makes."""

    password: SubmittedPassword


class InvitationView(BaseModel):
    """An invitation into the active tenant."""

    invitation_id: str
    email: str
    role: str
    created_at: datetime
    expires_at: datetime


class SentInvitationView(InvitationView):
    """An invitation that was just sent, with its token where nothing sends it."""

    token: str | None


class ArrivalView(BaseModel):
    """An invitation, for whoever has its token."""

    tenant_name: str
    email: str
    role: str
    expires_at: datetime
    registers: bool


class TenantView(BaseModel):
    """A tenant of the caller."""

    tenant_id: str
    name: str
    role: str
    active: bool


class MembershipRecorder:
    """Records changes of memberships.

    Args:
        events: Where they are recorded.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events

    def __call__(self, request: Request, reason: str, **details: str) -> None:
        """Record one change."""
        self._events.emit(
            "authorization.membership_changed",
            scope=request.scope,
            reason=reason,
            details=details,
        )


def add_invitation_routes(
    router: APIRouter, services: Callable[[], TenantServices], record: MembershipRecorder
) -> None:
    """Add the routes of those who invite."""

    @router.get("/invitations", name="stockade:tenant-invitations")
    async def list_invitations(caller: _Caller) -> list[InvitationView]:
        """List the invitations into the active tenant."""
        found = await services().invitations.list_for(caller)
        return [_view(each) for each in found]

    @router.post(
        "/invitations",
        name="stockade:tenant-invite",
        status_code=201,
        response_model=SentInvitationView,
    )
    async def invite(request: Request, body: InvitationRequest, caller: _Caller) -> JSONResponse:
        """Invite an address into the active tenant, in the place of an earlier invitation."""
        invitation, token = await services().invitations.invite(
            caller, body.email, body.role, source=_source_of(request)
        )
        _record(record, request, "authorization.invited", invitation)
        return _show(invitation, token, status=201)

    @router.post(
        "/invitations/{invitation_id}/resend",
        name="stockade:tenant-invitation-resend",
        response_model=SentInvitationView,
    )
    async def resend(request: Request, invitation_id: UUID, caller: _Caller) -> JSONResponse:
        """Send an invitation anew, for its whole lifetime; the token of before ends."""
        invitation, token = await services().invitations.resend(
            caller, str(invitation_id), source=_source_of(request)
        )
        _record(record, request, "authorization.invitation_resent", invitation)
        return _show(invitation, token, status=200)

    @router.delete(
        "/invitations/{invitation_id}", name="stockade:tenant-invitation-end", status_code=204
    )
    async def revoke(request: Request, invitation_id: UUID, caller: _Caller) -> Response:
        """Take an invitation into the active tenant back."""
        await services().invitations.revoke(caller, str(invitation_id))
        record(request, "authorization.invitation_revoked", invitation=str(invitation_id))
        return Response(status_code=204)


def add_arrival_routes(
    router: APIRouter,
    services: Callable[[], TenantServices],
    record: MembershipRecorder,
    *,
    open_policy: PolicyMark,
) -> None:
    """Add the routes of those who come with an invitation."""

    @router.post(
        "/invitations/look",
        name="stockade:tenant-invitation-look",
        dependencies=[open_policy],
        response_model=ArrivalView,
    )
    async def look(body: InvitationUse) -> JSONResponse:
        """Show an invitation to whoever has its token, without using it up."""
        found = await services().arrivals.look(body.token)
        view = ArrivalView(
            tenant_name=found.tenant_name,
            email=found.invitation.email,
            role=found.invitation.role,
            expires_at=found.invitation.expires_at,
            registers=found.registers,
        )
        return JSONResponse(view.model_dump(mode="json"), headers=_NO_STORE)

    @router.post(
        "/invitations/register",
        name="stockade:tenant-invitation-register",
        status_code=204,
        dependencies=[open_policy],
    )
    async def register(request: Request, body: InvitationRegistration) -> Response:
        """Make the account of somebody who was invited by mail and has none, in the tenant."""
        joined, user_id = await services().arrivals.register(body.token, body.password)
        details = {"tenant": joined.tenant_id, "role": joined.role, "member": user_id}
        record(request, "authorization.member_registered", **details)
        return Response(status_code=204, headers=_NO_STORE)

    @router.post("/invitations/accept", name="stockade:tenant-invitation-accept")
    async def accept(request: Request, body: InvitationUse, caller: _Caller) -> TenantView:
        """Join the tenant that an invitation to the caller's own address leads into."""
        arrival = await services().arrivals.accept(caller, body.token)
        joined = arrival.invitation
        details = {"tenant": joined.tenant_id, "role": joined.role, "member": caller.user_id}
        record(request, "authorization.member_joined", **details)
        return TenantView(
            tenant_id=joined.tenant_id, name=arrival.tenant_name, role=joined.role, active=False
        )


def _source_of(request: Request) -> InvitationSource:
    exchange = find_exchange(request.scope)
    address = "" if exchange is None else exchange.client
    return InvitationSource(address=address, scope=request.scope)


def _record(
    record: MembershipRecorder, request: Request, reason: str, invitation: Invitation
) -> None:
    record(request, reason, invitation=invitation.invitation_id, role=invitation.role)


def _show(invitation: Invitation, token: str | None, *, status: int) -> JSONResponse:
    view = SentInvitationView(**_view(invitation).model_dump(), token=token)
    return JSONResponse(view.model_dump(mode="json"), status_code=status, headers=_NO_STORE)


def _view(invitation: Invitation) -> InvitationView:
    return InvitationView(
        invitation_id=invitation.invitation_id,
        email=invitation.email,
        role=invitation.role,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )
