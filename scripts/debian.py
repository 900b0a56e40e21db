"""Install packages of Debian, for programs that tests run."""

import os
import shutil
import subprocess
import sys


def install(package: str) -> None:
    """Install a package of the distribution, which root on Debian may; else do nothing."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"installing {package} with apt-get", file=sys.stderr)
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run(
            ["apt-get", "-qq", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
