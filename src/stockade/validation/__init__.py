"""Accept what fits a strict, bounded schema, refuse the rest, and repeat none of it."""

from stockade.validation.bounds import find_unbounded, unbounded
from stockade.validation.names import known_names_of
from stockade.validation.problems import FieldProblem, describe_errors
from stockade.validation.schema import ParameterSchema, Schema
from stockade.validation.types import (
    EmailAddress,
    Identifier,
    Line,
    Password,
    Slug,
    Text,
    Username,
    UUIDIdentifier,
)

__all__ = [
    "EmailAddress",
    "FieldProblem",
    "Identifier",
    "Line",
    "ParameterSchema",
    "Password",
    "Schema",
    "Slug",
    "Text",
    "UUIDIdentifier",
    "Username",
    "describe_errors",
    "find_unbounded",
    "known_names_of",
    "unbounded",
]
