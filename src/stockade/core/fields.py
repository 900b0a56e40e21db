"""Types of what people type in or bring back from a mail, for the bodies of several layers."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from stockade.core.addresses import is_new_address

# Longer input can't belong to an account; it is cut off before any work (RFC 5321, section
# 4.5.3.1.3).
MAXIMUM_EMAIL: Final = 254
MAXIMUM_PASSWORD: Final = 1024


def _check_address(value: str) -> str:
    if not is_new_address(value):
        raise PydanticCustomError("email", "Value is not an e-mail address")
    return value


NewAddress = Annotated[
    str, Field(min_length=3, max_length=MAXIMUM_EMAIL), AfterValidator(_check_address)
]
LinkToken = Annotated[str, Field(min_length=1, max_length=64, repr=False)]
SubmittedPassword = Annotated[str, Field(min_length=1, max_length=MAXIMUM_PASSWORD, repr=False)]
