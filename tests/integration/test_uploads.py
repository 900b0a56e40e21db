"""Uploads over a real server: what is refused is refused there, and others are served meanwhile."""

from __future__ import annotations

import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, UploadFile

from stockade import body_limit, public
from stockade.validation.uploads import (
    IMAGES,
    Content,
    ContentBounds,
    FileKind,
    Upload,
    download_headers,
    generate_storage_name,
)
from tests.unit.gate.apps import Protected
from tests.unit.validation.uploads.files import archive, gif, image, pdf, png

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 60.0
MARKER = "s3cret-4711"
STARTED, GO_ON = threading.Event(), threading.Event()


def wait_for_others(content: Content, bounds: ContentBounds) -> None:
    """Take a file once somebody else was served."""
    STARTED.set()
    assert GO_ON.wait(TIMEOUT)


SLOW = FileKind(media_type="model/stl", extensions=("stl",), check=wait_for_others)


def make_app() -> FastAPI:
    """Make an application that takes large files."""
    app = FastAPI()

    @app.get("/ping")
    @public("test")
    async def ping() -> str:
        return "pong"

    @app.post("/photos")
    @public("test")
    @body_limit(60_000_000)
    async def photos(
        photos: Annotated[
            list[UploadFile],
            Upload(*IMAGES, max_size="20 MB", max_count=5, max_total_size="50 MB", reencode=True),
        ],
    ) -> list[dict[str, Any]]:
        return [
            {
                "stored": generate_storage_name(str(photo.content_type)),
                "headers": download_headers(str(photo.filename), str(photo.content_type)),
                "clean": MARKER.encode() not in await photo.read(),
            }
            for photo in photos
        ]

    @app.post("/papers")
    @public("test")
    @body_limit(60_000_000)
    async def papers(
        paper: Annotated[
            UploadFile, Upload("application/zip", "application/pdf", "text/csv", max_size="50 MB")
        ],
    ) -> int:
        return len(await paper.read())

    @app.post("/slow")
    @public("test")
    async def slow(mesh: Annotated[UploadFile, Upload(SLOW, max_size=1000)]) -> str:
        return "done"

    return app


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve the application, and say where."""
    app = make_app()
    Protected().stockade.install(app)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(app, log_level="critical", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(TIMEOUT)


@pytest.fixture
def client(origin: str) -> Iterator[httpx2.Client]:
    """Give a client of the server."""
    with httpx2.Client(base_url=origin, timeout=TIMEOUT, trust_env=False) as client:
        yield client


def rules(answer: httpx2.Response) -> list[str]:
    """Return the codes of a refusal, which repeats nothing."""
    assert answer.status_code == 422, answer.text
    assert MARKER not in answer.text
    return [each["code"] for each in answer.json()["errors"]]


def test_photos_are_taken_and_cleaned(client: httpx2.Client) -> None:
    """Photos go in as they come from a camera, and come out as pixels under drawn names."""
    data = image("JPEG", (1600, 1200), comment=MARKER) + MARKER.encode()
    files = [("photos", (f"photo {number}.jpg", data, "image/jpeg")) for number in range(5)]
    answer = client.post("/photos", files=files)
    assert answer.status_code == 200, answer.text
    assert all(each["clean"] for each in answer.json())
    assert len({each["stored"] for each in answer.json()}) == 5
    disposition = answer.json()[0]["headers"]["Content-Disposition"]
    assert disposition == 'attachment; filename="photo 0.jpg"'


def test_large_files_are_taken_from_the_disk(client: httpx2.Client) -> None:
    """Tens of megabytes pass, read off the disk by the check and by the handler."""
    data = archive({"noise": bytes(range(256)) * 150_000}, method=0)
    answer = client.post("/papers", files={"paper": ("a.zip", data, "application/zip")})
    assert answer.json() == len(data)


@pytest.mark.parametrize(
    ("name", "data", "declared", "code"),
    [
        ("a.zip", archive({"z": b"\0" * 250_000_000}), "application/zip", "upload_archive"),
        ("a.zip", b"#!/bin/sh\n" + archive({"a": "x"}), "application/zip", "upload_type"),
        ("a.pdf", b"<html>" + pdf(), "application/pdf", "upload_type"),
        ("a.pdf", pdf() + archive({"a.class": "x"}), "application/pdf", "upload_malformed"),
        ("a.csv", b"<script>alert(1)</script>", "text/csv", "upload_text"),
        ("a.csv", "+ADw-script+AD4-".encode("utf-16"), "text/csv", "upload_text"),
        ("a.csv", pdf(), "text/csv", "upload_text"),
        (f"{MARKER}.jsp.csv", b"a,b", "text/csv", "upload_name"),
        (f"/etc/{MARKER}.csv", b"a,b", "text/csv", "upload_name"),
        ("a.csv", b"a" * 50_000_001, "text/csv", "upload_too_large"),
        ("a.svg", b"<svg/>", "image/svg+xml", "upload_name"),
    ],
    ids=[
        *("bomb", "script in front", "page in front", "jar behind", "page", "UTF-16", "PDF"),
        *("two extensions", "path", "large", "SVG"),
    ],
)
def test_hostile_file_is_refused(
    client: httpx2.Client, name: str, data: bytes, declared: str, code: str
) -> None:
    """Each comes back with its code, and nothing of it."""
    files = {"paper": (name, data, declared)}
    assert rules(client.post("/papers", files=files)) == [code]
    assert client.get("/ping").json() == "pong"


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (png(100_000, 100_000), "png", "upload_image_too_large"),
        (gif(10_000), "gif", "upload_image_too_large"),
        (image("JPEG", (640, 480))[:-500], "jpeg", "upload_malformed"),
        (png()[:40], "png", "upload_malformed"),
        (zlib.compress(b"\0" * 1000), "webp", "upload_type"),
    ],
    ids=["pixels", "frames", "cut", "cut header", "noise"],
)
def test_hostile_photo_is_refused(client: httpx2.Client, data: bytes, kind: str, code: str) -> None:
    """Bombs and halves of pictures reach no decoder."""
    files = [("photos", (f"a.{kind}", data, f"image/{kind}"))]
    assert rules(client.post("/photos", files=files)) == [code]


def test_thousand_files_are_refused(client: httpx2.Client) -> None:
    """Neither the form nor the field takes them."""
    many = [("photos", (f"{number}.png", png(), "image/png")) for number in range(1_000)]
    assert rules(client.post("/photos", files=many)) == ["form_too_many_files"]
    assert rules(client.post("/photos", files=many[:6])) == ["upload_too_many"]


def test_others_are_served_while_a_file_is_checked(client: httpx2.Client, origin: str) -> None:
    """A check that takes long does not stop the event loop."""
    STARTED.clear()
    GO_ON.clear()
    files = {"mesh": ("a.stl", b"solid", "model/stl")}

    def send() -> str:
        answer = httpx2.post(f"{origin}/slow", files=files, timeout=TIMEOUT, trust_env=False)
        return str(answer.json())

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        assert STARTED.wait(TIMEOUT)
        try:
            assert client.get("/ping").json() == "pong"
            assert not sent.done()
        finally:
            GO_ON.set()
        assert sent.result(TIMEOUT) == "done"
