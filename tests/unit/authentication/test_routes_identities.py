"""Link identities to accounts, register by them, and take them off again."""

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from stockade.authentication.totp import PERIOD, compute_code, step_at
from stockade.core import UserId
from stockade.errors import ForbiddenError
from tests.clock import FrozenClock
from tests.unit.authentication.issuers import NOW, run_issuer
from tests.unit.authentication.providers import (
    HOST,
    PASSWORD,
    LocalProvider,
    Site,
    challenge_of,
    make_account,
    query_of,
    visit,
)
from tests.unit.authentication.test_routes_providers import clock, link, provider, refuse, site

__all__ = ["clock", "provider", "site"]

REGISTERS = {"registration": True, "trusted_domains": ["example.com"]}
VERIFIER = "v" * 43


@pytest.fixture
def open_site(provider: LocalProvider, clock: FrozenClock) -> Site:
    """An application that registers whoever the provider vouches for."""
    return Site(provider, clock=clock, provider=REGISTERS)


def sign_in_as(provider: LocalProvider, subject: str, **claims: object) -> None:
    """Have somebody else sign in at the provider from now on."""
    provider.user = {"sub": subject, **claims}


@pytest.mark.parametrize("registration", [False, True])
@pytest.mark.parametrize("verified", [True, False, "true", None])
def test_an_address_signs_nobody_in(
    provider: LocalProvider, clock: FrozenClock, registration: bool, verified: object
) -> None:
    """Whoever can have an address written into a token does not own the account that has it."""
    site = Site(provider, clock=clock, provider=REGISTERS | {"registration": registration})
    sign_in_as(provider, "mallory", email="ana@example.com", email_verified=verified)
    browser = site.browser()
    assert refuse(site, browser.sign_in(), "identity_not_linked") in {
        "identity_unknown",
        "identity_email_unverified",
        "email_taken",
    }
    assert browser.me() is None
    assert site.newcomers.seen == []
    owner = site.browser()
    owner.sign_in_by_password()
    assert owner.identities() == []


def test_nobody_learns_whether_an_address_has_an_account(
    open_site: Site, provider: LocalProvider
) -> None:
    """An address that nobody vouches for gets one answer, and no account is looked for."""
    answers = set()
    for email in ("ana@example.com", "nobody@example.com"):
        sign_in_as(provider, "mallory", email=email, email_verified=False)
        answers.add(open_site.browser().sign_in())
    assert len(answers) == 1
    assert (
        open_site.reasons()[-1]
        == open_site.reasons()[-2]
        == "login_failed identity_email_unverified"
    )


def test_nobody_is_registered_unless_that_is_switched_on(
    site: Site, provider: LocalProvider
) -> None:
    """By default a provider makes no accounts."""
    sign_in_as(provider, "carla", email="carla@example.com", email_verified=True)
    reason = refuse(site, site.browser().sign_in(), "identity_not_linked")
    assert reason == "identity_unknown"


def test_somebody_new_gets_an_account(open_site: Site, provider: LocalProvider) -> None:
    """Where the application says, without a password, and the second time it is the same one."""
    sign_in_as(provider, "carla", email="Carla@Example.com", email_verified=True, groups=["staff"])
    browser = open_site.browser()
    assert not query_of(browser.sign_in())
    carla = browser.send("GET", "/auth/me").json()
    assert carla["email"] == "carla@example.com"
    assert (carla["active_tenant_id"], carla["roles"]) == ("acme", ["member"])
    assert carla["user_type"] == "user"
    seen = open_site.newcomers.seen[0]
    assert (seen.provider, seen.subject, seen.email) == ("local", "carla", "carla@example.com")
    assert seen.claims["groups"] == ["staff"]
    assert "identity_changed identity_registered" in open_site.reasons()
    again = open_site.browser()
    again.sign_in()
    assert again.me() == carla["user_id"]
    assert len(open_site.newcomers.seen) == 1


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"email": "carla@example.com"}, "identity_email_unverified"),
        ({"email": "carla@example.com", "email_verified": 1}, "identity_email_unverified"),
        ({"email": "carla@example.com", "email_verified": "true"}, "identity_email_unverified"),
        ({"email_verified": True}, "identity_email_unverified"),
        ({"email": ["carla@example.com"], "email_verified": True}, "identity_email_unverified"),
        ({"email": "carla@éxample.com", "email_verified": True}, "identity_email_unverified"),
        ({"email": "\u212aarla@example.com", "email_verified": True}, "identity_email_unverified"),
        ({"email": "a@b@example.com", "email_verified": True}, "identity_email_unverified"),
        ({"email": "carla@example.com\n", "email_verified": True}, "identity_email_unverified"),
        ({"email": "<c>@example.com", "email_verified": True}, "identity_email_unverified"),
        (
            {"email": "a" * 300 + "@example.com", "email_verified": True},
            "identity_email_unverified",
        ),
        ({"email": "carla@evil.example", "email_verified": True}, "email_untrusted"),
        ({"email": "carla@sub.example.com", "email_verified": True}, "email_untrusted"),
        ({"email": "carla@notexample.com", "email_verified": True}, "email_untrusted"),
    ],
)
def test_an_address_that_nobody_vouches_for_gets_no_account(
    open_site: Site, provider: LocalProvider, claims: dict[str, Any], reason: str
) -> None:
    """It has to be plain, verified, and of a domain that the provider is trusted with."""
    sign_in_as(provider, "carla", **claims)
    address = open_site.browser().sign_in()
    assert refuse(open_site, address, "identity_not_linked") == reason
    assert open_site.newcomers.seen == []


