"""Get the OAuth client of npm that the tests in ``tests/interop`` run in Node.

It is one file, which is put into ``.tools/oauth4webapi``. Without Node or the npm client its tests
are skipped, and under ``CI`` they fail.
"""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.vendor_docs_assets import Package, VendorError, extract, pack

FOLDER = Path(__file__).resolve().parent.parent / ".tools" / "oauth4webapi"
PACKAGE = Package(
    name="oauth4webapi",
    version="3.8.8",
    licence="MIT",
    integrity=(
        "sha512-8N28E+a/oxfXWBgOMt+ZP/JUf/XR+IFbvkAEPP3gznXO"
        "Mv9BpAAwiIj0TFNz3tGTPc0ZQ8zmWBNgN1nAys0gng=="
    ),
    folder="oauth4webapi",
    members=("LICENSE.md", "build/index.js"),
)


def find_client() -> Path | None:
    """Return the path of the client's module, if it and Node are here."""
    module = FOLDER / PACKAGE.version / "index.mjs"
    return module if module.exists() and shutil.which("node") else None


def unpack() -> None:
    """Put the client's module in its place; the archive's hash is pinned above.

    Raises:
        VendorError: The npm client is missing, failed, or gave other bytes.
    """
    with tempfile.TemporaryDirectory() as name:
        files = extract(PACKAGE, pack(PACKAGE, Path(name)))
    module = next(content for path, content in files.items() if path.endswith("index.js"))
    target = FOLDER / PACKAGE.version / "index.mjs"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(module)


def main() -> None:
    """Make sure that the client is here; say so loudly where it is not."""
    if find_client() is None and shutil.which("node"):
        print(f"oauth client: unpacking {PACKAGE.name} into .tools", file=sys.stderr)
        try:
            unpack()
        except VendorError as error:
            print(f"oauth client: {error}", file=sys.stderr)
    if find_client() is None:
        print("!!! NO NODE OR NPM: the tests of its client will be SKIPPED !!!", file=sys.stderr)


if __name__ == "__main__":
    main()
