import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.authentication.hashers import choose_hasher
from stockade.authentication.models import Account
from stockade.cli.loops import run as run_async
from stockade.settings import Settings
from stockade.storage.sql import SQLAccountStore, make_engine
from tests.unit.authentication.helpers import random_password
from tests.unit.cli.helpers import CommandLine, Ran

ANA = "ana@example.org"
PASSWORD = random_password()


@pytest.fixture
def url(run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a database with our tables, which the settings name."""
    address = f"sqlite:///{tmp_path / 'a.sqlite3'}"
    monkeypatch.setenv("STOCKADE_DATABASE_URL", address)
    monkeypatch.setenv("STOCKADE_AUTHENTICATION__BCRYPT_COST", "4")
    assert run("db", "upgrade").status == 0
    return address


@pytest.fixture
def create(run: CommandLine, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Make an account, with a password from standard input."""

    def call(*arguments: str, password: str = PASSWORD) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        return run("users", "create", *arguments)

    return call


def find(url: str, email: str = ANA) -> Account | None:
    """Read an account."""

    async def read() -> Account | None:
        engine = make_engine(url)
        try:
            return await SQLAccountStore(engine).find_by_email(email)
        finally:
            await engine.dispose()

    return run_async(read())


def require(url: str, email: str = ANA) -> Account:
    """Read an account that is there."""
    found = find(url, email)
    assert found is not None
    return found


def test_an_account_is_made(create: Callable[..., Ran], url: str) -> None:
    """Its password signs in; neither it nor its hash is printed."""
    ran = create("Ana@example.org")
    account = require(url)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"Account {account.user_id} is made.\n"
    assert choose_hasher(Settings().authentication).verify(PASSWORD, account.password_hash)
    assert (account.user_type, account.tenant_id, account.active) == ("user", None, True)


def test_an_account_is_made_in_a_tenant(create: Callable[..., Ran], url: str) -> None:
    """A new one, as its owner; then a second account in the same one."""
    assert create(ANA, "--new-tenant", "Acme").status == 0
    ana = require(url)
    assert ana.roles == {"owner"}
    assert create("bea@example.org", "--tenant", str(ana.tenant_id)).status == 0
    assert create("cleo@example.org", "--tenant", str(ana.tenant_id), "--role", "admin").status == 0
    bea, cleo = require(url, "bea@example.org"), require(url, "cleo@example.org")
    assert (bea.tenant_id, bea.roles) == (ana.tenant_id, frozenset({"member"}))
    assert (cleo.tenant_id, cleo.roles) == (ana.tenant_id, frozenset({"admin"}))


def test_an_account_is_put_above_tenants(create: Callable[..., Ran], url: str) -> None:
    """By its own option alone."""
    assert create(ANA, "--super-admin").status == 0
    assert require(url).user_type == "super_admin"


@pytest.mark.parametrize(
    "arguments",
    [
        ("no address",),
        ("ana@localhost",),
        ("ana@example.org, eve@example.org",),
        (ANA, "--tenant", "nowhere"),
        (ANA, "--tenant", "a", "--new-tenant", "b"),
        (ANA, "--role", "owner"),
    ],
)
def test_what_does_not_fit_makes_nothing(
    create: Callable[..., Ran], url: str, arguments: tuple[str, ...]
) -> None:
    """One line says why."""
    ran = create(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert find(url) is None


@pytest.mark.parametrize("password", ["", "short", "passwordpassword", "ana@example.org-ana"])
def test_a_weak_password_makes_nothing(create: Callable[..., Ran], url: str, password: str) -> None:
    """The rules are those of every new password; it is not repeated."""
    ran = create(ANA, password=password)
    assert ran.status == 2
    assert not password or password not in ran.err.replace("password can't", "")
    assert find(url) is None


def test_an_address_has_one_account(create: Callable[..., Ran], url: str) -> None:
    """A second one is refused with its tenant, and the first one stays."""
    assert create(ANA).status == 0
    before = require(url)
    assert create(ANA.upper().replace("ORG", "org"), "--new-tenant", "Acme").status == 2
    assert require(url) == before


def test_an_account_is_switched_off_and_on(
    create: Callable[..., Ran], run: CommandLine, url: str
) -> None:
    """Tokens of before end with the first and do not come back with the second."""
    assert create(ANA).status == 0
    assert run("users", "deactivate", ANA.upper()).out == "The account is off.\n"
    off = require(url)
    assert (off.active, off.token_epoch) == (False, 1)
    assert run("users", "activate", ANA).out == "The account is on.\n"
    on = require(url)
    assert (on.active, on.token_epoch) == (True, 2)


def test_the_last_owner_is_switched_off_by_force_alone(
    run: CommandLine, url: str, create: Callable[..., Ran]
) -> None:
    """A tenant that nobody can act for is no slip of the pen."""
    assert create(ANA, "--new-tenant", "Acme").status == 0
    ran = run("users", "deactivate", ANA)
    assert (ran.status, ran.out) == (2, "")
    assert "--force" in ran.err
    assert require(url).active
    assert run("users", "deactivate", ANA, "--force").status == 0
    assert not require(url).active
    assert run("users", "activate", ANA).status == 0


@pytest.mark.parametrize("command", ["activate", "deactivate"])
def test_an_account_that_is_not_there_is_said(run: CommandLine, url: str, command: str) -> None:
    """It may be a slip of the pen."""
    ran = run("users", command, "nobody@example.org")
    assert (ran.status, ran.out) == (2, "")
    assert "no account" in ran.err


def test_accounts_need_a_database(run: CommandLine) -> None:
    """Without one the commands say how to name one."""
    for arguments in (("create", ANA), ("deactivate", ANA), ("activate", ANA)):
        ran = run("users", *arguments)
        assert ran.status == 2
        assert "STOCKADE_DATABASE_URL" in ran.err
