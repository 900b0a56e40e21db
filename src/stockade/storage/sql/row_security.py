"""Put a written migration behind an application's own ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def find_head(folder: Path) -> str | None:
    """Return the newest revision of a folder of Alembic; None where it has none yet.

    Raises:
        ConfigurationError: It is no such folder, or has several newest ones.
    """
    if not (folder / "env.py").is_file():
        raise ConfigurationError(f"{folder} is no folder of Alembic: it has no env.py")
    config = Config()
    # Alembic expands percent signs in its options; one in the path is only a character.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        return ScriptDirectory.from_config(config).get_current_head()
    except CommandError as error:
        raise ConfigurationError(
            f"{folder} has several newest migrations: merge them with `alembic merge heads`"
        ) from error


def write_file(folder: Path, migration: str) -> Path:
    """Write a migration into the folder of versions, under its own revision.

    Raises:
        ConfigurationError: The folder of versions can't be written to.
    """
    found = re.search(r"^revision = '([0-9a-f]+)'$", migration, re.MULTILINE)
    name = "" if found is None else found[1]
    path = folder / "versions" / f"{name}_row_level_security.py"
    try:
        path.write_text(migration, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path.parent} can't be written to: make it") from error
    return path
