"""Accept uploaded files that are what they claim to be, and whose cost is bounded."""

from stockade.validation.uploads.archives import validate_archive
from stockade.validation.uploads.content import Content
from stockade.validation.uploads.dependencies import Upload
from stockade.validation.uploads.errors import UploadRefusedError
from stockade.validation.uploads.kinds import DOCUMENTS, IMAGES, FileKind
from stockade.validation.uploads.limits import ArchiveLimits, ContentBounds, ImageLimits
from stockade.validation.uploads.names import generate_storage_name, safe_name
from stockade.validation.uploads.reencoding import ImageEncoder, reencode_image
from stockade.validation.uploads.serving import download_headers

__all__ = [
    "DOCUMENTS",
    "IMAGES",
    "ArchiveLimits",
    "Content",
    "ContentBounds",
    "FileKind",
    "ImageEncoder",
    "ImageLimits",
    "Upload",
    "UploadRefusedError",
    "download_headers",
    "generate_storage_name",
    "reencode_image",
    "safe_name",
    "validate_archive",
]
