"""Serve the demo from an installed wheel and ask it whether it is well.

Usage: check_wheel.py PATH_OF_STOCKADE
"""

import re
import subprocess
import sys
from urllib.request import urlopen

_ADDRESS = re.compile(r"Address +(http://\S+)")


def _read_address(server: subprocess.Popen[str]) -> str:
    lines = []
    for line in server.stdout or ():
        lines.append(line)
        found = _ADDRESS.search(line)
        if found:
            return found[1]
    sys.exit("the demo of the wheel did not start:\n" + "".join(lines))


def main(command: str) -> None:
    """Start, ask, and stop; exits with a message where one of the three fails."""
    with subprocess.Popen(
        [command, "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            # The pattern lets no scheme but http through.
            with urlopen(f"{_read_address(server)}/health", timeout=10) as answer:  # noqa: S310
                print("the demo of the wheel answers", answer.status)
        finally:
            server.terminate()
            server.communicate(timeout=20)
    if server.returncode != 0:
        sys.exit(f"the demo of the wheel ended with {server.returncode}")


if __name__ == "__main__":
    main(sys.argv[1])
