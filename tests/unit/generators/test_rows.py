"""The cells of a row as symbols and scores, and the layers that read and write them."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from tasks.encoding.tabular import TabularEncoder
from tasks.errors import TrainingError
from tasks.generators.tabular.parts import rows as parts_rows
from tasks.generators.tabular.parts.rows import (
    Cells,
    RowOutput,
    Rows,
    as_batch,
    held_columns,
    held_label,
    label_column,
)
from tests.datasets import table_of

CPU = torch.device("cpu")
N = 100


@pytest.fixture(scope="module")
def encoder() -> TabularEncoder:
    """Two texts, a number with a spike at 0 and missing values, and a constant."""
    x = np.arange(N) + 0.5
    x[:40] = 0.0
    columns = {
        "side": pa.array(["left", "right"] * (N // 2)),
        "x": pa.array(x, mask=np.arange(N) >= 90),
        "same": pa.array(["k"] * N),
        "letter": pa.array(list("abcdefghij") * (N // 10)),
    }
    return _encoder(columns, "side")


def _encoder(columns: dict[str, pa.Array], target: str | None) -> TabularEncoder:
    schema, batch = table_of(columns, target)
    return TabularEncoder.fit(schema, lambda: iter([batch]), np.random.default_rng(0))


def _batch(tokens: list[list[int]], rank: float = 0.5) -> dict[str, Tensor]:
    ranks = torch.full((len(tokens), 1), rank)
    return {"tokens": torch.tensor(tokens), "rank_low": ranks, "rank_high": ranks}


def test_a_constant_column_needs_no_symbol_and_a_spike_no_score(encoder: TabularEncoder) -> None:
    rows = Rows(encoder)
    assert rows.columns == [0, 1, 3]
    assert rows.sizes == [2, 3, 10]
    continuous = encoder.columns[1].continuous_token
    assert continuous == 1
    cells = rows(_batch([[1, 0, 0, 4], [0, 1, 0, 9]], rank=0.975))
    assert cells.symbols.tolist() == [[1, 0, 4], [0, 1, 9]]
    assert cells.present.tolist() == [[0.0], [1.0]]
    assert cells.scores[:, 0].tolist() == pytest.approx([0.0, 1.95996], abs=1e-4)
    assert rows.tokens(cells.symbols).tolist() == [[1, 0, 0, 4], [0, 1, 0, 9]]


def test_a_column_of_many_tokens_is_written_in_two_digits(
    encoder: TabularEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_rows, "MAX_SYMBOLS", 5)
    rows = Rows(encoder)
    # The ten letters have digits of base ceil(sqrt(10)) = 4: 0 to 2, then 0 to 3.
    assert rows.sizes == [2, 3, 3, 4]
    every = torch.zeros(10, 4, dtype=torch.long)
    every[:, 3] = torch.arange(10)
    symbols = rows.symbols(every)
    assert symbols[7].tolist() == [0, 0, 1, 3]
    assert torch.equal(rows.tokens(symbols), every)
    # Twelve pairs of digits, ten letters: what is beyond the last letter is the last letter.
    assert rows.tokens(torch.tensor([[0, 0, 2, 3]]))[0, 3] == 9


def test_a_column_may_be_left_out(encoder: TabularEncoder) -> None:
    assert Rows(encoder, without=0).columns == [1, 3]


def test_the_likelihood_of_cells_is_that_of_their_distributions() -> None:
    output = RowOutput(1, sizes=[2], n_scores=1)
    assert output.logits is not None
    assert output.gaussians is not None
    with torch.no_grad():
        for layer in (output.logits, output.gaussians):
            layer.weight.zero_()
        output.logits.bias.copy_(torch.tensor([0.0, math.log(3)]))
        output.gaussians.bias.copy_(torch.tensor([1.0, math.log(2)]))
    cells = Cells(
        torch.tensor([[1], [0]]), torch.tensor([[3.0], [0.0]]), torch.tensor([[1.0], [0]])
    )
    found = output.log_likelihood(torch.zeros(2, 1), cells)
    # Of the second row, the score is not there.
    density = -0.5 - math.log(2) - 0.5 * math.log(2 * math.pi)
    assert found.tolist() == pytest.approx([math.log(0.75) + density, math.log(0.25)])


def test_what_is_held_is_one_value_or_one_a_row(encoder: TabularEncoder) -> None:
    held = held_columns(encoder, {"side": "right", "letter": pa.array(["a", "c", "a"])}, 3, CPU)
    right = int(encoder.encode_values("side", ["right"])[0][0])
    a, c = encoder.encode_values("letter", ["a", "c"])[0].tolist()
    assert held[0].tokens.tolist() == [right] * 3
    assert held[3].tokens.tolist() == [a, c, a]
    written = as_batch(encoder, torch.zeros(3, 4, dtype=torch.long), torch.zeros(3, 1), held)
    assert written["tokens"][:, 3].tolist() == [a, c, a]
    held = held_columns(encoder, {"x": [0.0, None, 60.5]}, 3, CPU)
    written = as_batch(encoder, torch.zeros(3, 4, dtype=torch.long), torch.zeros(3, 1), held)
    decoded = encoder.decode(written, np.random.default_rng(0)).column("x")
    assert decoded.to_pylist() == [0.0, None, 60.5]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"side": ["left", "right"]}, "expected one value or 3, found 2"),
        ({"side": "up"}, "cannot be held at 'up'"),
        ({"colour": "red"}, "found 'colour'"),
        ({"side": 1}, "of type string"),
        ({"side": {"a": 1}}, "of type string"),
    ],
)
def test_what_cannot_be_held_is_said(
    encoder: TabularEncoder, conditions: dict[str, object], expected: str
) -> None:
    with pytest.raises(TrainingError, match=expected):
        held_columns(encoder, conditions, 3, CPU)


def test_the_label_is_a_target_of_tokens(encoder: TabularEncoder) -> None:
    assert label_column(encoder) == 0
    x = pa.array(np.random.default_rng(0).normal(size=N))
    assert label_column(_encoder({"x": x, "y": x}, "y")) is None
    assert label_column(_encoder({"x": x, "y": x}, None)) is None
    # A label alone leaves nothing to be told about.
    assert label_column(_encoder({"side": pa.array(["l", "r"] * 50)}, "side")) is None


def test_only_the_label_can_be_held(encoder: TabularEncoder) -> None:
    assert held_label(encoder, 0, {}, 2, CPU) is None
    held = held_label(encoder, 0, {"side": "left"}, 2, CPU)
    assert held is not None
    assert len(set(held.tolist())) == 1
    with pytest.raises(TrainingError, match="the target 'side' alone, found"):
        held_label(encoder, 0, {"letter": "a"}, 2, CPU)
    with pytest.raises(TrainingError, match="expected conditions on no column"):
        held_label(encoder, None, {"letter": "a"}, 2, CPU)
