"""Show text that anybody may have written, without its commanding what shows it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Write what moves the cursor, colours or turns a line, as an escape.

    >>> print(printable("\x1b[2Jgone\u202e"))
    \x1b[2Jgone\u202e
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
