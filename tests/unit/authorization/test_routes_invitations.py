"""Invitations over HTTP: one system for those who have an account and those who have none."""

import hmac
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from stockade.authentication.mails import name_tenant
from stockade.authorization.invitation_tokens import InvitationTokens
from stockade.authorization.models import IssuedInvitation
from stockade.core import UserId
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError
from tests.unit.authentication.helpers import NEW, random_password
from tests.unit.authorization.world import MEMBERS, NAME, World

INVITATIONS = "/tenants/invitations"
PASSWORD = random_password()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running application that mails, and whose guests may make accounts."""
    made = World(tmp_path, authentication={"registration": "invited"})
    with made.client:
        yield made


def register(world: World, token: str, **more: str) -> Any:  # noqa: ANN401 - an answer
    """Make an account with an invitation."""
    body = {"token": token, "password": PASSWORD, **more}
    return world.client.post(f"{INVITATIONS}/register", json=body)


def look(world: World, token: str) -> Any:  # noqa: ANN401 - an answer
    """Show an invitation."""
    return world.client.post(f"{INVITATIONS}/look", json={"token": token})


def test_whoever_has_an_account_accepts(world: World) -> None:
    """With the role that was given, once; nobody else does, and looking uses nothing up."""
    token = world.invite("Lea@Example.com", who="ada")
    (listed,) = world.call("ana", "GET", INVITATIONS).json()
    assert (listed["email"], "token" in listed) == ("lea@example.com", False)
    shown = look(world, token)
    assert shown.headers["cache-control"] == "no-store"
    assert shown.json() == {
        "tenant_name": "Acme",
        "email": "lea@example.com",
        "role": "member",
        "expires_at": listed["expires_at"],
        "registers": False,
    }
    assert [world.take(who, token) for who in ("mia", "root")] == [404, 404]
    assert register(world, token).status_code == 404
    joined = world.call("lea", "POST", f"{INVITATIONS}/accept", {"token": token})
    assert joined.json() == {"tenant_id": "acme", "name": "Acme", "role": "member", "active": False}
    assert (world.take("lea", token), look(world, token).status_code) == (404, 404)
    assert world.roles() == MEMBERS | {"lea": "member"}
    assert world.reasons(NAME) == ["authorization.invited", "authorization.member_joined"]
    assert all(token not in str(event) for event in world.sink)


def test_whoever_has_none_registers(world: World) -> None:
    """In the tenant with the role of the invitation, and nothing else that is sent."""
    token = world.invite("new@example.com", "admin")
    assert look(world, token).json()["registers"] is True
    assert register(world, token, role="owner").status_code == 422
    assert register(world, token, email="eve@example.com").status_code == 422
    assert register(world, token).status_code == 204
    assert register(world, token).status_code == 404
    form = {"username": "new@example.com", "password": PASSWORD}
    granted = world.client.post("/auth/token", data=form).json()
    me = world.client.get(
        "/auth/me", headers={"Authorization": f"Bearer {granted['access_token']}"}
    ).json()
    assert (me["active_tenant_id"], me["roles"]) == ("acme", ["admin"])
    assert world.reasons(NAME) == ["authorization.invited", "authorization.member_registered"]


def test_a_weak_password_uses_nothing_up(world: World) -> None:
    """The link still holds after it."""
    token = world.invite("new@example.com")
    weak = world.client.post(
        f"{INVITATIONS}/register", json={"token": token, "password": "password"}
    )
    assert weak.status_code == 422
    assert register(world, token).status_code == 204


def test_of_those_who_register_at_once_one_does(world: World) -> None:
    """Two tabs make one account."""
    token = world.invite("new@example.com")
    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(lambda _: register(world, token).status_code, range(6)))
    assert sorted(done) == [204] + [404] * 5


def test_of_those_who_accept_at_once_one_does(world: World) -> None:
    """With six requests of one account."""
    token = world.invite()
    headers = {"Authorization": f"Bearer {world.token('lea')}"}

    def accept(_: int) -> int:
        answer = world.client.post(f"{INVITATIONS}/accept", json={"token": token}, headers=headers)
        return answer.status_code

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(accept, range(6))) == [200] + [404] * 5


def test_a_closed_application_makes_no_account(tmp_path: Path) -> None:
    """That is the default: who has an account still comes in."""
    world = World(tmp_path)
    with world.client:
        token = world.invite("new@example.com")
        assert look(world, token).json()["registers"] is False
        assert register(world, token).status_code == 404
        assert world.take("lea", world.invite()) == 200


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[World]:
    """An application that can't mail."""
    made = World(tmp_path, mails=False, authentication={"registration": "open"})
    with made.client:
        yield made


