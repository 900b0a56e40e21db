from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient

from tests.clock import FrozenClock
from tests.unit.authentication.helpers import rsa_pem
from tests.unit.authentication.providers import (
    HOST,
    SECRET,
    LocalProvider,
    Site,
    make_account,
    query_of,
    run_provider,
    visit,
)


@pytest.fixture
def clock() -> FrozenClock:
    """The time of the application and of its providers."""
    return FrozenClock()


@pytest.fixture
def provider(clock: FrozenClock) -> Iterator[LocalProvider]:
    """A provider that is running."""
    with run_provider(clock) as running:
        yield running


@pytest.fixture
def site(provider: LocalProvider, clock: FrozenClock) -> Site:
    """An application whose users have cookies."""
    return Site(provider, clock=clock)


def test_a_linked_identity_signs_in(site: Site, provider: LocalProvider) -> None:
    """Its owner links it in a fresh session, and signs in with it from any browser."""
    first = site.browser()
    first.sign_in_by_password()
    assert first.come_back(visit(first.link(next="/settings"))).headers["location"] == (
        f"{HOST}/settings"
    )
    assert [each["provider"] for each in first.identities()] == ["local"]
    second = site.browser()
    assert second.sign_in(next="/notes?page=2") == f"{HOST}/notes?page=2"
    assert second.me() == "ana"
    assert list(second.cookies) == ["__Host-stockade"]
    assert "identity_changed identity_linked" in site.reasons()
    assert site.reasons()[-1] == "login_succeeded"


def link(site: Site, name: str = "ana") -> None:
    """Link whoever the provider signs in to an account."""
    browser = site.browser()
    browser.sign_in_by_password(name)
    assert "error" not in browser.come_back(visit(browser.link())).headers["location"]


def refuse(site: Site, address: str, error: str = "provider_sign_in_refused") -> str:
    """Expect that a browser was sent back with an error alone, and return the exact reason."""
    assert address.startswith(f"{HOST}/")
    assert query_of(address) == {"error": error}
    name, _, reason = site.reasons()[-1].partition(" ")
    assert name == "login_failed"
    return reason


def test_the_provider_is_asked_for_a_code_and_nothing_else(
    site: Site, provider: LocalProvider
) -> None:
    """State, nonce and challenge are there, are three, and are others each time."""
    seen = []
    for _ in range(2):
        query = query_of(site.browser().start())
        assert query.keys() == {
            "response_type",
            "client_id",
            "redirect_uri",
            "scope",
            "state",
            "nonce",
            "code_challenge",
            "code_challenge_method",
        }
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        assert query["redirect_uri"] == f"{HOST}/auth/oidc/local/callback"
        seen += [query["state"], query["nonce"], query["code_challenge"]]
    assert len(set(seen)) == 6


def test_the_host_of_a_request_chooses_nothing(site: Site) -> None:
    """Where the provider sends users back to is a setting."""
    answer = site.client.get("/auth/oidc/local/start", headers={"Host": "localhost"})
    query = query_of(answer.headers["location"])
    assert query["redirect_uri"] == f"{HOST}/auth/oidc/local/callback"


