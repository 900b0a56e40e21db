"""The examples with policies of Cedar and Casbin, over HTTP, with two tenants and attacks."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

import anyio
import pytest

from stockade.storage.sql import make_engine, upgrade_schema

ROOT = Path(__file__).resolve().parent.parent.parent
CASBIN_FOR_ALL = """
p, member, *, Ticket, create, allow
p, member, *, Ticket, read, allow
p, member, *, Ticket, answer, allow
p, member, *, Ticket, close, allow
p, member, *, tickets, create, allow
p, member, *, policies, reload, allow
g, owner, member, *
"""
FAR_TOO_OPEN = {
    "cedar_policies": ("policies.cedar", '@id("all") permit (principal, action, resource);'),
    "casbin_policies": ("policies.csv", CASBIN_FOR_ALL),
}


def environment(url: str) -> dict[str, str]:
    """Return the environment of an example."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "STOCKADE_ENVIRONMENT": "test",
        "STOCKADE_DATABASE_URL": url,
    }


def run_stockade(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Stockade in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "stockade", *arguments],
        cwd=folder,
        env=environment(url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass(frozen=True)
class Answer:
    """What came back, and the events on the way."""

    status: int
    text: str
    events: list[tuple[str, str, dict[str, str]]]

    @property
    def data(self) -> Any:  # noqa: ANN401 - whatever the route answers
        """The body."""
        return loads(self.text)

    @property
    def named(self) -> list[str]:
        """The names of the events."""
        return [name for name, _, _ in self.events]


class Example:
    """An example that runs from a copy of its folder, so that its policies can be changed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / name
        shutil.copytree(ROOT / "examples" / name, self.folder)
        self._url = url = f"sqlite:///{folder}/{name}.db"
        anyio.run(_upgrade, url)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.engine_caller", str(self.folder)],
            cwd=ROOT,
            env=environment(url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(
        self,
        caller: str,
        method: str,
        path: str,
        *,
        role: str,
        tenant: str = "acme",
        json: object = None,
    ) -> Answer:
        """Call as somebody with a role in a tenant."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        call = {"caller": caller, "method": method, "path": path, "role": role, "tenant": tenant}
        self._process.stdin.write(dumps(call | {"json": json}) + "\n")
        self._process.stdin.flush()
        return Answer(**loads(self._process.stdout.readline()))

    def make(self, author: str, *, tenant: str = "acme", **more: str) -> str:
        """Make an object of somebody's, and return its path."""
        path, body = {
            "cedar_policies": ("/expenses", {"purpose": "Travel", "amount": "10.00"}),
            "casbin_policies": ("/tickets", {"text": "It is broken"}),
        }[self.name]
        made = self.call(author, "POST", path, role="member", tenant=tenant, json=body | more)
        assert made.status == 201, made.text
        return f"{path}/{made.data['id']}"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Stockade on it."""
        return run_stockade(self.folder, self._url, *arguments)

    def write(self, file: str, text: str) -> None:
        """Change the policies."""
        (self.folder / file).write_text(text, encoding="utf-8")

    def restore(self) -> Answer:
        """Put the policies back, and have them read."""
        file = FAR_TOO_OPEN[self.name][0]
        self.write(file, (ROOT / "examples" / self.name / file).read_text(encoding="utf-8"))
        return self.call("own", "POST", "/policies/reload", role="owner")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with self._process:
            self._process.stdin.close()
            assert self._process.wait(timeout=60) == 0


async def _upgrade(url: str) -> None:
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Example]]:
    """Both examples."""
    folder = tmp_path_factory.mktemp("engines")
    examples = {name: Example(name, folder) for name in FAR_TOO_OPEN}
    yield examples
    for example in examples.values():
        example.close()


@pytest.fixture
def expenses(running: dict[str, Example]) -> Example:
    """The example of Cedar."""
    return running["cedar_policies"]


@pytest.fixture
def tickets(running: dict[str, Example]) -> Example:
    """The example of Casbin."""
    return running["casbin_policies"]


@pytest.fixture(params=sorted(FAR_TOO_OPEN))
def example(request: pytest.FixtureRequest, running: dict[str, Example]) -> Iterator[Example]:
    """Either example, which has its own policies again afterwards."""
    yield running[request.param]
    assert running[request.param].restore().status == 200


@pytest.mark.parametrize(
    ("caller", "role", "verb", "amount", "status"),
    [
        ("mia", "member", "read", "10.00", 200),
        ("max", "member", "read", "10.00", 404),
        ("aud", "auditor", "read", "10.00", 200),
        ("aud", "auditor", "approve", "10.00", 403),
        ("ada", "admin", "approve", "1000.00", 204),
        ("ada", "admin", "approve", "1000.01", 403),
        ("own", "owner", "approve", "1000.01", 204),
        ("mia", "owner", "approve", "10.00", 403),
        ("max", "member", "approve", "10.00", 404),
    ],
)
def test_cedar_decides(
    expenses: Example, caller: str, role: str, verb: str, amount: str, status: int
) -> None:
    """What a policy permits and none forbids goes through, and nothing else."""
    path = expenses.make("mia", amount=amount)
    if verb == "approve":
        answer = expenses.call(caller, "POST", path + "/approval", role=role)
    else:
        answer = expenses.call(caller, "GET", path, role=role)
    assert answer.status == status


def test_a_forbid_of_cedar_holds_against_the_author(expenses: Example) -> None:
    """What was approved is not edited any more, not even by whoever may edit it."""
    path, body = expenses.make("mia", amount="10.00"), {"purpose": "More", "amount": "20.00"}
    assert expenses.call("mia", "PUT", path, role="member", json=body).status == 200
    assert expenses.call("ada", "POST", path + "/approval", role="admin").status == 204
    assert expenses.call("mia", "PUT", path, role="member", json=body).status == 403
    assert expenses.call("mia", "GET", path, role="member").data["amount"] == "20.00"


def test_a_list_holds_what_may_be_read(expenses: Example) -> None:
    """Others' expenses are left out for members, and shown to auditors."""
    for author in ("mia", "max"):
        expenses.make(author, tenant="lists")
    expenses.make("eve", tenant="globex")

    def seen(caller: str, role: str) -> int:
        listed = expenses.call(caller, "GET", "/expenses", role=role, tenant="lists")
        return len(listed.data)

    assert seen("mia", "member") == 1
    assert seen("aud", "auditor") == 2
    assert seen("zoe", "member") == 0


def test_a_route_asks_cedar(expenses: Example) -> None:
    """An auditor files nothing, and is refused before the body is read."""
    answer = expenses.call("aud", "POST", "/expenses", role="auditor", json="no expense")
    assert answer.status == 403
    assert [reason for _, reason, _ in answer.events] == ["authorization.engine_refused"]


@pytest.mark.parametrize(
    ("caller", "role", "verb", "tenant", "status"),
    [
        ("mia", "member", "read", "acme", 200),
        ("max", "member", "read", "acme", 404),
        ("agent", "member", "read", "acme", 404),
        ("max", "agent", "read", "acme", 200),
        ("max", "agent", "answer", "acme", 200),
        ("mia", "member", "answer", "acme", 403),
        ("max", "agent", "answer", "globex", 403),
        ("max", "owner", "answer", "globex", 403),
        ("max", "agent", "end", "acme", 403),
        ("max", "owner", "end", "acme", 204),
    ],
)
def test_casbin_decides(
    tickets: Example, caller: str, role: str, verb: str, tenant: str, status: int
) -> None:
    """Roles include each other, tenants have rules of their own, and a denial wins."""
    path = tickets.make("mia", tenant=tenant)
    method, suffix, body = {
        "read": ("GET", "", None),
        "answer": ("PUT", "/answer", {"text": "Turn it off and on"}),
        "end": ("POST", "/end", None),
    }[verb]
    answer = tickets.call(caller, method, path + suffix, role=role, tenant=tenant, json=body)
    assert answer.status == status


def test_policies_that_permit_everything_cross_no_tenant(example: Example) -> None:
    """The isolation stands in front: of another tenant's objects no engine is ever asked."""
    path = example.make("eve", tenant="globex")
    example.write(*FAR_TOO_OPEN[example.name])
    assert example.call("own", "POST", "/policies/reload", role="owner").data == 1
    assert example.call("max", "GET", path, role="member", tenant="globex").status == 200
    for method, suffix in (("GET", ""), ("POST", "/approval"), ("POST", "/end")):
        assert example.call("max", method, path + suffix, role="member").status == 404
    body = {"purpose": "Mine", "amount": "1.00", "text": "Mine"}
    for suffix in ("", "/answer"):
        answer = example.call("max", "PUT", path + suffix, role="member", json=body)
        assert answer.status in {404, 405, 422}
    collection = path.rpartition("/")[0]
    listed = example.call("max", "GET", collection, role="member", tenant="nowhere")
    assert listed.data == []


def test_broken_policies_leave_the_old_ones_in_force(example: Example) -> None:
    """A reload that fails is an event, and changes nothing."""
    example.write(FAR_TOO_OPEN[example.name][0], "permit everything, please")
    refused = example.call("own", "POST", "/policies/reload", role="owner")
    assert refused.status == 500
    assert "authorization.policies_refused" in refused.named
    assert example.call("max", "POST", "/policies/reload", role="member").status == 403
    assert "authorization.policies_reloaded" in example.restore().named


@pytest.mark.parametrize(
    "user_id",
    ['a"b', 'Role::"owner"', "admin", "owner", "user:mia", "*", ".*", "é\n,", "requester"],
    ids=ascii,
)
def test_a_crafted_identifier_is_nobody_else(example: Example, user_id: str) -> None:
    """Whatever an account is called, it is neither a role nor a pattern nor another account."""
    path = example.make("mia")
    assert example.call(user_id, "GET", path, role="member").status == 404
    assert example.call(user_id, "POST", "/policies/reload", role="member").status == 403
    own = example.make(user_id)
    assert example.call(user_id, "GET", own, role="member").status == 200


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["--role", "member", "--tenant", "acme"],
            ["may not call", "object_refused", "no   read this Expense: Cedar rests on: none"],
        ),
        (
            ["--role", "admin", "--tenant", "acme"],
            ["may call", "yes  read this Expense: Cedar rests on: read-all"],
        ),
        (
            ["--role", "admin", "--tenant", "globex"],
            ["may not call", "it is not there, or another tenant's"],
        ),
    ],
    ids=["refused", "permitted", "another tenant"],
)
def test_an_explanation_names_the_policies(
    expenses: Example, arguments: list[str], lines: list[str]
) -> None:
    """The command says what the engine rests on, and shows nobody another tenant's object."""
    path = expenses.make("mia")
    number = path.rpartition("/")[2]
    ran = expenses.run(
        "explain",
        "main:app",
        "GET /expenses/{expense_id}",
        *arguments,
        *("--parameter", f"expense_id={number}"),
    )
    assert ran.returncode == 0, ran.stderr
    assert all(line in ran.stdout for line in lines), ran.stdout


