import dataclasses
from collections.abc import Callable

import pytest

from stockade.core import TenantId, UserId
from tests.unit.authentication.accounts import BEA, token_in
from tests.unit.authentication.test_routes_passwords import FRESH, AccountsApp, make

__all__ = ["make"]

CLEO = "cleo@example.org"
BOSS = dataclasses.replace(
    BEA,
    user_id=UserId("boss"),
    email="boss@example.org",
    tenant_id=TenantId("zeta"),
    roles=frozenset({"owner"}),
)


@pytest.fixture
def app(make: Callable[..., AccountsApp]) -> AccountsApp:
    """An application for those who were invited, and somebody who invites."""
    made = make(registration="invited")
    made.store.put(BOSS)
    return made


def boss(app: AccountsApp) -> dict[str, str]:
    """Return the header of the owner of a tenant."""
    return app.bearer(app.sign_in(account=BOSS).json())


def invite(app: AccountsApp, email: str = CLEO, **more: str) -> str:
    """Invite somebody, and return the token."""
    answer = app.post("invitations", {"email": email, **more}, **boss(app))
    assert (answer.status_code, answer.content) == (202, b"")
    (message,) = app.mails()
    return token_in(message)


def test_an_account_is_made_in_the_tenant(app: AccountsApp) -> None:
    """The invitation says which one and as what, not the request."""
    token = invite(app, role="owner")
    sent = {"token": token, "password": FRESH}
    assert app.post("invitations/register", {**sent, "role": "admin"}).status_code == 422
    assert app.post("invitations/register", sent).status_code == 204
    form = {"username": CLEO, "password": FRESH}
    granted = app.client.post("/auth/token", data=form).json()
    me = app.client.get("/auth/me", headers=app.bearer(granted)).json()
    assert (me["active_tenant_id"], me["roles"]) == ("zeta", ["owner"])
    assert app.post("invitations/register", sent).json()["code"] == "invalid_link"


def test_an_account_accepts(app: AccountsApp) -> None:
    """Only the one that was invited, and only somebody who is signed in."""
    token = invite(app, BEA.email)
    assert app.post("invitations/accept", {"token": token}).status_code == 401
    other = app.post("invitations/accept", {"token": token}, **boss(app))
    assert (other.status_code, other.json()["code"]) == (422, "invalid_link")
    assert app.post("invitations/accept", {"token": token}, **app.bearer()).status_code == 204
    again = app.post("invitations/accept", {"token": token}, **app.bearer())
    assert again.json()["code"] == "invalid_link"


def test_a_member_invites_nobody(app: AccountsApp) -> None:
    """It is for admins and owners; a stranger is 401."""
    assert app.post("invitations", {"email": CLEO}).status_code == 401
    assert app.post("invitations", {"email": CLEO}, **app.bearer()).status_code == 403
    unheld = app.post("invitations", {"email": CLEO, "role": "admin"}, **boss(app))
    assert unheld.status_code == 403
    assert app.mails() == []


@pytest.mark.parametrize(
    "body",
    [
        {"email": "canary"},
        {"email": CLEO, "role": "canary\n"},
        {"email": CLEO, "role": "x" * 65},
        {"email": CLEO, "role": ""},
        {"email": CLEO, "tenant_id": "acme"},
        {},
    ],
)
def test_another_body_does_not_fit(app: AccountsApp, body: dict[str, str]) -> None:
    """Nobody chooses the tenant, and nothing comes back."""
    answer = app.post("invitations", body, **boss(app))
    assert answer.status_code == 422
    assert "canary" not in answer.text
    assert app.mails() == []


def test_a_closed_application_invites_nobody(make: Callable[..., AccountsApp]) -> None:
    """That is the default."""
    app = make()
    app.store.put(BOSS)
    assert app.post("invitations", {"email": CLEO}, **boss(app)).status_code == 403
    assert app.mails() == []
