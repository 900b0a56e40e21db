"""Remember a bounded number of things, oldest out first."""

from __future__ import annotations

from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class BoundedCache(Generic[_Key, _Value]):
    """A mapping that never grows beyond its size.

    Args:
        size: Most entries that are kept; 0 keeps none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[_Key, _Value] = {}
        # The lookup is on the hot path: hand out the method itself.
        self.get = self._entries.get

    def put(self, key: _Key, value: _Value) -> None:
        """Keep a value; the oldest entry makes room where there is none."""
        entries = self._entries
        if key not in entries and len(entries) >= self._size:
            oldest = next(iter(entries), None)
            if oldest is None:
                return
            entries.pop(oldest, None)
        entries[key] = value

    def discard(self, key: _Key) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
