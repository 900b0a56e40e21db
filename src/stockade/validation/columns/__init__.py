"""Compare what schemas accept with what the columns hold that it goes to."""

from stockade.validation.columns.checking import ColumnMismatch, check_columns
from stockade.validation.columns.models import MismatchKind
from stockade.validation.columns.pairing import stores

__all__ = ["ColumnMismatch", "MismatchKind", "check_columns", "stores"]
