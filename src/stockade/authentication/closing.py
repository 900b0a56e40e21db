"""Let people close their account: for a while, or for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stockade.authentication.errors import InvalidTokenError
from stockade.authentication.models import Closing
from stockade.core.identity import AuthenticationMethod
from stockade.errors import ForbiddenError, LastOwnerError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stockade.authentication.interfaces import WritableAccountStore
    from stockade.authentication.post import Post
    from stockade.authentication.sessions import Sessions
    from stockade.core.identity import Principal, TenantId


class AccountClosing:
    """Deactivate and delete accounts for their owners.

    Args:
        accounts: Where accounts live.
        sessions: Ends sessions.
        post: Sends notices.
    """

    def __init__(self, accounts: WritableAccountStore, *, sessions: Sessions, post: Post) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._post = post

    async def deactivate(self, caller: Principal, *, scope: Mapping[str, Any] | None) -> None:
        """Switch the caller's account off; who operates the application can switch it on again.

        Args:
            caller: Somebody who has signed in just now.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: A key of a program calls.
            LastOwnerError: It is the last owner of a tenant.
            InvalidTokenError: The account is gone.
            StoreError: A store is away.
        """
        _require_person(caller)
        _require_done(await self._accounts.set_active(caller.user_id, active=False))
        self._post.notify(self._post.mails.account_deactivated(caller.email), scope=scope)
        self._record("authentication.account_deactivated", caller, scope)
        await self._sessions.end_all(caller.user_id)

    async def delete(
        self,
        caller: Principal,
        *,
        tenants: Collection[TenantId] = (),
        scope: Mapping[str, Any] | None,
    ) -> None:
        """Delete the caller's account with its memberships, sessions and keys.

        Args:
            caller: Somebody who has signed in just now.
            tenants: Exactly those that the caller is the last owner of; they are deleted too.
            scope: ASGI scope of the request.

        Raises:
            ForbiddenError: A key of a program calls.
            LastOwnerError: The caller is the last owner of other tenants than these.
            InvalidTokenError: The account is gone.
            StoreError: A store is away, or a table of the application needs the account or one of
                the tenants.
        """
        _require_person(caller)
        _require_done(await self._accounts.delete(caller.user_id, tenants=tenants))
        self._post.notify(self._post.mails.account_deleted(caller.email), scope=scope)
        self._record("authentication.account_deleted", caller, scope, tenants)
        await self._sessions.end_all(caller.user_id)

    def _record(
        self,
        reason: str,
        caller: Principal,
        scope: Mapping[str, Any] | None,
        tenants: Collection[TenantId] = (),
    ) -> None:
        details: dict[str, str] = {"user_id": caller.user_id}
        if tenants:
            details["tenants"] = " ".join(sorted(tenants))
        self._post.events.emit(
            "authentication.account_changed", scope=scope, reason=reason, details=details
        )


def _require_done(outcome: Closing) -> None:
    if outcome is Closing.LAST_OWNER:
        raise LastOwnerError(reason="authorization.last_owner")
    if outcome is Closing.UNKNOWN:
        raise InvalidTokenError(reason="authentication.account_gone")


def _require_person(caller: Principal) -> None:
    if caller.method not in {AuthenticationMethod.BEARER, AuthenticationMethod.COOKIE}:
        raise ForbiddenError(reason="authentication.api_key_not_enough")
