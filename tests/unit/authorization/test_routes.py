"""Tenants, members and invitations over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from sqlalchemy import insert

from stockade import Settings, Stockade
from stockade.core import UserId
from stockade.errors import ConfigurationError
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.sql import (
    make_engine,
    upgrade_schema,
)
from stockade.storage.sql.models import Membership, User
from tests.unit.authorization.world import MEMBERS, NAME, World

_PLAIN = {
    "user_type": "user",
    "password_hash": "",
    "is_active": True,
    "token_epoch": 0,
    "email_verified": True,
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running application."""
    made = World(tmp_path)
    with made.client:
        yield made


def test_members_see_each_other(world: World) -> None:
    """The tenant is the active one of the token, and whoever has none sees nobody."""
    assert world.roles() == MEMBERS
    assert world.call("lea", "GET", "/tenants/members").status_code == 403
    assert world.call("root", "GET", "/tenants/members").status_code == 403
    assert world.client.get("/tenants/members").status_code == 401
    (own,) = world.call("mia", "GET", "/tenants").json()
    assert own == {"tenant_id": "acme", "name": "Acme", "role": "member", "active": True}


@pytest.mark.parametrize(
    ("who", "whom", "role", "status"),
    [
        ("ana", "mia", "admin", 204),
        ("ana", "mia", "owner", 204),
        ("ana", "ada", "member", 204),
        ("ada", "mia", "admin", 204),
        ("ada", "mia", "owner", 403),
        ("ada", "ada", "owner", 403),
        ("ada", "ana", "member", 403),
        ("ada", "ana", "owner", 403),
        ("mia", "mia", "admin", 403),
        ("mia", "ada", "member", 403),
        ("ana", "ana", "member", 403),
        ("ana", "lea", "member", 404),
        ("ana", "root", "member", 404),
        ("ana", "mia", "boss", 403),
        ("ana", "mia", "super_admin", 403),
        ("ana", "mia", "Admin", 403),
        ("lea", "mia", "member", 403),
        ("root", "mia", "member", 403),
        ("ana", "mia", "a b", 422),
    ],
)
def test_who_changes_which_role(world: World, who: str, whom: str, role: str, status: int) -> None:
    """Nobody gives or takes a role above the own one, and the last owner stays one."""
    answer = world.call(who, "PATCH", f"/tenants/members/{whom}", {"role": role})
    assert answer.status_code == status
    expected = MEMBERS | ({whom: role} if status == 204 else {})
    assert world.roles() == expected
    assert world.reasons(NAME) == (["authorization.role_changed"] if status == 204 else [])


@pytest.mark.parametrize(
    ("who", "whom", "status"),
    [
        ("ana", "ada", 204),
        ("ada", "mia", 204),
        ("mia", "mia", 204),
        ("mia", "ada", 403),
        ("ada", "ana", 403),
        ("ana", "ana", 403),
        ("ana", "lea", 404),
    ],
)
def test_who_removes_whom(world: World, who: str, whom: str, status: int) -> None:
    """Everybody may leave but the last owner; others are removed from above."""
    assert world.call(who, "DELETE", f"/tenants/members/{whom}").status_code == status
    gone = world.call(whom, "GET", "/tenants").json() if whom in MEMBERS else []
    assert (gone == []) is (status == 204 or whom not in MEMBERS)


def test_whoever_was_removed_is_out_at_once(world: World) -> None:
    """A token of a membership that has ended opens nothing."""
    headers = {"Authorization": f"Bearer {world.token('mia')}"}
    assert world.client.get("/tenants/members", headers=headers).status_code == 200
    world.call("ana", "DELETE", "/tenants/members/mia")
    assert world.client.get("/tenants/members", headers=headers).status_code == 401


def test_switching_gives_a_token_of_the_other_tenant(tmp_path: Path) -> None:
    """A new token names the tenant, its refresh stays there, and the sign-in gets no younger."""
    world = World(tmp_path, tenant_creation="everybody")
    with world.client:
        made = world.call("mia", "POST", "/tenants", {"name": "Mia's"}).json()
        headers = {"Authorization": f"Bearer {world.token('mia')}"}
        world.clock.advance(100)
        answer = world.client.post(
            "/tenants/switch", headers=headers, json={"tenant_id": made["tenant_id"]}
        )
        assert answer.headers["cache-control"] == "no-store"
        new = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        me = world.client.get("/auth/me", headers=new).json()
        assert (me["active_tenant_id"], me["roles"]) == (made["tenant_id"], ["owner"])
        old = world.client.get("/auth/me", headers=headers).json()
        assert (old["active_tenant_id"], old["roles"]) == ("acme", ["member"])
        token = world.stockade._sign_in.tokens.verify(answer.json()["access_token"])
        first = world.stockade._sign_in.tokens.verify(
            headers["Authorization"].removeprefix("Bearer ")
        )
        assert token.authenticated_at == first.authenticated_at
        assert token.session_id == first.session_id
        (session,) = world.client.portal.call(  # type: ignore[union-attr]  # The client has started.
            lambda: world.stockade._sign_in.sessions.list_active(
                UserId("mia"), now=world.clock.now()
            )
        )[-1:]
        assert session.tenant_id == made["tenant_id"]


