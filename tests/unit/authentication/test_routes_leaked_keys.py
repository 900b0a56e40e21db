import dataclasses
import json
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.authentication.api_keys import APIKeys, generate_client_id
from stockade.authentication.models import APIClient, APISecret
from stockade.core import TenantId, UserId
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError
from stockade.events import MemorySink
from stockade.storage.memory.accounts import MemoryAccountStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW, OLD
from tests.unit.authentication.test_leaked_keys import KEY, OTHER, pem_of, sign

URL = "/auth/api-keys/leaked"
PLACE = "https://code.example/acme/app/settings.py"


class Bench:
    """An application with programs, and a scanner."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - settings
        self.clock = FrozenClock()
        self.sink = MemorySink()
        self.stockade = Stockade(
            Settings(
                environment="test",
                secret_keys=(OLD, NEW),
                authentication={
                    "leak_reporter_keys": [pem_of(KEY)],
                    "identity_cache_lifetime": 0,
                    **settings,
                },
            ),
            accounts=MemoryAccountStore([ANA]),
            sinks=[self.sink],
            clock=self.clock,
        )
        self.store = self.stockade._sign_in.api_clients
        self.app = FastAPI()
        self.stockade.install(self.app)
        for router in ("auth_router", "api_keys_router", "leaked_keys_router"):
            self.app.include_router(getattr(self.stockade, router))
        self.client = TestClient(self.app, raise_server_exceptions=False)

    async def make(self, *, ring: tuple[str, ...] = (OLD, NEW), **changes: Any) -> dict[str, str]:  # noqa: ANN401
        """Make a program of an account, and return its headers."""
        now = self.clock.now()
        client = APIClient(
            client_id=generate_client_id(),
            name="Nightly",
            tenant_id=TenantId("acme"),
            user_id=UserId("ana"),
            roles=frozenset(),
            scopes=frozenset(),
            created_at=now,
            created_by=UserId("ana"),
        )
        client = dataclasses.replace(client, **changes)
        new = APIKeys(KeyRing(ring)).generate()
        await self.store.add(client, APISecret(secret_id="1", digest=new.digest, created_at=now))
        return {"X-CLIENT-ID": client.client_id, "X-API-KEY": new.value}

    def report(self, *tokens: str, url: str = PLACE, **headers: str) -> Any:  # noqa: ANN401 - a response
        """Send what a scanner has found."""
        found = [{"token": each, "type": "stockade_api_key", "url": url} for each in tokens]
        return self.send(json.dumps(found).encode(), **headers)

    def send(self, body: bytes, **headers: str) -> Any:  # noqa: ANN401 - a response
        """Send a body with its signature, unless another one is given."""
        given = {
            "Content-Type": "application/json",
            "Github-Public-Key-Identifier": "any",
            "Github-Public-Key-Signature": sign(body),
            **headers,
        }
        return self.client.post(URL, content=body, headers=given)

    def works(self, headers: dict[str, str]) -> bool:
        """Tell whether a key still opens a route."""
        return self.client.get("/auth/me", headers=headers).status_code == 200

    def alarms(self) -> list[dict[str, str]]:
        """Return the details of each alarm."""
        return [dict(event.details) for event in self.sink.named("authentication.api_key_leaked")]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One application."""
    made = Bench()
    with made.client:
        yield made


