"""Gaussian copula (Patki, Wedge and Veeramachaneni 2016, doi:10.1109/DSAA.2016.49) of SDV."""

import numpy as np
import pandas as pd
import phases
from sdv.metadata import Metadata
from sdv.single_table import GaussianCopulaSynthesizer


def fit(rows: pd.DataFrame, discrete: list[str], seed: int) -> GaussianCopulaSynthesizer:
    """At its defaults; nothing is left to the detection of types."""
    kinds = {name: {"sdtype": "categorical" if name in discrete else "numerical"} for name in rows}
    metadata = Metadata.load_from_dict({"tables": {"rows": {"columns": kinds}}})
    np.random.seed(seed)  # noqa: NPY002 - what the package draws from
    model = GaussianCopulaSynthesizer(metadata)
    model.fit({"rows": rows})
    return model


def sample(model: GaussianCopulaSynthesizer, n_rows: int) -> pd.DataFrame:
    """As many rows as asked for."""
    return model.sample(n_rows)["rows"]


if __name__ == "__main__":
    phases.run("sdv", fit, sample)
