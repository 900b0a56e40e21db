"""Call every endpoint of the demo with every verb as everybody, and hold each answer to a table.

The cells are generated: paths and verbs from the application itself, callers and targets from the
tables below. An endpoint that no table knows fails the suite.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.integration.demo_server import ROOT, Demo, demo_environment, run_demo

VERBS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
COMPANIES: Final = ("acme", "globex")
ROLES: Final = ("owner", "admin", "member")
CALLERS: Final = (
    None,
    "super-admin",
    *(f"{company}-{role}" for company in COMPANIES for role in ROLES),
)
TARGETS: Final = ("mine", "colleague's", "foreign", "nobody's")
NOTE: Final = {"title": "A note", "body": "<p>Of the matrix.</p>"}
BODIES: Final = {
    ("POST", "/notes"): NOTE,
    ("PUT", "/notes/{note_id}"): NOTE,
    ("PUT", "/notes/export"): NOTE,
    ("POST", "/companies/departments"): {"name": "Sales", "description": "They sell."},
}
# Statuses of: nobody, super admin, owner, admin, member.
PLAIN: Final = {
    ("GET", "/health"): (200, 200, 200, 200, 200),
    ("GET", "/notes"): (401, 403, 200, 200, 200),
    ("POST", "/notes"): (401, 403, 201, 201, 201),
    ("GET", "/notes/export"): (401, 403, 200, 200, 200),
    ("GET", "/companies"): (401, 200, 403, 403, 403),
    ("GET", "/companies/departments"): (401, 403, 200, 200, 200),
    ("POST", "/companies/departments"): (401, 403, 201, 201, 403),
    # Whoever runs the whole system has every role, and no company whose members could be listed.
    ("POST", "/companies/admin-endpoint"): (401, 200, 200, 200, 403),
    ("POST", "/companies/endpoint"): (401, 200, 200, 200, 200),
}
# Verbs that the route of one note takes for a note by the name of another path.
SHADOWED: Final = {
    ("PUT", "/notes/export"): (401, 403, 404, 404, 404),
    ("DELETE", "/notes/export"): (401, 403, 404, 404, 403),
}
# The same by target. Who may not know that a note exists gets 404, as if it did not.
TARGETED: Final = {
    ("GET", "/notes/{note_id}"): {
        "mine": (401, 403, 200, 200, 200),
        "colleague's": (401, 403, 200, 200, 200),
        "foreign": (401, 403, 404, 404, 404),
        "nobody's": (401, 403, 404, 404, 404),
    },
    ("PUT", "/notes/{note_id}"): {
        "mine": (401, 403, 200, 200, 200),
        "colleague's": (401, 403, 200, 200, 403),
        "foreign": (401, 403, 404, 404, 404),
        "nobody's": (401, 403, 404, 404, 404),
    },
    ("DELETE", "/notes/{note_id}"): {
        "mine": (401, 403, 204, 204, 403),
        "colleague's": (401, 403, 204, 204, 403),
        "foreign": (401, 403, 404, 404, 403),
        "nobody's": (401, 403, 404, 404, 403),
    },
}
# Paths all of whose verbs take a role.
FOR_ADMINS: Final = {"/companies/admin-endpoint"}
# Stockade's own routes have suites of their own; here they are asked whether they know nobody.
OWN_PREFIXES: Final = ("/auth", "/docs", "/redoc", "/openapi.json")

LIST_ROUTES = """
import asyncio, json
from main import app, stockade

async def main():
    from database.setup import prepare_database
    await prepare_database()
    await stockade.start()
    print(json.dumps([[plan.label, plan.route] for plan in stockade.plans()]))
    await stockade.stop()

asyncio.run(main())
"""


@dataclass(frozen=True)
class Cell:
    """One request and the status that answers it."""

    verb: str
    path: str
    caller: str | None
    target: str | None
    status: int

    def __str__(self) -> str:
        return f"{self.verb} {self.path} as {self.caller} at {self.target}"


def company_of(caller: str) -> str:
    """Return the company of an account."""
    return caller.partition("-")[0]


def expected(verb: str, path: str, caller: str | None, target: str | None) -> int:
    """Return what a request has to be answered with."""
    statuses = {**PLAIN, **SHADOWED}.get((verb, path)) or TARGETED.get((verb, path), {}).get(
        target or ""
    )
    if statuses is None:
        # Whoever may not call a path is not even told its verbs.
        if caller is None:
            return 405 if path == "/health" else 401
        return 403 if path in FOR_ADMINS and caller.endswith("member") else 405
    if caller is None:
        return statuses[0]
    if caller == "super-admin":
        return statuses[1]
    return statuses[2 + ROLES.index(caller.partition("-")[2])]


def cells() -> Iterator[Cell]:
    """Yield every combination."""
    for path in sorted({path for _, path in (*PLAIN, *TARGETED)}):
        targets: tuple[str | None, ...] = TARGETS if "{" in path else (None,)
        for verb in VERBS:
            for caller in CALLERS:
                for target in targets:
                    status = expected(verb, path, caller, target)
                    yield Cell(verb, path, caller, target, status)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, without limits: the matrix asks more often than anybody may."""
    folder = tmp_path_factory.mktemp("matrix")
    with run_demo(folder, STOCKADE_RATE_LIMITING__ENABLED="false") as running:
        yield running


