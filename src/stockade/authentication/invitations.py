"""Invite people into a tenant, with an account or without one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stockade.authentication.errors import InvalidLinkError
from stockade.authentication.models import NewAccount
from stockade.authentication.one_time import LinkPurpose
from stockade.core.identity import AuthenticationMethod, TenantRole
from stockade.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stockade.authentication.interfaces import WritableAccountStore
    from stockade.authentication.models import StoredLink
    from stockade.authentication.new_passwords import NewPasswords
    from stockade.authentication.one_time import OneTimeLinks
    from stockade.authentication.post import Post
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.identity import Principal, TenantId

_INVITATION = LinkPurpose.INVITATION
_INVITERS: Final = frozenset({TenantRole.ADMIN, TenantRole.OWNER})


def _may_give(roles: frozenset[str], role: str) -> bool:
    """Tell whether somebody with some roles may give one; an admin makes no owner."""
    return bool(_INVITERS & roles) and (role == TenantRole.MEMBER or role in roles)


class Invitations:
    """Mail invitations, and let their recipients in.

    Args:
        accounts: Where accounts live.
        links: Makes links and uses them up.
        passwords: Checks and hashes passwords.
        post: Sends mails.
        settings: Whether there are invitations, and how long a link holds.
    """

    def __init__(
        self,
        accounts: WritableAccountStore,
        links: OneTimeLinks,
        *,
        passwords: NewPasswords,
        post: Post,
        settings: AuthenticationSettings,
    ) -> None:
        self._accounts = accounts
        self._links = links
        self._passwords = passwords
        self._post = post
        self._is_open = settings.registration != "closed"
        self._lifetime = settings.registration_link_lifetime

    async def invite(
        self,
        caller: Principal,
        email: str,
        role: str,
        *,
        address: str,
        scope: Mapping[str, Any] | None,
    ) -> None:
        """Mail an invitation into the caller's tenant, later; the same answer for every address.

        Args:
            caller: An admin or owner of the tenant.
            email: One that `is_new_address` takes.
            role: ``member``, or a role that the caller has.
            address: Where the request comes from.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: There are no invitations, or the caller may not give this role.
            RateLimitedError: There are too many.
            UnavailableError: Too many errands are under way.
            StoreError: The counts are away.
        """
        self._require_open()
        tenant_id = self._require_inviter(caller, role)
        await self._post.ask(
            "invitation",
            partial(self._send, caller, email.lower(), (tenant_id, role), scope),
            email=email,
            address=address,
            scope=scope,
        )

    def _require_open(self) -> None:
        if not self._is_open:
            raise ForbiddenError(reason="authentication.registration_closed")

    @staticmethod
    def _require_inviter(caller: Principal, role: str) -> TenantId:
        if caller.method not in {AuthenticationMethod.BEARER, AuthenticationMethod.COOKIE}:
            raise ForbiddenError(reason="authentication.api_key_not_enough")
        if caller.tenant_id is None or not _INVITERS & caller.roles:
            raise ForbiddenError(reason="authentication.tenant_admin_needed")
        if not _may_give(caller.roles, role):
            raise ForbiddenError(reason="authentication.role_not_held")
        return caller.tenant_id

    async def _require_standing(self, stored: StoredLink) -> tuple[TenantId, str]:
        """Return where an invitation leads, if whoever has sent it could still send it.

        Raises:
            InvalidLinkError: The inviter is gone, or has the role no longer.
            StoreError: The accounts are away.
        """
        if stored.membership is None or stored.user_id is None:
            raise InvalidLinkError(reason="authentication.link_account")
        tenant_id, role = stored.membership
        inviter = await self._accounts.find_by_id(stored.user_id, tenant_id)
        if inviter is None or not inviter.active or not _may_give(inviter.roles, role):
            raise InvalidLinkError(reason="authentication.inviter_gone")
        return tenant_id, role

    async def _send(
        self,
        caller: Principal,
        email: str,
        membership: tuple[TenantId, str],
        scope: Mapping[str, Any] | None,
    ) -> None:
        token = await self._links.issue(
            _INVITATION,
            email,
            None,
            lifetime=self._lifetime,
            membership=membership,
            inviter=caller.user_id,
        )
        message = self._post.mails.invite(email, token, lifetime=self._lifetime)
        await self._post.mailer.send(message)
        self._record("authentication.invitation_sent", str(caller.user_id), scope)

    async def register(self, token: str, password: str, *, scope: Mapping[str, Any] | None) -> None:
        """Make the account of somebody who was invited and has none.

        Args:
            token: Of an invitation; untrusted.
            password: As it was submitted; untrusted.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: There are no invitations any longer.
            InvalidLinkError: The link does not hold, or the address has an account, which has to
                sign in and `accept`.
            PasswordRefusedError: The password breaks a rule.
            UnavailableError: Too many passwords wait already.
            StoreError: A store is away.
        """
        self._require_open()
        presented = await self._links.look(_INVITATION, token)
        stored = presented.stored
        if await self._accounts.find_by_email(stored.email) is not None:
            # The link still holds for its owner.
            raise InvalidLinkError(reason="authentication.account_exists")
        membership = await self._require_standing(stored)
        hashed = await self._passwords.hash(password, email=stored.email)
        await self._links.use(presented)
        account = NewAccount(email=stored.email, password_hash=hashed, membership=membership)
        if not await self._accounts.create(account):
            raise InvalidLinkError(reason="authentication.link_outdated")
        self._record("authentication.account_registered", str(account.user_id), scope)

    async def accept(
        self, caller: Principal, token: str, *, scope: Mapping[str, Any] | None
    ) -> None:
        """Let the caller into the tenant of an invitation to the caller's own address.

        Args:
            caller: Who is signed in.
            token: Of an invitation; untrusted.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: There are no invitations any longer, or a key of a program calls.
            InvalidLinkError: The link does not hold, or is for somebody else.
            StoreError: A store is away.
        """
        self._require_open()
        if caller.method not in {AuthenticationMethod.BEARER, AuthenticationMethod.COOKIE}:
            raise ForbiddenError(reason="authentication.api_key_not_enough")
        presented = await self._links.look(_INVITATION, token)
        stored = presented.stored
        account = await self._accounts.find_by_id(caller.user_id, caller.tenant_id)
        if account is None or account.email != stored.email:
            raise InvalidLinkError(reason="authentication.link_account")
        membership = await self._require_standing(stored)
        await self._links.use(presented)
        # Whoever is a member already stays what they are.
        await self._accounts.join(account.user_id, *membership)
        await self._accounts.mark_verified(account.user_id, email=stored.email)
        self._record("authentication.invitation_accepted", str(account.user_id), scope)

    def _record(self, reason: str, user_id: str, scope: Mapping[str, Any] | None) -> None:
        self._post.events.emit(
            "authentication.account_changed",
            scope=scope,
            reason=reason,
            details={"user_id": user_id},
        )
