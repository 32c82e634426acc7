"""The command line: the stages, for dvc.yaml, and the commands that people use.

The one place that reads params.yaml and the environment; everything below takes objects. A command
imports what it needs when it runs, so `proofmint --help` is quick.
"""

import argparse
import errno
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from tasks import logs
from tasks.errors import DataError, ParamsError, ProofmintError, SourceError, WorkspaceError
from tasks.params import PARAMS_FILE, DatasetParams, load_dataset
from tasks.workspace import Gate, Layout, disk_full, project_of, state_of

FAULT_FILE_VARIABLE = "PROOFMINT_FAULT_FILE"
"""Names a file into which a failing command writes what went wrong, as JSON, for its runner."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status (see tasks/errors.py)."""
    options = _parser().parse_args(arguments)
    dataset = getattr(options, "dataset", None)
    try:
        logs.configure(options.command, dataset)
        status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except ProofmintError as error:
        return _fail(error, options.command, dataset)
    except OSError as error:
        return _fail_of_the_system(error, options.command, dataset)
    except Exception as error:
        if _is_of_a_full_disk(error):
            return _fail(disk_full(str(Path.cwd())), options.command, dataset)
        return _crash(error, options.command, dataset)


def _fail(error: ProofmintError, command: str, dataset: str | None) -> int:
    message = logs.message_of(error, dataset)
    print(logs.last_words("error", message, command, dataset), file=sys.stderr)
    _tell_runner(type(error).__name__, message, error.retryable)
    return error.exit_code


def _fail_of_the_system(error: OSError, command: str, dataset: str | None) -> int:
    if isinstance(error, BrokenPipeError):  # `proofmint … | head`: the reader has what it wants
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  the flush at exit goes there
        return 0
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _fail(disk_full(str(error.filename or Path.cwd())), command, dataset)
    if error.errno in (errno.EACCES, errno.EROFS):
        told = WorkspaceError(f"cannot write: {error}; mend the rights")
        return _fail(told, command, dataset)
    return _crash(error, command, dataset)


def _is_of_a_full_disk(error: Exception) -> bool:
    """Whether a library failed for that in an error of its own: safetensors, SQLite."""
    return any(text in str(error) for text in (os.strerror(errno.ENOSPC), "disk is full"))


