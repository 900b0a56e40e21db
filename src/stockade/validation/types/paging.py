"""Define the parameters that cut a long list into pages: `Page` and `PageSize`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from stockade.validation.types.integers import IntegerFormat

Page: TypeAlias = Annotated[int, IntegerFormat(1, 10_000)]
"""Number of a page, from 1 to 10,000.

A database reads and drops every row before a page, so that a far page is a cheap way to keep it
busy (CWE-770). Lists that go on longer are better read by a key than by a number.
"""

PageSize: TypeAlias = Annotated[int, IntegerFormat(1, 100)]
"""Number of items on a page, from 1 to 100."""
