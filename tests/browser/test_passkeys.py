"""Register passkeys and sign in with them in a real Chromium, by its virtual authenticator."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import CDPSession, Page, sync_playwright

from stockade import Settings, Stockade, public
from stockade.authentication import BcryptHasher
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.unit.authentication.helpers import ANA, random_password

pytestmark = pytest.mark.browser

PASSWORD = random_password()
OWNER = dataclasses.replace(ANA, password_hash=BcryptHasher(cost=4).hash(PASSWORD))
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What the how-to page shows, as functions that a test calls one by one.
SCRIPT = """
const send = async (path, body) => {
  const answer = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: {"Content-Type": "application/json"},
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return {status: answer.status, body: text ? JSON.parse(text) : null};
};
window.send = send;
window.register = async () => {
  const options = await send("/auth/passkeys/register/options", {});
  if (options.status !== 200) return options;
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options.body);
  const credential = await navigator.credentials.create({publicKey});
  return send("/auth/passkeys/register", {name: "Laptop", credential: credential.toJSON()});
};
window.sign = async (path, body, mediation) => {
  const options = await send(`${path}/options`, body);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.body);
  const credential = await navigator.credentials.get({publicKey, mediation});
  return credential.toJSON();
};
"""
PAGE = (
    "<!doctype html><title>Passkeys</title>"
    '<input autocomplete="username webauthn" autofocus><script src="/page.js"></script>'
)


def site(port: int, sink: MemorySink) -> FastAPI:
    """Return an application with passkeys, and a page that uses them."""
    stockade = Stockade(
        Settings(
            environment="test",
            web={"content_security_policy": "default-src 'self'; frame-ancestors 'none'"},
            authentication={
                "bcrypt_cost": 4,
                "cookies": True,
                "identity_cache_lifetime": 0,
                "passkey_rp_id": "localhost",
                "passkey_origins": [f"http://localhost:{port}"],
            },
        ),
        accounts=MemoryAccountStore([OWNER]),
        sinks=[sink],
    )
    app = FastAPI()
    stockade.install(app)
    for router in (stockade.auth_router, stockade.factors_router, stockade.passkeys_router):
        app.include_router(router)

    @app.get("/")
    @public("the page to sign in on")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/page.js")
    @public("its script")
    async def script() -> HTMLResponse:
        return HTMLResponse(SCRIPT, media_type="text/javascript")

    return app


class Visit:
    """A page in a browser with a virtual authenticator."""

    def __init__(self, page: Page, devtools: CDPSession, sink: MemorySink) -> None:
        self.page = page
        self.devtools = devtools
        self.sink = sink
        devtools.send("WebAuthn.enable")
        made = devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        self.authenticator = made["authenticatorId"]

    def run(self, script: str) -> Any:  # noqa: ANN401 - JSON
        """Run a script on the page."""
        return self.page.evaluate(script)

    def login(self) -> Any:  # noqa: ANN401 - JSON
        """Sign in with the password."""
        body = {"email": OWNER.email, "password": PASSWORD}
        return self.page.evaluate("body => send('/auth/login', body)", body)

    def registered(self) -> list[str]:
        """Sign in, register a passkey, and return the recovery codes."""
        assert self.login()["status"] == 204
        made = self.run("register()")
        assert made["status"] == 201
        assert made["body"]["tokens"] is None
        codes: list[str] = made["body"]["recovery_codes"]
        return codes

    def sign_out(self) -> None:
        """End the session."""
        assert self.run("send('/auth/sign-out', {})")["status"] == 204

    def me(self) -> int:
        """Return the status of a request of the browser."""
        status: int = self.run("send('/auth/me')")["status"]
        return status

    def verified(self, *, is_verified: bool) -> None:
        """Let the authenticator say from now on whether it has verified its user."""
        self.devtools.send(
            "WebAuthn.setUserVerified",
            {"authenticatorId": self.authenticator, "isUserVerified": is_verified},
        )

    def copy(self, *, count: int) -> None:
        """Put a copy of the passkey with another count in its place."""
        key = {"authenticatorId": self.authenticator}
        (credential,) = self.devtools.send("WebAuthn.getCredentials", key)["credentials"]
        self.devtools.send("WebAuthn.clearCredentials", key)
        credential["signCount"] = count
        self.devtools.send("WebAuthn.addCredential", {**key, "credential": credential})


@pytest.fixture
def visit(chromium_path: str) -> Iterator[Visit]:
    """A page of a running application, in a fresh browser."""
    sink = MemorySink()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(site(port, sink), log_level="error", ws="none", lifespan="on")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
            context = browser.new_context()
            context.set_default_timeout(20_000)
            page = context.new_page()
            page.goto(f"http://localhost:{port}/", wait_until="networkidle")
            yield Visit(page, context.new_cdp_session(page), sink)
            browser.close()
        server.should_exit = True
        thread.join()


def test_a_browser_registers_a_passkey_and_signs_in_with_it(visit: Visit) -> None:
    """Without a password, by whatever the browser finds by itself."""
    assert len(visit.registered()) == 10
    assert visit.me() == 200
    visit.sign_out()
    assert visit.me() == 401
    signed = (
        "sign('/auth/passkeys', {}).then("
        "credential => send('/auth/passkeys/sign-in', {credential, cookie: true}))"
    )
    assert visit.run(signed)["status"] == 204
    assert visit.me() == 200
    shown = visit.run("send('/auth/passkeys')")["body"]
    assert [each["name"] for each in shown] == ["Laptop"]
    assert shown[0]["last_used_at"] is not None


def test_a_browser_fills_a_passkey_in(visit: Visit) -> None:
    """Beside the names that it would fill in (conditional mediation)."""
    visit.registered()
    visit.sign_out()
    if not visit.run("PublicKeyCredential.isConditionalMediationAvailable()"):
        pytest.skip("this Chromium has no autofill of passkeys")
    signed = (
        "sign('/auth/passkeys', {}, 'conditional').then("
        "credential => send('/auth/passkeys/sign-in', {credential, cookie: true}))"
    )
    assert visit.run(signed)["status"] == 204
    assert visit.me() == 200


def test_a_passkey_is_the_second_factor(visit: Visit) -> None:
    """The password alone is asked for more."""
    visit.registered()
    visit.sign_out()
    refused = visit.login()
    assert (refused["status"], refused["body"]["code"]) == (403, "mfa_required")
    script = """async pending => {
      const credential = await sign("/auth/passkeys/verify", {mfa_token: pending});
      return send("/auth/passkeys/verify", {mfa_token: pending, credential});
    }"""
    answer = visit.page.evaluate(script, refused["body"]["mfa_token"])
    assert answer["status"] == 204
    assert visit.me() == 200


def test_an_authenticator_is_registered_once(visit: Visit) -> None:
    """The browser knows from what it is told that it has one already."""
    visit.registered()
    outcome = visit.run("register().catch(error => error.name)")
    assert outcome == "InvalidStateError"


def test_a_user_who_was_not_verified_is_not_signed_in(visit: Visit) -> None:
    """The browser itself refuses, since it was asked to."""
    visit.registered()
    visit.sign_out()
    visit.verified(is_verified=False)
    outcome = visit.run("sign('/auth/passkeys', {}).catch(error => error.name)")
    assert outcome == "NotAllowedError"


def test_a_copy_of_a_passkey_is_refused(visit: Visit) -> None:
    """Its count goes back, and the event says so."""
    visit.registered()
    visit.copy(count=40)
    signed = (
        "sign('/auth/passkeys', {}).then("
        "credential => send('/auth/passkeys/sign-in', {credential, cookie: true}))"
    )
    assert visit.run(signed)["status"] == 204
    visit.copy(count=3)
    refused = visit.run(signed)
    assert (refused["status"], refused["body"]["code"]) == (403, "invalid_passkey")
    assert len(visit.sink.named("authentication.passkey_cloned")) == 1


def test_what_was_signed_is_accepted_once(visit: Visit) -> None:
    """A second time it is worth nothing."""
    visit.registered()
    script = """async () => {
      const credential = await sign("/auth/passkeys", {});
      const signIn = () => send("/auth/passkeys/sign-in", {credential, cookie: true});
      return [await signIn(), await signIn()];
    }"""
    first, second = visit.run(script)
    assert (first["status"], second["status"]) == (204, 403)