def test_the_application_may_refuse_newcomers(open_site: Site, provider: LocalProvider) -> None:
    """Then there is no account, and the event says why."""
    sign_in_as(provider, "carla", email="carla@example.com", email_verified=True)
    open_site.newcomers.refusal = ForbiddenError(reason="shop.staff_only")
    browser = open_site.browser()
    address = browser.sign_in()
    assert query_of(address) == {"error": "provider_sign_in_refused"}
    assert open_site.reasons()[-1] == "login_failed shop.staff_only"
    assert browser.me() is None


def test_an_address_that_changes_at_the_provider_changes_nothing_here(
    open_site: Site, provider: LocalProvider
) -> None:
    """The identity is the subject, and the account keeps its own address."""
    link(open_site)
    sign_in_as(provider, "ana-there", email="bea@example.com", email_verified=True)
    browser = open_site.browser()
    browser.sign_in()
    assert browser.send("GET", "/auth/me").json()["email"] == "ana@example.com"


def test_linking_needs_a_fresh_sign_in(site: Site, provider: LocalProvider) -> None:
    """A browser that somebody has left open is not enough, and neither is none."""
    browser = site.browser()
    assert browser.send("POST", "/auth/oidc/local/link", json={}).status_code == 401
    browser.sign_in_by_password()
    site.clock.advance(16 * 60)
    answer = browser.send("POST", "/auth/oidc/local/link", json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required")


def test_another_site_makes_nobody_link(site: Site) -> None:
    """The request has to come from here."""
    browser = site.browser()
    browser.sign_in_by_password()
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    answer = browser.send("POST", "/auth/oidc/local/link", json={}, headers=headers)
    assert answer.status_code == 403
    assert len(browser.cookies) == 1


def test_nobody_links_by_the_address_of_somebody_else(site: Site, provider: LocalProvider) -> None:
    """Neither the account of who has begun, nor the identity of who comes back, is another's."""
    attacker, victim = site.browser(), site.browser()
    attacker.sign_in_by_password("bea")
    victim.sign_in_by_password("ana")
    # The victim is led to the provider by the attacker's address, and comes back.
    assert victim.come_back(visit(attacker.link())).status_code == 401
    # The attacker's own answer is led to the victim, who has begun to link.
    victim.link()
    assert victim.come_back(visit(attacker.link())).status_code == 401
    assert victim.identities() == attacker.identities() == []


def test_who_has_signed_out_meanwhile_links_nothing(site: Site, provider: LocalProvider) -> None:
    """The session in which it was asked for has to go on."""
    browser = site.browser()
    browser.sign_in_by_password()
    address = visit(browser.link())
    browser.send("POST", "/auth/sign-out")
    assert refuse(site, browser.come_back(address).headers["location"]) == "session_over"
    browser.sign_in_by_password()
    assert browser.identities() == []


def test_who_was_deactivated_meanwhile_links_nothing(site: Site, provider: LocalProvider) -> None:
    """The account has to be one that may sign in."""
    browser = site.browser()
    browser.sign_in_by_password()
    address = visit(browser.link())
    site.accounts.put(make_account("ana", active=False))
    assert refuse(site, browser.come_back(address).headers["location"]) == "account_inactive"


def test_an_identity_has_one_account(site: Site, provider: LocalProvider) -> None:
    """Whoever has it linked first keeps it; linking it again to the same account is no change."""
    link(site, "ana")
    link(site, "ana")
    assert site.reasons().count("identity_changed identity_linked") == 1
    browser = site.browser()
    browser.sign_in_by_password("bea")
    address = browser.come_back(visit(browser.link())).headers["location"]
    assert refuse(site, address) == "identity_taken"
    assert browser.identities() == []


def test_linking_signs_nobody_in(site: Site, provider: LocalProvider) -> None:
    """The session stays what it was, with the sign-in that it had."""
    browser = site.browser()
    browser.sign_in_by_password()
    before = browser.cookies["__Host-stockade"]
    browser.come_back(visit(browser.link()))
    assert browser.cookies == {"__Host-stockade": before}


def test_an_account_has_so_many_identities(site: Site, provider: LocalProvider) -> None:
    """Nobody fills the tables by linking."""
    browser = site.browser()
    browser.sign_in_by_password()
    for number in range(20):
        sign_in_as(provider, f"ana-{number}")
        browser.come_back(visit(browser.link()))
    sign_in_as(provider, "one too many")
    address = browser.come_back(visit(browser.link())).headers["location"]
    assert refuse(site, address) == "too_many_identities"
    assert len(browser.identities()) == 20


def test_an_identity_is_taken_off(site: Site, provider: LocalProvider) -> None:
    """It signs in no longer; the password goes on."""
    link(site)
    browser = site.browser()
    browser.sign_in_by_password()
    identity = browser.identities()[0]["identity_id"]
    assert browser.send("DELETE", f"/auth/oidc/identities/{identity}").status_code == 204
    assert "identity_changed identity_unlinked" in site.reasons()
    assert browser.identities() == []
    assert browser.send("DELETE", f"/auth/oidc/identities/{identity}").status_code == 404
    address = site.browser().sign_in()
    assert refuse(site, address, "identity_not_linked") == "identity_unknown"


def test_nobody_takes_off_what_is_another_s(site: Site, provider: LocalProvider) -> None:
    """It reads as if it were not there."""
    link(site, "ana")
    owner, other = site.browser(), site.browser()
    owner.sign_in_by_password("ana")
    other.sign_in_by_password("bea")
    identity = owner.identities()[0]["identity_id"]
    assert other.send("DELETE", f"/auth/oidc/identities/{identity}").status_code == 404
    assert len(owner.identities()) == 1


def test_taking_off_needs_a_fresh_sign_in(site: Site, provider: LocalProvider) -> None:
    """As linking does."""
    link(site)
    browser = site.browser()
    browser.sign_in_by_password()
    identity = browser.identities()[0]["identity_id"]
    site.clock.advance(16 * 60)
    assert browser.send("DELETE", f"/auth/oidc/identities/{identity}").status_code == 401


def test_the_last_way_in_stays(open_site: Site, provider: LocalProvider) -> None:
    """An account without a password keeps one identity, whichever that is."""
    sign_in_as(provider, "carla", email="carla@example.com", email_verified=True)
    browser = open_site.browser()
    browser.sign_in(fresh="true")
    first = browser.identities()[0]["identity_id"]
    answer = browser.send("DELETE", f"/auth/oidc/identities/{first}")
    assert (answer.status_code, answer.json()["code"]) == (403, "last_way_in")
    sign_in_as(provider, "carla-2")
    assert not query_of(browser.come_back(visit(browser.link())).headers["location"])
    assert browser.send("DELETE", f"/auth/oidc/identities/{first}").status_code == 204
    second = browser.identities()[0]["identity_id"]
    assert browser.send("DELETE", f"/auth/oidc/identities/{second}").status_code == 403


def test_only_a_dated_sign_in_is_a_fresh_one(site: Site, provider: LocalProvider) -> None:
    """A session at the provider may be days old; whoever asks for a new sign-in gets one."""
    link(site)
    browser = site.browser()
    browser.sign_in()
    assert browser.send("POST", "/auth/oidc/local/link", json={}).status_code == 401
    sign_in_as(provider, "ana-there", auth_time=int(site.clock.now().timestamp()) - 3600)
    browser.sign_in()
    assert browser.send("POST", "/auth/oidc/local/link", json={}).status_code == 401
    browser.sign_in(fresh="true")
    assert browser.send("POST", "/auth/oidc/local/link", json={}).status_code == 200


@pytest.mark.parametrize("auth_time", [None, -3600])
def test_a_provider_that_signs_nobody_in_anew_is_noticed(
    site: Site, provider: LocalProvider, auth_time: int | None
) -> None:
    """Its old session does not pass for a fresh sign-in."""
    link(site)
    provider.signs_in_anew = False
    if auth_time is not None:
        moment = int(site.clock.now().timestamp()) + auth_time
        sign_in_as(provider, "ana-there", auth_time=moment)
    browser = site.browser()
    query = query_of(browser.start(fresh="true"))
    assert (query["prompt"], query["max_age"]) == ("login", "0")
    assert refuse(site, browser.sign_in(fresh="true")) == "token_sign_in_too_old"


def exchange(site: Site, code: str, verifier: str = VERIFIER) -> Any:  # noqa: ANN401 - a response
    """Exchange a code for tokens."""
    body = {"code": code, "code_verifier": verifier}
    return site.client.post("/auth/oidc/exchange", json=body)


def link_by_token(site: Site) -> dict[str, str]:
    """Link whoever the provider signs in, and return the header of the token that asked for it."""
    form = {"username": "ana@example.com", "password": PASSWORD}
    granted = site.client.post("/auth/token", data=form).json()
    browser = site.browser()
    headers = {"Authorization": f"Bearer {granted['access_token']}"}
    answer = browser.send("POST", "/auth/oidc/local/link", json={}, headers=headers)
    address = answer.json()["authorization_url"]
    assert not query_of(browser.come_back(visit(address)).headers["location"])
    return headers


def fetch_code(site: Site) -> str:
    """Sign in at the provider for a client that has the verifier."""
    address = site.browser().sign_in(code_challenge=challenge_of(VERIFIER), next="/done?a=b")
    assert address.startswith(f"{HOST}/done?a=b&code=")
    return query_of(address)["code"]


@pytest.mark.parametrize("cookies", [True, False])
def test_a_client_gets_tokens(provider: LocalProvider, clock: FrozenClock, cookies: bool) -> None:
    """The browser brings a code, and whoever began exchanges it, with and without cookies."""
    site = Site(provider, clock=clock, cookies=cookies)
    link_by_token(site)
    code = fetch_code(site)
    granted = exchange(site, code)
    assert granted.status_code == 200
    assert granted.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
    assert site.client.get("/auth/me", headers=headers).json()["user_id"] == "ana"
    refreshed = site.client.post(
        "/auth/refresh", json={"refresh_token": granted.json()["refresh_token"]}
    )
    assert refreshed.status_code == 200


def test_a_code_is_exchanged_once(site: Site, provider: LocalProvider) -> None:
    """Whoever finds it in a log comes too late."""
    link(site)
    code = fetch_code(site)
    assert exchange(site, code).status_code == 200
    answer = exchange(site, code)
    assert (answer.status_code, answer.json()["code"]) == (401, "provider_sign_in_refused")
    assert site.reasons()[-2] == "login_failed exchange_code_spent"


def test_a_code_needs_its_verifier(site: Site, provider: LocalProvider) -> None:
    """Whoever finds it without has nothing, and uses nothing up."""
    link(site)
    code = fetch_code(site)
    assert exchange(site, code, "w" * 43).status_code == 401
    assert site.reasons()[-2] == "login_failed exchange_verifier"
    assert exchange(site, code).status_code == 200


def test_a_code_holds_a_minute(site: Site, provider: LocalProvider) -> None:
    """As long as a client needs."""
    link(site)
    code = fetch_code(site)
    site.clock.advance(60)
    assert exchange(site, code).status_code == 401
    assert site.reasons()[-2] == "login_failed exchange_code_expired"


def test_a_code_ends_with_its_account(site: Site, provider: LocalProvider) -> None:
    """Whoever was deactivated, or signed out everywhere, gets no tokens by an older code."""
    link(site)
    code = fetch_code(site)
    site.accounts.put(make_account("ana", active=False))
    assert exchange(site, code).status_code == 401
    site.accounts.put(make_account("ana"))
    code = fetch_code(site)
    site.accounts.put(make_account("ana", token_epoch=1))
    assert exchange(site, code).status_code == 401
    assert site.reasons()[-2] == "login_failed token_revoked"


def test_what_is_sealed_for_one_use_opens_for_no_other(site: Site, provider: LocalProvider) -> None:
    """A cookie is no code, and a code is no cookie."""
    link(site)
    browser = site.browser()
    state = query_of(browser.start())["state"]
    (cookie,) = browser.cookies.values()
    assert exchange(site, cookie).status_code == 401
    code = fetch_code(site)
    (name,) = browser.cookies
    browser.cookies = {name: code}
    path = f"{HOST}/auth/oidc/local/callback?state={state}&code=x"
    assert browser.come_back(path).status_code == 401
    assert "login_failed exchange_code_unknown" in site.reasons()


def test_without_cookies_a_challenge_is_needed(provider: LocalProvider, clock: FrozenClock) -> None:
    """Nobody could get anything otherwise."""
    site = Site(provider, clock=clock, cookies=False)
    answer = site.client.get("/auth/oidc/local/start")
    assert answer.status_code == 422
    answer = site.client.get(f"/auth/oidc/local/start?code_challenge={'a' * 43}")
    assert answer.status_code == 303


@pytest.mark.parametrize("challenge", ["", "a" * 42, "a" * 44, "a" * 42 + "=", "é" * 43])
def test_a_challenge_is_a_hash(site: Site, challenge: str) -> None:
    """Anything else is refused; there is no plain one."""
    params = {"code_challenge": challenge}
    assert site.client.get("/auth/oidc/local/start", params=params).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "https://evil.example/"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "https://app.example.com.evil/"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "https://app.example.com"}, 303),
        ({"Sec-Fetch-Site": "same-site", "Referer": "https://app.example.com/a"}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({}, 303),
    ],
)
def test_no_other_site_chooses_the_challenge(
    provider: LocalProvider, clock: FrozenClock, headers: dict[str, str], status: int
) -> None:
    """It would have the verifier of a code that ends up in the victim's browser."""
    site = Site(provider, clock=clock, return_origin="https://app.example.com")
    path = f"/auth/oidc/local/start?code_challenge={challenge_of(VERIFIER)}"
    assert site.client.get(path, headers=headers).status_code == status