def _crash(error: Exception, command: str, dataset: str | None) -> int:
    """An error that nobody foresaw: the traceback goes to a file, its address to the terminal."""
    handle, log = tempfile.mkstemp(prefix="proofmint-crash-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.writelines(traceback.format_exception(error))
    told = logs.cleaned(f"{type(error).__name__}: {error}", dataset=dataset)
    report = f"{told}\nThis is a fault of Proofmint. Please report it with {log}."
    print(logs.last_words("internal error", report, command, dataset), file=sys.stderr)
    _tell_runner("ProofmintError", f"internal error: {told}; traceback in {log}", False)
    return 1


def _tell_runner(kind: str, message: str, retryable: bool) -> None:
    if place := os.environ.get(FAULT_FILE_VARIABLE):
        fault = {"type": kind, "message": message, "retryable": retryable}
        Path(place).write_text(json.dumps(fault), encoding="utf-8")


# --- stages: folders of the current directory in, one folder out ------------------------------


def _ingest(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.ingest import ingest

    project = project_of(at.root)
    state = state_of(project)
    try:
        ingest(at.raw, params, project=project)
    except (ParamsError, SourceError) as error:
        from tasks.profiling.snapshots import hint_of_source

        if error.retryable or not (
            more := hint_of_source(str(error), params, project, at.dataset, state)
        ):
            raise
        raise type(error)(f"{error}{more}") from error
    # It brings pandas, 50 MB that would lie beside the rows on their way.
    from tasks.profiling.snapshots import report_drift

    report_drift(at.raw, at.dataset, state)


def _validate(params: DatasetParams, at: Layout, options: argparse.Namespace) -> None:
    from tasks.stages.validate import validate

    docs = state_of(project_of(at.root)) / "data_docs"
    validate(options.gate, at, params, docs=docs)


def _clean(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.clean import clean

    clean(at.raw, at.clean, params, state=state_of(project_of(at.root)))


def _split(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.split import split

    split(at.clean, at.split, params)


def _balance(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.balance import balance

    balance(at.split, at.balanced, params)


def _train(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.noise import project_key
    from tasks.stages.train import train
    from tasks.tracking import open_tracker
    from tasks.training.parents import find_parent

    state = state_of(project_of(at.root))
    tracker = open_tracker(os.environ.get("MLFLOW_TRACKING_URI"), state / "mlflow")
    train(
        at.balanced,
        at.model,
        params,
        at.dataset,
        checkpoints=state / "checkpoints",
        tracker=tracker,
        noise_key=project_key(state) if params.train.privacy else None,
        parent=find_parent(params, at.root),
    )


def _sample(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.sample import sample

    sample(at.model, at.synthetic, params)


def _evaluate(params: DatasetParams, at: Layout, _: argparse.Namespace) -> None:
    from tasks.stages.evaluate import evaluate

    evaluate(at.split, at.synthetic, at.evaluation, params, at.balanced)


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


def _demo(_: argparse.Namespace) -> int:
    from tasks.commands.demo import demo

    return demo(project_of(Path.cwd()))


def _run(options: argparse.Namespace) -> int:
    project = project_of(Path.cwd())
    first, last = options.partition or options.first, options.partition or options.last
    if first is None and last is None:
        from tasks.commands.run import run

        return run(project, options.dataset, airflow=options.airflow)
    if first is None or last is None or (options.partition and (options.first or options.last)):
        raise ParamsError("expected --partition KEY, or both of --from KEY and --to KEY")
    from tasks.commands.partitions import run_partitions

    return run_partitions(project, options.dataset, first, last, airflow=options.airflow)


def _check(options: argparse.Namespace) -> int:
    from tasks.commands.check import check

    return check(Path.cwd(), options.dataset)


def _release(options: argparse.Namespace) -> int:
    from tasks.commands.release import release

    return release(Path.cwd(), options.dataset)


def _approve(options: argparse.Namespace) -> int:
    from tasks.commands.approve import approve

    return approve(
        Path.cwd(),
        options.dataset,
        digest=options.digest,
        comment=options.comment,
        show=options.show,
    )


def _releases(_: argparse.Namespace) -> int:
    from tasks.commands.releases import releases

    return releases(project_of(Path.cwd()))


def _withdraw(options: argparse.Namespace) -> int:
    from tasks.commands.withdraw import withdraw

    return withdraw(project_of(Path.cwd()), options.dataset, options.version, options.reason)


def _rotate_key(options: argparse.Namespace) -> int:
    from tasks.commands.rotate_key import rotate_key

    return rotate_key(project_of(Path.cwd()), lost=options.lost)


def _trace(options: argparse.Namespace) -> int:
    from tasks.commands.trace import trace

    return trace(project_of(Path.cwd()), options.digest, as_json=options.json)


def _targets(options: argparse.Namespace) -> int:
    from tasks.commands.targets import targets

    return targets(project_of(Path.cwd()), options.dataset)


def _verify(options: argparse.Namespace) -> int:
    from tasks.commands.verify import verify

    return verify(options.release, key=options.key)


def _synthesize(options: argparse.Namespace) -> int:
    from tasks.commands.synthesize import synthesize

    return synthesize(
        options.input,
        options.output,
        kind=options.kind,
        target=options.target,
        rows=options.rows,
        generator=options.generator,
        seed=options.seed,
        conditions=options.condition,
        encoding=options.encoding,
        epochs=options.epochs,
    )


def _tune(options: argparse.Namespace) -> int:
    from tasks.commands.tune import tune

    root = Path.cwd()
    _read_local_environment(state_of(project_of(root)))
    return tune(
        root,
        options.dataset,
        trials=options.trials,
        timeout_seconds=options.timeout,
        sampler=options.sampler,
        pruner=options.pruner,
        metric=options.metric,
        search=options.search,
    )


def _add(options: argparse.Namespace) -> int:
    from tasks.commands.add import add

    root = Path.cwd()
    _read_local_environment(state_of(project_of(root)))
    return add(
        options.source,
        root,
        name=options.name,
        tables=options.table,
        query=options.query,
        target=options.target,
        settings=options.set,
        partition=options.partition,
    )


def _profile(options: argparse.Namespace) -> int:
    from tasks.commands.profile import profile_source

    project = project_of(Path.cwd())
    _read_local_environment(state_of(project))
    return profile_source(
        options.source,
        project,
        tables=options.table,
        query=options.query,
        target=options.target,
        settings=options.set,
    )


def _learn(options: argparse.Namespace) -> int:
    from tasks.commands.learn import learn

    return learn(Path.cwd(), options.dataset, force=options.force)


def _doctor(_: argparse.Namespace) -> int:
    from tasks.commands.doctor import doctor

    return doctor(Path.cwd())


def _demo_source(options: argparse.Namespace) -> int:
    from tasks.commands.demo_source import start, stop

    return {"start": start, "stop": stop}[options.action](project_of(Path.cwd()))


def _up(_: argparse.Namespace) -> int:
    from tasks.commands.servers import up

    return up(project_of(Path.cwd()))


def _down(_: argparse.Namespace) -> int:
    from tasks.commands.servers import down

    return down(project_of(Path.cwd()))


def _prune(options: argparse.Namespace) -> int:
    from tasks.commands.prune import prune

    if options.older_than < 1:
        raise ParamsError(f"expected --older-than to be 1 day or more, found {options.older_than}")
    project = project_of(Path.cwd())
    _read_local_environment(state_of(project))
    return prune(project, older_than_days=options.older_than, dry_run=options.dry_run)


def _backup(options: argparse.Namespace) -> int:
    from tasks.commands.backup import backup

    return backup(project_of(Path.cwd()), options.file, everything=options.everything)


def _restore(options: argparse.Namespace) -> int:
    from tasks.commands.restore import restore

    return restore(options.file, options.into)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="proofmint", description="Real data in, validated synthetic datasets with proof out."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace], int], summary: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run, command=name)
        return command

    add("demo", _demo, "two real datasets from source to verified release, through Airflow")
    _describe_run(add("run", _run, "run a dataset's pipeline with DVC and release the result"))
    _describe_synthesize(
        add(
            "synthesize",
            _synthesize,
            "a table, images or texts in, synthetic ones of the same form out; no git, no DVC",
        )
    )
    _describe_tune(
        add("tune", _tune, "search better settings for a generator; writes a patch to review")
    )
    command = add("add", _add, "a new dataset from any source: its entry and its gates, for review")
    _describe_source(command)
    command.add_argument("--name", required=True, help="of the dataset, in params.yaml")
    command.add_argument(
        "--partition",
        metavar="COLUMN:BY",
        help="a run and a release for each day, week, month or year of a column: ordered_on:month",
    )
    command = add("profile", _profile, "what a source holds, column by column")
    _describe_source(command)
    command = add(
        "learn", _learn, "learn the suites of a dataset's gates from its data, for review"
    )
    command.add_argument("dataset", help="a name under datasets: in params.yaml")
    command.add_argument("--force", action="store_true", help="replace suites changed by hand")
    _describe_releases(add)
    command = add("check", _check, "check a dataset's settings, those of its generator included")
    command.add_argument("dataset", help="a name under datasets: in params.yaml")
    command = add("release", _release, "sign, commit and tag what `dvc repro` published")
    command.add_argument("dataset", help="a name under datasets: in params.yaml")
    add("doctor", _doctor, "check Python, git, disk, GPU, database and ports")
    command = add("demo-source", _demo_source, "start or stop the demo's embedded PostgreSQL")
    command.add_argument("action", choices=["start", "stop"])
    add("up", _up, "start PostgreSQL, Airflow and MLflow on this machine")
    add("down", _down, "stop what `up` started")
    _describe_maintenance(add)
    for name, (summary, stage) in _STAGES.items():
        if name == "evaluate":
            _describe_evaluate(add(name, _evaluate_either, f"stage: {summary}; or of any files"))
            continue
        command = add(name, _stage_runner(stage), f"stage: {summary}")
        command.add_argument("dataset", help="a name under datasets: in params.yaml")
        if name == "validate":
            command.add_argument("gate", choices=get_args(Gate))
    return parser


def _describe_releases(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("approve", _approve, "see the evidence of a release and say yes to it")
    command.add_argument("dataset", help="a name under datasets: in params.yaml")
    command.add_argument("--digest", help="that is approved; default: asked at the terminal")
    command.add_argument("--comment", default="", help="goes into the attestation")
    command.add_argument("--show", action="store_true", help="only show the evidence")
    add("releases", _releases, "list the releases of this project")
    command = add("withdraw", _withdraw, "say everywhere that a release must no longer be used")
    command.add_argument("dataset", help="a name in `proofmint releases`")
    command.add_argument("version", help="e.g. v3")
    command.add_argument("--reason", required=True, help="everyone who has a copy can read it")
    command = add("rotate-key", _rotate_key, "sign releases with a new key from now on")
    command.add_argument(
        "--lost", action="store_true", help="the old key is lost or stolen, and vouches for nothing"
    )
    command = add("trace", _trace, "where a file, a commit, a run or a release comes from")
    command.add_argument(
        "digest", help="sha256, md5, commit or MLflow run, or its first 8 characters"
    )
    command.add_argument("--json", action="store_true", help="for programs")
    command = add("targets", _targets, "what the publishing targets of a dataset hold")
    command.add_argument("dataset", help="a name in `proofmint releases`")
    command = add("verify", _verify, "check every digest and the signature of a release, offline")
    command.add_argument("release", type=Path, help="a release's folder, e.g. releases/digits")
    command.add_argument(
        "--key", type=Path, help="PEM file of the public key that must have signed"
    )


def _describe_maintenance(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add("prune", _prune, "remove what no release, no run and nobody needs any more")
    command.add_argument("--dry-run", action="store_true", help="only say what would go")
    command.add_argument(
        "--older-than",
        type=int,
        default=30,
        metavar="DAYS",
        help="since it was last used (default: %(default)s)",
    )
    command = add("backup", _backup, "the whole state of the project in one file, keys included")
    command.add_argument(
        "file", type=Path, help="to write, e.g. backup.tar; only the owner reads it"
    )
    command.add_argument(
        "--everything",
        action="store_true",
        help="also data of no release, checkpoints and fetched files",
    )
    command = add("restore", _restore, "a project as `backup` found it, in a new folder")
    command.add_argument("file", type=Path, help="that `backup` wrote")
    command.add_argument("--into", type=Path, required=True, help="folder, new or empty")


def _describe_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("dataset", help="a name under datasets: in params.yaml")
    command.add_argument("--airflow", action="store_true", help="run its DAG instead, in process")
    command.add_argument("--partition", metavar="KEY", help="of a partitioned dataset: 2026-03")
    command.add_argument("--from", dest="first", metavar="KEY", help="or from this partition …")
    command.add_argument("--to", dest="last", metavar="KEY", help="… to this one")


def _describe_synthesize(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "input",
        type=Path,
        help="CSV file with a header; folder with one sub-folder of images per label, or .npz with"
        " images x and labels y; CSV or TSV of texts and labels",
    )
    command.add_argument("output", type=Path, help="file or folder to write, of the same form")
    command.add_argument(
        "--kind",
        choices=["tabular", "image", "text"],
        help="default: told by the form of the input",
    )
    command.add_argument("--target", help="column that a model would predict")
    command.add_argument("--rows", type=int, help="synthetic rows (default: as many as the input)")
    command.add_argument(
        "--generator",
        help="default: autoregressive for tables, ddpm for images, transformer for texts",
    )
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.add_argument(
        "--condition",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="every row has this value; may be repeated",
    )
    command.add_argument("--encoding", help="of text; default: utf-8")
    command.add_argument(
        "--epochs", type=int, help="passes over the rows at most (default: by size)"
    )


def _describe_tune(command: argparse.ArgumentParser) -> None:
    command.add_argument("dataset", help="a name under datasets: in params.yaml")
    command.add_argument("--trials", type=int, default=20, help="default: %(default)s")
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="stop then")
    command.add_argument(
        "--sampler", choices=["tpe", "random", "grid"], default="tpe", help="default: %(default)s"
    )
    command.add_argument(
        "--pruner",
        choices=["median", "halving", "none"],
        default="median",
        help="gives trials up by their validation loss; default: %(default)s",
    )
    command.add_argument(
        "--metric",
        default="c2st_auc",
        help="validation_loss, or a metric of rows drawn; default: %(default)s",
    )
    command.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="SETTING=VALUES",
        help="LOW..HIGH or VALUE,VALUE for a setting of the generator or of train; may be repeated"
        " (default: learning rate, batch size, and what matters most of the generator's)",
    )


def _describe_source(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source",
        help="a database's URL or the name of a variable that holds it, a file, a glob, a folder of"
        " images, or a URL of files",
    )
    command.add_argument(
        "--table",
        action="append",
        default=[],
        help="of a database; may be repeated, the table with the target first",
    )
    command.add_argument("--query", help="of a database: one SELECT")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other setting of the source, as under `source:` in params.yaml, or kind=image; may be repeated",
    )
    command.add_argument("--target", help="column that a model would predict")


def _describe_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("dataset", nargs="?", help="a name under datasets: in params.yaml; or:")
    files = command.add_argument_group(
        "any three tables (CSV or Parquet), sets of images (folders with one sub-folder per label, or"
        " .npz with x and y) or of labelled texts (CSV or TSV)"
    )
    files.add_argument("--real", type=Path, help="rows that the generator may have seen")
    files.add_argument("--holdout", type=Path, help="real rows that it never saw")
    files.add_argument("--synthetic", type=Path, help="rows that it made")
    files.add_argument("--out", type=Path, help="folder for the report and the metrics")
    files.add_argument(
        "--kind",
        choices=["tabular", "image", "text"],
        help="default: told by the form of the files",
    )
    files.add_argument("--target", help="column that a model would predict")
    files.add_argument("--seed", type=int, help="of all randomness; default: 0")
    files.add_argument("--encoding", help="of text that is not UTF-8")
    files.add_argument("--gate", action="store_true", help="exit with status 3 where it is refused")


def _evaluate_either(options: argparse.Namespace) -> int:
    """The stage of a dataset, or three files."""
    from tasks.commands.evaluate import WHY_A_HOLDOUT, evaluate

    names = ("real", "holdout", "synthetic", "out")
    more = ("kind", "target", "seed", "encoding", "gate")
    given = [n for n in (*names, *more) if getattr(options, n)]
    if options.dataset is not None and given:
        raise ParamsError(
            f"expected a dataset of {PARAMS_FILE} or files, found both: {options.dataset!r} and"
            f" {', '.join(f'--{name}' for name in given)}; leave one of them out"
        )
    if options.dataset is not None:
        return _stage_runner(_evaluate)(options)
    missing = [name for name in names if getattr(options, name) is None]
    if "holdout" in missing and len(missing) < len(names):
        raise ParamsError(f"--holdout is missing: it names {WHY_A_HOLDOUT}")
    if missing:
        raise ParamsError(
            f"expected a dataset of {PARAMS_FILE}, or --real, --holdout, --synthetic and --out;"
            f" missing: {', '.join(f'--{name}' for name in missing)}"
        )
    return evaluate(
        *(options.real, options.holdout, options.synthetic, options.out),
        kind=options.kind,
        target=options.target,
        seed=options.seed or 0,
        encoding=options.encoding or "utf-8",
        gate=options.gate,
    )


def _stage_runner(
    stage: Callable[[DatasetParams, Layout, argparse.Namespace], None],
) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        root = Path.cwd()
        _read_local_environment(state_of(project_of(root)))
        params = load_dataset(root / PARAMS_FILE, options.dataset)
        try:
            stage(params, Layout(root, options.dataset), options)
        except (ParamsError, DataError) as error:
            from tasks.profiling.snapshots import hint

            if more := hint(str(error), options.dataset, state_of(project_of(root))):
                raise type(error)(f"{error}{more}") from error
            raise
        return 0

    return run


def _read_local_environment(state: Path) -> None:
    """Take variables that are not set from `.proofmint/env`, which `demo-source` and `up` write."""
    place = state / "env"
    if place.exists():
        for line in place.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            os.environ.setdefault(name, value)
