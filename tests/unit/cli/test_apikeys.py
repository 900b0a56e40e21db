import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
    upgrade_schema,
)
from tests.unit.authentication.helpers import NEW, OLD
from tests.unit.cli.helpers import CommandLine, Ran

ROLES = {"admin": ["notes:note:read", "notes:note:write"], "member": ["notes:note:read"]}


@pytest.fixture
def url(run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with two tenants and two accounts, which the settings name."""
    url = f"sqlite:///{tmp_path}/keys.db"
    asyncio.run(prepare(url))
    monkeypatch.setenv("STOCKADE_DATABASE_URL", url)
    monkeypatch.setenv("STOCKADE_SECRET_KEYS", NEW)
    monkeypatch.setenv("STOCKADE_AUTHORIZATION__ROLES", json.dumps(ROLES))
    return url


async def prepare(url: str) -> None:
    """Fill the database."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        for name in ("acme", "zeta"):
            await create_tenant(connection, name, tenant_id=name)
            account = NewAccount(email=f"ana@{name}.example", password_hash="")
            user_id = await create_account(connection, account)
            await join_tenant(connection, user_id, name, role="member", is_default=True)  # type: ignore[arg-type]  # A name is enough here.
    await engine.dispose()


def headers_of(ran: Ran) -> dict[str, str]:
    """Read the two lines that a new key is shown in; they are headers as they stand."""
    assert (ran.status, ran.err) == (0, "")
    return dict(line.split(": ") for line in ran.out.splitlines())


def who(
    url: str, headers: dict[str, str], *, key: str = NEW, limited: bool = False, times: int = 1
) -> Any:  # noqa: ANN401 - a response
    """Call the application, which has the same settings, and return the last answer."""
    settings = Settings(
        environment="test",
        secret_keys=(key,),
        database_url=url,
        authorization={"roles": ROLES},
        rate_limiting={"enabled": limited, "programs": "2/minute"},
    )
    stockade = Stockade(settings, sinks=[])
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.auth_router)
    with TestClient(app) as client:
        answers = [client.get("/auth/me", headers=headers) for _ in range(times)]
    return answers[-1]


def test_a_key_for_a_tenant_opens_the_application(run: CommandLine, url: str) -> None:
    """What is printed are the two headers of a service."""
    made = run("apikeys", "create", "Nightly é", "--tenant", "acme", "--role", "member")
    headers = headers_of(made)
    answer = who(url, headers)
    assert answer.status_code == 200
    assert answer.json()["user_id"] == f"client:{headers['X-CLIENT-ID']}"
    assert (answer.json()["active_tenant_id"], answer.json()["roles"]) == ("acme", ["member"])


def test_a_key_for_an_account_acts_for_it(run: CommandLine, url: str) -> None:
    """The address is found however it is written."""
    made = run("apikeys", "create", "X", "--tenant", "acme", "--owner", "ANA@acme.example")
    assert who(url, headers_of(made)).json()["email"] == "ana@acme.example"


