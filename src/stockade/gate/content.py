"""Put the look through a body between the gate and what serves a route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from anyio.lowlevel import checkpoint
from fastapi import params

from stockade.errors import DeniedError
from stockade.validation.content import ANY_JSON, JSON, MULTIPART, URL_ENCODED
from stockade.validation.content.media_types import is_json
from stockade.web.channel import BodyRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Message, Receive

    from stockade.core.exchange import Exchange
    from stockade.validation.content import BodyCheck

_BODY_HEADERS: Final = frozenset({b"content-encoding", b"content-length"})


def media_types_of(dependant: Any) -> tuple[bytes, ...]:  # noqa: ANN401 - FastAPI's Dependant
    """Return the media types that FastAPI reads the body of a route from; none without a body."""
    fields = [field.field_info for field in _body_fields(dependant)]
    if any(isinstance(field, params.File) for field in fields):
        return (MULTIPART,)
    if any(isinstance(field, params.Form) for field in fields):
        return (URL_ENCODED, MULTIPART)
    declared = dict.fromkeys(
        getattr(field, "media_type", "application/json").lower().encode("latin-1")
        for field in fields
    )
    if any(is_json(each) for each in declared):
        # FastAPI parses each of them, whichever of them was declared.
        declared |= {JSON: None, ANY_JSON: None}
    return tuple(declared)


def _body_fields(dependant: Any) -> Iterator[Any]:  # noqa: ANN401 - FastAPI's Dependant
    yield from dependant.body_params
    for dependency in dependant.dependencies:
        yield from _body_fields(dependency)


class CheckedBody:
    """Hands on the body of one request, part by part, while its rules hold.

    Args:
        check: Looks through the parts.
        exchange: Remembers a refusal, so that no other answer than it gets out.
        receive: Where the parts come from.
        on_refusal: Called once, with the refusal.
    """

    __slots__ = ("_check", "_exchange", "_inflates", "_last", "_on_refusal", "_receive")

    def __init__(
        self,
        check: BodyCheck,
        exchange: Exchange,
        receive: Receive,
        on_refusal: Callable[[DeniedError], None],
    ) -> None:
        self._check = check
        self._inflates = check.inflates
        self._exchange = exchange
        self._receive = receive
        self._on_refusal = on_refusal
        self._last = False

    async def receive(self) -> Message:
        """Hand on the next message.

        Raises:
            BodyRefusedError: The body breaks a rule.
        """
        exchange = self._exchange
        check = self._check
        if self._inflates and check.has_more:
            # What was compressed comes without waiting for the client: let others have their turn.
            await checkpoint()
            message: Message = {"type": "http.request"}
        else:
            message = await self._receive()
        if message["type"] != "http.request":
            return message
        if exchange.body_refusal is not None:
            raise BodyRefusedError(exchange.body_refusal)
        data = message.get("body", b"")
        if not (self._inflates and check.has_more):
            self._last = not message.get("more_body", False)
        try:
            plain = check.read(data, last=self._last)
        except DeniedError as error:
            exchange.body_refusal = error
            self._on_refusal(error)
            raise BodyRefusedError(error) from None
        if plain is data:
            return message
        more = check.has_more or not self._last
        return {"type": "http.request", "body": plain, "more_body": more}


def without_coding(headers: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401 - ASGI allows any iterable of pairs
    """Return headers that describe the body as it is after its coding was undone."""
    return [pair for pair in headers if pair[0] not in _BODY_HEADERS]
