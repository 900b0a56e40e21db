from __future__ import annotations

from pathlib import Path

from scripts.vendor_docs_assets import PACKAGES, STATIC, differing, source_page


def stored() -> dict[str, bytes]:
    """Return the stored files that the script would write."""
    names = [f"{p.folder}/{Path(member).name}" for p in PACKAGES for member in p.members]
    return {name: (STATIC / name).read_bytes() for name in names}


def test_record_is_what_the_script_writes() -> None:
    """SOURCE.md is the script's own output for the stored files."""
    assert source_page(stored()) == (STATIC / "SOURCE.md").read_text(encoding="utf-8")


def test_changed_and_missing_files_are_named() -> None:
    """The comparison finds a changed file and one that is not there, and no other."""
    files = stored()
    files["redoc/LICENSE"] += b" "
    files["redoc/new.js"] = b""
    assert differing(files) == ["redoc/LICENSE", "redoc/new.js"]


def test_every_archive_is_pinned() -> None:
    """An archive that was changed under its version is not accepted."""
    assert all(package.integrity.startswith("sha512-") for package in PACKAGES)
    assert all(len(package.integrity) == 95 for package in PACKAGES)
