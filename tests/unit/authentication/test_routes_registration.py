from collections.abc import Callable

import pytest

from tests.unit.authentication.accounts import BEA, OFF
from tests.unit.authentication.test_routes_passwords import FRESH, AccountsApp, app, make, shown

__all__ = ["app", "make"]

CLEO = "cleo@example.org"


def test_an_account_is_made_by_its_owner(app: AccountsApp) -> None:
    """The address first, the password with the link, and then a sign-in."""
    token = app.link("register", CLEO)
    form = {"username": CLEO, "password": FRESH}
    assert app.client.post("/auth/token", data=form).status_code == 400
    answer = app.post("verify", {"token": token, "password": FRESH})
    assert (answer.status_code, answer.content) == (204, b"")
    granted = app.client.post("/auth/token", data=form).json()
    me = app.client.get("/auth/me", headers=app.bearer(granted)).json()
    assert (me["email"], me["user_type"], me["roles"]) == (CLEO, "user", [])
    assert me["active_tenant_id"] is None
    again = app.post("verify", {"token": token, "password": FRESH})
    assert again.json()["code"] == "invalid_link"


@pytest.mark.parametrize("email", [BEA.email, OFF.email, BEA.email.upper()])
def test_an_address_that_is_taken_reads_the_same(app: AccountsApp, email: str) -> None:
    """Status, body and headers tell nothing."""
    free = app.post("register", {"email": CLEO})
    assert (free.status_code, free.content) == (202, b"")
    assert shown(app.post("register", {"email": email})) == shown(free)
    tokens = [message for message in app.mails() if "stkl_" in message.text]
    assert [message.to for message in tokens] == [CLEO]


@pytest.mark.parametrize(
    "email",
    [
        "cleo",
        "cleo@localhost",
        "cleo@example.org, eve@example.org",
        "cleo@example.org\r\nBcc: eve@example.org",
        "Cleo <cleo@example.org>",
        "cl\u0435o@example.org",
        " cleo@example.org",
    ],
    ids=ascii,
)
def test_what_is_no_address_is_refused(app: AccountsApp, email: str) -> None:
    """By its form alone, with nothing of it in the answer."""
    answer = app.post("register", {"email": email})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "email"
    assert "cleo" not in answer.text
    assert app.mails() == []


def test_nobody_registers_where_nobody_may(make: Callable[..., AccountsApp]) -> None:
    """That is the default, for every address alike."""
    app = make()
    for email in (CLEO, BEA.email):
        answer = app.post("register", {"email": email})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    verified = app.post("verify", {"token": "stkl_" + "A" * 43, "password": FRESH})
    assert verified.status_code == 403
    assert app.mails() == []
    assert "authentication.registration_closed" in app.reasons()
