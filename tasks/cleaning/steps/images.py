"""Bring images to one size and one mode, as models of images need them."""

import io
from collections import Counter
from typing import Annotated, Any

import pyarrow as pa
from PIL import Image
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject, replaced
from tasks.errors import DataError, ParamsError
from tasks.params import Record
from tasks.schema import IMAGE_TYPE
from tasks.sources._pictures import (
    MAX_PIXELS,
    MODE_DESCRIPTION,
    Fit,
    Mode,
    Picture,
    Unreadable,
    picture_of,
    refitted,
)

_SIDE = Annotated[int, Field(ge=1, le=65_535)]


class Form(Record):
    """What all images are to be like."""

    size: Annotated[list[_SIDE], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="width and height in pixels; null: as they are"
    )
    mode: Mode | None = Field(default=None, description=MODE_DESCRIPTION)
    fit: Fit = Field(
        default="pad",
        description="for images of another shape: pad (the colour along the border is put around"
        " them), crop (what is too long is cut off at both ends), stretch (they lose their shape)",
    )


class Images(Step):
    """Images of another size or mode are encoded anew; all others keep their bytes.

    Columns `width`, `height` and `mode` follow. Missing images stay missing.
    """

    order = 80
    Settings = Annotated[
        Form, Field(description="{size: [28, 28], mode: L, fit: pad}: what all images become")
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        form: Form = settings
        if form.size is None and form.mode is None:
            raise ParamsError("clean.images: expected `size`, `mode` or both, found neither")
        if form.size is not None and form.size[0] * form.size[1] > MAX_PIXELS:
            raise ParamsError(
                f"clean.images.size: expected at most {MAX_PIXELS:,} pixels, found"
                f" {form.size[0]} x {form.size[1]}"
            )
        if not any(column.type == "image" for t in self.schema.tables for column in t.columns):
            raise ParamsError("clean.images: expected a column of images, found none; leave it out")
        self._columns = [column.name for column in self.table.columns if column.type == "image"]

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._columns)

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`.

        Raises:
            DataError: an image cannot be read, or not be converted.
        """
        columns: dict[str, pa.Array] = {}
        counts: dict[str, Counter[str]] = {"resized": Counter(), "converted": Counter()}
        for name in self._columns:
            images: list[dict[str, Any] | None] = []
            pictures: list[Picture | None] = []
            for image in batch[name].to_pylist():
                if image is None:
                    images.append(None)
                    pictures.append(None)
                    continue
                plain, made = self._formed(image, name)
                counts["converted"][name] += plain.mode != _mode(image)
                counts["resized"][name] += made is not plain
                images.append({"bytes": made.content, "path": image["path"]})
                pictures.append(made)
            columns[name] = pa.array(images, IMAGE_TYPE)
            if len(self._columns) == 1:
                columns |= _told(batch, pictures)
        return Changed(replaced(batch, columns), {what: dict(n) for what, n in counts.items()})

    def _formed(self, image: dict[str, Any], name: str) -> tuple[Picture, Picture]:
        """An image in the mode that is wanted, and then in the size."""
        form: Form = self.settings
        try:
            plain = picture_of(image["bytes"] or b"", form.mode)
        except Unreadable as error:
            raise DataError(
                f"clean.images: {image['path']!r} in {name!r} {error}; leave it out in the source"
            ) from error
        if form.size is None:
            return plain, plain
        return plain, refitted(plain, (form.size[0], form.size[1]), form.fit)


def _mode(image: dict[str, Any]) -> str:
    with Image.open(io.BytesIO(image["bytes"])) as opened:
        return opened.mode


def _told(batch: pa.RecordBatch, pictures: list[Picture | None]) -> dict[str, pa.Array]:
    """The columns of the batch that tell sizes and modes, for these pictures."""
    told: dict[str, pa.Array] = {}
    for name in ("width", "height", "mode"):
        if name in batch.schema.names:
            values = [None if p is None else getattr(p, name) for p in pictures]
            told[name] = pa.array(values, batch.schema.field(name).type)
    return told
