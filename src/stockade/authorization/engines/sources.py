"""Read policies from a file or a text, and name them in messages."""

from __future__ import annotations

from pathlib import Path

from stockade.errors import ConfigurationError

MOST_BYTES = 4_000_000
"""Most bytes of one file of policies; far above what people write, far below what hurts."""


def read_source(source: Path | str, what: str) -> tuple[str, str]:
    """Return a text and what to call it in messages.

    Args:
        source: A path, or the text itself.
        what: What it holds, such as ``Cedar policies``.

    Raises:
        ConfigurationError: The file can't be read, is too large or is no UTF-8.
    """
    if isinstance(source, str):
        return source, what
    try:
        with source.open("rb") as file:
            read = file.read(MOST_BYTES + 1)
        text = read.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{what} can't be read from {source.name}: {type(error).__name__}"
        raise ConfigurationError(message) from None
    if len(read) > MOST_BYTES:
        message = f"{what} in {source.name} are larger than {MOST_BYTES} bytes"
        raise ConfigurationError(message)
    return text, source.name


def in_one_line(text: object) -> str:
    """Return a message of a library as one line of at most 300 characters."""
    return " ".join(str(text).split())[:300]
