import asyncio
import gzip
import hashlib
import ssl
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from stockade.authentication import AuthenticationSettings
from stockade.authentication.breaches import (
    LARGEST_RANGE,
    BreachCheck,
    RangeBreachChecker,
    digest_of,
    make_breach_check,
    read_range,
)
from stockade.authentication.errors import BreachCheckError
from stockade.authentication.policy import PasswordRule
from stockade.errors import ConfigurationError, UnavailableError
from stockade.events import Event, EventLog
from tests.clock import FrozenClock
from tests.servers.process import free_port
from tests.unit.authentication.issuers import serve

pytestmark = pytest.mark.anyio

STOLEN = "hunter2 hunter2 hunter2"
UNKNOWN = "kelp lantern oboe drizzle"
TIMEOUT = timedelta(seconds=2)


class Collection:
    """Serve ranges by HTTP as Pwned Passwords does, and misbehave where a test asks for it."""

    def __init__(self) -> None:
        self.address = ""
        self.passwords = {STOLEN: 17, "é" * 8: 3}
        self.asked: list[tuple[str, dict[bytes, bytes]]] = []
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: bytes | None = None
        self.drips = False

    def range_of(self, prefix: str) -> bytes:
        """Return a range: what is known, what is made up, and padding."""
        known = {
            digest[5:]: count
            for digest, count in (
                (hashlib.sha1(word.encode()).hexdigest().upper(), count)  # noqa: S324 - the protocol's
                for word, count in self.passwords.items()
            )
            if digest.startswith(prefix)
        }
        padding = {
            hashlib.sha1(f"{prefix}{n}".encode()).hexdigest().upper()[5:]: 0  # noqa: S324 - as above
            for n in range(800)
        }
        lines = (f"{suffix}:{count}" for suffix, count in sorted((padding | known).items()))
        return "\r\n".join(lines).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.asked.append((scope["path"], dict(scope["headers"])))
        body = self.range_of(scope["path"].rpartition("/")[2]) if self.body is None else self.body
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        while self.drips:
            # Byte by byte: each step is quick, and all of them are too slow.
            await send({"type": "http.response.body", "body": b"0", "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server() -> Iterator[Collection]:
    """A service that speaks the protocol over a real connection."""
    application = Collection()
    with serve(application, free_port()) as address:
        application.address = address
        yield application


@pytest.fixture
def served(server: Collection) -> Iterator[Collection]:
    """The same one, well behaved again after each test."""
    yield server
    address = server.address
    server.__init__()  # type: ignore[misc]  # Every field goes back to its start.
    server.address = address


def checker_of(served: Collection, timeout: timedelta = TIMEOUT) -> RangeBreachChecker:
    """Make a checker that asks it."""
    return RangeBreachChecker(served.address + "/range/", timeout=timeout)


async def test_a_stolen_password_is_known(served: Collection) -> None:
    """With how often it was seen; another one of the same range is not."""
    checker = checker_of(served)
    assert await checker.count(STOLEN) == 17
    assert await checker.count(UNKNOWN) == 0


async def test_padding_is_no_finding(served: Collection) -> None:
    """A made-up line has the count 0, whatever digest it shows."""
    served.passwords[STOLEN] = 0
    assert await checker_of(served).count(STOLEN) == 0


async def test_five_digits_are_all_that_leaves(served: Collection) -> None:
    """Neither the rest of the digest nor the password is anywhere in the request."""
    await checker_of(served).count(STOLEN)
    ((path, headers),) = served.asked
    digest = digest_of(STOLEN)
    assert path == f"/range/{digest[:5]}"
    sent = repr((path, headers))
    assert digest[5:9] not in sent.replace(digest[:5], "")
    assert STOLEN not in sent
    assert headers[b"add-padding"] == b"true"
    assert headers[b"accept-encoding"] == b"identity"
    assert {b"cookie", b"authorization", b"referer"}.isdisjoint(headers)


async def test_the_normal_form_is_looked_up(served: Collection) -> None:
    """It is what would be hashed."""
    assert await checker_of(served).count("e\u0301" * 8) == 3


async def fail(served: Collection, patience: timedelta = TIMEOUT) -> str:
    """Look up a password where that can't be done, and return what the error says."""
    with pytest.raises(BreachCheckError) as caught:
        await checker_of(served, patience).count(STOLEN)
    assert caught.value.code == "breach_check"
    assert caught.value.__cause__ is None
    text = str(caught.value)
    assert digest_of(STOLEN)[:5] not in text
    return text


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 404, 429, 500, 503])
async def test_only_a_plain_success_is_one(served: Collection, status: int) -> None:
    """A redirect leads nowhere, and nothing else is an answer."""
    served.status = status
    served.headers = [(b"location", f"{served.address}/range/00000".encode())]
    assert await fail(served) == f"status {status}"
    assert len(served.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"<html>sign in to the hotel network</html>",
        b"{}",
        b"0" * 35,
        b"0" * 35 + b":",
        b"0" * 35 + b":-1",
        b"0" * 35 + b":1e3",
        b"0" * 34 + b":1",
        b"0" * 36 + b":1",
        b"0" * 40 + b":1",
        b"a" * 35 + b":1",
        b"G" * 35 + b":1",
        b"0" * 35 + b": 1",
        b"0" * 35 + b":1 ",
        b"0" * 35 + b":" + b"9" * 5000,
        b"0" * 35 + b":1\r\n\r\n" + b"1" * 35 + b":1",
        b"0" * 35 + b":1\r\nand so on",
        b"0" * 35 + b":1\r" + b"1" * 35 + b":1",
        b"0" * 35 + ":\u0661".encode(),
        b"\xef\xbb\xbf" + b"0" * 35 + b":1",
    ],
    ids=ascii,
)
async def test_what_is_no_range_is_no_answer(served: Collection, body: bytes) -> None:
    """Otherwise a page of a proxy would say that no password was ever stolen."""
    with pytest.raises(BreachCheckError):
        read_range(body)
    served.body = body
    assert "no range" in await fail(served)


