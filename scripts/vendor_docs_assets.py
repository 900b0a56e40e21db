"""Fetch the files of Swagger UI and ReDoc that Stockade serves, and record what they are.

Run it as `python scripts/vendor_docs_assets.py`. It needs the `npm` client, which downloads two
archives and runs none of their code. With `--check` it writes nothing and exits with 1 if a file
that is stored here differs from the published one.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "src" / "stockade" / "api_docs" / "static"


@dataclass(frozen=True, slots=True)
class Package:
    """One published archive: which version, what it must hash to, and the files to keep."""

    name: str
    version: str
    licence: str
    integrity: str
    folder: str
    members: tuple[str, ...]


PACKAGES = (
    Package(
        name="swagger-ui-dist",
        version="5.35.0",
        licence="Apache-2.0",
        integrity=(
            "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAh"
            "w0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=="
        ),
        folder="swagger-ui",
        members=(
            "LICENSE",
            "NOTICE",
            "favicon-32x32.png",
            "oauth2-redirect.js",
            "swagger-ui-bundle.js",
            "swagger-ui-bundle.js.LICENSE.txt",
            "swagger-ui.css",
        ),
    ),
    Package(
        name="redoc",
        version="2.5.4",
        licence="MIT",
        integrity=(
            "sha512-M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihE"
            "dlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ=="
        ),
        folder="redoc",
        members=(
            "LICENSE",
            "bundles/redoc.standalone.js",
            "bundles/redoc.standalone.js.LICENSE.txt",
        ),
    ),
)


class VendorError(Exception):
    """An archive is not the one that was reviewed, or can't be fetched."""


def pack(package: Package, folder: Path) -> Path:
    """Download one archive with the npm client and check its digest.

    Raises:
        VendorError: The client is missing, failed, or gave other bytes than the reviewed ones.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise VendorError("the npm client is not installed")
    # `pack` only stores the archive: nothing is installed, and no script of the package is run.
    command = [npm, "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    # The command is a constant list, and no shell reads it.
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise VendorError(f"npm could not fetch {package.name}@{package.version}")
    archive = folder / f"{package.name}-{package.version}.tgz"
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != package.integrity:
        raise VendorError(f"{package.name}@{package.version} is not the archive that was reviewed")
    return archive


def extract(package: Package, archive: Path) -> dict[str, bytes]:
    """Read the wanted members; return their bytes by the path they are stored under.

    Raises:
        VendorError: A wanted file is not in the archive.
    """
    files: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for member in package.members:
            # Only names from the table above are read, so no path of the archive is ever followed.
            stream = tar.extractfile(f"package/{member}")
            if stream is None:
                raise VendorError(f"{member} of {package.name} is not a file")
            files[f"{package.folder}/{Path(member).name}"] = stream.read()
    return files


def source_page(files: dict[str, bytes]) -> str:
    """Return the page that records where each file comes from and what it hashes to."""
    lines = [
        "# Where these files come from",
        "",
        "The folders `swagger-ui` and `redoc` hold files of two npm packages, byte for byte as",
        "published. `scripts/vendor_docs_assets.py` fetches them again and writes this page; the",
        "tests compare the digests. The folder `stockade` is our own.",
        "",
        "| package | version | licence | folder |",
        "| --- | --- | --- | --- |",
        *(f"| {p.name} | {p.version} | {p.licence} | `{p.folder}` |" for p in PACKAGES),
        "",
        "| file | bytes | sha256 |",
        "| --- | --- | --- |",
        *(
            f"| `{name}` | {len(data)} | `{hashlib.sha256(data).hexdigest()}` |"
            for name, data in sorted(files.items())
        ),
        "",
    ]
    return "\n".join(lines)


def differing(files: dict[str, bytes]) -> list[str]:
    """Return the names of the stored files that are not what was published."""
    return [
        name
        for name, data in sorted(files.items())
        if not (STATIC / name).is_file() or (STATIC / name).read_bytes() != data
    ]


def main() -> int:
    """Fetch, then write or compare; return the exit status."""
    parser = argparse.ArgumentParser(description="Vendor the files of the API documentation pages.")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    arguments = parser.parse_args()
    files: dict[str, bytes] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for package in PACKAGES:
                files |= extract(package, pack(package, Path(folder)))
    except VendorError as error:
        sys.stderr.write(f"vendor_docs_assets: {error}\n")
        return 2
    files["SOURCE.md"] = source_page(files).encode()
    changed = differing(files)
    if arguments.check:
        sys.stdout.writelines(f"{name} differs\n" for name in changed)
        return 1 if changed else 0
    for name in changed:
        target = STATIC / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[name])
        sys.stdout.write(f"{name} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
