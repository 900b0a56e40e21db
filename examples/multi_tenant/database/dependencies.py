"""What endpoints depend on: the caller, its role, and a session that is bound to its company."""

from settings import settings

from database.base import Base
from stockade import Stockade
from stockade.compat import get_current_user, require_admin_role

stockade = Stockade(settings, models=[Base])
get_session = stockade.session

__all__ = ["get_current_user", "get_session", "require_admin_role", "stockade"]
