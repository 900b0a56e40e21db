import gzip
import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from anyio import create_task_group
from anyio.lowlevel import checkpoint
from fastapi import Body, Depends, FastAPI, File, Form, Request
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stockade import body_limit, current_principal, public
from stockade.core.exchange import Exchange
from stockade.errors import ConfigurationError
from stockade.gate.content import CheckedBody
from stockade.validation.bounds import unbounded
from stockade.validation.content import ContentLimits, ContentRules
from tests.unit.gate.apps import Protected, serve

JSON = {"content-type": "application/json"}


class Plain(BaseModel):
    """A model of a team that knows nothing of Stockade."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=50)
    price: FiniteFloat = 0


Anything = Annotated[Any, unbounded("the tests look at bodies, not at schemas")]


def make_app() -> FastAPI:
    """Make an application whose endpoints read bodies in every way."""
    app = FastAPI()

    @app.post("/plain")
    @public("test")
    async def plain(item: Plain) -> Plain:
        return item

    @app.post("/closed", dependencies=[Depends(current_principal)])
    async def closed(item: Plain) -> Plain:
        return item

    @app.post("/optional")
    @public("test")
    async def optional(item: Plain | None = None) -> bool:
        return item is not None

    @app.post("/deep")
    @public("test")
    @body_limit(depth=100, values=50_000)
    async def deep(value: Annotated[Anything, Body()]) -> str:
        return type(value).__name__

    @app.post("/xml")
    @public("test")
    async def xml(
        text: Annotated[bytes, Body(media_type="application/xml"), Field(max_length=50)],
    ) -> int:
        return len(text)

    @app.post("/form")
    @public("test")
    async def form(name: Annotated[str, Form(max_length=50)]) -> str:
        return name

    @app.post("/file")
    @public("test")
    async def file(data: Annotated[bytes, File(max_length=50)]) -> int:
        return len(data)

    @app.api_route("/raw", methods=["GET", "POST"])
    @public("test")
    async def raw(request: Request) -> Response:
        return Response(await request.body(), headers={"x-coding": _coding(request)})

    return app


def _coding(request: Request) -> str:
    return request.headers.get("content-encoding", "none")


@pytest.fixture
def protected() -> Protected:
    """Make a Stockade."""
    return Protected()


@pytest.fixture
def client(protected: Protected) -> Iterator[TestClient]:
    """Serve the application."""
    with serve(make_app(), protected) as client:
        yield client


def problem_of(response: Any) -> tuple[int, str]:  # noqa: ANN401 - httpx2's response
    """Return status and the one code of a refusal."""
    body = response.json()
    return response.status_code, body["errors"][0]["code"] if "errors" in body else body["code"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"name": "a", "name": "b"}', (422, "json_duplicate_key")),
        (b'{"name": "a", "price": NaN}', (422, "json_not_finite")),
        (b'{"name": "a", "price": 1e999}', (422, "json_not_finite")),
        (b'{"name": "a\\u0000"}', (422, "string_unstorable")),
        (b'{"name": "\\ud800"}', (422, "string_unstorable")),
        (b"[" * 100_000, (422, "json_too_deep")),
        (b"[" + b"1," * 20_000 + b"1]", (422, "json_too_many_values")),
        (b'{"name": "\xe9"}', (400, "bad_request")),
        (b'{"name": ', (422, "json_invalid")),
        (b"1" * 5_000, (422, "json_number_too_long")),
        (b" " * 1_048_577, (413, "body_too_large")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_plain_model_is_behind_the_same_rules(
    client: TestClient, protected: Protected, body: bytes, expected: tuple[int, str]
) -> None:
    """What Pydantic and the database would trip over never gets to them, and is recorded once."""
    response = client.post("/plain", content=body, headers=JSON)
    assert problem_of(response) == expected
    assert response.headers["content-type"] == "application/problem+json"
    assert len(protected.names()) == 1
    assert protected.names()[0].startswith("validation.")


def test_the_refusal_has_the_shape_of_any_other(client: TestClient) -> None:
    """It says where and which rule, and nothing of what was sent."""
    response = client.post("/plain", content=b'{"secret": 1, "secret": 2}', headers=JSON)
    assert response.json()["errors"] == [
        {
            "pointer": "/body",
            "code": "json_duplicate_key",
            "message": "Has an object that names a member twice.",
        }
    ]
    assert "secret" not in response.text


def test_a_body_that_fits_passes(client: TestClient) -> None:
    """Nothing about it is changed."""
    response = client.post("/plain", json={"name": "é😀\n", "price": 1.5})
    assert response.json() == {"name": "é😀\n", "price": 1.5}


@pytest.mark.parametrize("path", ["/plain", "/form", "/file", "/xml", "/optional"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-yaml", "nonsense", None])
def test_another_type_is_415(client: TestClient, path: str, content_type: str | None) -> None:
    """The answer says what would be read."""
    headers = {"content-type": content_type} if content_type else {}
    response = client.post(path, content=b"{}", headers=headers)
    assert problem_of(response) == (415, "unsupported_media_type")
    assert "/" in response.headers["accept"]


def test_a_declared_type_is_read(client: TestClient) -> None:
    """An endpoint that says it reads XML gets XML, and no JSON."""
    xml = client.post("/xml", content=b"<a/>", headers={"content-type": "application/xml"})
    assert xml.json() == 4
    assert client.post("/xml", content=b"{}", headers=JSON).status_code == 415


def test_an_endpoint_can_do_without_a_body(client: TestClient) -> None:
    """Without a body, no type is missed."""
    assert client.post("/optional").json() is False
    assert client.post("/optional", headers={"content-type": "text/plain"}).json() is False
    assert client.post("/optional", json={"name": "a"}).json() is True


def test_nobody_learns_more_before_signing_in(client: TestClient) -> None:
    """The caller comes before the body: a stranger gets 401, whatever the body is."""
    for content_type in ("text/plain", "application/json"):
        response = client.post(
            "/closed", content=b"[" * 999, headers={"content-type": content_type}
        )
        assert response.status_code == 401


def test_an_endpoint_can_have_limits_of_its_own(client: TestClient) -> None:
    """They take the place of the application's, each for itself."""
    assert client.post("/deep", content=b"[" * 99 + b"]" * 99, headers=JSON).status_code == 200
    assert client.post("/deep", json=[1] * 40_000).status_code == 200
    assert problem_of(client.post("/deep", content=b"[" * 101, headers=JSON)) == (
        422,
        "json_too_deep",
    )


