"""Expect what programs written for slowapi do with a limiter to do the same here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from slowapi.middleware import SlowAPIASGIMiddleware, SlowAPIMiddleware
from starlette.testclient import TestClient

from stockade import Settings, Stockade, public
from stockade.errors import ConfigurationError
from stockade.rate_limiting import (
    Limiter,
    RateLimitExceeded,
    _rate_limit_exceeded_handler,
    get_rate_limit_key,
    get_remote_address,
)

OPEN = public("open")


@contextmanager
def serve(app: FastAPI, **settings: object) -> Iterator[TestClient]:
    """Serve an application behind Stockade."""
    limits = {"enabled": True, "public": "1000/minute", **settings}
    given: Any = {"environment": "test", "rate_limiting": limits}
    Stockade(Settings(**given)).install(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def statuses(client: TestClient, path: str = "/t1", times: int = 4, **options: Any) -> list[int]:  # noqa: ANN401 - of the client
    """Return the statuses of some requests."""
    method = options.pop("method", "GET")
    return [client.request(method, path, **options).status_code for _ in range(times)]


def make(**options: Any) -> tuple[FastAPI, Limiter]:  # noqa: ANN401 - of slowapi
    """Make an application as slowapi's own page does."""
    limiter = Limiter(key_func=options.pop("key_func", get_remote_address), **options)
    app = FastAPI()
    app.state.limiter = limiter
    handler: Any = _rate_limit_exceeded_handler
    app.add_exception_handler(RateLimitExceeded, handler)
    return app, limiter


def test_the_first_page() -> None:
    """The example that everybody starts from works, with the parameters that slowapi needs."""
    app, limiter = make(headers_enabled=True)

    @app.get("/home")
    @OPEN
    @limiter.limit("2/minute")
    async def homepage(request: Request, response: Response) -> str:
        response.headers["x-own"] = request.method
        return "test"

    with serve(app) as client:
        assert statuses(client, "/home") == [200, 200, 429, 429]


def test_the_answer_of_slowapis_handler() -> None:
    """Who registers slowapi's handler gets slowapi's answer, whatever the gate would have said."""
    app, limiter = make()

    @app.get("/t1")
    @OPEN
    @limiter.limit("1/15minute")
    async def t1(request: Request) -> str:
        return request.method

    with serve(app) as client:
        client.get("/t1")
        answer = client.get("/t1")
    assert (answer.status_code, answer.json()) == (
        429,
        {"error": "Rate limit exceeded: 1 per 15 minute"},
    )
    assert answer.headers["retry-after"] == "900"
    assert "x-request-id" in answer.headers


async def _own(request: Request, error: RateLimitExceeded) -> Response:
    answer = JSONResponse({"mine": error.detail}, status_code=error.status_code)
    limiter: Limiter = request.app.state.limiter
    return limiter._inject_headers(answer, request.state.view_rate_limit)


def _own_sync(request: Request, error: RateLimitExceeded) -> Response:
    return JSONResponse({"mine": error.detail, "path": request.url.path}, status_code=503)


def _wrong(_request: Request, error: RateLimitExceeded) -> Response:
    raise ZeroDivisionError(error)


async def _reading(request: Request, _error: RateLimitExceeded) -> Response:
    return Response(await request.body())


@pytest.mark.parametrize(
    ("handler", "status", "body"),
    [
        pytest.param(_own, 429, {"mine": "slow down"}, id="async"),
        pytest.param(_own_sync, 503, {"mine": "slow down", "path": "/t1"}, id="sync"),
        pytest.param(_wrong, 429, None, id="one that fails"),
        pytest.param(_reading, 429, None, id="one that reads the body"),
        pytest.param(lambda _request, _error: None, 429, None, id="one without an answer"),
    ],
)
@pytest.mark.parametrize("kind", [RateLimitExceeded, 429], ids=["error", "status"])
def test_a_handler_of_ones_own(kind: Any, handler: Any, status: int, body: object) -> None:  # noqa: ANN401 - of Starlette
    """A handler for the error or its status is asked, and one that fails lets nobody through."""
    app, limiter = make()
    app.exception_handlers.clear()
    app.add_exception_handler(kind, handler)

    @app.post("/t1")
    @OPEN
    @limiter.limit("1/minute", error_message="slow down")
    async def t1(request: Request) -> str:
        return request.method

    with serve(app) as client:
        client.post("/t1", content=b"x")
        answer = client.post("/t1", content=b"x")
    assert answer.status_code == status
    if body is None:
        assert answer.json()["code"] == "rate_limited"
    else:
        assert answer.json() == body
    if handler is _own:
        assert "ratelimit" in answer.headers