def test_a_bearer_of_tokens_links_as_well(site: Site, provider: LocalProvider) -> None:
    """With a fresh token in the place of the cookie; the browser still keeps the sign-in."""
    headers = link_by_token(site)
    listed = site.client.get("/auth/oidc/identities", headers=headers).json()
    assert len(listed) == 1


def test_a_caller_of_another_issuer_links_nothing(
    provider: LocalProvider, clock: FrozenClock
) -> None:
    """However fresh its sign-in is: it has no account here that an identity could belong to."""
    with run_issuer() as issuer:
        partner = issuer.issuer.settings()
        site = Site(provider, clock=clock, issuers={"partner": partner})
        token = issuer.issuer.issue(auth_time=NOW)
        headers = {"Authorization": f"Bearer {token}"}
        assert site.client.get("/auth/me", headers=headers).status_code == 200
        answer = site.client.post("/auth/oidc/local/link", json={}, headers=headers)
    assert answer.status_code == 403
    assert site.reasons()[-1] == "refused session_needed"
    assert "set-cookie" not in answer.headers


def test_the_owner_is_told(open_site: Site, provider: LocalProvider) -> None:
    """Of each way in that comes or goes, by mail; signing in by one is no news."""
    with open_site.client as client:
        browser = open_site.browser()
        browser.sign_in_by_password()
        browser.come_back(visit(browser.link()))
        browser.come_back(visit(browser.link()))
        open_site.browser().sign_in()
        identity = browser.identities()[0]["identity_id"]
        browser.send("DELETE", f"/auth/oidc/identities/{identity}")
        portal = client.portal
        assert portal is not None
        portal.call(open_site.stockade._wiring.errands.settle)
    sent = open_site.mailer.sent
    assert [each.to for each in sent] == ["ana@example.com"] * 2
    assert all("local" in each.text for each in sent)
    assert sent[0].subject != sent[1].subject
    assert all("ana-there" not in each.text for each in sent)


