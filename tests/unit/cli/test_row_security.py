"""``stockade db rls`` writes a migration that Alembic takes."""

from pathlib import Path

import pytest

from tests.unit.cli.helpers import CommandLine

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