def test_no_answer_on_the_way_is_kept_or_told_on(site: Site, provider: LocalProvider) -> None:
    """Codes in addresses are neither stored nor sent along as a referrer."""
    link(site)
    browser = site.browser()
    start = browser.send("GET", "/auth/oidc/local/start")
    end = browser.come_back(visit(start.headers["location"]))
    for answer in (start, end):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("claims", {"nonce": "another"}, "token_nonce"),
        ("claims", {"nonce": "é"}, "token_nonce"),
        ("claims", {"nonce": 1}, "token_nonce"),
        ("without", ("nonce",), "token_nonce"),
        ("claims", {"aud": "another"}, "token_audience"),
        ("claims", {"aud": ["another"]}, "token_audience"),
        ("claims", {"aud": ["stockade:client", "another"]}, "token_party"),
        ("claims", {"azp": "another"}, "token_party"),
        ("claims", {"iss": "https://another.example"}, "token_issuer"),
        ("without", ("iss",), "token_issuer"),
        ("claims", {"exp": 1}, "token_expired"),
        ("without", ("exp",), "token_claims"),
        ("claims", {"iat": 4_000_000_000, "exp": 4_000_000_300}, "token_not_yet_valid"),
        ("claims", {"sub": ""}, "token_claims"),
        ("claims", {"sub": 7}, "token_claims"),
        ("claims", {"sub": "a\nb"}, "token_claims"),
        ("claims", {"at_hash": "x"}, "token_access_hash"),
        ("claims", {"at_hash": None}, "token_access_hash"),
        ("claims", {"auth_time": 4_000_000_000}, "token_not_yet_valid"),
        ("claims", {"auth_time": "now"}, "token_claims"),
        ("header", {"kid": "two"}, "token_key"),
        ("header", {"typ": "at+jwt"}, "token_type"),
        ("header", {"typ": "logout+jwt"}, "token_type"),
        ("header", {"crit": ["exp"]}, "token_header"),
        ("header", {"jwk": {"kty": "OKP"}}, "token_header"),
        ("answer", {"id_token": "a.b"}, "token_malformed"),
        ("answer", {"id_token": "x" * 20_000}, "token_too_long"),
        ("answer", {"id_token": ""}, "provider_answer"),
        ("answer", {"id_token": None}, "provider_answer"),
        ("answer", {"access_token": 1}, "provider_answer"),
        ("answer", {"token_type": "mac"}, "provider_answer"),
    ],
)
def test_a_token_that_does_not_hold_signs_nobody_in(
    site: Site, provider: LocalProvider, field: str, value: object, reason: str
) -> None:
    """The browser learns that much, and the event says why."""
    link(site)
    setattr(provider, field, value)
    browser = site.browser()
    assert refuse(site, browser.sign_in()) == reason
    assert browser.me() is None
    assert not browser.cookies


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256"])
def test_the_algorithm_is_that_of_the_settings(
    site: Site, provider: LocalProvider, algorithm: str
) -> None:
    """No signature, the client's secret as a key, and another kind of key are refused alike."""
    link(site)
    provider.algorithm = algorithm
    provider.signing_key = {"none": "", "HS256": SECRET, "RS256": rsa_pem()}[algorithm]
    assert refuse(site, site.browser().sign_in()) in {"token_algorithm", "token_malformed"}


def test_another_key_signs_nothing(site: Site, provider: LocalProvider) -> None:
    """The name of a key is not the key."""
    link(site)
    provider.signing_key = Ed25519PrivateKey.generate()
    assert refuse(site, site.browser().sign_in()) == "token_signature"


@pytest.mark.parametrize(
    ("given", "promised", "reason"),
    [
        (None, True, "provider_issuer"),
        ("https://another.example", True, "provider_issuer"),
        ("https://another.example", False, "provider_issuer"),
        ("", False, ""),
        (None, False, ""),
    ],
    ids=["missing", "another", "another, not promised", "right, not promised", "not promised"],
)
def test_an_answer_says_whose_it_is(
    site: Site, provider: LocalProvider, given: str | None, promised: bool, reason: str
) -> None:
    """A provider that promises to say so has to, and whoever says so has to be right."""
    provider.metadata = {"authorization_response_iss_parameter_supported": promised}
    link(site)
    provider.issuer_parameter = given
    address = site.browser().sign_in()
    if reason:
        assert refuse(site, address) == reason
    else:
        assert not query_of(address)


def test_an_answer_for_another_browser_fits_nothing(site: Site, provider: LocalProvider) -> None:
    """Nobody is signed in by a link that somebody else has made (login CSRF)."""
    link(site)
    attacker, victim = site.browser(), site.browser()
    for cookies in ({}, {"__Host-stockade-oidc-0": "x"}):
        answer = visit(attacker.start())
        victim.cookies = cookies
        refused = victim.come_back(answer)
        assert (refused.status_code, refused.json()["code"]) == (401, "provider_sign_in_refused")
        assert site.reasons()[-1] != "login_succeeded"
        assert "login_failed flow_unknown" in site.reasons()
        assert "set-cookie" not in refused.headers


def test_the_state_of_one_browser_and_the_cookie_of_another_do_not_fit(
    site: Site, provider: LocalProvider
) -> None:
    """Both have to be of one sign-in."""
    one, two = site.browser(), site.browser()
    answer = visit(one.start())
    two.start()
    cookie = next(iter(two.cookies.values()))
    two.cookies = {f"__Host-stockade-oidc-{slot}": cookie for slot in range(8)}
    assert two.come_back(answer).status_code == 401


