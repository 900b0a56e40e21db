from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

import pytest

from stockade.api_docs.assets import load_assets, served_assets

STATIC = Path(str(resources.files("stockade.api_docs").joinpath("static")))
ROW = re.compile(r"^\| `([^`]+)` \| (\d+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)
RECORDED = {
    name: (int(size), digest)
    for name, size, digest in ROW.findall((STATIC / "SOURCE.md").read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_vendored_file_is_the_published_one(name: str) -> None:
    """A vendored file is, byte for byte, the one that SOURCE.md records."""
    content = (STATIC / name).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == RECORDED[name]


def test_every_vendored_file_is_recorded() -> None:
    """No file of another origin hides among the vendored ones."""
    stored = {
        path.relative_to(STATIC).as_posix()
        for folder in ("swagger-ui", "redoc")
        for path in (STATIC / folder).rglob("*")
        if path.is_file()
    }
    assert stored == set(RECORDED)


@pytest.mark.parametrize("folder", ["swagger-ui", "redoc"])
def test_licence_comes_along(folder: str) -> None:
    """The licences ask for their text beside the files."""
    assert f"{folder}/LICENSE" in RECORDED


def test_served_name_holds_the_digest() -> None:
    """A file that changes gets another name, so that it may be cached for ever."""
    for asset in load_assets().values():
        digest = hashlib.sha256(asset.content).hexdigest()[:16]
        assert f".{digest}." in asset.name
        assert asset.etag == f'"{digest}"'


def test_served_names_are_unique() -> None:
    """No file takes the place of another in the table."""
    assert len(served_assets()) == len(load_assets())


def test_table_can_not_be_changed() -> None:
    """The table that requests choose from is fixed."""
    with pytest.raises(TypeError):
        served_assets()["x"] = None  # type: ignore[index]  # The test breaks the rule on purpose.


@pytest.mark.parametrize("name", ["stockade/swagger-init.js", "stockade/redoc-init.js"])
def test_own_scripts_build_no_markup(name: str) -> None:
    """Our own scripts use no sink that turns text into HTML or code."""
    script = load_assets()[name].content.decode()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(", script
    )
