"""Cleaning of images: two are the same if their pixels and their labels are."""

import hashlib
import io

import pyarrow as pa
from PIL import Image

from tasks.cleaning.base import Cleaner
from tasks.errors import DataError


class ImageCleaner(Cleaner):
    """Cleans images; files that differ in name or compression only are duplicates."""

    def row_keys(self, batch: pa.RecordBatch) -> list[bytes]:
        """Digests of the pixels and of all other values."""
        is_image = [field.name for field in batch.schema if pa.types.is_struct(field.type)]
        return [
            hashlib.blake2b(
                repr(
                    [_pixels(row[name]) if name in is_image else row[name] for name in row]
                ).encode(),
                digest_size=16,
            ).digest()
            for row in batch.to_pylist()
        ]


def _pixels(image: dict[str, bytes]) -> tuple[str, tuple[int, int], bytes]:
    try:
        with Image.open(io.BytesIO(image["bytes"])) as opened:
            return opened.mode, opened.size, opened.tobytes()
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"cannot read the image {image['path']!r}: {error}") from error
