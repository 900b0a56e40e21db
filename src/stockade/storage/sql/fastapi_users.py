"""Take over the accounts of an application that signed people in with fastapi-users.

What is read is the table that fastapi-users' adapter for SQLAlchemy makes: ``id``, ``email``,
``hashed_password``, ``is_active``, ``is_superuser``, ``is_verified``. It is left as it is, so that
the old application goes on until it is replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import column, insert, inspect, select, table
from sqlalchemy.exc import NoSuchTableError

from stockade.core.addresses import is_new_address
from stockade.core.identity import TenantId, UserId, UserType
from stockade.errors import ConfigurationError
from stockade.storage.sql.accounts import create_tenant, join_tenant
from stockade.storage.sql.engines import store_errors
from stockade.storage.sql.models import Tenant, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import ColumnClause, Connection, Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.orm import InstrumentedAttribute

_COLUMNS: Final = (
    "id",
    "email",
    "hashed_password",
    "is_active",
    "is_superuser",
    "is_verified",
)
_BATCH: Final = 500
_LONGEST_ID: Final = 36
_LONGEST_HASH: Final = 255
# Not empty: an account without any password is given none by mail.
_UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class RefusedAccount:
    """An account that could not be taken over.

    Args:
        user_id: Its identifier, as the table has it.
        problem: Why, and what to do about it.
    """

    user_id: str
    problem: str


@dataclass(slots=True)
class AccountImport:
    """What became of the accounts.

    Args:
        imported: Accounts that were made.
        present: Accounts that were there from an earlier run.
        without_password: Of those that were made, how many have a hash that can't be read; they
            choose a new password by mail.
        superusers: Of those that were made, how many were superusers.
        refused: Accounts that could not be taken over.
    """

    imported: int = 0
    present: int = 0
    without_password: int = 0
    superusers: int = 0
    refused: list[RefusedAccount] = field(default_factory=list)


async def import_fastapi_users(
    source: AsyncEngine,
    target: AsyncEngine,
    *,
    reads: Callable[[str], bool],
    users: str = "user",
    tenant: str | None = None,
    role: str = "member",
    super_admins: bool = False,
    keep: bool = True,
) -> AccountImport:
    """Make an account of each user that fastapi-users has, under the same identifier.

    Passwords go on: their hashes are taken over, and replaced at the next sign-in. Who is inactive
    or has not confirmed the address stays so. It can be run again while both applications are in
    use: accounts that are there are left alone. All is done in one transaction, or nothing.

    Args:
        source: Database of fastapi-users.
        target: Database with Stockade's tables; may be the same.
        reads: Tells whether the hash of a password can be checked.
        users: Name of its table, with its schema before a dot if it has one.
        tenant: Name of a tenant that all of them become members of; it is made if it is not there.
        role: Their role in it.
        super_admins: Whether superusers become `UserType.SUPER_ADMIN`, who stand above all tenants;
            without it they are users like the others.
        keep: Whether what was done is kept; without it this is a rehearsal.

    Raises:
        ConfigurationError: There is no such table, or it is not one of fastapi-users.
        StoreError: A database is away or refuses.
    """
    async with store_errors(), source.connect() as reading, target.connect() as writing:
        statement = await reading.run_sync(_select, users)
        transaction = await writing.begin()
        joined = None if tenant is None else (await _find_tenant(writing, tenant), role)
        taking = _Taking(writing, reads=reads, membership=joined, super_admins=super_admins)
        result = await reading.stream(statement)
        async for batch in result.partitions(_BATCH):
            await taking.take(batch)
        await (transaction.commit() if keep else transaction.rollback())
    return taking.done


class _Taking:
    """Takes accounts over, batch by batch, within one transaction."""

    def __init__(
        self,
        writing: AsyncConnection,
        *,
        reads: Callable[[str], bool],
        membership: tuple[TenantId, str] | None,
        super_admins: bool,
    ) -> None:
        self._writing = writing
        self._reads = reads
        self._membership = membership
        self._super_admins = super_admins
        self.done = AccountImport()

    async def take(self, batch: Sequence[Row[Any]]) -> None:
        """Make the accounts of a batch that are not there."""
        ids = {_identifier_of(row.id): row for row in batch}
        present = await self._present(User.id, ids)
        taken = await self._present(User.email, {_email_of(row) for row in batch})
        for user_id, row in ids.items():
            email = _email_of(row)
            if user_id in present:
                self.done.present += 1
                continue
            problem = _problem_of(user_id, email, is_taken=email in taken)
            if problem is not None:
                self.done.refused.append(RefusedAccount(user_id, problem))
                continue
            taken.add(email)
            await self._make(UserId(user_id), email, row)

    async def _present(
        self, column_: InstrumentedAttribute[str], values: Iterable[str]
    ) -> set[str]:
        found = await self._writing.execute(select(column_).where(column_.in_(list(values))))
        return set(found.scalars())

    async def _make(self, user_id: UserId, email: str, row: Row[Any]) -> None:
        stored = str(row.hashed_password or "")
        readable = len(stored) <= _LONGEST_HASH and self._reads(stored)
        superuser = bool(row.is_superuser)
        kind = UserType.SUPER_ADMIN if superuser and self._super_admins else UserType.USER
        await self._writing.execute(
            insert(User).values(
                id=user_id,
                email=email,
                user_type=str(kind),
                password_hash=stored if len(stored) <= _LONGEST_HASH else _UNREADABLE,
                is_active=bool(row.is_active),
                token_epoch=0,
                email_verified=bool(row.is_verified),
            )
        )
        if self._membership is not None:
            tenant, role = self._membership
            await join_tenant(self._writing, user_id, tenant, role=role, is_default=True)
        self.done.imported += 1
        self.done.without_password += not readable
        self.done.superusers += superuser


def _select(connection: Connection, users: str) -> Select[Any]:
    schema, _, name = users.rpartition(".")
    present = {each["name"] for each in _columns_of(connection, name, schema or None)}
    missing = [each for each in _COLUMNS if each not in present]
    if missing:
        message = (
            f"the table {users} has no column {', '.join(missing)}: name the table that"
            " fastapi-users keeps its users in"
        )
        raise ConfigurationError(message)
    columns: list[ColumnClause[Any]] = [column(each) for each in _COLUMNS]
    # By address, so that of two that differ in case it is always the same one that comes first.
    return select(table(name, *columns, schema=schema or None)).order_by(column("email"))


def _columns_of(connection: Connection, name: str, schema: str | None) -> Sequence[Any]:
    try:
        return inspect(connection).get_columns(name, schema)
    except NoSuchTableError:
        message = f"there is no table {name}: name the one that fastapi-users keeps its users in"
        raise ConfigurationError(message) from None


async def _find_tenant(connection: AsyncConnection, name: str) -> TenantId:
    found = (await connection.execute(select(Tenant.id).where(Tenant.name == name))).scalars().all()
    if len(found) > 1:
        message = f"{len(found)} tenants are called so: rename all but one, or leave the tenant out"
        raise ConfigurationError(message)
    return TenantId(found[0]) if found else await create_tenant(connection, name)


def _identifier_of(value: object) -> str:
    text = str(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value):
        # How SQLAlchemy's own type writes a UUID where the database has none.
        text = str(UUID(value))
    return text


def _email_of(row: Row[Any]) -> str:
    return str(row.email).lower()


def _problem_of(user_id: str, email: str, *, is_taken: bool) -> str | None:
    if not 0 < len(user_id) <= _LONGEST_ID:
        return f"its identifier has more than {_LONGEST_ID} characters"
    if is_taken:
        return "another account has this address, perhaps in another case: change one of them"
    if not is_new_address(email):
        return "its address is no e-mail address in ASCII: change it"
    return None
