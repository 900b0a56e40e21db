"""Define what can go wrong with one bucket alone."""

from __future__ import annotations

from stockade.errors import StoreError


class UnreadableBucketError(StoreError):
    """A store answers, and holds something else where a bucket should be."""

    code = "unreadable_bucket"

    def __init__(self) -> None:
        super().__init__("the store of the limits holds something else where a bucket should be")
