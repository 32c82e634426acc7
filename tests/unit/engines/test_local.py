"""Threads that read parts ahead: order, memory, tries, ends."""

import itertools
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tasks import retry
from tasks.engines.base import Progress
from tasks.engines.local import LocalEngine
from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.schema import DatasetSchema
from tasks.sources.base import Part, Source, SourceSettings, column, table_schema
from tests.datasets import write_people

MIB = 2**20

TABLE = table_schema("t", [column("n", pa.int64())])


class Numbers(Source):
    """Parts of whole numbers; `spoil` may wait or fail before any batch is given."""

    Settings = SourceSettings

    def __init__(
        self,
        sizes: list[list[int]],
        spoil: Callable[[int, int], None] = lambda part, batch: None,
        **settings,
    ) -> None:
        super().__init__(settings, kind="tabular", target=None, project=Path())
        self.sizes, self.spoil = sizes, spoil
        self.threads: set[str] = set()
        self.n_read = [0] * len(sizes)

    def schema(self) -> DatasetSchema:
        return self.dataset(TABLE)

    def parts(self, table) -> list[Part]:
        return [Part({"i": i}) for i in range(len(self.sizes))]

    def read_part(self, table, part) -> Iterator[pa.RecordBatch]:
        self.threads.add(threading.current_thread().name)
        i = part.place["i"]
        first = sum(sum(sizes) for sizes in self.sizes[:i])
        for j, size in enumerate(self.sizes[i]):
            self.spoil(i, j)
            numbers = pa.array(range(first, first + size), pa.int64())
            self.n_read[i] += 1
            yield pa.RecordBatch.from_pydict({"n": numbers})
            first += size


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Waits are short, and no thread outlives its test."""
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("load", "map"))]


def load(source: Source, report=None) -> list[int]:
    with LocalEngine() as engine, source:
        batches = engine.load(source, TABLE, list(source.parts(TABLE)), report)
        return [n for batch in batches for n in batch["n"].to_pylist()]


def test_rows_come_in_the_order_of_the_parts():
    def slow_start(part: int, batch: int) -> None:
        time.sleep(0.002 * (5 - part))

    source = Numbers([[3, 4], [], [1], [0, 2], [5]], slow_start, workers=4)
    assert load(source) == list(range(15))
    assert len(source.threads) > 1


def test_parts_are_reported_one_by_one():
    seen: list[Progress] = []
    load(Numbers([[1], [2], [3]]), seen.append)
    assert seen == [Progress(1, 3), Progress(2, 3), Progress(3, 3)]


def test_no_parts_are_no_rows():
    assert load(Numbers([])) == []


@pytest.mark.parametrize("workers", [1, 3, None])
def test_workers_leave_no_trace(workers):
    sizes = [[7] * (i % 4) for i in range(20)]
    assert load(Numbers(sizes, workers=workers)) == list(range(sum(map(sum, sizes))))


def test_what_waits_stays_within_the_memory():
    # 16 MiB of memory, a quarter of it for what waits: four batches of 1 MiB.
    batch = MIB // 8
    gate = threading.Event()
    source = Numbers(
        [[batch] * 3, *([batch] * 10 for _ in range(3))],
        lambda part, _: None if part else assert_set(gate),
        memory_mib=16,
        workers=4,
    )
    with LocalEngine() as engine, source:
        batches = engine.load(source, TABLE, source.parts(TABLE))
        threading.Timer(0.2, gate.set).start()
        next(batches)  # the others had time to fill the memory
        # Each thread holds one batch that it could not give yet.
        assert 4 <= sum(source.n_read[1:]) <= 4 + 3
        n_rows = batch + sum(b.num_rows for b in batches)
    assert n_rows == 33 * batch


def assert_set(event: threading.Event) -> None:
    assert event.wait(10)


def test_batches_larger_than_the_memory_get_through():
    huge = 3 * MIB  # 24 MiB of 8 bytes each
    sizes = [[huge, 5], [huge], [huge]]
    source = Numbers(sizes, memory_mib=16, workers=3)
    with LocalEngine() as engine, source:
        batches = engine.load(source, TABLE, source.parts(TABLE))
        assert [batch.num_rows for batch in batches] == [huge, 5, huge, huge]


class Breaks:
    """Raises the errors of a list, one by one, before batch `at` of part `part`."""

    def __init__(self, part: int, at: int, *errors: Exception) -> None:
        self.part, self.at, self.errors = part, at, list(errors)

    def __call__(self, part: int, batch: int) -> None:
        if (part, batch) == (self.part, self.at) and self.errors:
            raise self.errors.pop(0)


def test_a_part_that_breaks_off_goes_on_where_it_was(caplog):
    caplog.set_level(logging.WARNING)
    breaks = Breaks(1, 2, *(SourceUnavailable("the line broke") for _ in range(3)))
    source = Numbers([[2, 2], [3, 3, 3], [1]], breaks, workers=2)
    assert load(source) == list(range(14))
    assert "the line broke; part 2 of 3 of t is read again in" in caplog.text
    assert "from its row 7 on" in caplog.text


def test_rows_come_once_though_batches_differ_between_tries():
    class Recut(Numbers):
        tries = 0

        def read_part(self, table, part):
            self.tries += 1
            sizes = [4, 4, 2] if self.tries == 1 else [3, 3, 3, 1]
            first = 0
            for j, size in enumerate(sizes):
                if self.tries == 1 and j == 2:
                    raise SourceUnavailable("gone")
                yield pa.RecordBatch.from_pydict({"n": range(first, first + size)})
                first += size

    assert load(Recut([[10]])) == list(range(10))


def test_it_gives_up_after_all_tries():
    errors = [SourceUnavailable("the line broke") for _ in range(retry.TRIES)]
    source = Numbers([[1], [1, 1]], Breaks(1, 1, *errors))
    with pytest.raises(SourceUnavailable, match="the line broke"):
        load(source)
    assert source.n_read[1] == retry.TRIES


def test_a_try_that_comes_further_starts_the_count_anew():
    class Breaking(Numbers):
        """Breaks once before each batch."""

        def read_part(self, table, part):
            for j, batch in enumerate(super().read_part(table, part)):
                if j not in broken:
                    broken.add(j)
                    raise SourceUnavailable("again")
                yield batch

    broken: set[int] = set()
    sizes = [2] * (2 * retry.TRIES)
    assert load(Breaking([sizes])) == list(range(4 * retry.TRIES))


@pytest.mark.parametrize("error", [SourceChanged("other rows"), SourceError("no such column")])
def test_errors_that_no_try_helps_end_all_threads_at_once(error):
    def spoil(part: int, batch: int) -> None:
        if part == 2:
            raise error
        time.sleep(0.002)

    source = Numbers([[1] * 1_000, [1] * 1_000, [1]], spoil, workers=3)
    started = time.monotonic()
    with pytest.raises(type(error), match=str(error)):
        load(source)
    assert time.monotonic() - started < 1


def test_a_part_with_fewer_rows_than_before_has_changed():
    class Shrinking(Numbers):
        def read_part(self, table, part):
            yield from super().read_part(table, part)
            self.sizes = [[1]]
            if not broken:
                broken.append(True)
                raise SourceUnavailable("gone")

    broken: list[bool] = []
    with pytest.raises(SourceChanged, match="part 1 of 't' had 5 rows or more, and has 1 now"):
        load(Shrinking([[2, 3]]))


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A shell starts what it runs in the background deaf to interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_ends_all_threads():
    source = Numbers([[1] * 500] * 3, lambda part, _: time.sleep(0.001), workers=3)
    main = threading.main_thread().ident
    timer = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        load(source)
    assert max(source.n_read) < 500


def test_who_stops_listening_ends_all_threads():
    source = Numbers([[1] * 500] * 3, lambda part, _: time.sleep(0.001), workers=3)
    with source, LocalEngine() as engine:
        batches = engine.load(source, TABLE, source.parts(TABLE))
        next(batches)
    assert max(source.n_read) < 500


def test_functions_of_batches_come_in_order_with_their_notes(tmp_path):
    n = 70_000
    people = {"id": range(n), "age": [1.0] * n, "sex": ["f"] * n}
    write_people(tmp_path / "d", {k: list(v) for k, v in people.items()})

    def first_and(batch: pa.RecordBatch, note: int) -> tuple[int, int]:
        time.sleep(0.01 if note == 0 else 0)
        return batch["id"][0].as_py(), note

    with LocalEngine() as engine:
        found = list(engine.map(tmp_path / "d", "people", first_and, itertools.count()))
        assert found == [(0, 0), (65_536, 1)]
        assert list(engine.map(tmp_path / "d", "people", len)) == [65_536, n - 65_536]


def test_a_function_that_fails_ends_the_map(tmp_path):
    write_people(tmp_path / "d", {"id": [1], "age": [1.0], "sex": ["f"]})

    def fail(batch: pa.RecordBatch) -> None:
        raise ValueError("odd")

    with LocalEngine() as engine, pytest.raises(ValueError, match="odd"):
        list(engine.map(tmp_path / "d", "people", fail))