@dataclass
class Matrix:
    """A client for each caller, and what it takes to make targets."""

    clients: dict[str | None, httpx2.Client]

    def write_note(self, author: str) -> str:
        """Write a note as somebody and return its identifier."""
        answer = self.clients[author].post("/notes", json=NOTE)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def make_target(self, cell: Cell) -> str:
        """Return the identifier of a note that is to a caller what the cell says."""
        if cell.target == "nobody's":
            return "there-is-none"
        caller = cell.caller or "acme-member"
        company = company_of(caller) if caller != "super-admin" else "acme"
        if cell.target == "foreign":
            return self.write_note("globex-owner" if company == "acme" else "acme-owner")
        if cell.target == "mine" and cell.caller in {None, "super-admin"}:
            return self.write_note("acme-member")
        if cell.target == "mine":
            return self.write_note(caller)
        colleague = "admin" if caller.endswith("owner") else "owner"
        return self.write_note(f"{company}-{colleague}")

    def ask(self, cell: Cell) -> tuple[httpx2.Response, str]:
        """Send the request of a cell; return the answer and the identifier of its target."""
        note = self.make_target(cell) if cell.target is not None else ""
        other = "globex" if (cell.caller or "").startswith("acme") else "acme"
        answer = self.clients[cell.caller].request(
            cell.verb,
            cell.path.replace("{note_id}", note),
            json=BODIES.get((cell.verb, cell.path)),
            # Whatever a client says about its tenant is no reason to believe it.
            headers={"X-Tenant-ID": other, "X-Company": other, "X-User-Id": f"{other}-owner"},
        )
        return answer, note

    def is_unharmed(self, note: str, caller: str) -> bool:
        """Tell whether a note is still there for its own company."""
        owner = "globex-owner" if company_of(caller) == "acme" else "acme-owner"
        answer = self.clients[owner].get(f"/notes/{note}")
        return answer.status_code == 200 and answer.json()["title"] == NOTE["title"]


@pytest.fixture(scope="module")
def matrix(demo: Demo) -> Iterator[Matrix]:
    """Everybody, signed in."""
    clients: dict[str | None, httpx2.Client] = {}
    for caller in CALLERS:
        if caller == "super-admin":
            form = {"username": "super-admin@example.com", "password": "super-admin-password"}
            with demo.client() as client:
                token = client.post("/auth/token", data=form).json()["access_token"]
            clients[caller] = demo.client(Authorization=f"Bearer {token}")
        else:
            clients[caller] = demo.client(caller)
    yield Matrix(clients)
    for client in clients.values():
        client.close()


def test_every_endpoint_is_in_the_table(tmp_path: Path) -> None:
    """Whoever adds an endpoint says here who may call it."""
    run = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES],
        cwd=ROOT / "examples" / "multi_tenant",
        env=demo_environment(
            tmp_path,
            {
                "DATABASE_URL": f"sqlite:///{tmp_path / 'db'}",
                "STOCKADE_ENVIRONMENT": "test",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    found = set()
    for label, path in json.loads(run.stdout.splitlines()[-1]):
        verb = label.split(" ")[0]
        if verb in VERBS and not path.startswith(OWN_PREFIXES):
            found.add((verb, path))
    assert found == {*PLAIN, *TARGETED}


def test_matrix(matrix: Matrix) -> None:
    """Every cell is answered as the table says, and no answer shows the other company."""
    wrong = []
    tried = 0
    for cell in cells():
        tried += 1
        answer, note = matrix.ask(cell)
        if answer.status_code != cell.status:
            wrong.append(f"{cell}: {answer.status_code}, not {cell.status}")
        if cell.caller is not None and cell.caller != "super-admin":
            other = "globex" if company_of(cell.caller) == "acme" else "acme"
            if other in answer.text.lower():
                wrong.append(f"{cell}: the answer shows the other company")
            if cell.target == "foreign" and not matrix.is_unharmed(note, cell.caller):
                wrong.append(f"{cell}: the other company's note was harmed")
    assert "\n".join(wrong) == ""
    assert tried > 500


@pytest.mark.parametrize("verb", VERBS)
def test_own_routes_know_nobody(matrix: Matrix, verb: str) -> None:
    """Of Stockade's routes, those that act for a caller refuse whoever is nobody."""
    for path in ("/auth/me", "/auth/sessions", "/auth/logout-all"):
        assert matrix.clients[None].request(verb, path).status_code == 401, path


@pytest.mark.parametrize("field", ["tenant_id", "active_tenant_id", "author", "id"])
def test_body_names_no_tenant(matrix: Matrix, field: str) -> None:
    """A body that names a tenant, an author or a key is refused instead of being believed."""
    answer = matrix.clients["acme-member"].post("/notes", json={**NOTE, field: "globex"})
    assert answer.status_code == 422
