"""Let in whoever comes with an invitation.

Who has an account with the address signs in and accepts. Who has none makes one, if the token was
mailed: that shows that the address is theirs. A token that was shown to somebody else in the place
of a mail makes no account. Either way the invitation is worth what its sender may still give.

Source: ASVS 5.0 V6.4.1, V8.3.1.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from stockade.authorization.models import Arrival, Invitation, Taking
from stockade.authorization.tenants import may_grant, require_person
from stockade.core.identity import UserId
from stockade.errors import NotFoundError

if TYPE_CHECKING:
    from stockade.authorization.interfaces import (
        NewcomerPasswords,
        TakenInvitationStore,
        TenantStore,
    )
    from stockade.authorization.invitation_tokens import InvitationTokens
    from stockade.authorization.settings import AuthorizationSettings
    from stockade.core.clock import Clock
    from stockade.core.identity import Principal

_NOT_TAKEN: Final = {
    Taking.GONE: "authorization.invitation_used",
    Taking.VOID: "authorization.invitation_void",
    Taking.ADDRESS: "authorization.invitation_address",
    Taking.KNOWN: "authorization.invitation_needless",
}


class Arrivals:
    """Let in whoever comes with an invitation.

    Args:
        store: Where invitations are taken.
        tenants: Knows the names of tenants and the roles in them.
        tokens: Knows the digests of tokens.
        passwords: Checks first passwords; None where nobody makes an account this way.
        settings: Roles.
        clock: Source of time.
    """

    def __init__(
        self,
        store: TakenInvitationStore,
        tenants: TenantStore,
        *,
        tokens: InvitationTokens,
        passwords: NewcomerPasswords | None,
        settings: AuthorizationSettings,
        clock: Clock,
    ) -> None:
        self._store = store
        self._tenants = tenants
        self._tokens = tokens
        self._passwords = passwords
        self._settings = settings
        self._clock = clock

    async def look(self, token: str) -> Arrival:
        """Show an invitation to whoever has its token, without using it up.

        Args:
            token: Untrusted.

        Raises:
            NotFoundError: The invitation does not hold.
            StoreError: The store is away.
        """
        invitation, _ = await self._find(token)
        giver = await self._tenants.role_of(invitation.tenant_id, invitation.created_by)
        if giver not in self._givers(invitation.role):
            raise NotFoundError(reason=_NOT_TAKEN[Taking.VOID])
        # Of a token that was not mailed nobody learns whether there is an account.
        registers = (
            self._passwords is not None
            and invitation.mailed
            and not await self._store.has_account(invitation.email)
        )
        name = await self._tenants.name_of(invitation.tenant_id)
        return Arrival(invitation=invitation, tenant_name=name, registers=registers)

    async def accept(self, caller: Principal, token: str) -> Arrival:
        """Make the caller a member of the tenant that an invitation leads into.

        Args:
            caller: Whose own address it has to be for.
            token: Untrusted.

        Raises:
            NotFoundError: The invitation does not hold, for whichever reason.
            ForbiddenError: A key of a program calls.
            StoreError: The store is away.
        """
        require_person(caller)
        invitation, digests = await self._find(token)
        outcome = await self._store.accept(
            invitation,
            caller.user_id,
            digests=digests,
            givers=self._givers(invitation.role),
            now=self._clock.now(),
        )
        _require_taken(outcome)
        name = await self._tenants.name_of(invitation.tenant_id)
        return Arrival(invitation=invitation, tenant_name=name, registers=False)

    async def register(self, token: str, password: str) -> tuple[Invitation, UserId]:
        """Make the account of somebody who was invited by mail and has none.

        Args:
            token: Untrusted.
            password: As it was submitted; untrusted.

        Returns:
            The invitation, and the new account, which still has to sign in.

        Raises:
            NotFoundError: The invitation does not hold, or makes no account.
            DeniedError: The password breaks a rule, or too many wait already.
            StoreError: The store is away.
        """
        invitation, digests = await self._find(token)
        if self._passwords is None:
            raise NotFoundError(reason="authorization.invitation_registers_nobody")
        if not invitation.mailed:
            raise NotFoundError(reason="authorization.invitation_not_mailed")
        if await self._store.has_account(invitation.email):
            # Before the work of a hash; the store looks again.
            raise NotFoundError(reason=_NOT_TAKEN[Taking.KNOWN])
        hashed = await self._passwords.hash(password, email=invitation.email)
        user_id = UserId(str(uuid.uuid4()))
        outcome = await self._store.register(
            invitation,
            user_id,
            password_hash=hashed,
            digests=digests,
            givers=self._givers(invitation.role),
            now=self._clock.now(),
        )
        _require_taken(outcome)
        return invitation, user_id

    async def _find(self, token: str) -> tuple[Invitation, tuple[str, ...]]:
        digests = self._tokens.digests(token)
        found = await self._store.find(digests, now=self._clock.now())
        if found is None:
            raise NotFoundError(reason="authorization.invitation_unknown")
        return found, digests

    def _givers(self, role: str) -> frozenset[str]:
        granted = self._settings.granted
        return frozenset(each for each in granted if may_grant(each, role, granted))


def _require_taken(outcome: Taking) -> None:
    if outcome is not Taking.DONE:
        raise NotFoundError(reason=_NOT_TAKEN[outcome])
