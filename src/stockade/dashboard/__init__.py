"""Show super administrators what the layers do, on pages that need no script."""

from stockade.dashboard.mounting import mount

__all__ = ["mount"]
