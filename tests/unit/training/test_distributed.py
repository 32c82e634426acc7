"""A training by several processes: real ones, which talk by gloo."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.encoding.base import Batches
from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator
from tasks.params import TrainParams
from tasks.storage import StoredRows, write_dataset
from tasks.training import distributed
from tasks.training.checkpoint import Checkpoint
from tasks.training.distributed import Group
from tasks.training.loop import fit
from tasks.training.model import Fitted
from tasks.training.trainer import Report
from tests.fakes import (
    NumbersGan,
    NumbersGenerator,
    NumbersParams,
    numbers_batch,
    numbers_schema,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> StoredRows:
    folder = tmp_path_factory.mktemp("rows")
    write_dataset(folder, numbers_schema("a", "b"), {"numbers": [numbers_batch(300)]})
    return StoredRows(folder, "numbers")


def _fit(
    rows: Batches,
    generator: type[DataGenerator] = NumbersGenerator,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda _step, _metrics: None,
    **settings: Any,
) -> Fitted:
    return fit(
        generator,
        NumbersParams(),
        numbers_schema("a", "b"),
        rows,
        TrainParams(threads=1, device="cpu", epochs=2, **settings),
        seed=1,
        checkpoint=checkpoint,
        report=report,
    )


def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "affordable", lambda parts, device: 1)


class Killed(Exception):
    """Stands for `kill -9`."""


def test_two_processes_continue_what_one_began_and_end_with_the_same_bytes(
    rows: StoredRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(step: int, _: object) -> None:
        if step == 18:
            raise Killed

    _alone(monkeypatch)
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)
    alone = _fit(rows, NumbersGan, processes=4)
    with pytest.raises(Killed):
        _fit(rows, NumbersGan, processes=4, checkpoint=Checkpoint(tmp_path), report=kill)
    saved = Checkpoint(tmp_path).load()
    assert saved is not None
    assert saved[1]["step"] == 9
    monkeypatch.setattr(distributed, "affordable", lambda parts, device: 2)
    together = _fit(rows, NumbersGan, processes=4, checkpoint=Checkpoint(tmp_path))
    assert together.summary == alone.summary
    weights = alone.generator.state_dict()
    assert all(torch.equal(w, weights[n]) for n, w in together.generator.state_dict().items())


def test_parts_make_the_step_of_the_whole_batch(
    rows: StoredRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    _alone(monkeypatch)
    whole, parts = (_fit(rows, _Quiet, processes=n).generator.state_dict() for n in (1, 3))
    for name, weights in whole.items():
        assert torch.allclose(weights, parts[name], atol=1e-6), name


class _Quiet(NumbersGenerator):
    """Without noise and batch statistics, which parts have each of their own."""

    def forward(self, batch: Any, objective: str = "loss") -> torch.Tensor:
        inner = self.narrow(batch["numbers"])
        for layer in (self.widen[0], self.widen[2], self.widen[4]):
            inner = layer(inner)
        return (batch["numbers"] - inner).square().sum(1)


def test_a_launcher_from_outside(
    rows: StoredRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables are those of torchrun; two processes of the same script, as it starts them."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from tasks.storage import StoredRows\n"
        "from tests.unit.training.test_distributed import _fit, _total\n"
        f"rows = StoredRows(Path({str(rows.folder)!r}), {rows.table!r})\n"
        "print(_total(_fit(rows, processes=2)))\n"
    )
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**os.environ, **place, "RANK": rank, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    printed = [process.communicate(timeout=120)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    _alone(monkeypatch)
    assert printed == [str(_total(_fit(rows, processes=2)))] * 2


def _total(fitted: Fitted) -> float:
    return sum(weights.double().sum().item() for weights in fitted.generator.state_dict().values())


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def test_the_wrong_number_of_processes(rows: StoredRows, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match=r"processes is 3, but 2 processes were started: set"):
        _fit(rows, processes=3)


def test_a_process_that_dies_is_told(rows: StoredRows) -> None:
    gone = dataclasses.replace(rows, folder=rows.folder / "gone")
    with (
        pytest.raises(TrainingError, match="ended with exit code 7"),
        distributed.helpers(2, _die, gone) as store,
        distributed.member(Group(size=2), torch.device("cpu"), store),
    ):
        Group(size=2).gather(torch.zeros(1))


def test_rows_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "affordable", lambda parts, device: 2)
    with pytest.raises(
        TrainingError, match=r"rows such as StoredRows, or set train.processes to 1"
    ):
        _fit(lambda: iter([numbers_batch(300)]), processes=2)


def _die(group: Group, store: Path, _: object) -> None:
    with distributed.member(group, torch.device("cpu"), store):
        os._exit(7)


def test_as_many_processes_as_share_the_parts_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(5)))
    cpu = torch.device("cpu")
    assert [distributed.affordable(n, cpu) for n in (1, 4, 6, 7, 10)] == [1, 4, 3, 1, 5]
