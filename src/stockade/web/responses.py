"""Send the answers that Stockade gives itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from stockade.core.problems import CONTENT_TYPE
from stockade.errors import UnavailableError

if TYPE_CHECKING:

    from starlette.types import Message, Receive, Scope, Send

    from stockade.core.problems import Problem

_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1
_TEMPORARY_REDIRECT: Final = 307
_STORE_RETRY: Final = timedelta(seconds=5)


async def send_problem(
    problem: Problem, send: Send, *, request_id: str | None, websocket: bool = False
) -> None:
    """Send a problem as a whole HTTP answer, or as the denial of a websocket handshake (ASGI denial response)."""
    prefix = "websocket.http.response" if websocket else "http.response"
    body = problem.encode(request_id=request_id)
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    headers += [
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in problem.headers.items()
    ]
    await send({"type": f"{prefix}.start", "status": problem.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": body})


async def refuse(
    problem: Problem, scope: Scope, receive: Receive, send: Send, *, request_id: str | None
) -> None:
    """Answer a request with a problem before anything of the application has run."""
    if scope["type"] == "http":
        await send_problem(problem, send, request_id=request_id)
        return
    # The handshake has to be read before it can be answered.
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send_problem(problem, send, request_id=request_id, websocket=True)
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})


def is_slash_redirect(message: Message, path: str) -> bool:
    """Tell whether an answer is the router's own redirect to the same path without or with its slash.

    That redirect comes from no route, so no gate decides on it; it says nothing but its own request
    back.

    Args:
        message: Start of the answer.
        path: Path of the request.
    """
    if message["status"] != _TEMPORARY_REDIRECT:
        return False
    found = [value for name, value in message.get("headers", ()) if name.lower() == b"location"]
    if len(found) != 1:
        return False
    toggled = path.rstrip("/") if path.endswith("/") else path + "/"
    return unquote(urlsplit(found[0].decode("latin-1")).path) == toggled


def unavailable(error: Exception) -> UnavailableError:
    """Say "try again later" for a store that is away; the reason names the kind of error, never its text."""
    return UnavailableError(reason=f"store.{type(error).__name__}", retry_after=_STORE_RETRY)
