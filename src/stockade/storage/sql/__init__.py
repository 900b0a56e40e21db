"""Keep accounts, tenants and memberships in a SQL database."""

from stockade.authentication.models import NewAccount
from stockade.storage.sql.accounts import (
    SQLAccountStore,
    create_account,
    create_tenant,
    join_tenant,
)
from stockade.storage.sql.engines import make_engine, ping
from stockade.storage.sql.migrate import check_schema, upgrade_schema
from stockade.storage.sql.models import Base

__all__ = [
    "Base",
    "NewAccount",
    "SQLAccountStore",
    "check_schema",
    "create_account",
    "create_tenant",
    "join_tenant",
    "make_engine",
    "ping",
    "upgrade_schema",
]
