"""Know for whom the running task works, where no argument can say it.

The gate sets the caller of a request around what serves it, and takes it away afterwards. Only the
masking of fields reads it: serializers get no argument of ours.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stockade.core.identity import Principal

ACTING: Final[ContextVar[Principal | None]] = ContextVar("stockade_acting", default=None)
