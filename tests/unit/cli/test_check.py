import sys
from pathlib import Path

import pytest

from tests.unit.cli.helpers import CommandLine, Ran, write_module

HEAD = """
from datetime import timedelta
from fastapi import Depends, FastAPI
from stockade import (
    Settings, Stockade, current_principal, public, rate_limit, require_fresh, require_role,
    unlimited,
)
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
"""
INSTALL = """
stockade = Stockade(Settings(rate_limiting={"enabled": True}))
stockade.install(app)
"""
HEALTH = """
@app.get("/health")
@public("probe of the load balancer")
async def health() -> None: ...
"""


@pytest.fixture
def check(run: CommandLine, tmp_path: Path) -> "Check":
    """Run `check` on the source of a module."""
    return Check(run, tmp_path)


class Check:
    def __init__(self, run: CommandLine, folder: Path) -> None:
        self._run = run
        self._folder = folder

    def __call__(self, *parts: str) -> Ran:
        """Check the application that the parts make up."""
        return self._run("check", write_module(self._folder, "".join(parts)) + ":app")


def test_routes_are_listed(check: Check) -> None:
    """Each route is a line with who may call it and how often."""
    ran = check(HEAD, INSTALL, HEALTH)
    assert (ran.status, ran.err) == (0, "")
    [line] = [line for line in ran.out.splitlines() if line.startswith("GET /health")]
    assert line.split("  ")[-1].strip() == "address:60/60s"
    assert "public" in line
    assert "probe of the load balancer" in line
    assert "off by setting: api_docs; every other layer in force" in ran.out


