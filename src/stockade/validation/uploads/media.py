"""Walk through sound and video from the first byte to the last, without decoding anything.

Source: ISO/IEC 14496-12 (MP4); ISO/IEC 11172-3 and 13818-3 (MP3); RFC 3533 (Ogg); RFC 7845 (Opus).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stockade.validation.uploads.boxes import walk_boxes
from stockade.validation.uploads.content import Content, refuse
from stockade.validation.uploads.riff import walk_riff

if TYPE_CHECKING:
    from stockade.validation.uploads.limits import ContentBounds

_VIDEO: Final = frozenset(
    {
        *(b"avc1", b"dash", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8"),
        *(b"iso9", b"isom", b"mp41", b"mp42", b"mp71", b"M4V ", b"MSNV"),
    }
)
_CODECS: Final = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")
_OGG_PAGE: Final = 27
_FIRST, _LAST = 2, 4
# Kilobits a second of layer III, and samples a second, by the version's two bits.
_RATES: Final = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLES: Final = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_FEWEST_FRAMES: Final = 3
_LONGEST_TAGS: Final = 1_000_000
_TAGS: Final = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def check_mp4(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete MP4.

    Raises:
        UploadRefusedError: It is another kind of file, or damaged.
    """
    del bounds
    kinds = {kind for kind, _, _ in walk_boxes(content, brands=_VIDEO)}
    refuse("upload_malformed", when=b"moov" not in kinds or not kinds & {b"mdat", b"moof"})


def check_wav(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete WAV.

    Raises:
        UploadRefusedError: It is another kind of file, or damaged.
    """
    refuse("upload_type", when=not re.fullmatch(rb"RIFF....WAVE", content.peek(0, 12), re.DOTALL))
    kinds = [kind for kind, _, _ in walk_riff(content, exact=bounds.exact)]
    refuse("upload_malformed", when=kinds.count(b"fmt ") != 1 or kinds.count(b"data") != 1)


def check_ogg(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is no complete Ogg file of sound.

    Raises:
        UploadRefusedError: It is another kind of file, or damaged.
    """
    del bounds
    at, last = 0, False
    while at < content.size:
        content.step()
        head = content.peek(at, _OGG_PAGE)
        refuse("upload_type" if at == 0 else "upload_malformed", when=head[:5] != b"OggS\0")
        refuse("upload_malformed", when=len(head) < _OGG_PAGE or (at == 0 and not head[5] & _FIRST))
        start = at + _OGG_PAGE + head[26]
        sizes = content.need(at + _OGG_PAGE, head[26])
        if at == 0:
            refuse("upload_type", when=not content.peek(start, 8).startswith(_CODECS))
        at, last = start + sum(sizes), bool(head[5] & _LAST)
    refuse("upload_malformed", when=at != content.size or not last)


def check_mp3(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is not frame after frame of MP3, with tags before and behind.

    Raises:
        UploadRefusedError: It is another kind of file, or damaged.
    """
    del bounds
    at, frames = _skip_id3(content), 0
    while at < content.size:
        content.step()
        length = _frame_length(content.peek(at, 4))
        if length is None:
            break
        at += length
        frames += 1
    refuse("upload_type", when=frames < _FEWEST_FRAMES)
    # The last frame may be cut. Behind it stand tags, which are text, or zeros.
    rest = content.size - at
    refuse("upload_malformed", when=rest > _LONGEST_TAGS)
    if rest > 0:
        tail = content.need(at, rest)
        refuse("upload_malformed", when=not tail.startswith(_TAGS) and bool(tail.strip(b"\0")))


def _skip_id3(content: Content) -> int:
    head = content.peek(0, 10)
    if not re.match(rb"ID3[\x02-\x04][^\xff]", head, re.DOTALL):
        return 0
    # Seven bits a byte, so that no size looks like the start of a frame.
    refuse("upload_malformed", when=any(byte > 0x7F for byte in head[6:10]))  # noqa: PLR2004 - as above
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte
    at = 10 + length
    return at + len(content.peek(at, 4096)) - len(content.peek(at, 4096).lstrip(b"\0"))


def _frame_length(head: bytes) -> int | None:
    """Return the bytes of the frame that begins so, or None where none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # noqa: PLR2004 - eleven bits, layer III
        return None
    version, rate, samples = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or rate in {0, 15} or samples == 3:  # noqa: PLR2004 - reserved values
        return None
    kilobits = _RATES[3 if version == 3 else 2][rate]  # noqa: PLR2004 - MPEG 1
    factor = 144_000 if version == 3 else 72_000  # noqa: PLR2004 - as above
    return factor * kilobits // _SAMPLES[version][samples] + (head[2] >> 1 & 1)
