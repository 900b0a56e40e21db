"""Take reports of leaked keys: ``POST /auth/api-keys/leaked``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from stockade.authentication.leaked_keys import LeakedKey, LeakReporters
from stockade.authentication.routes_sessions import NO_STORE
from stockade.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.authentication.leaked_keys import LeakedKeys, LeakOutcome
    from stockade.core.dependencies import PolicyMark
    from stockade.events import EventLog

SIGNATURE: Final = "github-public-key-signature"
_MOST: Final = 10_000


class LeakReport(BaseModel):
    """One match of a scanner; members that are not named here are not needed."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    token: Annotated[str, Field(max_length=4096, repr=False)]
    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]
    url: Annotated[str, Field(max_length=4096, repr=False)] = ""


class LeakAnswer(BaseModel):
    """What became of one match."""

    token_hash: str
    token_type: str
    label: str


_REPORTS: Final = TypeAdapter(Annotated[list[LeakReport], Field(max_length=_MOST)])


def make_leaked_keys_router(
    leaked: Callable[[], LeakedKeys],
    *,
    reporters: LeakReporters,
    open_policy: PolicyMark,
    events: EventLog,
) -> APIRouter:
    """Build the router of the reports.

    Args:
        leaked: Gives the service once the application has started.
        reporters: Knows whose reports are believed.
        open_policy: Opens the endpoint: a report is believed by its signature.
        events: Where keys are recorded that have ended.
    """
    router = APIRouter(prefix="/auth/api-keys", tags=["authentication"])

    @router.post(
        "/leaked",
        name="stockade:leaked-keys",
        dependencies=[open_policy],
        response_model=list[LeakAnswer],
    )
    async def take_report(request: Request) -> JSONResponse:
        """End the keys of a signed report, and tell which matches were real ones."""
        # The signature is of these bytes; nothing of them is read before it holds.
        body = await request.body()
        reporters.verify(body, request.headers.get(SIGNATURE))
        outcomes = await leaked().end(_read(body))
        for outcome in outcomes:
            _record(events, request, outcome)
        answers = [_answer(outcome).model_dump() for outcome in outcomes]
        return JSONResponse(answers, headers=NO_STORE)

    return router


def _read(body: bytes) -> list[LeakedKey]:
    try:
        reports = _REPORTS.validate_json(body)
    except ValidationError:
        # Neither the message nor the chain may hold what was sent.
        raise InvalidInputError(reason="authentication.leak_report_malformed") from None
    return [LeakedKey(value=each.token, kind=each.type, url=each.url) for each in reports]


def _answer(outcome: LeakOutcome) -> LeakAnswer:
    label = "true_positive" if outcome.was_real else "false_positive"
    return LeakAnswer(token_hash=outcome.digest, token_type=outcome.kind, label=label)


def _record(events: EventLog, request: Request, outcome: LeakOutcome) -> None:
    client = outcome.ended
    if client is None:
        return
    details = {
        "client_id": client.client_id,
        "user_id": client.user_id or "",
        "tenant_id": client.tenant_id or "",
        "place": outcome.place,
    }
    events.emit(
        "authentication.api_key_leaked",
        scope=request.scope,
        reason="authentication.api_key_leaked",
        details={name: value for name, value in details.items() if value},
    )
