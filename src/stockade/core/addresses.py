"""Read an e-mail address that somebody wants an account with."""

from __future__ import annotations

from typing import Final

from email_validator import EmailNotValidError, validate_email

from stockade.core.mail import is_address

# RFC 5321, section 4.5.3.1.1.
_LONGEST_LOCAL: Final = 64


def is_new_address(value: str) -> bool:
    """Tell whether an account may be made with an address: one that mails reach, in ASCII.

    Letters of other scripts that look like Latin ones would make a second account that reads like
    the first. Nothing is looked up.

    >>> is_new_address("ana@example.org"), is_new_address("ana@localhost")
    (True, False)
    """
    if not is_address(value) or len(value.partition("@")[0]) > _LONGEST_LOCAL:
        return False
    try:
        found = validate_email(value, check_deliverability=False)
    except EmailNotValidError:
        return False
    return (found.ascii_email or "").lower() == value.lower()
