import json
from typing import Any

import pytest

from stockade.core.problems import Problem
from stockade.errors import StoreError
from stockade.web.responses import refuse, unavailable

TEAPOT = Problem(status=418, code="teapot", headers={"Retry-After": "1"})


class Server:
    """Takes what is sent, and gives a handshake."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.read = 0

    async def receive(self) -> dict[str, Any]:
        """Give the handshake."""
        self.read += 1
        return {"type": "websocket.connect"}

    async def send(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        """Take a message."""
        self.sent.append(message)


async def test_a_request_is_refused_before_its_body_is_read() -> None:
    """The answer is whole, and not one message of the body was taken."""
    server = Server()
    await refuse(TEAPOT, {"type": "http"}, server.receive, server.send, request_id="r-1")
    start, body = server.sent
    assert server.read == 0
    assert start["status"] == 418
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert (b"retry-after", b"1") in start["headers"]
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
    assert json.loads(body["body"])["request_id"] == "r-1"


@pytest.mark.parametrize(
    ("extensions", "types"),
    [
        (
            {"websocket.http.response": {}},
            ["websocket.http.response.start", "websocket.http.response.body"],
        ),
        ({}, ["websocket.close"]),
        (None, ["websocket.close"]),
    ],
    ids=["denial", "close", "no-extensions"],
)
async def test_a_handshake_is_refused_as_the_server_can(
    extensions: dict[str, Any] | None, types: list[str]
) -> None:
    """With the extension the client learns why; without it the connection is closed."""
    server = Server()
    scope: dict[str, Any] = {"type": "websocket"}
    if extensions is not None:
        scope["extensions"] = extensions
    await refuse(TEAPOT, scope, server.receive, server.send, request_id=None)
    assert [message["type"] for message in server.sent] == types
    assert server.read == 1


def test_a_store_that_is_away_is_named_by_its_kind_alone() -> None:
    """The text of a driver's error, which may hold addresses and values, goes nowhere."""
    error = unavailable(StoreError("postgresql://user:secret@host is away"))
    assert error.reason == "store.StoreError"
    assert "secret" not in repr(vars(error))
    assert error.retry_after.total_seconds() > 0
