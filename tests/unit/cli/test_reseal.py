import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stockade.authentication.factors import make_sealer
from stockade.authentication.totp import TOTPFactor, owner_of
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from stockade.storage.sql.factors import SQLFactorStore
from tests.unit.authentication.helpers import NEW, OLD
from tests.unit.cli.helpers import CommandLine

ANA = UserId("ana")


async def make_database(url: str) -> None:
    """Make a database with one app, sealed with the old key."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        await create_account(connection, NewAccount(email="ana", password_hash="", user_id=ANA))
    sealed = make_sealer(KeyRing([OLD])).seal(b"s", owner=owner_of("1", ANA))
    factor = TOTPFactor(
        factor_id="1", user_id=ANA, sealed=sealed, created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    await SQLFactorStore(engine).enrol_totp(factor)
    await engine.dispose()


def test_secrets_are_sealed_with_the_newest_key(
    run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; after that there is nothing to do, and a ring without their key is told of."""
    url = f"sqlite:///{tmp_path / 'a.sqlite3'}"
    asyncio.run(make_database(url))
    monkeypatch.setenv("STOCKADE_DATABASE_URL", url)
    monkeypatch.setenv("STOCKADE_SECRET_KEYS", f"{OLD},{NEW}")
    for count in (1, 0):
        ran = run("keys", "reseal")
        assert (ran.status, ran.out) == (0, f"{count} sealed with the newest key.\n")
    monkeypatch.setenv("STOCKADE_SECRET_KEYS", OLD)
    ran = run("keys", "reseal")
    assert ran.status == 0
    assert ran.out.startswith("0 sealed with the newest key.\n1 can't be opened")


@pytest.mark.parametrize("missing", ["STOCKADE_DATABASE_URL", "STOCKADE_SECRET_KEYS"])
def test_it_needs_what_the_application_has(
    run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """One line says what is missing."""
    monkeypatch.setenv("STOCKADE_DATABASE_URL", f"sqlite:///{tmp_path / 'a.sqlite3'}")
    monkeypatch.setenv("STOCKADE_SECRET_KEYS", NEW)
    monkeypatch.delenv(missing)
    ran = run("keys", "reseal")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert missing in ran.err
