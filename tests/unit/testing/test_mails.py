import secrets
from collections.abc import Callable

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.errors import ConfigurationError
from stockade.reporting import MemoryMailer
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.testing import capture_mails
from stockade.testing.clients import find_stockade
from stockade.testing.errors import HelperError
from tests.unit.authentication.accounts import BEA
from tests.unit.authentication.helpers import random_password

BODY = {"email": BEA.email}
FORGOT = "/auth/password/forgot"


@pytest.fixture
def make() -> Callable[..., tuple[FastAPI, MemoryMailer]]:
    """Make applications with a mailer of their own."""

    def start() -> tuple[FastAPI, MemoryMailer]:
        mailer = MemoryMailer()
        app = FastAPI()
        stockade = Stockade(
            Settings(environment="test", authentication={"bcrypt_cost": 4}),
            accounts=MemoryAccountStore([BEA]),
            mailer=mailer,
            sinks=[],
        )
        stockade.install(app)
        app.include_router(stockade.password_router)
        return app, mailer

    return start


def test_a_mail_is_captured_with_its_token(
    make: Callable[..., tuple[FastAPI, MemoryMailer]],
) -> None:
    """Nothing of the block is sent, and what comes after it is."""
    app, own = make()
    with TestClient(app) as client:
        with capture_mails(client) as mails:
            assert client.post(FORGOT, json=BODY).status_code == 202
            (message,) = mails.wait()
            assert (message.to, mails.sent) == (BEA.email, [message])
            body = {"token": mails.token(), "password": random_password()}
            assert client.post("/auth/password/reset", json=body).status_code == 204
            assert len(mails.wait()) == 2
            # The notice has no link.
            assert mails.token() == body["token"]
        assert own.sent == []
        client.post(FORGOT, json=BODY)
    assert len(own.sent) == 1


async def test_an_asynchronous_client_waits_by_itself(
    make: Callable[..., tuple[FastAPI, MemoryMailer]],
) -> None:
    """The loop is the test's own."""
    app, _ = make()
    transport = httpx2.ASGITransport(app=app)
    await find_stockade(app).start()
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        with capture_mails(client) as mails:
            await client.post(FORGOT, json=BODY)
            assert len(await mails.settle()) == 1
    await find_stockade(app).stop()


def test_a_client_without_a_loop_is_told(
    make: Callable[..., tuple[FastAPI, MemoryMailer]],
) -> None:
    """Its mails would never be sent."""
    app, _ = make()
    client = TestClient(app)
    with capture_mails(client) as mails:
        with pytest.raises(HelperError):
            mails.wait()
        with pytest.raises(HelperError):
            mails.token()


def test_no_mail_of_a_deployed_application_is_captured() -> None:
    """Its users wait for them."""
    app = FastAPI()
    settings = Settings(
        environment="production",
        secret_keys=[secrets.token_urlsafe(48)],
        web={"allowed_hosts": ["example.com"]},
    )
    Stockade(settings, sinks=[]).install(app)
    with pytest.raises(ConfigurationError), capture_mails(app):
        pass