def enrol(site: Site) -> bytes:
    """Give Ana an authenticator app, and return its secret."""
    form = {"username": "ana@example.com", "password": PASSWORD}
    granted = site.client.post("/auth/token", data=form).json()
    header = {"Authorization": f"Bearer {granted['access_token']}"}
    begun = site.client.post("/auth/factors/totp", headers=header, json={}).json()
    secret = base64.b32decode(begun["secret"])
    code = {"code": compute_code(secret, step_at(site.clock.now()))}
    assert site.client.post("/auth/factors/totp/confirm", headers=header, json=code).is_success
    site.client.cookies.clear()
    site.clock.advance(PERIOD)
    return secret


def test_a_provider_takes_the_place_of_the_password_alone(
    site: Site, provider: LocalProvider
) -> None:
    """Who has a second factor gives it here as well, in a browser and elsewhere."""
    link(site)
    secret = enrol(site)
    browser = site.browser()
    went_to = urlsplit(browser.sign_in())
    (event,) = site.sink.named("authentication.factor_required")
    assert event.details == {"provider": "local"}
    assert browser.me() is None
    assert parse_qs(went_to.query) == {"error": ["mfa_required"]}
    # In the fragment, it reaches no server and no log.
    body = {
        "mfa_token": parse_qs(went_to.fragment)["mfa_token"][0],
        "code": compute_code(secret, step_at(site.clock.now())),
    }
    assert browser.send("POST", "/auth/factors/verify", json=body).status_code == 204
    assert browser.me() == "ana"

    site.clock.advance(PERIOD)
    asked = exchange(site, fetch_code(site))
    assert (asked.status_code, asked.json()["code"]) == (403, "mfa_required")
    body = {
        "mfa_token": asked.json()["mfa_token"],
        "code": compute_code(secret, step_at(site.clock.now())),
    }
    granted = site.client.post("/auth/factors/verify", json=body).json()
    claims = jwt.decode(granted["access_token"], options={"verify_signature": False})
    assert claims["amr"] == ["fed", "mfa", "otp"]


