"""Decide whether a file is what it claims to be and may be taken.

What is cheap comes first and needs no byte of the file: its name, its announced type, its size.
What remains reads the file, and belongs into a worker thread.

Source: ASVS 5.0 V5.2; CWE-434.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from stockade.validation.uploads.archives import hides_archive
from stockade.validation.uploads.content import Content, refuse
from stockade.validation.uploads.errors import UploadRefusedError
from stockade.validation.uploads.limits import ContentBounds
from stockade.validation.uploads.names import extension_of, safe_name
from stockade.validation.uploads.reencoding import is_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stockade.validation.uploads.kinds import FileKind
    from stockade.validation.uploads.reencoding import ImageEncoder

_ZIP: Final = b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRules:
    """What the files of one field have to keep to.

    Args:
        kinds: Types to take.
        max_size: Most bytes of a file.
        max_count: Most files; None where the field takes one.
        max_total_size: Most bytes of all files together.
        allow_empty: Whether a file may have no bytes.
        bounds: For the check of contents.
        encoder: Writes images anew, if there is one.
    """

    kinds: tuple[FileKind, ...]
    max_size: int
    max_count: int | None = None
    max_total_size: int | None = None
    allow_empty: bool = False
    bounds: ContentBounds = field(default_factory=ContentBounds)
    encoder: ImageEncoder | None = None

    def require_count(self, count: int) -> None:
        """Refuse too many files.

        Raises:
            UploadRefusedError: There are too many.
        """
        if self.max_count is not None and count > self.max_count:
            raise UploadRefusedError("upload_too_many", limit=self.max_count)

    def require_total(self, sizes: Sequence[int]) -> None:
        """Refuse files that are too large together.

        Raises:
            UploadRefusedError: They are.
        """
        limit = self.max_total_size
        if limit is not None and sum(sizes) > limit:
            raise UploadRefusedError("upload_total_too_large", limit=limit)

    def decide(self, filename: str | None, declared: str | None, size: int) -> FileKind:
        """Return the type that a file claims to be, by name and by header alike.

        Args:
            filename: What the client calls it; untrusted.
            declared: Value of the part's ``Content-Type``; untrusted.
            size: Bytes that arrived.

        Raises:
            UploadRefusedError: The two do not agree on a type that is taken, the name is not plain,
                or the size does not fit.
        """
        if size > self.max_size:
            raise UploadRefusedError("upload_too_large", limit=self.max_size)
        extension = extension_of(safe_name(filename))
        media_type = (declared or "").partition(";")[0].strip(" \t").lower()
        for kind in self.kinds:
            if extension in kind.extensions and media_type in (kind.media_type, *kind.aliases):
                refuse("upload_empty", when=not size and not self.allow_empty)
                return kind
        raise UploadRefusedError("upload_type")

    def inspect(self, kind: FileKind, file: BinaryIO, size: int) -> bytes | None:
        """Read a file, and refuse it if it is not of the type that it claims.

        Args:
            kind: What `decide` has returned.
            file: Open for reading at any place; left at its start.
            size: Bytes in it.

        Returns:
            What to keep instead of the file; None to keep it.

        Raises:
            UploadRefusedError: The content is of another type, damaged, or too costly to open.
        """
        if not size:
            return None
        encoder = self.encoder if is_image(kind.media_type) else None
        exact = encoder is None
        self._prove(kind, Content(file, size), exact=exact)
        file.seek(0)
        if encoder is None:
            return None
        data = encoder.encode(file, kind.media_type, self.bounds.image)
        if len(data) > self.max_size:
            raise UploadRefusedError("upload_too_large", limit=self.max_size)
        # An encoder can be anybody's, so that its work is proven as well.
        self._prove(kind, Content(io.BytesIO(data), len(data)), exact=True)
        return data

    def _prove(self, kind: FileKind, content: Content, *, exact: bool) -> None:
        bounds = self.bounds
        kind.check(content, ContentBounds(image=bounds.image, archive=bounds.archive, exact=exact))
        if exact and content.peek(0, len(_ZIP)) != _ZIP:
            refuse("upload_malformed", when=hides_archive(content))
