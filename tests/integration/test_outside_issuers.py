"""An application accepts tokens of another issuer, which runs and speaks HTTP."""

from collections.abc import Iterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI

from stockade import Principal, Settings, Stockade, current_principal, require_role
from stockade.events import MemorySink
from tests.clock import FrozenClock
from tests.servers.process import free_port
from tests.unit.authentication.issuers import IssuerApplication, make_key, run_issuer, serve


class Site:
    """A running application with a running issuer."""

    def __init__(self, address: str, issuer: IssuerApplication, sink: MemorySink) -> None:
        self.address = address
        self.served = issuer
        self.sink = sink
        self.clock = FrozenClock()

    def get(self, path: str, token: str) -> httpx2.Response:
        """Call the application with a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.get(self.address + path, headers=headers, timeout=30)


@pytest.fixture
def site() -> Iterator[Site]:
    """An application whose clock a test moves."""
    sink = MemorySink()
    with run_issuer() as issuer:
        port = free_port()
        site = Site(f"http://127.0.0.1:{port}", issuer, sink)
        accepted = issuer.issuer.settings(
            tenant_claim=("org",),
            tenants={"org-1": "acme"},
            roles_claim=("groups",),
            roles={"boss": "admin"},
        )
        chosen = Settings(environment="test", authentication={"issuers": {"partner": accepted}})
        stockade = Stockade(chosen, accounts=Nobody(), sinks=[sink], clock=site.clock)
        app = FastAPI()
        stockade.install(app)

        @app.get("/me")
        async def me(caller: Annotated[Principal, Depends(current_principal)]) -> dict[str, Any]:
            return {"id": caller.user_id, "tenant": caller.tenant_id, "roles": list(caller.roles)}

        @app.get("/admin", dependencies=[Depends(require_role("admin"))])
        async def admin() -> dict[str, str]:
            return {}

        with serve(app, port, lifespan="on"):
            yield site


class Nobody:
    """No account of our own."""

    async def find_by_email(self, email: str) -> None:
        """Return None."""

    async def find_by_id(self, user_id: str, tenant_id: str | None) -> None:
        """Return None."""

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> bool:
        """Return False."""
        return False


def test_a_caller_comes_from_another_issuer(site: Site) -> None:
    """Discovery, keys, claims, tenant and roles: from the token to the endpoint."""
    issuer = site.served.issuer
    answer = site.get("/me", issuer.issue(org="org-1", groups=["boss"]))
    assert answer.json() == {"id": "partner|ana", "tenant": "acme", "roles": ["admin"]}
    assert site.get("/admin", issuer.issue(org="org-1", groups=["boss"])).status_code == 200
    assert site.get("/admin", issuer.issue(org="org-1", groups=["admin"])).status_code == 403
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


def test_a_token_that_does_not_hold_gets_one_plain_answer(site: Site) -> None:
    """What exactly was wrong is in the event alone."""
    issuer = site.served.issuer
    tokens = {
        "token_tenant": issuer.issue(org="org-2"),
        "token_audience": issuer.issue(org="org-1", aud="other"),
        "token_expired": issuer.issue(org="org-1", exp=1),
        "token_signature": issuer.issue(org="org-1", key=make_key()),
        "token_issuer": issuer.issue(iss="https://other.example"),
    }
    answers = [site.get("/me", token) for token in tokens.values()]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["code"] for answer in answers}) == 1
    reasons = {str(event.reason).partition(".")[2] for event in site.sink}
    # A token of an issuer that nobody knows is one that our own keys did not sign.
    assert tokens.keys() - {"token_issuer"} <= reasons
    assert "token_key" in reasons


def test_an_issuer_rotates_its_keys(site: Site) -> None:
    """The new key is found when a token names it, and the old one ends with it."""
    issuer = site.served.issuer
    old = issuer.keys[0]
    assert site.get("/me", issuer.issue(org="org-1")).status_code == 200
    issuer.keys = [make_key(kid="two")]
    site.clock.advance(31)
    assert site.get("/me", issuer.issue(org="org-1")).status_code == 200
    late = issuer.issue(org="org-1", key=old, jti="late")
    assert site.get("/me", late).status_code == 401


def test_an_issuer_is_away(site: Site) -> None:
    """Its keys go on for a day; then its tokens get 503, and our own callers notice nothing."""
    issuer = site.served.issuer
    lasting: dict[str, Any] = {"org": "org-1", "exp": int(site.clock.now().timestamp()) + 80_000}
    assert site.get("/me", issuer.issue(**lasting)).status_code == 200
    site.served.status = 500
    site.clock.advance(3600 * 20)
    assert site.get("/me", issuer.issue(jti="a", **lasting)).status_code == 200
    site.clock.advance(3600 * 4)
    moment = int(site.clock.now().timestamp())
    answer = site.get("/me", issuer.issue(org="org-1", iat=moment, exp=moment + 60))
    assert answer.status_code == 503
    assert 0 < int(answer.headers["retry-after"]) <= 30
    assert site.get("/me", "x").status_code == 401
    names = [event.name for event in site.sink]
    assert names.count("authentication.issuer_failed") == 1
