"""Rows with an image, a text and labels <-> tensors: the encoders of images and of texts side by side."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch

from tasks.encoding.base import Batches, Encoder, Preview, select
from tasks.encoding.columns.categorical import as_texts, from_texts
from tasks.encoding.image import ImageEncoder
from tasks.encoding.labels import Labels
from tasks.encoding.text import TextEncoder
from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema, arrow_type

VIEWS = ("image", "text")
"""The two encoders; their tensors are called `<view>.<name>`, but for the labels, which they share."""

_OF_IMAGES = ("width", "height", "mode")
"""Columns that follow from the image."""


class JointLabels:
    """The label columns of a row as one label, so that both models are told all of them.

    Attributes:
        columns: the label columns; none: the rows have no labels.
        column: the one column in their place, of JSON lists of their values as texts.
    """

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        name = " and ".join(column.name for column in columns)
        self.column = (
            Column(name=name, type="string", meaning="categorical", nullable=False)
            if columns
            else None
        )

    def joined(self, batch: pa.RecordBatch) -> pa.Array:
        """(B,) the joint labels of a batch.

        Raises:
            DataError: a row has no value in one of the columns.
        """
        values = []
        for column in self.columns:
            found = batch.column(column.name)
            if found.null_count:
                raise DataError(
                    f"expected a label in {column.name!r} of every row, found {found.null_count} rows"
                    " without one: drop them under `clean`"
                )
            values.append(as_texts(found))
        return pa.array([_dumped(row) for row in zip(*values, strict=True)], pa.string())

    def split(self, joint: pa.Array) -> dict[str, pa.Array]:
        """The values of each column from joint labels; the inverse of `joined`."""
        if not self.columns:
            return {}
        rows = [json.loads(text) for text in joint.to_pylist()]
        columns = zip(*rows, strict=True) if rows else ([] for _ in self.columns)
        return {
            column.name: from_texts(list(values), arrow_type(column))
            for column, values in zip(self.columns, columns, strict=True)
        }

    def fitting(self, labels: Labels, conditions: Mapping[str, Any]) -> np.ndarray:
        """(B, K) bool, which joint labels each row may have; B is 1 if the conditions are single values.

        Args:
            labels: the joint ones of the training rows.
            conditions: by label column, one value, or an Arrow array or list of one a row.

        Raises:
            DataError: a condition is on another column, or no label that may be published fits.
        """
        known = self.split(labels.values)
        fits = labels.is_common[None, :]
        for name, wanted in conditions.items():
            if name not in known:
                raise DataError(
                    f"expected conditions on {', '.join(map(repr, known)) or 'no column'}, found one"
                    f" on {name!r}: nothing else about a row can be held"
                )
            values = wanted.to_pylist() if isinstance(wanted, pa.Array) else wanted
            rows = values if isinstance(values, list) else [values]
            own = known[name].to_pylist()
            allowed = {value: np.array([v == value for v in own]) for value in dict.fromkeys(rows)}
            fits = fits & np.stack([allowed[value] for value in rows])
        if not fits.any(axis=1).all():
            raise DataError(
                f"no label of enough training rows fits {dict(conditions)!r}; there are"
                f" {', '.join(labels.values.filter(pa.array(labels.is_common)).to_pylist())}"
            )
        return np.asarray(fits)


class MultimodalEncoder(Encoder):
    """Images of one size, texts and labels.

    Tensors, with B rows:
      - `image.pixels`, `text.tokens` and so on: those of `ImageEncoder` and `TextEncoder`.
      - `labels` (B,) uint8, int16 or int32, indices of `joint_labels`.

    Attributes:
        image, text: encode their part of a row, and its joint label.
        joint: makes one label of the label columns.
    """

    def __init__(self, schema: DatasetSchema, image: ImageEncoder, text: TextEncoder) -> None:
        self.schema = schema
        self.image = image
        self.text = text
        self.joint = JointLabels(label_columns(schema))

    @property
    def joint_labels(self) -> Labels:
        """The joint labels."""
        return self.image.labels

    @property
    def n_rows(self) -> int:
        """Training rows."""
        return self.image.n_rows

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Fit both encoders, each to its part of the rows."""
        image = ImageEncoder.fit(*_part(schema, batches, "image"), rng)
        return cls(schema, image, TextEncoder.fit(*_part(schema, batches, "text"), rng))

    def refit(self, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Refit both encoders, each to its part of the rows."""
        image = self.image.refit(*_part(schema, batches, "image"), rng)
        return type(self)(schema, image, self.text.refit(*_part(schema, batches, "text"), rng))

    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """The tensors of both encoders."""
        found: dict[str, torch.Tensor] = {}
        for view, encoder in self._encoders():
            own = encoder.encode(_viewed(batch, encoder.schema, self.joint))
            found |= named(view, own)
        return found

    def decode(
        self,
        encoded: Mapping[str, torch.Tensor],
        rng: np.random.Generator,
        first_row: int = 0,
        held: Mapping[str, Any] | None = None,
    ) -> pa.RecordBatch:
        """Rows with their image, text and labels."""
        del held
        columns: dict[str, pa.Array] = {}
        for view, encoder in self._encoders():
            rows = encoder.decode(unnamed(view, encoded), rng, first_row)
            columns |= dict(zip(rows.schema.names, rows.columns, strict=True))
        # Last, as the joint label of one column has the name of that column.
        columns |= self.joint.split(self.joint_labels.decode(encoded["labels"]))
        fields = arrow_schema(self.schema.main)
        arrays = [columns[field.name].cast(field.type) for field in fields]
        return pa.RecordBatch.from_arrays(arrays, schema=fields)

    def admissible(self, batch: pa.RecordBatch) -> np.ndarray | None:
        """(B,) bool: rows that both encoders admit."""
        views = [e.admissible(_viewed(batch, e.schema, self.joint)) for _, e in self._encoders()]
        found = [view for view in views if view is not None]
        return np.logical_and.reduce(found) if found else None

    def preview(self, encoded: Mapping[str, torch.Tensor]) -> Preview | None:
        """The images: a file shows one thing, and what is wrong with them is seen at a glance."""
        return self.image.preview(unnamed("image", encoded))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {}
        for view, encoder in self._encoders():
            content[view], own = encoder.state()
            arrays |= {f"{view}.{name}": values for name, values in own.items()}
        return content, arrays

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""

        def part(view: str) -> tuple[DatasetSchema, dict[str, Any], dict[str, np.ndarray]]:
            own = {
                name.removeprefix(f"{view}."): values
                for name, values in arrays.items()
                if name.startswith(f"{view}.")
            }
            return view_schema(schema, view), content[view], own

        image = ImageEncoder.from_state(*part("image"))
        return cls(schema, image, TextEncoder.from_state(*part("text")))

    def _encoders(self) -> tuple[tuple[str, Encoder], ...]:
        return (("image", self.image), ("text", self.text))


def label_columns(schema: DatasetSchema) -> tuple[Column, ...]:
    """The columns that are labels: all but the image, its size, and the text.

    Raises:
        DataError: there is not one image and one text, or a column can be no label.
    """
    images = [c.name for c in schema.main.columns if c.type == "image"]
    texts = [c.name for c in schema.main.columns_of("text") if c.name != schema.target]
    if len(images) != 1 or len(texts) != 1:
        raise DataError(
            f"expected one column of images and one of texts in {schema.main.name!r}, found"
            f" {images} and {texts}; state `meanings` under `source`, or drop columns under"
            " clean.drop_columns"
        )
    taken = {*images, *texts, *_OF_IMAGES}
    labels = tuple(c for c in schema.main.columns if c.name not in taken)
    if wrong := [c.name for c in labels if c.meaning not in ("categorical", "boolean")]:
        raise DataError(
            "expected labels (categories or truth values) beside the images and texts, found"
            f" also {wrong}: drop them under clean.drop_columns"
        )
    return labels


def view_schema(schema: DatasetSchema, view: str) -> DatasetSchema:
    """The images, or the texts, of a dataset with the joint label as their target."""
    joint = JointLabels(label_columns(schema)).column
    kept = [
        column
        for column in schema.main.columns
        if (
            column.type == "image" or column.name in _OF_IMAGES
            if view == "image"
            else column.meaning == "text" and column.name != schema.target
        )
    ]
    columns = (*kept, joint) if joint else tuple(kept)
    table = TableSchema(name=schema.main.name, columns=columns, encrypted=schema.main.encrypted)
    return DatasetSchema(
        kind="image" if view == "image" else "text",
        tables=(table,),
        target=joint.name if joint else None,
    )


def named(view: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of one view by their names among those of all."""
    return {(n if n == "labels" else f"{view}.{n}"): tensor for n, tensor in tensors.items()}


def unnamed(view: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of one view by their own names; the inverse of `named`."""
    return {
        name.removeprefix(f"{view}."): tensor
        for name, tensor in tensors.items()
        if name == "labels" or name.startswith(f"{view}.")
    }


def _part(schema: DatasetSchema, batches: Batches, view: str) -> tuple[DatasetSchema, Batches]:
    """The schema and the rows of one view."""
    own, joint = view_schema(schema, view), JointLabels(label_columns(schema))

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in select(batches, _needed(own, joint)):
            yield _viewed(batch, own, joint)

    return own, rows


def _needed(own: DatasetSchema, joint: JointLabels) -> list[str]:
    """The stored columns that a view is made of."""
    kept = [name for name in own.main.column_names if name != own.target]
    return [*kept, *(column.name for column in joint.columns)]


def _viewed(batch: pa.RecordBatch, own: DatasetSchema, joint: JointLabels) -> pa.RecordBatch:
    arrays = {
        name: batch.column(name) for name in own.main.column_names if name in batch.schema.names
    }
    if own.target is not None:
        arrays[own.target] = joint.joined(batch)
    names = own.main.column_names
    return pa.RecordBatch.from_arrays([arrays[name] for name in names], names=names)


def _dumped(row: tuple[str, ...]) -> str:
    return json.dumps(row, ensure_ascii=False)
