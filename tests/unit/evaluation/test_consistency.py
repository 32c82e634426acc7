"""Whether image, text and label of a row agree, on rows of which we know it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation import paired_rows
from tasks.evaluation.base import NotApplicable, metrics_of
from tasks.evaluation.comparison import Comparison, load
from tasks.evaluation.fidelity.consistency import (
    image_consistency,
    pair_consistency,
    text_consistency,
)
from tasks.storage import write_dataset
from tests.pairs import pairs

N_ROWS = 120


def _loaded(folder: Path, synthetic: pa.RecordBatch, labels: tuple[str, ...]) -> Comparison:
    schema, train = pairs(N_ROWS, 0, labels=labels)
    _, holdout = pairs(N_ROWS, 1, labels=labels)
    parts = {"split/train": train, "split/holdout": holdout, "synthetic": synthetic}
    for place, rows in parts.items():
        (folder / place).mkdir(parents=True)
        write_dataset(folder / place, schema, {"pairs": [rows]})
    return load(folder / "split", folder / "synthetic", seed=0)


def _swapped(rows: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """Half of the rows with the values of other rows in one column."""
    order = np.arange(len(rows))
    order[: len(rows) // 2] = np.roll(order[: len(rows) // 2], 1)
    return rows.set_column(
        rows.schema.get_field_index(name), name, rows.column(name).take(pa.array(order))
    )


def test_rows_that_agree(tmp_path: Path) -> None:
    data = _loaded(tmp_path, pairs(N_ROWS, 2)[1], ("size", "shade"))
    for metric in (image_consistency, text_consistency, pair_consistency):
        found = metric(data)
        assert found.value > 0.9
        assert found.reference is not None
        assert found.reference > 0.9


@pytest.mark.parametrize(
    ("name", "disagree", "agree"),
    [
        ("size", (image_consistency, text_consistency), pair_consistency),
        ("caption", (text_consistency, pair_consistency), image_consistency),
        ("image", (image_consistency, pair_consistency), text_consistency),
    ],
)
def test_what_was_swapped_is_told(name: str, disagree: tuple, agree, tmp_path: Path) -> None:  # type: ignore[no-untyped-def, type-arg]
    synthetic = _swapped(pairs(N_ROWS, 2)[1], name)
    data = _loaded(tmp_path, synthetic, ("size", "shade"))
    # Half of the rows have the label of another row, which is another one for half of these.
    assert [metric(data).value < 0.85 for metric in disagree] == [True, True]
    assert agree(data).value > 0.9


def test_without_labels_there_is_nothing_to_agree_on(tmp_path: Path) -> None:
    data = _loaded(tmp_path, pairs(N_ROWS, 2, labels=())[1], ())
    with pytest.raises(NotApplicable, match="no labels"):
        pair_consistency(data)


def test_many_rows_are_compared_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired_rows, "MAX_PAIRS", 50)
    data = _loaded(tmp_path, pairs(N_ROWS, 2, labels=("size",))[1], ("size",))
    assert {len(view.train) for view in data.views.values()} == {50}
    assert (data.views["image"].train.codes == data.views["text"].train.codes).all()
    assert text_consistency(data).value > 0.9


def test_both_views_are_measured_by_their_own_metrics() -> None:
    names = set(metrics_of("multimodal"))
    for view in ("image", "text"):
        assert {f"{view}_{name}" for name in metrics_of(view)} <= names  # type: ignore[arg-type]
    assert {"image_consistency", "text_consistency", "pair_consistency"} <= names
