"""`proofmint tune NAME`: search better settings for a dataset's generator; propose them as a patch.

It trains on the dataset's training data only, and writes neither params.yaml nor any output of a
stage: what is found takes effect when a person applies the patch and runs the pipeline again.
"""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasks.commands.trial_table import TrialTable
from tasks.errors import DataError, ParamsError, TrainingError, WorkspaceError
from tasks.generators.base import DataGenerator
from tasks.params import PARAMS_FILE, DatasetParams, load_dataset
from tasks.schema import SCHEMA_FILE, DatasetSchema
from tasks.storage import count_rows, digest
from tasks.tracking import Run, Training, open_tracker
from tasks.training.checkpoint import Checkpoint, code_digests, fingerprint
from tasks.training.device import choose_device
from tasks.training.model import generator_class, generator_params
from tasks.training.parents import find_parent
from tasks.training.transfer import Parent
from tasks.tuning.loop import KEY_FILE, WORK_FOLDER, Tuning
from tasks.tuning.objective import Objective, Work, choose_objective, loss_tells
from tasks.tuning.patch import params_patch
from tasks.tuning.picture import draw_history
from tasks.tuning.search import VERSION, Pruner, Sampler, Search
from tasks.tuning.space import Space, default_space, parse_space
from tasks.tuning.trials import Trial, ranked
from tasks.workspace import Layout, git, project_of, state_of

PATCH_FILE = "params.patch"
PICTURE_FILE = "history.png"


def tune(
    root: Path,
    dataset: str,
    *,
    trials: int,
    timeout_seconds: float | None,
    sampler: Sampler,
    pruner: Pruner,
    metric: str,
    search: Sequence[str],
) -> int:
    """Search, show what was found, and write the patch.

    Args:
        root: holds params.yaml and data/.
        dataset: an entry of params.yaml.
        trials: of the whole search, those of interrupted commands and the present settings included.
        timeout_seconds: when to stop; the same command goes on from there.
        sampler: how trials are chosen.
        pruner: when a trial is given up for its validation losses.
        metric: `validation_loss` or a metric of tasks/evaluation.
        search: the space, see `tasks.tuning.space`; empty: a space around the present settings.

    Raises:
        ParamsError: an argument or a setting is impossible.
        DataError: the training data is not there, or cannot be used.
        TrainingError: no trial could be completed.
        TrackingUnavailable: MLflow does not answer.
    """
    _check_arguments(trials, timeout_seconds)
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    plan = _plan(root, dataset, sampler, pruner, metric, search)
    if plan.search.n_points is not None:
        trials = min(trials, plan.search.n_points + 1)
    table = TrialTable(plan.objective, list(plan.space), trials)
    table.announce(dataset, plan.params, plan.space, sampler)
    state = state_of(project_of(root))
    home = state / "tune" / dataset
    folder = home / plan.fingerprint[:16]
    with Checkpoint.locked(folder):
        tracker = open_tracker(os.environ.get("MLFLOW_TRACKING_URI"), state / "mlflow")
        tuning = Tuning(
            search=plan.search,
            work=plan.work(folder / WORK_FOLDER),
            folder=folder,
            tracker=tracker,
            about=plan.about,
            by_loss=plan.by_loss,
            watch=table.watch,
        )
        with tracker.run(plan.about, folder / KEY_FILE) as parent:
            found = _run(tuning, parent, table, trials, deadline)
            best = _best(found, plan.objective, trials)
            picture, patch = folder / PICTURE_FILE, home / PATCH_FILE
            draw_history(picture, found, plan.search.importances(), plan.objective)
            parent.log_file(picture)
            table.ranking(found)
            print(_compared(best, found[0], plan.objective))
            if text := _write_patch(root, dataset, best, patch):
                parent.log_file(patch)
                shown = patch.relative_to(root) if patch.is_relative_to(root) else patch
                print(f"\n{text}\nReview it, then: git apply {shown} && proofmint run {dataset}")
    return 0


@dataclass(frozen=True)
class _Plan:
    """A search before it begins: everything is checked."""

    params: DatasetParams
    generator_class: type[DataGenerator]
    objective: Objective
    balanced: Path
    space: Space
    search: Search
    about: Training
    fingerprint: str
    by_loss: bool
    parent: Parent | None

    def work(self, folder: Path) -> Work:
        """What a trial does, with its files in `folder`."""
        return Work(
            *(self.params, self.generator_class, self.objective, self.balanced, folder),
            parent=self.parent,
        )


def _plan(  # noqa: PLR0917 - the arguments of the command
    root: Path, dataset: str, sampler: Sampler, pruner: Pruner, metric: str, said: Sequence[str]
) -> _Plan:
    params = load_dataset(root / PARAMS_FILE, dataset)
    cls = generator_class(params.kind, params.generator)
    where = f"datasets.{dataset}.generator_params"
    settings = generator_params(cls, params.generator_params, where)
    objective = choose_objective(params.kind, metric)
    if params.train.privacy is not None:
        raise ParamsError(
            f"datasets.{dataset}.train.privacy is set, but each trial learns from the same rows and"
            " their choice would spend privacy that epsilon does not count; search on public rows"
            " of the same shape, or set `privacy` after the search"
        )
    balanced = Layout(root, dataset).balanced
    size = _check_data(balanced, dataset)
    by_loss = _check_objective(objective, params, cls, *size)
    space = parse_space(said, cls, params) if said else default_space(cls, params, *size)
    parent = find_parent(params, root)
    facts = {
        **_facts(balanced, params),
        "parent": parent.sha256 if parent else None,
        "generator_params": settings.model_dump(mode="json"),
        "metric": objective.name,
        "sampler": sampler,
        "pruner": pruner,
        "space": {name: str(domain) for name, domain in sorted(space.items())},
        "optuna": VERSION,
    }
    return _Plan(
        params=params,
        generator_class=cls,
        objective=objective,
        balanced=balanced,
        space=space,
        search=Search(space, sampler, pruner, goal=objective.goal, seed=params.seed),
        about=_about(dataset, facts, size, root),
        fingerprint=fingerprint({**facts, "code": code_digests(cls)}),
        by_loss=by_loss,
        parent=parent,
    )