@pytest.mark.parametrize("kind", [SlowAPIMiddleware, SlowAPIASGIMiddleware])
def test_slowapis_middleware_stops_the_start(kind: Any) -> None:  # noqa: ANN401 - a middleware
    """Middleware that asks for what only slowapi's own limiter has would answer 500 each time."""
    app, _ = make(default_limits=["1/minute"])
    app.add_middleware(kind)
    with pytest.raises(ConfigurationError) as caught, serve(app):
        pass
    assert kind.__name__ in str(caught.value)


def test_a_limiter_that_only_the_state_knows() -> None:
    """Defaults of a limiter that has marked no endpoint hold."""
    app, _ = make(default_limits=["1/minute"])

    @app.get("/t1")
    @OPEN
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, times=2) == [200, 429]


@pytest.mark.parametrize("in_file", [True, False])
def test_variables_that_nobody_reads_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_file: bool
) -> None:
    """What slowapi took from the environment or from a file would otherwise be gone in silence."""
    monkeypatch.chdir(tmp_path)
    if in_file:
        (tmp_path / ".env").write_text("# limits\nRATELIMIT_DEFAULT = 1/minute\n", "utf-8")
    else:
        monkeypatch.setenv("RATELIMIT_DEFAULT", "1/minute")
    app, _ = make()
    with pytest.raises(ConfigurationError) as caught, serve(app):
        pass
    assert "RATELIMIT_DEFAULT" in str(caught.value)
    with serve(FastAPI()):
        pass  # Without a limiter of slowapi's kind the variable is somebody else's.


def test_class_based_views() -> None:
    """A limit on a method of a class holds, and one on a bound method is an error."""
    app, limiter = make()

    class View:
        @OPEN
        @limiter.limit("1/minute")
        async def get(self, request: Request) -> str:
            return request.method

        async def post(self, request: Request) -> str:
            return request.method

    view = View()
    app.get("/t1")(view.get)
    with pytest.raises(ConfigurationError) as caught:
        limiter.limit("1/minute")(view.post)
    assert "View.post" in str(caught.value)
    with serve(app) as client:
        assert statuses(client, times=2) == [200, 429]


def test_a_method_is_no_part_of_a_scope() -> None:
    """A scope that is written like another one with a method shares nothing with it."""
    app, limiter = make()

    @app.post("/t1")
    @OPEN
    @limiter.limit("2/minute", per_method=True)
    async def t1() -> str:
        return "1"

    @app.post("/t2")
    @OPEN
    @limiter.shared_limit("2/minute", scope="POST:route:POST /t1")
    async def t2() -> str:
        return "2"

    with serve(app) as client:
        assert statuses(client, "/t1", 3, method="POST") == [200, 200, 429]
        assert statuses(client, "/t2", 3, method="POST") == [200, 200, 429]


@pytest.mark.parametrize("decorated_first", [True, False])
def test_the_order_of_decorators(decorated_first: bool) -> None:
    """Above or below the route decorator, a limit holds."""
    app, limiter = make()

    def t1() -> str:
        return "test"

    mark = limiter.limit("1/minute")
    if decorated_first:
        app.get("/t1")(OPEN(mark(t1)))
    else:
        app.get("/t1")(OPEN(t1))
        mark(t1)
    with serve(app) as client:
        assert statuses(client, times=2) == [200, 429]


