"""`proofmint check`: every setting of a dataset, before any of its stages runs."""

from pathlib import Path

from tasks import registry
from tasks.params import PARAMS_FILE, load_dataset
from tasks.sources.base import Source
from tasks.training.model import generator_class, generator_params
from tasks.workspace import project_of


def check(root: Path, dataset: str) -> int:
    """Check an entry of params.yaml, and what source and generator say about their own settings.

    Args:
        root: holds params.yaml.
        dataset: which entry.

    Raises:
        ParamsError: with the path of each wrong key, what was expected and what was found.
    """
    params = load_dataset(root / PARAMS_FILE, dataset)
    source = registry.load("tasks.sources", params.source.type, Source)  # type: ignore[type-abstract]
    source(
        params.source.settings,
        kind=params.kind,
        target=params.target,
        project=project_of(root),
    )
    where = f"datasets.{dataset}.generator_params"
    generator = generator_class(params.kind, params.generator)
    generator_params(generator, params.generator_params, where)
    print(f"{dataset}: settings are fine")
    return 0
