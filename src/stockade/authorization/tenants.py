"""Make tenants, and decide who joins, leaves and changes roles.

Nobody gives or takes a role above the own one, and a tenant always has an owner. The roles that
count here are read from the store when they are needed, and not from the caller's principal.

Source: ASVS 5.0 V8.2.1, V8.3.1.
"""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stockade.authorization.models import Change, Invitation, IssuedInvitation
from stockade.core.identity import AuthenticationMethod, TenantRole
from stockade.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authorization.interfaces import InvitationStore, TenantStore
    from stockade.authorization.models import Member, TenantMembership
    from stockade.authorization.settings import AuthorizationSettings
    from stockade.core.clock import Clock
    from stockade.core.identity import Principal, TenantId, UserId
    from stockade.crypto import KeyRing

PREFIX: Final = "stki_"
_BYTES: Final = 32
# The last of 43 characters has two bits that mean nothing, and that are zero in a token of ours.
_SHAPE: Final = re.compile(PREFIX + r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)


def may_grant(giver: str | None, role: str, granted: Mapping[str, frozenset[str]]) -> bool:
    """Tell whether somebody with a role may give or take another one.

    An owner may give and take every role. An admin may do so with every role but the owner's, as
    far as it has no permission that admins lack. Nobody else may.

    Args:
        giver: The role of whoever wants to; None for no member.
        role: The role that is given or taken.
        granted: Every role that exists, with its permissions.
    """
    if role not in granted:
        return False
    if giver == TenantRole.OWNER:
        return True
    if giver != TenantRole.ADMIN or role == TenantRole.OWNER:
        return False
    return granted[role] <= granted.get(TenantRole.ADMIN, frozenset())


class Tenants:
    """Tenants and their members, for one caller at a time.

    Args:
        store: Where tenants and memberships live.
        settings: Roles, and who may make a tenant.
    """

    def __init__(self, store: TenantStore, settings: AuthorizationSettings) -> None:
        self._store = store
        self._settings = settings

    async def create(self, caller: Principal, name: str) -> TenantId:
        """Make a tenant that the caller owns.

        Raises:
            ForbiddenError: The caller may not, or owns as many as one may.
            StoreError: The store is away.
        """
        require_person(caller)
        if self._settings.tenant_creation != "everybody" and not caller.is_super_admin:
            raise ForbiddenError(reason="authorization.tenant_creation_closed")
        made = await self._store.create(
            name,
            owner=caller.user_id,
            role=TenantRole.OWNER,
            most=self._settings.tenants_per_account,
        )
        if made is None:
            raise ForbiddenError(reason="authorization.too_many_tenants")
        return made

    async def list_for(self, caller: Principal) -> list[TenantMembership]:
        """Return the tenants of the caller.

        Raises:
            StoreError: The store is away.
        """
        return await self._store.list_of(caller.user_id)

    async def members(self, caller: Principal) -> list[Member]:
        """Return the members of the caller's active tenant.

        Raises:
            ForbiddenError: No tenant is active, or the caller is no member.
            StoreError: The store is away.
        """
        tenant_id, _ = await self.own_role(caller)
        return await self._store.members(tenant_id)

    async def set_role(self, caller: Principal, user_id: UserId, role: str) -> None:
        """Give a member of the active tenant another role.

        Raises:
            NotFoundError: There is no such member.
            ForbiddenError: The caller may not take the old role or give the new one, or it is the
                last owner's.
            StoreError: The store is away.
        """
        require_person(caller)
        tenant_id, own = await self.own_role(caller)
        old = await self._require_member(tenant_id, user_id)
        self._require_grant(own, old)
        self._require_grant(own, role)
        await self._change(tenant_id, user_id, old, role)

    async def remove(self, caller: Principal, user_id: UserId) -> None:
        """End the membership of somebody in the active tenant, or the own one.

        Raises:
            NotFoundError: There is no such member.
            ForbiddenError: The caller may not take the role, or it is the last owner's.
            StoreError: The store is away.
        """
        require_person(caller)
        tenant_id, own = await self.own_role(caller)
        old = await self._require_member(tenant_id, user_id)
        if user_id != caller.user_id:
            self._require_grant(own, old)
        await self._change(tenant_id, user_id, old, None)

    async def own_role(self, caller: Principal) -> tuple[TenantId, str]:
        """Return the active tenant of the caller and its role there, as the store knows it now.

        Raises:
            ForbiddenError: No tenant is active, or the caller is no member.
            StoreError: The store is away.
        """
        if caller.tenant_id is None:
            raise ForbiddenError(reason="tenancy.no_tenant")
        role = await self._store.role_of(caller.tenant_id, caller.user_id)
        if role is None:
            raise ForbiddenError(reason="authorization.not_a_member")
        return caller.tenant_id, role

    async def _require_member(self, tenant_id: TenantId, user_id: UserId) -> str:
        role = next(
            (each.role for each in await self._store.members(tenant_id) if each.user_id == user_id),
            None,
        )
        if role is None:
            raise NotFoundError(reason="authorization.member_unknown")
        return role

    def _require_grant(self, own: str, role: str) -> None:
        if not may_grant(own, role, self._settings.granted):
            raise ForbiddenError(reason="authorization.role_above_own")

    async def _change(
        self, tenant_id: TenantId, user_id: UserId, old: str, new: str | None
    ) -> None:
        outcome = await self._store.change(
            tenant_id, user_id, old=old, new=new, keep=TenantRole.OWNER
        )
        if outcome is Change.LAST:
            raise ForbiddenError(reason="authorization.last_owner")
        if outcome is Change.STALE:
            raise NotFoundError(reason="authorization.member_unknown")