def test_a_token_that_was_shown_makes_no_account(silent: World) -> None:
    """Or whoever invites would choose the password of an account at any address they like."""
    body = {"email": "victim@example.com", "role": "member"}
    made = silent.call("ana", "POST", INVITATIONS, body)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    token = made.json()["token"]
    assert look(silent, token).json()["registers"] is False
    assert register(silent, token).status_code == 404
    # Nor does it tell whether there is an account.
    known = silent.call("ana", "POST", INVITATIONS, {**body, "email": "lea@example.com"}).json()
    assert look(silent, known["token"]).json()["registers"] is False
    assert silent.take("lea", known["token"]) == 200


def test_a_token_that_was_shown_is_mailed_by_sending_it_anew(silent: World) -> None:
    """And the other way round; the one of before ends."""
    body = {"email": "new@example.com", "role": "member"}
    made = silent.call("ana", "POST", INVITATIONS, body).json()
    again = silent.call("ana", "POST", f"{INVITATIONS}/{made['invitation_id']}/resend").json()
    assert again["token"] not in {None, made["token"]}
    assert look(silent, made["token"]).status_code == 404
    assert look(silent, again["token"]).status_code == 200


@pytest.mark.parametrize("email", ["lea@example.com", "nobody@example.com", "off@example.com"])
def test_inviting_tells_nobody_who_has_an_account(world: World, email: str) -> None:
    """One answer and one mail for every address."""
    answer = world.call("ana", "POST", INVITATIONS, {"email": email, "role": "member"})
    assert (answer.status_code, answer.json()["token"]) == (201, None)
    assert set(answer.json()) == {
        "invitation_id",
        "email",
        "role",
        "created_at",
        "expires_at",
        "token",
    }
    (message,) = world.mails()
    said = message.text.partition("#token=")[0]
    assert said.startswith("You are invited to Acme at localhost:8000.\n\nAccept within 7 days:")
    assert email not in message.text


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
    assert world.call(who, "POST", INVITATIONS, body).status_code == status
    assert len(world.mails()) == (status == 201)


def test_an_admin_has_no_power_over_an_invitation_to_the_owners_role(world: World) -> None:
    """It is neither taken back, nor sent anew, nor replaced by a lower one."""
    token = world.invite(role="owner")
    (listed,) = world.call("ada", "GET", INVITATIONS).json()
    place = f"{INVITATIONS}/{listed['invitation_id']}"
    assert world.call("ada", "DELETE", place).status_code == 403
    assert world.call("ada", "POST", f"{place}/resend").status_code == 403
    body = {"email": "lea@example.com", "role": "member"}
    assert world.call("ada", "POST", INVITATIONS, body).status_code == 403
    assert world.mails() == []
    assert world.take("lea", token) == 200
    assert world.roles()["lea"] == "owner"


