"""Say whom a limit counts for: the verified caller, else the address."""

from stockade.compat import get_rate_limit_key

__all__ = ["get_rate_limit_key"]
