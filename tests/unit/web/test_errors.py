import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    Body,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    WebSocket,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from stockade import Settings, Stockade, public
from stockade.errors import (
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    StepUpRequiredError,
    StoreError,
    UnauthenticatedError,
    UnavailableError,
)
from stockade.events import MemorySink

CANARY = "CANARY-7c1d"
PROBLEM = "application/problem+json"


class Bench:
    """An application whose endpoint does what a test says."""

    def __init__(self, **parameters: Any) -> None:  # noqa: ANN401 - FastAPI's parameters
        self.sink = MemorySink()
        self.app = FastAPI(**parameters)
        self.error: Exception | None = None
        self.stockade = Stockade(
            Settings(environment="test", validation={"unbounded": "warn"}), sinks=[self.sink]
        )
        self.stockade.install(self.app)

        @self.app.post("/raise", dependencies=[public("a test")])
        async def fail() -> None:
            assert self.error is not None
            raise self.error

    def answer(self, error: Exception, **options: Any) -> Any:  # noqa: ANN401 - a response
        """Return the answer to an error that the endpoint raises."""
        self.error = error
        with TestClient(self.app, raise_server_exceptions=False) as client:
            return client.post("/raise", **options)

    def recorded(self) -> list[tuple[str, str | None]]:
        """Return what was recorded after the start."""
        return [(event.name, event.reason) for event in self.sink if event.request_id]


@pytest.fixture
def bench() -> Bench:
    """An application of its own."""
    return Bench()


WAIT = timedelta(seconds=7)
KINDS = [
    (UnauthenticatedError(reason="authentication.x"), 401, "authentication.refused"),
    (StepUpRequiredError(reason="authorization.x", max_age=WAIT), 401, "authorization.refused"),
    (ForbiddenError(reason="authorization.x"), 403, "authorization.refused"),
    (ForbiddenError(reason="billing.unpaid"), 403, "web.request_refused"),
    (NotFoundError(reason="tenancy.x"), 404, "tenancy.refused"),
    (RateLimitedError(reason="rate_limiting.x", retry_after=WAIT), 429, "rate_limiting.refused"),
    (UnavailableError(reason="billing.away", retry_after=WAIT), 503, "web.request_refused"),
]


@pytest.mark.parametrize(
    ("error", "status", "event"), KINDS, ids=[type(row[0]).__name__ + row[2] for row in KINDS]
)
def test_a_refusal_of_a_handler_is_answered_and_recorded(
    bench: Bench, error: Exception, status: int, event: str
) -> None:
    """Each kind has its one answer; the reason is in the event alone."""
    answer = bench.answer(error)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert str(error) not in answer.text
    assert bench.recorded() == [(event, str(error))]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_headers_of_a_refusal_are_sent(bench: Bench) -> None:
    """A client learns how to sign in and how long to wait."""
    assert bench.answer(KINDS[0][0]).headers["www-authenticate"] == "Bearer"
    assert bench.answer(KINDS[5][0]).headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (HTTPException(404), {"code": "not_found"}),
        (HTTPException(409, "Taken."), {"code": "conflict", "detail": "Taken."}),
        (HTTPException(409, {"field": "name"}), {"context": {"field": "name"}}),
        (HTTPException(418, headers={"X-Tea": "green"}), {"code": "im_a_teapot"}),
        (HTTPException(503), {"code": "service_unavailable"}),
    ],
    ids=["plain", "sentence", "dict", "headers", "server"],
)
def test_an_http_exception_keeps_its_words(
    bench: Bench, error: HTTPException, members: dict[str, object]
) -> None:
    """What a handler chose to say is said, as problem details."""
    answer = bench.answer(error)
    assert answer.status_code == error.status_code
    assert answer.headers["content-type"] == PROBLEM
    assert members.items() <= answer.json().items()
    for name, value in (error.headers or {}).items():
        assert answer.headers[name] == value


def test_an_http_exception_is_recorded_unless_it_is_ordinary(bench: Bench) -> None:
    """A missing object is daily business; other client errors are worth knowing."""
    bench.answer(HTTPException(404))
    assert bench.recorded() == []
    bench.answer(HTTPException(409, CANARY))
    assert bench.recorded() == [("web.request_refused", "http_409")]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none(bench: Bench, status: int) -> None:
    """Where HTTP allows no body there is none (RFC 9110, section 6.4.1)."""
    answer = bench.answer(HTTPException(status))
    assert (answer.status_code, answer.content) == (status, b"")


