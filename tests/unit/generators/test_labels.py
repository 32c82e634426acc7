"""Which labels are drawn for."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.encoding.labels import Labels
from tasks.errors import TrainingError
from tasks.generators.labels import draw_labels
from tasks.schema import Column

HUGE = 2**64 - 1
LABELS = Labels(
    Column(name="label", type="uint64", meaning="categorical"),
    pa.array([1, HUGE], pa.uint64()),
    np.array([5, 7]),
)


@pytest.mark.parametrize("given", [[HUGE, 1, HUGE], pa.array([HUGE, 1, HUGE], pa.uint64())])
def test_labels_beyond_signed_numbers_can_be_held(given: list[int] | pa.Array) -> None:
    drawn = draw_labels(LABELS, 3, torch.Generator(), {"label": given})
    assert drawn.tolist() == [1, 0, 1]


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(TrainingError, match="impossible condition on 'label'"):
        draw_labels(LABELS, 1, torch.Generator(), {"label": [2]})
