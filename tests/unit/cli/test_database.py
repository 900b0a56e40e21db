import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.helpers import CommandLine


def tables(file: Path) -> set[str]:
    """Return the names of a database's tables."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}


def test_upgrade_creates_the_tables(run: CommandLine, tmp_path: Path) -> None:
    """An empty database gets Stockade's tables; a second run changes nothing."""
    file = tmp_path / "a.sqlite3"
    for _ in range(2):
        ran = run("db", "upgrade", f"sqlite:///{file}")
        assert (ran.status, ran.out, ran.err) == (0, "Stockade's tables are up to date.\n", "")
    assert tables(file) >= {"stockade_users", "stockade_tenants", "stockade_memberships"}


@pytest.mark.parametrize("name", ["STOCKADE_DATABASE_URL", "DATABASE_URL"])
def test_upgrade_takes_the_database_of_the_settings(
    run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Without an argument the settings say which database it is."""
    monkeypatch.setenv(name, f"sqlite:///{tmp_path / 'a.sqlite3'}")
    assert run("db", "upgrade").status == 0
    assert "stockade_users" in tables(tmp_path / "a.sqlite3")


def test_upgrade_needs_a_database(run: CommandLine) -> None:
    """Without a database the command says how to name one."""
    ran = run("db", "upgrade")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "stockade: no database: give its URL, or set STOCKADE_DATABASE_URL\n"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense-hunter2",
        "sqlite:////nowhere/hunter2/a.sqlite3",
        "postgresql://user:hunter2@127.0.0.1:1/name",
        "nosuch://user:hunter2@127.0.0.1/name",
    ],
)
def test_upgrade_of_what_is_no_database(run: CommandLine, url: str) -> None:
    """A database that can't be reached is one line, without the address and its password."""
    ran = run("db", "upgrade", url)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "hunter2" not in ran.err


def test_upgrade_of_a_newer_database(run: CommandLine, tmp_path: Path) -> None:
    """Tables of a later release are left alone, and that is told in one line."""
    file = tmp_path / "a.sqlite3"
    run("db", "upgrade", f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE stockade_alembic_version SET version_num = '9999'")
        connection.commit()
    ran = run("db", "upgrade", f"sqlite:///{file}")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1


def test_accounts_of_fastapi_users_are_taken_over(
    run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another database into the one of the settings, after a rehearsal."""
    with closing(sqlite3.connect(tmp_path / "old.sqlite3")) as old:
        old.execute(
            'CREATE TABLE "user" (id, email, hashed_password, is_active, is_superuser, is_verified)'
        )
        rows = [
            ("a" * 32, "ana@example.com", "", 1, 1, 1),
            ("b" * 32, "Ana@example.com", "", 1, 0, 0),
        ]
        old.executemany('INSERT INTO "user" VALUES (?, ?, ?, ?, ?, ?)', rows)
        old.commit()
    monkeypatch.setenv("STOCKADE_DATABASE_URL", f"sqlite:///{tmp_path / 'new.sqlite3'}")
    url = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    command = ("db", "import-fastapi-users", url, "--tenant", "Acme", "--role", "member")
    assert run(*command).status == 2
    assert run("db", "upgrade").status == 0
    assert run(*command[:-1], "nobody").status == 2

    rehearsal, done, again = run(*command, "--dry-run"), run(*command), run(*command)

    assert rehearsal.out.splitlines()[0] == "1 account would be made, 0 are there already."
    assert done.out.splitlines()[0] == "1 account was made, 0 are there already."
    assert again.out.splitlines()[0] == "0 accounts were made, 1 are there already."
    assert done.status == 1
    assert "another account has this address" in done.out
    assert "ana@example.com" not in done.out
    with closing(sqlite3.connect(tmp_path / "new.sqlite3")) as new:
        found = new.execute("SELECT id, user_type FROM stockade_users").fetchall()
    # By address, the capital letter comes first.
    assert found == [("bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb", "user")]
