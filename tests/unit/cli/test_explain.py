from pathlib import Path

import pytest

from tests.unit.cli.helpers import CommandLine, Ran, write_module

SOURCE = """
from fastapi import Depends, FastAPI
from stockade import Settings, Stockade, public, require_any, require_permission
from stockade.authentication import Account
from stockade.storage.memory.accounts import MemoryAccountStore

ROLES = {"member": [], "admin": ["notes:note:write"], "owner": []}
MIA = Account(
    user_id="mia", email="mia@example.com", user_type="user", password_hash="", active=True,
    token_epoch=0, tenant_id="acme", roles=frozenset({"admin"}),
)
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
stockade = Stockade(
    Settings(authorization={"roles": ROLES, "inherits": {"owner": ["admin"]}}),
    accounts=MemoryAccountStore([MIA]),
)
stockade.install(app)

@app.put("/notes/{note_id}", dependencies=[Depends(require_permission("notes:note:write"))])
async def write() -> None: ...

@app.get("/notes/{note_id}")
@public("notes are for everybody")
async def read() -> None: ...

@app.get("/closed")
async def closed() -> None: ...
"""


@pytest.fixture
def explain(run: CommandLine, tmp_path: Path) -> "Explain":
    """Run `explain` on an application."""
    return Explain(run, write_module(tmp_path, SOURCE) + ":app")


class Explain:
    def __init__(self, run: CommandLine, target: str) -> None:
        self._run = run
        self._target = target

    def __call__(self, *arguments: str) -> Ran:
        """Ask about a route."""
        return self._run("explain", self._target, *arguments)


@pytest.mark.parametrize(
    ("arguments", "verdict", "line"),
    [
        (["--user", "mia@example.com"], "may call", "yes  permission notes:note:write: role admin"),
        (["--role", "owner"], "may call", "role owner, which inherits admin"),
        (["--role", "member"], "may not call", "roles that give it: admin, owner"),
    ],
    ids=["account", "inherited", "missing"],
)
def test_a_verdict_comes_with_its_reasons(
    explain: Explain, arguments: list[str], verdict: str, line: str
) -> None:
    """The first line says whether, and the others why."""
    ran = explain("PUT /notes/{note_id}", *arguments)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"{verdict} PUT /notes/{{note_id}} (authorization.")
    assert line in ran.out


def test_open_and_closed_routes_have_a_reason(explain: Explain) -> None:
    """An open route shows why it is open, and one without a policy that it is closed."""
    opened = explain("GET /notes/{note_id}", "--role", "member")
    assert opened.out.startswith("may call")
    assert "notes are for everybody" in opened.out
    closed = explain("GET /closed", "--role", "owner")
    assert closed.out.startswith("may not call GET /closed (gate.no_policy)")


@pytest.mark.parametrize(
    "arguments",
    [
        ["GET /nowhere", "--role", "member"],
        ["DELETE /notes/{note_id}", "--role", "member"],
        ["/notes/{note_id}", "--role", "member"],
        ["GET /closed"],
        ["GET /closed", "--role", "member", "--user", "mia@example.com"],
        ["GET /closed", "--user", "nobody@example.com"],
        ["GET /closed", "--user", "mia@example.com", "--tenant", "globex"],
    ],
    ids=["path", "method", "no-method", "nobody", "both", "unknown", "no-member"],
)
def test_a_question_that_has_no_answer_is_refused(explain: Explain, arguments: list[str]) -> None:
    """A route or a caller that is not there ends in one line and status 2."""
    ran = explain(*arguments)
    assert ran.status == 2
    assert len(ran.err.splitlines()) == 1