def test_a_store_that_is_away_is_503(bench: Bench) -> None:
    """The client may try again; it does not learn which store, or anything of its error."""
    answer = bench.answer(StoreError(CANARY))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert CANARY not in answer.text + str(answer.headers)
    assert bench.recorded() == [("web.server_error", "StoreError")]


def test_an_unexpected_error_is_500_without_details(bench: Bench) -> None:
    """Neither message nor kind nor place of an error reaches the client."""
    answer = bench.answer(RuntimeError(CANARY))
    assert answer.status_code == 500
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["code"] == "internal_error"
    assert CANARY not in answer.text
    assert "RuntimeError" not in answer.text
    assert "Traceback" not in answer.text
    assert bench.recorded() == [("web.server_error", "RuntimeError")]
    assert CANARY not in repr(list(bench.sink))


@pytest.mark.parametrize(
    "error",
    [KeyError(), AssertionError(), OSError(5), ExceptionGroup("x", [ValueError()])],
    ids=repr,
)
def test_every_unexpected_error_is_answered(bench: Bench, error: Exception) -> None:
    """Whatever a handler raises, the client gets an answer with security headers."""
    answer = bench.answer(error)
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"]


# --- Validation -------------------------------------------------------------------------------


def test_a_validation_error_repeats_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Place and rule of the mistake are told; what was submitted is in no answer, event or log."""

    @bench.app.post("/form", dependencies=[public("a test")])
    async def form(
        number: int = Body(),
        name: str = Body(max_length=3),
        page: int = Query(default=1),
    ) -> None:
        """Take three values."""

    with caplog.at_level(logging.DEBUG), TestClient(bench.app) as client:
        answer = client.post(
            f"/form?page={CANARY}", json={"number": CANARY, "name": CANARY, CANARY: CANARY}
        )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "/body/number",
        "/body/name",
        "/query/page",
    }
    assert all(set(error) == {"pointer", "code", "message"} for error in answer.json()["errors"])
    assert CANARY not in answer.text
    assert CANARY not in repr(list(bench.sink))
    logged = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert not any(CANARY in record.getMessage() for record in logged)
    assert [name for name, _ in bench.recorded()] == ["validation.refused"]


class Traced(BaseModel):
    """Headers that are read into a model."""

    trace_id: str = Field(max_length=3)


def test_a_header_of_a_model_has_its_place(bench: Bench) -> None:
    """A header is told by the name that it has in the request, which has hyphens."""

    @bench.app.get("/traced", dependencies=[public("a test")])
    async def traced(headers: Annotated[Traced, Header()]) -> None:
        """Take headers."""

    with TestClient(bench.app) as client:
        answer = client.get("/traced", headers={"trace-id": CANARY, f"x-{CANARY}": CANARY})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/header/trace-id"]


@pytest.mark.parametrize(
    "body", [b"{", CANARY.encode(), b"\xff", b"[" * 5000], ids=lambda body: ascii(body)[:20]
)
def test_a_body_that_is_no_json_repeats_nothing(bench: Bench, body: bytes) -> None:
    """A parser's complaint, which quotes its input, does not get out."""

    @bench.app.post("/form", dependencies=[public("a test")])
    async def form(number: int = Body(embed=True)) -> None:
        """Take a number."""

    with TestClient(bench.app, raise_server_exceptions=False) as client:
        answer = client.post("/form", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == PROBLEM
    assert CANARY not in answer.text


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "announced"])
def test_a_body_that_is_too_large_is_413(bench: Bench, chunked: bool) -> None:
    """FastAPI turns errors of body parsing into 400; this one stays what it is."""

    @bench.app.post("/form", dependencies=[public("a test")])
    async def form(number: int = Body(embed=True)) -> None:
        """Take a number."""

    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    content = parts() if chunked else b" " * 2_000_000
    with TestClient(bench.app) as client:
        answer = client.post("/form", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert [name for name, _ in bench.recorded()] == ["validation.body_too_large"]


# --- Websockets -------------------------------------------------------------------------------


def add_socket(bench: Bench, act: Callable[[WebSocket], Any]) -> None:
    """Add a websocket that does what a test says."""

    @bench.app.websocket("/ws", dependencies=[public("a test")])
    async def socket(websocket: WebSocket, page: int = 1) -> None:
        await act(websocket)


def test_a_websocket_that_does_not_fit_is_closed_without_echo(bench: Bench) -> None:
    """FastAPI would send the parameters back in the reason of the close."""

    async def act(websocket: WebSocket) -> None:
        await websocket.accept()

    add_socket(bench, act)
    with (
        TestClient(bench.app) as client,
        pytest.raises(WebSocketDisconnect) as caught,
        client.websocket_connect(f"/ws?page={CANARY}"),
    ):
        pass
    assert (caught.value.code, caught.value.reason) == (1008, "")
    assert bench.recorded() == [("validation.refused", "validation")]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ForbiddenError(reason="authorization.x"), 403),
        (HTTPException(404), 404),
        (StoreError(CANARY), 503),
    ],
    ids=["denied", "http", "store"],
)
def test_an_error_before_the_handshake_is_a_denial(
    bench: Bench, error: Exception, status: int
) -> None:
    """A client that only tries to connect gets the same answer as one that asks."""

    async def act(_websocket: WebSocket) -> None:
        raise error

    add_socket(bench, act)
    with (
        TestClient(bench.app) as client,
        pytest.raises(WebSocketDenialResponse) as caught,
        client.websocket_connect("/ws"),
    ):
        pass
    assert caught.value.status_code == status
    assert caught.value.headers["content-type"] == PROBLEM
    assert CANARY not in caught.value.text


