"""Offer the names that teams already use, on top of Stockade's own."""

from stockade.authorization import require_admin_role
from stockade.core.dependencies import current_principal as get_current_user
from stockade.rate_limiting import get_rate_limit_key
from stockade.sanitization import sanitize_html

__all__ = ["get_current_user", "get_rate_limit_key", "require_admin_role", "sanitize_html"]
