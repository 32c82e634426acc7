"""The command line: the stages, for dvc.yaml, and the commands that people use.

The one place that reads params.yaml and the environment; everything below takes objects. A command
imports what it needs when it runs, so `proofmint --help` is quick.
"""

import argparse
import errno
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from tasks.errors import ProofmintError, WorkspaceError
from tasks.params import PARAMS_FILE, DatasetParams, load_dataset
from tasks.workspace import Gate, Layout, project_of, state_of

FAULT_FILE_VARIABLE = "PROOFMINT_FAULT_FILE"
"""Names a file into which a failing command writes what went wrong, as JSON, for its runner."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status (see tasks/errors.py)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except ProofmintError as error:
        return _fail(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            return _crash(error)
        return _fail(WorkspaceError(f"cannot write: {error}; free some space or mend the rights"))
    except Exception as error:
        return _crash(error)


def _fail(error: ProofmintError) -> int:
    print(f"error: {error}", file=sys.stderr)
    if place := os.environ.get(FAULT_FILE_VARIABLE):
        fault = {
            "type": type(error).__name__,
            "message": str(error),
            "retryable": error.retryable,
        }
        Path(place).write_text(json.dumps(fault), encoding="utf-8")
    return error.exit_code


def _crash(error: Exception) -> int:
    """An error that nobody foresaw: the traceback goes to a file, its address to the terminal."""
    log = state_of(Path.cwd()) / "crash.log"
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    print(
        f"internal error: {type(error).__name__}: {error}\n"
        f"This is a fault of Proofmint. Please report it with {log}.",
        file=sys.stderr,
    )
    return 1


# --- stages: folders of the current directory in, one folder out ------------------------------


def _ingest(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.ingest import ingest

    ingest(at.raw, params, project=project_of(at.root))


def _validate(params: DatasetParams, at: Layout, options: argparse.Namespace) -> None:
    from tasks.stages.validate import validate

    docs = state_of(project_of(at.root)) / "data_docs"
    validate(options.gate, at, params, docs=docs)


def _clean(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.clean import clean

    clean(at.raw, at.clean, params)


def _split(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.split import split

    split(at.clean, at.split, params)


def _balance(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.balance import balance

    balance(at.split, at.balanced, params)


def _train(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.train import train
    from tasks.tracking import open_tracker

    state = state_of(project_of(at.root))
    tracker = open_tracker(os.environ.get("MLFLOW_TRACKING_URI"), state / "mlflow")
    train(at.balanced, at.model, params, at.dataset, checkpoints=state / "checkpoints", tracker=tracker)


def _sample(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.sample import sample

    sample(at.model, at.synthetic, params)


def _evaluate(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.evaluate import evaluate

    evaluate(at.split, at.synthetic, at.evaluation, params)


def _audit(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.audit import audit

    audit(at.split, at.synthetic, at.audit, params)


def _publish(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.publish import publish

    publish(at, params)


_STAGES: dict[str, tuple[str, Callable[[DatasetParams, Layout, argparse.Namespace], None]]] = {
    "ingest": ("pull the real data from its source", _ingest),
    "validate": ("hold data or metrics at a gate", _validate),
    "clean": ("clean the raw data", _clean),
    "split": ("set a holdout aside", _split),
    "balance": ("even out the training data", _balance),
    "train": ("train the generator", _train),
    "sample": ("draw synthetic data", _sample),
    "evaluate": ("measure fidelity, utility and diversity", _evaluate),
    "audit": ("attack the synthetic data", _audit),
    "publish": ("assemble the release", _publish),
}


# --- commands for people ----------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="proofmint", description="Real data in, validated synthetic datasets with proof out."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (summary, stage) in _STAGES.items():
        command = commands.add_parser(name, help=f"stage: {summary}")
        command.add_argument("dataset", help="a name under datasets: in params.yaml")
        if name == "validate":
            command.add_argument("gate", choices=get_args(Gate))
        command.set_defaults(run=_stage_runner(stage))
    return parser


def _stage_runner(
    stage: Callable[[DatasetParams, Layout, argparse.Namespace], None],
) -> Callable[[argparse.Namespace], None]:
    def run(options: argparse.Namespace) -> None:
        root = Path.cwd()
        params = load_dataset(root / PARAMS_FILE, options.dataset)
        stage(params, Layout(root, options.dataset), options)

    return run