def test_a_sign_in_elsewhere_is_no_second_factor(site: Site, provider: LocalProvider) -> None:
    """Whatever the provider says of how somebody has signed in there."""
    link(site)
    provider.user = {**provider.user, "amr": ["mfa", "otp"]}
    granted = exchange(site, fetch_code(site)).json()
    claims = jwt.decode(granted["access_token"], options={"verify_signature": False})
    assert claims["amr"] == ["fed"]


def test_a_session_goes_on_while_the_second_factor_is_asked_for(
    site: Site, provider: LocalProvider
) -> None:
    """Whoever does not give it has lost nothing."""
    link(site)
    enrol(site)
    browser = site.browser()
    pending = browser.send(
        "POST", "/auth/login", json={"email": "ana@example.com", "password": PASSWORD}
    ).json()["mfa_token"]
    site.clock.advance(PERIOD)
    codes = site.stockade._sign_in.require_factors().factors
    code = asyncio.run(codes.renew_codes(UserId("ana")))[0]
    body = {"mfa_token": pending, "code": code}
    assert browser.send("POST", "/auth/factors/verify", json=body).status_code == 204
    assert "mfa_required" in browser.sign_in()
    assert browser.me() == "ana"


def test_the_owner_is_told_of_factors_and_devices(site: Site) -> None:
    """By mail, and what a device calls itself puts no word of its own into it."""
    enrol(site)
    assert [mail.subject for mail in site.mailer.sent] == [
        "Your second factor for localhost:8000 was changed"
    ]
    login = {"email": "bea@example.com", "password": PASSWORD}
    for device in ("Known/1.0", "Known/2.0", "Windows Firefox/1 https://evil.example/\x1b[2J"):
        headers = {b"user-agent": device.encode("latin-1"), b"sec-fetch-site": b"same-origin"}
        assert site.client.post("/auth/login", json=login, headers=headers).status_code == 204
        site.client.cookies.clear()
    (mail,) = site.mailer.sent[1:]
    assert (mail.to, mail.subject) == ("bea@example.com", "A new device at localhost:8000")
    assert "Device: Firefox on Windows\n" in mail.text
    assert "evil" not in mail.text
