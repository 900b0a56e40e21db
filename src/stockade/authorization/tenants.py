"""Make tenants, and decide who leaves and changes roles.

Nobody gives or takes a role above the own one, and a tenant always has an owner. The roles that
count here are read from the store when they are needed, and not from the caller's principal.

Source: ASVS 5.0 V8.2.1, V8.3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.authorization.models import Change
from stockade.core.identity import AuthenticationMethod, TenantRole
from stockade.errors import ForbiddenError, LastOwnerError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authorization.interfaces import TenantStore
    from stockade.authorization.models import Member, TenantMembership
    from stockade.authorization.settings import AuthorizationSettings
    from stockade.core.identity import Principal, TenantId, UserId


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
            ForbiddenError: The caller may not take the old role or give the new one.
            LastOwnerError: It is the last owner's.
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
            ForbiddenError: The caller may not take the role.
            LastOwnerError: It is the last owner's.
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
        role = await self._store.role_of_member(tenant_id, user_id)
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
            raise LastOwnerError(reason="authorization.last_owner")
        if outcome is Change.STALE:
            raise NotFoundError(reason="authorization.member_unknown")


def require_person(caller: Principal) -> None:
    """Return if the caller is a person.

    Raises:
        ForbiddenError: It is a program: a key that leaked must not bring in whoever holds it.
    """
    if caller.method is AuthenticationMethod.API_KEY:
        raise ForbiddenError(reason="authorization.api_key_not_enough")