@pytest.mark.parametrize(
    "error",
    [ForbiddenError(reason="authorization.x"), HTTPException(404, CANARY), StoreError(CANARY)],
    ids=["denied", "http", "store"],
)
def test_an_error_after_the_handshake_closes(bench: Bench, error: Exception) -> None:
    """An open connection can't be answered any more; it ends without a word."""

    async def act(websocket: WebSocket) -> None:
        await websocket.accept()
        raise error

    add_socket(bench, act)
    with (
        TestClient(bench.app) as client,
        client.websocket_connect("/ws") as socket,
        pytest.raises(WebSocketDisconnect) as caught,
    ):
        socket.receive_text()
    assert (caught.value.code, caught.value.reason) == (1008, "")


# --- Handlers of the application --------------------------------------------------------------


async def own_handler(_request: Request, error: Exception) -> JSONResponse:
    """Answer in a way of its own."""
    return JSONResponse({"own": type(error).__name__}, status_code=499)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (ForbiddenError, ForbiddenError(reason="a.b")),
        (HTTPException, HTTPException(404)),
        (404, HTTPException(404)),
        (StoreError, StoreError("x")),
        (Exception, RuntimeError("x")),
        (500, RuntimeError("x")),
        (RuntimeError, RuntimeError("x")),
    ],
    ids=["denied", "http", "status", "store", "exception", "status-500", "kind"],
)
@pytest.mark.parametrize("by", ["constructor", "decorator"])
def test_a_handler_of_the_application_stays(
    kind: Any,  # noqa: ANN401 - a class or a status
    error: Exception,
    by: str,
) -> None:
    """Whoever answers an error by itself goes on doing so."""
    bench = Bench(exception_handlers={kind: own_handler} if by == "constructor" else {})
    if by == "decorator":
        bench.app.add_exception_handler(kind, own_handler)
    answer = bench.answer(error)
    assert (answer.status_code, answer.json()) == (499, {"own": type(error).__name__})
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_handler_for_validation_stays() -> None:
    """An application may describe mistakes in its own way."""
    bench = Bench()
    bench.app.add_exception_handler(RequestValidationError, own_handler)

    @bench.app.post("/form", dependencies=[public("a test")])
    async def form(number: int = Body(embed=True)) -> None:
        """Take a number."""

    with TestClient(bench.app) as client:
        assert client.post("/form", json={}).json() == {"own": "RequestValidationError"}


