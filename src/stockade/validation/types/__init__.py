"""Offer field types for the kinds of values that requests carry.

Each is an ``Annotated`` alias, so that plain habits work: ``title: Line = Field(max_length=80)``.
Each accepts a value as it is or refuses it; none trims, folds case or normalises.
"""

from stockade.validation.types.amounts import Money, MoneyFormat
from stockade.validation.types.credentials import Password, PasswordFormat, Token, TokenFormat
from stockade.validation.types.emails import EmailAddress, EmailFormat
from stockade.validation.types.files import FileName, FileNameFormat
from stockade.validation.types.identifiers import (
    CanonicalUUID,
    Identifier,
    Slug,
    Username,
    UUIDIdentifier,
)
from stockade.validation.types.integers import Int32, Int64, IntegerFormat
from stockade.validation.types.names import PersonName
from stockade.validation.types.paging import Page, PageSize
from stockade.validation.types.phone import PhoneFormat, PhoneNumber
from stockade.validation.types.resolving import Resolver, resolve_public
from stockade.validation.types.sorting import SortBy, SortOrder
from stockade.validation.types.text import Line, Text, TextFormat
from stockade.validation.types.urls import HTTPURL, PublicHTTPURL, URLFormat

__all__ = [
    "HTTPURL",
    "CanonicalUUID",
    "EmailAddress",
    "EmailFormat",
    "FileName",
    "FileNameFormat",
    "Identifier",
    "Int32",
    "Int64",
    "IntegerFormat",
    "Line",
    "Money",
    "MoneyFormat",
    "Page",
    "PageSize",
    "Password",
    "PasswordFormat",
    "PersonName",
    "PhoneFormat",
    "PhoneNumber",
    "PublicHTTPURL",
    "Resolver",
    "Slug",
    "SortBy",
    "SortOrder",
    "Text",
    "TextFormat",
    "Token",
    "TokenFormat",
    "URLFormat",
    "UUIDIdentifier",
    "Username",
    "resolve_public",
]