def test_a_key_is_made_by_the_newest_secret(
    run: CommandLine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that has the older one alone does not know it yet."""
    monkeypatch.setenv("STOCKADE_SECRET_KEYS", f"{OLD},{NEW}")
    headers = headers_of(run("apikeys", "create", "X", "--tenant", "acme"))
    assert who(url, headers).status_code == 200
    assert who(url, headers, key=OLD).status_code == 401


def test_a_program_is_described_in_json(run: CommandLine, url: str) -> None:
    """Programs that call the command get the same with more, and the key once."""
    arguments = ("--tenant", "acme", "--scope", "notes:note:read", "--days", "7")
    made = json.loads(run("apikeys", "create", "X", *arguments, "--format", "json").out)
    key = made.pop("api_key")
    assert key.startswith("stks_")
    listed = run("apikeys", "list", "--format", "json")
    assert json.loads(listed.out) == [made]
    assert (made["created_by"], made["scopes"]) == ("operator", ["notes:note:read"])
    ends = datetime.fromisoformat(made["expires_at"])
    assert timedelta(days=6) < ends - datetime.now(UTC) < timedelta(days=7)
    assert key not in listed.out


def test_the_list_shows_a_row_for_each(run: CommandLine, url: str) -> None:
    """With its state and no key; what would turn a line around is shown as a question mark."""
    one = headers_of(run("apikeys", "create", "One", "--tenant", "acme"))
    two = headers_of(run("apikeys", "create", "T\u202ewo", "--tenant", "zeta"))
    run("apikeys", "revoke", one["X-CLIENT-ID"])
    lines = run("apikeys", "list").out.splitlines()
    assert lines[0].split()[:2] == ["CLIENT", "NAME"]
    assert lines[1].split()[:3] == [one["X-CLIENT-ID"], "One", "acme"]
    assert "revoked" in lines[1]
    assert lines[2].split()[:3] == [two["X-CLIENT-ID"], "T?wo", "zeta"]
    assert "holds" in lines[2]
    assert two["X-API-KEY"] not in "".join(lines)
    assert len(run("apikeys", "list", "--tenant", "zeta").out.splitlines()) == 2


def test_a_rotated_key_overlaps(run: CommandLine, url: str) -> None:
    """Both hold for a day, and a third ends the first."""
    first = headers_of(run("apikeys", "create", "X", "--tenant", "acme"))
    second = headers_of(run("apikeys", "rotate", first["X-CLIENT-ID"]))
    assert first["X-CLIENT-ID"] == second["X-CLIENT-ID"]
    assert [who(url, each).status_code for each in (first, second)] == [200, 200]
    third = headers_of(run("apikeys", "rotate", first["X-CLIENT-ID"]))
    assert [who(url, each).status_code for each in (first, second, third)] == [401, 200, 200]


def test_a_revoked_program_is_over(run: CommandLine, url: str) -> None:
    """At once and for good."""
    headers = headers_of(run("apikeys", "create", "X", "--tenant", "acme"))
    assert run("apikeys", "revoke", headers["X-CLIENT-ID"]).out == "The program has ended.\n"
    assert who(url, headers).status_code == 401
    again = run("apikeys", "revoke", headers["X-CLIENT-ID"])
    assert (again.status, again.out) == (0, "The program had ended already.\n")
    assert run("apikeys", "rotate", headers["X-CLIENT-ID"]).status == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "X"),
        ("create", "X", "--tenant", "CANARY"),
        ("create", "X", "--owner", "CANARY@acme.example"),
        ("create", "X", "--tenant", "acme", "--owner", "ana@zeta.example"),
        ("create", "X", "--owner", "ana@acme.example", "--role", "member"),
        ("create", "X", "--tenant", "acme", "--role", "CANARY"),
        ("create", "X", "--tenant", "acme", "--scope", "CANARY"),
        ("create", "", "--tenant", "acme"),
        ("create", "CANARY\n", "--tenant", "acme"),
        ("create", "x" * 101, "--tenant", "acme"),
        ("rotate", "stkc_" + "0" * 24),
        ("revoke", "stkc_" + "0" * 24),
        ("rotate", "CANARY"),
        ("revoke", "stkc_' OR 1=1 --"),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_a_mistake_is_one_line(run: CommandLine, url: str, arguments: tuple[str, ...]) -> None:
    """Nothing is made, nothing changes, and nothing of it is repeated."""
    ran = run("apikeys", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "CANARY" not in ran.err
    assert len(run("apikeys", "list").out.splitlines()) == 1


def test_a_program_may_have_a_limit_of_its_own(run: CommandLine, url: str) -> None:
    """More or less than the tier of programs; the list shows it."""
    usual = headers_of(run("apikeys", "create", "X", "--tenant", "acme"))
    own = headers_of(run("apikeys", "create", "Y", "--tenant", "acme", "--limit", "4"))
    statuses = [
        who(url, headers, limited=True, times=times).status_code
        for headers, times in ((usual, 2), (usual, 3), (own, 4), (own, 5))
    ]
    assert statuses == [200, 429, 200, 429]
    assert "4/minute" in run("apikeys", "list").out.splitlines()[2]
    rotated = headers_of(run("apikeys", "rotate", own["X-CLIENT-ID"]))
    assert who(url, rotated, limited=True, times=4).status_code == 200
    for wrong in ("0", "-1", "x", "6000001"):
        ran = run("apikeys", "create", "Z", "--tenant", "acme", "--limit", wrong)
        assert (ran.status, ran.out) == (2, "")


@pytest.mark.parametrize("days", ["0", "367", "-1", "x"])
def test_a_key_holds_for_a_year_at_most(run: CommandLine, url: str, days: str) -> None:
    """As by the routes."""
    ran = run("apikeys", "create", "X", "--tenant", "acme", "--days", days)
    assert (ran.status, ran.out) == (2, "")


def test_an_owner_outside_of_tenants(run: CommandLine, url: str) -> None:
    """An account may have a program for what it does outside of tenants."""
    made = run("apikeys", "create", "X", "--owner", "ana@acme.example")
    assert who(url, headers_of(made)).json()["active_tenant_id"] is None


@pytest.mark.parametrize("name", ["STOCKADE_DATABASE_URL", "STOCKADE_SECRET_KEYS"])
def test_the_settings_are_needed(
    run: CommandLine, url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A key by secrets that the application does not have would never hold."""
    monkeypatch.delenv(name)
    ran = run("apikeys", "create", "X", "--tenant", "acme")
    assert (ran.status, ran.out) == (2, "")
    assert name in ran.err


def test_a_database_without_tables_is_one_line(
    run: CommandLine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says how to make them."""
    monkeypatch.setenv("STOCKADE_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    ran = run("apikeys", "list")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
