"""Make accounts, and switch them off and on: ``stockade users``."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from stockade.cli.database import url_of_settings
from stockade.cli.loops import run
from stockade.cli.output import make_console
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authentication.models import Account
    from stockade.core.identity import TenantId, UserId

app = typer.Typer(
    name="users", help="Make accounts, and switch them off and on.", no_args_is_help=True
)
_Email = Annotated[str, typer.Argument(help="Address of the account.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An account that is to be made, but for its password."""

    email: str
    membership: tuple[TenantId, str] | None
    new_tenant: str | None
    is_super_admin: bool


@app.callback()
def _group() -> None:
    """Make accounts, and switch them off and on."""


@app.command()
def create(
    email: _Email,
    *,
    tenant: Annotated[
        str | None,
        typer.Option(help="Identifier of the tenant that it begins in.", show_default=False),
    ] = None,
    new_tenant: Annotated[
        str | None,
        typer.Option(help="Name of a tenant that is made for it.", show_default=False),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            help="Its role there: member, or owner of a new tenant, unless given.",
            show_default=False,
        ),
    ] = None,
    super_admin: Annotated[
        bool, typer.Option("--super-admin", help="Put it above all tenants.")
    ] = False,
) -> None:
    """Make an account; its password is asked for, or read from standard input."""
    if tenant is not None and new_tenant is not None:
        raise ConfigurationError("give either --tenant or --new-tenant")
    if role is not None and tenant is None and new_tenant is None:
        raise ConfigurationError("a role belongs to a tenant: give --tenant or --new-tenant")
    from stockade.core.identity import TenantId

    membership = None
    if tenant is not None or new_tenant is not None:
        # A new tenant gets an identifier that nobody can guess.
        place = TenantId(tenant or str(uuid.uuid4()))
        membership = (place, role or ("member" if new_tenant is None else "owner"))
    wanted = Wanted(email, membership, new_tenant, super_admin)
    user_id = run(_create(url_of_settings(), wanted, _ask_password()))
    make_console().print(f"Account {user_id} is made.")


@app.command()
def deactivate(
    email: _Email,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Do so although a tenant has no other owner.")
    ] = False,
) -> None:
    """Switch an account off, and end its sessions and tokens."""
    run(_switch(url_of_settings(), email, active=False, force=force))
    make_console().print("The account is off.")


@app.command()
def activate(email: _Email) -> None:
    """Switch an account on again; it has to sign in anew."""
    run(_switch(url_of_settings(), email, active=True))
    make_console().print("The account is on.")


def _ask_password() -> str:
    if sys.stdin.isatty():
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


async def _create(url: str, wanted: Wanted, password: str) -> UserId:
    from stockade.authentication.errors import PasswordTooLongError
    from stockade.authentication.hashers import choose_hasher
    from stockade.authentication.models import NewAccount
    from stockade.authentication.policy import PasswordPolicy
    from stockade.core.addresses import is_new_address
    from stockade.core.identity import UserType
    from stockade.settings import Settings
    from stockade.storage.sql import make_engine
    from stockade.storage.sql.accounts import add_account

    if not is_new_address(wanted.email):
        raise ConfigurationError("the address is none that mails reach")
    settings = Settings().authentication
    problems = PasswordPolicy(settings).check(
        password, context=(wanted.email, wanted.new_tenant or "")
    )
    if problems:
        told = " ".join(problem.message for problem in problems)
        raise ConfigurationError(f"the password can't be taken: {told}")
    hasher = choose_hasher(settings)
    try:
        hashed = hasher.hash(password)
    except PasswordTooLongError as error:
        message = f"the password can't be taken: {error}"
        raise ConfigurationError(message) from None
    account = NewAccount(
        email=wanted.email,
        password_hash=hashed,
        user_type=UserType.SUPER_ADMIN if wanted.is_super_admin else UserType.USER,
        membership=wanted.membership,
    )
    engine = make_engine(url)
    try:
        await add_account(engine, account, new_tenant=wanted.new_tenant)
    finally:
        await engine.dispose()
    return account.user_id


async def _switch(url: str, email: str, *, active: bool, force: bool = False) -> None:
    from datetime import UTC, datetime

    from stockade.authentication.models import Closing
    from stockade.storage.sql import SQLAccountStore, make_engine
    from stockade.storage.sql.sessions import SQLSessionStore

    engine = make_engine(url)
    try:
        store = SQLAccountStore(engine)
        account: Account | None = await store.find_by_email(email.lower())
        if account is None:
            raise ConfigurationError("there is no account with this address")
        outcome = await store.set_active(account.user_id, active=active, force=force)
        if outcome is Closing.LAST_OWNER:
            message = "a tenant would have no owner: make somebody else one first, or give --force"
            raise ConfigurationError(message)
        await SQLSessionStore(engine).revoke_all(account.user_id, now=datetime.now(UTC))
    finally:
        await engine.dispose()
