"""Settings of the notes backend: what the environment says, and something embedded for the rest."""

import atexit
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from utils.permissions import AUTHORIZATION

from stockade import Settings

_REMOVAL_TRIES: Final = 40


def load_settings() -> Settings:
    """Read the settings; without an environment, everything runs inside of this process.

    Without DATABASE_URL the rows are in a temporary SQLite file that goes away with the process,
    and without REDIS_URL the limits are counted in memory. On PostgreSQL, row-level security is the
    second wall between the companies.
    """
    chosen: dict[str, Any] = {"authorization": AUTHORIZATION}
    if not os.environ.get("STOCKADE_ENVIRONMENT"):
        chosen["environment"] = "local"
    url = os.environ.get("STOCKADE_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if not url:
        chosen["database_url"] = f"sqlite:///{_temporary_folder() / 'notes.sqlite3'}"
    elif url.startswith("postgres") and not os.environ.get("STOCKADE_TENANCY__ROW_LEVEL_SECURITY"):
        chosen["tenancy"] = {"row_level_security": "on"}
    return Settings(**chosen)


def _temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"stockade-notes-{secrets.token_hex(8)}"
    # Before it is there: a signal may end the process at any moment.
    atexit.register(_remove, folder)
    folder.mkdir(mode=0o700)
    return folder


def _remove(folder: Path) -> None:
    # A thread of the database driver may still write a file while the folder is emptied.
    for _ in range(_REMOVAL_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


settings = load_settings()
