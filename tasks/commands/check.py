"""`proofmint check NAME`: would this dataset's settings run? Airflow asks before a run starts."""

from pathlib import Path
from typing import get_args

from croniter import croniter  # type: ignore[import-untyped]

from tasks import registry
from tasks.augmentation.rows import augmentation_settings
from tasks.cleaning.plan import plan
from tasks.errors import ParamsError
from tasks.evaluation.base import choose
from tasks.metrics import Family
from tasks.params import PARAMS_FILE, DatasetParams, load_dataset
from tasks.partitions import EXAMPLES, PartitionError, parse
from tasks.pipeline import PipelineError
from tasks.pipeline import load_dataset as load_pipeline
from tasks.publishing.delivery import targets_of
from tasks.sources.base import Source
from tasks.training.model import generator_class, generator_params
from tasks.training.parents import find_parent
from tasks.training.private import check_private_dataset
from tasks.workspace import Layout, project_of

_QUARTERLY = "0 0 1 */3 *"
"""As Airflow has it; croniter knows the other presets by itself."""


def check(root: Path, dataset: str) -> int:
    """Check one entry of params.yaml, and what source and generator say of their own settings.

    Args:
        root: holds params.yaml and the suites.
        dataset: which entry.

    Raises:
        ParamsError: with the path of each wrong key, what was expected and what was found.
    """
    check_settings(root, dataset)
    print("ok")
    return 0


def check_settings(root: Path, dataset: str) -> None:
    """What `check` does, without a word where all is well."""
    params = load_dataset(root / PARAMS_FILE, dataset)
    try:
        load_pipeline(root, dataset)  # as its DAG is made
    except PipelineError as error:
        raise ParamsError(str(error)) from error
    where = f"datasets.{dataset}"
    _check_schedule(params.schedule, f"{where}.schedule")
    _check_source(params, where, project_of(root))
    _check_cleaning(params, where)
    if params.balance.method == "augment":
        augmentation_settings(params.kind, params.balance.augment, f"{where}.balance.augment")
    _check_generator(params, where, root)
    _check_metrics(params, where)
    _check_targets(params, dataset, where, project_of(root))
    _check_suites(root, dataset)


def _check_schedule(given: str | None, where: str) -> None:
    """What Airflow can make no DAG of, and times that never come."""
    if given in (None, "@once"):
        return
    try:
        croniter(_QUARTERLY if given == "@quarterly" else given).get_next()
    except ValueError as error:
        raise ParamsError(
            f"{where}: expected a cron expression of times that come, @hourly, @daily, @weekly,"
            f" @monthly, @quarterly, @yearly, @once or null; found {given!r}: {error}"
        ) from error


def _check_name(package: str, name: str, where: str) -> None:
    """A name that is no file of ours would be missing from the deps in dvc.yaml."""
    choices = registry.names(package)
    if name not in choices:
        raise ParamsError(f"{where}: expected one of {', '.join(choices)}; found {name!r}")


def _check_source(params: DatasetParams, where: str, project: Path) -> None:
    name = params.source.type
    _check_name("tasks.sources", name, f"{where}.source.type")
    source = registry.load("tasks.sources", name, Source)  # type: ignore[type-abstract]
    source(params.source.settings, kind=params.kind, target=params.target, project=project)


def _check_cleaning(params: DatasetParams, where: str) -> None:
    try:
        plan(params.clean)
    except ParamsError as error:
        raise ParamsError(f"{where}.{error}") from error


def _check_targets(params: DatasetParams, dataset: str, where: str, project: Path) -> None:
    """Of a partitioned dataset, as any of its partitions will find them: their names are longer."""
    name = dataset
    if params.partition is not None:
        try:
            name = parse(EXAMPLES[params.partition.by], params.partition.by).name(dataset)
        except PartitionError as error:
            raise ParamsError(f"{where}.partition: {error}") from error
    targets_of(params.publish.to, name, project, f"{where}.publish.to")


def _check_generator(params: DatasetParams, where: str, root: Path) -> None:
    _check_name(f"tasks.generators.{params.kind}", params.generator, f"{where}.generator")
    cls = generator_class(params.kind, params.generator)
    generator_params(cls, params.generator_params, f"{where}.generator_params")
    check_private_dataset(cls, params, where)
    if parent := find_parent(params, root):
        parent.check(cls)


def _check_metrics(params: DatasetParams, where: str) -> None:
    """A misspelt metric would be found out after the training only."""
    families = get_args(Family)
    measured = {m.name: m for m in choose(params.kind, params.evaluate.metrics, families)}
    if unknown := [name for name in params.thresholds if name not in measured]:
        raise ParamsError(
            f"{where}.thresholds: expected names among {', '.join(measured)}; found {unknown}"
        )
    judging = {
        m.family
        for m in measured.values()
        if m.decisive and params.thresholds.get(m.name, m.threshold) is not None
    }
    for family in families:
        needed = family != "utility" or params.target is not None
        if needed and family not in judging:
            names = [m.name for m in measured.values() if m.family == family and m.decisive]
            raise ParamsError(
                f"{where}.thresholds: a release needs a threshold for {family}; add one of:"
                f" {', '.join(names) or 'none, as evaluate.metrics leaves them all out'}"
            )


def _check_suites(root: Path, dataset: str) -> None:
    """A gate without its suite would stop the run, but only after the stages before it."""
    suites = Layout(root, dataset).suites
    missing = [str(path.relative_to(root)) for path in suites if not path.exists()]
    if missing:
        raise ParamsError(f"{dataset}: expected the suites of its gates, found no {missing}")
