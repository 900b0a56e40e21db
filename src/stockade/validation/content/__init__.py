"""Look through bodies while they stream in, before anything parses them."""

from stockade.validation.content.encodings import CODINGS
from stockade.validation.content.limits import ContentLimits
from stockade.validation.content.rules import (
    ANY_JSON,
    JSON,
    MULTIPART,
    URL_ENCODED,
    BodyCheck,
    ContentRules,
)

__all__ = [
    "ANY_JSON",
    "CODINGS",
    "JSON",
    "MULTIPART",
    "URL_ENCODED",
    "BodyCheck",
    "ContentLimits",
    "ContentRules",
]