def test_several_decorators() -> None:
    """Limits that stand on top of each other all hold."""
    app, limiter = make()

    @app.get("/t1")
    @OPEN
    @limiter.limit("3/minute")
    @limiter.limit("2/hour", key_func=lambda: "everybody")
    async def t1(request: Request) -> str:
        return request.method

    with serve(app) as client:
        assert statuses(client) == [200, 200, 429, 429]


def test_shared_limits() -> None:
    """Endpoints with one scope use up one limit."""
    app, limiter = make()
    shared = limiter.shared_limit("3/minute", scope="somescope")

    @app.get("/t1")
    @OPEN
    @shared
    async def t1() -> str:
        return "1"

    @app.get("/t2")
    @OPEN
    @shared
    async def t2() -> str:
        return "2"

    with serve(app) as client:
        assert statuses(client, "/t1", 2) == [200, 200]
        assert statuses(client, "/t2", 2) == [200, 429]


def test_default_limits_of_included_routers() -> None:
    """Defaults hold where slowapi's middleware has lost them, and an exempt endpoint has none."""
    app, limiter = make(default_limits=["2/minute"])
    router = APIRouter()

    @router.get("/t1")
    @OPEN
    async def t1() -> str:
        return "1"

    @router.get("/t2")
    @OPEN
    @limiter.exempt
    async def t2() -> str:
        return "2"

    app.include_router(router, prefix="/api")
    with serve(app) as client:
        assert statuses(client, "/api/t1") == [200, 200, 429, 429]
        assert statuses(client, "/api/t2") == [200] * 4


@pytest.mark.parametrize(
    ("override", "expected"),
    [(True, [200, 200, 200, 429]), (False, [200, 429, 429, 429])],
)
def test_override_defaults(override: bool, expected: list[int]) -> None:
    """A limit takes the place of the default ones, or stands beside them."""
    app, limiter = make(default_limits=["1/minute"])

    @app.get("/t1")
    @OPEN
    @limiter.limit("3/minute", override_defaults=override)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client) == expected


def test_per_method() -> None:
    """Each method of an endpoint has a bucket of its own."""
    app, limiter = make()

    @app.api_route("/t1", methods=["GET", "POST"])
    @OPEN
    @limiter.limit("1/minute", per_method=True)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, times=2) == [200, 429]
        assert statuses(client, times=2, method="POST") == [200, 429]


def test_an_invented_method_is_no_fresh_bucket() -> None:
    """Where an endpoint takes any method, a client gets no bucket for each that it makes up."""
    app, limiter = make()
    names = ["FOO", "BAR", "BAZ"]

    @app.api_route("/t1", methods=names)
    @OPEN
    @limiter.limit("1/minute", per_method=True)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        found = [statuses(client, times=1, method=name) for name in names]
    assert found == [[200], [429], [429]]


def test_methods() -> None:
    """A limit of some methods does not count the others."""
    app, limiter = make()

    @app.api_route("/t1", methods=["GET", "POST"])
    @OPEN
    @limiter.limit("1/minute", methods=["post"])
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, times=3) == [200] * 3
        assert statuses(client, times=2, method="POST") == [200, 429]


def test_exempt_when() -> None:
    """Requests that a function names are free, with and without the request as its parameter."""
    app, limiter = make()
    is_off = False

    @app.get("/t1")
    @OPEN
    @limiter.limit("1/minute", exempt_when=lambda request: request.headers.get("x-free") == "1")
    @limiter.limit("2/minute", exempt_when=lambda: is_off)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, times=3, headers={"x-free": "1"}) == [200, 200, 429]
        is_off = True
        assert statuses(client, times=3, headers={"x-free": "1"}) == [200] * 3
        assert statuses(client, times=2) == [200, 429]


