"""Commit, and say so where another request was quicker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError


@asynccontextmanager
async def committing(session: AsyncSession) -> AsyncIterator[None]:
    """Commit what the block changes.

    Raises:
        HTTPException: Another request has changed or deleted the same meanwhile (409).
    """
    try:
        yield
        await session.commit()
    except (IntegrityError, StaleDataError):
        raise HTTPException(409) from None