def test_nothing_is_called_off_where_all_is_on(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where no layer is off by setting does the check say that every one is in force."""
    monkeypatch.setenv("DOCS_USERNAME", "docs")
    monkeypatch.setenv("DOCS_PASSWORD", "correct horse battery staple")
    assert "routes, every layer in force." in check(HEAD, INSTALL, HEALTH).out


def test_needs_are_listed(
    check: Check, run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles, fresh sign-ins and limits of a route are in its line."""
    url = f"sqlite:///{tmp_path / 'a.sqlite3'}"
    monkeypatch.setenv("DATABASE_URL", url)
    run("db", "upgrade")
    ran = check(
        HEAD,
        INSTALL,
        """
@app.get("/roles", dependencies=[Depends(require_role("owner", "admin"))])
@rate_limit("7/hour")
async def roles() -> None: ...
@app.get("/fresh", dependencies=[Depends(require_fresh(timedelta(minutes=5)))])
async def fresh() -> None: ...
@app.get("/free", dependencies=[unlimited("for the tests"), Depends(current_principal)])
async def free() -> None: ...
@app.get("/closed")
async def closed() -> None: ...
""",
    )
    assert ran.status == 0, ran.err
    lines = {line.split()[1]: line for line in ran.out.splitlines() if line.startswith("GET ")}
    assert "admin|owner" in lines["/roles"]
    assert "user:7/3600s" in lines["/roles"]
    assert "a sign-in within 0:05:00" in lines["/fresh"]
    assert "for the tests" in lines["/free"]
    assert "closed" in lines["/closed"].split()


def test_layer_that_is_not_in_force(check: Check) -> None:
    """An application that can't start is told in one line, with status 2."""
    ran = check(
        HEAD, INSTALL, "@app.get('/me', dependencies=[Depends(current_principal)])\ndef me(): ..."
    )
    assert (ran.status, ran.out) == (2, "")
    assert "there are no accounts" in ran.err
    assert ran.err.count("\n") == 1


def test_every_problem_is_a_line(check: Check) -> None:
    """Two problems are two lines."""
    source = "@app.get('/{0}')\n@public('for the tests')\ndef {0}(text: str): ...\n"
    ran = check(HEAD, INSTALL, source.format("one"), source.format("two"))
    assert ran.status == 2
    assert [line.startswith("stockade: GET /") for line in ran.err.splitlines()] == [True, True]


def test_tables_that_are_missing(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database without our tables is told, with the command that creates them."""
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    ran = check(HEAD, INSTALL, HEALTH)
    assert (ran.status, ran.out) == (2, "")
    assert "stockade db upgrade" in ran.err


@pytest.mark.parametrize("rest", ["", "app = None\n"], ids=["unprotected", "nothing"])
def test_application_without_stockade(check: Check, rest: str) -> None:
    """An application without Stockade is no success."""
    ran = check(HEAD, HEALTH, rest)
    assert (ran.status, ran.out) == (2, "")
    assert "has no Stockade" in ran.err


def test_handlers_are_not_called(check: Check) -> None:
    """Checking serves nothing: no handler of the application runs."""
    ran = check(HEAD, INSTALL, HEALTH.replace("...", "raise SystemExit(9)"))
    assert ran.status == 0, ran.err


def test_excuses_are_listed(check: Check) -> None:
    """Each value without a bound has a line with its place and the reason."""
    ran = check(
        HEAD,
        INSTALL,
        """
from typing import Annotated, Any
from stockade.validation.bounds import unbounded
@app.post("/hook")
@public("for the tests")
def hook(payload: Annotated[dict[str, Any], unbounded("the sender decides")]): ...
""",
    )
    assert ran.status == 0, ran.err
    [line] = [line for line in ran.out.splitlines() if line.startswith("excused: ")]
    assert line.startswith("excused: POST /hook (")
    assert line.endswith("body.payload (dict): the sender decides")


STORED = """
from pydantic import BaseModel, Field
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
class Base(DeclarativeBase): ...
class Leaflet(Base):
    __tablename__ = "leaflets"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
class LeafletCreate(BaseModel):
    title: str = Field(max_length={most})
stockade = Stockade(Settings(), models=[Base])
stockade.install(app)
@app.post("/leaflets")
@public("for the tests")
def create(given: LeafletCreate): ...
"""


def test_columns_that_overflow_are_told(check: Check) -> None:
    """A body that takes more than its column is no success, and one line says which."""
    ran = check(HEAD, STORED.replace("{most}", "201"))
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    for part in ("POST /leaflets", "LeafletCreate.title", "leaflets.title", "max_length=200"):
        assert part in ran.err


def test_columns_that_are_let_pass_are_listed(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a setting lets pass is still told."""
    monkeypatch.setenv("STOCKADE_VALIDATION__COLUMNS", "warn")
    ran = check(HEAD, STORED.replace("{most}", "201"))
    assert ran.status == 0, ran.err
    [line] = [line for line in ran.out.splitlines() if line.startswith("let pass by setting: ")]
    assert "leaflets.title" in line


def test_schemas_that_were_compared_are_named(check: Check) -> None:
    """Nobody has to guess which schemas the check has found a model for."""
    ran = check(HEAD, STORED.replace("{most}", "200"))
    assert ran.status == 0, ran.err
    assert "Compared with their columns: LeafletCreate: Leaflet." in ran.out.splitlines()


def test_raw_sql_is_listed(check: Check) -> None:
    """Each declaration of SQL text has a line, with the places that name it and never ran."""
    ran = check(
        HEAD,
        INSTALL,
        """
from stockade import unsafe_raw
REPORT = unsafe_raw("the report of the books, without input")
@app.get("/report")
@public("for the tests")
def report() -> None:
    with REPORT(None):
        pass
""",
    )
    assert ran.status == 0, ran.err
    [line] = [line for line in ran.out.splitlines() if ", without input" in line]
    assert line.startswith("raw SQL: module_")
    assert "REPORT (held by nothing; used at " in line


def test_raw_sql_in_a_function(check: Check) -> None:
    """SQL text that a function would let in by itself stops the start, with file and line."""
    ran = check(
        HEAD,
        INSTALL,
        """
from stockade import unsafe_raw
@app.get("/report")
@public("for the tests")
def report() -> None:
    with unsafe_raw("declared where nobody knows it")(None):
        pass
""",
    )
    for name in [name for name in sys.modules if f" {name}.py:" in ran.err]:
        # Else the next application in this process would not start either.
        del sys.modules[name]
    assert (ran.status, ran.out) == (2, "")
    assert "unsafe_raw() is called in a function" in ran.err
    assert ran.err.count("\n") == 1
