"""Let people make, recover and close accounts over real tables, with mails over real SMTP."""

import asyncio
import email
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.policy import default
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiosmtpd.smtp import SMTP
from fastapi import FastAPI
from sqlalchemy import text

from stockade import Settings, Stockade
from stockade.events import MemorySink
from stockade.storage.sql import make_engine, upgrade_schema
from tests.unit.authentication.helpers import random_password

# The mail server is older than Python 3.14, which warns of what it uses.
pytestmark = pytest.mark.filterwarnings("ignore:.*iscoroutinefunction:DeprecationWarning")

CLEO = "cleo@example.org"


@dataclass
class Mailbox:
    """A mail server that keeps what it takes."""

    taken: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Any) -> str:  # noqa: ANN401, N802 - untyped hook
        """Keep recipient and text."""
        message = email.message_from_bytes(envelope.content, policy=default)
        self.taken += [(to, message.get_content()) for to in envelope.rcpt_tos]
        return "250 OK"


@dataclass
class World:
    """An application in front of real tables, and a mail server."""

    client: httpx2.AsyncClient
    stockade: Stockade
    box: Mailbox
    url: str
    sink: MemorySink

    async def post(self, path: str, body: object, **headers: str) -> Any:  # noqa: ANN401 - a response
        """Send JSON."""
        return await self.client.post(f"/auth/{path}", json=body, headers=headers)

    async def mails(self) -> list[tuple[str, str]]:
        """Wait for what is under way, and return what arrived since the last time."""
        await self.stockade._wiring.errands.settle()
        assert self.sink.named("authentication.errand_failed") == []
        taken, self.box.taken = self.box.taken, []
        return taken

    async def link(self, path: str, to: str = CLEO) -> str:
        """Ask for a link, and return its token."""
        assert (await self.post(path, {"email": to})).status_code == 202
        ((recipient, content),) = await self.mails()
        assert recipient == to
        return token_in(content)

    async def sign_in(self, password: str, name: str = CLEO) -> Any:  # noqa: ANN401 - a response
        """Ask for tokens."""
        form = {"username": name, "password": password}
        return await self.client.post("/auth/token", data=form)

    async def register(self, password: str) -> None:
        """Make the account."""
        token = await self.link("register")
        answer = await self.post("verify", {"token": token, "password": password})
        assert answer.status_code == 204

    async def count(self, statement: str) -> Any:  # noqa: ANN401 - a column
        """Read one value from the tables."""
        engine = make_engine(self.url)
        async with engine.connect() as connection:
            found = (await connection.execute(text(statement))).scalar_one()
        await engine.dispose()
        return found


def token_in(content: str) -> str:
    """Find the token of a link."""
    (token,) = re.findall(r"#token=(stkl_\S{43})\s", content)
    return str(token)


@asynccontextmanager
async def run_mailbox() -> AsyncIterator[tuple[Mailbox, int]]:
    """Run a mail server on any free port."""
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, loop=loop, hostname="localhost"), "localhost", 0
    )
    async with server:
        yield box, server.sockets[0].getsockname()[1]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """One world with each kind of database."""
    url = f"sqlite:///{tmp_path}/accounts.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    await upgrade_schema(engine)
    await engine.dispose()
    async with run_mailbox() as (box, port):
        sink = MemorySink()
        stockade = Stockade(
            Settings(
                environment="test",
                database_url=url,
                reporting={"smtp_url": f"smtp+plain://localhost:{port}"},
                authentication={
                    "bcrypt_cost": 4,
                    "registration": "open",
                    "pages_url": "https://app.example.com",
                    "identity_cache_lifetime": 0,
                },
            ),
            sinks=[sink],
        )
        app = FastAPI()
        stockade.install(app)
        for router in (
            stockade.auth_router,
            stockade.password_router,
            stockade.registration_router,
            stockade.account_router,
        ):
            app.include_router(router)
        await stockade.start()
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield World(client, stockade, box, url, sink)
        await stockade.stop()