@pytest.mark.parametrize("parameter", ["expense_id", "expense_id=x", "other=1"])
def test_an_explanation_of_nothing_is_one_line(expenses: Example, parameter: str) -> None:
    """A parameter that the route does not load by, and what is no key, are mistakes."""
    arguments = ("explain", "main:app", "GET /expenses/{expense_id}", "--role", "member")
    ran = expenses.run(*arguments, "--tenant", "acme", "--parameter", parameter)
    assert ran.returncode == 2
    assert len(ran.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "problem"),
    [
        ("cedar_policies", "main.py", '"auditor": []', '"auditors": []', "the role auditors"),
        ("cedar_policies", "policies.cedar", "is_approved", "approved", "approved-is-final"),
        ("cedar_policies", "main.py", '"read", "edit"', '"read", "erase", "edit"', '"erase"'),
        ("casbin_policies", "policies.csv", "p, agent", "p, agnet", "the role agnet"),
        ("casbin_policies", "policies.csv", "Ticket, close", "Ticket, clsoe", "the action clsoe"),
        ("casbin_policies", "model.conf", "r.obj.requester", "r.obj.reqester", "reqester"),
    ],
    ids=["role", "attribute", "action", "casbin role", "casbin action", "casbin attribute"],
)
def test_a_mistake_stops_the_start(
    tmp_path: Path, name: str, file: str, old: str, new: str, problem: str
) -> None:
    """The application does not start, and one line says what is wrong."""
    folder = tmp_path / name
    shutil.copytree(ROOT / "examples" / name, folder)
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")
    url = f"sqlite:///{tmp_path}/broken.db"
    anyio.run(_upgrade, url)
    ran = run_stockade(folder, url, "check", "main:app")
    assert ran.returncode == 2
    assert problem in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