@pytest.mark.parametrize("path", ["/raw", "/mounted/raw"])
def test_endpoints_without_a_schema_are_behind_the_rules(protected: Protected, path: str) -> None:
    """Whoever parses the body by hand, or in a mounted application, gets no other JSON."""

    @public("test")
    async def raw(request: Request) -> JSONResponse:
        return JSONResponse(json.loads(await request.body()))

    app = make_app()
    app.mount("/mounted", Starlette(routes=[Route("/raw", raw, methods=["POST"])]))
    with serve(app, protected) as client:
        twice = client.post(path, content=b'{"a": 1, "a": 2}', headers=JSON)
        assert problem_of(twice) == (422, "json_duplicate_key")
        assert client.post(path, json={"a": 1}).json() == {"a": 1}


def test_a_body_behind_get_is_looked_through(client: TestClient) -> None:
    """The method changes nothing."""
    assert client.request("GET", "/raw", content=b"[NaN]", headers=JSON).status_code == 422


@pytest.mark.parametrize("data", [b"name=a&x=%00", b"name=%E9", b"&".join([b"name=a"] * 2000)])
def test_a_form_is_behind_the_rules(client: TestClient, data: bytes) -> None:
    """It has to be text, and its fields are counted."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/form", content=data, headers=headers).status_code in {400, 422}
    assert client.post("/form", data={"name": "é"}).json() == "é"
    assert client.post("/form", files={"name": (None, "é")}).json() == "é"


def test_files_are_counted(client: TestClient) -> None:
    """The hundred and first file is refused, whatever the endpoint makes of them."""
    files = [(f"data{number}", ("a.txt", b"x")) for number in range(101)]
    assert problem_of(client.post("/file", files=files)) == (422, "form_too_many_files")
    assert client.post("/file", files={"data": ("a.txt", b"x")}).json() == 1


def test_a_content_coding_is_undone(client: TestClient) -> None:
    """The endpoint sees neither the coding nor the length that it had."""
    headers = {**JSON, "content-encoding": "gzip"}
    response = client.post("/raw", content=gzip.compress(b"[1]"), headers=headers)
    assert response.content == b"[1]"
    assert response.headers["x-coding"] == "none"
    response = client.post("/plain", content=gzip.compress(b'{"name": "a"}'), headers=headers)
    assert response.json()["name"] == "a"


@pytest.mark.parametrize("path", ["/plain", "/raw"])
def test_a_bomb_is_413(client: TestClient, protected: Protected, path: str) -> None:
    """What counts is the size behind the coding, for JSON and for anything else."""
    bomb = gzip.compress(b" " * 50_000_000)
    for content_type in ("application/json", "application/octet-stream"):
        if path == "/plain" and content_type != "application/json":
            continue
        headers = {"content-type": content_type, "content-encoding": "gzip"}
        response = client.post(path, content=bomb, headers=headers)
        assert problem_of(response) == (413, "body_too_large")
        assert protected.names()[-1] == "validation.body_too_large"


async def test_others_have_their_turn_while_a_body_is_decompressed() -> None:
    """The portions of one large part come one by one, not all before anything else runs."""
    rules = ContentRules((), ContentLimits(text=10_000_000))
    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    check = rules.open(headers, limit=lambda: 10_000_000)
    assert check is not None
    body = gzip.compress(b" " * 5_000_000 + b"1")

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    exchange = Exchange(None, "r-1", "192.0.2.1", "http", 10_000_000)
    checked = CheckedBody(check, exchange, receive, lambda _: None)
    turns = portions = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with create_task_group() as group:
        group.start_soon(other)
        await checkpoint()
        while (await checked.receive())["more_body"]:
            portions += 1
        group.cancel_scope.cancel()
    assert portions >= 19
    assert turns >= portions


def test_other_codings_are_415(client: TestClient) -> None:
    """Nobody hands on what nobody has counted."""
    headers = {**JSON, "content-encoding": "br"}
    response = client.post("/raw", content=b"x", headers=headers)
    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "deflate, gzip"


class ReadsEarly:
    """Middleware that reads the body before the gate and hands on something else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        body = body.replace(b"1", b"NaN")

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


