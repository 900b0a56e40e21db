"""Expenses whose rules are Cedar policies: who may read, edit and approve which.

In this folder, with STOCKADE_ENVIRONMENT=local and STOCKADE_DATABASE_URL=sqlite:///app.sqlite3:

    stockade db upgrade
    python ../minimal/add_account.py ada@example.com Acme owner
    stockade check main:app
    uvicorn main:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import Field
from sqlalchemy import Numeric, String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from stockade import ObjectAccess, Principal, Settings, Stockade, require_engine
from stockade.authorization.engines import policy_of_engine
from stockade.authorization.engines.cedar import CedarEngine
from stockade.storage.sql import make_engine
from stockade.tenancy import TenantScoped
from stockade.validation import Int64, Line, Schema

FOLDER = Path(__file__).resolve().parent
ROLES = {"admin": [], "owner": [], "member": [], "auditor": []}


class Base(DeclarativeBase):
    pass


class Expense(TenantScoped, Base):
    __tablename__ = "expense"

    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str] = mapped_column(String(36))
    purpose: Mapped[str] = mapped_column(String(200))
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    is_approved: Mapped[bool] = mapped_column(default=False)


class ExpenseIn(Schema):
    purpose: Line = Field(min_length=1, max_length=200)
    amount: Decimal = Field(gt=0, max_digits=9, decimal_places=2)


class ExpenseOut(Schema):
    id: int
    purpose: str = Field(max_length=200)
    amount: Decimal = Field(max_digits=9, decimal_places=2)
    is_approved: bool


cedar = CedarEngine(FOLDER / "policies.cedar", FOLDER / "app.cedarschema")
policy_of_engine(Expense, cedar, "read", "edit", "approve")

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


app = FastAPI(title="Expenses", lifespan=lifespan)
stockade.install(app)
app.include_router(stockade.auth_router)

Session = Annotated[AsyncSession, Depends(stockade.session)]
Access = Annotated[ObjectAccess, Depends(stockade.access)]


@app.get("/expenses")
async def list_expenses(session: Session, access: Access, after: Int64 = 0) -> list[ExpenseOut]:
    # Cedar can't be asked in SQL: a page is loaded, and what the caller may not read is left out.
    query = select(Expense).where(Expense.id > after).order_by(Expense.id).limit(50)
    rows = access.allowed(Expense, await session.scalars(query))
    return [_out(each) for each in rows]


@app.post("/expenses", status_code=201)
async def file_expense(
    given: ExpenseIn,
    caller: Annotated[Principal, Depends(require_engine(cedar, "create", "expenses"))],
    session: Session,
    access: Access,
) -> ExpenseOut:
    expense = Expense(
        author=caller.user_id, purpose=given.purpose, amount=given.amount, is_approved=False
    )
    access.require("edit", expense)
    session.add(expense)
    await session.commit()
    return _out(expense)


@app.get("/expenses/{expense_id}")
async def show_expense(
    expense: Annotated[Expense, Depends(stockade.load(Expense, "expense_id"))],
) -> ExpenseOut:
    return _out(expense)


@app.put("/expenses/{expense_id}")
async def edit_expense(
    given: ExpenseIn,
    expense: Annotated[Expense, Depends(stockade.load(Expense, "expense_id", action="edit"))],
    session: Session,
) -> ExpenseOut:
    expense.purpose, expense.amount = given.purpose, given.amount
    await session.commit()
    return _out(expense)


@app.post("/expenses/{expense_id}/approval", status_code=204)
async def approve_expense(
    expense: Annotated[
        Expense, Depends(stockade.load(Expense, "expense_id", action="approve", lock=True))
    ],
    session: Session,
) -> None:
    expense.is_approved = True
    await session.commit()


@app.post("/policies/reload", dependencies=[Depends(require_engine(cedar, "reload", "policies"))])
async def reload_policies() -> int:
    return await stockade.reload_policies()


def _out(expense: Expense) -> ExpenseOut:
    return ExpenseOut(
        id=expense.id,
        purpose=expense.purpose,
        amount=expense.amount,
        is_approved=expense.is_approved,
    )