@pytest.mark.parametrize("change", ["demote", "remove", "off", "expire", "revoke", "replace"])
@pytest.mark.parametrize("email", ["lea@example.com", "new@example.com"])
def test_an_invitation_falls_with_what_it_rests_on(world: World, change: str, email: str) -> None:
    """It holds as long as its sender could send it, for its time, and until it is taken back.

    Also where the page was shown already: what counts is how it is at the taking.
    """
    token = world.invite(email, "admin", who="ada")
    assert look(world, token).status_code == 200
    if change == "demote":
        world.call("ana", "PATCH", "/tenants/members/ada", {"role": "member"})
    elif change == "remove":
        world.call("ana", "DELETE", "/tenants/members/ada")
    elif change == "off":
        accounts = world.stockade._databases.accounts
        assert accounts is not None
        assert world.client.portal is not None
        world.client.portal.call(lambda: accounts.set_active(UserId("ada"), active=False))
    elif change == "expire":
        world.clock.advance(7 * 86_400)
    elif change == "revoke":
        (listed,) = world.call("ana", "GET", INVITATIONS).json()
        place = f"{INVITATIONS}/{listed['invitation_id']}"
        assert world.call("ana", "DELETE", place).status_code == 204
    else:
        world.invite(email)
    assert look(world, token).status_code == 404
    if email == "lea@example.com":
        assert world.take("lea", token) == 404
        assert world.call("lea", "GET", "/tenants").json() == []
    else:
        assert register(world, token).status_code == 404
        form = {"username": email, "password": PASSWORD}
        assert world.client.post("/auth/token", data=form).status_code == 400


def test_an_invitation_holds_to_the_last_second(world: World) -> None:
    """And not one longer."""
    token = world.invite()
    world.clock.advance(7 * 86_400 - 1)
    assert world.take("lea", token) == 200
    token = world.invite("new@example.com")
    world.clock.advance(7 * 86_400)
    assert register(world, token).status_code == 404


def test_an_invitation_is_sent_anew(world: World) -> None:
    """For its whole time, as the one who sends it; the token of before ends."""
    first = world.invite(who="ada")
    (listed,) = world.call("ana", "GET", INVITATIONS).json()
    world.clock.advance(6 * 86_400)
    place = f"{INVITATIONS}/{listed['invitation_id']}/resend"
    assert world.call("mia", "POST", place).status_code == 403
    again = world.call("ana", "POST", place)
    assert (again.status_code, again.json()["token"]) == (200, None)
    (message,) = world.mails()
    second = message.text.partition("#token=")[2].split()[0]
    world.clock.advance(6 * 86_400)
    world.call("ana", "DELETE", "/tenants/members/ada")
    assert world.take("lea", first) == 404
    assert world.take("lea", second) == 200
    assert "authorization.invitation_resent" in world.reasons(NAME)
    assert world.call("ana", "POST", place).status_code == 404


def test_an_invitation_into_one_tenant_is_taken_while_another_is_active(tmp_path: Path) -> None:
    """It leads where it leads, the active tenant stays what it was, and no other owner meddles."""
    world = World(tmp_path, tenant_creation="everybody")
    with world.client:
        token = world.invite()
        other = world.call("lea", "POST", "/tenants", {"name": "Globex"}).json()["tenant_id"]
        (listed,) = world.call("ana", "GET", INVITATIONS).json()
        place = f"{INVITATIONS}/{listed['invitation_id']}"
        assert world.call("lea", "GET", INVITATIONS).json() == []
        assert world.call("lea", "DELETE", place).status_code == 404
        assert world.call("lea", "POST", f"{place}/resend").status_code == 404
        body = {"token": token, "tenant_id": other}
        assert world.call("lea", "POST", f"{INVITATIONS}/accept", body).status_code == 422
        assert world.take("lea", token) == 200
        found = {
            each["tenant_id"]: (each["role"], each["active"])
            for each in world.call("lea", "GET", "/tenants").json()
        }
        assert found == {other: ("owner", True), "acme": ("member", False)}


