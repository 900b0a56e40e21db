"""Write the Alembic migration that puts row-level security in force."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Table

from stockade.tenancy.models import TablePlan
from stockade.tenancy.row_security import RowSecurity, write_policies

_FILE: Final = '''"""Keep tenants apart by row-level security.

Written by ``stockade db rls``; write it anew when a table that belongs to tenants is added.
{notes}"""

from alembic import op

revision = {revision!r}
down_revision = {parent!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''
# One chain of migrations serves both databases: on SQLite there is nothing to put in force, and
# Stockade does not start there with row-level security on.
_ONLY_POSTGRESQL: Final = """    if op.get_context().dialect.name != "postgresql":
        return
"""
_NOTE: Final = """
No policy can look up these foreign keys, since it would read its own table; only sessions of
Stockade verify them: {columns}.
"""


def write_migration(
    plans: Mapping[Table, TablePlan],
    *,
    parent: str | None = None,
    revision: str | None = None,
    role: str | None = None,
) -> str:
    """Return the text of a migration for Alembic.

    Args:
        plans: How each table is isolated.
        parent: The revision it follows; None for a first one.
        revision: Its own identifier; drawn at random unless given.
        role: A role for the sessions of tenants; it is made unless it is there.
    """
    policies = write_policies(plans, role=role)
    return _FILE.format(
        notes=_notes(policies),
        revision=revision or secrets.token_hex(6),
        parent=parent,
        upgrade=_calls(policies.upgrade),
        downgrade=_calls(policies.downgrade),
    )


def _notes(policies: RowSecurity) -> str:
    return _NOTE.format(columns=", ".join(policies.unverified)) if policies.unverified else ""


def _calls(statements: Iterable[str]) -> str:
    # A colon would be read as a bound parameter.
    lines = (f"    op.execute({_escaped(text)!r})" for text in statements)
    found = "\n".join(lines)
    return f"{_ONLY_POSTGRESQL}{found}" if found else "    pass"


def _escaped(statement: str) -> str:
    return statement.replace(":", r"\:")
