"""Each type is proven by what is in the file, and no file is two of them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stockade.validation.uploads import DOCUMENTS, IMAGES, Content, ContentBounds, FileKind
from stockade.validation.uploads.errors import UploadRuleError
from stockade.validation.uploads.kinds import kind_of
from tests.unit.validation.uploads.files import DOCX, FILES, ODF, PPTX, XLSX, refusal

ARCHIVES = {kind for kind in FILES if kind.startswith((DOCX, XLSX, PPTX, ODF))}
TEXTS = {"text/plain", "text/csv", "application/json"}


def take_all(content: Content, bounds: ContentBounds) -> None:
    """Take whatever comes."""


@pytest.mark.parametrize("media_type", FILES)
def test_file_of_its_type_is_taken(media_type: str) -> None:
    """A whole file of each type passes its check."""
    assert refusal(media_type, FILES[media_type]) is None


@pytest.mark.parametrize("content", FILES)
@pytest.mark.parametrize("claimed", FILES)
def test_file_of_another_type_is_refused(claimed: str, content: str) -> None:
    """No file passes for another type, but for those that are a kind of it."""
    is_kind_of = (
        claimed == content
        or (claimed == "application/zip" and content in ARCHIVES)
        or (claimed in {"text/plain", "text/csv"} and content in TEXTS)
    )
    assert (refusal(claimed, FILES[content]) is None) == is_kind_of


# A piece of a text is a text.
@pytest.mark.parametrize("media_type", sorted(set(FILES) - TEXTS))
def test_beginning_alone_is_refused(media_type: str) -> None:
    """A signature makes no file, however much of the file follows it."""
    data = FILES[media_type]
    passed = [
        length for length in range(1, len(data)) if refusal(media_type, data[:length]) is None
    ]
    if media_type == "audio/mpeg":
        # What is cut in the last frame is what recorders write; three whole ones are needed.
        assert min(passed) > 2 * 417
    elif media_type == "application/pdf":
        assert all(data[length:].strip() == b"" for length in passed)
    else:
        assert passed == []


@pytest.mark.parametrize("media_type", FILES)
@given(data=st.binary(max_size=200))
@example(data=b"")
def test_only_the_declared_error_comes(media_type: str, data: bytes) -> None:
    """Whatever stands in a file, it is taken or refused, and nothing else is raised."""
    whole = FILES[media_type]
    refusal(media_type, data)
    refusal(media_type, whole[:8] + data)
    refusal(media_type, whole[: len(whole) // 2] + data + whole[len(whole) // 2 :])


@pytest.mark.parametrize("media_type", sorted(set(FILES) - TEXTS - {"audio/mpeg", "text/plain"}))
@pytest.mark.parametrize(
    "tail", [b"<?php system($_GET[0]);", b"<script>alert(1)</script>", b"\x7fELF"], ids=str
)
def test_program_behind_a_file_is_refused(media_type: str, tail: bytes) -> None:
    """What stands behind the end of a file is no part of it."""
    assert refusal(media_type, FILES[media_type] + tail) is not None


@pytest.mark.parametrize(
    "media_type",
    [
        *("image/svg+xml", "text/html", "application/xhtml+xml", "text/xml", "application/xml"),
        *("application/javascript", "text/javascript", "application/rss+xml", "text/css"),
        *("application/x-shockwave-flash", "message/rfc822", "multipart/related", "TEXT/HTML"),
    ],
)
def test_active_type_is_refused_at_the_start(media_type: str) -> None:
    """SVG, HTML and whatever else runs scripts can't be allowed, and the error says why."""
    with pytest.raises(UploadRuleError, match="scripts"):
        kind_of(media_type)


@pytest.mark.parametrize("media_type", ["image/svg+xml", "text/html", "application/xml"])
def test_active_type_can_not_be_described(media_type: str) -> None:
    """A check of one's own does not make such a type harmless, nor does an alias."""
    with pytest.raises(UploadRuleError):
        FileKind(media_type=media_type, extensions=("x",), check=take_all)
    with pytest.raises(UploadRuleError):
        FileKind(media_type="model/stl", extensions=("stl",), check=take_all, aliases=(media_type,))


@pytest.mark.parametrize("media_type", ["image/heic", "application/octet-stream", "*/*", ""])
def test_unknown_type_is_refused_at_the_start(media_type: str) -> None:
    """A type that nothing could prove is no rule."""
    with pytest.raises(UploadRuleError):
        kind_of(media_type)


@pytest.mark.parametrize(
    ("media_type", "extensions"),
    [
        ("Model/STL", ("stl",)),
        ("model/stl; x=1", ("stl",)),
        ("model", ("stl",)),
        ("model/stl", ()),
        ("model/stl", (".stl",)),
        ("model/stl", ("STL",)),
        ("model/stl", ("s/l",)),
    ],
)
def test_malformed_description_is_refused(media_type: str, extensions: tuple[str, ...]) -> None:
    """A kind has a plain media type and plain extensions."""
    with pytest.raises(UploadRuleError):
        FileKind(media_type=media_type, extensions=extensions, check=take_all)


def test_groups_are_known() -> None:
    """Each type of the named groups can be proven."""
    assert all(kind_of(each).media_type == each for each in (*IMAGES, *DOCUMENTS))