def test_an_account_that_was_switched_off_does_not_come_in(world: World) -> None:
    """The invitation makes no second account, and works once it is on again."""
    token = world.invite()
    accounts = world.stockade._databases.accounts
    assert accounts is not None
    assert world.client.portal is not None
    headers = {"Authorization": f"Bearer {world.token('lea')}"}
    world.client.portal.call(lambda: accounts.set_active(UserId("lea"), active=False))
    assert look(world, token).json()["registers"] is False
    assert register(world, token).status_code == 404
    body = {"token": token}
    answer = world.client.post(f"{INVITATIONS}/accept", json=body, headers=headers)
    assert answer.status_code == 401
    world.client.portal.call(lambda: accounts.set_active(UserId("lea"), active=True))
    assert world.take("lea", token) == 200


@pytest.mark.parametrize(
    "email",
    [
        "lea",
        "lea@x\r\nBcc: eve@x",
        "lea@example.com,eve@example.com",
        "a" * 250 + "@x.yz",
        "Lea <lea@example.com>",
        "lea@example.com\n",
        "\uff4cea@example.com",
        "l\u0435a@example.com",
        "lea@ex\u00e4mple.com",
        "lea@example\u3002com",
        "\u212aea@example.com",
        "lea@example.com\u200b",
    ],
    ids=ascii,
)
def test_an_address_is_one_address_in_one_spelling(world: World, email: str) -> None:
    """Nothing that could add a recipient or a header, or that reads like another, is taken."""
    body = {"email": email, "role": "member"}
    assert world.call("ana", "POST", INVITATIONS, body).status_code == 422
    assert world.mails() == []


def test_capitals_are_the_same_address(world: World) -> None:
    """One invitation, one account."""
    first = world.invite("LEA@example.com")
    second = world.invite("lea@EXAMPLE.com")
    assert len(world.call("ana", "GET", INVITATIONS).json()) == 1
    assert (world.take("lea", first), world.take("lea", second)) == (404, 200)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Acme & Sons", "Acme Sons at "),
        ("Acme\u2028Bcc: eve@example.com", "Acme Bcc eve example com at "),
        ("https://evil.example/x", "https evil example x at "),
        ("\u202egnp.exe", "gnp exe at "),
        ("!!!", ""),
        ("A" * 200, "A" * 60 + " at "),
    ],
    ids=ascii,
)
def test_a_name_writes_no_mail(tmp_path: Path, name: str, said: str) -> None:
    """Whoever makes a tenant adds no header, no line and no link to what we send."""
    world = World(tmp_path, tenant_creation="everybody")
    with world.client:
        made = world.call("lea", "POST", "/tenants", {"name": name}).json()["tenant_id"]
        switch = {"tenant_id": made}
        headers = {"Authorization": f"Bearer {world.token('lea')}"}
        token = world.client.post("/tenants/switch", headers=headers, json=switch).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        body = {"email": "new@example.com", "role": "member"}
        sent = world.client.post(INVITATIONS, headers=headers, json=body)
        assert sent.status_code == 201
        (message,) = world.mails()
    assert message.text.splitlines()[0] == f"You are invited to {said}localhost:8000."
    assert message.subject == "An invitation to localhost:8000"
    assert name_tenant(name) == said.removesuffix(" at ")


@pytest.mark.parametrize(
    "token",
    ["x", "stki_", "stki_" + "A" * 43, "stki_" + "A" * 42 + "B", "stkl_" + "A" * 43, "\u00e9" * 48],
)
def test_a_token_that_is_none_is_not_found(world: World, token: str) -> None:
    """Whatever is wrong with it, the answer is the same."""
    answers = [
        look(world, token),
        register(world, token),
        world.call("lea", "POST", f"{INVITATIONS}/accept", {"token": token}),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(404, "not_found")] * 3


