"""Use the demo in other ways than by its launcher, and end it in every way."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo_server import ROOT, STOP_TIMEOUT, demo_environment

EXAMPLE = ROOT / "examples" / "multi_tenant"

# A test-suite of somebody who knows no more than that there is a `main:app`.
FOREIGN_SUITE = """
import json
from starlette.testclient import TestClient
from main import app

found = []
for _ in range(2):
    with TestClient(app) as client:
        form = {"username": "admin@acme.example", "password": "acme-admin-password"}
        token = client.post("/auth/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        made = client.post("/notes", headers=headers, json={"title": "t", "body": "b"})
        listed = client.get("/notes", headers=headers).json()
        # No limit applies in a local environment.
        exported = {client.get("/notes/export", headers=headers).status_code for _ in range(10)}
        found.append([
            client.get("/health").status_code, client.get("/notes").status_code,
            made.status_code, listed["total"], sorted(exported),
        ])
print(json.dumps(found))
"""

# Somebody adds a list and forgets to ask who may see what, and a model without a rule.
FORGETFUL = """
import json, sys
from fastapi import Depends, FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient
from stockade.errors import ConfigurationError
from main import app
from database.dependencies import Session, get_current_user
from database.notes.models import Note

@app.get("/forgetful", dependencies=[Depends(get_current_user)])
async def forgetful(session: Session) -> list[str]:
    return [note.title for note in await session.scalars(select(Note))]

with TestClient(app, raise_server_exceptions=False) as client:
    form = {"username": "member@acme.example", "password": "acme-member-password"}
    token = client.post("/auth/token", data=form).json()["access_token"]
    answer = client.get("/forgetful", headers={"Authorization": f"Bearer {token}"})
    print(json.dumps([answer.status_code, answer.json()["code"], "Diary" in answer.text]))
"""
RULELESS = """
import json
from starlette.testclient import TestClient
import database.projects
from database.projects.models import Project
from main import app
del Project.__stockade_rules__, Project.__stockade_scope__
try:
    with TestClient(app):
        pass
except BaseException as error:
    print(json.dumps(str(error)))
"""

# The three snippets of the security overview as they stand, but for where `Limiter` comes from.
SNIPPETS = """
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

router = APIRouter(prefix="/snippets")

class EntityCreate(BaseModel):
    name: str = Field(..., max_length=100)
    description: str = Field(..., max_length=500)

from database.dependencies import get_current_user, require_admin_role

@router.post("/admin-endpoint")
async def admin_endpoint(
    token: dict = Depends(get_current_user),
    _: None = Depends(require_admin_role)
):
    # Endpoint implementation
    return token["user_id"]

from stockade.rate_limiting import Limiter
from utils.rate_limiter import get_rate_limit_key

limiter = Limiter(key_func=get_rate_limit_key)

@router.post("/endpoint")
@limiter.limit("100/minute")
async def endpoint(token: dict = Depends(get_current_user)):
    # Auto-detects: IP-based for public, user-based for authenticated
    return token["email"]

@router.post("/entities")
async def create(entity: EntityCreate, token: dict = Depends(get_current_user)):
    return entity

from main import app

app.include_router(router)

import json
from starlette.testclient import TestClient
from utils.security import sanitize_html

found = {}
with TestClient(app) as client:
    for role in ("owner", "admin", "member"):
        form = {"username": f"{role}@acme.example", "password": f"acme-{role}-password"}
        token = client.post("/auth/token", data=form).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        found[role] = [client.post("/snippets/" + path).status_code
                       for path in ("admin-endpoint", "endpoint", "entities")]
    limited = client.post("/snippets/endpoint")
    found["policy"] = limited.headers.get("ratelimit-policy")
    entity = {"name": "n" * 100, "description": "d"}
    found["entity"] = [client.post("/snippets/entities", json=given).status_code
                       for given in (entity, {**entity, "name": "n" * 101})]
    client.headers.pop("Authorization")
    found["nobody"] = [client.post("/snippets/" + path).status_code
                       for path in ("admin-endpoint", "endpoint", "entities")]
found["html"] = sanitize_html("<p onclick=x()>a</p><script>b</script>")
print(json.dumps(found))
"""


def run_script(script: str, folder: Path, **environment: str) -> Any:  # noqa: ANN401 - JSON
    """Run a script beside the example's `main`, and return the JSON that it prints."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=EXAMPLE,
        env=demo_environment(folder, environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


def test_foreign_suite_needs_nothing(tmp_path: Path) -> None:
    """`main:app` runs under a TestClient with an empty environment, and leaves nothing behind."""
    first, second = run_script(FOREIGN_SUITE, tmp_path)
    assert first == [200, 401, 201, 3, [200]]
    # The second start finds what the first one has stored.
    assert second == [200, 401, 201, 4, [200]]
    assert list(tmp_path.iterdir()) == []


def test_foreign_suite_brings_its_database(tmp_path: Path) -> None:
    """With DATABASE_URL the rows are there and stay there."""
    url = f"sqlite:///{tmp_path / 'own.sqlite3'}"
    run_script(FOREIGN_SUITE, tmp_path, DATABASE_URL=url)
    assert run_script(FOREIGN_SUITE, tmp_path, DATABASE_URL=url)[1][3] == 6


@pytest.mark.postgres
def test_foreign_suite_brings_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """The same holds on PostgreSQL, for an ordinary role."""
    assert run_script(FOREIGN_SUITE, tmp_path, DATABASE_URL=postgres_url)[0][3] == 3


def test_forgotten_check_is_no_answer(tmp_path: Path) -> None:
    """A handler that lists notes and asks no rule is held back, private notes with it."""
    assert run_script(FORGETFUL, tmp_path) == [500, "unchecked_object", False]


def test_model_without_rules_stops_the_start(tmp_path: Path) -> None:
    """What belongs to a company and has no rules is named, and nothing is served."""
    assert "Project" in run_script(RULELESS, tmp_path)


def test_snippets_run_as_they_stand(tmp_path: Path) -> None:
    """What teams have copied for years runs, and is enforced."""
    found = run_script(SNIPPETS, tmp_path, STOCKADE_RATE_LIMITING__ENABLED="true")
    assert found["owner"] == found["admin"] == [200, 200, 422]
    assert found["member"] == [403, 200, 422]
    assert found["nobody"] == [401, 401, 401]
    assert found["entity"] == [200, 422]
    assert '"user:100/60s";q=100;w=60' in found["policy"]
    assert found["html"] == "<p>a</p>"


def test_minimal_example(tmp_path: Path) -> None:
    """The smallest example runs by the four commands that it names."""
    environment = demo_environment(
        tmp_path,
        {
            "STOCKADE_ENVIRONMENT": "local",
            "DATABASE_URL": f"sqlite:///{tmp_path / 'app.sqlite3'}",
        },
    )

    def run(*command: str, given: str = "") -> str:
        ran = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT / "examples" / "minimal",
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    run("-m", "stockade", "db", "upgrade")
    run("add_account.py", "ada@example.com", "Acme", "admin", given="a password of ada\n")
    assert "POST /announcements" in run("-m", "stockade", "check", "main:app")
    script = """
from starlette.testclient import TestClient
from main import app
with TestClient(app) as client:
    form = {"username": "ada@example.com", "password": "a password of ada"}
    token = client.post("/auth/token", data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    print(client.get("/greeting", headers=headers).json())
    print(client.post("/announcements", headers=headers, json={"text": "hi"}).json()["from"])
    print(client.post("/announcements", json={"text": "hi"}).status_code)
"""
    assert run("-c", script).split("\n")[:3] == [
        "Hello, ada@example.com",
        "ada@example.com",
        "401",
    ]


def test_deployed_environment_gets_no_demo_accounts(tmp_path: Path) -> None:
    """In production nothing is migrated or seeded: without tables, the start is refused."""
    script = """
import json
from main import app
from starlette.testclient import TestClient
try:
    with TestClient(app):
        pass
except BaseException as error:
    print(json.dumps(str(error)))
"""
    url = f"sqlite:///{tmp_path / 'own.sqlite3'}"
    found = run_script(
        script,
        tmp_path,
        STOCKADE_ENVIRONMENT="production",
        STOCKADE_WEB__ALLOWED_HOSTS="testserver",
        DATABASE_URL=url,
    )
    assert "tables are not there" in found


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("moment", ["starting", "serving"])
def test_end_leaves_nothing_behind(tmp_path: Path, name: str, moment: str) -> None:
    """Whoever ends the demo, and whenever, nothing that it has stored is left."""
    data = tmp_path / "data"
    data.mkdir()
    out = tmp_path / "out"
    with out.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "stockade", "demo", "--port", "0"],
            env=demo_environment(data, {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            # Whatever has started the tests may have told its children to ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads in the child
        )
    try:
        # The folder is there before the database is; the text comes when requests are answered.
        # (Python itself makes a file for a moment, to see whether the folder can be written to.)
        while not (list(data.glob("stockade-*")) if moment == "starting" else out.stat().st_size):
            assert process.poll() is None, out.read_text("utf-8")
            time.sleep(0.01)
        process.send_signal(signal.Signals[name])
        assert process.wait(STOP_TIMEOUT) == 0, out.read_text("utf-8")
    finally:
        process.kill()
        process.wait()
    assert list(data.iterdir()) == []
    assert "Traceback" not in out.read_text("utf-8")


def test_port_in_use(tmp_path: Path) -> None:
    """A port that is in use is one line and status 2, before anything is stored."""
    from stockade.cli.serving import listen

    with listen("127.0.0.1", 0) as listener:
        ran = subprocess.run(
            [sys.executable, "-m", "stockade", "demo"],
            env=demo_environment(tmp_path, {"STOCKADE_DEMO_PORT": str(listener.getsockname()[1])}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("stockade: port ")
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "sqlite:////nowhere/hunter2/notes.sqlite3"),
        ("DATABASE_URL", "postgresql://user:hunter2@127.0.0.1:1/notes"),
        ("DATABASE_URL", "hunter2"),
        ("REDIS_URL", "redis://user:hunter2@127.0.0.1:1/0"),
        ("REDIS_URL", "hunter2"),
        ("DOCS_PASSWORD", "hunter2"),
        ("SECRET_KEY", "hunter2"),
        ("STOCKADE_ENVIRONMENT", "production"),
        ("STOCKADE_NOSUCH", "hunter2"),
    ],
)
def test_mistake_is_one_line(tmp_path: Path, name: str, value: str) -> None:
    """What keeps the demo from starting is told in one line, without the value."""
    ran = subprocess.run(
        [sys.executable, "-m", "stockade", "demo", "--port", "0"],
        env=demo_environment(tmp_path, {name: value}),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in ran.stderr.splitlines() if not line.startswith('{"event"')]
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(lines) == 1
    assert lines[0].startswith("stockade: ")
    assert "hunter2" not in ran.stderr
    assert list(tmp_path.iterdir()) == []
