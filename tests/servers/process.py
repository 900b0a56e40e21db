"""Hold what the launchers share: a private folder, a free port, a guarded process."""

import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WATCHDOG = Path(__file__).with_name("watchdog.py")
START_TIMEOUT = 30.0
"""Seconds until a server that does not answer is given up; a busy machine needs several."""


class ServerUnavailableError(Exception):
    """No server can be had here; the message says what was looked for."""


def service_account() -> pwd.struct_passwd | None:
    """Return the account a server must run as: PostgreSQL refuses root. None keeps our own."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def is_traversable(path: Path) -> bool:
    """Tell whether any account can reach the path: each folder above it lets others pass."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.parents))


def make_folder(prefix: str) -> Path:
    """Make a private folder that the service account owns and can reach.

    A temporary folder below a closed home is passed over rather than opened for everybody.
    """
    account = service_account()
    for parent in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")):  # noqa: S108  # mkdtemp makes a private folder in it
        if parent.is_dir() and (account is None or is_traversable(parent)):
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            break
    else:
        raise ServerUnavailableError("no temporary folder that the account nobody can reach")
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def hand_over(path: Path) -> None:
    """Let the service account alone read a file."""
    account = service_account()
    path.chmod(0o600)
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def free_port() -> int:
    """Return a port of the loopback address that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path) -> dict[str, str]:
    """Return a small, fixed environment: nothing of the user's reaches the server."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}


@contextmanager
def guarded(folder: Path, command: list[str], is_ready: Callable[[], bool]) -> Iterator[None]:
    """Run a server in its own folder, which is deleted afterwards, however the run ends.

    Raises:
        ServerUnavailableError: The server stopped or did not answer in time.
    """
    account = service_account()
    uid = "-" if account is None else str(account.pw_uid)
    # Beside the folder, so that the reason of a failed start outlives it.
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as output:
        watchdog = subprocess.Popen(
            [sys.executable, "-I", str(WATCHDOG), str(folder), uid, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment(folder),
            start_new_session=True,
        )
    try:
        _wait_until_ready(watchdog, is_ready, log)
        yield
    finally:
        # The end of its standard input tells the watchdog to stop the server and delete the folder.
        watchdog.communicate()
        log.unlink(missing_ok=True)


def _wait_until_ready(
    watchdog: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not is_ready():
        if watchdog.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(encoding="utf-8", errors="replace")[-800:]
            raise ServerUnavailableError(f"the server did not start: {end}")
        time.sleep(0.02)
