"""Rows on the device and in mapped files, and what a step needs."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.encoding.base import count, select
from tasks.errors import TrainingError
from tasks.storage import StoredRows, write_dataset
from tasks.training.data import GIB, Rows, budget_bytes, bytes_per_row
from tests.fakes import NumbersEncoder, numbers_batch, numbers_schema

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path: Path) -> StoredRows:
    schema = numbers_schema("a", "b")
    write_dataset(tmp_path, schema, {"numbers": [numbers_batch(100), numbers_batch(20, seed=1)]})
    return StoredRows(tmp_path, "numbers")


@pytest.fixture
def encoder(stored: StoredRows) -> NumbersEncoder:
    return NumbersEncoder.fit(numbers_schema("a", "b"), stored, np.random.default_rng(0))


def test_rows_in_memory_and_in_files_are_the_same(
    stored: StoredRows, encoder: NumbersEncoder, tmp_path: Path
) -> None:
    inside = Rows.encode(encoder, stored, CPU, budget_bytes=960)  # 120 rows of two float32
    mapped = Rows.encode(encoder, stored, CPU, budget_bytes=959, scratch=tmp_path / "scratch")
    assert (inside.is_mapped, mapped.is_mapped) == (False, True)
    assert len(inside) == len(mapped) == 120
    index = torch.tensor([119, 0, 7, 7])
    for _ in range(2):
        assert torch.equal(inside.take(index)["numbers"], mapped.take(index)["numbers"])
        mapped.release()
    # Nothing is left behind if the process dies: the files have no names.
    assert list((tmp_path / "scratch").iterdir()) == []


def test_rows_that_are_coming_are_those_that_are_taken(
    stored: StoredRows, encoder: NumbersEncoder, tmp_path: Path
) -> None:
    rows = Rows.encode(encoder, stored, CPU, budget_bytes=0, scratch=tmp_path)
    inside = Rows.encode(encoder, stored, CPU, budget_bytes=1e9)
    first, then = torch.arange(120).flip(0).tensor_split(2)
    rows.prepare([first, then])
    rows.prepare([then, first[:7]])  # of what is forgotten nothing is left
    for index in (then, first, first[:7], then):
        assert torch.equal(rows.take(index)["numbers"], inside.take(index)["numbers"])
    assert rows._coming == {}
    # Rows that are there need no fetching.
    inside.prepare([first])
    assert inside._coming == {}


def test_no_room_for_the_files(
    stored: StoredRows, encoder: NumbersEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(TrainingError, match=r"No space left on device; make room there, or raise"):
        Rows.encode(encoder, stored, CPU, budget_bytes=0, scratch=tmp_path)


def test_no_rows(encoder: NumbersEncoder) -> None:
    with pytest.raises(TrainingError, match="rows to train on, found none"):
        Rows.encode(encoder, lambda: iter([numbers_batch(0)]), CPU, budget_bytes=1e9)


def test_the_budget_is_half_of_what_is_granted_or_free() -> None:
    assert budget_bytes(CPU, 3.0) == 1.5 * GIB
    assert 0 < budget_bytes(CPU, None) < 2**50


def test_bytes_of_a_row_are_counted_by_hand() -> None:
    weights = torch.ones(5, 7, requires_grad=True)
    rows = torch.ones(8, 5)

    def losses(index: torch.Tensor) -> torch.Tensor:
        # Kept for the backward pass: the rows taken (5 numbers) and the result of exp (7).
        return (rows[index] @ weights).exp().sum(1)

    assert bytes_per_row(losses, torch.arange(8), [weights]) == 2 * 4 * (5 + 7)


def test_a_pass_over_some_columns(stored: StoredRows) -> None:
    assert count(stored) == count(functools.partial(stored, None)) == 120
    for batches in (stored, functools.partial(stored, None)):
        names = [batch.schema.names for batch in select(batches, ["b"])]
        assert set(map(tuple, names)) == {("b",)}
    assert [batch.schema.names for batch in stored(["b"])] == [["b"]]
