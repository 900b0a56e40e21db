"""Run a server for as long as somebody holds our standard input open.

The test run may end in any way, also by SIGKILL: the system then closes its end of the pipe, and
this process stops the server and deletes its files. It runs in a session of its own, so that Ctrl-C
in a terminal reaches the test run alone.

Usage: ``watchdog.py FOLDER UID COMMAND...``; FOLDER is deleted at the end, and
``FOLDER.log`` where nobody is left to read it. UID is ``-`` to keep the user.
"""

import contextlib
import pwd
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

GRACE = 5.0
"""Seconds that a server has for an orderly stop."""


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _serve(command: list[str], folder: str, uid: str) -> subprocess.Popen[bytes]:
    kwargs = {}
    if uid != "-":
        account = pwd.getpwuid(int(uid))
        kwargs = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, **kwargs)  # type: ignore[call-overload, no-any-return]  # typeshed wants the keywords one by one


def _stop(server: subprocess.Popen[bytes]) -> None:
    # SIGINT is PostgreSQL's fast shutdown; Redis takes it as an orderly stop, too.
    server.send_signal(signal.SIGINT)
    try:
        server.wait(GRACE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main(folder: str, uid: str, *command: str) -> int:
    """Run the command until standard input ends, then clean up."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = _serve(list(command), folder, uid)
    try:
        while server.poll() is None:
            readable, _, _ = select.select([sys.stdin], [], [], 0.2)
            if readable:
                # Nobody is left who would read why the server failed.
                Path(f"{folder}.log").unlink(missing_ok=True)
                break
    finally:
        with contextlib.suppress(ProcessLookupError):
            _stop(server)
        shutil.rmtree(folder, ignore_errors=True)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
