"""Define what is told about the objects that a request uses."""

from __future__ import annotations

from typing import Protocol


class ObjectWatch(Protocol):
    """Whatever knows which guarded objects a request has touched, and which it has checked."""

    def approve(self, instance: object, action: str) -> None:
        """Note that an object was checked and may be used for an action."""

    def answer_for(self, model: type[object]) -> None:
        """Note that objects of a model were checked, or chosen by what the caller may see."""
