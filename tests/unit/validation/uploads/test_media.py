"""Sound and video are whole, and nothing else besides."""

from __future__ import annotations

import struct

import pytest

from tests.unit.validation.uploads.files import box, mp3, mp4, ogg, page, refusal, wav

SCRIPT = b"<script>alert(1)</script>"


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("video/mp4", mp4(b"mp42", box(b"free", b"\0" * 5))),
        ("video/mp4", mp4()[:-16] + b"\0\0\0\0mdat" + b"x" * 20),
        ("video/mp4", mp4()[:-16] + b"\0\0\0\1mdat" + struct.pack(">Q", 20) + b"xxxx"),
        ("audio/mpeg", b"ID3\4\0\0\0\0\0\x0a" + b"\0" * 10 + mp3()),
        ("audio/mpeg", b"ID3\4\0\0\0\0\0\x0a" + b"\0" * 300 + mp3()),
        ("audio/mpeg", mp3() + b"TAG" + b"\0" * 125),
        ("audio/mpeg", (b"\xff\xf3\x40\xc0" + b"\0" * 100) * 4),
        ("audio/ogg", ogg(b"\x01vorbis" + b"\0" * 23)),
        ("audio/wav", wav()),
    ],
    ids=[
        *("free box", "to the end", "64 bits", "ID3", "filled up", "ID3v1", "MPEG 2"),
        *("Vorbis", "wav"),
    ],
)
def test_file_of_an_encoder_is_taken(media_type: str, data: bytes) -> None:
    """The forms that encoders write pass."""
    assert refusal(media_type, data) is None


@pytest.mark.parametrize(
    ("media_type", "data", "rule"),
    [
        ("video/mp4", mp4(b"avif"), "upload_type"),
        ("video/mp4", mp4(b"<scr"), "upload_type"),
        ("video/mp4", box(b"ftyp", b"isom\0\0\2\0isom"), "upload_malformed"),
        ("video/mp4", mp4() + SCRIPT, "upload_malformed"),
        ("video/mp4", mp4(b"isom", b"\0\0\0\4free"), "upload_malformed"),
        ("video/mp4", mp4(b"isom", box(b"\0\1\2\3")), "upload_malformed"),
        ("audio/mpeg", b"\xff\xfb\x90\x00" + SCRIPT * 100, "upload_type"),
        ("audio/mpeg", b"ID3\4\0\0\0\0\0\0" + SCRIPT, "upload_type"),
        ("audio/mpeg", b"ID3\4\0\0\0\0\0\x80" + mp3(), "upload_malformed"),
        ("audio/mpeg", mp3() + SCRIPT, "upload_malformed"),
        ("audio/mpeg", mp3() + b"TAG" + b"\0" * 1_000_000, "upload_malformed"),
        ("audio/mpeg", (b"\xff\xfb\xf0\x00" + b"\0" * 413) * 4, "upload_type"),
        ("audio/ogg", ogg(b"\x80theora" + b"\0" * 30), "upload_type"),
        ("audio/ogg", page(b"OpusHead" + b"\0" * 11, 0), "upload_malformed"),
        ("audio/ogg", ogg() + SCRIPT, "upload_malformed"),
        ("audio/ogg", b"OggS\0" + SCRIPT, "upload_malformed"),
        ("audio/wav", wav() + SCRIPT, "upload_malformed"),
        ("audio/wav", b"RIFF\x04\0\0\0WAVE", "upload_malformed"),
        ("audio/wav", b"RIFF\xff\xff\xff\xffWAVE" + wav()[12:], "upload_malformed"),
        ("audio/wav", wav()[:16] + b"\xff\xff\xff\xff" + wav()[20:], "upload_malformed"),
    ],
)
def test_what_only_looks_like_it_is_refused(media_type: str, data: bytes, rule: str) -> None:
    """A brand, a frame or a page at the start is not enough."""
    assert refusal(media_type, data) == rule
