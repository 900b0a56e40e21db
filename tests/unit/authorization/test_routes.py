"""Tenants, members and invitations over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication.sessions import Client
from stockade.authorization.models import IssuedInvitation
from stockade.core import TenantId, UserId, UserType
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.sql import (
    NewAccount,
    create_account,
    create_tenant,
    join_tenant,
    make_engine,
    upgrade_schema,
)
from tests.clock import FrozenClock

MEMBERS = {"ana": "owner", "ada": "admin", "mia": "member"}
NAME = "authorization.membership_changed"


class World:
    """A running application with a tenant of three, a lonely account and a super administrator."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - any setting
        self.url = f"sqlite:///{folder}/tenants.db"
        self.sink, self.clock = MemorySink(), FrozenClock()
        self.sent: list[IssuedInvitation] = []
        self.stockade = Stockade(
            Settings(
                environment="test",
                database_url=self.url,
                authentication={"identity_cache_lifetime": 0},
                authorization=settings,
            ),
            sinks=[self.sink],
            clock=self.clock,
        )
        anyio.run(self._prepare)
        self.app = FastAPI()
        self.stockade.install(self.app)
        self.app.include_router(self.stockade.auth_router)
        self.app.include_router(self.stockade.tenants_router)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    async def _prepare(self) -> None:
        engine = make_engine(self.url)
        await upgrade_schema(engine)
        async with engine.begin() as connection:
            await create_tenant(connection, "Acme", tenant_id="acme")
            for name in (*MEMBERS, "lea", "root"):
                kind = UserType.SUPER_ADMIN if name == "root" else UserType.USER
                account = NewAccount(
                    email=f"{name}@example.com",
                    password_hash="",
                    user_type=kind,
                    user_id=UserId(name),
                )
                await create_account(connection, account)
                if name in MEMBERS:
                    await join_tenant(
                        connection,
                        UserId(name),
                        TenantId("acme"),
                        role=MEMBERS[name],
                        is_default=True,
                    )
        await engine.dispose()

    def token(self, name: str) -> str:
        """Sign somebody in."""

        async def begin() -> str:
            accounts = self.stockade._sign_in.accounts
            assert accounts is not None
            account = await accounts.find_by_email(f"{name}@example.com")
            assert account is not None
            sessions = self.stockade._sign_in.require_services().sessions
            return (await sessions.begin(account, Client())).access.value

        assert self.client.portal is not None
        found: str = self.client.portal.call(begin)
        return found

    def call(self, name: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - an answer
        """Send a request as somebody."""
        headers = {"Authorization": f"Bearer {self.token(name)}"}
        return self.client.request(method, path, headers=headers, json=body)

    def roles(self) -> dict[str, str]:
        """Return the roles of the tenant, as its members see them."""
        found = self.call("ada", "GET", "/tenants/members").json()
        return {each["user_id"]: each["role"] for each in found}

    def reasons(self, name: str) -> list[str | None]:
        """Return the reasons of the events with a name."""
        return [event.reason for event in self.sink.named(name)]


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


def test_an_invitation_lets_its_address_in(world: World) -> None:
    """The recipient joins with the role that was given, once, and switches there."""
    made = world.call(
        "ada", "POST", "/tenants/invitations", {"email": "Lea@Example.com", "role": "member"}
    )
    assert (made.status_code, made.json()["email"]) == (201, "lea@example.com")
    assert made.headers["cache-control"] == "no-store"
    token = made.json()["token"]
    (listed,) = world.call("ana", "GET", "/tenants/invitations").json()
    assert "token" not in listed
    accept = "/tenants/invitations/accept"
    assert world.call("mia", "POST", accept, {"token": token}).status_code == 404
    joined = world.call("lea", "POST", accept, {"token": token})
    assert joined.json() == {"tenant_id": "acme", "name": "Acme", "role": "member", "active": False}
    assert world.call("lea", "POST", accept, {"token": token}).status_code == 404
    assert world.roles() == MEMBERS | {"lea": "member"}
    assert world.reasons(NAME) == ["authorization.invited", "authorization.member_joined"]
    assert all(token not in str(event) for event in world.sink)


@pytest.mark.parametrize(
    ("who", "role", "status"),
    [
        ("ana", "owner", 201),
        ("ada", "admin", 201),
        ("ada", "owner", 403),
        ("mia", "member", 403),
        ("lea", "member", 403),
        ("root", "member", 403),
        ("ana", "boss", 403),
        ("ana", "super_admin", 403),
    ],
)
def test_who_invites_to_which_role(world: World, who: str, role: str, status: int) -> None:
    """An invitation gives no role above the own one."""
    body = {"email": "lea@example.com", "role": role}
    assert world.call(who, "POST", "/tenants/invitations", body).status_code == status


@pytest.mark.parametrize("change", ["demote", "remove", "expire", "revoke"])
def test_an_invitation_falls_with_what_it_rests_on(world: World, change: str) -> None:
    """It holds as long as its sender could send it, for its time, and until it is taken back."""
    made = world.call(
        "ada", "POST", "/tenants/invitations", {"email": "lea@example.com", "role": "admin"}
    ).json()
    if change == "demote":
        world.call("ana", "PATCH", "/tenants/members/ada", {"role": "member"})
    elif change == "remove":
        world.call("ana", "DELETE", "/tenants/members/ada")
    elif change == "expire":
        world.clock.advance(7 * 86_400)
    else:
        world.call("ana", "DELETE", f"/tenants/invitations/{made['invitation_id']}")
    answer = world.call("lea", "POST", "/tenants/invitations/accept", {"token": made["token"]})
    assert answer.status_code == 404
    assert world.call("lea", "GET", "/tenants").json() == []


@pytest.mark.parametrize(
    "token",
    ["x", "stki_", "stki_" + "A" * 43, "stki_" + "A" * 42 + "B", "stkl_" + "A" * 43, "\u00e9" * 48],
)
def test_a_token_that_is_none_is_not_found(world: World, token: str) -> None:
    """Whatever is wrong with it, the answer is the same."""
    answer = world.call("lea", "POST", "/tenants/invitations/accept", {"token": token})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "email", ["lea", "lea@x\r\nBcc: eve@x", "lea@example.com,eve@example.com", "a" * 250 + "@x.yz"]
)
def test_an_address_is_one_address(world: World, email: str) -> None:
    """Nothing that could add a recipient or a header is taken."""
    body = {"email": email, "role": "member"}
    assert world.call("ana", "POST", "/tenants/invitations", body).status_code == 422


