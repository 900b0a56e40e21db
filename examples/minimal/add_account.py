"""Add an account: ``python add_account.py EMAIL COMPANY ROLE``; the password is asked for."""

import asyncio
import sys
from getpass import getpass

from stockade import Settings
from stockade.authentication import PasswordPolicy
from stockade.authentication.hashers import choose_hasher
from stockade.errors import ConfigurationError, StoreError
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
)
from stockade.storage.sql.engines import store_errors


async def add_account(settings: Settings, email: str, company: str, role: str) -> None:
    if settings.database_url is None:
        message = "no database: set STOCKADE_DATABASE_URL"
        raise ConfigurationError(message)
    password = getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    problems = PasswordPolicy(settings.authentication).check(password, context=(email, company))
    if problems:
        message = " ".join(problem.message for problem in problems)
        raise ConfigurationError(message)
    hasher = choose_hasher(settings.authentication)
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