def test_a_code_of_another_sign_in_is_worth_nothing(site: Site, provider: LocalProvider) -> None:
    """A stolen code that is put into another browser's answer meets another verifier."""
    link(site)
    victim, attacker = site.browser(), site.browser()
    stolen = query_of(visit(victim.start()))["code"]
    own = query_of(visit(attacker.start()))
    path = f"{HOST}/auth/oidc/local/callback?state={own['state']}&iss={own['iss']}&code={stolen}"
    assert refuse(site, attacker.come_back(path).headers["location"]) == "provider_code_refused"
    assert attacker.me() is None


def test_a_code_is_bound_by_the_nonce_even_where_the_provider_checks_no_verifier(
    site: Site, provider: LocalProvider
) -> None:
    """Two things would have to fail for a stolen code to be taken."""
    link(site)
    victim, attacker = site.browser(), site.browser()
    stolen = query_of(visit(victim.start()))["code"]
    own = query_of(visit(attacker.start()))
    provider.codes[stolen]["code_challenge"] = provider.codes[own["code"]]["code_challenge"]
    path = f"{HOST}/auth/oidc/local/callback?state={own['state']}&iss={own['iss']}&code={stolen}"
    assert refuse(site, attacker.come_back(path).headers["location"]) == "token_nonce"


def test_an_answer_works_once(site: Site, provider: LocalProvider) -> None:
    """Also where the provider takes a code again, and where the browser kept its cookie."""
    link(site)
    provider.takes_codes_again = True
    browser = site.browser()
    answer = visit(browser.start())
    kept = dict(browser.cookies)
    assert not query_of(browser.come_back(answer).headers["location"])
    browser.cookies = kept
    assert refuse(site, browser.come_back(answer).headers["location"]) == "flow_spent"


def test_of_parallel_answers_one_is_taken(site: Site, provider: LocalProvider) -> None:
    """Two tabs with the same answer begin one session."""
    link(site)
    provider.takes_codes_again = True
    browser = site.browser()
    parts = urlsplit(visit(browser.start()))
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}

    def come_back(_: int) -> str:
        client = TestClient(site.client.app, base_url=HOST, follow_redirects=False)
        address: str = client.get(f"{parts.path}?{parts.query}", headers=headers).headers[
            "location"
        ]
        return address

    with ThreadPoolExecutor(8) as pool:
        addresses = list(pool.map(come_back, range(8)))
    assert len([address for address in addresses if not query_of(address)]) == 1
    # The other one is that of the password, with which the identity was linked.
    assert site.reasons().count("login_succeeded") == 2


def test_a_sign_in_takes_ten_minutes_at_most(site: Site, provider: LocalProvider) -> None:
    """After that the browser has to begin again."""
    link(site)
    browser = site.browser()
    answer = visit(browser.start())
    site.clock.advance(600)
    assert browser.come_back(answer).status_code == 401
    assert site.reasons()[-1] == "refused login_refused"
    assert site.reasons()[-2] == "login_failed flow_expired"


def test_tabs_do_not_disturb_each_other(site: Site, provider: LocalProvider) -> None:
    """Whichever comes back first, unless they happen to share one of the eight cookies."""
    link(site)
    browser, first, second = site.browser(), "", ""
    while len(browser.cookies) < 2:
        browser = site.browser()
        first, second = browser.start(), browser.start()
    assert not query_of(browser.come_back(visit(second)).headers["location"])
    assert not query_of(browser.come_back(visit(first)).headers["location"])


def test_a_browser_is_not_filled_with_cookies(site: Site) -> None:
    """Whoever makes it begin many sign-ins (a page of another site) leaves a few behind."""
    browser = site.browser()
    for _ in range(40):
        browser.start()
    assert len(browser.cookies) <= 8
    assert sum(len(value) for value in browser.cookies.values()) < 5000