def test_a_mounted_application_answers_alike(bench: Bench) -> None:
    """Errors in a mounted application get the same answers, not the framework's."""
    inner = FastAPI()

    @inner.get("/gone", dependencies=[public("a test")])
    async def gone() -> None:
        raise ForbiddenError(reason="authorization.x")

    bench.app.mount("/inner", inner)
    with TestClient(bench.app) as client:
        answer = client.get("/inner/gone")
    assert answer.status_code == 403
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["code"] == "forbidden"


def test_an_error_in_a_dependency_is_answered_too(bench: Bench) -> None:
    """A dependency refuses like a handler."""

    def refuse() -> None:
        raise NotFoundError(reason="tenancy.foreign")

    router = APIRouter(dependencies=[public("a test")])

    @router.get("/object", dependencies=[Depends(refuse)])
    async def read() -> None:
        """Never run."""

    bench.app.include_router(router)
    with TestClient(bench.app) as client:
        answer = client.get("/object")
    assert answer.status_code == 404
    assert bench.recorded() == [("tenancy.refused", "tenancy.foreign")]


def test_an_address_that_does_not_exist_is_a_problem(bench: Bench) -> None:
    """A path without a route and a method without a handler read like every other error."""
    with TestClient(bench.app) as client:
        missing, wrong = client.get("/nowhere"), client.get("/raise")
    assert (missing.status_code, wrong.status_code) == (404, 405)
    for answer in (missing, wrong):
        assert answer.headers["content-type"] == PROBLEM
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/page/%3Fx/", "/page/%23/", "/page/a%2541/", "/page/%5C/"])
def test_a_slash_redirect_is_no_alarm(bench: Bench, path: str) -> None:
    """A strange path that the router redirects raises no event of the highest severity."""

    @bench.app.get("/page/{name}", dependencies=[public("a test")])
    async def page(name: str) -> PlainTextResponse:
        return PlainTextResponse(name)

    with TestClient(bench.app) as client:
        answer = client.get(path, follow_redirects=False)
        assert answer.status_code == 307
        assert client.get(answer.headers["location"]).status_code == 200
    assert bench.recorded() == []


async def test_an_error_outside_of_a_wall_is_answered_without_an_identifier() -> None:
    """The handlers need no exchange: an answer without one has no request id."""
    bench = Bench()
    bench.app.middleware_stack = bench.app.build_middleware_stack()
    scope = {"type": "http", "headers": [], "method": "GET", "path": "/"}
    handler: Any = bench.app.exception_handlers[Exception]
    answer = await asyncio.wait_for(handler(Request(scope), RuntimeError(CANARY)), 5)
    assert answer.status_code == 500
    assert b"request_id" not in answer.body


UNREADABLE = {
    "too deep": b"[" * 100_000,
    "no JSON": b"{",
    "nothing": b"",
    "no UTF-8": b'"\xe9"',
    "no UTF-16": b"\x00[\xd8\x00",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("kind", ["text/plain", None])
def test_a_body_that_a_handler_reads_as_json_is_400(
    bench: Bench, body: bytes, kind: str | None
) -> None:
    """It is looked through by its type, and the handler does not look at that."""

    @bench.app.post("/read", dependencies=[public("a test")])
    async def read(request: Request) -> object:
        return await request.json()

    headers = {} if kind is None else {"content-type": kind}
    with TestClient(bench.app, raise_server_exceptions=False) as client:
        answer = client.post("/read", content=body, headers=headers)
        assert client.post("/read", content=b"[1]", headers=headers).json() == [1]
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    (event,) = bench.sink.named("validation.refused")
    assert event.reason == "validation.json_invalid"


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_json_from_elsewhere_is_a_mistake_of_the_server(bench: Bench, text: str) -> None:
    """What another service has answered is not what the client has sent."""

    @bench.app.post("/relay", dependencies=[public("a test")])
    async def relay() -> object:
        return json.loads(text)

    with TestClient(bench.app, raise_server_exceptions=False) as client:
        assert client.post("/relay").status_code == 500


def test_a_handler_for_more_than_bad_json_stays(bench: Bench) -> None:
    """An application that answers each ValueError goes on to do so."""
    bench.app.add_exception_handler(ValueError, lambda *_: PlainTextResponse("own", 418))

    @bench.app.post("/read", dependencies=[public("a test")])
    async def read(request: Request) -> object:
        return await request.json()

    with TestClient(bench.app) as client:
        assert client.post("/read", content=b"{").status_code == 418