def test_what_middleware_hands_on_is_what_counts(protected: Protected) -> None:
    """A body that was read before the gate is looked through as the endpoint gets it."""
    app = make_app()
    app.add_middleware(ReadsEarly)
    with serve(app, protected) as client:
        response = client.post("/plain", json={"name": "a", "price": 1})
        assert problem_of(response) == (422, "json_not_finite")


def test_an_endpoint_that_hides_the_refusal_does_not_answer(protected: Protected) -> None:
    """The answer of whoever swallowed the error is replaced."""
    app = FastAPI()

    @app.post("/")
    @public("test")
    async def swallow(request: Request) -> str:
        try:
            await request.body()
        except Exception:  # noqa: BLE001 - what the test is about
            return "stored"
        return "whole"

    with serve(app, protected) as client:
        response = client.post("/", content=b'{"a": 1, "a": 2}', headers=JSON)
        assert problem_of(response) == (422, "json_duplicate_key")
        assert "stored" not in response.text


def test_settings_change_the_limits() -> None:
    """Each limit can be set for the whole application."""
    protected = Protected(validation={"max_json_depth": 2, "content_codings": []})
    with serve(make_app(), protected) as client:
        assert client.post("/deep", content=b"[[[1]]]", headers=JSON).status_code == 200
        assert client.post("/raw", content=b"[[[1]]]", headers=JSON).status_code == 422
        headers = {**JSON, "content-encoding": "gzip"}
        assert client.post("/raw", content=b"x", headers=headers).status_code == 415


def test_settings_change_the_limits_of_one_route() -> None:
    """Routes of third parties get limits by name or path."""
    policies = {"/raw": {"content": {"depth": 1}}}
    with serve(make_app(), Protected(gate={"policies": policies})) as client:
        assert client.post("/raw", content=b"[[1]]", headers=JSON).status_code == 422
        assert client.post("/raw", content=b"[1]", headers=JSON).status_code == 200


@pytest.mark.parametrize("limits", [{}, {"depth": -1}, {"size": True}, {"values": 1.5}])
def test_a_limit_is_a_number(limits: dict[str, Any]) -> None:
    """Anything else is told where it is written."""
    with pytest.raises(ConfigurationError):
        body_limit(**limits)


def test_two_limits_contradict() -> None:
    """One route has one limit of a kind."""
    app = FastAPI()

    @app.post("/")
    @public("test")
    @body_limit(depth=2)
    @body_limit(depth=3)
    async def endpoint() -> None: ...

    with pytest.raises(ConfigurationError), serve(app, Protected()):
        pass
