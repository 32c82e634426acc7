"""CTGAN and TVAE (Xu et al. 2019, arXiv:1907.00503) by the package of their authors, 300 epochs.

The name of the class follows the arguments that every runner has.
"""

import random
import sys

import ctgan
import numpy as np
import pandas as pd
import phases
import torch

_CLASS = getattr(ctgan, sys.argv.pop())


def fit(rows: pd.DataFrame, discrete: list[str], seed: int) -> ctgan.CTGAN | ctgan.TVAE:
    """The classes take no seed that covers the training."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what the package draws from
    torch.manual_seed(seed)
    model = _CLASS(enable_gpu=False)
    model.fit(rows, discrete)
    return model


def sample(model: ctgan.CTGAN | ctgan.TVAE, n_rows: int) -> pd.DataFrame:
    """As many rows as asked for."""
    return model.sample(n_rows)


if __name__ == "__main__":
    phases.run("ctgan", fit, sample)
