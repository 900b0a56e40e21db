import dataclasses
import secrets
from collections.abc import Callable

import pytest

from stockade.core import TenantId
from tests.unit.authentication.accounts import BARE, BEA, PASSWORD, token_in
from tests.unit.authentication.test_routes_passwords import AccountsApp, app, make

__all__ = ["app", "make"]

NEW = "bea@elsewhere.example.org"


def test_an_address_is_changed_by_both_mailboxes(app: AccountsApp) -> None:
    """Each answer is without a word; at the end every session has ended."""
    here = app.bearer()
    body = {"new_email": NEW, "current_password": PASSWORD}
    asked = app.post("email/change", body, **here)
    assert (asked.status_code, asked.content) == (202, b"")
    (first,) = app.mails()
    allowed = app.post("email/allow", {"token": token_in(first)})
    assert (allowed.status_code, allowed.content) == (202, b"")
    (second,) = app.mails()
    assert (first.to, second.to) == (BEA.email, NEW)
    assert app.me(here) == 200
    confirmed = app.post("email/confirm", {"token": token_in(second)})
    assert (confirmed.status_code, confirmed.content) == (204, b"")
    assert app.me(here) == 401
    assert app.sign_in().status_code == 400
    form = {"username": NEW, "password": PASSWORD}
    granted = app.client.post("/auth/token", data=form).json()
    assert app.client.get("/auth/me", headers=app.bearer(granted)).json()["email"] == NEW
    again = app.post("email/confirm", {"token": token_in(second)})
    assert (again.status_code, again.json()["code"]) == (422, "invalid_link")


def test_an_address_that_is_taken_reads_the_same(app: AccountsApp) -> None:
    """Nobody looks others up by it."""
    here = app.bearer()
    for email in (NEW, BARE.email):
        body = {"new_email": email, "current_password": PASSWORD}
        answer = app.post("email/change", body, **here)
        assert (answer.status_code, answer.content) == (202, b"")
        (first,) = app.mails()
        assert first.to == BEA.email
        allowed = app.post("email/allow", {"token": token_in(first)})
        assert (allowed.status_code, allowed.content) == (202, b"")
        app.mails()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"new_email": NEW, "current_password": "guess"}, 403),
        ({"new_email": "canary", "current_password": PASSWORD}, 422),
        ({"new_email": NEW}, 422),
        ({"new_email": NEW, "current_password": PASSWORD, "user_id": "ana"}, 422),
    ],
)
def test_another_request_mails_nothing(app: AccountsApp, body: dict[str, str], status: int) -> None:
    """Neither without the password nor to what is no address."""
    answer = app.post("email/change", body, **app.bearer())
    assert answer.status_code == status
    assert "canary" not in answer.text
    assert app.mails() == []


def test_an_account_is_switched_off_by_its_owner(app: AccountsApp) -> None:
    """At once, on every device."""
    here, there = app.bearer(), app.bearer()
    assert app.post("account/deactivate", None, **here).status_code == 204
    assert (app.me(here), app.me(there)) == (401, 401)
    assert app.sign_in().status_code == 400
    assert [message.to for message in app.mails()] == [BEA.email]


def test_an_account_is_deleted_by_its_owner(app: AccountsApp) -> None:
    """Its key works no longer either, and its address is free."""
    here = app.bearer()
    made = app.post("api-keys", {"name": "robot"}, **here).json()
    keys = {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}
    assert app.me(keys) == 200
    assert app.client.delete("/auth/account", headers=here).status_code == 204
    assert (app.me(here), app.me(keys)) == (401, 401)
    assert app.sign_in().status_code == 400
    app.mails()
    assert app.post("register", {"email": BEA.email}).status_code == 202
    (message,) = app.mails()
    assert "#token=stkl_" in message.text


def test_the_last_owner_closes_nothing_but_with_the_tenant(app: AccountsApp) -> None:
    """The problem says what it is about; what is named is exactly what would have no owner."""
    owner = dataclasses.replace(BEA, tenant_id=TenantId("acme"), roles=frozenset({"owner"}))
    app.store.put(owner)
    here = app.bearer()
    for answer in (
        app.post("account/deactivate", None, **here),
        app.client.delete("/auth/account", headers=here),
        app.client.delete("/auth/account?tenant=globex", headers=here),
        app.client.delete("/auth/account?tenant=acme&tenant=globex", headers=here),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "last_owner")
    for odd in ("", "a b", "x" * 37, "acme%00"):
        refused = app.client.delete(f"/auth/account?tenant={odd}", headers=here)
        assert refused.status_code in {400, 422}
    assert app.me(here) == 200
    assert app.mails() == []
    assert app.client.delete("/auth/account?tenant=acme", headers=here).status_code == 204
    assert app.me(here) == 401


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "account/deactivate"), ("DELETE", "account")]
)
def test_closing_needs_a_person_who_has_just_signed_in(
    app: AccountsApp, method: str, path: str
) -> None:
    """No stranger, no key of a program, and no session that is refreshed for days."""
    url = f"/auth/{path}"
    assert app.client.request(method, url).status_code == 401
    made = app.post("api-keys", {"name": secrets.token_hex(4)}, **app.bearer()).json()
    keys = {"X-CLIENT-ID": made["client_id"], "X-API-KEY": made["api_key"]}
    assert app.client.request(method, url, headers=keys).status_code in {401, 403}
    assert app.sign_in().status_code == 200


def test_no_other_site_closes_an_account(make: Callable[..., AccountsApp]) -> None:
    """A cookie alone is not enough."""
    app = make(cookies=True)
    own = {"Sec-Fetch-Site": "same-origin"}
    assert app.post("login", {"email": BEA.email, "password": PASSWORD}, **own).status_code == 204
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert app.post("account/deactivate", None, **foreign).status_code == 403
    assert app.client.delete("/auth/account", headers=foreign).status_code == 403
    assert app.client.delete("/auth/account", headers=own).status_code == 204
    assert app.me({}) == 401
