"""Train a generator on the balanced training data."""

import contextlib
import functools
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import BaseModel

from tasks.errors import ParamsError, TrainingError, WorkspaceError
from tasks.generators.base import DataGenerator
from tasks.generators.precision import multiplies_in_bfloat16
from tasks.noise import derive_key
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.splits.balancing import ADDING
from tasks.splits.record import BalanceRecord
from tasks.storage import StoredRows, count_rows, digest, new_folder
from tasks.tracking import Tracker, Training
from tasks.training import distributed
from tasks.training.checkpoint import Checkpoint, code_digests, fingerprint
from tasks.training.device import choose_device
from tasks.training.loop import fit
from tasks.training.model import generator_class, generator_params, save_model
from tasks.training.private import check_private_dataset
from tasks.training.roles import Roles
from tasks.training.transfer import Parent
from tasks.workspace import git

_LIBRARIES = ("numpy", "opacus", "pyarrow", "scipy")
"""That decide, beside torch, what a training with privacy computes."""

KEY_FILE = "run.key"
"""Beside the checkpoint: the key of the MLflow run that a retry continues."""


def train(
    balanced: Path,
    model: Path,
    params: DatasetParams,
    dataset: str,
    *,
    checkpoints: Path,
    tracker: Tracker,
    noise_key: bytes | None = None,
    parent: Parent | None = None,
) -> None:
    """Train the dataset's generator; continue where an interrupted training of the same work was.

    Reads:
        balanced: the training data.
        parent: the model that `train.init_from` names.
    Writes:
        model: see `tasks.training.model`.
        checkpoints: a folder per piece of work, removed when its model is in place. Processes of a
            launcher such as torchrun, on one machine or several, must all see it.

    Raises:
        ParamsError: there is no such generator, it has no such settings, it cannot be trained with
            the privacy that is asked for, or not from the weights of the parent.
        TrainingError: the data has several tables, or see `fit`.
        TrackingUnavailable: MLflow does not answer.
    """
    schema = DatasetSchema.load(balanced)
    if len(schema.tables) > 1:
        names = ", ".join(table.name for table in schema.tables)
        raise TrainingError(
            f"{params.generator} models one table, but {dataset} has {len(schema.tables)}: {names}"
        )
    cls = generator_class(params.kind, params.generator)
    where = f"datasets.{dataset}.generator_params"
    settings = generator_params(cls, params.generator_params, where)
    check_private_dataset(cls, params, f"datasets.{dataset}")
    _check_balance(cls, params, dataset)
    if parent and parent.encoder.schema.encrypted and not schema.encrypted:
        raise ParamsError(
            f"datasets.{dataset}.train.init_from: the rows of {parent.place} are stored encrypted, but"
            f" what is learned of {dataset} is not: encrypt it too, or start from another model"
        )
    facts = _facts(balanced, settings, params, parent)
    work = fingerprint({**facts, "code": code_digests(cls)})
    table = schema.main.name
    rows = StoredRows(balanced, table)
    record = BalanceRecord.load(balanced)
    if params.train.privacy and record:
        # Privacy is of the rows trained on, which all count the same; nothing is validated.
        rows = StoredRows(balanced, table, first=record.real_rows)
    profile = {"rows": count_rows(balanced, table), "columns": len(schema.main.columns)}
    about = _training(dataset, facts, work, profile, balanced)
    folder = checkpoints / f"{dataset}-{work[:16]}"
    share = functools.partial(
        fit,
        cls,
        settings,
        schema,
        rows,
        params.train,
        seed=params.seed,
        key=derive_key(noise_key, work) if noise_key else None,
        roles=None if params.train.privacy or not record else _roles(record, rows),
        parent=parent,
    )
    if (place := distributed.launched()) and not place.is_first:
        # Of several processes that a launcher started, the first one alone logs and writes.
        share(checkpoint=Checkpoint(folder))
        return
    with Checkpoint.locked(folder) as checkpoint:
        with tracker.run(about, checkpoint.folder / KEY_FILE) as run:
            fitted = share(checkpoint=checkpoint, report=run.log, observer=run)
            with new_folder(model) as draft:
                save_model(draft, params.kind, params.generator, settings, fitted)
                if record and record.method == "generate":
                    record.save(draft, encrypt=schema.encrypted)  # what `sample` is to draw
                run.log_model(draft, digest(draft))
        checkpoint.remove()