async def test_an_account_from_its_first_day_to_its_last(world: World) -> None:
    """Register, sign in, forget, reset, move to another address, delete."""
    first, second = random_password(), random_password()
    await world.register(first)
    assert (await world.sign_in(first)).status_code == 200
    token = await world.link("password/forgot")
    reset = await world.post("password/reset", {"token": token, "password": second})
    assert reset.status_code == 204
    assert [to for to, _ in await world.mails()] == [CLEO]
    assert (await world.sign_in(first)).status_code == 400
    granted = (await world.sign_in(second)).json()
    header = {"Authorization": f"Bearer {granted['access_token']}"}
    new = "cleo@elsewhere.example.org"
    body = {"new_email": new, "current_password": second}
    assert (await world.post("email/change", body, **header)).status_code == 202
    ((_, content),) = await world.mails()
    assert (await world.post("email/allow", {"token": token_in(content)})).status_code == 202
    ((recipient, content),) = await world.mails()
    assert recipient == new
    assert (await world.post("email/confirm", {"token": token_in(content)})).status_code == 204
    assert [to for to, _ in await world.mails()] == [CLEO]
    assert (await world.sign_in(second)).status_code == 400
    granted = (await world.sign_in(second, new)).json()
    header = {"Authorization": f"Bearer {granted['access_token']}"}
    gone = await world.client.delete("/auth/account", headers=header)
    assert gone.status_code == 204
    await world.mails()
    for table in ("users", "sessions", "one_time_links"):
        assert await world.count(f"SELECT count(*) FROM stockade_{table}") == 0  # noqa: S608 - our tables


async def test_of_many_resets_at_once_one_comes_through(world: World) -> None:
    """The password is that of the one that did, and the epoch has risen once."""
    await world.register(random_password())
    token = await world.link("password/forgot")
    words = [random_password() for _ in range(20)]
    answers = await asyncio.gather(
        *(world.post("password/reset", {"token": token, "password": word}) for word in words)
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204, *[422] * 19]
    assert (await world.sign_in(words[statuses.index(204)])).status_code == 200
    assert await world.count("SELECT token_epoch FROM stockade_users") == 1
    await world.mails()


async def test_of_many_registrations_at_once_one_makes_an_account(world: World) -> None:
    """With one link, and with an address that is asked for many times at once."""
    await asyncio.gather(*(world.post("register", {"email": CLEO}) for _ in range(10)))
    tokens = [token_in(content) for _, content in await world.mails()]
    assert len(set(tokens)) == 10
    words = [random_password() for _ in range(20)]
    answers = await asyncio.gather(
        *(
            world.post("verify", {"token": tokens[number % 10], "password": word})
            for number, word in enumerate(words)
        )
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204, *[422] * 19]
    assert (await world.sign_in(words[statuses.index(204)])).status_code == 200
    assert await world.count("SELECT count(*) FROM stockade_users") == 1


async def test_a_reset_and_a_change_do_not_undo_each_other(world: World) -> None:
    """One of the two comes through, and its password is the one that signs in."""
    old, by_link, by_hand = (random_password() for _ in range(3))
    await world.register(old)
    granted = (await world.sign_in(old)).json()
    header = {"Authorization": f"Bearer {granted['access_token']}"}
    token = await world.link("password/forgot")
    reset, change = await asyncio.gather(
        world.post("password/reset", {"token": token, "password": by_link}),
        world.post("password/change", {"current_password": old, "new_password": by_hand}, **header),
    )
    won = by_link if reset.status_code == 204 else by_hand
    assert (reset.status_code == 204) != (change.status_code == 200)
    for word in (old, by_link, by_hand):
        assert (await world.sign_in(word)).status_code == (200 if word == won else 400)
    await world.mails()


async def test_nothing_in_the_tables_opens_anything(world: World) -> None:
    """Whoever reads the row of a link has no link."""
    await world.register(random_password())
    token = await world.link("password/forgot")
    digest = await world.count("SELECT digest FROM stockade_one_time_links")
    state = await world.count("SELECT state FROM stockade_one_time_links")
    assert token not in (digest, state)
    for stolen in (digest, state, f"stkl_{digest[:42]}A"):
        answer = await world.post("password/reset", {"token": stolen, "password": "x" * 20})
        assert answer.status_code == 422
