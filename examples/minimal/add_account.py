"""Add an account: ``python add_account.py EMAIL COMPANY ROLE``; the password is asked for."""

import asyncio
import sys
from getpass import getpass

from stockade import Settings
from stockade.authentication import BcryptHasher
from stockade.errors import ConfigurationError, StoreError
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
)
from stockade.storage.sql.engines import store_errors

# For a password that stands alone (NIST SP 800-63B-4, section 3.1.1.2).
SHORTEST_PASSWORD = 15


async def add_account(settings: Settings, email: str, company: str, role: str) -> None:
    if settings.database_url is None:
        message = "no database: set STOCKADE_DATABASE_URL"
        raise ConfigurationError(message)
    password = getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST_PASSWORD:
        message = f"a password has at least {SHORTEST_PASSWORD} characters"
        raise ConfigurationError(message)
    hasher = BcryptHasher(cost=settings.authentication.bcrypt_cost)
    account = NewAccount(email=email, password_hash=hasher.hash(password))
    engine = make_engine(settings.database_url.get_secret_value())
    try:
        async with store_errors(), engine.begin() as connection:
            user_id = await create_account(connection, account)
            tenant_id = await create_tenant(connection, company)
            await join_tenant(connection, user_id, tenant_id, role=role, is_default=True)
    finally:
        await engine.dispose()


if __name__ == "__main__":
    try:
        asyncio.run(add_account(Settings(), *sys.argv[1:]))
    except (ConfigurationError, StoreError) as error:
        sys.exit(str(error))
