"""Call every endpoint of the demo with every verb as everybody, and hold each answer to a table.

The cells are generated: paths and verbs from the application itself, callers, targets and statuses
from the tables of `demo_cells`. An endpoint that no table knows fails the suite.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.integration.demo_cells import (
    BODIES,
    CALLERS,
    COMMENT,
    COMPANIES,
    NOTE,
    PLAIN,
    PROJECT,
    TARGETED,
    VERBS,
    Cell,
    cells,
    company_of,
    other_than,
)
from tests.integration.demo_server import ROOT, Demo, demo_environment, run_demo

# Stockade's own routes have suites of their own; here they are asked whether they know nobody.
OWN_PREFIXES: Final = ("/auth", "/tenants", "/docs", "/redoc", "/openapi.json")
# Those of them that are for whoever has no token yet, or any more.
FOR_NOBODY: Final = {
    ("POST", "/auth/token"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/revoke"),
    ("POST", "/auth/password/forgot"),
    ("POST", "/auth/password/reset"),
    ("POST", "/auth/email/allow"),
    ("POST", "/auth/email/confirm"),
    ("POST", "/tenants/invitations/look"),
    ("POST", "/tenants/invitations/register"),
}
PROGRAMS: Final = {
    "program": {"roles": ["member"], "scopes": ["projects:budget:read", "projects:budget:write"]},
    "robot": {"roles": ["admin"], "scopes": []},
}

LIST_ROUTES = """
import asyncio, json
from main import app, stockade

async def main():
    from database.setup import prepare_database
    await prepare_database()
    await stockade.start()
    print(json.dumps([[plan.label, plan.route, plan.access.value] for plan in stockade.plans()]))
    await stockade.stop()