@pytest.mark.parametrize("name", ["nobody", "local2", "identities"])
def test_an_unknown_provider_is_404(site: Site, name: str) -> None:
    """On every route."""
    browser = site.browser()
    browser.sign_in_by_password()
    assert browser.send("GET", f"/auth/oidc/{name}/start").status_code == 404
    assert browser.send("GET", f"/auth/oidc/{name}/callback?state=x").status_code == 404
    assert browser.send("POST", f"/auth/oidc/{name}/link", json={}).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["", "state=", "state=x", "state=" + "a" * 43, "code=a", "state=a&state=b", "state=%00"],
)
def test_an_answer_that_nobody_has_asked_for_is_refused(site: Site, query: str) -> None:
    """Whatever it holds."""
    answer = site.browser().send("GET", f"/auth/oidc/local/callback?{query}")
    assert answer.status_code in {400, 401, 422}
    assert "location" not in answer.headers


@pytest.mark.parametrize("twice", ["code", "state", "iss", "error"])
def test_an_answer_says_nothing_twice(site: Site, provider: LocalProvider, twice: str) -> None:
    """Of two codes or issuers each reader would take another one."""
    link(site)
    browser = site.browser()
    address = visit(browser.start())
    value = query_of(address).get(twice, "x")
    answer = browser.come_back(f"{address}&{twice}={value}&{twice}={value}")
    assert answer.status_code == 422
    assert "location" not in answer.headers


def test_somebody_who_does_not_agree_is_sent_back(site: Site, provider: LocalProvider) -> None:
    """What the provider says of it is not repeated."""
    provider.error = "access_denied<script>"
    address = site.browser().sign_in(next="/welcome")
    assert refuse(site, address, "provider_sign_in_cancelled") == "provider_gave_no_code"
    assert address.startswith(f"{HOST}/welcome?")


def test_an_answer_without_a_code_is_none(site: Site, provider: LocalProvider) -> None:
    """It does not even reach the provider."""
    browser = site.browser()
    state = query_of(browser.start())["state"]
    path = f"{HOST}/auth/oidc/local/callback?state={state}&iss={provider.name}"
    assert refuse(site, browser.come_back(path).headers["location"]) == "provider_answer"
    assert "/token" not in [path for path, _ in provider.asked]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"token_body": b"x" * 300_000}, "an answer that is too large"),
        ({"token_body": b"[]"}, "an answer that is no JSON object"),
        ({"token_body": b'{"a": 1, "a": 2}'}, "an answer that is no JSON object"),
        ({"token_body": b"{", "token_status": 401}, "an answer that is no JSON object"),
        ({"token_status": 500}, "status 500"),
        (
            {"token_status": 302, "token_headers": [(b"location", b"http://127.0.0.1:1/x")]},
            "status 302",
        ),
        ({"token_status": 307, "token_headers": [(b"location", b"/token")]}, "status 307"),
        ({"token_drips": True}, "no answer (TimeoutError)"),
    ],
    ids=["huge", "a list", "doubles", "no JSON", "broken", "redirects", "sends on", "slow"],
)
def test_a_provider_that_misbehaves_signs_nobody_in(
    provider: LocalProvider, clock: FrozenClock, changes: dict[str, Any], problem: str
) -> None:
    """It is cut short, followed nowhere, and the event says what came."""
    site = Site(provider, clock=clock, provider={"timeout": 1})
    link(site)
    for name, value in changes.items():
        setattr(provider, name, value)
    asked = len(provider.asked)
    assert refuse(site, site.browser().sign_in(), "provider_away") == "provider_away"
    assert list(site.sink)[-1].details["problem"] == problem
    # The way there and one exchange.
    assert [path for path, _ in provider.asked[asked:]] == ["/authorize", "/token"]


def test_a_provider_that_knows_another_secret_refuses(
    provider: LocalProvider, clock: FrozenClock
) -> None:
    """The event tells that apart from a code that does not hold."""
    site = Site(provider, clock=clock, provider={"client_secret": "another"})
    assert refuse(site, site.browser().sign_in()) == "provider_client_refused"


