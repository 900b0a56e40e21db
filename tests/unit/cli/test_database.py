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


APPLICATION = """
from fastapi import FastAPI
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from stockade import Settings, Stockade
from stockade.tenancy import TenantScoped

class Base(DeclarativeBase):
    pass

class Note(TenantScoped, Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)

app = FastAPI()
Stockade(Settings(environment="test"), models=[Base]).install(app)
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """An application with one model that belongs to tenants."""
    file = tmp_path / "application.py"
    file.write_text(APPLICATION, encoding="utf-8")
    return file


def test_rls_is_printed(run: CommandLine, application: Path) -> None:
    """Without a folder the migration is printed, and nothing else."""
    ran = run("db", "rls", str(application), "--role", "notes_tenant")
    assert (ran.status, ran.err) == (0, "")
    found: dict[str, object] = {}
    compile(ran.out, "migration", "exec")
    exec(ran.out, found)  # noqa: S102 - it is what is tested.
    assert found["down_revision"] is None
    assert "ALTER TABLE note FORCE ROW LEVEL SECURITY" in ran.out
    assert "TO notes_tenant" in ran.out


def test_rls_is_written_behind_the_newest(
    run: CommandLine, application: Path, tmp_path: Path
) -> None:
    """In Alembic's folder each migration follows the one before."""
    folder = tmp_path / "100%"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").touch()
    for _ in range(2):
        assert run("db", "rls", str(application), "--migrations", str(folder)).status == 0
    written = [path.read_text(encoding="utf-8") for path in (folder / "versions").glob("*.py")]
    revisions = {path.name.partition("_")[0] for path in (folder / "versions").glob("*.py")}
    parents = [line for text in written for line in text.splitlines() if "down_revision =" in line]
    assert len(written) == 2
    assert "down_revision = None" in parents
    assert any(f"down_revision = '{revision}'" in parents for revision in revisions)


@pytest.mark.parametrize("missing", ["env.py", "versions"])
def test_rls_needs_the_folder_of_alembic(
    run: CommandLine, application: Path, tmp_path: Path, missing: str
) -> None:
    """A folder that is not Alembic's is refused in one line."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    if missing != "env.py":
        (folder / "env.py").touch()
    ran = run("db", "rls", str(application), "--migrations", str(folder))
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