@pytest.mark.parametrize("tenant", ["globex", "Acme", "acme ", ""])
def test_nobody_switches_where_they_are_no_member(world: World, tenant: str) -> None:
    """A tenant that one is not in, or that is not there, is not found, by a super admin as well."""
    for who in ("mia", "root"):
        answer = world.call(who, "POST", "/tenants/switch", {"tenant_id": tenant})
        assert answer.status_code in {404, 422}
    assert world.call("root", "POST", "/tenants/switch", {"tenant_id": "acme"}).status_code == 404


def test_a_token_without_a_session_does_not_switch(world: World) -> None:
    """Without a session nothing says how old the sign-in is."""
    assert world.client.portal is not None
    find = world.stockade._sign_in.accounts.find_by_email  # type: ignore[union-attr]  # There are some.
    account = world.client.portal.call(find, "mia@example.com")
    assert account is not None
    headers = {"Authorization": f"Bearer {world.stockade._sign_in.tokens.issue(account).value}"}
    answer = world.client.post("/tenants/switch", headers=headers, json={"tenant_id": "acme"})
    assert answer.status_code == 403


def test_who_makes_a_tenant(world: World, tmp_path: Path) -> None:
    """By default a super administrator does, who then owns it."""
    assert world.call("mia", "POST", "/tenants", {"name": "Mine"}).status_code == 403
    made = world.call("root", "POST", "/tenants", {"name": "New"})
    assert made.status_code == 201
    (own,) = world.call("root", "GET", "/tenants").json()
    assert (own["tenant_id"], own["role"]) == (made.json()["tenant_id"], "owner")


def test_an_account_owns_so_many(tmp_path: Path) -> None:
    """Where everybody may make tenants, each may make a few."""
    world = World(tmp_path, tenant_creation="everybody", tenants_per_account=2)
    with world.client:
        answers = [
            world.call("lea", "POST", "/tenants", {"name": "T"}).status_code for _ in range(3)
        ]
    assert answers == [201, 201, 403]


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"authorization": {"roles": {"admin": [], "member": []}}}, {}),
        ({}, {"accounts": MemoryAccountStore()}),
        ({"database_url": None}, {}),
    ],
    ids=["no-owner", "other-accounts", "no-database"],
)
async def test_routes_that_could_not_work_stop_the_start(
    tmp_path: Path, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    """The routes need Stockade's own accounts and the roles that they give."""
    url = f"sqlite:///{tmp_path}/tenants.db"
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()
    values: dict[str, Any] = {"environment": "test", "database_url": url, **settings}
    stockade = Stockade(Settings(**values), sinks=[], **options)
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.tenants_router)
    with pytest.raises(ConfigurationError):
        await stockade.start()
    await stockade.stop()


def test_a_tenant_of_many_can_be_rid_of_each(world: World) -> None:
    """Whoever is not in the list of a thousand any more leaves, is removed and changes roles."""

    async def crowd() -> None:
        engine = make_engine(world.url)
        names = [f"{number:04}" for number in range(1000)]
        accounts = [{"id": each, "email": f"{each}@example.com", **_PLAIN} for each in names]
        joined = [
            {"user_id": each, "tenant_id": "acme", "role": "member", "is_default": True}
            for each in names
        ]
        async with engine.begin() as connection:
            await connection.execute(insert(User), accounts)
            await connection.execute(insert(Membership), joined)
        await engine.dispose()

    anyio.run(crowd)
    assert MEMBERS.keys().isdisjoint(world.roles())
    assert world.call("ana", "PATCH", "/tenants/members/mia", {"role": "admin"}).status_code == 204
    assert world.call("mia", "DELETE", "/tenants/members/mia").status_code == 204
    assert world.call("ana", "DELETE", "/tenants/members/ada").status_code == 204
    assert world.call("ada", "GET", "/tenants").json() == []
