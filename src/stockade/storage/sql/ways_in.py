"""Count what lets the owner of an account in, and never take the last of it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from stockade.authentication.models import Removal
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.locking import lock_user
from stockade.storage.sql.models import IdentityRow, PasskeyRow, User

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Delete
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from stockade.core.identity import UserId


async def count_ways_in(
    connection: AsyncConnection, user_id: UserId, issuers: Collection[str]
) -> int:
    """Return how many passwords, identities and passkeys let the owner of an account in.

    Args:
        connection: Of a transaction that holds the lock of the account.
        user_id: The account.
        issuers: The providers that somebody can sign in at; an identity elsewhere lets nobody in.
    """
    password = (
        select(func.count())
        .select_from(User)
        # Django begins what is no password with an exclamation mark.
        .where(User.id == user_id, User.password_hash != "", ~User.password_hash.startswith("!"))
    )
    identities = (
        select(func.count())
        .select_from(IdentityRow)
        .where(IdentityRow.user_id == user_id, IdentityRow.issuer.in_(issuers))
    )
    passkeys = select(func.count()).select_from(PasskeyRow).where(PasskeyRow.user_id == user_id)
    counts = select(*(each.scalar_subquery() for each in (password, identities, passkeys)))
    return sum((await connection.execute(counts)).one())


async def remove_way_in(
    engine: AsyncEngine, statement: Delete, user_id: UserId, *, issuers: Collection[str]
) -> Removal:
    """Take something off an account unless nobody could sign in to it any longer.

    Removals of one account wait for each other, so that each sees what the one before has left.

    Args:
        engine: Engine of the accounts.
        statement: Deletes the one row.
        user_id: The account.
        issuers: The providers that somebody can sign in at.

    Raises:
        StoreError: The database is away.
    """
    async with store_errors(), engine.connect() as connection:
        if not await lock_user(connection, user_id):
            return Removal.UNKNOWN
        if (await connection.execute(statement)).rowcount != 1:
            return Removal.UNKNOWN
        if not await count_ways_in(connection, user_id, issuers):
            # Without a commit all of it is undone.
            return Removal.LAST
        await connection.commit()
    return Removal.DONE
