"""What is said of a load."""

import logging

import pyarrow as pa
import pytest

from tasks.engines import _progress
from tasks.engines._progress import LoadProgress
from tasks.engines.base import Progress


def batches(*sizes: int) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_pydict({"n": range(size)}) for size in sizes]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_without_a_terminal_there_are_lines_with_rows_speed_and_parts(caplog, monkeypatch):
    monkeypatch.setattr(_progress, "LOG_SECONDS", 0.0)
    with LoadProgress("orders", 2) as progress:
        assert sum(len(batch) for batch in progress.watch(batches(1_000, 234))) == 1_234
        progress.part(Progress(2, 2))
    first, second, last = caplog.messages
    assert first.startswith("reading orders: 1,000 rows, ")
    assert second.startswith("reading orders: 1,234 rows, ")
    assert last.startswith("read orders: 1,234 rows, ")
    assert last.endswith(" rows/s, part 2 of 2")


def test_short_loads_say_one_line_and_failed_ones_none(caplog):
    with LoadProgress("t", 1) as progress:
        list(progress.watch(batches(1)))
    assert len(caplog.messages) == 1
    with pytest.raises(KeyError), LoadProgress("t", 1):
        raise KeyError
    assert len(caplog.messages) == 1
