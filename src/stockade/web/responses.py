"""Send the answers that Stockade gives itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from stockade.core.problems import CONTENT_TYPE
from stockade.errors import UnavailableError

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from stockade.core.problems import Problem

_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1
_TEMPORARY_REDIRECT: Final = 307
_STORE_RETRY: Final = timedelta(seconds=5)
# How the router spells the address of its redirect: these characters stay, and these are escaped
# beforehand, since they would end the path.
_UNQUOTED: Final = ":/%#?=@[]!$&'()*+,;"
_ENDS_OF_PATH: Final = str.maketrans({"?": "%3F", "#": "%23", "\\": "%5C"})


async def send_problem(
    problem: Problem, send: Send, *, request_id: str | None, websocket: bool = False
) -> None:
    """Send a problem as a whole HTTP answer, or as the denial of a websocket handshake."""
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


def is_slash_redirect(message: Message, path: str, *, host: bytes | None) -> bool:
    """Tell whether an answer is the router's redirect to the same path without or with its slash.

    That redirect comes from no route, so no gate decides on it; it says nothing but its own request
    back. One to another host, or one with a body, is something else.

    Args:
        message: Start of the answer.
        path: Path of the request.
        host: ``Host`` header of the request.
    """
    if message["status"] != _TEMPORARY_REDIRECT or host is None:
        return False
    headers = [(name.lower(), value) for name, value in message.get("headers", ())]
    found = [value for name, value in headers if name == b"location"]
    if len(found) != 1 or (b"content-length", b"0") not in headers:
        return False
    scheme, _, rest = found[0].decode("latin-1").partition("://")
    toggled = path.rstrip("/") if path.endswith("/") else path + "/"
    same = host.decode("latin-1") + quote(
        toggled.translate(_ENDS_OF_PATH), safe=_UNQUOTED, errors="replace"
    )
    return scheme in {"http", "https"} and (rest == same or rest.startswith(same + "?"))


def unavailable(error: Exception) -> UnavailableError:
    """Say "try again later" for a store that is away; the reason names only the kind of error."""
    return UnavailableError(reason=f"store.{type(error).__name__}", retry_after=_STORE_RETRY)
