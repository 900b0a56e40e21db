"""Settings of the notes backend: what the environment says, and something embedded for the rest."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from stockade import Settings


def load_settings() -> Settings:
    """Read the settings; without an environment, everything runs inside of this process.

    Without DATABASE_URL the rows are in a temporary SQLite file that goes away with the process,
    and without REDIS_URL the limits are counted in memory.
    """
    embedded: dict[str, str] = {}
    if not _is_set("STOCKADE_ENVIRONMENT"):
        embedded["environment"] = "local"
    if not _is_set("STOCKADE_DATABASE_URL", "DATABASE_URL"):
        embedded["database_url"] = f"sqlite:///{_temporary_folder() / 'notes.sqlite3'}"
    return Settings(**embedded)


def _is_set(*names: str) -> bool:
    return any(os.environ.get(name) for name in names)


def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="stockade-notes-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


settings = load_settings()
