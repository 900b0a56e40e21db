"""What endpoints depend on: the caller, its session, its objects, and Stockade that gives them."""

from typing import Annotated

from fastapi import Depends
from settings import settings
from sqlalchemy.ext.asyncio import AsyncSession

from database.base import Base
from stockade import ObjectAccess, Principal, Stockade
from stockade.compat import get_current_user, require_admin_role

stockade = Stockade(settings, models=[Base])
get_session = stockade.session

Caller = Annotated[Principal, Depends(get_current_user)]
# Bound to the caller's company: whatever a statement forgets to say, the session adds.
Session = Annotated[AsyncSession, Depends(get_session)]
# What the caller may do with objects, by the rules in each policies.py.
Access = Annotated[ObjectAccess, Depends(stockade.access)]

__all__ = [
    "Access",
    "Caller",
    "Session",
    "get_current_user",
    "get_session",
    "require_admin_role",
    "stockade",
]
