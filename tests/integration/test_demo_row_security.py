"""On PostgreSQL the demo has a second wall, which its own migrations put there."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.integration.demo_server import ROOT, demo_environment, run_demo
from tests.servers import PostgresDatabase

EXAMPLE = ROOT / "examples" / "multi_tenant"
TABLES = ("notes", "comments", "projects", "project_notes", "departments")


def statements_of(migration: str) -> list[str]:
    """Return the SQL of a migration, in its order."""
    return [
        ast.literal_eval(call.args[0])
        for call in ast.walk(ast.parse(migration))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "op.execute"
    ]


def test_migration_is_what_the_command_writes(tmp_path: Path) -> None:
    """The committed migration says what `stockade db rls` writes for the models of today."""
    ran = subprocess.run(
        [sys.executable, "-m", "stockade", "db", "rls", "main:app"],
        cwd=EXAMPLE,
        env=demo_environment(tmp_path, {"PYTHONDONTWRITEBYTECODE": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (committed,) = (EXAMPLE / "migrations" / "versions").glob("*_row_level_security.py")
    wanted = statements_of(ran.stdout)
    assert len(wanted) > len(TABLES) * 6
    assert statements_of(committed.read_text("utf-8")) == wanted


@pytest.mark.postgres
def test_wall_holds_for_the_owner_of_the_tables(
    tmp_path: Path, postgres_database: PostgresDatabase
) -> None:
    """Whoever has the application's own credentials reads one company's rows, or none."""
    with run_demo(tmp_path, DATABASE_URL=postgres_database.dsn) as demo:
        assert "row-level security in force for the role of" in demo.out.read_text("utf-8")
        with demo.client("acme-member") as client:
            assert client.get("/notes").json()["total"] == 2
    with psycopg.connect(postgres_database.dsn, autocommit=True) as connection:
        for tenant, found in ((None, 0), ("", 0), ("nowhere", 0), ("acme", 1), ("globex", 1)):
            for table in set(TABLES) - {"departments"}:
                with connection.transaction():
                    if tenant is not None:
                        connection.execute(
                            "SELECT set_config('stockade.tenant_id', %s, true)", [tenant]
                        )
                    query = sql.SQL("SELECT count(*) > 0 FROM {}").format(sql.Identifier(table))
                    (seen,) = connection.execute(query).fetchone() or (None,)
                assert seen == bool(found), (tenant, table)
        foreign = "INSERT INTO project_notes VALUES ('acme-moon', 'globex-welcome')"
        with connection.transaction():
            connection.execute("SELECT set_config('stockade.tenant_id', 'acme', true)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(foreign)
    with psycopg.connect(postgres_database.admin_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (6,)


@pytest.mark.postgres
@pytest.mark.parametrize("fault", ["superuser", "unforced", "dropped"])
def test_wall_that_is_not_in_force_stops_the_start(
    tmp_path: Path, postgres_database: PostgresDatabase, fault: str
) -> None:
    """A role above the policies, a table without force and a missing policy end in one line."""
    if fault != "superuser":
        with run_demo(tmp_path, DATABASE_URL=postgres_database.dsn):
            pass
        change = {
            "unforced": "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY",
            "dropped": "DROP POLICY stockade_tenant ON comments",
        }[fault]
        with psycopg.connect(postgres_database.dsn, autocommit=True) as connection:
            connection.execute(change)
    url = postgres_database.admin_dsn if fault == "superuser" else postgres_database.dsn
    folder = tmp_path / "again"
    folder.mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "stockade", "demo", "--port", "0"],
        env=demo_environment(folder, {"DATABASE_URL": url}),
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = {"superuser": "BYPASSRLS", "unforced": "not forced", "dropped": "has no policy"}
    assert (ran.returncode, ran.stdout) == (2, "")
    assert wanted[fault] in ran.stderr
    lines = [line for line in ran.stderr.splitlines() if not line.startswith('{"event"')]
    assert len(lines) == 1, json.dumps(lines)


@pytest.mark.postgres
def test_superuser_may_go_without(tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    """Row-level security can be switched off, by name; the sessions still keep companies apart."""
    switch = {"STOCKADE_TENANCY__ROW_LEVEL_SECURITY": "off"}
    with run_demo(tmp_path, DATABASE_URL=postgres_database.admin_dsn, **switch) as demo:
        assert "row-level security in force" not in demo.out.read_text("utf-8")
        with demo.client("acme-member") as client:
            assert client.get("/notes").json()["total"] == 2
            assert client.get("/notes/globex-welcome").status_code == 404