def _run(
    tuning: Tuning, parent: Run, table: TrialTable, n_trials: int, deadline: float | None
) -> list[Trial]:
    """The trials, shown as they end."""
    found: list[Trial] = []
    try:
        with table.showing():
            for trial in tuning.run(parent, n_trials, deadline):
                found.append(trial)
                table.row(trial, found)
    except KeyboardInterrupt:
        print(f"\nstopped; {_progress(found, n_trials)}")
        raise
    if len(found) == n_trials:
        tuning.clean()
    elif found:
        print(f"\nthe time is over; {_progress(found, n_trials)}")
    return found


def _check_arguments(trials: int, timeout_seconds: float | None) -> None:
    if trials < 2:
        raise ParamsError(
            f"expected --trials to be at least 2 (the first is the present settings), found {trials}"
        )
    if timeout_seconds is not None and not timeout_seconds > 0:
        raise ParamsError(f"expected --timeout above 0 seconds, found {timeout_seconds}")


def _check_data(balanced: Path, dataset: str) -> tuple[int, DatasetSchema]:
    """How many rows there are to train on, and what they are."""
    if not (balanced / SCHEMA_FILE).exists():
        raise DataError(
            f"expected the training data of {dataset} in {balanced}, found none; make it with"
            f" `dvc repro balance@{dataset}`"
        )
    schema = DatasetSchema.load(balanced)
    if len(schema.tables) > 1:
        names = ", ".join(table.name for table in schema.tables)
        raise TrainingError(f"a generator models one table, but {dataset} has several: {names}")
    return count_rows(balanced, schema.main.name), schema


def _check_objective(
    objective: Objective,
    params: DatasetParams,
    cls: type[DataGenerator],
    n_rows: int,
    schema: DatasetSchema,
) -> bool:
    """Whether validation losses say how good a trial is."""
    by_loss = loss_tells(cls, n_rows, schema)
    if objective.metric is None and not by_loss:
        raise ParamsError(
            f"--metric {objective.name} says nothing about {params.generator}, whose losses do not"
            " fall as it gets better; take a metric of the drawn rows, such as c2st_auc"
        )
    return by_loss


def _facts(balanced: Path, params: DatasetParams) -> dict[str, Any]:
    """What decides how a trial ends, beside its settings."""
    device = choose_device(params.train.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "data": digest(balanced),
        "seed": params.seed,
        "generator": params.generator,
        "train": params.train.model_dump(mode="json"),
        "device": gpu or device.type,
        "torch": torch.__version__,
    }


def _about(
    dataset: str, facts: Mapping[str, Any], size: tuple[int, DatasetSchema], root: Path
) -> Training:
    tags = {"dataset": dataset, "generator": str(facts["generator"]), "command": "tune"}
    # A repository may have no commit yet.
    with contextlib.suppress(WorkspaceError):
        tags["git_commit"] = git(root, "rev-parse", "HEAD")
    return Training(
        dataset=dataset,
        params={name: value for name, value in facts.items() if name != "data"},
        data_digest=str(facts["data"]),
        data_profile={"rows": size[0], "columns": len(size[1].main.columns)},
        tags=tags,
        name=f"tune {facts['metric']}",
    )


def _best(trials: Sequence[Trial], objective: Objective, n_trials: int) -> Trial:
    if complete := ranked(trials, objective.goal):
        return complete[0]
    failed = [trial for trial in trials if trial.state == "failed"]
    if failed and len(trials) == n_trials:
        raise TrainingError(
            f"all {len(failed)} trials failed; trial {failed[0].number} with:\n{failed[0].reason}"
        )
    raise TrainingError(
        f"the time was over before a trial was complete; {_progress(trials, n_trials)}"
    )


def _progress(found: Sequence[Trial], n_trials: int) -> str:
    return f"{len(found)} of {n_trials} trials have ended; the same command goes on from there"


def _compared(best: Trial, present: Trial, objective: Objective) -> str:
    """What the best trial has over the present settings, and whether that may be chance."""
    if not best.settings:
        return f"\nNothing was better than {PARAMS_FILE} as it is, so there is no patch."
    found = f"\nTrial {best.number} has the best {objective.name}, {best.value:.4g}"
    if present.value is None:
        return f"{found}; with {PARAMS_FILE} as it is, the training failed."
    text = f"{found}; with {PARAMS_FILE} as it is, it is {present.value:.4g}."
    if _overlap(best, present):
        text += "\nTheir 95 % intervals overlap: the difference may be chance."
    return text


def _overlap(one: Trial, other: Trial) -> bool:
    if one.interval is None or other.interval is None:
        return False
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def _write_patch(root: Path, dataset: str, best: Trial, place: Path) -> str:
    """The patch of params.yaml that a trial proposes, also at `place`; empty if it changes nothing."""
    place.unlink(missing_ok=True)  # of an earlier search
    if not best.settings:
        return ""
    text = (root / PARAMS_FILE).read_text(encoding="utf-8")
    path = git(root, "rev-parse", "--show-prefix") + PARAMS_FILE
    patch = params_patch(text, dataset, best.settings, path)
    place.write_text(patch, encoding="utf-8")
    return patch
