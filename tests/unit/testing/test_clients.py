from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.testclient import TestClient

from stockade import Settings, Stockade, public
from stockade.authentication import BcryptHasher
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.testing import as_browser
from stockade.testing.clients import find_stockade, with_cookie, with_headers
from stockade.testing.errors import HelperError
from tests.unit.authentication.helpers import ANA, random_password

PASSWORD = random_password()


@pytest.fixture
def client() -> Iterator[TestClient]:
    """A client of an application for browsers that shows what it is sent."""
    import dataclasses

    account = dataclasses.replace(ANA, password_hash=BcryptHasher(cost=4).hash(PASSWORD))
    stockade = Stockade(
        Settings(environment="test", authentication={"cookies": True, "bcrypt_cost": 4}),
        accounts=MemoryAccountStore([account]),
        sinks=[],
    )
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.auth_router)

    @app.get("/headers")
    @public("shows what it is sent")
    async def show(request: Request) -> dict[str, str]:
        return {**request.headers, "scheme": request.url.scheme}

    with TestClient(app) as made:
        yield made


def test_a_browser_signs_in_and_out(client: TestClient) -> None:
    """The cookie comes back with each request until it is taken back."""
    login = {"email": ANA.email, "password": PASSWORD}
    assert client.post("/auth/login", json=login).status_code == 403
    with as_browser(client):
        assert client.post("/auth/login", json=login).status_code == 204
        assert client.get("/auth/me").json()["user_id"] == "ana"
        assert client.post("/auth/sign-out").status_code == 204
        assert client.get("/auth/me").status_code == 401


def test_a_page_of_another_site_changes_nothing(client: TestClient) -> None:
    """The same client, cookie and all, is refused on a page that is somebody else's."""
    login = {"email": ANA.email, "password": PASSWORD}
    with as_browser(client):
        client.post("/auth/login", json=login)
    with as_browser(client, page="https://evil.example"):
        assert client.post("/auth/sign-out").status_code == 403
        assert client.post("/auth/login", json=login).status_code == 403


def test_everything_is_as_before_after_the_block(client: TestClient) -> None:
    """Headers and address of the client are its own again."""
    client.headers["Origin"] = "https://own.example"
    with as_browser(client):
        inside = client.get("/headers").json()
    outside = client.get("/headers").json()
    assert (inside["origin"], inside["scheme"]) == ("https://testserver", "https")
    assert inside["sec-fetch-site"] == "same-origin"
    assert (outside["origin"], outside["scheme"]) == ("https://own.example", "http")
    assert "sec-fetch-site" not in outside


@pytest.mark.parametrize("page", ["", "evil.example", "file:///x", "https://", "https://a.b/path"])
def test_a_page_has_an_origin(client: TestClient, page: str) -> None:
    """What no browser would send is refused."""
    with pytest.raises(HelperError), as_browser(client, page=page):
        pytest.fail("it was taken")


def test_cookies_of_the_same_name_come_back(client: TestClient) -> None:
    """A cookie for a while takes the place of all with its name, and of no other."""
    client.cookies.set("a", "1", domain="testserver.local")
    client.cookies.set("b", "2")
    with with_cookie(client, "a", "3"):
        assert sorted(client.get("/headers").json()["cookie"].split("; ")) == ["a=3", "b=2"]
    assert sorted(client.get("/headers").json()["cookie"].split("; ")) == ["a=1", "b=2"]


def test_headers_come_back_after_an_error(client: TestClient) -> None:
    """A test that fails leaves the client as it was."""
    client.headers["X-One"] = "1"
    with pytest.raises(ZeroDivisionError), with_headers(client, {"X-One": "2", "X-Two": "2"}):
        raise ZeroDivisionError
    assert (client.headers["X-One"], "X-Two" in client.headers) == ("1", False)


def test_an_application_finds_itself() -> None:
    """The application is taken in the place of a client."""
    app = FastAPI()
    stockade = Stockade(Settings(environment="test"), sinks=[])
    stockade.install(app)
    assert find_stockade(app) is stockade


@pytest.mark.parametrize("other", [None, 3, "app", FastAPI(), object()], ids=repr)
def test_what_is_no_application_is_refused(other: object) -> None:
    """The error is one of ours, whatever comes."""
    with pytest.raises(HelperError):
        find_stockade(other)
