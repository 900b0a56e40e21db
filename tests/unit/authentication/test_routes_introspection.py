import base64
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication.api_keys import read_basic
from stockade.authentication.errors import InvalidKeyError
from tests.unit.authentication.helpers import encode
from tests.unit.authentication.introspecting import BEA, PASSWORD, URL, Bench, basic, bench

__all__ = ["bench"]


def _escape_all(text: str) -> str:
    """Escape more than has to be, as some clients of OAuth do."""
    return "".join(f"%{ord(each):02X}" if not each.isalnum() else each for each in text)


@pytest.mark.parametrize("escape", [str, quote, _escape_all], ids=["plain", "quoted", "all"])
async def test_a_program_may_bring_its_key_by_basic(bench: Bench, escape: Any) -> None:  # noqa: ANN401
    """Clients of OAuth do, and escape both parts more or less (RFC 6749, section 2.3.1)."""
    program = await bench.make_program()
    headers = basic(escape(program["X-CLIENT-ID"]), escape(program["X-API-KEY"]))
    token = bench.sign_in()["access_token"]
    for _ in range(2):
        assert bench.ask(token, headers).json()["active"]


async def test_basic_opens_no_other_route(bench: Bench) -> None:
    """Browsers keep such credentials and send them by themselves: no other route takes them."""
    program = await bench.make_program(user_id="bea")
    headers = basic(program["X-CLIENT-ID"], program["X-API-KEY"])
    assert bench.client.get("/auth/me", headers=program).status_code == 200
    assert bench.client.get("/auth/me", headers=headers).status_code == 401
    assert bench.reason() == "other_scheme"


@pytest.mark.parametrize(
    ("pair", "headers", "reason"),
    [
        ("{id}:{short}", {}, "api_key_malformed"),
        ("{key}:{id}", {}, "api_key_malformed"),
        ("stkc_000000000000000000000000:{key}", {}, "api_key_unknown"),
        ("{id}", {}, "api_key_malformed"),
        ("bea@example.com:password", {}, "api_key_malformed"),
        ("{id}:{key}", {"X-API-KEY": "{key}"}, "several_credentials"),
        ("", {"Authorization": "Basic"}, "other_scheme"),
        ("", {"Authorization": "Basic !"}, "api_key_malformed"),
        ("", {"Authorization": "Basic " + "A" * 8000}, "api_key_malformed"),
        ("", {"X-CLIENT-ID": "{id}"}, "api_key_incomplete"),
        ("", {}, "no_credentials"),
    ],
    ids=[
        "short key",
        "swapped",
        "other program",
        "no colon",
        "a person",
        "two kinds",
        "nothing",
        "no base64",
        "huge",
        "half",
        "nobody",
    ],
)
async def test_whoever_is_no_program_is_refused(
    bench: Bench, pair: str, headers: dict[str, str], reason: str
) -> None:
    """Without credentials that hold there is no answer about any token."""
    program = await bench.make_program()
    client_id, key = program["X-CLIENT-ID"], program["X-API-KEY"]
    names = {"id": client_id, "key": key, "short": key[:-1]}
    sent = {name: value.format(**names) for name, value in headers.items()}
    if pair:
        sent |= basic(*pair.format(**names).split(":"))
    answer = bench.ask(bench.sign_in()["access_token"], sent)
    assert answer.status_code == 401
    assert "active" not in answer.json()
    assert bench.reason() == reason


async def test_a_refused_program_is_told_its_scheme(bench: Bench) -> None:
    """The challenge is of the scheme that the client used (RFC 6749, section 5.2)."""
    program = await bench.make_program()
    wrong = basic("stkc_" + "0" * 24, program["X-API-KEY"])
    assert bench.ask("x", wrong).headers["www-authenticate"] == 'Basic realm="programs"'
    assert bench.ask("x", {"X-API-KEY": "x"}).headers["www-authenticate"] == "ApiKey"


