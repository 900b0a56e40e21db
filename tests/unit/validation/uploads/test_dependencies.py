"""What a file field takes is declared once, and holds before the handler runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, File, Form, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.testclient import TestClient

from stockade import body_limit, public
from stockade.errors import ConfigurationError
from stockade.gate import requests
from stockade.validation import unbounded
from stockade.validation.bounds import find_unbounded
from stockade.validation.uploads import (
    IMAGES,
    Content,
    ContentBounds,
    FileKind,
    ImageLimits,
    Upload,
    download_headers,
    reencode_image,
    validate_archive,
)
from stockade.validation.uploads.errors import UploadRuleError
from tests.unit.gate.apps import Protected, serve
from tests.unit.validation.uploads.files import DOCX, FILES, archive, gif, image, office, pdf, png

MARKER = "s3cret-4711"
SEEN: list[str] = []


def note_thread(content: Content, bounds: ContentBounds) -> None:
    """Take whatever comes, and note in which thread."""
    SEEN.append(threading.current_thread().name)


STL = FileKind(media_type="model/stl", extensions=("stl",), check=note_thread)
Avatar = Annotated[UploadFile, Upload("image/png", "image/jpeg", max_size="100 KB")]
Photo = Annotated[UploadFile, Upload(*IMAGES, max_size="1 MB", reencode=True)]
Papers = Annotated[
    list[UploadFile],
    Upload("application/pdf", DOCX, max_size="50 KB", max_count=3, max_total_size="60 KB"),
]


class Profile(BaseModel):
    """A form whose field is a file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=50)
    avatar: Avatar


async def depends_on_file(avatar: Avatar) -> str:
    """Read a file in a dependency."""
    return str(avatar.filename)


def make_app() -> FastAPI:
    """Make an application that takes files in every way."""
    app = FastAPI()

    @app.post("/avatar")
    @public("test")
    async def one(avatar: Avatar) -> dict[str, Any]:
        data = await avatar.read()
        return {
            "name": avatar.filename,
            "type": avatar.content_type,
            "size": len(data),
            "headers": list(avatar.headers),
        }

    @app.post("/sync")
    @public("test")
    def sync(avatar: Avatar) -> int:
        return len(avatar.file.read())

    @app.post("/photo")
    @public("test")
    async def photo(photo: Photo) -> Response:
        data = await photo.read()
        assert photo.size == len(data)
        headers = download_headers(str(photo.filename), str(photo.content_type))
        return Response(data, headers=headers)

    add_lists(app)
    add_others(app)
    return app


def add_lists(app: FastAPI) -> None:
    """Add endpoints for several files, or none."""

    @app.post("/optional")
    @public("test")
    async def optional(
        avatar: Annotated[
            UploadFile | None, Upload("image/png", max_size="100 KB", allow_empty=True)
        ] = None,
    ) -> bool:
        return avatar is not None

    @app.post("/papers")
    @public("test")
    async def papers(papers: Papers) -> list[str | None]:
        return [paper.content_type for paper in papers]

    @app.post("/optional-papers")
    @public("test")
    async def optional_papers(
        papers: Annotated[
            list[UploadFile] | None, Upload("application/pdf", max_size=1000, max_count=1)
        ] = None,
    ) -> int:
        return len(papers or [])


def add_others(app: FastAPI) -> None:
    """Add endpoints that get their files another way."""

    @app.post("/aliased")
    @public("test")
    async def aliased(avatar: Annotated[Avatar, File(alias="the-file")]) -> bool:
        return bool(avatar.size)

    @app.post("/model")
    @public("test")
    async def model(profile: Annotated[Profile, Form()]) -> str:
        return profile.name

    @app.post("/dependency")
    @public("test")
    async def dependency(name: Annotated[str, Depends(depends_on_file)]) -> str:
        return name

    @app.post("/mesh")
    @public("test")
    async def mesh(mesh: Annotated[UploadFile, Upload(STL, max_size=1000)]) -> str:
        return threading.current_thread().name

    @app.post("/by-hand")
    @public("test")
    async def by_hand(data: Annotated[bytes, File(max_length=100_000)]) -> int:
        return len(reencode_image(data, "image/png", limits=ImageLimits(pixels=100)))

    router = APIRouter(prefix="/inner")

    @router.post("/mesh")
    @public("test")
    async def inner(mesh: Annotated[UploadFile, Upload(STL, max_size=1000)]) -> str:
        return threading.current_thread().name

    app.include_router(router)
    app.include_router(router, prefix="/again")