def _check_balance(cls: type[DataGenerator], params: DatasetParams, dataset: str) -> None:
    """Refuse what would train as if nothing had been said."""
    method = params.balance.method
    if method in ("class_weights", *ADDING) and not cls.learns_in_steps:
        raise ParamsError(
            f"datasets.{dataset}.balance.method: {params.generator} measures the real rows at once,"
            f" and {method!r} would change nothing; take generate or undersample, or another"
            " generator"
        )
    if method == "generate" and not cls.holds_target:
        raise ParamsError(
            f"datasets.{dataset}.balance.method: {params.generator} cannot draw rows for given values"
            " of the target, which 'generate' asks for; choose another generator, or class_weights"
        )


def _facts(
    balanced: Path, settings: BaseModel, params: DatasetParams, parent: Parent | None
) -> dict[str, Any]:
    """All that the result of a training depends on, but for the code."""
    facts: dict[str, Any] = {
        "data": digest(balanced),
        "seed": params.seed,
        "generator": params.generator,
        "generator_params": settings.model_dump(mode="json"),
        "train": params.train.model_dump(mode="json"),
        "device": _device_name(choose_device(params.train.device)),
        "torch": torch.__version__,
    }
    if parent:
        facts["parent"] = parent.sha256
    if params.train.privacy:
        # Where a result may differ, noise must: two results with one noise tell their difference.
        facts["libraries"] = {n: importlib.metadata.version(n) for n in _LIBRARIES}
    return facts


def _roles(record: BalanceRecord, rows: StoredRows) -> Roles | None:
    """What the rows of a balanced dataset are for; None: they are all alike."""
    weights = None
    if (target := record.target) is not None:
        if record.method == "class_weights":
            weights = _class_weights(record, _classes(record, target, rows))
        elif record.method != "generate" and record.validation_rows:
            weights = np.ones(len(rows), dtype=np.float32)
            last = slice(len(rows) - record.validation_rows, None)
            weights[last] = _validation_weights(record, _classes(record, target, rows)[last])
    if weights is None and not record.added_rows and not record.validation_rows:
        return None
    real = StoredRows(rows.folder, rows.table, first=record.real_rows)
    return Roles(real, record.validation_rows, weights)


def _classes(record: BalanceRecord, target: str, rows: StoredRows) -> np.ndarray:
    """(N,) the place of each row's class in the record; -1: only validation rows have it."""
    known = pa.array([c.value for c in record.classes], pa.string())
    pieces = [
        np.asarray(pc.index_in(batch[0].cast(pa.string()), known).fill_null(-1))
        for batch in rows([target])
    ]
    classes: np.ndarray = np.concatenate(pieces)
    return classes


def _class_weights(record: BalanceRecord, classes: np.ndarray) -> np.ndarray:
    """(N,) how much each row counts; 1 where its class was never weighed."""
    by_class = np.array([*(c.weight for c in record.classes), 1.0], dtype=np.float32)
    weights: np.ndarray = by_class[classes]
    return weights


def _validation_weights(record: BalanceRecord, classes: np.ndarray) -> np.ndarray:
    """(N,) how much each validation row counts, so that the classes count as they are trained on.

    Validation rows have the real shares: by these the best epoch would be one that has not yet
    learned the wanted ones.
    """
    has = np.bincount(classes[classes >= 0], minlength=len(record.classes))
    wanted = np.where(has > 0, [c.wanted for c in record.classes], 0)
    by_class = wanted / np.maximum(has, 1) * has.sum() / max(1, wanted.sum())
    weights: np.ndarray = np.append(by_class, 1.0).astype(np.float32)[classes]
    return weights


def _training(
    dataset: str, facts: Mapping[str, Any], work: str, profile: Mapping[str, int], balanced: Path
) -> Training:
    tags = {"dataset": dataset, "generator": str(facts["generator"]), "fingerprint": work}
    # Outside of a git repository there is no commit to name.
    with contextlib.suppress(WorkspaceError):
        tags["git_commit"] = git(balanced, "rev-parse", "HEAD")
    return Training(
        dataset=dataset,
        params={name: value for name, value in facts.items() if name != "data"},
        data_digest=str(facts["data"]),
        data_profile=profile,
        tags=tags,
    )


def _device_name(device: torch.device) -> str:
    """Weights differ in their last bits between models of GPUs, and by how products are computed."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "cpu with AMX" if multiplies_in_bfloat16(device) else "cpu"
