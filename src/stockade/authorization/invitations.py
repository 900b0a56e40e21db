"""Invite addresses into a tenant.

An invitation is for one address and one role, works once and for a while, and is worth what whoever
has sent it may still give.

Source: ASVS 5.0 V6.4.1, V8.2.1, V8.3.1.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stockade.authorization.models import Addition, Invitation, IssuedInvitation
from stockade.authorization.tenants import may_grant, require_person
from stockade.core.identity import TenantRole
from stockade.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from stockade.authorization.interfaces import InvitationPost, InvitationStore, TenantStore
    from stockade.authorization.invitation_tokens import InvitationTokens
    from stockade.authorization.settings import AuthorizationSettings
    from stockade.authorization.tenants import Tenants
    from stockade.core.clock import Clock
    from stockade.core.identity import Principal, TenantId

_REFUSED: Final = {
    Addition.MEMBER: "authorization.already_a_member",
    Addition.HELD: "authorization.role_above_own",
    Addition.FULL: "authorization.too_many_invitations",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationSource:
    """Where the request that sends an invitation comes from.

    Args:
        address: Address of the client.
        scope: ASGI scope of the request.
    """

    address: str
    scope: Mapping[str, Any] | None


class Invitations:
    """Send, list and take back the invitations of one caller's tenant.

    Args:
        store: Where invitations live.
        tenants: Knows the roles of members.
        names: Knows the names of tenants.
        tokens: Makes tokens.
        post: Sends invitations; None where nothing does, and the caller gets the token.
        settings: Roles, and how long an invitation holds.
        clock: Source of time.
    """

    def __init__(
        self,
        store: InvitationStore,
        tenants: Tenants,
        names: TenantStore,
        *,
        tokens: InvitationTokens,
        post: InvitationPost | None,
        settings: AuthorizationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._tenants = tenants
        self._names = names
        self._tokens = tokens
        self._post = post
        self._settings = settings
        self._clock = clock

    async def invite(
        self, caller: Principal, email: str, role: str, *, source: InvitationSource
    ) -> tuple[Invitation, str | None]:
        """Invite an address into the active tenant, in the place of an earlier invitation.

        The answer is the same whether or not there is an account with the address.

        Args:
            caller: The caller.
            email: One that `is_new_address` takes.
            role: The role.
            source: Where the request comes from.

        Returns:
            The invitation, and its token where nothing sends it.

        Raises:
            ForbiddenError: The caller may not give the role, the address is a member's or invited
                to a role that the caller may not take, or there are too many invitations.
            RateLimitedError: Too many mails.
            UnavailableError: Too many mails are under way.
            StoreError: A store is away.
        """
        require_person(caller)
        tenant_id, own = await self._require_giver(caller, role)
        await self._admit(email, source)
        now = self._clock.now()
        token, digest = self._tokens.issue()
        invitation = Invitation(
            invitation_id=str(uuid.uuid4()),
            tenant_id=tenant_id,
            email=email.lower(),
            role=role,
            created_by=caller.user_id,
            created_at=now,
            expires_at=now + self._settings.invitation_lifetime,
            mailed=self._post is not None,
        )
        granted = self._settings.granted
        outcome = await self._store.add(
            invitation,
            digest=digest,
            most=self._settings.invitations_per_tenant,
            over={each for each in granted if may_grant(own, each, granted)},
        )
        if outcome is not Addition.DONE:
            raise ForbiddenError(reason=_REFUSED[outcome])
        return invitation, await self._send(invitation, token, source, now)

    async def resend(
        self, caller: Principal, invitation_id: str, *, source: InvitationSource
    ) -> tuple[Invitation, str | None]:
        """Send an invitation anew, for its whole lifetime; the token of before ends.

        From then on it is the caller's.

        Raises:
            NotFoundError: There is none that holds.
            ForbiddenError: The caller may not give its role.
            RateLimitedError: Too many mails.
            UnavailableError: Too many mails are under way.
            StoreError: A store is away.
        """
        require_person(caller)
        known = await self._require_own(caller, invitation_id)
        await self._admit(known.email, source)
        now = self._clock.now()
        token, digest = self._tokens.issue()
        renewed = replace(
            known,
            created_by=caller.user_id,
            expires_at=now + self._settings.invitation_lifetime,
            mailed=self._post is not None,
        )
        if not await self._store.renew(renewed, digest=digest, now=now):
            raise NotFoundError(reason="authorization.invitation_unknown")
        return renewed, await self._send(renewed, token, source, now)

    async def list_for(self, caller: Principal) -> list[Invitation]:
        """Return the invitations of the active tenant, for who may invite.

        Raises:
            ForbiddenError: The caller may not.
            StoreError: The store is away.
        """
        tenant_id, _ = await self._require_giver(caller, TenantRole.MEMBER)
        return await self._store.list_of(tenant_id, now=self._clock.now())

    async def revoke(self, caller: Principal, invitation_id: str) -> None:
        """Forget an invitation of the active tenant.

        Raises:
            NotFoundError: There is none that holds.
            ForbiddenError: The caller may not take its role.
            StoreError: The store is away.
        """
        require_person(caller)
        known = await self._require_own(caller, invitation_id)
        if not await self._store.revoke(known.tenant_id, invitation_id):
            raise NotFoundError(reason="authorization.invitation_unknown")

    async def _require_own(self, caller: Principal, invitation_id: str) -> Invitation:
        for each in await self.list_for(caller):
            if each.invitation_id == invitation_id:
                await self._require_giver(caller, each.role)
                return each
        raise NotFoundError(reason="authorization.invitation_unknown")

    async def _require_giver(self, caller: Principal, role: str) -> tuple[TenantId, str]:
        tenant_id, own = await self._tenants.own_role(caller)
        if not may_grant(own, role, self._settings.granted):
            raise ForbiddenError(reason="authorization.role_above_own")
        return tenant_id, own

    async def _admit(self, email: str, source: InvitationSource) -> None:
        if self._post is not None:
            await self._post.admit(email, address=source.address)

    async def _send(
        self, invitation: Invitation, token: str, source: InvitationSource, now: datetime
    ) -> str | None:
        if self._post is None:
            return token
        name = await self._names.name_of(invitation.tenant_id)
        issued = IssuedInvitation(invitation=invitation, tenant_name=name, sent_at=now, token=token)
        self._post.send(issued, scope=source.scope)
        return None