def test_a_member_is_not_invited(world: World) -> None:
    """Whoever is in already gets no second way in."""
    body = {"email": "mia@example.com", "role": "admin"}
    assert world.call("ana", "POST", "/tenants/invitations", body).status_code == 403


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


def test_a_hook_sends_the_invitation(tmp_path: Path) -> None:
    """Where something sends it, no answer shows the token; where that fails, none holds."""
    world = World(tmp_path)
    fails: list[bool] = []

    async def send(issued: IssuedInvitation) -> None:
        if fails:
            raise OSError
        world.sent.append(issued)

    world.stockade._tenants.hook = send
    with world.client:
        body = {"email": "lea@example.com", "role": "member"}
        assert world.call("ana", "POST", "/tenants/invitations", body).json()["token"] is None
        (sent,) = world.sent
        assert (sent.tenant_name, sent.invitation.email) == ("Acme", "lea@example.com")
        assert sent.token not in repr(sent)
        accepted = world.call("lea", "POST", "/tenants/invitations/accept", {"token": sent.token})
        assert accepted.status_code == 200
        fails.append(True)
        body = {"email": "new@example.com", "role": "member"}
        assert world.call("ana", "POST", "/tenants/invitations", body).status_code == 500
        assert world.call("ana", "GET", "/tenants/invitations").json() == []


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