def test_the_secret_may_travel_in_the_form(provider: LocalProvider, clock: FrozenClock) -> None:
    """For providers that want it there."""
    provider.method = "client_secret_post"
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    site = Site(provider, clock=clock, provider={"client_authentication": "client_secret_post"})
    link(site)
    assert not query_of(site.browser().sign_in())


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "evil.example",
        "@evil.example",
        "/a\r\nSet-Cookie: x=y",
        "/a\tb",
        "/a#b",
        "/é",
        "/" + "a" * 200,
        "",
        "javascript:alert(1)",
    ],
)
def test_next_is_a_path_of_this_site(site: Site, path: str) -> None:
    """Anything else is refused, and nothing is begun."""
    browser = site.browser()
    answer = browser.send("GET", "/auth/oidc/local/start", params={"next": path})
    assert answer.status_code == 422
    assert not browser.cookies
    browser.sign_in_by_password()
    answer = browser.send("POST", "/auth/oidc/local/link", json={"next": path})
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/", "/a/b?c=d&e=f", "/..//evil.example", "/@evil.example/%2f"])
def test_a_browser_ends_up_on_the_own_origin(
    site: Site, provider: LocalProvider, path: str
) -> None:
    """Also where the path looks as if it led elsewhere."""
    link(site)
    address = site.browser().sign_in(next=path)
    assert address == HOST + path


def test_a_front_end_elsewhere_gets_its_users_back(
    provider: LocalProvider, clock: FrozenClock
) -> None:
    """Its origin is a setting, and nothing else chooses it."""
    site = Site(provider, clock=clock, return_origin="https://app.example.com")
    link(site)
    assert site.browser().sign_in(next="/home") == "https://app.example.com/home"


def test_an_answer_of_one_provider_is_none_of_another(clock: FrozenClock) -> None:
    """Whoever answers has to be whom the browser was sent to (mix-up)."""
    with run_provider(clock) as honest, run_provider(clock) as hostile:
        site = Site(honest, hostile, clock=clock)
        link(site)
        browser = site.browser()
        answer = visit(browser.start("local"))
        # The browser is made to bring the honest code to where it would be sent to the hostile one.
        moved = answer.replace("/local/callback", "/other/callback")
        assert browser.come_back(moved).status_code == 401
        assert site.reasons()[-2] == "login_failed flow_of_another_provider"
        assert "/token" not in [path for path, _ in hostile.asked]


def test_equal_subjects_of_two_providers_are_two_people(clock: FrozenClock) -> None:
    """An identity is the provider and the subject together."""
    with run_provider(clock) as one, run_provider(clock) as two:
        site = Site(one, two, clock=clock)
        link(site)
        browser = site.browser()
        assert refuse(site, browser.sign_in("other"), "identity_not_linked") == "identity_unknown"


def test_a_session_before_the_sign_in_ends(site: Site, provider: LocalProvider) -> None:
    """A cookie that somebody else has planted is not the one that is signed in (fixation)."""
    link(site)
    browser = site.browser()
    browser.sign_in_by_password("bea")
    planted = browser.cookies["__Host-stockade"]
    browser.sign_in()
    assert browser.me() == "ana"
    assert browser.cookies["__Host-stockade"] != planted
    browser.cookies = {"__Host-stockade": planted}
    assert browser.me() is None


def test_a_deactivated_account_stays_outside(site: Site, provider: LocalProvider) -> None:
    """As with a password."""
    link(site)
    site.accounts.put(make_account("ana", active=False))
    assert refuse(site, site.browser().sign_in()) == "account_inactive"


def test_how_and_where_somebody_has_signed_in_is_recorded(
    site: Site, provider: LocalProvider
) -> None:
    """Only words that are plain names are taken over."""
    link(site)
    provider.user = {**provider.user, "amr": ["pwd", "otp", "<x>", 7, "a b"]}
    site.browser().sign_in()
    details = list(site.sink)[-1].details
    assert details == {"user_id": "ana", "provider": "local", "amr": "pwd otp"}


def test_no_secret_is_recorded(site: Site, provider: LocalProvider) -> None:
    """Neither what came from the provider nor what was sent to it."""
    link(site)
    provider.user = {**provider.user, "email": "ana@example.com"}
    browser = site.browser()
    address = visit(browser.start())
    browser.come_back(address)
    told = repr(list(site.sink))
    form = next(form for path, form in reversed(provider.asked) if path == "/token")
    for value in (*query_of(address).values(), *form.values(), SECRET, "ana-there"):
        assert value == "authorization_code" or value.startswith("http") or value not in told
