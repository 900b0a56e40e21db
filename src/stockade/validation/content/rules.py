"""Decide which bodies an endpoint takes, and look through those that it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from stockade.errors import DeniedError, UnsupportedMediaTypeError
from stockade.validation.content.encodings import CODINGS, Inflater
from stockade.validation.content.forms import MultipartScanner, URLEncodedScanner
from stockade.validation.content.json_text import JSONScanner
from stockade.validation.content.media_types import is_json, read_media_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stockade.validation.content.limits import ContentLimits

JSON: Final = b"application/json"
ANY_JSON: Final = b"application/*+json"
URL_ENCODED: Final = b"application/x-www-form-urlencoded"
MULTIPART: Final = b"multipart/form-data"
# What browsers send reports of a broken Content-Security-Policy as (CSP Level 3, section 5.2), and
# what some clients still call JSON. FastAPI reads none of them; handlers do.
_JSON_BY_ANOTHER_NAME: Final = frozenset({b"application/csp-report", b"text/x-json"})


class _Scanner(Protocol):
    def feed(self, data: bytes, *, last: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class ContentRules:
    """What the bodies of one endpoint may be.

    Args:
        accepted: Media types that the endpoint reads; empty where nobody knows, such as for a
            mounted application.
        limits: How much a body may hold.
        codings: Content codings that are undone for the endpoint.
        single: Names of fields and files of a form of which the endpoint reads one value.
    """

    accepted: tuple[bytes, ...]
    limits: ContentLimits
    codings: frozenset[bytes] = CODINGS
    single: frozenset[str] = frozenset()

    def open(
        self, headers: Iterable[tuple[bytes, bytes]], *, limit: Callable[[], int]
    ) -> BodyCheck | None:
        """Prepare for the body of one request; None where there is nothing to look for.

        Args:
            headers: Untrusted headers of the request, their names in small letters.
            limit: Tells the most bytes that the body may have.

        Raises:
            UnsupportedMediaTypeError: The endpoint takes no such body, and one is announced.
            MalformedRequestError: The headers contradict the body's form.
        """
        # A second header of one of these names does not get past the wall, but some servers append
        # the trailers of a chunked body later. Whoever reads the body goes by the first.
        known = dict(reversed(list(headers)))
        content_type = known.get(b"content-type")
        coding = known.get(b"content-encoding")
        if coding is None and content_type == JSON and (JSON in self.accepted or not self.accepted):
            return BodyCheck(JSONScanner(self.limits), None)
        try:
            scanner = self._scanner(content_type)
            inflater = None if coding is None else self._inflater(coding.strip().lower(), limit)
        except DeniedError as error:
            if known.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in known:
                raise
            # Nothing may follow, as behind a GET; an endpoint can do without a body.
            return BodyCheck(_Refusal(error), None)
        if scanner is None and inflater is None:
            return None
        return BodyCheck(scanner, inflater)

    def _scanner(self, content_type: bytes | None) -> _Scanner | None:
        media_type = None if content_type is None else read_media_type(content_type)
        if self.accepted and not self._takes(media_type):
            raise self._refuse_type()
        if content_type is None:
            return None
        if media_type is None:
            raise self._refuse_type()
        if media_type == MULTIPART:
            return MultipartScanner(content_type, self.limits, self.single)
        if media_type == URL_ENCODED:
            return URLEncodedScanner(self.limits, self.single)
        is_text = is_json(media_type) or media_type in _JSON_BY_ANOTHER_NAME
        return JSONScanner(self.limits) if is_text else None

    def _takes(self, media_type: bytes | None) -> bool:
        if media_type is None:
            return False
        if media_type in self.accepted:
            return True
        if media_type.startswith(b"application/") and media_type.endswith(b"+json"):
            return ANY_JSON in self.accepted
        return any(
            each.endswith(b"/*") and media_type.startswith(each[:-1]) for each in self.accepted
        )

    def _inflater(self, coding: bytes, limit: Callable[[], int]) -> Inflater | None:
        if coding == b"identity":
            return None
        if coding not in self.codings:
            known = ", ".join(sorted(each.decode("ascii") for each in self.codings)) or "identity"
            raise UnsupportedMediaTypeError(
                reason="validation.content_coding", header="Accept-Encoding", accepted=known
            )
        return Inflater(coding, limit)

    def _refuse_type(self) -> UnsupportedMediaTypeError:
        accepted = ", ".join(each.decode("latin-1") for each in self.accepted) or "*/*"
        return UnsupportedMediaTypeError(
            reason="validation.media_type", header="Accept", accepted=accepted
        )


class BodyCheck:
    """Looks through the body of one request, part by part.

    Args:
        scanner: Knows the rules of its type.
        inflater: Undoes its content coding.
    """

    __slots__ = ("_inflater", "_scanner")

    def __init__(self, scanner: _Scanner | None, inflater: Inflater | None) -> None:
        self._scanner = scanner
        self._inflater = inflater

    @property
    def inflates(self) -> bool:
        """Whether the endpoint gets other bytes than came in."""
        return self._inflater is not None

    @property
    def has_more(self) -> bool:
        """Whether there is more for the endpoint in what was read already."""
        return self._inflater is not None and self._inflater.has_more

    def read(self, data: bytes, *, last: bool) -> bytes:
        """Return a part of the body for the endpoint.

        Args:
            data: Untrusted bytes.
            last: Whether nothing follows.

        Raises:
            DeniedError: The body can't be accepted.
        """
        if self._inflater is not None:
            data = self._inflater.inflate(data, last=last)
        if self._scanner is not None:
            self._scanner.feed(data, last=last and not self.has_more)
        return data


class _Refusal:
    """Refuses a body that nobody announced."""

    def __init__(self, error: DeniedError) -> None:
        self.error = error

    def feed(self, data: bytes, *, last: bool) -> None:
        del last
        if data:
            raise self.error
