"""Limit how often anybody may call: by address, and by verified caller."""

from stockade.rate_limiting.compat import Limiter, RateLimitExceeded, _rate_limit_exceeded_handler
from stockade.rate_limiting.dependencies import rate_limit, unlimited
from stockade.rate_limiting.interfaces import LimitStore
from stockade.rate_limiting.keys import address_key, get_rate_limit_key, get_remote_address
from stockade.rate_limiting.limiter import RateLimiter
from stockade.rate_limiting.models import LimitRequest, LimitState
from stockade.rate_limiting.resilience import ResilientStore
from stockade.rate_limiting.rules import parse_rules
from stockade.rate_limiting.settings import RateLimitingSettings

__all__ = [
    "LimitRequest",
    "LimitState",
    "LimitStore",
    "Limiter",
    "RateLimitExceeded",
    "RateLimiter",
    "RateLimitingSettings",
    "ResilientStore",
    "_rate_limit_exceeded_handler",
    "address_key",
    "get_rate_limit_key",
    "get_remote_address",
    "parse_rules",
    "rate_limit",
    "unlimited",
]