class Invitations:
    """Invite addresses into a tenant, and let them in.

    Args:
        store: Where invitations live.
        tenants: Knows the roles of members.
        memberships: Where memberships live.
        keys: Secrets of the application; the newest makes digests, all of them find.
        settings: Roles, and how long an invitation holds.
        clock: Source of time.
    """

    def __init__(
        self,
        store: InvitationStore,
        tenants: Tenants,
        memberships: TenantStore,
        *,
        keys: KeyRing,
        settings: AuthorizationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._tenants = tenants
        self._memberships = memberships
        self._keys = keys.derive("tenants/invitation")
        self._settings = settings
        self._clock = clock

    async def invite(self, caller: Principal, email: str, role: str) -> IssuedInvitation:
        """Keep a place in the active tenant for an address, in the place of an earlier one.

        Raises:
            ForbiddenError: The caller may not give the role, the address is a member's, or there
                are too many invitations.
            StoreError: The store is away.
        """
        require_person(caller)
        tenant_id = await self._require_giver(caller, role)
        now = self._clock.now()
        invitation = Invitation(
            invitation_id=str(uuid.uuid4()),
            tenant_id=tenant_id,
            email=email.lower(),
            role=role,
            created_by=caller.user_id,
            created_at=now,
            expires_at=now + self._settings.invitation_lifetime,
        )
        token = PREFIX + secrets.token_urlsafe(_BYTES)
        digest = self._digests(token)[0]
        most = self._settings.invitations_per_tenant
        if not await self._store.add(invitation, digest=digest, most=most):
            raise ForbiddenError(reason="authorization.invitation_refused")
        known = await self._memberships.list_of(caller.user_id)
        name = next((each.name for each in known if each.tenant_id == tenant_id), "")
        return IssuedInvitation(invitation=invitation, tenant_name=name, token=token)

    async def list_for(self, caller: Principal) -> list[Invitation]:
        """Return the invitations of the active tenant, for who may invite.

        Raises:
            ForbiddenError: The caller may not.
            StoreError: The store is away.
        """
        tenant_id = await self._require_giver(caller, TenantRole.MEMBER)
        return await self._store.list_of(tenant_id, now=self._clock.now())

    async def revoke(self, caller: Principal, invitation_id: str) -> None:
        """Forget an invitation of the active tenant.

        Raises:
            NotFoundError: There is none.
            ForbiddenError: The caller may not.
            StoreError: The store is away.
        """
        require_person(caller)
        tenant_id = await self._require_giver(caller, TenantRole.MEMBER)
        if not await self._store.revoke(tenant_id, invitation_id):
            raise NotFoundError(reason="authorization.invitation_unknown")

    async def accept(self, caller: Principal, token: str) -> Invitation:
        """Make the caller a member of the tenant that an invitation leads into.

        It has to be for the caller's own address, and whoever sent it has to be able to send it
        still.

        Args:
            caller: The caller.
            token: Untrusted.

        Raises:
            NotFoundError: The invitation does not hold, for whichever reason.
            StoreError: The store is away.
        """
        require_person(caller)
        if not _SHAPE.fullmatch(token):
            raise NotFoundError(reason="authorization.invitation_malformed")
        now = self._clock.now()
        found = await self._store.find(self._digests(token), now=now)
        if found is None or found.email != caller.email.lower():
            raise NotFoundError(reason="authorization.invitation_unknown")
        giver = await self._memberships.role_of(found.tenant_id, found.created_by)
        if not may_grant(giver, found.role, self._settings.granted):
            raise NotFoundError(reason="authorization.invitation_void")
        if not await self._store.accept(found, caller.user_id, now=now):
            raise NotFoundError(reason="authorization.invitation_used")
        return found

    async def _require_giver(self, caller: Principal, role: str) -> TenantId:
        tenant_id, own = await self._tenants.own_role(caller)
        if not may_grant(own, role, self._settings.granted):
            raise ForbiddenError(reason="authorization.role_above_own")
        return tenant_id

    def _digests(self, token: str) -> tuple[str, ...]:
        told = token.encode("ascii")
        return tuple(hmac.digest(key, told, sha256).hex() for key in self._keys)


def require_person(caller: Principal) -> None:
    """Return if the caller is a person.

    Raises:
        ForbiddenError: It is a program: a key that leaked must not bring in whoever holds it.
    """
    if caller.method is AuthenticationMethod.API_KEY:
        raise ForbiddenError(reason="authorization.api_key_not_enough")
