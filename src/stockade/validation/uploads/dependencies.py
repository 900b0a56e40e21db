"""Declare what a file field takes, and check it before the handler runs.

FastAPI validates on the event loop, and reading 100 MB there would stop every other request. So
the files of a route are looked at in a worker thread first, by a dependency that runs before all
others (`inspect_first`), and validation only finds the result. Where nobody has looked, validation
looks by itself: a file is never taken unseen.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Annotated, Any, Final, cast
from weakref import WeakKeyDictionary

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, UploadFile
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from pydantic_core import PydanticCustomError, core_schema
from starlette.datastructures import Headers
from starlette.datastructures import UploadFile as AnyUploadFile
from starlette.requests import Request

from stockade.validation.bounds import BOUNDED
from stockade.validation.shapes import children, core_schema_of, definitions_of
from stockade.validation.uploads.errors import UploadRefusedError, UploadRuleError
from stockade.validation.uploads.kinds import FileKind, kind_of
from stockade.validation.uploads.limits import (
    ArchiveLimits,
    ContentBounds,
    ImageLimits,
    parse_size,
)
from stockade.validation.uploads.reencoding import ImageEncoder, PillowEncoder, is_image
from stockade.validation.uploads.rules import UploadRules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi.dependencies.models import Dependant
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from stockade.validation.shapes import Node

# Key of a core schema's metadata.
_UPLOAD: Final = "stockade_upload"
# Files of one route that are read at a time: decoding an image takes memory.
_AT_ONCE: Final = 2
_IN_MEMORY: Final = 1_048_576
_PLACES: Final = "Upload belongs on an UploadFile, an UploadFile | None or a list[UploadFile]"


class Upload:
    """Say what a file field takes: ``Annotated[UploadFile, Upload("image/png", max_size="2 MB")]``.

    Header, extension and content have to agree on one of the types. In the handler,
    ``upload.content_type`` is the type that was established, ``upload.filename`` a plain name that
    may be shown, and the file stands at its start.

    Args:
        *media_types: Types to take, such as ``"image/png"``, ``*IMAGES`` or a `FileKind`.
        max_size: Most bytes of a file: a number, or such as ``"2 MB"``.
        max_count: Most files; needed on a list, and only there.
        max_total_size: Most bytes of a list's files together.
        allow_empty: Whether a file may have no bytes.
        image: Limits of images; 50 million pixels and 500 frames without it.
        archive: Limits of ZIP and office files; 200 MB and 10,000 entries without it.
        reencode: ``True`` to write images anew with Pillow (extra ``images``), or an encoder.

    Raises:
        UploadRuleError: A type can't be proven or accepted safely, or a limit makes no sense.
    """

    def __init__(
        self,
        *media_types: str | FileKind,
        max_size: int | str,
        max_count: int | None = None,
        max_total_size: int | str | None = None,
        allow_empty: bool = False,
        image: ImageLimits | None = None,
        archive: ArchiveLimits | None = None,
        reencode: bool | ImageEncoder = False,
    ) -> None:
        kinds = tuple(kind_of(each) for each in media_types)
        if not kinds:
            raise UploadRuleError('Upload needs at least one type, such as "image/png"')
        if max_count is not None and max_count < 1:
            raise UploadRuleError(f"max_count has to be positive, not {max_count}")
        encoder = _encoder(reencode)
        if encoder is not None and not any(is_image(kind.media_type) for kind in kinds):
            raise UploadRuleError("reencode does nothing here: no type is an image of pixels")
        # What became of each file, as long as the file is there.
        self._results = WeakKeyDictionary[AnyUploadFile, UploadRefusedError | None]()
        self._rules = UploadRules(
            kinds=kinds,
            max_size=parse_size(max_size),
            max_count=max_count,
            max_total_size=None if max_total_size is None else parse_size(max_total_size),
            allow_empty=allow_empty,
            bounds=ContentBounds(
                image=ImageLimits() if image is None else image,
                archive=ArchiveLimits() if archive is None else archive,
            ),
            encoder=encoder,
        )

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return cast("CoreSchema", self._around(cast("Node", handler(source))))

    def _around(self, node: Node) -> Node:
        if node["type"] in {"nullable", "default"}:
            return {**node, "schema": self._around(node["schema"])}
        if node["type"] == "list" and _is_upload(node.get("items_schema") or {}):
            return self._around_list(node)
        if not _is_upload(node):
            raise UploadRuleError(_PLACES)
        if self._rules.max_count is not None or self._rules.max_total_size is not None:
            raise UploadRuleError("max_count and max_total_size are for a list[UploadFile]")
        return self._around_one(node)

    def _around_one(self, node: Node) -> Node:
        schema = core_schema.no_info_after_validator_function(
            self._validate,
            cast("CoreSchema", node),
            metadata={BOUNDED: True, _UPLOAD: self},
        )
        return cast("Node", schema)

    def _around_list(self, node: Node) -> Node:
        count = self._rules.max_count
        if count is None:
            raise UploadRuleError("a list of uploads needs max_count: how many files may come")
        items = {**node, "items_schema": self._around_one(node["items_schema"])}
        items["max_length"] = min(count, node.get("max_length", count))
        # Before the items: none of too many files is read.
        schema = core_schema.no_info_before_validator_function(
            self._validate_list, cast("CoreSchema", items)
        )
        return cast("Node", schema)

    def _validate_list(self, value: object) -> object:
        if isinstance(value, (list, tuple)):
            uploads = [each for each in value if isinstance(each, AnyUploadFile)]
            refusal = self.refusal_of_all(uploads)
            if refusal is not None:
                raise _as_problem(refusal)
        return value

    def _validate(self, upload: UploadFile) -> UploadFile:
        if upload not in self._results:
            self.judge(upload)
        refusal = self._results[upload]
        if refusal is not None:
            raise _as_problem(refusal)
        return upload

    def judge(self, upload: AnyUploadFile) -> None:
        """Check one file, note the result, and give the file its established type.

        It reads the file: call it in a worker thread.
        """
        size = _size_of(upload)
        try:
            kind = self._rules.decide(upload.filename, upload.content_type, size)
            data = self._rules.inspect(kind, upload.file, size)
        except UploadRefusedError as error:
            self._results[upload] = error
            return
        upload.file.seek(0)
        if data is not None:
            _replace(upload, data)
        # The other headers of the part are the client's words.
        upload.headers = Headers({"content-type": kind.media_type})
        self._results[upload] = None

    def select(self, uploads: list[AnyUploadFile]) -> list[AnyUploadFile]:
        """Return the files of a field that are worth reading."""
        if self.refusal_of_all(uploads) is not None:
            # Validation will say so.
            return []
        # One field, one file: the last that came is the one that counts.
        return uploads if self._rules.max_count is not None else uploads[-1:]

    def refusal_of_all(self, uploads: list[AnyUploadFile]) -> UploadRefusedError | None:
        """Return what is wrong with all files of a field together."""
        try:
            self._rules.require_count(len(uploads))
            self._rules.require_total([_size_of(each) for each in uploads])
        except UploadRefusedError as error:
            return error
        return None


def inspect_first(dependant: Dependant) -> None:
    """Let the files of a route be checked in a worker thread, before anything else of it runs.

    Args:
        dependant: The dependency tree of the route; calling this again changes nothing.
    """
    if any(isinstance(each.call, _Inspection) for each in dependant.dependencies):
        return
    markers: dict[str, list[Upload]] = {}
    for name, marker in _markers_of(dependant):
        known = markers.setdefault(name, [])
        if marker not in known:
            known.append(marker)
    if markers:
        first = get_parameterless_sub_dependant(
            depends=Depends(_Inspection(markers)), path=dependant.path or ""
        )
        dependant.dependencies.insert(0, first)


class _Inspection:
    """Checks the files of a form in worker threads, and notes the results on them.

    Args:
        markers: By the name of the field.
    """

    def __init__(self, markers: Mapping[str, list[Upload]]) -> None:
        self._markers = markers
        self._limiter = CapacityLimiter(_AT_ONCE)

    async def __call__(self, request: Request) -> None:
        form = await request.form()
        for name, markers in self._markers.items():
            uploads = [each for each in form.getlist(name) if isinstance(each, AnyUploadFile)]
            for marker in markers:
                for upload in marker.select(uploads):
                    await to_thread.run_sync(marker.judge, upload, limiter=self._limiter)


def _encoder(reencode: bool | ImageEncoder) -> ImageEncoder | None:  # noqa: FBT001 - as in Upload
    if reencode is False:
        return None
    return PillowEncoder() if reencode is True else reencode


def _is_upload(node: Node) -> bool:
    if node.get("type") != "function-plain":
        return False
    owner = getattr(node["function"]["function"], "__self__", None)
    return isinstance(owner, type) and issubclass(owner, UploadFile)


def _size_of(upload: AnyUploadFile) -> int:
    return upload.file.seek(0, 2) if upload.size is None else upload.size


def _replace(upload: AnyUploadFile, data: bytes) -> None:
    # The form closes whatever file an upload has when the request ends.
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - see above
    file.write(data)
    file.seek(0)
    upload.file.close()
    upload.file = cast("Any", file)
    upload.size = len(data)


def _as_problem(refusal: UploadRefusedError) -> PydanticCustomError:
    limit = refusal.limit
    context = None if limit is None else {"max_bytes": limit, "max_length": limit}
    # The text is never shown; see `describe_errors`.
    return PydanticCustomError(refusal.rule, "The file can't be accepted", context)


def _markers_of(dependant: Dependant) -> Iterator[tuple[str, Upload]]:
    for field in dependant.body_params:
        node = core_schema_of(Annotated[field.field_info.annotation, field.field_info])
        yield from _markers_in(node, field.alias, definitions_of(node), set())
    for dependency in dependant.dependencies:
        yield from _markers_of(dependency)


def _markers_in(
    node: Node, name: str, definitions: dict[str, Node], seen: set[int]
) -> Iterator[tuple[str, Upload]]:
    if node["type"] == "definition-ref":
        node = definitions.get(node["schema_ref"], node)
    if id(node) in seen:
        return
    seen.add(id(node))
    marker = (node.get("metadata") or {}).get(_UPLOAD)
    if marker is not None:
        yield name, marker
    for label, child in children(node):
        # The fields of a form's model are fields of the form.
        field = label.removeprefix(".") if label.startswith(".") else name
        yield from _markers_in(child, field, definitions, seen)