asyncio.run(main())
"""


@pytest.fixture(
    scope="module",
    params=[pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """The demo, without limits: the matrix asks more often than anybody may.

    On PostgreSQL row-level security is in force, for a role that owns the tables.
    """
    folder = tmp_path_factory.mktemp("matrix")
    without_limits = {"STOCKADE_RATE_LIMITING__ENABLED": "false"}
    if request.param == "sqlite":
        with run_demo(folder, **without_limits) as running:
            yield running
        return
    with (
        request.getfixturevalue("postgres_server").database() as database,
        run_demo(folder, DATABASE_URL=database.dsn, **without_limits) as running,
    ):
        assert "row-level security in force" in running.out.read_text("utf-8")
        yield running


@dataclass
class Matrix:
    """A client for each caller, and what it takes to make targets."""

    clients: dict[str | None, httpx2.Client]
    made: dict[tuple[object, ...], dict[str, str]] = field(default_factory=dict)

    def make(self, author: str, path: str, body: object) -> str:
        """Make something as somebody and return its identifier."""
        answer = self.clients[author].post(path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def targets_of(self, cell: Cell) -> dict[str, str]:
        """Return the parameters of a path that are to a caller what the cell says."""
        if cell.target is None:
            return {}
        key = (cell.path, cell.caller, cell.target)
        # What is deleted is made anew; anything else may serve for several verbs.
        if key not in self.made:
            self.made[key] = self._make_targets(cell.path, cell.caller, cell.target)
        found = self.made[key]
        if cell.verb == "DELETE":
            del self.made[key]
        return found

    def _make_targets(self, path: str, caller: str | None, target: str) -> dict[str, str]:
        own = company_of(caller)
        other = other_than(own)
        me = f"{own}-member" if caller in {None, "super-admin"} else str(caller)
        colleague = f"{own}-admin" if me.endswith("owner") else f"{own}-owner"
        foreigner = f"{other}-owner"
        if target == "nobody's":
            return dict.fromkeys(("note_id", "comment_id", "project_id", "user_id"), "none") | {
                "company": "none"
            }
        if path.startswith("/support"):
            company = other if target == "foreign" else own
            stranger = company if target != "foreign note" else other
            return {"company": company, "user_id": f"{stranger}-member"}
        if path.startswith("/projects"):
            lead = {"mine": me, "colleague's": colleague, "private note": me, "foreign note": me}
            project = self.make(lead.get(target, foreigner), "/projects", PROJECT)
            writer = foreigner if target in {"foreign note", "both foreign"} else colleague
            note = {**NOTE, "private": target == "private note"}
            return {"project_id": project, "note_id": self.make(writer, "/notes", note)}
        if "{comment_id}" in path:
            return self._make_comment(target, me, colleague, foreigner)
        author = {"mine": me, "colleague's": colleague, "private": colleague}.get(target, foreigner)
        note = {**NOTE, "private": target == "private"}
        return {"note_id": self.make(author, "/notes", note)}

    def _make_comment(self, target: str, me: str, colleague: str, foreigner: str) -> dict[str, str]:
        author = {"colleague's": colleague, "private": colleague, "foreign": foreigner}.get(
            target, me
        )
        writer = foreigner if target == "foreign" else colleague
        note = self.make(writer, "/notes", {**NOTE, "private": target == "private"})
        comment = self.make(author, f"/notes/{note}/comments", COMMENT)
        if target == "astray":
            note = self.make(me, "/notes", NOTE)
        if target == "foreign note":
            note = self.make(foreigner, "/notes", NOTE)
        return {"note_id": note, "comment_id": comment}

    def ask(self, cell: Cell) -> tuple[httpx2.Response, dict[str, str]]:
        """Send the request of a cell; return the answer and its targets."""
        targets = self.targets_of(cell)
        other = other_than(company_of(cell.caller))
        answer = self.clients[cell.caller].request(
            cell.verb,
            cell.path.format(**targets),
            json=BODIES.get((cell.verb, cell.path)),
            params={"ticket": "SUP-17"} if cell.path.startswith("/support") else None,
            # Whatever a client says about its tenant is no reason to believe it.
            headers={"X-Tenant-ID": other, "X-Company": other, "X-User-Id": f"{other}-owner"},
        )
        return answer, targets

    def is_unharmed(self, cell: Cell, targets: dict[str, str]) -> bool:
        """Tell whether what belongs to the other company is still there, as it was."""
        owner = self.clients[f"{other_than(company_of(cell.caller))}-owner"]
        if "{comment_id}" in cell.path and cell.target == "foreign":
            found = owner.get(f"/notes/{targets['note_id']}/comments").json()
            return [each["id"] for each in found] == [targets["comment_id"]]
        if cell.path.startswith("/projects") and cell.target in {"foreign", "both foreign"}:
            answer = owner.get(f"/projects/{targets['project_id']}")
            notes = owner.get(f"/projects/{targets['project_id']}/notes")
            return bool(answer.json()["name"] == PROJECT["name"] and notes.json() == [])
        if cell.path.startswith("/support"):
            return True
        answer = owner.get(f"/notes/{targets['note_id']}")
        return answer.status_code == 200 and answer.json()["title"] == NOTE["title"]


@pytest.fixture(scope="module")
def matrix(demo: Demo) -> Iterator[Matrix]:
    """Everybody, signed in."""
    clients: dict[str | None, httpx2.Client] = {None: demo.client()}
    form = {"username": "super-admin@example.com", "password": "super-admin-password"}
    token = clients[None].post("/auth/token", data=form).json()["access_token"]
    clients["super-admin"] = demo.client(Authorization=f"Bearer {token}")
    for company in COMPANIES:
        for role in ("owner", "admin", "member"):
            clients[f"{company}-{role}"] = demo.client(f"{company}-{role}")
        for name, rights in PROGRAMS.items():
            wanted = {"name": name, "of_tenant": True, "expires_in_days": 1, **rights}
            # Nobody gives a program a role that is not the own one.
            maker = "admin" if "admin" in rights["roles"] else "owner"
            answer = clients[f"{company}-{maker}"].post("/auth/api-keys", json=wanted)
            assert answer.status_code == 201, answer.text
            made = answer.json()
            clients[f"{company}-{name}"] = demo.client(
                **{"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}
            )
    assert set(clients) == set(CALLERS)
    yield Matrix(clients)
    for client in clients.values():
        client.close()


def routes(folder: Path) -> list[tuple[str, str, str]]:
    """Read verb, path and access of every route from the application itself."""
    run = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES],
        cwd=ROOT / "examples" / "multi_tenant",
        env=demo_environment(
            folder,
            {
                "DATABASE_URL": f"sqlite:///{folder / 'db'}",
                "STOCKADE_ENVIRONMENT": "test",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    found = [
        (label.split(" ")[0], path, access)
        for label, path, access in json.loads(run.stdout.splitlines()[-1])
    ]
    return [each for each in found if each[0] in VERBS]


def test_every_endpoint_is_in_the_table(tmp_path: Path) -> None:
    """Whoever adds an endpoint says here who may call it."""
    found = {(verb, path) for verb, path, _ in routes(tmp_path)}
    own = {(verb, path) for verb, path in found if path.startswith(OWN_PREFIXES)}
    assert found - own == {*PLAIN, *TARGETED}
    assert own >= FOR_NOBODY


def test_matrix(matrix: Matrix) -> None:
    """Every cell is answered as the table says, and no answer shows the other company."""
    wrong = []
    tried = 0
    for cell in cells():
        tried += 1
        answer, targets = matrix.ask(cell)
        if answer.status_code != cell.status:
            wrong.append(f"{cell}: {answer.status_code}, not {cell.status}")
        wrong += [f"{cell}: {each}" for each in leaks(cell, answer)]
        # By its caller's company a super admin's target is nobody's in particular.
        if "foreign" in (cell.target or "") and not matrix.is_unharmed(cell, targets):
            wrong.append(f"{cell}: what belongs to the other company was harmed")
    assert "\n".join(wrong) == ""
    assert tried > 3000


def leaks(cell: Cell, answer: httpx2.Response) -> Iterator[str]:
    """Yield what an answer shows and should not."""
    if answer.headers.get("cache-control") != "no-store" or "etag" in answer.headers:
        yield "the answer may be kept by a cache"
    if cell.caller is None or cell.caller == "super-admin":
        return
    if other_than(company_of(cell.caller)) in answer.text.lower():
        yield "the answer shows the other company"
    if cell.caller.endswith("member") and "budget" in answer.text:
        yield "the answer shows a budget to a member"


@pytest.mark.parametrize("role", ["owner", "admin", "member", "program", "robot"])
def test_foreign_and_absent_are_alike(matrix: Matrix, role: str) -> None:
    """Of every cell that answers 404, neither body nor headers tell which kind of 404 it is."""
    seen: dict[str, set[str]] = {}
    for cell in cells():
        if cell.caller != f"acme-{role}" or cell.status != 404 or cell.target is None:
            continue
        answer, _ = matrix.ask(cell)
        body = {**answer.json(), "request_id": ""}
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in {"x-request-id", "date"}
        }
        seen.setdefault(f"{cell.verb} {cell.path}", set()).add(json.dumps([body, headers]))
    assert seen
    assert {route: answers for route, answers in seen.items() if len(answers) > 1} == {}


def test_own_routes_know_nobody(matrix: Matrix, tmp_path: Path) -> None:
    """Of Stockade's routes, those that act for a caller refuse whoever is nobody."""
    open_to_nobody = set()
    asked = 0
    for verb, path, access in routes(tmp_path):
        if path.startswith(OWN_PREFIXES):
            asked += 1
            status = matrix.clients[None].request(verb, path.replace("{", "").replace("}", ""))
            if status.status_code != 401:
                assert access == "public", path
                open_to_nobody.add((verb, path))
    assert asked > 20
    assert open_to_nobody == FOR_NOBODY