async def test_an_answer_is_read_to_its_cap(served: Collection) -> None:
    """A larger one is given up."""
    served.body = (b"0" * 35 + b":1\n") * (LARGEST_RANGE // 38 + 1)
    assert "too large" in await fail(served)


async def test_an_answer_in_a_coding_is_refused(served: Collection) -> None:
    """Nothing small becomes large: none was asked for."""
    served.body = gzip.compress(served.range_of("00000"))
    served.headers = [(b"content-encoding", b"gzip")]
    assert "coding" in await fail(served)


async def test_a_slow_answer_is_given_up(served: Collection) -> None:
    """The time is for the whole answer, and not for each byte of it."""
    served.drips = True
    assert "TimeoutError" in await fail(served, timedelta(milliseconds=300))


async def test_a_service_that_does_not_listen_is_away() -> None:
    """A refused connection is its failure, and not ours."""
    with pytest.raises(BreachCheckError):
        await RangeBreachChecker("http://127.0.0.1:9", timeout=TIMEOUT).count(STOLEN)


async def test_the_environment_names_no_proxy(
    served: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sets a variable does not learn which ranges are asked for."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await checker_of(served).count(STOLEN) == 17


def test_certificates_are_checked(served: Collection) -> None:
    """Whoever is in between can't say that no password was stolen."""
    context = checker_of(served)._reader._context
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_without_its_client_it_can_not_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said at the start."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigurationError) as caught:
        RangeBreachChecker("https://ranges.example", timeout=TIMEOUT)
    assert "stockade[oidc]" in str(caught.value)


@given(st.dictionaries(st.from_regex(r"\A[0-9A-F]{35}\Z"), st.integers(0, 10**9), min_size=1))
def test_a_range_is_read_back(known: dict[str, int]) -> None:
    """With either line end, and with one after the last line or without."""
    expected = {suffix.encode(): count for suffix, count in known.items()}
    for end in ("\n", "\r\n"):
        written = end.join(f"{suffix}:{count}" for suffix, count in known.items())
        assert read_range(written.encode()) == expected
        assert read_range((written + end).encode()) == expected


@given(st.binary(max_size=200))
def test_any_answer_is_a_range_or_an_error(answer: bytes) -> None:
    """And never something else."""
    try:
        found = read_range(answer)
    except BreachCheckError:
        return
    assert found


@given(st.text(max_size=50))
def test_any_password_has_a_digest(password: str) -> None:
    """Forty digits."""
    assert len(digest_of(password)) == 40


# --- The check ----------------------------------------------------------------------------------


class Checker:
    """Knows one password, and can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0

    async def count(self, password: str) -> int:
        """Return how often a password was seen.

        Raises:
            BreachCheckError: It is away.
        """
        self.asked += 1
        if self.is_away:
            raise BreachCheckError("status 503")
        return int(password == STOLEN)


class Sink:
    """Remembers events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        """Take one event."""
        self.events.append(event)


class House:
    """A check with what it needs."""

    def __init__(self, *, is_open: bool) -> None:
        self.checker, self.sink, self.clock = Checker(), Sink(), FrozenClock()
        events = EventLog([self.sink], clock=self.clock)
        self.check = BreachCheck(self.checker, is_open=is_open, events=events, clock=self.clock)

    def names(self) -> list[str]:
        """Return the names of the events so far."""
        return [event.name for event in self.sink.events]


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_stolen_password_may_not_be_chosen(is_open: bool) -> None:
    """Another one may."""
    house = House(is_open=is_open)
    (problem,) = await house.check.check(STOLEN)
    assert problem.code is PasswordRule.BREACHED
    assert STOLEN not in repr(problem)
    assert await house.check.check(UNKNOWN) == []
    assert house.names() == []


async def test_open_lets_passwords_pass_while_the_service_is_away() -> None:
    """It is an event, once, and so is its return."""
    house = House(is_open=True)
    house.checker.is_away = True
    for _ in range(3):
        assert await house.check.check(STOLEN) == []
        house.clock.advance(60)
    house.checker.is_away = False
    assert await house.check.check(STOLEN)
    assert house.names() == [
        "authentication.breach_check_failed",
        "authentication.breach_check_recovered",
    ]
    assert house.sink.events[0].details == {"problem": "status 503", "failure": "open"}


async def test_closed_refuses_while_the_service_is_away() -> None:
    """With 503 and the time after which to come again."""
    house = House(is_open=False)
    house.checker.is_away = True
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            await house.check.check(UNKNOWN)
        assert caught.value.reason == "authentication.breach_check_away"
        assert caught.value.retry_after == timedelta(seconds=30)
    assert house.names() == ["authentication.breach_check_failed"]


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_service_that_is_away_is_left_alone_for_a_while(is_open: bool) -> None:
    """Nobody waits for it in vain again and again."""
    house = House(is_open=is_open)
    house.checker.is_away = True
    for _ in range(5):
        await asyncio.gather(house.check.check(UNKNOWN), return_exceptions=True)
    assert house.checker.asked == 1
    house.checker.is_away = False
    house.clock.advance(31)
    assert await house.check.check(UNKNOWN) == []
    assert house.checker.asked == 2


def make(**settings: object) -> BreachCheck | None:
    """Build the check of some settings for a deployed application."""
    chosen = AuthenticationSettings.model_validate(settings)
    clock = FrozenClock()
    return make_breach_check(
        chosen, events=EventLog([], clock=clock), clock=clock, allow_http=False
    )


def test_it_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then not even its client is needed."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert make() is None


@pytest.mark.parametrize("failure", ["open", "closed"])
def test_it_is_asked_for_by_its_failure_policy(failure: str) -> None:
    """Which thereby is declared."""
    assert isinstance(make(breach_check=failure), BreachCheck)


def test_a_deployed_application_asks_by_tls_alone() -> None:
    """Even a service on the same machine."""
    with pytest.raises(ConfigurationError):
        make(breach_check="open", breach_check_url="http://127.0.0.1:8000/range")


@pytest.mark.parametrize(
    "url",
    [
        "http://ranges.example/range",
        "ranges.example",
        "file:///etc/passwd",
        "https://user:secret@ranges.example/",
        "https://ranges.example/range?x=",
        "https://ranges.example/#",
        "",
    ],
)
def test_the_address_of_the_service_is_checked(url: str) -> None:
    """It names a place and no more."""
    with pytest.raises(ValueError):
        AuthenticationSettings(breach_check_url=url)
