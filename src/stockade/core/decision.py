"""Hold what a layer decided about a request, with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a rule.

    Args:
        granted: Whether the rule lets the caller through.
        reason: Stable reason code, ``<layer>.<what>``.
        evidence: What the decision rests on; never a secret and never a submitted value.
    """

    granted: bool
    reason: str
    evidence: Mapping[str, str] = field(default_factory=dict)