@pytest.mark.parametrize("field_name", ["tenant_id", "active_tenant_id", "author", "id", "lead"])
@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/notes", NOTE),
        ("POST", "/projects", PROJECT),
        ("PUT", "/projects/acme-moon", PROJECT),
        ("POST", "/notes/acme-welcome/comments", COMMENT),
        ("PUT", "/projects/acme-moon/budget", {"budget": 1}),
    ],
)
def test_body_names_no_tenant(
    matrix: Matrix, field_name: str, verb: str, path: str, body: dict[str, object]
) -> None:
    """A body that names a tenant, an author or a key is refused instead of being believed."""
    client = matrix.clients["acme-program" if path.endswith("budget") else "acme-owner"]
    answer = client.request(verb, path, json={**body, field_name: "globex"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("race", ["comment", "rewrite", "attach", "detach"])
def test_races_are_no_faults(matrix: Matrix, race: str) -> None:
    """Whoever comes too late gets an answer that says so, and never one of a broken server."""
    owner, admin = matrix.clients["acme-owner"], matrix.clients["acme-admin"]
    project = matrix.make("acme-owner", "/projects", PROJECT)
    for _ in range(3):
        note = matrix.make("acme-owner", "/notes", NOTE)
        verb, path, body = {
            "comment": ("POST", f"/notes/{note}/comments", COMMENT),
            "rewrite": ("PUT", f"/notes/{note}", NOTE),
            "attach": ("PUT", f"/projects/{project}/notes/{note}", None),
            "detach": ("DELETE", f"/projects/{project}/notes/{note}", None),
        }[race]

        def ask(
            place: int,
            verb: str = verb,
            path: str = path,
            body: object = body,
            deleted: str = f"/notes/{note}",
        ) -> int:
            if place == 3:
                return owner.delete(deleted).status_code
            return admin.request(verb, path, json=body).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(ask, range(8)))
        # 403 is what isolation says of a row that is gone between its look-up and the write.
        assert statuses <= {200, 201, 204, 403, 404, 409}