@pytest.mark.parametrize(
    "body",
    [
        {"email": "lea@example.com"},
        {"email": "lea@example.com", "role": "canary\n"},
        {"email": "lea@example.com", "role": "x" * 65},
        {"email": "lea@example.com", "role": ""},
        {"email": "lea@example.com", "role": ["owner"]},
        {"email": "lea@example.com", "role": "member", "tenant_id": "acme"},
        {"email": "lea@example.com", "role": "member", "mailed": True},
        {},
    ],
)
def test_another_body_does_not_fit(world: World, body: dict[str, object]) -> None:
    """Nobody chooses the tenant, and nothing comes back."""
    answer = world.call("ana", "POST", INVITATIONS, body)
    assert answer.status_code == 422
    assert "canary" not in answer.text
    assert world.mails() == []


def test_a_member_is_not_invited(world: World) -> None:
    """Whoever is in already gets no second way in."""
    body = {"email": "mia@example.com", "role": "admin"}
    assert world.call("ana", "POST", INVITATIONS, body).status_code == 403
    assert world.mails() == []


def test_so_many_mails_go_to_one_address(tmp_path: Path) -> None:
    """Nobody fills somebody's mailbox, and what is refused ends no earlier invitation."""
    world = World(tmp_path, limited=True)
    body = {"email": "lea@example.com", "role": "member"}
    with world.client:
        answers = [world.call("ana", "POST", INVITATIONS, body) for _ in range(9)]
        limit = world.stockade.settings.authentication.mails_per_address
        assert [each.status_code for each in answers] == [201] * limit + [429] * (9 - limit)
        place = f"{INVITATIONS}/{answers[limit - 1].json()['invitation_id']}/resend"
        assert world.call("ana", "POST", place).status_code == 429
        mails = world.mails()
        assert len(mails) == limit
        assert world.take("lea", mails[-1].text.partition("#token=")[2].split()[0]) == 200


def test_a_stranger_neither_invites_nor_accepts(world: World) -> None:
    """Only looking and registering are open."""
    body = {"email": "lea@example.com", "role": "member"}
    assert world.client.post(INVITATIONS, json=body).status_code == 401
    token = {"token": world.invite()}
    assert world.client.post(f"{INVITATIONS}/accept", json=token).status_code == 401


def test_a_hook_sends_the_invitation(tmp_path: Path) -> None:
    """In the place of our mail, after the answer; where it fails, the invitation can be resent."""
    sent: list[IssuedInvitation] = []
    fails: list[bool] = [True]

    async def send(issued: IssuedInvitation) -> None:
        if fails:
            raise OSError
        sent.append(issued)

    world = World(tmp_path, on_invitation=send, authentication={"registration": "invited"})
    with world.client:
        body = {"email": "new@example.com", "role": "member"}
        made = world.call("ana", "POST", INVITATIONS, body)
        assert (made.status_code, made.json()["token"]) == (201, None)
        assert world.mails() == []
        assert world.reasons("authentication.errand_failed") == ["authentication.errand"]
        fails.clear()
        place = f"{INVITATIONS}/{made.json()['invitation_id']}/resend"
        assert world.call("ana", "POST", place).json()["token"] is None
        world.mails()
        (issued,) = sent
        assert (issued.tenant_name, issued.invitation.email) == ("Acme", "new@example.com")
        assert issued.token not in repr(issued)
        assert register(world, issued.token).status_code == 204


def test_a_link_of_the_release_before_goes_on() -> None:
    """What was carried over is found by the digest that it had."""
    token = "stkl_" + "A" * 42 + "A"
    ring = KeyRing([NEW])
    key = ring.derive("one-time/digest")[0]
    told = f"invitation\0{token}".encode("ascii")
    assert InvitationTokens(ring).digests(token) == (hmac.digest(key, told, sha256).hex(),)


def test_links_that_lead_nowhere_stop_the_start(tmp_path: Path) -> None:
    """A mailer without pages is a mistake, and none at all is a choice."""
    world = World(tmp_path)
    world.stockade._wiring._mails = None
    with pytest.raises(ConfigurationError, match="PAGES_URL"), world.client:
        pass