@pytest.fixture(params=["in validation", "in a thread"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Serve the application, with the check in each of the two places."""
    if request.param == "in validation":
        monkeypatch.setattr(requests, "inspect_first", lambda _dependant: None)
    with serve(make_app(), Protected()) as client:
        yield client


def codes(answer: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - an answer of the client
    """Return place and code of each mistake."""
    assert answer.status_code == 422, answer.text
    return [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


def test_file_arrives_with_its_established_type(client: TestClient) -> None:
    """The handler sees all of the file, its plain name, and no other header of the part."""
    answer = client.post("/avatar", files={"avatar": ("me.jpg", image("JPEG"), "image/pjpeg")})
    assert answer.json() == {
        "name": "me.jpg",
        "type": "image/jpeg",
        "size": len(image("JPEG")),
        "headers": ["content-type"],
    }
    assert client.post("/sync", files={"avatar": ("me.png", png(), "image/png")}).json() == len(
        png()
    )


@pytest.mark.parametrize(
    ("name", "data", "declared", "code"),
    [
        ("a.png", png() + b"<?php", "image/png", "upload_malformed"),
        ("a.png", image("GIF"), "image/png", "upload_type"),
        ("a.gif", png(), "image/png", "upload_type"),
        ("a.png", png(), "image/jpeg", "upload_type"),
        ("a.png", b"", "image/png", "upload_empty"),
        ("a.png", png() + b"\0" * 100_000, "image/png", "upload_too_large"),
        ("a.png", png(90_000, 90_000), "image/png", "upload_image_too_large"),
        (f"{MARKER}.php.png", png(), "image/png", "upload_name"),
        (f"..\\{MARKER}.png", png(), "image/png", "upload_name"),
        (f"{MARKER}\u202egnp.png", png(), "image/png", "upload_name"),
        ("CON.png", png(), "image/png", "upload_name"),
        (f"{MARKER * 30}.png", png(), "image/png", "upload_name"),
    ],
    ids=[
        *("behind", "content", "name", "header", "empty", "large", "bomb"),
        *("php", "path", "override", "device", "long"),
    ],
)
@pytest.mark.parametrize("path", ["/avatar", "/sync", "/dependency"])
def test_refusal_says_the_rule_and_nothing_of_the_file(
    client: TestClient, path: str, name: str, data: bytes, declared: str, code: str
) -> None:
    """Place and code are stable; neither name nor content comes back."""
    answer = client.post(path, files={"avatar": (name, data, declared)})
    assert codes(answer) == [("/body/avatar", code)]
    assert MARKER not in answer.text


def test_message_says_the_limit(client: TestClient) -> None:
    """What the application has declared may be told."""
    files = {"avatar": ("a.png", b"x" * 100_001, "image/png")}
    message = client.post("/avatar", files=files).json()["errors"][0]["message"]
    assert "100000" in message


@pytest.mark.parametrize("body", [{}, {"avatar": "text"}], ids=["nothing", "a field"])
def test_what_is_no_file_is_refused(client: TestClient, body: dict[str, str]) -> None:
    """A field of text is no file."""
    answer = client.post("/avatar", data=body, files={"other": ("x", b"x")})
    assert codes(answer)[0][0] == "/body/avatar"


def test_photo_is_re_encoded(client: TestClient) -> None:
    """The handler gets new bytes, without metadata and what stood behind."""
    data = image("PNG", (30, 20), dpi=(300, 300)) + MARKER.encode()
    answer = client.post("/photo", files={"photo": ("me.png", data, "image/png")})
    assert answer.status_code == 200, answer.text
    assert MARKER.encode() not in answer.content
    assert b"pHYs" not in answer.content
    assert answer.headers["content-disposition"] == 'attachment; filename="me.png"'
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_photo_bombs_are_refused(client: TestClient) -> None:
    """Frames and pixels are counted before anything is decoded."""
    for data, form in ((gif(10_000), "gif"), (png(50_000, 50_000), "png")):
        files = {"photo": (f"a.{form}", data, f"image/{form}")}
        assert codes(client.post("/photo", files=files)) == [
            ("/body/photo", "upload_image_too_large")
        ]


def test_optional_file_may_be_missing(client: TestClient) -> None:
    """Without a file there is None; a file that is there has to fit."""
    assert client.post("/optional").json() is False
    assert client.post("/optional", files={"avatar": ("a.png", png(), "image/png")}).json() is True
    assert client.post("/optional", files={"avatar": ("a.png", b"", "image/png")}).json() is True
    wrong = client.post("/optional", files={"avatar": ("a.png", pdf(), "image/png")})
    assert codes(wrong) == [("/body/avatar", "upload_type")]


def paper(data: bytes = FILES["application/pdf"]) -> tuple[str, tuple[str, bytes, str]]:
    """Make the part of a form."""
    return "papers", ("a.pdf", data, "application/pdf")


def test_files_are_taken_one_by_one(client: TestClient) -> None:
    """Each file may be of another type; the wrong one is named by its place."""
    document = ("papers", ("b.docx", office(), DOCX))
    assert client.post("/papers", files=[paper(), document]).json() == ["application/pdf", DOCX]
    answer = client.post("/papers", files=[paper(), paper(b"x"), document])
    assert codes(answer) == [("/body/papers/1", "upload_type")]


def test_files_are_counted(client: TestClient) -> None:
    """Too many files, or too many bytes of all, are refused before one is read."""
    assert client.post("/papers", files=[paper()] * 3).status_code == 200
    assert codes(client.post("/papers", files=[paper(b"x")] * 4)) == [
        ("/body/papers", "upload_too_many")
    ]
    large = [paper(b"x" * 25_000)] * 3
    assert codes(client.post("/papers", files=large)) == [
        ("/body/papers", "upload_total_too_large")
    ]
    assert client.post("/optional-papers", files=[paper()]).json() == 1
    assert client.post("/optional-papers").json() == 0
    assert codes(client.post("/optional-papers", files=[paper()] * 2)) == [
        ("/body/papers", "upload_too_many")
    ]


def test_thousand_files_are_refused(client: TestClient) -> None:
    """They do not even get to the count of the field."""
    answer = client.post("/papers", files=[("papers", ("a.pdf", b"", "application/pdf"))] * 1000)
    assert codes(answer) == [("/body", "form_too_many_files")]


@pytest.mark.parametrize(
    ("path", "field", "pointer"),
    [("/aliased", "the-file", "/body/the-file"), ("/model", "avatar", "/body/avatar")],
)
def test_file_is_found_under_any_declaration(
    client: TestClient, path: str, field: str, pointer: str
) -> None:
    """Aliases and models of forms keep the rule."""
    form = {"name": "Ada"} if path == "/model" else {}
    fine = client.post(path, data=form, files={field: ("a.png", png(), "image/png")})
    assert fine.status_code == 200, fine.text
    wrong = client.post(path, data=form, files={field: ("a.png", pdf(), "image/png")})
    assert codes(wrong) == [(pointer, "upload_type")]


def test_refusal_in_a_handler_is_the_same_kind_of_answer(client: TestClient) -> None:
    """A check by hand that nobody catches is a 422 with its code."""
    assert client.post("/by-hand", files={"data": ("a", png())}).status_code == 200
    answer = client.post("/by-hand", files={"data": ("a", png(20, 20))})
    assert codes(answer) == [("/body", "upload_image_too_large")]


@pytest.mark.parametrize("path", ["/mesh", "/inner/mesh", "/again/inner/mesh"])
def test_content_is_read_off_the_event_loop(path: str) -> None:
    """The start sees to it: no content is read in the thread of the loop."""
    with serve(make_app(), Protected()) as client:
        SEEN.clear()
        loop = client.post(path, files={"mesh": ("a.stl", b"solid", "model/stl")}).json()
    assert len(SEEN) == 1
    assert loop not in SEEN


def test_content_is_read_all_the_same_without() -> None:
    """In an application without a Stockade, the file is checked before the handler runs."""
    with TestClient(make_app()) as client:
        SEEN.clear()
        client.post("/mesh", files={"mesh": ("a.stl", b"solid", "model/stl")})
    assert len(SEEN) == 1


# --- At the start ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "annotation",
    [
        UploadFile,
        UploadFile | None,
        list[UploadFile],
        Annotated[list[UploadFile], Field(max_length=3)],
        Annotated[bytes, File()],
        Annotated[list[bytes], File(max_length=3)],
        Annotated[UploadFile, File()],
    ],
    ids=str,
)
def test_file_without_limits_stops_the_start(annotation: Any) -> None:  # noqa: ANN401 - any annotation
    """A position for files that says nothing of them is a mistake, with the line to write."""
    app = FastAPI()

    async def endpoint(file: Any) -> None: ...  # noqa: ANN401 - see below

    endpoint.__annotations__["file"] = annotation
    app.post("/")(public("test")(endpoint))
    with pytest.raises(ConfigurationError) as failed, serve(app, Protected()):
        pass
    assert "body.file" in str(failed.value)


def test_finding_says_what_to_write() -> None:
    """The hint is the line."""
    [found] = find_unbounded(UploadFile)
    assert "Annotated[UploadFile, Upload(" in found.hint


@pytest.mark.parametrize(
    "annotation",
    [
        Avatar,
        Papers,
        Annotated[UploadFile | None, Upload("image/png", max_size=1)],
        Annotated[UploadFile, unbounded("stored as it is, for the virus scanner")],
        Annotated[list[UploadFile], unbounded("as above")],
        Annotated[bytes, File(max_length=1000)],
    ],
)
def test_declared_and_excused_files_pass(annotation: Any) -> None:  # noqa: ANN401 - as above
    """Limits, or a reason for none."""
    assert find_unbounded(annotation) == []


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {"max_size": 1}),
        (("image/svg+xml",), {"max_size": 1}),
        (("text/html",), {"max_size": 1}),
        (("image/png", "image/heic"), {"max_size": 1}),
        (("image/png",), {"max_size": 0}),
        (("image/png",), {"max_size": "2"}),
        (("image/png",), {"max_size": 1, "max_count": 0}),
        (("image/png",), {"max_size": 1, "max_total_size": "x"}),
        (("application/pdf",), {"max_size": 1, "reencode": True}),
    ],
    ids=[
        "no type",
        "SVG",
        "HTML",
        "unknown",
        "no size",
        "no unit",
        "no files",
        "total",
        "no image",
    ],
)
def test_rule_that_can_not_hold_is_refused(arguments: Any, options: dict[str, Any]) -> None:  # noqa: ANN401 - any arguments
    """What makes no sense or can't be made safe stops the start."""
    with pytest.raises(UploadRuleError):
        Upload(*arguments, **options)


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[str, Upload("image/png", max_size=1)],
        Annotated[bytes, Upload("image/png", max_size=1)],
        Annotated[set[str], Upload("image/png", max_size=1, max_count=1)],
        Annotated[list[str], Upload("image/png", max_size=1, max_count=1)],
        Annotated[list[UploadFile], Upload("image/png", max_size=1)],
        Annotated[UploadFile, Upload("image/png", max_size=1, max_count=1)],
        Annotated[UploadFile, Upload("image/png", max_size=1, max_total_size=1)],
    ],
    ids=["text", "bytes", "set", "texts", "no count", "count of one", "total of one"],
)
def test_rule_in_the_wrong_place_is_refused(annotation: Any) -> None:  # noqa: ANN401 - as above
    """A rule that nobody would ask stops the start."""
    with pytest.raises(UploadRuleError):
        find_unbounded(annotation)


def test_documentation_describes_a_file() -> None:
    """The rule does not hide from the document that it is a file."""
    schemas = make_app().openapi()["components"]["schemas"]
    [field] = [each for name, each in schemas.items() if name.startswith("Body_one")]
    assert field["properties"]["avatar"]["contentMediaType"] == "application/octet-stream"


def test_large_file_is_taken_from_the_disk() -> None:
    """Beyond a megabyte a file is on the disk, and everything holds there, too."""
    app = FastAPI()

    @app.post("/")
    @public("test")
    @body_limit(20_000_000)
    async def endpoint(
        file: Annotated[UploadFile, Upload("application/zip", "text/csv", max_size="15 MB")],
    ) -> int:
        validate_archive(file.file)
        file.file.seek(0)
        return len(await file.read())

    data = archive({"noise": bytes(range(256)) * 20_000}, method=0)
    with serve(app, Protected()) as client:
        answer = client.post("/", files={"file": ("a.zip", data, "application/zip")})
        assert answer.json() == len(data)
        late = b"a,b\n" * 1_000_000 + b"\0"
        assert codes(client.post("/", files={"file": ("a.csv", late, "text/csv")})) == [
            ("/body/file", "upload_text")
        ]
