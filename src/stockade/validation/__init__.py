"""Accept what fits a strict, bounded schema, refuse the rest, and repeat none of it."""

from stockade.validation.bounds import unbounded
from stockade.validation.columns import check_columns, stores
from stockade.validation.schema import ParameterSchema, Schema
from stockade.validation.types import (
    HTTPURL,
    EmailAddress,
    FileName,
    Identifier,
    Line,
    Money,
    Page,
    PageSize,
    Password,
    PersonName,
    PhoneNumber,
    PublicHTTPURL,
    Slug,
    SortBy,
    SortOrder,
    Text,
    Token,
    Username,
    UUIDIdentifier,
    resolve_public,
)
from stockade.validation.uploads import Upload

__all__ = [
    "HTTPURL",
    "EmailAddress",
    "FileName",
    "Identifier",
    "Line",
    "Money",
    "Page",
    "PageSize",
    "ParameterSchema",
    "Password",
    "PersonName",
    "PhoneNumber",
    "PublicHTTPURL",
    "Schema",
    "Slug",
    "SortBy",
    "SortOrder",
    "Text",
    "Token",
    "UUIDIdentifier",
    "Upload",
    "Username",
    "check_columns",
    "resolve_public",
    "stores",
    "unbounded",
]