@pytest.mark.parametrize(
    ("handled", "member", "said"),
    [(True, "error", "Rate limit exceeded: slow down"), (False, "detail", "slow down")],
    ids=["slowapi's handler", "problem details"],
)
@pytest.mark.parametrize("message", ["slow down", lambda: "slow down"])
def test_error_message(
    message: str | Callable[..., str], handled: bool, member: str, said: str
) -> None:
    """A refusal says what the application wants it to say."""
    app, limiter = make()
    if not handled:
        del app.exception_handlers[RateLimitExceeded]

    @app.get("/t1")
    @OPEN
    @limiter.limit("1/minute", error_message=message)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        client.get("/t1")
        assert client.get("/t1").json()[member] == said


def test_an_error_message_that_fails() -> None:
    """A function that fails leaves the refusal as it is."""
    app, limiter = make()

    @app.get("/t1")
    @OPEN
    @limiter.limit("1/minute", error_message=lambda: str(1 // 0))
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, times=2) == [200, 429]


@pytest.mark.parametrize("cost", [2, lambda request: int(request.headers["x-cost"])])
def test_cost(cost: Any) -> None:  # noqa: ANN401 - a number or a function
    """A request takes what it costs."""
    app, limiter = make()

    @app.get("/t1")
    @OPEN
    @limiter.limit("5/minute", cost=cost)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, headers={"x-cost": "2"}) == [200, 200, 429, 429]


def test_a_limit_that_is_computed() -> None:
    """A function without parameters says what holds now."""
    app, limiter = make()
    current = "1/minute"

    @app.get("/t1")
    @OPEN
    @limiter.limit(lambda: current)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, times=2) == [200, 429]
        current = "3/minute"
        assert statuses(client) == [200, 200, 200, 429]


def test_a_limit_by_key() -> None:
    """A function with the parameter ``key`` is given what the key function returns."""

    def api_key(request: Request) -> str:
        return request.headers.get("x-key", "nobody")

    app, limiter = make(key_func=api_key)

    def dynamic(key: str) -> str:
        return "3/minute" if key == "premium" else "1/minute"

    @app.get("/t1")
    @OPEN
    @limiter.limit(dynamic)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client, headers={"x-key": "premium"}) == [200, 200, 200, 429]
        assert statuses(client, times=2) == [200, 429]


@pytest.mark.parametrize("limit", [lambda: "nonsense", lambda: None, lambda: 1 // 0])
def test_a_computed_limit_that_is_none(limit: Any) -> None:  # noqa: ANN401 - a wrong function
    """Where slowapi writes to the log and lets everybody through, nobody passes."""
    app, limiter = make()

    @app.get("/t1")
    @OPEN
    @limiter.limit(limit)
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        answer = client.get("/t1")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "60"


def test_computed_defaults() -> None:
    """Default limits may be functions, too."""
    app, _ = make(default_limits=[lambda: "2/minute"])

    @app.get("/t1")
    @OPEN
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client) == [200, 200, 429, 429]


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window", "sliding-window-counter"])
def test_strategy(strategy: str) -> None:
    """Every strategy of slowapi holds."""
    app, limiter = make(strategy=strategy)

    @app.get("/t1")
    @OPEN
    @limiter.limit("2/hour")
    async def t1() -> str:
        return "1"

    with serve(app) as client:
        assert statuses(client) == [200, 200, 429, 429]


def test_older_headers() -> None:
    """Clients that read X-RateLimit-* find them where the setting says so."""
    app, limiter = make()

    @app.get("/t1")
    @OPEN
    @limiter.limit("2/minute")
    async def t1() -> str:
        return "1"

    with serve(app, legacy_headers=True) as client:
        answers = [client.get("/t1") for _ in range(3)]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}


@pytest.mark.parametrize(
    "options", [{"storage_uri": "redis://elsewhere"}, {"in_memory_fallback_enabled": True}]
)
def test_what_the_settings_contradict_stops_the_start(options: dict[str, Any]) -> None:
    """A limiter that asks for another store, or another policy, is no silence."""
    app, _ = make(key_func=get_rate_limit_key, **options)
    with pytest.raises(ConfigurationError), serve(app):
        pass
