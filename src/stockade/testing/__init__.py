"""Give an application's own tests what proves that its defence holds."""

from stockade.testing.isolation import (
    Finding,
    IsolationReport,
    assert_isolated,
    assert_isolated_async,
)

__all__ = ["Finding", "IsolationReport", "assert_isolated", "assert_isolated_async"]
