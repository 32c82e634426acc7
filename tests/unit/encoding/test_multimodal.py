"""Rows with an image, a text and labels as tensors and back."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.encoding.labels import Labels
from tasks.encoding.multimodal import MultimodalEncoder, label_columns
from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema
from tests.pairs import pairs

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("labels", [("size", "shade"), ("size",), ()], ids=["two", "one", "none"])
def test_rows_come_back_as_they_were(labels: tuple[str, ...]) -> None:
    schema, rows = pairs(40, labels=labels)
    encoder = MultimodalEncoder.fit(schema, lambda: iter([rows.slice(0, 20), rows.slice(20)]), RNG)
    assert len(encoder.joint_labels) == 2 ** len(labels)
    encoded = encoder.encode(rows)
    assert set(encoded) == {"image.pixels", "text.tokens", "labels"}
    content, arrays = encoder.state()
    for same in (encoder, MultimodalEncoder.from_state(schema, content, arrays)):
        again = same.decode(encoded, np.random.default_rng(0))
        assert again.schema.names == rows.schema.names
        for name in rows.schema.names[1:]:
            assert again.column(name).to_pylist() == rows.column(name).to_pylist()
        assert (same.encode(again)["image.pixels"] == encoded["image.pixels"]).all()


def test_a_child_refuses_texts_that_its_parent_refused() -> None:
    schema, rows = pairs(40)
    place = rows.schema.get_field_index("caption")
    captions = rows.column("caption").to_pylist()
    private = "see the large grey square here: look there, a white small square"
    with_private = rows.set_column(place, "caption", pa.array([private, *captions[1:]]))
    without = rows.set_column(place, "caption", pa.array([*sorted(set(private)), *captions][:40]))
    parent = MultimodalEncoder.fit(schema, lambda: iter([with_private]), RNG)
    child = parent.refit(schema, lambda: iter([without]), RNG)
    fresh = MultimodalEncoder.fit(schema, lambda: iter([without]), RNG)
    asked = [encoder.admissible(with_private.slice(0, 1)) for encoder in (parent, child, fresh)]
    assert [bool(one[0]) for one in asked if one is not None] == [False, False, True]


def test_labels_that_fit_conditions() -> None:
    schema, rows = pairs(40)
    encoder = MultimodalEncoder.fit(schema, lambda: iter([rows]), RNG)
    joint, labels = encoder.joint, encoder.joint_labels
    assert labels.values.to_pylist() == [
        *('["large", "grey"]', '["large", "white"]', '["small", "grey"]', '["small", "white"]')
    ]
    assert joint.fitting(labels, {}).tolist() == [[True] * 4]
    assert joint.fitting(labels, {"size": "small"}).tolist() == [[False, False, True, True]]
    one_a_row = joint.fitting(labels, {"size": ["small", "large"], "shade": "grey"})
    assert one_a_row.tolist() == [[False, False, True, False], [True, False, False, False]]
    with pytest.raises(DataError, match="no label of enough training rows fits"):
        joint.fitting(labels, {"size": "tiny"})
    with pytest.raises(DataError, match="conditions on 'size', 'shade', found one on 'caption'"):
        joint.fitting(labels, {"caption": "x"})


def test_a_rare_combination_is_never_drawn() -> None:
    schema, rows = pairs(40)
    combined = [
        f"{a} {b}" for a, b in zip(*(rows[n].to_pylist() for n in ("size", "shade")), strict=True)
    ]
    rare = [i for i, value in enumerate(combined) if value == "small grey"][4:]
    kept = rows.take([i for i in range(40) if i not in rare])
    encoder = MultimodalEncoder.fit(schema, lambda: iter([kept]), RNG)
    assert isinstance(encoder.joint_labels, Labels)
    assert encoder.joint_labels.is_common.tolist() == [True, True, False, True]
    with pytest.raises(DataError, match="no label of enough"):
        encoder.joint.fitting(encoder.joint_labels, {"size": "small", "shade": "grey"})


def _with(schema: DatasetSchema, *columns: Column) -> DatasetSchema:
    table = schema.main.model_copy(update={"columns": columns})
    return schema.model_copy(update={"tables": (table,), "target": None})


def test_other_columns_are_refused() -> None:
    schema, _ = pairs(5)
    image, text, size, _ = schema.main.columns
    with pytest.raises(
        DataError, match=r"one column of images and one of texts .* \['image'\] and \[\]"
    ):
        label_columns(_with(schema, image, size))
    price = Column(name="price", type="double", meaning="numeric")
    with pytest.raises(DataError, match=r"found also \['price'\]: drop them"):
        label_columns(_with(schema, image, text, size, price))