async def test_a_person_asks_nothing(bench: Bench) -> None:
    """An access token, even of the very account, is no credential of a service."""
    token = bench.sign_in()["access_token"]
    answer = bench.ask(token, {"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert bench.reason() == "program_needed"


async def test_a_cookie_asks_nothing(bench: Bench) -> None:
    """Neither does a browser, and its cookie is no token."""
    service = await bench.make_program()
    own = {"Sec-Fetch-Site": "same-origin"}
    login = {"email": BEA.email, "password": PASSWORD}
    cookie = bench.client.post("/auth/login", json=login, headers=own).cookies["__Host-stockade"]
    bench.client.cookies.clear()
    asking = {"Cookie": f"__Host-stockade={cookie}", **own}
    assert bench.ask("x", asking).status_code == 403
    assert bench.ask(cookie, service, hint="refresh_token").json() == {"active": False}


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "stkr_",
        "stkr_" + "A" * 91,
        "stkk_" + "A" * 91,
        "stkr_" + "A" * 16_000,
        "A" * 16_000,
        "a." * 8000,
        "é\u202e",
        f"{encode({'alg': 'none', 'typ': 'at+jwt'})}.{encode({'sub': 'bea'})}.",
        f"{encode({'alg': 'none', 'typ': 'at+jwt', 'kid': '0'})}.{encode({'sub': 'bea'})}.AA",
    ],
    ids=lambda token: token[:12],
)
@pytest.mark.parametrize("hint", [None, "refresh_token"])
async def test_what_is_no_token_is_not_active(bench: Bench, token: str, hint: str | None) -> None:
    """A service may hand on whatever came to it: the answer is one, and says nothing more."""
    answer = bench.ask(token, await bench.make_program(), hint=hint)
    assert (answer.status_code, answer.json()) == (200, {"active": False})
    assert answer.headers["cache-control"] == "no-store"


async def test_the_own_key_is_no_token(bench: Bench) -> None:
    """A program learns nothing about keys."""
    service = await bench.make_program()
    assert bench.ask(service["X-API-KEY"], service).json() == {"active": False}


@pytest.mark.parametrize(
    "form",
    [{}, {"token": ""}, {"token": "x" * 16_385}, {"token": "x", "token_type_hint": "y" * 65}],
    ids=["nothing", "empty", "huge", "long hint"],
)
async def test_another_form_does_not_fit(bench: Bench, form: dict[str, str]) -> None:
    """It is no question, and nothing of it comes back."""
    answer = bench.client.post(URL, data=form, headers=await bench.make_program())
    assert answer.status_code == 422
    assert "xxx" not in answer.text


@pytest.mark.parametrize("how", ["get", "json", "query"])
async def test_a_question_is_a_form(bench: Bench, how: str) -> None:
    """A token in a URL would be in logs (RFC 7662, section 2.1)."""
    service = await bench.make_program()
    token = bench.sign_in()["access_token"]
    if how == "json":
        answer = bench.client.post(URL, json={"token": token}, headers=service)
    elif how == "query":
        answer = bench.client.post(f"{URL}?token={token}", headers=service)
    else:
        answer = bench.client.get(f"{URL}?token={token}", headers=service)
    assert answer.status_code in {401, 405, 415, 422}
    assert "active" not in answer.json()


async def test_a_program_asks_so_often(bench: Bench) -> None:
    """Scanning is slowed down by program, and no other program with it."""
    scanned = Bench(
        authentication={"introspections_per_program": 3}, rate_limiting={"enabled": True}
    )
    with scanned.client:
        service, other = await scanned.make_program(), await scanned.make_program()
        assert [scanned.ask(str(n), service).status_code for n in range(4)] == [200] * 3 + [429]
        assert scanned.ask("x", other).status_code == 200


async def test_no_token_is_in_any_event(bench: Bench) -> None:
    """What was asked about is nowhere, nor is the key."""
    service = await bench.make_program()
    granted = bench.sign_in()
    bench.is_active(granted, await bench.make_program(tenant_id="globex"))
    bench.ask("scanned-value", service)
    said = repr(list(bench.sink))
    assert granted["access_token"] not in said
    assert granted["refresh_token"] not in said
    assert "scanned-value" not in said
    assert service["X-API-KEY"] not in said


@given(st.binary(max_size=200))
def test_any_header_gives_two_parts_or_our_error(value: bytes) -> None:
    """Nothing else comes out, whatever the header holds."""
    try:
        parts = read_basic(b"Basic " + value)
    except InvalidKeyError:
        return
    assert len(parts) == 2


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_a_client_joins_is_parted_again(client_id: bytes, key: bytes) -> None:
    """Escaped parts come back byte for byte, whatever they hold."""
    joined = f"{quote(client_id, safe='')}:{quote(key, safe='')}".encode()
    header = b"Basic " + base64.b64encode(joined)
    if len(joined) < 3:
        return
    assert read_basic(header) == (client_id, key)