async def test_a_leaked_key_ends_at_once(bench: Bench) -> None:
    """The answer says that it was a real one, an alarm says whose and where."""
    key, other = await bench.make(), await bench.make()
    assert bench.works(key)
    answer = bench.report(key["X-API-KEY"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == [
        {
            "token_hash": sha256(key["X-API-KEY"].encode()).hexdigest(),
            "token_type": "stockade_api_key",
            "label": "true_positive",
        }
    ]
    assert (bench.works(key), bench.works(other)) == (False, True)
    assert bench.alarms() == [
        {
            "client_id": key["X-CLIENT-ID"],
            "user_id": "ana",
            "tenant_id": "acme",
            "place": PLACE,
        }
    ]


async def test_a_key_of_an_older_secret_is_found(bench: Bench) -> None:
    """Digests by every key of the ring are looked for."""
    key = await bench.make(ring=(OLD,))
    bench.report(key["X-API-KEY"])
    assert not bench.works(key)


async def test_each_match_has_its_answer(bench: Bench) -> None:
    """In the order of the report; what is no key of ours is a false positive."""
    one, two = await bench.make(), await bench.make()
    foreign = APIKeys(KeyRing((NEW,))).generate().value
    tokens = [one["X-API-KEY"], foreign, "x", "", two["X-API-KEY"], one["X-API-KEY"], "é\u202e"]
    labels = [each["label"] for each in bench.report(*tokens).json()]
    real = [label == "true_positive" for label in labels]
    assert real == [True, False, False, False, True, True, False]
    assert len(bench.alarms()) == 2


async def test_a_report_sent_again_changes_nothing(bench: Bench) -> None:
    """Who has caught one can end no later key with it, and rings no alarm."""
    key = await bench.make()
    body = json.dumps([{"token": key["X-API-KEY"], "type": "a", "url": ""}]).encode()
    first = bench.send(body)
    signed = bench.stockade._sign_in.tokens.issue(ANA)
    fresh = bench.client.post(
        f"/auth/api-keys/{key['X-CLIENT-ID']}/rotate",
        headers={"Authorization": f"Bearer {signed.value}"},
    ).json()
    bench.clock.advance(timedelta(days=400).total_seconds())
    assert bench.send(body).content == first.content
    assert bench.works({"X-CLIENT-ID": key["X-CLIENT-ID"], "X-API-KEY": fresh["api_key"]})
    assert not bench.works(key)
    assert len(bench.alarms()) == 1


@pytest.mark.parametrize("ended", ["revoked_at", "expires_at"])
async def test_a_key_that_had_ended_is_real_and_no_alarm(bench: Bench, ended: str) -> None:
    """The scanner was right; there is nothing left to do."""
    past: dict[str, Any] = {ended: bench.clock.now()}
    key = await bench.make(**past)
    assert bench.report(key["X-API-KEY"]).json()[0]["label"] == "true_positive"
    assert bench.alarms() == []


async def test_an_unsigned_report_ends_nothing(bench: Bench) -> None:
    """Nor does it learn which of its keys are real."""
    key = await bench.make()
    body = json.dumps([{"token": key["X-API-KEY"], "type": "a", "url": ""}]).encode()
    for wrong in ("", "x", sign(body, OTHER), sign(body + b" ")):
        answer = bench.send(body, **{"Github-Public-Key-Signature": wrong})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Signature"
        assert "positive" not in answer.text
        assert key["X-API-KEY"] not in answer.text
    assert bench.works(key)
    assert bench.client.post(URL, content=body).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[1]",
        b"[{}]",
        b'[{"token":1,"type":"a"}]',
        b'[{"token":"x","type":""}]',
        b'[{"token":"x","type":"<script>"}]',
        b'[{"token":"x","type":"a\\n"}]',
        b'[{"token":"' + b"x" * 5000 + b'","type":"a"}]',
        b"[" + b'{"token":"x","type":"a"},' * 10_001 + b"{}]",
        b"[" * 100_000,
        b"\xff",
    ],
    ids=lambda body: repr(body[:24]),
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_signed_report_of_another_form_is_refused(
    bench: Bench, body: bytes, content_type: str
) -> None:
    """With a 4xx, and without a word of what was sent."""
    answer = bench.send(body, **{"Content-Type": content_type})
    assert 400 <= answer.status_code < 500
    assert "xxxx" not in answer.text
    assert "script" not in answer.text


def test_the_signature_comes_before_the_form(bench: Bench) -> None:
    """Whoever has no key does not learn what a report looks like."""
    wrong = {"Github-Public-Key-Signature": "x", "Content-Type": "text/plain"}
    assert bench.send(b"[{}]", **wrong).status_code == 401


def test_an_empty_report_is_fine(bench: Bench) -> None:
    """There is nothing to say about it."""
    assert bench.report().json() == []


async def test_no_key_is_in_any_event(bench: Bench) -> None:
    """Not even where the file that it was found in has it as its name."""
    key = await bench.make()
    value = key["X-API-KEY"]
    bench.report(value, url=f"https://code.example/{value}.txt")
    assert len(bench.alarms()) == 1
    assert value not in repr(list(bench.sink))


async def test_a_key_ends_once(bench: Bench) -> None:
    """Named twice in one report, it is one alarm."""
    key = await bench.make()
    bench.report(key["X-API-KEY"], key["X-API-KEY"])
    assert len(bench.alarms()) == 1


def test_a_route_that_believes_nobody_does_not_start() -> None:
    """Without a key of a scanner every report would be refused, which nobody would notice."""
    bench = Bench(leak_reporter_keys=[])
    with pytest.raises(ConfigurationError), bench.client:
        pytest.fail("it started")


def test_a_store_that_can_not_find_keys_does_not_start() -> None:
    """A store of the application's own needs both methods, and the start says so."""

    class Small:
        """A store without them."""

    stockade = Stockade(
        Settings(environment="test", authentication={"leak_reporter_keys": [pem_of(KEY)]}),
        accounts=MemoryAccountStore([ANA]),
        api_clients=Small(),  # type: ignore[arg-type]  # What a user may forget.
        sinks=[],
    )
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.leaked_keys_router)
    with pytest.raises(ConfigurationError), TestClient(app):
        pytest.fail("it started")


def test_a_setting_that_is_no_key_stops_the_start() -> None:
    """The message says what is wanted and repeats nothing."""
    with pytest.raises(ConfigurationError) as caught:
        Settings(environment="test", authentication={"leak_reporter_keys": ["CANARY"]})
    assert "CANARY" not in str(caught.value)
