"""Tickets whose rules are a model and policies of Casbin.

In this folder, with STOCKADE_ENVIRONMENT=local and STOCKADE_DATABASE_URL=sqlite:///app.sqlite3:

    stockade db upgrade
    python ../minimal/add_account.py ada@example.com Acme owner
    stockade check main:app
    uvicorn main:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import Field
from sqlalchemy import String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from stockade import ObjectAccess, Principal, Settings, Stockade, require_engine
from stockade.authorization.engines import policy_of_engine
from stockade.authorization.engines.casbin import CasbinEngine
from stockade.storage.sql import make_engine
from stockade.tenancy import TenantScoped
from stockade.validation import Int64, Line, Schema

FOLDER = Path(__file__).resolve().parent
ROLES = {"admin": [], "owner": [], "member": [], "agent": []}


class Base(DeclarativeBase):
    pass


class Ticket(TenantScoped, Base):
    __tablename__ = "ticket"

    id: Mapped[int] = mapped_column(primary_key=True)
    requester: Mapped[str] = mapped_column(String(36))
    subject: Mapped[str] = mapped_column(String(200))
    answer: Mapped[str] = mapped_column(String(200), default="")
    is_closed: Mapped[bool] = mapped_column(default=False)


class TicketIn(Schema):
    text: Line = Field(min_length=1, max_length=200)


class TicketOut(Schema):
    id: int
    subject: str = Field(max_length=200)
    answer: str = Field(max_length=200)
    is_closed: bool


casbin = CasbinEngine(
    FOLDER / "model.conf", FOLDER / "policies.csv", models={Ticket: ["requester"]}
)
policy_of_engine(Ticket, casbin, "create", "read", "answer", "close")

settings = Settings(authorization={"roles": ROLES})
stockade = Stockade(settings)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    # A real application has migrations.
    if settings.database_url is not None:
        engine = make_engine(settings.database_url.get_secret_value())
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await engine.dispose()
    yield


app = FastAPI(title="Tickets", lifespan=lifespan)
stockade.install(app)
app.include_router(stockade.auth_router)

Session = Annotated[AsyncSession, Depends(stockade.session)]
Access = Annotated[ObjectAccess, Depends(stockade.access)]


@app.get("/tickets")
async def list_tickets(session: Session, access: Access, after: Int64 = 0) -> list[TicketOut]:
    # Casbin can't be asked in SQL: a page is loaded, and what the caller may not read is left out.
    query = select(Ticket).where(Ticket.id > after).order_by(Ticket.id).limit(50)
    rows = access.allowed(Ticket, await session.scalars(query))
    return [_out(each) for each in rows]


@app.post("/tickets", status_code=201)
async def open_ticket(
    given: TicketIn,
    caller: Annotated[Principal, Depends(require_engine(casbin, "create", "tickets"))],
    session: Session,
    access: Access,
) -> TicketOut:
    ticket = Ticket(requester=caller.user_id, subject=given.text, answer="", is_closed=False)
    access.require("create", ticket)
    session.add(ticket)
    await session.commit()
    return _out(ticket)


@app.get("/tickets/{ticket_id}")
async def show_ticket(
    ticket: Annotated[Ticket, Depends(stockade.load(Ticket, "ticket_id"))],
) -> TicketOut:
    return _out(ticket)


@app.put("/tickets/{ticket_id}/answer")
async def answer_ticket(
    given: TicketIn,
    ticket: Annotated[Ticket, Depends(stockade.load(Ticket, "ticket_id", action="answer"))],
    session: Session,
) -> TicketOut:
    ticket.answer = given.text
    await session.commit()
    return _out(ticket)


@app.post("/tickets/{ticket_id}/end", status_code=204)
async def close_ticket(
    ticket: Annotated[Ticket, Depends(stockade.load(Ticket, "ticket_id", action="close"))],
    session: Session,
) -> None:
    ticket.is_closed = True
    await session.commit()


@app.post("/policies/reload", dependencies=[Depends(require_engine(casbin, "reload", "policies"))])
async def reload_policies() -> int:
    return await stockade.reload_policies()


def _out(ticket: Ticket) -> TicketOut:
    return TicketOut(
        id=ticket.id, subject=ticket.subject, answer=ticket.answer, is_closed=ticket.is_closed
    )
