"""The smallest application that has all of it: an open route, one for callers, one for admins.

In this folder, with STOCKADE_ENVIRONMENT=local and STOCKADE_DATABASE_URL=sqlite:///app.sqlite3:

    stockade db upgrade
    python add_account.py ada@example.com Acme admin
    stockade check main:app
    uvicorn main:app
"""

from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import Field

from stockade import (
    Principal,
    Settings,
    Stockade,
    current_principal,
    public,
    rate_limit,
    require_role,
)
from stockade.validation import Line, Schema


class Announcement(Schema):
    text: Line = Field(min_length=1, max_length=200)


app = FastAPI(title="Minimal")
stockade = Stockade(Settings())
stockade.install(app)
app.include_router(stockade.auth_router)


@app.get("/health")
@public("load balancer probe")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/greeting")
async def greeting(caller: Annotated[Principal, Depends(current_principal)]) -> str:
    return f"Hello, {caller.email}"


@app.post("/announcements")
@rate_limit("10/minute")
async def announce(
    given: Announcement, caller: Annotated[Principal, Depends(require_role("admin", "owner"))]
) -> dict[str, str]:
    return {"from": caller.email, "text": given.text}
