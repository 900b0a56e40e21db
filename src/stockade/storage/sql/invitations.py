"""Keep invitations into tenants, and let people in by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from stockade.authentication.models import NewAccount
from stockade.authorization.models import Addition, Invitation, Taking
from stockade.core.identity import TenantId, UserId
from stockade.storage.sql.accounts import create_account
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.locking import lock_tenant, lock_user
from stockade.storage.sql.models import InvitationRow, Membership, User
from stockade.storage.sql.moments import aware
from stockade.storage.sql.tenants import join_next

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_COLUMNS: Final = (
    InvitationRow.id,
    InvitationRow.tenant_id,
    InvitationRow.email,
    InvitationRow.role,
    InvitationRow.created_by,
    InvitationRow.created_at,
    InvitationRow.expires_at,
    InvitationRow.mailed,
)


class SQLInvitationStore:
    """Invitations in a SQL database.

    Args:
        engine: Engine without tenant isolation.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(
        self, invitation: Invitation, *, digest: str, most: int, over: Collection[str]
    ) -> Addition:
        """Keep an invitation in the place of the one for the same address and tenant.

        Raises:
            StoreError: The database is away.
        """
        tenant_id = invitation.tenant_id
        own = InvitationRow.tenant_id == tenant_id
        same = own & (InvitationRow.email == invitation.email)
        gone = delete(InvitationRow).where(
            (same & InvitationRow.role.in_(over))
            | (own & (InvitationRow.expires_at <= invitation.created_at))
        )
        member = (
            select(func.count())
            .select_from(Membership)
            .join(User, User.id == Membership.user_id)
            .where(Membership.tenant_id == tenant_id, User.email == invitation.email)
        )
        held = select(func.count()).select_from(InvitationRow)
        values = {
            "id": invitation.invitation_id,
            "tenant_id": tenant_id,
            "email": invitation.email,
            "role": invitation.role,
            "digest": digest,
            "created_by": invitation.created_by,
            "created_at": invitation.created_at,
            "expires_at": invitation.expires_at,
            "mailed": invitation.mailed,
        }
        async with store_errors(), self._engine.begin() as connection:
            await lock_tenant(connection, tenant_id)
            if await connection.scalar(member):
                return Addition.MEMBER
            await connection.execute(gone)
            if await connection.scalar(held.where(same)):
                return Addition.HELD
            if (await connection.scalar(held.where(own)) or 0) >= most:
                return Addition.FULL
            await connection.execute(insert(InvitationRow).values(**values))
        return Addition.DONE

    async def renew(self, invitation: Invitation, *, digest: str, now: datetime) -> bool:
        """Put another token in the place of an invitation's; False where it does not hold.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            update(InvitationRow)
            .where(
                InvitationRow.id == invitation.invitation_id,
                InvitationRow.tenant_id == invitation.tenant_id,
                InvitationRow.expires_at > now,
            )
            .values(
                digest=digest,
                created_by=invitation.created_by,
                expires_at=invitation.expires_at,
                mailed=invitation.mailed,
            )
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def list_of(self, tenant_id: TenantId, *, now: datetime) -> list[Invitation]:
        """Return the invitations of a tenant that hold.

        Raises:
            StoreError: The database is away.
        """
        statement = (
            select(*_COLUMNS)
            .where(InvitationRow.tenant_id == tenant_id, InvitationRow.expires_at > now)
            .order_by(InvitationRow.created_at, InvitationRow.id)
        )
        async with store_errors(), self._engine.connect() as connection:
            return [_to_invitation(row) for row in await connection.execute(statement)]

    async def revoke(self, tenant_id: TenantId, invitation_id: str) -> bool:
        """Forget an invitation of a tenant; False where there is none.

        Raises:
            StoreError: The database is away.
        """
        statement = delete(InvitationRow).where(
            InvitationRow.tenant_id == tenant_id, InvitationRow.id == invitation_id
        )
        async with store_errors(), self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def find(self, digests: Sequence[str], *, now: datetime) -> Invitation | None:
        """Return the invitation with one of these digests, if it holds.

        Raises:
            StoreError: The database is away.
        """
        statement = select(*_COLUMNS).where(
            InvitationRow.digest.in_(digests), InvitationRow.expires_at > now
        )
        async with store_errors(), self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else _to_invitation(row)

    async def has_account(self, email: str) -> bool:
        """Tell whether there is an account with an address, active or not.

        Raises:
            StoreError: The database is away.
        """
        statement = select(User.id).where(User.email == email)
        async with store_errors(), self._engine.connect() as connection:
            return (await connection.execute(statement)).first() is not None

    async def accept(
        self,
        invitation: Invitation,
        user_id: UserId,
        *,
        digests: Sequence[str],
        givers: Collection[str],
        now: datetime,
    ) -> Taking:
        """Use an invitation up and make an account a member, in one transaction.

        Raises:
            StoreError: The database is away.
        """
        own = select(User.email_verified).where(
            User.id == user_id, User.email == invitation.email, User.is_active.is_(True)
        )
        async with store_errors(), self._engine.connect() as connection:
            if not await lock_user(connection, user_id):
                return Taking.ADDRESS
            verified = await connection.scalar(own)
            if verified is None or not (verified or invitation.mailed):
                return Taking.ADDRESS
            if not verified:
                known = update(User).where(User.id == user_id).values(email_verified=True)
                await connection.execute(known)
            return await _take(connection, invitation, user_id, digests, givers=givers, now=now)

    async def register(
        self,
        invitation: Invitation,
        user_id: UserId,
        *,
        password_hash: str,
        digests: Sequence[str],
        givers: Collection[str],
        now: datetime,
    ) -> Taking:
        """Use an invitation up and make an account that is a member, in one transaction.

        Raises:
            StoreError: The database is away.
        """
        account = NewAccount(email=invitation.email, password_hash=password_hash, user_id=user_id)
        async with store_errors(), self._engine.connect() as connection:
            try:
                await create_account(connection, account)
            except IntegrityError:
                return Taking.KNOWN
            return await _take(connection, invitation, user_id, digests, givers=givers, now=now)


async def _take(
    connection: AsyncConnection,
    invitation: Invitation,
    user_id: UserId,
    digests: Sequence[str],
    *,
    givers: Collection[str],
    now: datetime,
) -> Taking:
    """Let an account in and commit; whatever is refused is left to be rolled back."""
    tenant_id = invitation.tenant_id
    # Changes of roles in the tenant wait for this one.
    await lock_tenant(connection, tenant_id)
    giver = (
        select(Membership.role)
        .join(User, User.id == Membership.user_id)
        .where(
            Membership.tenant_id == tenant_id,
            Membership.user_id == invitation.created_by,
            User.is_active.is_(True),
        )
    )
    if await connection.scalar(giver) not in givers:
        return Taking.VOID
    taken = delete(InvitationRow).where(
        InvitationRow.id == invitation.invitation_id,
        InvitationRow.digest.in_(digests),
        InvitationRow.expires_at > now,
    )
    if (await connection.execute(taken)).rowcount != 1:
        return Taking.GONE
    try:
        await join_next(connection, user_id, tenant_id, invitation.role)
    except IntegrityError:
        # A member already, or the tenant is gone.
        return Taking.KNOWN
    await connection.commit()
    return Taking.DONE


def _to_invitation(row: Row[*tuple[Any, ...]]) -> Invitation:
    return Invitation(
        invitation_id=row.id,
        tenant_id=TenantId(row.tenant_id),
        email=row.email,
        role=row.role,
        created_by=UserId(row.created_by),
        created_at=aware(row.created_at),
        expires_at=aware(row.expires_at),
        mailed=row.mailed,
    )
