"""A notes backend for several companies, with every layer of Stockade in front of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Rules come into force by being imported; a model without any stops the start.
import database.notes.policies
import database.projects.policies  # noqa: F401
from database.base import engine
from database.companies.apis import router as companies_router
from database.dependencies import stockade
from database.notes.apis import router as notes_router
from database.notes.comments import router as comments_router
from database.notes.live import router as live_router
from database.projects.apis import router as projects_router
from database.setup import prepare_database
from database.support.apis import router as support_router
from fastapi import FastAPI

from stockade import public


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await prepare_database()
    yield
    await engine.dispose()


app = FastAPI(title="Notes", version="1.0", lifespan=lifespan)
stockade.install(app)
app.include_router(stockade.auth_router)
app.include_router(stockade.password_router)
app.include_router(stockade.account_router)
app.include_router(stockade.api_keys_router)
app.include_router(stockade.tenants_router)
app.include_router(notes_router)
app.include_router(live_router)
app.include_router(comments_router)
app.include_router(projects_router)
app.include_router(companies_router)
app.include_router(support_router)


@app.get("/health", tags=["operation"])
@public("load balancer probe")
async def health() -> dict[str, str]:
    """Say that the process serves."""
    return {"status": "ok"}
