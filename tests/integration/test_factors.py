"""Attack second factors of a whole application in parallel, on each database."""

import asyncio
import base64
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from stockade import Settings, Stockade
from stockade.authentication import BcryptHasher
from stockade.authentication.totp import PERIOD, compute_code, step_at
from stockade.events import MemorySink
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from tests.clock import FrozenClock
from tests.unit.authentication.authenticators import Authenticator
from tests.unit.authentication.helpers import random_password

PASSWORD = random_password()
EMAIL = "bea@example.com"
AT_ONCE = 30


class Site:
    """An application on a database, and whoever attacks it."""

    def __init__(self, url: str) -> None:
        self.clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.sink = MemorySink()
        self.stockade = Stockade(
            Settings(
                environment="test",
                database_url=url,
                authentication={
                    "bcrypt_cost": 4,
                    "identity_cache_lifetime": 0,
                    "passkey_rp_id": "example.com",
                },
            ),
            sinks=[self.sink],
            clock=self.clock,
        )
        app = FastAPI()
        self.stockade.install(app)
        for router in ("auth_router", "factors_router", "passkeys_router"):
            app.include_router(getattr(self.stockade, router))
        transport = httpx2.ASGITransport(app)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://testserver")
        self.secret = b""

    async def post(self, path: str, token: str = "", **body: Any) -> httpx2.Response:  # noqa: ANN401 - members
        """Send a body."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.client.post(path, json=body, headers=headers)

    async def sign_in(self) -> dict[str, Any]:
        """Send the password."""
        form = {"username": EMAIL, "password": PASSWORD}
        answer: dict[str, Any] = (await self.client.post("/auth/token", data=form)).json()
        return answer

    async def enrol(self) -> dict[str, Any]:
        """Turn an app on, and let its first code pass."""
        token = (await self.sign_in())["access_token"]
        begun = (await self.post("/auth/factors/totp", token)).json()
        self.secret = base64.b32decode(begun["secret"])
        body = {"code": self.code()}
        made: dict[str, Any] = (await self.post("/auth/factors/totp/confirm", token, **body)).json()
        self.clock.advance(PERIOD)
        return made

    def code(self) -> str:
        """Return what the app shows."""
        return compute_code(self.secret, step_at(self.clock.now()))

    async def storm(self, path: str, token: str = "", **body: Any) -> list[httpx2.Response]:  # noqa: ANN401 - members
        """Send the same body many times at once."""
        return await asyncio.gather(*(self.post(path, token, **body) for _ in range(AT_ONCE)))


def statuses(answers: list[httpx2.Response]) -> dict[int, int]:
    """Count answers by their status."""
    found = [answer.status_code for answer in answers]
    return {status: found.count(status) for status in found}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """One application on each database, with one account."""
    url = f"sqlite:///{tmp_path}/factors.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    async with engine.begin() as connection:
        hashed = BcryptHasher(cost=4).hash(PASSWORD)
        await create_account(connection, NewAccount(email=EMAIL, password_hash=hashed))
    await engine.dispose()
    site = Site(url)
    await site.stockade.start()
    async with site.client:
        yield site
    await site.stockade.stop()


async def test_a_code_signs_in_once_however_many_send_it(site: Site) -> None:
    """One session begins, and all the others read the same."""
    await site.enrol()
    pending = (await site.sign_in())["mfa_token"]
    answers = await site.storm("/auth/factors/verify", mfa_token=pending, code=site.code())
    assert statuses(answers) == {200: 1, 403: AT_ONCE - 1}


async def test_a_recovery_code_signs_in_once_however_many_send_it(site: Site) -> None:
    """One session begins, and nine codes are left."""
    codes = (await site.enrol())["recovery_codes"]
    pending = (await site.sign_in())["mfa_token"]
    answers = await site.storm("/auth/factors/verify", mfa_token=pending, code=codes[0])
    assert statuses(answers) == {200: 1, 403: AT_ONCE - 1}
    (granted,) = [answer.json() for answer in answers if answer.status_code == 200]
    headers = {"Authorization": f"Bearer {granted['access_token']}"}
    shown = await site.client.get("/auth/factors", headers=headers)
    assert shown.json()["recovery_codes"] == 9


async def test_an_app_is_turned_on_once_however_many_confirm_it(site: Site) -> None:
    """One list of recovery codes is shown, and it is the one that works."""
    token = (await site.sign_in())["access_token"]
    begun = (await site.post("/auth/factors/totp", token)).json()
    site.secret = base64.b32decode(begun["secret"])
    answers = await site.storm("/auth/factors/totp/confirm", token, code=site.code())
    (made,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert all(answer.status_code in {200, 401, 403} for answer in answers)
    pending = (await site.sign_in())["mfa_token"]
    body = {"mfa_token": pending, "code": made["recovery_codes"][0]}
    assert (await site.post("/auth/factors/verify", **body)).status_code == 200


async def test_no_sign_in_of_before_outlives_the_enrolment(site: Site) -> None:
    """Sign-ins by the password alone that run beside it end with it, or ask for the factor."""
    token = (await site.sign_in())["access_token"]
    begun = (await site.post("/auth/factors/totp", token)).json()
    site.secret = base64.b32decode(begun["secret"])
    confirm = site.post("/auth/factors/totp/confirm", token, code=site.code())
    confirmed, *granted = await asyncio.gather(confirm, *(site.sign_in() for _ in range(AT_ONCE)))
    assert confirmed.status_code == 200
    for each in granted:
        if "access_token" in each:
            headers = {"Authorization": f"Bearer {each['access_token']}"}
            answer = await site.client.get("/auth/me", headers=headers)
            assert answer.status_code == 401
        else:
            assert each["error"] == "mfa_required"


async def test_a_step_up_replaces_a_session_once(site: Site) -> None:
    """One successor, and the session before it is over."""
    await site.enrol()
    pending = (await site.sign_in())["mfa_token"]
    body = {"mfa_token": pending, "code": site.code()}
    granted = (await site.post("/auth/factors/verify", **body)).json()
    site.clock.advance(PERIOD)
    answers = await site.storm("/auth/factors/step-up", granted["access_token"], code=site.code())
    assert statuses(answers).get(200) == 1
    assert all(answer.status_code in {200, 401, 403} for answer in answers)
    sessions = site.stockade._sign_in.sessions
    owner = await site.stockade._sign_in.accounts.find_by_email(EMAIL)  # type: ignore[union-attr]
    assert owner is not None
    active = await sessions.list_active(owner.user_id, now=site.clock.now())
    replaced = [each for each in active if each.factors == {"password", "totp"}]
    assert len(replaced) == 2


async def test_a_passkey_signs_in_once_however_many_send_it(site: Site) -> None:
    """Also where it does not count."""
    phone = Authenticator(counts=False)
    token = (await site.sign_in())["access_token"]
    options = (await site.post("/auth/passkeys/register/options", token)).json()
    body: dict[str, Any] = {"credential": phone.make(options)}
    made = await site.storm("/auth/passkeys/register", token, **body)
    assert statuses(made).get(201) == 1
    assert all(answer.status_code in {201, 401, 403} for answer in made)
    signed = phone.sign((await site.post("/auth/passkeys/options")).json())
    answers = await site.storm("/auth/passkeys/sign-in", credential=signed)
    assert statuses(answers) == {200: 1, 403: AT_ONCE - 1}


async def test_a_copy_that_signs_at_the_same_time_is_noticed(site: Site) -> None:
    """Of two with the same count one passes, and the event says so."""
    phone = Authenticator()
    token = (await site.sign_in())["access_token"]
    options = (await site.post("/auth/passkeys/register/options", token)).json()
    await site.post("/auth/passkeys/register", token, credential=phone.make(options))
    copy = dataclasses.replace(phone)
    signed = [
        each.sign((await site.post("/auth/passkeys/options")).json()) for each in (phone, copy)
    ]
    answers = await asyncio.gather(
        *(site.post("/auth/passkeys/sign-in", credential=each) for each in signed)
    )
    assert statuses(answers) == {200: 1, 403: 1}
    assert len(site.sink.named("authentication.passkey_cloned")) == 1


async def test_a_session_of_an_older_release_names_no_factor(site: Site) -> None:
    """It goes on, and is asked for a factor wherever one is needed."""
    await site.sign_in()
    owner = await site.stockade._sign_in.accounts.find_by_email(EMAIL)  # type: ignore[union-attr]
    assert owner is not None
    before = site.clock.now() - timedelta(minutes=1)
    sessions = site.stockade._sign_in.sessions
    active = await sessions.list_active(owner.user_id, now=before)
    bare = dataclasses.replace(active[0], session_id="old", factors=frozenset())
    await sessions.add(bare, digest="0" * 64, keep=9)
    stored = await sessions.find("old")
    assert stored is not None
    assert stored.session.factors == frozenset()
